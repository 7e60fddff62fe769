"""``nnunet-mamba web``: a page that outlines lesions in the browser, served here or written as one file."""

from pathlib import Path
from typing import Annotated

import typer

from nnunet_mamba.cli.options.model_options import checked_source
from nnunet_mamba.cli.output.error_texts import errors_as_text, errors_of_usage


def web(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the page into this file, such as lesion.html, and serve nothing."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|FILE.onnx",
            help="Name of a model that comes with nnunet-mamba, or ONNX file that nnunet-mamba export has written.",
        ),
    ] = "isic",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve at; 0 takes any that is free.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Outline lesions in a browser: no server, no account, no upload.

    The page is one HTML file with the network in it. It needs no connection and may not open one, so it can also be
    written with --output, and opened from a disk or put on any host for files.
    """
    with errors_of_usage():
        source = checked_source(model)
        if output is not None and output.suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"--output {output}: expected the name of a page, such as lesion.html")
    with errors_as_text(is_conversion=False, continues=False, workers=""):
        from nnunet_mamba.system.atomic import replacing
        from nnunet_mamba.web.shipped_page import page_of_model

        page = page_of_model(source)
        if output is None:
            _serve(page, port, browser=browser)
            return
        with replacing(output) as temporary:
            temporary.write_bytes(page.encode("utf-8"))
        print(output)


def _serve(page: str, port: int, *, browser: bool) -> None:
    """Serve the page until the user ends it."""
    import webbrowser

    from nnunet_mamba.web.server import PageServer

    with PageServer(page, port=port) as server:
        print(server.url, flush=True)
        if browser:
            webbrowser.open(server.url)
        server.serve_forever()
