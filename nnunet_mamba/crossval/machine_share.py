"""The part of this machine that the trainings of a cross-validation may use."""

from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_mamba.crossval.capacity import cores_of_this_job, default_trainings, visible_gpus
from nnunet_mamba.system.counts import how_many


@dataclass(frozen=True, kw_only=True)
class MachineShare:
    """What all trainings together may use.

    Args:
        jobs: trainings at the same time, at most.
        cores: number of them.
        gpus: names of the GPUs, none on the CPU.
    """

    jobs: int
    cores: int
    gpus: Sequence[str]

    def __str__(self) -> str:
        """Return the share as the user reads it."""
        cores = how_many(self.cores, "core")
        return f"{how_many(len(self.gpus), 'GPU')} and {cores}" if self.gpus else cores


def machine_share(n_open: int, *, n_gpus: int, jobs: int | None) -> MachineShare:
    """Return how many trainings to run on this machine, and with which cores and GPUs.

    Args:
        n_open: trainings to do, at least one.
        n_gpus: that torch sees and that may train.
        jobs: that the user asks for; None for as many as the machine has GPUs or pairs of cores.
    """
    cores, gpus = cores_of_this_job(), visible_gpus(n_gpus)
    jobs = jobs or default_trainings(n_open, cores=cores, gpus=gpus)
    return MachineShare(jobs=min(jobs, n_open), cores=cores, gpus=gpus)
