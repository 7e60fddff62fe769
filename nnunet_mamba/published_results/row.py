"""What a published row is: one method on one data set, with its numbers as a table prints them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

DICE, IOU = "dice", "iou"
SENSITIVITY, SPECIFICITY, ACCURACY = "sensitivity", "specificity", "accuracy"
HD95 = "hd95"
PARAMETERS, FLOPS = "parameters", "flops"
RATIOS = (DICE, IOU, SENSITIVITY, SPECIFICITY, ACCURACY)
METRICS = (*RATIOS, HD95, PARAMETERS, FLOPS)
# How many of our own units one of the printed ones is.
UNITS: Mapping[str, float] = MappingProxyType({"": 1.0, "%": 0.01, "mm": 1.0, "M": 1e6, "G": 1e9})


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Who published a table.

    Args:
        name: what ``published_rows`` calls the paper.
        title: of the paper.
        authors: the first one, or both of two.
        year: of its first publication.
        source: its number in arXiv where it has one, and its code.
        remarks: what is odd in the paper as a whole.
    """

    name: str
    title: str
    authors: str
    year: int
    source: str
    remarks: tuple[str, ...] = ()

    @property
    def citation(self) -> str:
        """Authors, year and source."""
        return f"{self.authors} {self.year}, {self.source}"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a row was measured on, and how.

    Args:
        dataset: what ``published_rows`` calls the data set.
        split: the images as the paper states them.
        n_test: test images, or cases of volumes; None where the paper states no number.
        protocol: how the scores were averaged, a name of ``evaluation.paper_protocols.PROTOCOLS``.
        image_size: pixels of the images that the network took; "" where the paper or the row says otherwise.
        split_name: our split of these sizes, a name of ``data.splits.published_splits``; "" where the paper has too
            few numbers for one.
        spread: what a ± is over; "" where none is printed.
        notes: what else a figure beside it must know.
    """

    dataset: str
    split: str
    n_test: int | None
    protocol: str
    image_size: str = ""
    split_name: str = ""
    spread: str = ""
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Data set, split, protocol and image size in one line."""
        told = (self.split, f"protocol: {self.protocol}", self.image_size and f"images of {self.image_size}")
        return f"{self.dataset}: {'; '.join(filter(None, told))}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """One printed table.

    Args:
        paper: that prints it.
        number: as printed, with "Table".
        topic: what it compares.
        is_ablation: whether it varies the paper's own network.
        remarks: what is odd in the table as a whole.
    """

    paper: Paper
    number: str
    topic: str
    is_ablation: bool = False
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of numbers.

    Args:
        heading: as printed, without an arrow.
        metric: of ``METRICS``. The papers' FLOPs are multiply-adds.
        unit: of ``UNITS``.
        label: the organ that it is about; "" for the mean or for the only label.
        dataset: that it is about; "" for all of the table's.
    """

    heading: str
    metric: str
    unit: str = ""
    label: str = ""
    dataset: str = ""


@dataclass(frozen=True, kw_only=True)
class PrintedValue:
    """One number of a row.

    Args:
        column: where it stands.
        text: as printed, with all its decimals.
        spread: what is printed behind ±; "" without.
    """

    column: Column
    text: str
    spread: str = ""

    @property
    def value(self) -> float:
        """The number in our own units: 0 to 1 for a ratio, one for a parameter or an operation, mm for a distance."""
        return float(self.text) * UNITS[self.column.unit]

    @property
    def rounding(self) -> float:
        """Half a unit of the last printed decimal, in the units of ``value``."""
        n_decimals = len(self.text.partition(".")[2])
        return 0.5 * 10.0**-n_decimals * UNITS[self.column.unit]

    @property
    def shown(self) -> str:
        """The number as printed, with its ±."""
        return f"{self.text} ± {self.spread}" if self.spread else self.text


@dataclass(frozen=True, kw_only=True)
class OurNetwork:
    """A network that we have, too.

    Args:
        preset: its name in ``presets.PRESETS``.
        overrides: arguments of ``create_network`` beside it, which make the network of an ablation.
        trainer: name of ours, where the row was trained in another way than by the preset's own trainer; "" elsewhere.
            ``presets.trainer_names.trainer_of`` takes all three.
    """

    preset: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    trainer: str = ""

    @property
    def shown(self) -> str:
        """Its name, its overrides as they are written in Python, and the trainer if it is not the preset's own."""
        overrides = (f"{name}={value!r}" for name, value in self.overrides.items())
        return ", ".join([self.preset, *overrides]) + (f" by {self.trainer}" if self.trainer else "")


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """What a table prints of one method on one data set.

    Args:
        table: that prints it.
        setting: data set, split and protocol.
        method: its name as printed, without reference numbers and without "(Ours)".
        values: the numbers in the order of the table; what it leaves out with a dash is not among them.
        network: the same network as we have it; None for the others.
        stand_in: where we have not, the nearest that we have: another network, which a remark of the row compares
            with the printed one; None where there is none, too.
        remarks: what is odd in this row; those of its table, setting and paper belong to it, too.
    """

    table: Table
    setting: Setting
    method: str
    values: tuple[PrintedValue, ...]
    network: OurNetwork | None = None
    stand_in: OurNetwork | None = None
    remarks: tuple[str, ...] = ()

    @property
    def shown_network(self) -> str:
        """Our network, or what stands in for it and is called so; "" where we have neither."""
        if self.network is not None:
            return self.network.shown
        return "" if self.stand_in is None else f"stand-in: {self.stand_in.shown}"

    def printed(self, metric: str, label: str = "") -> PrintedValue | None:
        """Return what is printed of a metric, None if nothing is.

        Args:
            metric: of ``METRICS``.
            label: an organ; "" is the mean or the only label.
        """
        found = (each for each in self.values if (each.column.metric, each.column.label) == (metric, label))
        return next(found, None)


def columns_of(rows: Sequence[PublishedRow]) -> tuple[Column, ...]:
    """Return the columns of some rows of one table and data set, in the order of the table.

    Args:
        rows: at least one; where one has a dash, another has a number.
    """
    longest_first = sorted(rows, key=lambda row: -len(row.values))
    return tuple(dict.fromkeys(value.column for row in longest_first for value in row.values))
