"""Show how far the runs are: in one live table on a terminal, else in a line for every change and some epochs."""

import heapq
import math
from collections.abc import Sequence
from statistics import mean
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from nnunet_mamba.crossval.outcome import Score
from nnunet_mamba.crossval.status import Status
from nnunet_mamba.system.durations import duration, rough_duration
from nnunet_mamba.system.progress import Pace

_STYLES = {"done": "green", "failed": "red", "training": "cyan", "validating": "cyan", "starting": "cyan"}


class Display:
    """Shows the statuses on a console while it is entered, anew at each :meth:`show`.

    Args:
        statuses: of all runs.
        jobs: trainings at the same time, for the estimate of the time left.
        console: where to show.
        pace: when lines about epochs are due; None makes one that begins here.
    """

    def __init__(self, statuses: Sequence[Status], *, jobs: int, console: Console, pace: Pace | None = None) -> None:
        self._statuses = statuses
        self._jobs = jobs
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._pace = pace or Pace()
        self._shown: dict[str, tuple[str, int]] = {}

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self) -> None:
        """Show the statuses as they are."""
        if self._live:
            self._live.update(status_table(self._statuses, jobs=self._jobs), refresh=True)
            return
        shows_epochs = self._pace.is_due()
        n_printed = sum(self._print_change(status, shows_epochs=shows_epochs) for status in self._statuses)
        if shows_epochs and n_printed:
            self._pace.begin_pause()

    def _print_change(self, status: Status, *, shows_epochs: bool) -> bool:
        """Print what has changed, if anything has, and return whether it has."""
        name, now = status.run.name, (status.state, status.progress.n_done)
        before = self._shown.get(name, ("waiting", 0))
        if now == before or (now[0] == before[0] and not shows_epochs):
            return False
        self._shown[name] = now
        if status.state == "training":
            text = ", ".join(f"{label} {value}" for label, value in _values(status).items() if value)
        else:
            text = status.state
        self._console.print(f"{name}: {text}", highlight=False, soft_wrap=True)
        return True


def status_table(statuses: Sequence[Status], *, jobs: int) -> Table:
    """Return one row for every run, and below them the time left for all."""
    n_done = sum(status.state == "done" for status in statuses)
    caption = f"{n_done} of {len(statuses)} done"
    if not math.isnan(left := seconds_left(statuses, jobs=jobs)) and left:
        caption += f", about {rough_duration(left)} of training left"
    table = Table(caption=caption, caption_justify="left", show_edge=False)
    several = len({status.run.plans for status in statuses}) > 1
    table.add_column("trainer", overflow="fold")
    table.add_column("fold", justify="right")
    table.add_column("state")
    for heading in ("epoch", "loss", "pseudo Dice", "per epoch", "left"):
        table.add_column(heading, justify="right", no_wrap=True)
    for status in statuses:
        name = f"{status.run.trainer} ({status.run.plans})" if several else status.run.trainer
        style = _STYLES.get(status.state, "dim")
        state = f"[{style}]{status.state}[/{style}]"
        table.add_row(name, str(status.run.fold), state, *_values(status).values())
    return table


def _values(status: Status) -> dict[str, str]:
    progress = status.progress
    of_all = "" if progress.n_epochs is None else f"/{progress.n_epochs}"
    is_running = status.state in ("starting", "training")
    return {
        "epoch": f"{progress.n_done}{of_all}" if progress.n_done else "",
        "loss": _number(progress.train_loss),
        "pseudo Dice": _number(progress.pseudo_dice),
        "per epoch": "" if math.isnan(progress.epoch_seconds) else duration(progress.epoch_seconds),
        "left": rough_duration(progress.seconds_left) if is_running and not math.isnan(progress.seconds_left) else "",
    }


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def seconds_left(statuses: Sequence[Status], *, jobs: int) -> float:
    """Estimate the time until all runs have trained, validations not counted; nan while nothing is known.

    A run without an epoch yet counts as long as others of its trainer, or else as long as the average.
    """
    trainings: dict[str, list[float]] = {}
    for status in statuses:
        progress = status.progress
        if progress.n_epochs and not math.isnan(progress.epoch_seconds):
            trainings.setdefault(status.run.model, []).append(progress.n_epochs * progress.epoch_seconds)
    if not trainings:
        return math.nan
    average = mean(seconds for known in trainings.values() for seconds in known)
    ends = [0.0] * jobs
    # Running ones come first: they hold their places already.
    for status in sorted(statuses, key=lambda status: status.state in ("waiting", "queued")):
        if not status.is_over:
            left = status.progress.seconds_left
            whole = mean(trainings.get(status.run.model, [average]))
            heapq.heapreplace(ends, ends[0] + (whole if math.isnan(left) else left))
    return max(ends)


def score_table(scores: Sequence[Score], folds: Sequence[int]) -> Table:
    """Return the Dice of every fold and trainer, their mean and standard deviation."""
    table = Table(title="Dice of the final validations", title_justify="left", show_edge=False)
    table.add_column("trainer", overflow="fold")
    for fold in folds:
        table.add_column(f"fold {fold}", justify="right")
    table.add_column("mean ± SD", justify="right", no_wrap=True)
    for score in scores:
        dice = [_number(score.dice.get(fold, math.nan)) or "–" for fold in folds]
        deviation = "" if math.isnan(score.deviation) else f" ± {score.deviation:.3f}"
        table.add_row(score.model, *dice, f"{_number(score.mean) or '–'}{deviation}")
    return table
