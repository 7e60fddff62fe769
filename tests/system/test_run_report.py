import json
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from nnunet_mamba.system.run_report import described, reported_run


class ExitError(RuntimeError):
    """Ends a command with a status, as typer's does."""

    def __init__(self, status):
        super().__init__()
        self.exit_code = status


def run(file, error=None, *, inputs=(), outputs=lambda began: (), **options):
    report = reported_run(file, "nnunet-mamba try", options, inputs=inputs, outputs=outputs)
    with report if error is None else pytest.raises(type(error)):
        if error is not None:
            with report:
                raise error
    return json.loads(file.read_text())


def test_a_report_tells_options_inputs_outputs_time_and_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("NNUNET_MAMBA_SEED", "7")
    monkeypatch.setenv("HOME_OF_NOBODY", "secret")
    source, made = tmp_path / "in.txt", tmp_path / "made"
    source.write_bytes(b"abc")
    made.mkdir()

    def outputs(began):
        (made / "out.txt").write_bytes(b"x")
        return [made, tmp_path / "nothing"]

    report = run(tmp_path / "r.json", inputs=[source], outputs=outputs, size=(2, 3), folder=made, sure=True, none=None)
    assert report["command"] == "nnunet-mamba try"
    assert report["options"] == {"size": [2, 3], "folder": str(made), "sure": True, "none": None}
    assert report["environment"]["NNUNET_MAMBA_SEED"] == "7"
    assert "secret" not in json.dumps(report)
    assert report["inputs"] == [{"path": str(source), "kind": "file", "bytes": 3, "sha256": sha256(b"abc").hexdigest()}]
    written, missing = report["outputs"]
    assert (written["files"], written["bytes"], missing["kind"]) == (1, 1, "missing")
    assert report["outcome"] == "finished"
    assert report["seconds"] >= 0
    assert report["machine"]["cores"] >= 1
    assert "nnunet-mamba" in report["versions"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "finished"),
        (ExitError(0), "finished"),
        (ExitError(1), "failed"),
        (ExitError(130), "stopped"),
        (KeyboardInterrupt(), "stopped"),
        (ValueError("bad"), "failed"),
    ],
)
def test_a_report_is_written_however_a_run_ends(tmp_path, error, outcome):
    assert run(tmp_path / "r.json", error)["outcome"] == outcome


def test_the_hash_of_a_folder_is_that_of_its_listing(tmp_path):
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    for name, content in (("b/two.txt", b"2"), ("one.txt", b"1"), (".hidden", b"0"), ("b/.lock", b"")):
        (folder / name).write_bytes(content)
    listing = subprocess.run(
        "sha256sum b/two.txt one.txt", shell=True, cwd=folder, capture_output=True, check=False
    ).stdout
    if not listing:
        pytest.skip("needs sha256sum")
    found = described(folder)
    assert (found["files"], found["bytes"]) == (2, 2)
    assert found["sha256"] == sha256(listing).hexdigest()
    (folder / "one.txt").rename(folder / "uno.txt")
    assert described(folder)["sha256"] != found["sha256"]


def test_only_a_report_may_be_replaced_and_nothing_runs_before_that_is_known(tmp_path):
    file, ran = tmp_path / "r.json", []
    run(file)
    assert run(file, again=1)["options"] == {"again": 1}
    for content in ("{}", "[]", "an image"):
        file.write_text(content)
        refused = pytest.raises(ValueError, match=r"`run_report` .*r\.json exists and is no report of a run")
        with refused, reported_run(file, "x", {}, inputs=(), outputs=lambda began: ()):
            ran.append(1)
        assert file.read_text() == content
    refused = pytest.raises(ValueError, match="is a folder, expected a file")
    with refused, reported_run(tmp_path, "x", {}, inputs=(), outputs=lambda began: ()):
        ran.append(1)
    assert not ran


def test_a_missing_file_is_told_as_missing():
    assert described(Path("/no/such"))["kind"] == "missing"
