"""Serve the page to this computer alone."""

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOOPBACK = "127.0.0.1"


class PageServer(ThreadingHTTPServer):
    """Answers with one page, on the address that only this computer reaches.

    Args:
        page: HTML.
        port: 0 takes any that is free.

    Raises:
        OSError: the port is taken, or may not be used.
    """

    daemon_threads = True

    def __init__(self, page: str, *, port: int = 0) -> None:
        self.content = page.encode("utf-8")
        super().__init__((LOOPBACK, port), _PageHandler)

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/"


class _PageHandler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def _answer(self, *, with_content: bool) -> None:
        is_page = self.path.partition("?")[0] in ("/", "/index.html")
        content = self.server.content if is_page else b"There is one page here, at /\n"
        self.send_response(HTTPStatus.OK if is_page else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", "text/html; charset=utf-8" if is_page else "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        # After an update of nnunet-mamba, the page is another one at the same address.
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if with_content:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of requests."""
