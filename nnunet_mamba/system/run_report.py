"""What a command was given, what it did and with what: a file for whoever must repeat it, or show that it was done."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timezone
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.folder_lock import refuse_if_unwritable
from nnunet_mamba.system.machine import available_memory, processor, usable_cores

FORMAT = 1
_PACKAGES = ("nnunet-mamba", "nnunetv2", "torch", "numba", "numpy", "scipy")
# What decides a result besides the options: nnU-Net's variables, ours, and those of threads.
_VARIABLES = ("NNUNET", "NNUNET_MAMBA", "OMP_", "CUDA_VISIBLE_DEVICES")
_CHUNK = 2**20
_INTERRUPTED = 130


@contextmanager
def reported_run(
    file: Path,
    command: str,
    options: Mapping[str, Any],
    *,
    inputs: Sequence[Path],
    outputs: Callable[[float], Sequence[Path]],
) -> Iterator[None]:
    """Write a report of what happens in the block, be it finished, stopped or failed.

    Args:
        file: gets the report, as JSON; only a report may lie there already.
        command: as a user types it, without its options.
        options: all of them by their names; paths become texts.
        inputs: files and folders that are read; those that do not exist are told as missing.
        outputs: is called after the block with the seconds since 1970 at which it began, and returns what was written.

    Raises:
        ValueError: there is something else at ``file``.
        OSError: the report cannot be written; or an input cannot be read.
    """
    _refuse_other_file(file)
    refuse_if_unwritable(file.parent, way_out="name another file with `run_report`")
    began, start = time.time(), time.perf_counter()
    report: dict[str, Any] = {
        "run_report": FORMAT,
        "command": command,
        "options": {name: _plain(value) for name, value in options.items()},
        "environment": {name: value for name, value in sorted(os.environ.items()) if _decides(name)},
        "started": datetime.fromtimestamp(began, tz=timezone.utc).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": usable_cores(), "free_memory": available_memory()},
        "versions": {"python": sys.version.split()[0], **dict(_versions())},
        "inputs": [described(path) for path in inputs],
    }
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        report |= {
            "outcome": _outcome(error),
            "seconds": round(time.perf_counter() - start, 3),
            "peak_memory": _peak_memory(),
            "outputs": [described(path) for path in outputs(began)],
        }
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def described(path: Path) -> dict[str, Any]:
    """Return what identifies a file or a folder: its bytes and SHA-256, of a folder those of all its files.

    A folder's SHA-256 is that of the lines which ``sha256sum`` prints of its files, by their paths in it and sorted by
    them. Hidden files do not count.

    Args:
        path: need not exist.

    Raises:
        OSError: a file cannot be read.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file.relative_to(path)))
        with ThreadPoolExecutor(min(8, usable_cores())) as pool:
            hashes = list(pool.map(_sha256, files))
        lines = [f"{digest}  {file.relative_to(path).as_posix()}\n" for digest, file in zip(hashes, files, strict=True)]
        return {
            "path": str(path.absolute()),
            "kind": "folder",
            "files": len(files),
            "bytes": sum(file.stat().st_size for file in files),
            "sha256": sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest(),
        }
    if path.is_file():
        size = path.stat().st_size
        return {"path": str(path.absolute()), "kind": "file", "bytes": size, "sha256": _sha256(path)}
    return {"path": str(path), "kind": "missing"}


def _sha256(file: Path) -> str:
    digest = sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _decides(name: str) -> bool:
    return name.upper().startswith(_VARIABLES)


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def _outcome(error: BaseException | None) -> str:
    # A command may end by an exception that carries its exit status, as a shell knows it: 130 after Ctrl-C.
    status = getattr(error, "exit_code", None if error is not None else 0)
    if isinstance(error, KeyboardInterrupt) or status == _INTERRUPTED:
        return "stopped"
    return "finished" if status == 0 else "failed"


def _peak_memory() -> dict[str, int] | None:
    """Return the most bytes that this process and the largest of its children have held; None where nothing tells."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    of = {"process": resource.RUSAGE_SELF, "largest_child": resource.RUSAGE_CHILDREN}
    return {name: resource.getrusage(who).ru_maxrss * unit for name, who in of.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str | bool | int | float | None):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value)


def _refuse_other_file(file: Path) -> None:
    """Raise if a report would take the place of something else, such as an image."""
    if file.is_dir():
        raise ValueError(f"`run_report` {file} is a folder, expected a file")
    if not file.exists():
        return
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stored = None
    if not isinstance(stored, dict) or "run_report" not in stored:
        raise ValueError(f"`run_report` {file} exists and is no report of a run; give another name")
