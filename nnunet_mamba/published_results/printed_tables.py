"""Tables as text, line by line as the papers print them, read into rows."""

import re
from collections.abc import Mapping, Sequence
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
        remarks: on methods.

    Returns:
        A row for each data set and method, in this order.

    Raises:
        ValueError: a line has other than a name and a number for each column, or a remark or network names no method.
    """
    cells = [_BETWEEN_CELLS.split(line.strip()) for line in lines.strip().splitlines()]
    for method, *numbers in cells:
        if len(numbers) != len(columns):
            raise ValueError(
                f"{table.number} of {table.paper.name}, {method!r}: {len(numbers)} numbers, expected {len(columns)}; "
                "put two spaces between them"
            )
    if unknown := (networks.keys() | remarks.keys()) - {method for method, *_ in cells}:
        raise ValueError(
            f"{table.number} of {table.paper.name} has no method {', '.join(sorted(unknown))}; "
            "write the names of networks and remarks as they stand in its lines"
        )
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
            remarks=remarks.get(method, ()),
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


def _read_number(text: str, column: Column) -> PrintedValue:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} below {column.heading!r} is no printed number; write 1.2 or 1.2 ± 0.3")
    return PrintedValue(column=column, text=found["text"], spread=found["spread"] or "")
