"""A training command that writes the files of nnU-Net's trainers, in milliseconds: orchestration is tested with it."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from nnunet_mamba.crossval.attempt import TrainingOptions
from nnunet_mamba.crossval.runs import Run

# Its arguments, the order of its writes and its log lines are those of nnUNetv2_train, which
# test_crossval_with_nnunet.py runs.
STUB = Path(__file__).with_name("training_stub.py")


class StubTraining:
    """Runs of the stub in a folder of results.

    ``behave`` makes a run do something in place of finishing an epoch, or after a validated case; ``starts`` are what
    its processes were given.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.results = folder / "results"
        self.results.mkdir()
        self._monkeypatch = monkeypatch
        self._behaviours: dict[str, dict] = {}
        for name in ("nnUNet_n_proc_DA", "nnUNet_def_n_proc", "CUDA_VISIBLE_DEVICES", "STUB"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("nnUNet_results", str(self.results))

    def options(self, **changes) -> TrainingOptions:
        return TrainingOptions(**{"device": "cpu", "program": (sys.executable, "-S", str(STUB)), **changes})

    def run(self, fold: int = 0, trainer: str = "A") -> Run:
        return Run(
            dataset="Dataset901_Tiny",
            configuration="2d",
            trainer=trainer,
            plans="nnUNetPlans",
            fold=fold,
            results=self.results,
        )

    def behave(self, run: Run, *, at: int | str, do: str) -> None:
        self._behaviours[f"{run.trainer}/{run.fold}"] = {"at": at, "do": do}
        self._monkeypatch.setenv("STUB", json.dumps(self._behaviours))

    def behave_well(self) -> None:
        self._behaviours.clear()
        self._monkeypatch.delenv("STUB", raising=False)

    def starts(self, run: Run) -> list[dict]:
        return [json.loads(line) for line in (run.folder / "started.jsonl").read_text().splitlines()]

    def wait_until_gone(self, pid: int) -> None:
        """Wait for a process that was killed: it ends a moment later."""
        end = time.monotonic() + 60
        while self.is_alive(pid):
            assert time.monotonic() < end, f"process {pid} lives on"
            time.sleep(0.01)

    @staticmethod
    def is_alive(pid: int) -> bool:
        """Whether a process runs; one that has ended and waits for its parent does not."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        if not Path("/proc/self/stat").exists():
            return True
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            # It ended and was waited for since.
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def stub(tmp_path, monkeypatch):
    return StubTraining(tmp_path, monkeypatch)
