"""How far each run of a cross-validation is, for what starts the runs and what shows them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from nnunet_mamba.crossval.attempt import last_attempt
from nnunet_mamba.crossval.failure import reason
from nnunet_mamba.crossval.progress import Progress, ProgressReader
from nnunet_mamba.crossval.runs import Run

State = Literal["waiting", "queued", "starting", "training", "validating", "done", "failed"]


@dataclass(kw_only=True)
class Status:
    """What is known of a run at the moment.

    Args:
        run: the run.
        state: of it.
        progress: of its training.
        reason: why it failed.
        after: runs that must be over before it begins.
    """

    run: Run
    state: State = "waiting"
    progress: Progress = field(default_factory=Progress)
    reason: str = ""
    after: Sequence["Status"] = ()

    def __post_init__(self) -> None:
        self._reader = ProgressReader(self.run.folder)
        self._n_before = 0
        self._newest_label_map_before = 0.0
        self.only_validates = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed")

    @property
    def may_begin(self) -> bool:
        """Whether nobody works on it and what it needs is there, or will never be."""
        return self.state == "waiting" and all(status.is_over for status in self.after)

    @property
    def has_shown_its_memory(self) -> bool:
        """Whether it has trained an epoch since it was started, or validated a case if that is all it does."""
        if self.only_validates:
            return self.state == "done" or self._newest_label_map() > self._newest_label_map_before
        return self.progress.n_done > self._n_before or self.state == "validating"

    def refresh(self) -> None:
        """Read how far it is; for those who look on, a file that cannot be read at the moment is no failure."""
        with suppress(OSError):
            self.progress = self._reader.read()

    def started(self) -> None:
        """Note that a process works on it."""
        self.refresh()
        self.state, self._n_before = "starting", self.progress.n_done
        with suppress(OSError):
            self.only_validates = self.run.is_trained
            self._newest_label_map_before = self._newest_label_map()

    def follow(self) -> None:
        """Read how far a run is that a process works on."""
        self.refresh()
        # Continued from a checkpoint, it trains epochs again that were done before.
        self._n_before = min(self._n_before, self.progress.n_done)
        with suppress(OSError):
            if self.run.is_trained:
                self.state = "validating"
            elif self.progress.n_done > self._n_before:
                self.state = "training"

    def ended(self, code: int | None, *, npz: bool) -> None:
        """Note how it ended: complete files and nothing else mean success."""
        self.refresh()
        try:
            if code in (0, None) and self.run.phase(npz=npz) == "complete":
                self.state = "done"
            else:
                self.state, self.reason = "failed", reason(last_attempt(self.run.log), code)
        except OSError as error:
            self.state, self.reason = "failed", f"It ended, and its files cannot be read: {error}"

    def _newest_label_map(self) -> float:
        files = self.run.summary.parent.glob("*")
        return max((file.stat().st_mtime for file in files if file != self.run.summary), default=0.0)


def statuses_of(runs: Sequence[Run], *, npz: bool, teachers: Mapping[str, Sequence[str]] | None = None) -> list[Status]:
    """Return how far runs are; the complete ones are done.

    Args:
        runs: all of them.
        npz: complete means with probabilities.
        teachers: for trainers that learn from another one, who that is; a run waits for theirs of the same fold.
    """
    statuses = [Status(run=run) for run in runs]
    for status in statuses:
        status.refresh()
        if status.run.phase(npz=npz) == "complete":
            status.state = "done"
        names = (teachers or {}).get(status.run.trainer, ())
        status.after = [other for other in statuses if other.run.trainer in names and other.run.fold == status.run.fold]
    return statuses
