"""Run trainings on this machine, as many at a time as its cores, GPUs and memory allow."""

import time
from collections.abc import Callable, Sequence

from nnunet_mamba.crossval.attempt import Attempt, TrainingOptions, TrainingShare
from nnunet_mamba.crossval.capacity import MemoryGuard
from nnunet_mamba.crossval.gpu_sharing import GpuSharing
from nnunet_mamba.crossval.status import Status

_POLLS_PER_MEASUREMENT = 10


class LocalRuns:
    """Runs trainings side by side.

    Args:
        statuses: of all runs, kept up to date; those that are done are not run.
        options: of all trainings.
        jobs: trainings at the same time, at most.
        cores: for all of them together.
        gpus: names of the GPUs, none on the CPU; more jobs than GPUs share them as far as their memory allows.
        tell: is given a sentence when a training waits for the memory of a GPU.
    """

    def __init__(
        self,
        statuses: Sequence[Status],
        options: TrainingOptions,
        *,
        jobs: int,
        cores: int,
        gpus: Sequence[str] = (),
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._statuses = statuses
        self._options = options
        self._jobs = jobs
        self._cores = max(1, cores // jobs)
        self._gpus = gpus
        self._sharing = GpuSharing(gpus, tell) if gpus and jobs > len(gpus) else None
        self._running: list[tuple[Status, Attempt, TrainingShare]] = []
        self._started: list[Status] = []
        self._memory = MemoryGuard()
        self._n_polls = 0

    def run(self, show: Callable[[], None], *, poll_seconds: float = 1.0) -> None:
        """Run all; however this ends, no training is left running.

        Args:
            show: called after every look at the trainings.
            poll_seconds: between two looks.
        """
        try:
            while self.advance():
                show()
                time.sleep(poll_seconds)
            show()
        finally:
            for _, attempt, _ in self._running:
                attempt.stop()

    def advance(self) -> bool:
        """Look at the running trainings and start the next if there is room; return whether anything is left to do."""
        for entry in list(self._running):
            status, attempt, _ = entry
            code = attempt.poll()
            if code is None:
                status.follow()
            else:
                self._running.remove(entry)
                status.ended(code, npz=self._options.npz)
        waiting = [status for status in self._statuses if status.may_begin]
        wants_more = bool(waiting) and len(self._running) < self._jobs
        if wants_more or self._n_polls % _POLLS_PER_MEASUREMENT == 0:
            self._memory.measure(self._sessions())
            if self._sharing is not None:
                self._sharing.measure(self._shares())
        self._n_polls += 1
        if wants_more and self._may_start(waiting[0]):
            self._start_if_a_gpu_has_room(waiting[0])
        return not all(status.is_over for status in self._statuses)

    def _may_start(self, following: Status) -> bool:
        if not self._running:
            return True
        # The memory of a training is known once one has trained an epoch, that of a validation once one has validated
        # a case. Start one run of an unknown kind when all that are running have shown their memory.
        only_validates = following.run.is_trained
        alike = [status for status in self._started if status.only_validates == only_validates]
        is_known = any(status.has_shown_its_memory for status in alike)
        all_known = all(status.has_shown_its_memory for status, _, _ in self._running)
        return (is_known or all_known) and self._memory.has_room(self._sessions())

    def _sessions(self) -> list[int]:
        return [attempt.session for _, attempt, _ in self._running]

    def _shares(self) -> list[TrainingShare]:
        return [share for _, _, share in self._running]

    def _start_if_a_gpu_has_room(self, status: Status) -> None:
        if self._sharing is None:
            self._start(status, TrainingShare(cores=self._cores, gpu=self._unused_gpu()))
        elif (gpu := self._sharing.gpu_with_room(self._shares())) is not None:
            self._start(status, TrainingShare(cores=self._cores, gpu=gpu, gpu_use=self._sharing.new_file()))

    def _start(self, status: Status, share: TrainingShare) -> None:
        status.started()
        self._started.append(status)
        try:
            attempt = Attempt.start(status.run, self._options, share)
        except OSError as error:
            status.state, status.reason = "failed", str(error)
        else:
            self._running.append((status, attempt, share))

    def _unused_gpu(self) -> str | None:
        """Return a GPU that no training uses, None where all are on the CPU; there are as many GPUs as jobs."""
        used = [share.gpu for share in self._shares()]
        return min(self._gpus, key=used.count, default=None)
