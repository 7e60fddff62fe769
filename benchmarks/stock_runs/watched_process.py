"""Processes in sessions of their own, and what they and their descendants use. Linux only: it is read from /proc."""

import bisect
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.crossval.capacity import memory_of_sessions

SECONDS_BETWEEN_LOOKS = 1.0
_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 2**20
# What stands in /proc/PID/stat after the command: the session, and the ticks of the process and of its dead children.
_SESSION, _TIMES = 3, slice(11, 15)


@dataclass(frozen=True)
class Look:
    """What all processes of a session use at one time.

    Args:
        moment: seconds since 1970.
        processor_seconds: so far.
        memory: MiB; a page that several processes share counts once.
        first_process_peak: MiB, the most that the first process has held so far.
    """

    moment: float
    processor_seconds: float
    memory: float
    first_process_peak: float


def run(command: Sequence[str], environment: Mapping[str, str], *, output: Path) -> None:
    """Run a command in a session of its own to its end; nothing is measured, which would take processor time, too.

    Args:
        command: a program and its arguments.
        environment: all of it.
        output: file that gets what the command prints.

    Raises:
        RuntimeError: the command failed; the text has its last lines.
    """
    with _session(command, environment, output) as process:
        process.wait()


def watch(
    command: Sequence[str], environment: Mapping[str, str], *, output: Path, is_done: Callable[[], bool]
) -> list[Look]:
    """Run a command in a session of its own until it is done, and end whatever is left of it.

    Args:
        command: a program and its arguments.
        environment: all of it.
        output: file that gets what the command prints.
        is_done: is asked at every look; the command may also end by itself.

    Raises:
        RuntimeError: the command failed; the text has its last lines.
    """
    looks: list[Look] = []
    with _session(command, environment, output) as process:
        while process.poll() is None and not is_done():
            looks += look(process.pid)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    return looks


@contextmanager
def _session(
    command: Sequence[str], environment: Mapping[str, str], output: Path
) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a command, and end what is left of it after the block; raise if it had failed by itself."""
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command, env=environment, cwd=output.parent, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            yield process
        finally:
            status = process.poll()
            # Its workers may outlive a process that ended by itself.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status:
        lines = output.read_text(encoding="utf-8", errors="replace").splitlines()[-30:]
        raise RuntimeError(f"{' '.join(command)} ended with {status}:\n" + "\n".join(lines))


def look(session: int) -> list[Look]:
    """Return what the processes of a session use now; empty if its first process is gone."""
    ticks, moment = 0, time.time()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            # The command before the last bracket may hold spaces.
            fields = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[_SESSION]) == session:
            ticks += sum(map(int, fields[_TIMES]))
    memory = memory_of_sessions({session}).get(session)
    try:
        found = re.search(r"^VmHWM:\s+(\d+)", Path(f"/proc/{session}/status").read_text(), re.MULTILINE)
    except OSError:
        return []
    if memory is None or found is None:
        return []
    return [Look(moment, ticks / _TICKS, memory / _MIB, int(found[1]) / 1024)]


def processor_seconds(looks: Sequence[Look], start: float, end: float) -> float:
    """Return the processor time between two moments, in seconds; between two looks it grows evenly."""
    return _at(looks, end) - _at(looks, start)


def _at(looks: Sequence[Look], moment: float) -> float:
    after = bisect.bisect_left([one.moment for one in looks], moment)
    if after in (0, len(looks)):
        return looks[min(after, len(looks) - 1)].processor_seconds
    left, right = looks[after - 1], looks[after]
    share = (moment - left.moment) / (right.moment - left.moment)
    return left.processor_seconds + share * (right.processor_seconds - left.processor_seconds)
