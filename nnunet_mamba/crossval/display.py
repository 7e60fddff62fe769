"""Show how far the runs are: in one live table on a terminal, else in a line for every change and some epochs."""

import heapq
import math
from collections.abc import Sequence
from statistics import mean
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

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
            # Beside the runs, there are two lines above them and two below.
            table = status_table(self._statuses, jobs=self._jobs, n_rows=max(1, self._console.height - 4))
            self._live.update(table, refresh=True)
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


def status_table(statuses: Sequence[Status], *, jobs: int, n_rows: int | None = None) -> Table:
    """Return one row for every run, and below them the time left for all.

    Args:
        statuses: of all runs.
        jobs: trainings at the same time.
        n_rows: that there is room for; of more runs those are shown that are at work, then those that failed or wait.
            None for all.
    """
    n_done = sum(status.state == "done" for status in statuses)
    shown = _most_telling(statuses, n_rows)
    caption = f"{n_done} of {len(statuses)} done"
    if n_hidden := len(statuses) - len(shown):
        caption += f", {n_hidden} not shown"
    if not math.isnan(left := seconds_left(statuses, jobs=jobs)) and left:
        caption += f", about {rough_duration(left)} of training left"
    table = Table(caption=caption, caption_justify="left", show_edge=False)
    several = len({status.run.plans for status in statuses}) > 1
    has_seeds = any(status.run.seed is not None for status in statuses)
    table.add_column("trainer", overflow="fold")
    if has_seeds:
        table.add_column("seed", justify="right")
    table.add_column("fold", justify="right")
    table.add_column("state")
    for heading in ("epoch", "loss", "pseudo Dice", "per epoch", "left"):
        table.add_column(heading, justify="right", no_wrap=True)
    for status in shown:
        trainer = status.run.trainer_of_all_seeds
        name = f"{trainer} ({status.run.plans})" if several else trainer
        seed = ["" if status.run.seed is None else str(status.run.seed)] if has_seeds else []
        style = _STYLES.get(status.state, "dim")
        state = f"[{style}]{status.state}[/{style}]"
        table.add_row(name, *seed, str(status.run.fold), state, *_values(status).values())
    return table


def _most_telling(statuses: Sequence[Status], n_rows: int | None) -> Sequence[Status]:
    """Return as many statuses as there are rows, in their order: done ones are the first to be left out."""
    if n_rows is None or len(statuses) <= n_rows:
        return statuses
    ranks = {"failed": 1, "queued": 2, "waiting": 2, "done": 3}
    first = sorted(range(len(statuses)), key=lambda index: ranks.get(statuses[index].state, 0))[:n_rows]
    return [statuses[index] for index in sorted(first)]


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

    A run without an epoch yet counts as long as others of its trainer, of any seed, or else as long as the average.
    """
    trainings: dict[str, list[float]] = {}
    for status in statuses:
        progress = status.progress
        if progress.n_epochs and not math.isnan(progress.epoch_seconds):
            trainings.setdefault(status.run.model_of_all_seeds, []).append(progress.n_epochs * progress.epoch_seconds)
    if not trainings:
        return math.nan
    average = mean(seconds for known in trainings.values() for seconds in known)
    ends = [0.0] * jobs
    # Running ones come first: they hold their places already.
    for status in sorted(statuses, key=lambda status: status.state in ("waiting", "queued")):
        if not status.is_over:
            left = status.progress.seconds_left
            whole = mean(trainings.get(status.run.model_of_all_seeds, [average]))
            heapq.heapreplace(ends, ends[0] + (whole if math.isnan(left) else left))
    return max(ends)
