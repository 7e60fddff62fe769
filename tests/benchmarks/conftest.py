"""The check of a GPU as a module, and small parts for it that do what parts should not."""

import sys
import textwrap
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def gpu_check(monkeypatch):
    """The command's module."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import gpu_check

    return gpu_check


@pytest.fixture
def make_part(gpu_check, tmp_path, monkeypatch):
    """A function that makes a part of the functions in a source, each of which is a check."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    from gpu_checks.supervision import Part

    def make(source, name="fake"):
        checks = [line.split()[1].partition("(")[0] for line in source.splitlines() if line.strip().startswith("def ")]
        listed = "".join(f"Check({check!r}, {check}), " for check in checks)
        (tmp_path / f"part_{name}.py").write_text(
            "import ctypes, os, signal, subprocess, sys, time\n"
            "from gpu_checks.checks import Check, Finding, SkipCheck, equal, within\n"
            f"{textwrap.dedent(source)}\n"
            f"def checks(setting):\n    return [{listed}]\n"
        )
        return Part(name, f"part_{name}", share=1)

    return make


@pytest.fixture
def ends():
    """A function that returns whether a process ends within ten seconds."""

    def wait(process):
        for _ in range(100):
            try:
                if "State:\tZ" in Path(f"/proc/{process}/status").read_text():
                    return True
            except OSError:
                return True
            time.sleep(0.1)
        return False

    return wait


@pytest.fixture
def run(gpu_check):
    """A function that runs a part and returns its rows."""
    from gpu_checks.checks import Setting
    from gpu_checks.supervision import run_part

    def rows_of(part, seconds=120):
        rows = []
        run_part(part, Setting("cpu", is_dry_run=True), seconds=seconds, on_row=rows.append)
        return rows

    return rows_of
