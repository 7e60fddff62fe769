"""Running each part in a process of its own: one that hangs or crashes ends neither the others nor the table."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpu_checks.checks import Setting
from gpu_checks.part_process import RESTART_STATUS
from gpu_checks.rows import CRASHED, SKIPPED, TIMED_OUT, Row

BENCHMARKS = Path(__file__).parents[1]
# A check that takes more of its part's time than this hangs.
_LONGEST_CHECK = 0.75
# What starting a process and importing torch takes; less is not worth another try.
_SHORTEST_TRY = 8.0
_POLL_S = 0.1
# For a process that the kernel keeps alive, as with a GPU that does not answer.
_PATIENCE_S = 10.0
# The process writes the rows of the checks that it has no time for before it is ended.
_GRACE_S = 3.0
_DETAIL = 8000

OnRow = Callable[[Row], None]


@dataclass(frozen=True)
class Part:
    """A part of the check.

    Args:
        name: what ``--parts`` calls it.
        module: whose ``checks(setting)`` makes it.
        share: of the whole time, relative to the other parts.
        needs: a module without which all its checks are skipped, or None.
    """

    name: str
    module: str
    share: float
    needs: str | None = None

    def has_what_it_needs(self) -> bool:
        """Return whether its checks can be made as far as modules go."""
        return self.needs is None or find_spec(self.needs) is not None


@dataclass
class _Progress:
    """What a part's process has said so far."""

    planned: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    began_at: float = field(default_factory=time.monotonic)
    is_over: bool = False
    n_read: int = 0

    @property
    def left(self) -> list[str]:
        """The checks that have not begun."""
        return [what for what in self.planned if what not in self.begun]


def run_part(part: Part, setting: Setting, *, seconds: float, on_row: OnRow) -> None:
    """Make the checks of a part within a time limit.

    A process that crashes or hangs in a check is followed by another one for the checks that are left.

    Args:
        part: to run.
        setting: where and how.
        seconds: that it may take.
        on_row: is given each row as it comes.
    """
    end = time.monotonic() + seconds
    begun: list[str] = []
    while True:
        left = _try_part(part, setting, begun, end=end, longest=_LONGEST_CHECK * seconds, on_row=on_row)
        if not left:
            return
        if end - time.monotonic() < _SHORTEST_TRY:
            break
    for what in left:
        on_row(Row(part=part.name, what=what, verdict=SKIPPED, reason="no time left"))


def _try_part(
    part: Part, setting: Setting, begun: list[str], *, end: float, longest: float, on_row: OnRow
) -> Sequence[str]:
    """Start a process for the checks that are not ``begun``, to which it adds; return those left for another one."""
    with tempfile.TemporaryDirectory(prefix="gpu_check_") as folder:
        rows_file, log = Path(folder) / "rows.jsonl", Path(folder) / "log.txt"
        rows_file.touch()
        progress = _Progress(begun=begun)
        n_begun = len(begun)
        until = time.time() + max(0.0, end - time.monotonic() - _GRACE_S)
        with _process(part, setting, rows_file=rows_file, log=log, done=begun, until=until) as process:
            status: int | None = None
            while status is None:
                status = process.poll()
                _read(rows_file, progress, part, on_row)
                now = time.monotonic()
                if status is None and (now > end or (len(begun) > n_begun and now - progress.began_at > longest)):
                    break
                if status is None:
                    time.sleep(_POLL_S)
        _read(rows_file, progress, part, on_row)
        said = log.read_text(encoding="utf-8", errors="replace")
    if progress.is_over and status == 0:
        return ()
    in_a_check = len(begun) > n_begun
    what = begun[-1] if in_a_check else "start"
    if status is None:
        on_row(Row(part=part.name, what=what, verdict=TIMED_OUT, detail=said[-_DETAIL:]))
    elif status != RESTART_STATUS:
        on_row(_crash(part, what, status, said))
    # Without a check to leave out, another process would end like this one.
    return progress.left if in_a_check else ()


def _crash(part: Part, what: str, status: int, said: str) -> Row:
    lines = said.strip().splitlines()
    ended = f"ended by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    # Python's own words on a signal list the calls, the innermost first; those on an error end with it.
    calls = [line for line in lines if line.startswith('  File "')] if status < 0 else []
    last = f": {(calls[:1] or lines[-1:])[0].strip()}" if lines else ""
    return Row(part=part.name, what=what, value=f"{ended}{last}", verdict=CRASHED, detail=said[-_DETAIL:])


def _read(file: Path, progress: _Progress, part: Part, on_row: OnRow) -> None:
    """Take the whole lines that have come; what is none of ours is a crash of its own."""
    with file.open("rb") as stream:
        stream.seek(progress.n_read)
        whole, newline, _ = stream.read().rpartition(b"\n")
    progress.n_read += len(whole) + len(newline)
    for line in whole.splitlines():
        try:
            _take(json.loads(line), progress, part, on_row)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            text = line.decode("utf-8", errors="replace")
            problem = f"{type(error).__name__}: {error}\n{text}"
            value = f"wrote what is no row: {text[:60]}"
            what = progress.begun[-1] if progress.begun else "start"
            on_row(Row(part=part.name, what=what, value=value, verdict=CRASHED, detail=problem))


def _take(line: dict[str, Any], progress: _Progress, part: Part, on_row: OnRow) -> None:
    if "plan" in line:
        progress.planned = [str(what) for what in line["plan"]]
    elif "begin" in line:
        progress.begun.append(str(line["begin"]))
        progress.began_at = time.monotonic()
    elif "row" in line:
        on_row(Row(part=part.name, **line["row"]))
    else:
        progress.is_over = bool(line["end"])


@contextmanager
def _process(
    part: Part, setting: Setting, *, rows_file: Path, log: Path, done: Sequence[str], until: float
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the process of a part; whatever is left of it and of its children at the end is ended."""
    request = {"device": setting.device, "is_dry_run": setting.is_dry_run, "done": list(done), "until": until}
    command = [sys.executable, "-m", "gpu_checks.part_process", part.module, str(rows_file), json.dumps(request)]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            # Its temporary files go with the folder, also when it is ended.
            env={**environment(), "TMPDIR": str(log.parent)},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            end_group(process)


def environment() -> dict[str, str]:
    """Return an environment in which a process finds the checkout's modules before any installed ones."""
    given = os.environ.get("PYTHONPATH")
    path = [str(BENCHMARKS), str(BENCHMARKS.parent), *([given] if given else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONFAULTHANDLER": "1"}


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """End a process that leads a session, and its children."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        print(f"Process {process.pid} does not end: the device may not answer any more.", file=sys.stderr)
