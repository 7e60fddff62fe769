"""The numbers behind the charts of a report, for its page and for figures as files of their own."""

import math
from collections.abc import Sequence

from nnunet_mamba.evaluation.paper_protocols import PER_CASE, POOLED
from nnunet_mamba.report.charts.distribution_chart import Distribution
from nnunet_mamba.report.charts.interval_chart import Interval
from nnunet_mamba.report.charts.line_chart import Curves, Series
from nnunet_mamba.report.charts.scatter_points import Point
from nnunet_mamba.report.contents.dataset_report import DatasetReport
from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.report.tables.published_rows import published_points, published_protocols
from nnunet_mamba.report.tables.score_figures import OF_PROTOCOLS, ModelFigures
from nnunet_mamba.results.confusion import mean

DIFFERENCE_TITLE = "difference of Dice"


def scatter_points(report: DatasetReport, figures: Sequence[ModelFigures]) -> list[Point]:
    """Return the models, and the published rows where they are shown, as points of Dice over parameters.

    Args:
        report: that is shown.
        figures: of its models.
    """
    points = []
    for model in figures:
        dice, cost = model.mean(OF_PROTOCOLS[_scattered(report)]["dice"]), model.model.cost
        points.append(
            Point(
                name=short_name(model.model.name),
                # The chart tells of points without a place.
                x=math.nan if cost is None else cost.n_parameters,
                y=dice.value,
                amount=math.nan if cost is None else cost.multiply_adds,
                spread=dice.spread,
            )
        )
    for row in [] if report.papers is None else published_points(report.papers):
        amount = math.nan if row.multiply_adds is None else row.multiply_adds
        points.append(Point(name=row.name, x=row.n_parameters, y=row.dice, amount=amount, is_published=True))
    return points


def scatter_title(report: DatasetReport) -> str:
    """Return what the points of the scatter are, as the title of their axis."""
    protocol = _scattered(report)
    titles = {PER_CASE: "Dice, mean over cases", POOLED: "DSC, pooled pixels"}
    return titles.get(protocol, f"Dice, {protocol}")


def _scattered(report: DatasetReport) -> str:
    """Return the protocol of the scatter: that of the papers which are shown beside it."""
    protocols = [] if report.papers is None else published_protocols(report.papers)
    return next((protocol for protocol in protocols if "dice" in OF_PROTOCOLS[protocol]), PER_CASE)


def short_name(name: str) -> str:
    """Return a trainer's name without the word that all of them begin with."""
    rest = name.removeprefix("nnUNetTrainer")
    # nnU-Net's own trainer has no other name.
    return rest if rest[:1].isalpha() else name


def distributions(report: DatasetReport) -> list[Distribution]:
    """Return the Dice of every case, by model."""
    return [
        Distribution(name=short_name(model.name), values=list(model.case_dice().values())) for model in report.models
    ]


def intervals(report: DatasetReport) -> list[Interval]:
    """Return the paired difference of each pair of models."""
    return [
        Interval(
            first=short_name(row.first),
            second=short_name(row.second),
            value=row.values.difference,
            low=row.values.low,
            high=row.values.high,
            is_shown=row.is_shown,
        )
        for row in ([] if report.comparison is None else report.comparison.main_rows)
    ]


def training_curves(models: Sequence[ReportedModel]) -> list[Curves]:
    """Return the losses and the pseudo Dice of all folds and seeds, whatever of it is known."""
    charts = []
    for title, value in (
        ("Loss on the training patches", lambda epoch: epoch.train_loss),
        ("Loss on the validation patches", lambda epoch: epoch.validation_loss),
        ("Pseudo Dice", lambda epoch: mean(epoch.pseudo_dice)),
    ):
        lines = [
            Series(name=short_name(model.name), values=[value(epoch) for epoch in epochs], style=f"model-{place}")
            for place, model in enumerate(models)
            for epochs in model.epochs.values()
        ]
        is_dice = title == "Pseudo Dice"
        if any(math.isfinite(number) for line in lines for number in line.values):
            charts.append(Curves(title=title, series=lines, low=0 if is_dice else None, high=1 if is_dice else None))
    return charts
