"""statistics.csv and statistics.json of a folder of masks, which grow while images finish.

Rows of finished images go to the end of a hidden file, so that a killed process loses none and ten thousand images cost
ten thousand lines. ``write`` makes the table from it and from an earlier one. Several processes may do so at once, as
the parts of a cluster's array do.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from nnunet_mamba.measurements.label_statistics import LabelStatistics
from nnunet_mamba.measurements.table_columns import COLUMNS, Row, Value, table_row
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.folder_lock import in_turn
from nnunet_mamba.system.json_files import read_json_object

CSV, JSON = "statistics.csv", "statistics.json"
_UNWRITTEN = ".statistics.jsonl"
_ABOUT = "Statistics of masks: one row for each image and label. null is unknown, or there is nothing to measure."
_PATHS = ("image", "mask")
# Spreadsheets take what begins so for a formula, the wide forms of East Asian keyboards included.
_FORMULA_SIGNS = tuple("=+-@\t\r\n＝＋－＠")


class StatisticsTable:
    """The statistics of the masks in a folder, with the rows that earlier runs have left there.

    Args:
        folder: of the table; it need not exist.

    Raises:
        ValueError: there is a statistics.json that is none of ours.
        OSError: it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._masks: set[str] = set()
        if folder.exists():
            with in_turn(folder / JSON):
                self._masks |= self._rows().keys()

    def __contains__(self, mask: PurePath | str) -> bool:
        """Whether the table has rows of a mask, given by its path from the folder."""
        return PurePath(mask).as_posix() in self._masks

    def add(self, statistics: Iterable[LabelStatistics], *, image: str, mask: PurePath | str) -> None:
        """Keep the rows of one image; they take the place of earlier ones of the same mask.

        Args:
            statistics: one for each label.
            image: how the image was named.
            mask: path of its mask from the folder.

        Raises:
            OSError: they cannot be written.
        """
        mask = PurePath(mask).as_posix()
        rows = [table_row(each, image=image, mask=mask) for each in statistics]
        with in_turn(self._folder / JSON):
            _append_line(self._folder / _UNWRITTEN, _json({"mask": mask, "rows": rows}))
        self._masks.add(mask)

    def write(self) -> None:
        """Write both files, sorted by mask, with all rows that any process has added.

        Raises:
            OSError: they cannot be written; the rows are kept for the next time.
        """
        with in_turn(self._folder / JSON):
            unwritten = self._folder / _UNWRITTEN
            if not unwritten.exists() and all((self._folder / name).exists() for name in (CSV, JSON)):
                return
            rows = [row for _, rows in sorted(self._rows().items()) for row in rows]
            present = {name for row in rows for name in row}
            columns = [name for name in COLUMNS if name in present] or list(_PATHS)
            _write_csv(self._folder / CSV, columns, rows)
            _write_json(self._folder / JSON, columns, rows)
            # Last: a process that is killed before has lost nothing, and the next one writes both files again.
            unwritten.unlink(missing_ok=True)

    def _rows(self) -> dict[str, list[Row]]:
        """Return the rows of each mask."""
        rows: dict[str, list[Row]] = {}
        if (path := self._folder / JSON).exists():
            for row in _written_rows(path):
                rows.setdefault(str(row["mask"]), []).append(row)
        return rows | _unwritten_rows(self._folder / _UNWRITTEN)


def _written_rows(path: Path) -> Sequence[Row]:
    rows: Any = read_json_object(path).get("rows")
    is_ours = isinstance(rows, list) and all(isinstance(row, dict) and isinstance(row.get("mask"), str) for row in rows)
    if not is_ours:
        raise ValueError(
            f"{path} is no table of statistics, expected rows with a mask each; move it away, or choose another folder"
        )
    written: Sequence[Row] = rows
    return written


def _unwritten_rows(path: Path) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    if not path.exists():
        return rows
    for line in path.read_bytes().splitlines():
        try:
            content = json.loads(line)
            mask, of_mask = content["mask"], content["rows"]
        # A process was killed while it wrote this line: its image has no rows yet.
        except (ValueError, LookupError, TypeError):
            continue
        if isinstance(mask, str) and isinstance(of_mask, list) and all(isinstance(row, dict) for row in of_mask):
            rows[mask] = of_mask
    return rows


def _append_line(path: Path, line: str) -> None:
    try:
        with path.open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                # The line of a killed process ends here, and spoils no other one.
                line = line if file.read(1) == b"\n" else f"\n{line}"
            file.write(_encoded(f"{line}\n"))
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    # File names that are no text in UTF-8 are written as far as they are.
    with replacing(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        # Quotes around all texts, because some spreadsheets also part them at semicolons.
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns)
        writer.writerows([_cell(name, row.get(name)) for name in columns] for row in rows)


def _cell(name: str, value: Value) -> Value:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA_SIGNS):
        # The path stays the same path.
        return f"./{value}" if name in _PATHS else f"'{value}"
    return value


def _write_json(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    header = {"about": _ABOUT, "columns": {name: COLUMNS[name] for name in columns}}
    lines = ",\n".join(f"  {_json(row)}" for row in rows)
    text = f'{json.dumps(header, ensure_ascii=False, indent=1)[:-2]},\n "rows": [\n{lines}\n ]\n}}\n'
    with replacing(path) as part:
        part.write_bytes(_encoded(text))


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def _encoded(text: str) -> bytes:
    # Bytes of a file name that are no UTF-8 become \\udc.., an escape of JSON that is read as the same bytes again.
    return text.encode("utf-8", errors="backslashreplace")
