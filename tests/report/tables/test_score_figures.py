import math
import statistics
from dataclasses import replace

import pytest
from latex_checks import refuse_malformed

from nnunet_mamba.evaluation.distances.conventions import MEDPY, SURFACE, DistanceMeasure, MaskDistances
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.evaluation.paper_protocols import protocol_scores
from nnunet_mamba.report.contents.reported_model import NetworkCost, ReportedModel
from nnunet_mamba.report.tables.as_latex import as_latex
from nnunet_mamba.report.tables.score_figures import OF_PROTOCOLS, model_figures, spread_text
from nnunet_mamba.report.tables.score_tables import label_table, per_case_table, pooled_table
from nnunet_mamba.results.confusion import Confusion

FOLDS = {"a": "0", "b": "0", "c": "1"}
# Dice of 20 pixels of which so many are found: 2 n / (20 + n).
FOUND = {"a": 20, "b": 10, "c": 5}


def dice(n):
    return 2 * n / (20 + n)


@pytest.fixture
def reported(make_model):
    def make(name="A", *found, folds=None, **options):
        repeats = [make_model(name, each, folds=folds or FOLDS, **options) for each in found or (FOUND,)]
        return ReportedModel(name=name, repeats=repeats)

    return make


@pytest.fixture
def figures(reported):
    """The figures of a model that is reported."""
    return lambda *arguments, **options: model_figures(reported(*arguments, **options))


def test_one_training_has_the_figure_of_all_cases_and_the_deviation_over_folds(reported):
    found = model_figures(reported()).mean
    assert found("dice").value == pytest.approx((1 + dice(10) + dice(5)) / 3)
    assert found("dice").spread == pytest.approx(statistics.stdev([(1 + dice(10)) / 2, dice(5)]))
    # 35 of 60 pixels are found.
    assert found("pooled_dsc").value == pytest.approx(70 / 95)
    assert found("pooled_sensitivity").value == pytest.approx(35 / 60)
    assert found("pooled_sensitivity").spread == pytest.approx(statistics.stdev([30 / 40, 5 / 20]))
    assert (
        spread_text([reported()]) == "Figures of all cases with the standard deviation over folds, each scored alone."
    )


def test_several_seeds_have_their_mean_and_the_deviation_over_them(reported):
    model = reported("A", FOUND, {"a": 10, "b": 10, "c": 5})
    means = [(1 + dice(10) + dice(5)) / 3, (2 * dice(10) + dice(5)) / 3]
    found = model_figures(model).mean("dice")
    assert (found.value, found.spread) == (
        pytest.approx(statistics.fmean(means)),
        pytest.approx(statistics.stdev(means)),
    )
    assert spread_text([model]) == "Mean and standard deviation over seeds."
    assert spread_text([model, reported("B")]) == (
        "Mean and standard deviation over seeds of A; figures of all cases with the standard deviation over folds, "
        "each scored alone, of the others."
    )


def test_one_fold_has_no_deviation(reported):
    model = reported(folds=dict.fromkeys(FOUND, "0"))
    assert math.isnan(model_figures(model).mean("dice").spread)
    assert spread_text([model]) == ""


def test_a_case_without_label_and_prediction_is_in_no_mean(reported):
    empty = Confusion(tp=0, fp=0, fn=0, tn=100)
    found = model_figures(reported("A", {**FOUND, "c": empty})).mean("dice")
    assert found.value == pytest.approx((1 + dice(10)) / 2)


def test_distances_stand_beside_dice_with_their_unit(figures):
    each = {
        name: {"lesion": MaskDistances(hd95=hd95, assd=1.0, nsd=0.5)}
        for name, hd95 in zip("abc", (2, 4, 9), strict=True)
    }
    measured = MeasuredDistances(by_case=each, measure=DistanceMeasure(), unit="mm")
    table = per_case_table([figures(distances=measured)])
    assert [column.title for column in table.columns] == ["Dice", "IoU", "HD95 (mm)", "NSD"]
    assert table.shown(table.rows[0], table.columns[2]) == "5.00 ± 4.24"
    assert table.columns[2].csv_name == "hd95_mm"
    assert any("tolerance of 1 mm" in note for note in table.notes)
    assert label_table([figures(distances=measured)], "hd95").title == "HD95 in mm of each label, mean over cases"


