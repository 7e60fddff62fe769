"""The page about a data set's trainings: one self-contained HTML file, no script, no network, light and dark."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nnunet_mamba.comparison.sentences import sentences
from nnunet_mamba.report.charts.bar_chart import Bar, bar_chart
from nnunet_mamba.report.charts.colours import model_styles
from nnunet_mamba.report.charts.distribution_chart import distribution_chart
from nnunet_mamba.report.charts.interval_chart import interval_chart
from nnunet_mamba.report.charts.line_chart import line_chart
from nnunet_mamba.report.charts.scatter_chart import scatter_chart
from nnunet_mamba.report.contents.case_panels import CasePanel
from nnunet_mamba.report.contents.chosen_cases import MISSED_BELOW
from nnunet_mamba.report.contents.dataset_report import DatasetReport
from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.report.figure_data import (
    DIFFERENCE_TITLE,
    distributions,
    intervals,
    scatter_points,
    scatter_title,
    short_name,
    training_curves,
)
from nnunet_mamba.report.tables.as_html import as_html
from nnunet_mamba.report.tables.difference_table import difference_table
from nnunet_mamba.report.tables.published_table import published_label_table, published_table
from nnunet_mamba.report.tables.score_figures import ModelFigures, model_figures
from nnunet_mamba.report.tables.score_tables import label_table, per_case_table, pooled_table
from nnunet_mamba.report.tables.table import NOTHING, Table
from nnunet_mamba.results.confusion import mean
from nnunet_mamba.system.counts import how_many

_HERE = Path(__file__).parent
# On dark and light pictures, with a dark edge; the reference has its own.
_OUTLINES = ("#ffe81a", "#ff9e4a", "#3fce9e", "#ff9ad5", "#ffffff", "#b8a1ff", "#c8e65a", "#ff6b5e")
# Outlines differ in more than their colour.
_DASHES = ("none", "7 2", "2 2.5", "9 2 2 2", "4 4", "1 3", "12 3", "6 2 1 2")
_PUBLISHED = (published_table, published_label_table)


@dataclass(frozen=True, kw_only=True)
class _Chart:
    title: str
    svg: Markup
    legend: Markup = field(default_factory=Markup)


@dataclass(frozen=True, kw_only=True)
class _Section:
    anchor: str
    title: str
    lead: Sequence[str] = ()
    charts: Sequence[_Chart] = ()
    tables: Sequence[Table] = ()
    panels: Sequence[CasePanel] = ()
    models: Sequence[str] = ()
    notes: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class PageContent:
    """What is on a page and in the files beside it, made once for both.

    Args:
        report: that is shown.
        figures: of its models, in their order.
        sections: of the page.
    """

    report: DatasetReport
    figures: Sequence[ModelFigures]
    sections: Sequence[_Section]

    @property
    def tables(self) -> list[Table]:
        """All tables of the page, in its order."""
        return [table for section in self.sections for table in section.tables]


def page_content(report: DatasetReport) -> PageContent:
    """Score the models, and make all tables and charts of the page.

    Args:
        report: with at least one model.
    """
    figures = [model_figures(model) for model in report.models]
    sections = [section for section in _sections(report, figures) if section is not None]
    return PageContent(report=report, figures=figures, sections=sections)


def render_page(content: PageContent) -> str:
    """Return the page.

    Args:
        content: of the page.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    report = content.report
    n_cases = len(report.models[0].identifiers)
    n_models = len(report.models)
    return environment.get_template("dataset_page.html.j2").render(
        title=f"{report.dataset}: {how_many(n_models, 'trainer')}, {how_many(n_cases, 'case')}",
        summary=_summary(report, content.figures),
        notice=(
            "Every case is predicted by the fold that has not trained on it. Figures of two protocols are not "
            "comparable: the heading of each table names its own. Research only: none of these models is a medical "
            "device."
        ),
        sections=[_for_page(section) for section in content.sections],
        chart_styles=Markup(_styles(n_models)),
    )


def _summary(report: DatasetReport, figures: Sequence[ModelFigures]) -> str:
    dice = {model.model.name: model.mean("dice").value for model in figures}
    best = max(dice, key=lambda name: (not math.isnan(dice[name]), dice[name]))
    told = f"The highest mean per-case Dice is {dice[best]:.3f}, of {best}."
    if report.comparison is not None and len(report.models) == 2:
        told += f" {sentences(report.comparison)[0]}"
    return told


def _sections(report: DatasetReport, figures: Sequence[ModelFigures]) -> Iterator[_Section | None]:
    models = report.models
    names = [short_name(model.name) for model in models]
    yield _Section(anchor="scores", title="Scores", tables=[per_case_table(figures), pooled_table(figures)])
    if report.papers is not None:
        yield _Section(
            anchor="published",
            title="Published by others",
            lead=["What papers print, each on its own split, below the figures of these trainings in their protocol."],
            tables=list(filter(None, (each(report.papers, figures) for each in _PUBLISHED))),
        )
    yield _scatter(report, figures)
    yield _Section(
        anchor="cases",
        title="Dice of every case",
        lead=["A dot is a case, the box holds the middle half, its line is the median, and the diamond the mean."],
        charts=[_Chart(title="", svg=distribution_chart(distributions(report), title="Dice of cases", x_title="Dice"))],
    )
    yield _differences(report)
    if len(models[0].repeats[0].label_names) > 1:
        has_distances = models[0].repeats[0].distances is not None
        keys = ["dice", "hd95"] if has_distances else ["dice"]
        yield _Section(anchor="labels", title="Labels and regions", tables=[label_table(figures, key) for key in keys])
    if report.extremes:
        yield _Section(
            anchor="outlines",
            title="Best, median and worst case",
            lead=["By the mean Dice of all trainers; of several seeds, the outlines of the first are shown."],
            panels=report.extremes,
            models=names,
            notes=report.undrawn,
        )
    yield _Section(
        anchor="missed",
        title="Cases that all trainers miss",
        lead=[_missed_text(report)],
        panels=report.missed,
        models=names,
        notes=() if report.extremes else report.undrawn,
    )
    yield _curves(models)
    yield _classes(report)
    yield _Section(anchor="facts", title="How this was made", facts=report.facts)


