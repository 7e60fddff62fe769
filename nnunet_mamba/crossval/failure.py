"""Find out why a training failed: the first error in its log, not the ones that follow from it."""

import signal
from collections.abc import Sequence

from nnunet_mamba.training.background_workers import WORKERS_ARE_GONE

_TRACEBACK = "Traceback (most recent call last)"
_WORKER_HINT = (
    "One died without a word, usually for want of memory: try fewer at a time with `jobs`, and see nnunet-mamba doctor."
)
_KILLED = "It was killed (SIGKILL), usually for want of memory: try fewer at a time with `jobs`."
# Lines of a reason in our own words; the others are the log's.
OWN_ADVICE = frozenset({_WORKER_HINT, _KILLED})
_SHOWN_LINES = 12


def reason(lines: Sequence[str], code: int | None) -> str:
    """Return why a training ended.

    nnU-Net's last words are often "One or more background workers are no longer alive"; the worker's own traceback
    stands before them.

    Args:
        lines: of the attempt's log.
        code: exit code, negative for a signal; None if it is not known.

    Returns:
        One sentence, followed by the lines of the log that tell more.
    """
    first = next((number for number, line in enumerate(lines) if _TRACEBACK in line), None)
    if first is None:
        end = [line.rstrip() for line in lines if line.strip()][-_SHOWN_LINES:]
        return "\n".join([_ending(code), *end])
    # The frames are indented, and the error itself is the first line that is not.
    last = next((n for n in range(first + 1, len(lines)) if lines[n][:1].strip()), len(lines) - 1)
    message = [line.rstrip() for line in lines[first : last + 1]]
    hint = [_WORKER_HINT] if WORKERS_ARE_GONE in message[-1] else []
    return "\n".join([message[-1], *hint, *message[-_SHOWN_LINES:-1]])


def _ending(code: int | None) -> str:
    if code is None:
        return "It is not in the queue any more and not complete."
    if code >= 0:
        return f"It ended with exit code {code} and no traceback. Its last lines:"
    name = signal.Signals(-code).name
    if name == "SIGKILL":
        return _KILLED
    return f"It was ended by the signal {name}."
