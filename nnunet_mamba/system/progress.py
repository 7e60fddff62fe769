"""How far long work is, on standard error: a bar on a terminal, elsewhere (nohup, pipes, CI) a line now and then."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeVar

from nnunet_mamba.system.durations import duration, rough_duration

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")

FIRST_PAUSE = 10.0  # s
SHORTEST_PAUSE = 30.0  # s
LONGEST_PAUSE = 300.0  # s
# An hour is about thirty lines.
PAUSE_FOR_EACH_SECOND = 0.2


class Pace:
    """Tells when the next line about long work is due.

    The first is due after 10 s, so that short work says nothing. From then on a pause lasts a fifth of the time so far,
    30 s at least and 5 minutes at most.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._began = clock()
        self._due = self._began + FIRST_PAUSE

    @property
    def elapsed(self) -> float:
        """Seconds since the pace was made."""
        return self.clock() - self._began

    def is_due(self) -> bool:
        """Return whether the pause is over."""
        return self.clock() >= self._due

    def begin_pause(self) -> None:
        """Begin the next pause: somebody has just written a line."""
        now = self.clock()
        pause = PAUSE_FOR_EACH_SECOND * (now - self._began)
        self._due = now + min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE)


class PacedLines:
    """Shows a line on standard error where one is due, and leaves out all others.

    A line that cannot be written, as on a full disk, is no reason to end the work.

    Args:
        pace: says when; lines that should share one set of pauses share it. None makes a new one.
    """

    def __init__(self, pace: Pace | None = None) -> None:
        self.pace = pace or Pace()

    def offer(self, text: str) -> None:
        """Show ``text`` and the time so far, if a line is due."""
        if self.pace.is_due():
            self.write(f"{text} ({duration(self.pace.elapsed)} so far)")

    def write(self, text: str) -> None:
        """Show ``text``, due or not."""
        self.pace.begin_pause()
        # A stream that is closed raises a ValueError.
        with suppress(OSError, ValueError):
            # Into a file, standard output waits in a buffer; what was printed before this line belongs before it.
            if sys.stdout is not None:
                sys.stdout.flush()
        with suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.write(f"{text}\n")
                sys.stderr.flush()


class ShownProgress:
    """Shows how far counted work is, from when it is made until it is closed, or while it is entered.

    An update costs a look at the clock. It belongs to one thread: parallel work is counted where its results arrive.

    Args:
        total: units of work.
        description: what is done with them, "writing".
        unit: what is counted, in the singular; "B" are bytes.
        is_shown: False shows nothing.
        stays: whether the bar remains when it is closed, or its lines end with one on the whole.
        pace: when lines are due; None makes one that begins here.
    """

    def __init__(
        self,
        total: int,
        description: str,
        *,
        unit: Literal["case", "image", "iteration", "B"] = "case",
        is_shown: bool = True,
        stays: bool = True,
        pace: Pace | None = None,
    ) -> None:
        self._total = total
        self._description = description
        self._unit = unit
        self._stays = stays
        self._n_done = 0
        self._bar: tqdm[Any] | None = None
        self._lines: PacedLines | None = None
        self._has_spoken = False
        # An environment for ONNX files need not have tqdm, and then lines are shown there, too.
        if is_shown and is_terminal(sys.stderr) and find_spec("tqdm") is not None:
            import tqdm as bars

            self._bar = bars.tqdm(total=total, desc=description, unit=unit, unit_scale=unit == "B", leave=stays)
        elif is_shown:
            self._lines = PacedLines(pace)
            self._clock = self._lines.pace.clock
            self._began = self._clock()
            self._first: tuple[float, int] | None = None

    def __enter__(self) -> "ShownProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield every item, each one unit of work that is done when the next one is asked for."""
        for item in items:
            yield item
            self.update()

    def update(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""
        self._n_done += n
        if self._bar is not None:
            self._bar.update(n)
        elif self._lines is not None:
            if self._first is None:
                self._first = (self._clock(), self._n_done)
            if self._n_done < self._total and self._lines.pace.is_due():
                self._has_spoken = True
                self._lines.write(self._line(self._lines.pace.clock()))

    def close(self) -> None:
        """End the bar, or the lines if there were any; a second call does nothing."""
        if self._bar is not None:
            self._bar.close()
        elif self._lines is not None and self._has_spoken and self._stays:
            ended = "" if self._n_done >= self._total else "ended after "
            self._lines.write(f"{self._description}: {ended}{self._count()}, {duration(self._clock() - self._began)}")
        self._bar = self._lines = None

    def _line(self, now: float) -> str:
        words = [f"{self._description}: {self._count()}", duration(now - self._began)]
        # The first unit waits for what comes once: workers that start, kernels that are compiled.
        if self._first is not None and self._n_done > self._first[1]:
            seconds_each = (now - self._first[0]) / (self._n_done - self._first[1])
            words.append(f"about {rough_duration(seconds_each * (self._total - self._n_done))} left")
        return ", ".join(words)

    def _count(self) -> str:
        if self._unit != "B":
            return f"{self._n_done} of {self._total} {self._unit}s"
        size, name = (2**30, "GiB") if self._total >= 2**30 else (2**20, "MiB")
        return f"{self._n_done / size:.1f} of {self._total / size:.1f} {name}"


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether somebody sees a bar move there; None is no stream at all."""
    try:
        # What replaces a stream need not have all of its methods.
        if not getattr(stream, "isatty", bool)():
            return False
    except ValueError:  # it is closed
        return False
    try:
        # Containers and CI can have terminals without columns, where a bar has no place.
        return stream is not None and os.get_terminal_size(stream.fileno()).columns > 0
    except (OSError, AttributeError):
        return True
