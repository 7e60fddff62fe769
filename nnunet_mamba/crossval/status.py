"""What is known of each run of a cross-validation, for those who start them and those who show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nnunet_mamba.crossval.failure import reason
from nnunet_mamba.crossval.progress import Progress, ProgressReader
from nnunet_mamba.crossval.runs import Run
from nnunet_mamba.crossval.training import last_attempt

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

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed")

    @property
    def may_begin(self) -> bool:
        """Whether nobody works on it and what it needs is there, or will never be."""
        return self.state == "waiting" and all(status.is_over for status in self.after)

    @property
    def has_trained_an_epoch(self) -> bool:
        """Whether it has finished an epoch since it was started."""
        return self.progress.n_done > self._n_before or self.state == "validating"

    def refresh(self) -> None:
        """Read how far it is."""
        self.progress = self._reader.read()

    def started(self) -> None:
        """Note that a process works on it."""
        self.refresh()
        self.state, self._n_before = "starting", self.progress.n_done

    def follow(self) -> None:
        """Read how far a run is that a process works on."""
        self.refresh()
        if self.run.stage() in ("trained", "complete"):
            self.state = "validating"
        elif self.progress.n_done > self._n_before:
            self.state = "training"

    def ended(self, code: int | None, *, npz: bool) -> None:
        """Note how it ended: complete files and nothing else mean success."""
        self.refresh()
        if code in (0, None) and self.run.stage(npz=npz) == "complete":
            self.state = "done"
        else:
            self.state, self.reason = "failed", reason(last_attempt(self.run.log), code)


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
        if status.run.stage(npz=npz) == "complete":
            status.state = "done"
        names = (teachers or {}).get(status.run.trainer, ())
        status.after = [other for other in statuses if other.run.trainer in names and other.run.fold == status.run.fold]
    return statuses
