import json
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.cli.doctor import doctor
from nnunet_mamba.doctor import examination
from nnunet_mamba.doctor.findings import Finding

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(doctor)

GOOD = Finding(name="torch", text="2.6.0")
HINT = Finding(name="threads", level="hint", text="2 of 8 [cores]", remedy="export OMP_NUM_THREADS=8")
PROBLEM = Finding(name="nnUNet_raw", level="problem", text="is not set", remedy="export nnUNet_raw=/path/to/nnUNet_raw")


@pytest.fixture
def finds(monkeypatch):
    def find(*findings):
        def examine(on_start):
            on_start("software")
            return ((f"area {finding.name}", finding) for finding in findings)

        monkeypatch.setattr(examination, "examine", examine)

    return find


def run(*options):
    return CliRunner().invoke(app, options)


def test_ready_with_hints_is_success(finds):
    finds(GOOD, HINT)
    result = run()
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[:2] == ["area torch", "✓ torch               2.6.0"]
    assert "! threads             2 of 8 [cores]" in lines
    assert lines[lines.index("! threads             2 of 8 [cores]") + 1].strip() == "→ export OMP_NUM_THREADS=8"
    assert lines[-1] == "Ready to train, 1 hint."


def test_a_problem_is_exit_code_1_and_says_the_way_out(finds):
    finds(PROBLEM, GOOD, HINT)
    result = run()
    assert result.exit_code == 1
    assert "✗ nnUNet_raw" in result.stdout
    assert "→ export nnUNet_raw=/path/to/nnUNet_raw" in result.stdout
    assert result.stdout.rstrip().endswith("1 problem, 1 hint: see the lines with ✗.")


@pytest.mark.parametrize(("findings", "can_train"), [((GOOD, HINT), True), ((GOOD, PROBLEM), False)])
def test_json_is_all_that_is_printed(finds, findings, can_train):
    finds(*findings)
    result = run("--json")
    report = json.loads(result.stdout)
    assert report["can_train"] is can_train
    assert result.exit_code == int(not can_train)
    assert [row["level"] for row in report["findings"]] == [finding.level for finding in findings]
    assert report["findings"][1]["remedy"] == findings[1].remedy
    assert report["findings"][0]["area"] == "area torch"


def test_what_a_library_prints_is_not_among_the_json(monkeypatch):
    def examine(on_start):
        typer.echo("compiling")
        yield "area torch", GOOD

    monkeypatch.setattr(examination, "examine", examine)
    result = run("--json")
    assert json.loads(result.stdout)["can_train"] is True
    assert "compiling" in result.stderr


def test_a_torch_that_cannot_be_imported_is_a_problem_and_the_rest_is_looked_at(monkeypatch):
    from nnunet_mamba.doctor import nnunet, software

    broken = Finding(name="torch", level="problem", text="cannot be imported")
    monkeypatch.setattr(software, "torch_failure", lambda: broken)
    monkeypatch.setattr(nnunet, "trainers", lambda: iter(()))
    areas = {}
    for area, finding in examination.examine():
        areas.setdefault(area, []).append(finding)
    assert list(areas) == ["software", "nnU-Net"]
    assert areas["software"][-1] == broken


def _doctor(tmp_path, **variables):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("nnUNet", "NNUNET_MAMBA", "NUMBA"))}
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / name).mkdir()
        kept[name] = str(tmp_path / name)
    kept["nnUNet_n_proc_DA"] = "0"  # whatever the size of this machine's /dev/shm
    kept["PATH"] = os.path.dirname(sys.executable) + os.pathsep + kept["PATH"]
    code = "from nnunet_mamba.cli.main import app; app()"
    process = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--json"],
        env={**kept, **{name: str(value) for name, value in variables.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in process.stderr, process.stderr
    report = json.loads(process.stdout)
    assert process.returncode == int(not report["can_train"])
    return {(row["area"], row["name"]): row for row in report["findings"]}, report


@pytest.mark.slow
def test_this_installation_can_train(tmp_path):
    findings, report = _doctor(tmp_path)
    problems = [row for row in report["findings"] if row["level"] == "problem"]
    assert problems == []
    assert findings["selective scan", "on cpu"]["text"] == "numba_cpu"
    assert findings["nnU-Net", "trainers"]["level"] == "ok"
    assert "nothing compiled (a new process)" in findings["selective scan", "first scan"]["text"]


@pytest.mark.slow
def test_a_broken_numba_and_trainers_that_nnunet_does_not_find(tmp_path):
    numba = tmp_path / "broken" / "numba"
    numba.mkdir(parents=True)
    (numba / "__init__.py").write_text("raise ImportError('Numba needs another NumPy')")
    search_path = os.pathsep.join(filter(None, [str(numba.parent), os.environ.get("PYTHONPATH")]))
    findings, report = _doctor(tmp_path, PYTHONPATH=search_path, NNUNET_MAMBA_NO_STARTUP="1")
    assert not report["can_train"]
    assert findings["selective scan", "on cpu"]["level"] == "hint"
    assert "Numba needs another NumPy" in findings["selective scan", "on cpu"]["remedy"]
    assert findings["nnU-Net", "start-up file"]["level"] == "problem"
    assert "unset NNUNET_MAMBA_NO_STARTUP" in findings["nnU-Net", "start-up file"]["remedy"]
    assert f"does not find {trainer_names()[0]}, " in findings["nnU-Net", "trainers"]["text"]
