"""One HTML file that shows what was trained and how well it does: no script, no network, light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nnunet_mamba.evaluation.protocols import score_labels
from nnunet_mamba.report.charts.line_chart import Series, line_chart
from nnunet_mamba.report.figures import Panel
from nnunet_mamba.results.confusion import ScoredCase, mean
from nnunet_mamba.results.training_logs import Epoch
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.durations import duration


@dataclass(frozen=True, kw_only=True)
class RanCommand:
    """A command that was run.

    Args:
        title: what it does, in a few words.
        command: as typed.
        seconds: wall time.
    """

    title: str
    command: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a report shows.

    Args:
        title: heading.
        summary: one or two sentences below it.
        notice: what a reader must know before believing the numbers, such as that the data are synthetic.
        cases: the scored cases, at least one.
        panels: photographs with outlines; shown from the worst case to the best.
        other: name of the second model whose outlines are in the panels.
        epochs: of the training; without them the report has no curve.
        commands: in order.
        facts: name and value: trainer, machine, versions, …
    """

    title: str
    summary: str
    notice: str
    cases: Sequence[ScoredCase]
    panels: Sequence[Panel] = ()
    other: str = ""
    epochs: Sequence[Epoch] = ()
    commands: Sequence[RanCommand] = ()
    facts: Sequence[tuple[str, str]] = ()


def render_report(report: Report) -> str:
    """Return the report as one self-contained HTML page.

    Raises:
        ValueError: the report has no case.
    """
    scores = score_labels(report.cases)
    ranked = sorted(report.cases, key=_rank)
    known = [case.dice for case in ranked if not math.isnan(case.dice)]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(score=_score, duration=duration, percent=_percent)
    return environment.get_template("demo_page.html.j2").render(
        report=report,
        scores=scores,
        mean_case_dice=mean(score.mean_case_dice for score in scores),
        pooled_dice=mean(score.pooled.dice for score in scores),
        ranked=ranked,
        spread=(known[0], median(known), known[-1]) if known else None,
        panels=sorted(report.panels, key=_rank),
        curves=_curves(report.epochs),
        total_seconds=sum(ran.seconds for ran in report.commands),
    )


def write_report(report: Report, path: Path) -> None:
    """Write the report; only a whole new one replaces an older one.

    Raises:
        ValueError: the report has no case.
    """
    page = render_report(report)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _rank(case: ScoredCase | Panel) -> tuple[float, str]:
    return (2.0 if math.isnan(case.dice) else case.dice, case.identifier)


def _curves(epochs: Sequence[Epoch]) -> list[tuple[str, list[Series], Markup]]:
    """Return title, legend and chart of the losses and of the pseudo Dice."""
    losses = [
        Series(name="training", values=[epoch.train_loss for epoch in epochs], style="first"),
        Series(name="validation", values=[epoch.validation_loss for epoch in epochs], style="second"),
    ]
    dices = [
        Series(
            name="mean of all labels, validation patches", values=[mean(e.pseudo_dice) for e in epochs], style="third"
        )
    ]
    charts = [
        ("Loss", losses, line_chart(losses, title="Loss over epochs")),
        ("Pseudo Dice", dices, line_chart(dices, title="Pseudo Dice over epochs", low=0, high=1)),
    ]
    return [chart for chart in charts if chart[2]]


def _score(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.3f}"


def _percent(value: float) -> str:
    return "0" if math.isnan(value) else f"{100 * value:.1f}"
