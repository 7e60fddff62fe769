"""Tables as text, line by line as the papers print them, read into rows."""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from nnunet_mamba.published_results.row import (
    Column,
    OurNetwork,
    PrintedValue,
    PublishedRow,
    Setting,
    Table,
)

_NO_NETWORKS: Mapping[str, OurNetwork] = MappingProxyType({})
_NO_STAND_INS: Mapping[str, tuple[OurNetwork, str]] = MappingProxyType({})
_NO_REMARKS: Mapping[str, tuple[str, ...]] = MappingProxyType({})
# A method's name may hold single spaces.
_BETWEEN_CELLS = re.compile(r" {2,}")
_NUMBER = re.compile(r"(?P<text>\d+(\.\d+)?)( ± (?P<spread>\d+\.\d+))?")
_NOT_PRINTED = "-"


def read_rows(
    table: Table,
    settings: Sequence[Setting],
    lines: str,
    *,
    columns: Sequence[Column],
    networks: Mapping[str, OurNetwork] = _NO_NETWORKS,
    stand_ins: Mapping[str, tuple[OurNetwork, str]] = _NO_STAND_INS,
    remarks: Mapping[str, tuple[str, ...]] = _NO_REMARKS,
) -> tuple[PublishedRow, ...]:
    """Read the lines of a table, one data set after the other.

    Args:
        table: that the lines are from.
        settings: one for each data set of the columns.
        lines: a method each, its name and numbers with two or more spaces between them; "-" for a number that is not
            printed, "1.2 ± 0.3" for one with a spread.
        columns: of the numbers, in their order.
        networks: methods that we have, too.
        stand_ins: other methods, with the nearest of ours, see ``standing_in``.
        remarks: on methods.

    Returns:
        A row for each data set and method, in this order.

    Raises:
        ValueError: a line has other than a name and a number for each column, a remark, network or stand-in names no
            method, or a method has both a network and a stand-in.
    """
    cells = [_BETWEEN_CELLS.split(line.strip()) for line in lines.strip().splitlines()]
    for method, *numbers in cells:
        if len(numbers) != len(columns):
            raise ValueError(
                f"{table.number} of {table.paper.name}, {method!r}: {len(numbers)} numbers, expected {len(columns)}; "
                "put two spaces between them"
            )
    _refuse_names(table, {method for method, *_ in cells}, networks, stand_ins=stand_ins, remarks=remarks)
    return tuple(
        PublishedRow(
            table=table,
            setting=setting,
            method=method,
            values=tuple(
                _read_number(text, column)
                for text, column in zip(numbers, columns, strict=True)
                if column.dataset in ("", setting.dataset) and text != _NOT_PRINTED
            ),
            network=networks.get(method),
            stand_in=stand_ins[method][0] if method in stand_ins else None,
            remarks=(*remarks.get(method, ()), *(stand_ins[method][1:] if method in stand_ins else ())),
        )
        for setting in settings
        for method, *numbers in cells
    )


def for_datasets(columns: Sequence[Column], settings: Sequence[Setting]) -> tuple[Column, ...]:
    """Return the columns once for each data set, as tables print them side by side."""
    return tuple(replace(column, dataset=setting.dataset) for setting in settings for column in columns)


def ours(preset: str, **overrides: Any) -> OurNetwork:
    """Return a network that we have, with what ``create_network`` takes beside its name."""
    return OurNetwork(preset=preset, overrides=MappingProxyType(overrides))


def ours_by(trainer: str, preset: str) -> OurNetwork:
    """Return a network that we have, trained by another trainer than its preset's own."""
    return OurNetwork(preset=preset, trainer=trainer)


def standing_in(preset: str, remark: str, **overrides: Any) -> tuple[OurNetwork, str]:
    """Return the nearest network that we have to one that we have not, and the row's remark on what differs.

    Args:
        preset: of ours.
        remark: a sentence that says that it is another network, and how it differs.
        overrides: what ``create_network`` takes beside the name.
    """
    return ours(preset, **overrides), remark


def _refuse_names(
    table: Table,
    methods: Set[str],
    networks: Mapping[str, OurNetwork],
    *,
    stand_ins: Mapping[str, tuple[OurNetwork, str]],
    remarks: Mapping[str, tuple[str, ...]],
) -> None:
    """Refuse entries for what is no method of the table, and a method with both a network and a stand-in."""
    if unknown := (networks.keys() | stand_ins.keys() | remarks.keys()) - methods:
        raise ValueError(
            f"{table.number} of {table.paper.name} has no method {', '.join(sorted(unknown))}; "
            "write the names of networks and remarks as they stand in its lines"
        )
    if both := networks.keys() & stand_ins.keys():
        raise ValueError(
            f"{table.number} of {table.paper.name}: {', '.join(sorted(both))} has a network and a stand-in, expected "
            "one of them; what we have needs none"
        )


def _read_number(text: str, column: Column) -> PrintedValue:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} below {column.heading!r} is no printed number; write 1.2 or 1.2 ± 0.3")
    return PrintedValue(column=column, text=found["text"], spread=found["spread"] or "")
