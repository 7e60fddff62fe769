"""The work of a Slurm job: train one run, end in order when told to, and continue when the job is queued again."""

import time
from typing import TYPE_CHECKING, Any

from nnunet_mamba.crossval.attempt import Attempt, TrainingOptions, TrainingShare
from nnunet_mamba.crossval.capacity import cores_of_this_job
from nnunet_mamba.crossval.runs import Run
from nnunet_mamba.results.checkpoints import checkpoint_to_continue

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission

MOST_FRUITLESS_STARTS = 3
# Slurm's KillWait, after which a job that was told to end is killed, is 30 s by default.
SECONDS_BEFORE_RESTART = 90
SECONDS_BETWEEN_LOOKS = 1.0
_TERMINATED = -15


class TrainingJob:
    """Trains one run; submitit pickles it, calls it, and asks it for a checkpoint when the job must end.

    Args:
        run: to train.
        options: of the training.
        n_fruitless: starts in a row that wrote no checkpoint to continue from.
    """

    def __init__(self, run: Run, options: TrainingOptions, *, n_fruitless: int = 0) -> None:
        self.run = run
        self.options = options
        self.n_fruitless = n_fruitless
        self._attempt: Attempt | None = None
        self._checkpoint_before = 0.0

    def __call__(self) -> None:
        """Train until the run is complete.

        Raises:
            RuntimeError: the training failed; the log of the run says why.
        """
        self._checkpoint_before = self._checkpoint_time()
        while self.run.phase(npz=self.options.npz) != "complete":
            self._attempt = Attempt.start(self.run, self.options, TrainingShare(cores=cores_of_this_job()))
            code = self._wait()
            if code == _TERMINATED:
                # Slurm tells all processes to end before it kills them, so wait for that. If it does not come, start
                # the training again.
                time.sleep(SECONDS_BEFORE_RESTART)
            elif code or self.run.phase(npz=self.options.npz) != "complete":
                raise RuntimeError(f"The training ended with exit code {code} and is not complete; see {self.run.log}")

    def _checkpoint_time(self) -> float:
        # A newer best checkpoint is of no use: with the latest in place, nnU-Net goes back to that.
        checkpoint = checkpoint_to_continue(self.run.folder)
        return 0.0 if checkpoint is None else checkpoint.stat().st_mtime

    def _wait(self) -> int:
        assert self._attempt is not None
        # In short waits: submitit calls checkpoint() in the middle of one, and that must be able to wait, too.
        while (code := self._attempt.poll()) is None:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return code

    def checkpoint(self) -> "DelayedSubmission | None":
        """End the training and return what continues it; None if it has got nowhere several times in a row."""
        from submitit.core.utils import DelayedSubmission

        if self._attempt is not None:
            self._attempt.stop()
        is_fruitless = self._checkpoint_time() <= self._checkpoint_before
        n_fruitless = self.n_fruitless + 1 if is_fruitless else 0
        if n_fruitless >= MOST_FRUITLESS_STARTS:
            with self.run.log.open("a", encoding="utf-8") as log:
                log.write(
                    f"Not started again: {n_fruitless} jobs in a row ended before the training wrote a checkpoint to "
                    "continue from. Give each more time with --slurm-time.\n"
                )
            return None
        return DelayedSubmission(TrainingJob(self.run, self.options, n_fruitless=n_fruitless))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the running process out."""
        return {**self.__dict__, "_attempt": None}
