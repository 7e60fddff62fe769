"""One attempt at a run: a training in a process of its own, with its share of the machine and a log."""

import os
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from nnunet_mamba.crossval.gpu_use import GPU_USE_VARIABLE
from nnunet_mamba.crossval.runs import Run
from nnunet_mamba.results.checkpoints import CONTINUED_FROM, SPARE
from nnunet_mamba.system.folder_lock import only_writer
from nnunet_mamba.system.worker_counts import AUGMENTING_VARIABLE, EXPORTING_VARIABLE, fitting_worker_counts

ATTEMPT = "=== attempt "


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What all runs of a cross-validation have in common.

    Args:
        device: "cpu" or "cuda", nnU-Net's ``-device``.
        npz: keep the probabilities of the validation cases.
        program: takes the arguments of ``nnUNetv2_train``.
        variables: of the environment; each replaces the one that is there.
    """

    device: str
    npz: bool = False
    program: tuple[str, ...] = (sys.executable, "-m", "nnunet_mamba.crossval.training_process")
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingShare:
    """What one training may use of the machine.

    Args:
        cores: at least one.
        gpu: as CUDA_VISIBLE_DEVICES names it; None for whatever is visible.
        gpu_use: file in which the training is to say what it takes of the GPU; None if nobody asks.
    """

    cores: int
    gpu: str | None = None
    gpu_use: Path | None = None


def arguments(run: Run, options: TrainingOptions) -> list[str]:
    """Return the arguments of ``nnUNetv2_train`` that begin a run, continue it, or validate it."""
    phase = run.phase(npz=options.npz)
    resume = {"new": [], "begun": ["--c"], "trained": ["--val"], "complete": ["--val"]}[phase]
    npz = ["--npz"] if options.npz else []
    plans = ["-tr", run.trainer, "-p", run.plans, "-device", options.device]
    return [run.dataset, run.configuration, str(run.fold), *plans, *npz, *resume]


def environment(options: TrainingOptions, share: TrainingShare) -> dict[str, str]:
    """Return the environment of a training; the user's own numbers of nnU-Net's processes stay."""
    workers = fitting_worker_counts(share.cores, on_gpu=options.device == "cuda")
    variables = {
        AUGMENTING_VARIABLE: str(workers.augmenting),
        EXPORTING_VARIABLE: str(workers.exporting),
        # Threads that spin while they wait take the cores of the other trainings.
        "OMP_WAIT_POLICY": "passive",
        **os.environ,
        **options.variables,
        "OMP_NUM_THREADS": str(share.cores),
        "NNUNET_MAMBA_CROSSVAL_PARENT": str(os.getpid()),
        "PYTHONUNBUFFERED": "1",
        # Do not import modules of the working directory first, as an installed command does not.
        "PYTHONSAFEPATH": "1",
    }
    if share.gpu is not None:
        variables["CUDA_VISIBLE_DEVICES"] = share.gpu
    if share.gpu_use is not None:
        variables[GPU_USE_VARIABLE] = str(share.gpu_use)
    return variables


class Attempt:
    """A training that runs; begin with :meth:`start`, end with :meth:`stop`.

    Args:
        run: what is trained.
        process: leads a session of its own, so that its workers are found and end with it.
        held: closed when the training is over.
    """

    def __init__(self, run: Run, process: "subprocess.Popen[bytes]", held: ExitStack) -> None:
        self.run = run
        self.process = process
        self._held = held

    @classmethod
    def start(cls, run: Run, options: TrainingOptions, share: TrainingShare) -> "Attempt":
        """Begin or continue a run.

        Raises:
            FileExistsError: another process trains it.
            OSError: the log cannot be written or the program does not start.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(only_writer(run.folder))
            except FileExistsError as error:
                raise FileExistsError(
                    f"Another nnunet-mamba crossval trains {run.name} already; wait for it or stop it"
                ) from error
            return cls(run, _start_process(run, options, share), stack.pop_all())

    @property
    def session(self) -> int:
        """Number of the session that the training and all its workers are in."""
        return self.process.pid

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, once the training is over; None before."""
        code = self.process.poll()
        if code is not None:
            self._clear_away()
        return code

    def stop(self, grace: float = 10.0) -> None:
        """End the training and its workers and wait until they are gone.

        Args:
            grace: seconds until those that have not ended are killed.
        """
        _signal_group(self.session, signal.SIGTERM)
        try:
            self.process.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            _signal_group(self.session, signal.SIGKILL)
            # A signal's handler may call this in the middle of poll(): a wait without a limit could wait for itself.
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=grace)
        self._clear_away()

    def _clear_away(self) -> None:
        # Workers of a main process that was killed wait for it forever.
        _signal_group(self.session, signal.SIGKILL)
        self._held.close()


def _start_process(run: Run, options: TrainingOptions, share: TrainingShare) -> "subprocess.Popen[bytes]":
    aside = set_damaged_checkpoints_aside(run.folder)
    words = arguments(run, options)
    run.log.parent.mkdir(parents=True, exist_ok=True)
    with run.log.open("a", encoding="utf-8") as log:
        log.write(f"{ATTEMPT}{time.strftime('%Y-%m-%d %H:%M:%S')}: {shlex.join(['nnUNetv2_train', *words])}\n")
        for path in aside:
            log.write(f"Part of a checkpoint, left by a training that was killed, is kept as {path}\n")
        log.flush()
        return subprocess.Popen(
            [*options.program, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(options, share),
            start_new_session=True,
        )


def set_damaged_checkpoints_aside(fold: Path) -> list[Path]:
    """Rename the checkpoints of a fold that are not whole, so that nnU-Net continues from the one before.

    nnU-Net's own trainers write checkpoints in place, so a training that was killed meanwhile leaves part of one.
    Ours keep a spare, which they find themselves.

    Args:
        fold: folder of a fold that nobody is training.

    Returns:
        The files under their new names.
    """
    aside: list[Path] = []
    if (fold / SPARE).exists():
        return aside
    for name in CONTINUED_FROM:
        checkpoint = fold / name
        # torch writes zip files, whose directory comes last.
        if checkpoint.exists() and not zipfile.is_zipfile(checkpoint):
            aside.append(checkpoint.replace(checkpoint.with_suffix(".pth.damaged")))
    return aside


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # macOS answers "not permitted" where all members have ended.
        return


def last_attempt(log: Path) -> list[str]:
    """Return the lines that the last attempt of a run printed, with the one that names its command."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    begins = [number for number, line in enumerate(lines) if line.startswith(ATTEMPT)]
    return lines[begins[-1] :] if begins else lines
