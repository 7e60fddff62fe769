import hashlib
import json
import os
import signal
import subprocess
import sys
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app
from nnunet_mamba.web.shipped_page import network_folder


@pytest.fixture
def network(tmp_path):
    file = tmp_path / "own.onnx"
    file.write_bytes(b"an ONNX file")
    told = json.loads((network_folder() / "ultralbm-isic.onnx.json").read_text())
    told["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    file.with_name("own.onnx.json").write_text(json.dumps(told))
    return file


def run(*arguments):
    return CliRunner().invoke(app, ["web", *map(str, arguments)])


def test_the_page_is_written_as_one_file(tmp_path, network):
    page = tmp_path / "new" / "lesion.html"
    done = run("--model", network, "-o", page)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{page}\n"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["-o", "page.txt"], 2, "--output page.txt: expected the name of a page, such as lesion.html"),
        (["--model", "isik"], 1, "did you mean 'isic'"),
        (["--model", "gone.onnx"], 1, "gone.onnx does not exist"),
        (["--port", "70000"], 2, "65535"),
    ],
)
def test_what_makes_no_page_is_one_sentence(arguments, status, told):
    done = run(*arguments)
    assert done.exit_code == status
    assert told in " ".join(done.stderr.split())


@pytest.mark.skipif(os.name != "posix", reason="ends the server with a signal")
def test_the_page_is_served_until_the_user_ends_it(network):
    command = [sys.executable, "-m", "nnunet_mamba", "web", "--model", str(network), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        with urlopen(url) as response:
            assert response.read().startswith(b"<!doctype html>")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_the_browser_is_opened_at_the_page(network, monkeypatch):
    import webbrowser

    from nnunet_mamba.web.server import PageServer

    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(PageServer, "serve_forever", lambda self: None)
    done = run("--model", network)
    assert done.exit_code == 0, done.output
    assert opened == [done.stdout.strip()]
