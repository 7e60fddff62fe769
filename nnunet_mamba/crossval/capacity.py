"""How many trainings a machine can run at a time: its cores, its GPUs, and the memory that is left."""

import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from nnunet_mamba.system.machine import PROC, available_memory, usable_cores

# A training on the CPU has two processes: one computes, the other augments.
CORES_PER_CPU_JOB = 2


def cores_of_this_job() -> int:
    """Return the number of cores for all trainings: those of the Slurm job, else those that this process may use.

    OMP_NUM_THREADS does not count: people set it to 1 for nnU-Net's many workers.
    """
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return int(given) if given.isdigit() and int(given) > 0 else usable_cores()


def default_trainings(n_runs: int, *, cores: int, gpus: Collection[str]) -> int:
    """Return how many trainings to run at the same time: one on each GPU, or one on every two cores."""
    return max(1, min(n_runs, len(gpus) or cores // CORES_PER_CPU_JOB))


def visible_gpus(n_gpus: int) -> list[str]:
    """Return the names by which CUDA_VISIBLE_DEVICES chooses among the GPUs that are visible."""
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:n_gpus] if named else [str(index) for index in range(n_gpus)]


def memory_of_sessions(sessions: Collection[int]) -> dict[int, int]:
    """Return how many bytes the processes of each session take together; shared pages count once.

    Args:
        sessions: as ``os.getsid`` names them.

    Returns:
        Bytes by session, without sessions that cannot be looked at; empty where there is no /proc.
    """
    memory: dict[int, int] = {}
    for process in PROC.glob("[0-9]*"):
        try:
            # The command before the last bracket may hold spaces; state, parent, group and session follow.
            session = int((process / "stat").read_text().rpartition(")")[2].split()[3])
            if session in sessions:
                memory[session] = memory.get(session, 0) + _proportional_memory(process)
        except OSError:
            continue
    return memory


def _proportional_memory(process: Path) -> int:
    lines = (process / "smaps_rollup").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


class MemoryGuard:
    """Tells whether there is memory for one more training, by the largest so far."""

    def __init__(self) -> None:
        self._peaks: dict[int, int] = {}

    def measure(self, sessions: Collection[int]) -> None:
        """Look at the running trainings, and remember what they take beyond their end."""
        for session, memory in memory_of_sessions(sessions).items():
            self._peaks[session] = max(memory, self._peaks.get(session, 0))

    @property
    def peak(self) -> int:
        """The most bytes that one training has taken; 0 before anything was measured."""
        return max(self._peaks.values(), default=0)

    def has_room(self, running: Collection[int]) -> bool:
        """Return whether one more training fits when all that run have grown to the size of the largest."""
        return has_room(available_memory(), peak=self.peak, running={s: self._peaks.get(s, 0) for s in running})


def has_room(available: int | None, *, peak: int, running: Mapping[int, int]) -> bool:
    """Return whether one more training fits into memory.

    Args:
        available: bytes that can still be taken; None if unknown.
        peak: most bytes that one training takes.
        running: bytes that each running training has taken so far.
    """
    still_growing = sum(peak - taken for taken in running.values())
    return not running or (math.inf if available is None else available) >= still_growing + peak
