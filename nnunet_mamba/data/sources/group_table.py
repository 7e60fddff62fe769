"""Read from a table which images show one patient or one lesion, so that a split keeps them together."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from nnunet_mamba.data.cases import Case, count_groups
from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS, VOLUME_ENDINGS
from nnunet_mamba.data.problems import Problem, same_name
from nnunet_mamba.data.sources.table_files import read_table

# Headings in the tables of the ISIC archive, of its challenges and of HAM10000, and "case" as we say it.
IMAGE_COLUMNS = ("isic_id", "image_id", "image_name", "image", "case")
PATIENT, LESION = "patient_id", "lesion_id"
GROUP = "group"

# Programs write these for an unknown id. Taken for an id, they would make one group of all such images.
_EMPTY = ("", "na", "n/a", "nan", "none", "null")


@dataclass(frozen=True, kw_only=True)
class GroupTable:
    """What a table says about images.

    Args:
        path: the table.
        image_column: heading of the images' names.
        groups_of: per image, the groups in its rows, each with the number of a line; None stands for a group of its
            own. Keys are those of ``image_key``.
        allow_missing: whether a case without a row is a group of its own instead of a problem.
    """

    path: Path
    image_column: str
    groups_of: Mapping[str, Mapping[str | None, int]]
    allow_missing: bool = False

    def assign(self, cases: Sequence[Case]) -> tuple[list[Case], list[Problem]]:
        """Give cases their groups.

        Args:
            cases: only those that train need a row.

        Returns:
            The cases in their order, and what is wrong with their rows.

        Raises:
            ValueError: no training case has a row.
        """
        rows = [self._rows_of(case) for case in cases]
        training = [case for case in cases if case.is_training]
        unknown = [case for case, found in zip(cases, rows, strict=True) if case.is_training and not found]
        if unknown and len(unknown) == len(training):
            known = ", ".join([*list(self.groups_of)[:2], "..."])
            raise ValueError(
                f"{self.path} has no row for any of {len(training)} training cases, the first is "
                f"{unknown[0].identifier}; its column {self.image_column} holds {known}; give the table of these "
                "images"
            )
        problems = [] if self.allow_missing else [self._missing(case, unknown) for case in unknown]
        problems += [
            self._contradiction(case, found) for case, found in zip(cases, rows, strict=True) if len(found) > 1
        ]
        grouped = [replace(case, group=next(iter(found), None)) for case, found in zip(cases, rows, strict=True)]
        return grouped, problems

    def _rows_of(self, case: Case) -> Mapping[str | None, int]:
        names = (case.identifier, *(path.name for path in case.channels))
        return next((self.groups_of[key] for key in map(image_key, names) if key in self.groups_of), {})

    def _missing(self, case: Case, unknown: Sequence[Case]) -> Problem:
        return Problem(
            case.identifier,
            f"one of {len(unknown)} training cases without a row in {self.path.name}, the first is "
            f"{unknown[0].identifier}; add the rows, or make each a group of its own with "
            "`allow_missing_groups=True`",
            case.channels[0],
        )

    def _contradiction(self, case: Case, found: Mapping[str | None, int]) -> Problem:
        listed = " and ".join(f"{group or 'none'} (line {line})" for group, line in found.items())
        return Problem(
            case.identifier, f"rows with different groups, {listed}, expected one; correct the table", self.path
        )


def read_group_table(path: Path, *, group_column: str | None = None, allow_missing: bool = False) -> GroupTable:
    """Read which images belong together.

    Images of one patient belong together, and so do images of one lesion where the patient is unknown. An image with
    neither is a group of its own.

    Args:
        path: a text file in UTF-8, or in UTF-16 as spreadsheets save it, with a heading; columns are separated by
            comma, semicolon or tab. One of IMAGE_COLUMNS names the image, with its file ending or without.
        group_column: heading of the only column that counts; None takes PATIENT and LESION, or else GROUP.
        allow_missing: see ``GroupTable``.

    Raises:
        ValueError: no such table; or a lesion of two patients.
        OSError: unreadable.
    """
    (_, heading), *rows = read_table(path, setting="`groups`")
    image_column = _first_known(path, IMAGE_COLUMNS, heading)
    if image_column is None:
        raise ValueError(
            f"{path} has the columns {', '.join(heading)}, and none of {', '.join(IMAGE_COLUMNS)}; call the one that "
            "names the images so"
        )
    columns = _group_columns(path, heading, group_column)
    patient_of: dict[str, str] = {}
    ids_of: list[tuple[str, list[str], int]] = []
    for line, row in rows:
        if not (image := row[image_column]):
            raise ValueError(f"{path}, line {line}: no {heading[image_column]}; add it, or remove the line")
        # With its heading, since a lesion may have the number of a patient.
        ids = [f"{heading[column]} {row[column]}" for column in columns if row[column].lower() not in _EMPTY]
        ids_of.append((image_key(image), ids, line))
        if len(ids) > 1 and (other := patient_of.setdefault(ids[1], ids[0])) != ids[0]:
            raise ValueError(
                f"{path}, line {line}: {ids[1]} is of {ids[0]}, and of {other} before; correct it, or name the column "
                "that counts with `group_column`"
            )
    groups_of: defaultdict[str, dict[str | None, int]] = defaultdict(dict)
    for image, ids, line in ids_of:
        group = patient_of.get(ids[0], ids[0]) if ids else None
        groups_of[image].setdefault(group, line)
    return GroupTable(
        path=path, image_column=heading[image_column], groups_of=dict(groups_of), allow_missing=allow_missing
    )


def image_key(name: str) -> str:
    """Return a key that is equal for all names of one image: with a file ending or without, in any letter case.

    Args:
        name: as a table or a folder has it.
    """
    key = same_name(name)
    ending = next((ending for ending in (*VOLUME_ENDINGS, *PICTURE_ENDINGS) if key.endswith(ending)), "")
    return key.removesuffix(ending) or key


def recorded_groups(cases: Sequence[Case]) -> dict[str, str]:
    """Return how cases are grouped, for the record: equal for equal groups, whatever their names.

    Args:
        cases: all cases; nothing is recorded if each is a group of its own.
    """
    members: defaultdict[str, list[str]] = defaultdict(list)
    for case in cases:
        if case.group is not None:
            members[case.group].append(case.identifier)
    shared = sorted(sorted(group) for group in members.values() if len(group) > 1)
    if not shared:
        return {}
    digest = blake2b(json.dumps(shared).encode(), digest_size=4).hexdigest()
    return {"groups": f"{count_groups(cases)} groups of {len(cases)} cases ({digest})"}


def _group_columns(path: Path, heading: Sequence[str], wanted: str | None) -> list[int]:
    """Return the columns of groups, that of patients before that of lesions."""
    for choice in [[PATIENT, LESION], [GROUP]] if wanted is None else [[wanted]]:
        found = [column for name in choice if (column := _first_known(path, [name], heading)) is not None]
        if found:
            return found
    expected = wanted or f"{PATIENT}, {LESION} or {GROUP}"
    raise ValueError(
        f"{path} has the columns {', '.join(heading)}, expected {expected}; name the one of the groups with "
        "`group_column`"
    )


def _first_known(path: Path, names: Sequence[str], heading: Sequence[str]) -> int | None:
    """Return the column of the first name that is in the heading, in any letter case; raise if it is there twice."""
    columns = [column.casefold() for column in heading]
    known = next((name.casefold() for name in names if name.casefold() in columns), None)
    if known is None:
        return None
    if columns.count(known) > 1:
        raise ValueError(
            f"{path}: the heading has the column {known} {columns.count(known)} times; name the columns apart"
        )
    return columns.index(known)
