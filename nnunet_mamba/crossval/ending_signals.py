"""Treat the signals that end a process like Ctrl-C."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_signals_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block, too, when the system or a closed terminal ends this process.

    What runs in the block can then stop what it has started. A signal that the caller lets this process ignore, as
    nohup does, stays ignored.
    """
    heard = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