def _scatter(report: DatasetReport, figures: Sequence[ModelFigures]) -> _Section | None:
    chart = scatter_chart(
        scatter_points(report, figures),
        title=f"{scatter_title(report)}, over parameters",
        x_title="million parameters",
        y_title=scatter_title(report),
        amount_title="GMACs of one image",
    )
    if not chart:
        return None
    text = f"Circles were measured here: {scatter_title(report)}, with ± over folds or seeds."
    if report.papers is not None:
        text += " Hollow diamonds are published, by other hands, on other splits: look at their order, not at the gap."
    return _Section(anchor="sizes", title="Dice and size", lead=[text], charts=[_Chart(title="", svg=chart)])


def _differences(report: DatasetReport) -> _Section | None:
    comparison = report.comparison
    if comparison is None:
        return None
    chart = interval_chart(intervals(report), title="Paired differences of Dice", x_title=DIFFERENCE_TITLE)
    return _Section(
        anchor="differences",
        title="Which trainer is better",
        lead=sentences(comparison),
        charts=[_Chart(title="", svg=chart)],
        tables=[difference_table(comparison)],
        notes=[
            "A filled mark is a difference that is shown; right of the line the trainer that is named first is better.",
            *report.comparison_notes,
        ],
    )


def _missed_text(report: DatasetReport) -> str:
    n_all = len(report.models[0].identifiers)
    if not report.n_missed:
        return f"None of {n_all}: in each case some trainer has a Dice of {MISSED_BELOW:g} or more."
    text = f"{report.n_missed} of {n_all}: no trainer has a Dice of {MISSED_BELOW:g}."
    if 0 < len(report.missed) < report.n_missed:
        text += f" Shown: {len(report.missed)} of the worst."
    return text


def _curves(models: Sequence[ReportedModel]) -> _Section | None:
    charts = [
        _Chart(
            title=curves.title,
            svg=line_chart(curves.series, title=curves.title, low=curves.low, high=curves.high),
            legend=_legend(models),
        )
        for curves in training_curves(models)
    ]
    if not charts:
        return None
    return _Section(
        anchor="trainings",
        title="Trainings",
        lead=["A line for each fold and seed, as nnU-Net logs them. Its pseudo Dice is an estimate on random patches."],
        charts=charts,
    )


def _legend(models: Sequence[ReportedModel]) -> Markup:
    entry = Markup('<span><i class="model-{}"></i>{}</span>')
    return Markup("").join(entry.format(place, short_name(model.name)) for place, model in enumerate(models))


def _classes(report: DatasetReport) -> _Section:
    bars = [
        Bar(
            name=each.label,
            share=each.share,
            text=f"{100 * each.share:.3g} %, in {each.n_cases} of {how_many(each.of_cases, 'case')}",
        )
        for each in report.classes
    ]
    return _Section(
        anchor="classes",
        title="Labels in the data",
        lead=["Share of all pixels or voxels in the references of the cases above."],
        charts=[_Chart(title="", svg=bar_chart(bars, title="Share of each label"))],
    )


def _for_page(section: _Section) -> dict[str, object]:
    return {
        **{name: getattr(section, name) for name in ("anchor", "title", "lead", "models", "notes", "facts")},
        "charts": [chart for chart in section.charts if chart.svg],
        "tables": [
            {"title": table.title, "html": as_html(table), "notes": table.notes, "footnotes": table.footnotes}
            for table in section.tables
        ],
        "panels": [_panel_for_page(panel) for panel in section.panels],
    }


def _panel_for_page(panel: CasePanel) -> dict[str, object]:
    case = panel.case
    dice = mean(case.dice)
    caption = ", ".join(filter(None, (case.identifier, case.why if case.why != "missed" else "", panel.slice_text)))
    return {
        **{name: getattr(panel, name) for name in ("image", "width", "height", "aspect", "reference", "predictions")},
        "alt": f"Case {case.identifier} with the outlines of reference and predictions",
        "caption": caption,
        "dice": NOTHING if math.isnan(dice) else f"{dice:.3f}",
    }


def _styles(n_models: int) -> str:
    rules = [(_HERE / "charts" / "charts.css").read_text(encoding="utf-8"), model_styles(n_models)]
    for place in range(n_models):
        outline, dash = _OUTLINES[place % len(_OUTLINES)], _DASHES[place % len(_DASHES)]
        rules.append(f".shape .model-{place} {{ stroke: {outline}; stroke-width: 1.8; stroke-dasharray: {dash}; }}")
    return "\n".join(rules)
