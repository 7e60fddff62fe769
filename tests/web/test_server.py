import threading
from http.client import HTTPConnection

import pytest

from nnunet_mamba.web.server import PageServer

PAGE = "<!doctype html><title>Läsion</title>"


@pytest.fixture
def server():
    with PageServer(PAGE) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def answer(server, path, method="GET"):
    connection = HTTPConnection(*server.server_address[:2])
    connection.request(method, path)
    response = connection.getresponse()
    content = response.read().decode()
    connection.close()
    return response, content


@pytest.mark.parametrize("path", ["/", "/index.html", "/?from=a-bookmark"])
def test_the_page_is_served(server, path):
    response, content = answer(server, path)
    assert response.status == 200
    assert response.getheader("Content-Type") == "text/html; charset=utf-8"
    assert content == PAGE


@pytest.mark.parametrize("path", ["/pyproject.toml", "/../etc/passwd", "/%2e%2e/", "/favicon.ico"])
def test_there_is_nothing_else(server, path):
    response, content = answer(server, path)
    assert response.status == 404
    assert "one page" in content


def test_a_head_is_answered_without_the_page(server):
    response, content = answer(server, "/", method="HEAD")
    assert (response.status, content) == (200, "")
    assert int(response.getheader("Content-Length")) == len(PAGE.encode())


def test_only_this_computer_reaches_it(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_address[1]}/"


def test_a_port_that_is_taken_is_an_error(server):
    with pytest.raises(OSError, match="in use"):
        PageServer(PAGE, port=server.server_address[1])
