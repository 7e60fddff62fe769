"""Run the steps of the demo in one folder, with a log each; a second run continues after the last finished step."""

import hashlib
import json
import math
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.folder_lock import refuse_if_unwritable
from nnunet_mamba.system.json_files import read_json_object

RECORD = "demo.json"
_MADE_BY = "nnunet-mamba demo"
_SHOWN_LINES = 15
_WAY_OUT = "make room, get the right to write there, or name another folder with `folder`"
_CONTINUE = "Put it right (free space, permissions) and run the same demo command again: it continues"

OnLine = Callable[[str], None]


class DemoFailedError(RuntimeError):
    """The demo cannot go on: a step did not finish; says which, shows the end of its output and names its log."""


@dataclass(frozen=True, kw_only=True)
class DemoStep:
    """One part of the demo.

    Args:
        name: short, names the log.
        title: what it does, for people.
        command: as it would be typed.
        action: does it; is given a function that takes each line of output.
        makes: files or folders that exist when it has succeeded. They are removed before it starts: an interrupted
            attempt may have left part of them.
    """

    name: str
    title: str
    command: str
    action: Callable[[OnLine], None]
    makes: Sequence[Path]


@dataclass(frozen=True, kw_only=True)
class FinishedDemoStep:
    """What is remembered of a step.

    Args:
        name: of the step.
        fingerprint: of its command and of the commands before it.
        seconds: wall time.
    """

    name: str
    fingerprint: str
    seconds: float


class Listener(Protocol):
    """Is told what happens, to show it."""

    def started(self, step: DemoStep) -> None:
        """Show that a step has begun."""

    def line(self, step: DemoStep, text: str) -> None:
        """Show a line of its output, or not."""

    def finished(self, step: DemoStep, seconds: float, *, was_done: bool) -> None:
        """Show that it is done, by this run or by an earlier one."""


def claim_folder(folder: Path, *, fresh: bool, contents: Sequence[str]) -> None:
    """Make ``folder`` the demo's, or recognise it as the demo's.

    Args:
        folder: created if it is not there.
        fresh: delete what an earlier demo made in it.
        contents: names of everything the demo makes; nothing else is ever deleted.

    Raises:
        OSError: the folder is a file, nothing can be written there, or it holds what no demo made.
        ValueError: an earlier demo's record is damaged.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; name a folder for the demo with `folder`")
    refuse_if_unwritable(folder, way_out=_WAY_OUT)
    record = folder / RECORD
    if record.is_file() and _is_of_demo(record):
        if not fresh:
            _read_record(record)
            return
        for name in (*contents, RECORD):
            _remove(folder / name)
    elif folder.is_dir() and (present := sorted(path.name for path in folder.iterdir())):
        listed = ", ".join(present[:5]) + (", …" if len(present) > 5 else "")
        raise FileExistsError(
            f"{folder} holds files that the demo did not make ({listed}), so it is left alone; "
            "name an empty or a new folder with `folder`"
        )
    folder.mkdir(parents=True, exist_ok=True)
    _write_record(folder, [])


def run_steps(folder: Path, steps: Sequence[DemoStep], listener: Listener) -> list[FinishedDemoStep]:
    """Run what has not been run yet, in order.

    A step is repeated with all that follow it if its command has changed or its results are gone.

    Args:
        folder: claimed by :func:`claim_folder`.
        steps: in order.
        listener: is told of every step.

    Raises:
        DemoFailedError: a step failed; the ones before it stay finished.
        OSError: a file could not be written; the same holds.
    """
    record = {step.name: step for step in _read_record(folder / RECORD)}
    finished: list[FinishedDemoStep] = []
    fingerprint = ""
    for step in steps:
        fingerprint = hashlib.sha256(f"{fingerprint}\n{step.name}\n{step.command}".encode()).hexdigest()
        known = record.get(step.name)
        if known and known.fingerprint == fingerprint and all(path.exists() for path in step.makes):
            finished.append(known)
            listener.finished(step, known.seconds, was_done=True)
            continue
        record = {}
        _write_record(folder, finished)
        seconds = _run(step, listener)
        finished.append(FinishedDemoStep(name=step.name, fingerprint=fingerprint, seconds=seconds))
        _write_record(folder, finished)
        listener.finished(step, seconds, was_done=False)
    return finished


def _run(step: DemoStep, listener: Listener) -> float:
    for path in step.makes:
        _remove(path)
    listener.started(step)
    start = time.monotonic()
    try:
        step.action(lambda text: listener.line(step, text))
    except OSError as error:
        # An error without a number has a text of its own.
        if error.errno is None:
            raise
        place = f": {error.filename}" if error.filename else ""
        text = f"{error.strerror}{place}, at the step '{step.title}'. {_CONTINUE}"
        raise OSError(error.errno, text) from error
    seconds = time.monotonic() - start
    if missing := [str(path) for path in step.makes if not path.exists()]:
        raise DemoFailedError(f"'{step.command}' ended without an error, but did not write {', '.join(missing)}")
    return seconds


def run_command(
    arguments: Sequence[str], on_line: OnLine, *, environment: Mapping[str, str], log: Path, shown: str
) -> None:
    """Run a command, write all its output to ``log`` and pass it on line by line.

    Args:
        arguments: the program and its arguments.
        on_line: takes each line, progress bars' too.
        environment: the complete environment.
        log: replaced.
        shown: the command as people type it.

    Raises:
        DemoFailedError: the command did not exit with 0; shows its last lines.
    """
    last: deque[str] = deque(maxlen=_SHOWN_LINES)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        file.write(f"$ {shown}\n")
        # Universal newlines end a line at \r, too, with which progress bars overwrite themselves.
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=dict(environment),
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                file.flush()
                if line.strip():
                    last.append(line.rstrip())
                    on_line(line.rstrip())
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if code:
        raise DemoFailedError(
            f"'{shown}' failed (exit code {code}). The last lines of its output:\n\n"
            + "\n".join(f"  {line}" for line in last)
            + f"\n\nAll of it is in {log}. Run the same demo command again to continue at this step."
        )


def program(name: str) -> str:
    """Return the path of a command that is installed beside the running Python.

    Raises:
        FileNotFoundError: it is not installed there.
    """
    scripts = Path(sys.executable).parent
    found = shutil.which(name, path=str(scripts)) or shutil.which(name, path=str(scripts / "Scripts"))
    if found is None:
        raise FileNotFoundError(
            f"The command {name} is not in {scripts}, beside the Python that runs nnunet-mamba. "
            f"Install nnunet-mamba into this environment, in its checkout: {sys.executable} -m pip install ."
        )
    return found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_of_demo(path: Path) -> bool:
    """Return whether a demo wrote the file."""
    try:
        return read_json_object(path).get("made_by") == _MADE_BY
    except ValueError:
        return False


def _read_record(path: Path) -> list[FinishedDemoStep]:
    """Return the finished steps."""
    try:
        steps = [FinishedDemoStep(**entry) for entry in read_json_object(path)["steps"]]
        for step in steps:
            if not math.isfinite(step.seconds) or not isinstance(step.name, str):
                raise ValueError(f"{step}")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); start over with `fresh=True`") from error
    return steps


def _write_record(folder: Path, finished: Sequence[FinishedDemoStep]) -> None:
    content = {"made_by": _MADE_BY, "steps": [vars(step) for step in finished]}
    with replacing(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
