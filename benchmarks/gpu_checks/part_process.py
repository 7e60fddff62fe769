"""The process of one part: makes its checks one by one, and writes rows as lines of JSON.

    python -m gpu_checks.part_process MODULE ROWS_FILE REQUEST

The first line names all checks, a line announces each before it begins, and the last line says that all are made. So
whoever reads them knows what was going on when this process ended.
"""

import importlib
import json
import os
import signal
import sys
import time
import traceback
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, TextIO

from gpu_checks.checks import Check, Finding, Setting, SkipCheck
from gpu_checks.rows import CRASHED, SKIPPED

# Says that this process cannot go on, and that another one can.
RESTART_STATUS = 3


class _Lines:
    """The lines of JSON that another process reads while they are written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, **content: Any) -> None:
        self._stream.write(json.dumps(content) + "\n")
        self._stream.flush()


class _Crashes(AbstractContextManager[None]):
    """Turns the errors of one check into a row, whatever they are: the next check goes on."""

    def __init__(self, lines: _Lines, what: str) -> None:
        self._lines, self._what = lines, what

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool | None:
        if not isinstance(error, Exception):
            return None
        torch = sys.modules.get("torch")
        row = {"what": self._what, "detail": "".join(traceback.format_exception(error))}
        if isinstance(error, SkipCheck):
            row |= {"verdict": SKIPPED, "reason": str(error), "detail": ""}
        elif isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
            row |= {"verdict": SKIPPED, "reason": f"not enough memory: {_in_a_line(error)}"}
        else:
            row |= {"verdict": CRASHED, "value": _in_a_line(error)}
        self._lines.write(row=row)
        return True


def _in_a_line(error: Exception) -> str:
    """Return what an error says first; after a colon, as torch's compiler puts it, the line that follows too."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    n = 2 if lines and lines[0].endswith(":") else 1
    return " ".join((f"{type(error).__name__}:", *lines[:n]))


def _device_is_lost() -> bool:
    """Return whether every further call to the GPU in this process fails, as after a kernel's wrong address."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
        torch.zeros(1, device="cuda").item()
        torch.cuda.empty_cache()
    except torch.OutOfMemoryError:
        return False
    except RuntimeError:
        return True
    return False


def _run(check: Check, lines: _Lines) -> None:
    with _Crashes(lines, check.what):
        for finding in check.run():
            lines.write(row=_as_row(check, finding))


def _as_row(check: Check, finding: Finding) -> dict[str, str]:
    what = f"{check.what}, {finding.what}" if finding.what else check.what
    return {"what": what, "value": finding.value, "expected": finding.expected, "verdict": finding.verdict}


def _end_with(parent: int) -> None:
    """End this process and its children as soon as the one that started it is gone: nobody reads its rows."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main(module: str, rows_file: str, request: str) -> int:
    """Make the checks of a part and return the exit status.

    Args:
        module: of the part; its ``checks(setting)`` returns them.
        rows_file: gets the lines.
        request: JSON with device, is_dry_run, the names of the checks that are done, and when time is up.
    """
    asked = json.loads(request)
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with Path(rows_file).open("a", encoding="utf-8") as stream:
        lines = _Lines(stream)
        setting = Setting(asked["device"], asked["is_dry_run"])
        checks = list(importlib.import_module(module).checks(setting))
        lines.write(plan=[check.what for check in checks])
        for check in checks:
            if check.what in asked["done"]:
                continue
            lines.write(begin=check.what)
            if time.time() >= asked["until"]:
                lines.write(row={"what": check.what, "verdict": SKIPPED, "reason": "no time left"})
                continue
            _run(check, lines)
            if _device_is_lost():
                return RESTART_STATUS
        lines.write(end=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
