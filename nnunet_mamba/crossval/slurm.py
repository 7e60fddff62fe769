"""Submit trainings as one Slurm job array through submitit, and follow it."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_mamba.crossval.runs import LOGS
from nnunet_mamba.crossval.slurm_job import TrainingJob
from nnunet_mamba.crossval.status import Status
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.json_files import read_json_object

if TYPE_CHECKING:
    from submitit import Executor

    from nnunet_mamba.crossval.attempt import TrainingOptions

# A training may need many time slots; its job stops one that gets nowhere.
_MOST_TIMEOUTS = 1_000_000
# A disk of the network may show the old content of a folder for a minute.
SECONDS_UNTIL_FILES_SHOW = 90
_JOB = re.compile(r"[0-9]+(?:_[0-9]+)?")
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d)")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What each job asks Slurm for; None leaves it to the cluster.

    Args:
        minutes: time of a slot; a training that needs more continues in another.
        partition: name.
        gpus: of each job.
        cpus: of each job.
        memory: as Slurm writes it, such as "16G".
        setup: shell commands before the training, such as "module load cuda".
        options: any other option of sbatch, without its dashes; "" for one without a value.
        parallel: jobs at the same time, at most.
    """

    minutes: int
    partition: str | None = None
    gpus: int = 0
    cpus: int | None = None
    memory: str | None = None
    setup: Sequence[str] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    parallel: int | None = None


def parse_minutes(text: str) -> int:
    """Return the minutes of a time such as "90", "12:00:00" or "2-00:00:00", rounded up.

    Raises:
        ValueError: it is no such time.
    """
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if (found := _TIME.fullmatch(text)) is None or not re.search("[1-9]", text):
        raise ValueError(f"`slurm_time` {text!r} is no time, expected minutes, HH:MM:SS or D-HH:MM:SS")
    days, hours, minutes, seconds = (int(found[part] or 0) for part in ("days", "hours", "minutes", "seconds"))
    return max(1, (days * 24 + hours) * 60 + minutes + (seconds > 0))


def parse_options(texts: Sequence[str]) -> dict[str, str]:
    """Return options of sbatch given as KEY=VALUE, or KEY alone.

    Raises:
        ValueError: there is no key.
    """
    options = {}
    for text in texts:
        key, _, value = text.lstrip("-").partition("=")
        if not key:
            raise ValueError(f"`slurm_option` {text!r} names no option, expected KEY=VALUE such as account=imaging")
        options[key] = value
    return options


def slurm_executor(folder: Path, resources: Resources) -> "Executor":
    """Return submitit's executor for this cluster.

    Raises:
        ValueError: submitit is not installed, or this is no Slurm cluster.
    """
    try:
        import submitit
    except ImportError as error:
        raise ValueError(
            "`executor='slurm'` needs submitit, which is not installed: pip install 'nnunet-mamba[slurm]'"
        ) from error
    try:
        executor = submitit.SlurmExecutor(folder, max_num_timeout=_MOST_TIMEOUTS)
    except RuntimeError as error:
        raise ValueError(
            "There is no srun on the PATH: run this on a machine that submits to Slurm, or without `executor='slurm'`"
        ) from error
    asked = {
        "time": resources.minutes,
        "partition": resources.partition,
        "gpus_per_node": resources.gpus or None,
        "cpus_per_task": resources.cpus,
        "mem": resources.memory,
        "setup": list(resources.setup) or None,
        "array_parallelism": resources.parallel,
        # srun has not taken over the number of CPUs from sbatch since Slurm 22.05.
        "srun_args": [f"--cpus-per-task={resources.cpus}"] if resources.cpus else None,
        "additional_parameters": {
            "requeue": True,
            **{key: value if value else True for key, value in resources.options.items()},
        },
    }
    given = {key: value for key, value in asked.items() if value is not None}
    executor.update_parameters(job_name="nnunet-mamba", **given)
    return executor


def submit(executor: "Executor", statuses: Sequence[Status], options: "TrainingOptions") -> dict[str, str]:
    """Submit one array of jobs.

    Args:
        executor: submitit's.
        statuses: of the runs to submit.
        options: of all trainings.

    Returns:
        Job numbers by the runs' names.

    Raises:
        ValueError: Slurm refuses; says why.
    """
    try:
        jobs = executor.submit_array([TrainingJob(status.run, options) for status in statuses])
    except RuntimeError as error:
        raise ValueError(f"Slurm takes no such jobs: {error}") from error
    return {status.run.name: job.job_id for status, job in zip(statuses, jobs, strict=True)}


