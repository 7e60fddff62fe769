"""Which images the masks of a folder were made from, so that a run that continues predicts changed ones again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnunet_mamba.data.sources.unpacked_names import name_as_packed
from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase

SOURCES_FILE = ".nnunet_mamba_sources.jsonl"


class FinishedImages:
    """The images that are done, remembered in a hidden file beside their masks.

    One line is added for each, after its mask: a killed process leaves out at most what it had not told. Several
    processes may share the file.

    Args:
        folder: of the masks; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / SOURCES_FILE
        self._known = dict(_entries(self._file))

    def __contains__(self, case: UnlabelledCase) -> bool:
        return self._known.get(case.masks[0]) == _sources(case.channels)

    def add(self, case: UnlabelledCase) -> None:
        """Remember that a case is done.

        Raises:
            OSError: it cannot be written.
        """
        sources = _sources(case.channels)
        line = json.dumps({"mask": case.masks[0], "sources": sources})
        # One write to the end of the file, which other processes cannot come between.
        with self._file.open("ab") as file:
            file.write(f"\n{line}\n".encode())
        self._known[case.masks[0]] = sources


def _sources(files: Sequence[Path]) -> list[list[Any]]:
    """Return name, size and time of files; of those in archives, which are unpacked anew, name and size."""
    told = []
    for file in files:
        status = file.stat()
        name = str(file)
        is_packed = name_as_packed(name) != name
        told.append([name_as_packed(name), status.st_size, None if is_packed else status.st_mtime_ns])
    return told


def _entries(file: Path) -> list[tuple[str, list[list[Any]]]]:
    if not file.exists():
        return []
    found = []
    for line in file.read_bytes().splitlines():
        try:
            entry = json.loads(line)
            found.append((entry["mask"], entry["sources"]))
        # Half of a line, of a process that was killed.
        except (ValueError, KeyError, TypeError):
            continue
    return found