def test_costs_are_shown_as_far_as_they_are_known(reported, figures):
    cost = NetworkCost(
        n_parameters=49_425, multiply_adds=60_000_000, flops=150_000_000, latency_ms=None, image_shape=(3, 256, 256)
    )
    with_cost = ReportedModel(name="A", repeats=reported().repeats, cost=cost)
    table = per_case_table([model_figures(with_cost), figures("B")])
    assert [column.heading for column in table.columns] == ["Dice", "IoU", "parameters", "GMACs", "GFLOPs"]
    assert [table.shown(row, table.columns[3]) for row in table.rows] == ["0.060", "–"]
    assert any("3×256×256" in note for note in table.notes)


def test_the_pooled_table_is_that_of_the_skin_papers(figures):
    table = pooled_table([figures()])
    assert [column.heading for column in table.columns] == ["DSC", "IoU", "SE", "SP", "ACC"]
    assert table.shown(table.rows[0], table.columns[0]).startswith("0.7368 ±")


def test_figures_in_the_papers_protocols_are_those_of_evaluate(reported):
    model = reported(
        "A", {"a": 20, "b": 10, "c": Confusion(tp=0, fp=9, fn=0, tn=91), "d": 0}, folds=dict.fromkeys("abcd", "0")
    )
    found = model_figures(model)
    expected = protocol_scores(model.repeats[0].cases)
    for score in expected:
        for metric, name in OF_PROTOCOLS[score.protocol].items():
            if metric in ("dice", "iou"):
                assert found.of_label("lesion", name).value == getattr(score, metric)
    # An empty reference counts as found by the Synapse papers alone.
    assert found.mean("synapse_dice").value == pytest.approx((1 + dice(10) + 1 + 0) / 4)
    assert found.mean("dice").value == pytest.approx((1 + dice(10) + 0 + 0) / 4)


def test_deviations_in_the_papers_protocols_are_over_folds(reported):
    found = model_figures(reported()).mean("batch_pooled_dice")
    # One batch each: of all cases, and of each fold.
    assert found.value == pytest.approx(70 / 95)
    assert found.spread == pytest.approx(statistics.stdev([60 / 70, dice(5)]))


def test_the_papers_distances_are_those_that_were_measured_for_them(reported):
    def measured(convention, hd95):
        each = {name: {"lesion": MaskDistances(hd95=hd95, assd=1.0, nsd=0.5)} for name in "abc"}
        return MeasuredDistances(by_case=each, measure=DistanceMeasure(convention=convention), unit="mm")

    plain = reported(distances=measured(SURFACE, 4.0))
    assert math.isnan(model_figures(plain).mean("synapse_hd95").value)
    both = replace(plain, paper_distances=[measured(MEDPY, 6.0)])
    found = model_figures(both)
    assert (found.mean("hd95").value, found.mean("synapse_hd95").value) == (4, 6)


def test_a_mean_may_be_over_some_labels(organs):
    found = organs("A")
    assert found.mean("dice", ["organ 0", "organ 12"]).value == pytest.approx((dice(20) + dice(8)) / 2)
    assert found.mean("dice").value == pytest.approx(statistics.fmean(dice(20 - label) for label in range(13)))


def test_thirteen_organs_and_their_mean_have_a_column_each(organs):
    table = label_table([organs("A"), organs("B", spoilt=5)], "dice")
    assert [column.heading for column in table.columns] == ["mean", *(f"organ {number}" for number in range(13))]
    assert [column.csv_name for column in table.columns][:2] == ["dice_mean_of_labels", "dice_organ_0"]
    first, second = table.rows
    assert [table.is_best(first, column) for column in table.columns] == [True] * 14
    assert [table.is_best(second, column) for column in table.columns] == [False] + [
        number != 5 for number in range(13)
    ]
    refuse_malformed(as_latex(table))