class JobRecord:
    """Remembers which job works on which run, for later calls of the command.

    Args:
        folder: ``$nnUNet_results/DatasetXXX_Name``.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / LOGS / "slurm_jobs.json"

    def read(self) -> dict[str, str]:
        """Return job numbers by the runs' names."""
        if not self._file.exists():
            return {}
        jobs = read_json_object(self._file)
        for name, job in jobs.items():
            if not isinstance(job, str) or not _JOB.fullmatch(job):
                raise ValueError(
                    f"{self._file} has the job {job!r} for {name}, expected a number of Slurm's; look for jobs that "
                    "run with squeue --me, and delete the file"
                )
        return jobs

    def add(self, jobs: Mapping[str, str]) -> None:
        """Remember jobs; a run that has a job already gets the newer one."""
        content = {**self.read(), **jobs}
        with replacing(self._file) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def queued_jobs(jobs: Sequence[str]) -> dict[str, str]:
    """Return the states of those jobs that Slurm still has in its queue.

    Raises:
        OSError: there is no squeue.
        ConnectionError: Slurm does not answer.
    """
    arrays = sorted({job.partition("_")[0] for job in jobs})
    command = ["squeue", "--noheader", "--array", "--format=%i %T", f"--jobs={','.join(arrays)}"]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if process.returncode:
        # Slurm forgets jobs some minutes after their end.
        if "Invalid job id" in process.stderr:
            return {}
        raise ConnectionError(f"Slurm does not answer: {process.stderr.strip()}")
    states = dict(line.split(maxsplit=1) for line in process.stdout.splitlines() if line.strip())
    return {job: states[job].strip() for job in jobs if job in states}


def submit_missing(
    executor: "Executor",
    statuses: Sequence[Status],
    options: "TrainingOptions",
    record: JobRecord,
    *,
    queue: Callable[[Sequence[str]], Mapping[str, str]] = queued_jobs,
) -> dict[str, str]:
    """Submit the runs that are neither done nor in the queue since an earlier call.

    Args:
        executor: submitit's.
        statuses: of all runs.
        options: of all trainings.
        record: of the jobs of earlier calls; gets the new ones.
        queue: tells the states of the jobs that are still there.

    Returns:
        Job numbers of all runs that are not done, by the runs' names.

    Raises:
        ValueError: Slurm refuses the jobs, or a run needs another one that is not over.
        ConnectionError: Slurm does not answer.
    """
    undone = [status for status in statuses if not status.is_over]
    for status in undone:
        if teachers := sorted({needed.run.trainer for needed in status.after if not needed.is_over}):
            raise ValueError(
                f"{status.run.trainer} needs the trainings of {' and '.join(teachers)}, which are not complete, and "
                "the jobs of an array do not wait for each other. Submit those alone first; when they are complete, "
                "submit this one"
            )
    known = {name: job for name, job in record.read().items() if name in {status.run.name for status in undone}}
    alive = queue(list(known.values())) if known else {}
    jobs = {name: job for name, job in known.items() if job in alive}
    if missing := [status for status in undone if status.run.name not in jobs]:
        submitted = submit(executor, missing, options)
        record.add(submitted)
        jobs.update(submitted)
    return jobs


def watch(
    statuses: Sequence[Status],
    jobs: Mapping[str, str],
    show: Callable[[], None],
    *,
    npz: bool,
    logs: Path,
    queue: Callable[[Sequence[str]], Mapping[str, str]] = queued_jobs,
    poll_seconds: float = 5.0,
) -> None:
    """Follow jobs until all have left the queue.

    Args:
        statuses: kept up to date; those without a job are left alone.
        jobs: job numbers by the runs' names.
        show: called after every look.
        npz: as the jobs were submitted.
        logs: folder of the jobs' own logs.
        queue: tells the states of the jobs that are still there.
        poll_seconds: between two looks; a controller that does not answer is asked again.
    """
    left: dict[str, float] = {}
    watched = [status for status in statuses if status.run.name in jobs and not status.is_over]
    while watched:
        try:
            states = queue([jobs[status.run.name] for status in watched])
        except ConnectionError:
            time.sleep(poll_seconds)
            continue
        for status in watched:
            job = jobs[status.run.name]
            state = states.get(job)
            if state is None:
                now = time.monotonic()
                is_recent = now - left.setdefault(job, now) < SECONDS_UNTIL_FILES_SHOW
                if is_recent and status.run.phase(npz=npz) != "complete":
                    continue
                status.ended(None, npz=npz)
                if status.state == "failed":
                    status.reason += f"\nThe job's own log: {logs / f'{job}_0_log.err'}"
            elif state != "RUNNING":
                status.state = "queued"
                status.refresh()
            elif status.state in ("waiting", "queued"):
                status.started()
            else:
                status.follow()
        watched = [status for status in watched if not status.is_over]
        show()
        if watched:
            time.sleep(poll_seconds)
