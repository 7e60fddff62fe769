"""The table of an external test on standard output, and what ± means below it."""

import math
from typing import TYPE_CHECKING

from nnunet_mamba.cli.output.console import results_console
from nnunet_mamba.system.counts import how_many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnunet_mamba.external_tests.external_test import ExternalTest
    from nnunet_mamba.external_tests.mean_scores import Figure, MeanScore
    from nnunet_mamba.external_tests.models_under_test import ModelGroup, ModelUnderTest


def print_external_test(test: "ExternalTest") -> None:
    """Print a row for each model and label, and one for the mean of each training's models."""
    from rich.markup import escape
    from rich.table import Table

    from nnunet_mamba.evaluation.measured_distances import EMPTY_RULE

    figures, distances = test.figures, test.first.distances
    labels = [row.label for row in test.first.scores]
    table = Table(title=f"{how_many(len(test.first.cases), 'case')} of {escape(str(test.references))}")
    table.add_column("model", overflow="fold")
    if len(labels) > 1:
        table.add_column("label", overflow="fold")
    for figure in figures:
        unit = f"\n{distances.unit}" if figure.is_length and distances is not None else ""
        table.add_column(figure.heading + unit, justify="right", no_wrap=True)
    for one in test.models:
        for row in test.evaluations[one.name].scores:
            name = [escape(_shown_name(one, test.models)), *([escape(row.label)] if len(labels) > 1 else [])]
            table.add_row(*name, *(_number(figure.of(row), figure) for figure in figures))
    table.add_section()
    means = [mean for mean in test.means if len(mean.names) > 1]
    for mean in means:
        title = f"{_group_name(mean.group, test.models)}, mean ± SD of {len(mean.names)}"
        name = [escape(title), *([escape(mean.label)] if len(labels) > 1 else [])]
        table.add_row(*name, *(_mean(mean, figure) for figure in figures))
    console = results_console()
    console.print(table)
    for text in _sentences(means, distances is not None):
        console.print(text, markup=False, soft_wrap=True)
    if distances is not None:
        console.print(f"Distances: {distances.convention_text}. {EMPTY_RULE}", markup=False, soft_wrap=True)


def _sentences(means: "Sequence[MeanScore]", is_measured: bool) -> list[str]:
    pooled = "DSC, IoU, SE, SP and ACC are of the pixels of all cases together"
    other = "Dice, HD95 and NSD are means" if is_measured else "Dice is the mean"
    found = [f"{other} over cases; {pooled}."]
    if means:
        found.append("± is the sample standard deviation over the models of a training: its folds and seeds.")
    return found


def _shown_name(one: "ModelUnderTest", models: "Sequence[ModelUnderTest]") -> str:
    """Return a model's name without plans and configuration where all models have the same."""
    parts = one.name.split("__")
    if len(parts) == 4 and len({_apart_from_trainer(other.group) for other in models}) == 1:
        return f"{parts[0]} {parts[3].replace('_', ' ')}"
    return one.name


def _group_name(group: "ModelGroup", models: "Sequence[ModelUnderTest]") -> str:
    is_told = len({_apart_from_trainer(one.group) for one in models}) == 1
    name = group.trainer if is_told else f"{group.trainer}, {', '.join(_apart_from_trainer(group))}"
    return f"{name}, folds together" if group.is_ensemble else name


def _apart_from_trainer(group: "ModelGroup") -> tuple[str, str, str]:
    return group.dataset, group.plans, group.configuration


def _mean(mean: "MeanScore", figure: "Figure") -> str:
    deviation = mean.deviations[figure.name]
    shown = _number(mean.means[figure.name], figure)
    return shown if math.isnan(deviation) else f"{shown}\n± {_number(deviation, figure)}"


def _number(value: float, figure: "Figure") -> str:
    return "n/a" if math.isnan(value) else f"{value:.{2 if figure.is_length else 4}f}"
