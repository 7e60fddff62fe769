"""The runs of a cross-validation as Slurm jobs: submitted once, followed by this and by later calls."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nnunet_mamba.crossval.attempt import TrainingOptions
from nnunet_mamba.crossval.runs import LOGS
from nnunet_mamba.crossval.slurm import JobRecord, Resources, slurm_executor, submit_missing, watch
from nnunet_mamba.crossval.status import Status


class SlurmRuns:
    """Runs that Slurm has jobs for.

    Args:
        statuses: of all runs; kept up to date while they are followed.
        jobs: numbers of the jobs by the runs' names.
        npz: as the jobs were submitted.
        logs: folder of the jobs' own logs.
    """

    def __init__(self, statuses: Sequence[Status], jobs: Mapping[str, str], *, npz: bool, logs: Path) -> None:
        self.jobs = jobs
        self._statuses, self._npz, self._logs = statuses, npz, logs

    @property
    def arrays(self) -> list[str]:
        """Numbers of the arrays that the jobs are in, which cancel all of them."""
        return sorted({job.partition("_")[0] for job in self.jobs.values()})

    def follow(self, show: Callable[[], None]) -> None:
        """Keep the statuses up to date until all jobs have left the queue.

        Args:
            show: called after every look at the queue.
        """
        watch(self._statuses, self.jobs, show, npz=self._npz, logs=self._logs)


def submit_runs(statuses: Sequence[Status], options: TrainingOptions, resources: Resources) -> SlurmRuns:
    """Submit the runs that are neither complete nor in the queue.

    Args:
        statuses: of all runs, at least one of them not over.
        options: of all trainings.
        resources: of each job.

    Raises:
        ValueError: this is no Slurm cluster, Slurm refuses the jobs, or a run needs another one that is not over.
        ConnectionError: Slurm does not answer.
    """
    folder = statuses[0].run.results / statuses[0].run.dataset
    executor = slurm_executor(folder / LOGS / "slurm", resources)
    jobs = submit_missing(executor, statuses, options, JobRecord(folder))
    return SlurmRuns(statuses, jobs, npz=options.npz, logs=Path(executor.folder))
