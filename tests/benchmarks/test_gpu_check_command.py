"""The command: its options, its table, its file and its exit status."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nnunet_mamba

SCRIPT = Path(__file__).parents[2] / "benchmarks/gpu_check.py"


@pytest.fixture
def check(gpu_check, tmp_path, monkeypatch):
    """A function that runs the command in this process with other parts, and returns its status and its file."""

    def run(*parts, arguments=("--dry-run",)):
        monkeypatch.setattr(gpu_check, "PARTS", parts)
        # pytest's own process keeps its handlers.
        monkeypatch.setattr(gpu_check.signal, "signal", lambda *_: None)
        file = tmp_path / "out/check.json"
        status = gpu_check.main([*arguments, "--output", str(file)])
        return status, json.loads(file.read_text(encoding="utf-8"))

    return run


@pytest.mark.parametrize(
    ("finding", "status"),
    [
        ("Finding('1')", 0),
        ("equal(True)", 0),
        ("equal(False)", 1),
        ("1 / 0", 1),
        ("time.sleep(600)", 0),
    ],
)
def test_only_what_is_wrong_or_crashes_fails(check, make_part, finding, status):
    minutes = "0.07" if "sleep" in finding else "8"
    found, content = check(
        make_part(f"def first():\n    yield {finding}"), arguments=("--dry-run", "--minutes", minutes)
    )
    assert found == status
    assert content["is_complete"] is True


def test_a_crash_of_one_part_leaves_the_others(check, make_part, capsys):
    parts = (
        make_part("ctypes.string_at(0)", name="broken"),
        make_part("def first():\n    yield Finding('some\\nvalue')", name="whole"),
    )
    status, content = check(*parts)
    assert status == 1
    assert [(row["part"], row["verdict"]) for row in content["rows"]] == [("broken", "crashed"), ("whole", "measured")]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["part", "what", "value", "expected", "verdict"]
    assert lines[2].split() == ["whole", "first", "some", "value", "measured"]
    assert lines[3] == "1 measured, 1 crashed"


def test_unused_time_goes_to_the_parts_after(gpu_check, check, make_part, monkeypatch):
    given = []
    monkeypatch.setattr(gpu_check, "run_part", lambda part, setting, seconds, on_row: given.append(seconds))
    check(*(make_part("", name=name) for name in "abc"), arguments=("--dry-run", "--minutes", "1"))
    assert [round(seconds) for seconds in given] == [20, 30, 60]


def test_a_part_without_its_package_leaves_its_time_to_the_others(gpu_check, check, make_part, monkeypatch):
    from dataclasses import replace

    given = []
    monkeypatch.setattr(gpu_check, "run_part", lambda part, setting, seconds, on_row: given.append(seconds))
    check(
        replace(make_part("", name="a"), share=19),
        replace(make_part("", name="b"), share=19, needs="no_such_package"),
        arguments=("--dry-run", "--minutes", "1"),
    )
    assert [round(seconds) for seconds in given] == [57, 60]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--parts", "machine,speed"], "there is no part 'speed'; choose from machine, accuracy, large"),
        (["--parts", ","], "it names no part; choose from machine"),
        (["--minutes", "-1"], "'-1' is no positive number of minutes; pass 8, for example"),
        (["--minutes", "nan"], "'nan' is no positive number of minutes"),
        (["--minutes", "inf"], "'inf' is no positive number of minutes"),
        (["--minutes", "soon"], "'soon' is no positive number of minutes"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
        (["--dry-run", "--device", "cuda"], "--dry-run: runs on the CPU; leave out --device cuda"),
        (["--output", "/"], "/ is a folder; name a file in it"),
    ],
)
def test_refuses_in_words_what_it_cannot_do(gpu_check, capsys, arguments, said):
    with pytest.raises(SystemExit) as refusal:
        gpu_check.main(arguments)
    assert refusal.value.code == 2
    assert said in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told_before_anything_runs(gpu_check, capsys, monkeypatch):
    monkeypatch.setattr(gpu_check.signal, "signal", lambda *_: None)
    assert gpu_check.main(["--dry-run", "--output", "/proc/no/such.json"]) == 2
    assert "--output /proc/no/such.json: cannot be written: " in capsys.readouterr().err


def test_parts_run_in_the_order_of_the_table(gpu_check):
    asked = gpu_check.parse(["--parts", "streams, machine"]).parts
    assert [part.name for part in asked] == ["machine", "streams"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize(("arguments", "status"), [((), 0), (("--device", "cuda"), 2)])
def test_without_cuda_there_is_nothing_to_check(tmp_path, arguments, status):
    run = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == status
    assert "finds no CUDA device, so there is nothing to check. --dry-run shows the table on a CPU." in run.stderr
    assert not list(tmp_path.iterdir())


def test_a_torch_that_does_not_import_is_told_in_words(gpu_check, make_part, tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')")
    problem = gpu_check.cuda_problem()
    # The checkout comes first, then what the user put in front of the installed packages.
    assert problem == "torch cannot be imported: OSError: libcudart.so.13: cannot open shared object file"


def test_the_checkout_is_checked_and_not_an_installed_copy(tmp_path):
    (tmp_path / "nnunet_mamba").mkdir()
    (tmp_path / "nnunet_mamba/__init__.py").write_text('__version__ = "0.0.1"')
    (tmp_path / "sitecustomize.py").write_text("import nnunet_mamba")
    command = [sys.executable, str(SCRIPT), "--dry-run", "--parts", "machine", "--output", str(tmp_path / "check.json")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))["rows"]
    assert [row["value"] for row in rows if row["what"] == "versions, nnunet-mamba"] == [nnunet_mamba.__version__]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_ended_leaves_what_it_had(make_part, ends, tmp_path, number, status):
    part = make_part("def first():\n    yield Finding(str(os.getpid()))\n    time.sleep(600)\n")
    code = f"""
import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import gpu_check
gpu_check.PARTS = (gpu_check.Part({part.name!r}, {part.module!r}, share=1),)
sys.exit(gpu_check.main(["--dry-run", "--output", {str(tmp_path / "check.json")!r}]))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout.readline().startswith("part")
    child = int(process.stdout.readline().split()[2])
    process.send_signal(number)
    assert process.wait() == status
    content = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))
    assert content["is_complete"] is False
    assert [row["value"] for row in content["rows"]] == [str(child)]
    assert ends(child)
