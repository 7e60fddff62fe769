import math
import statistics

import pytest

from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure, MaskDistances
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.report.contents.reported_model import NetworkCost, ReportedModel
from nnunet_mamba.report.tables.score_figures import model_figures, spread_text
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


def test_one_training_has_the_figure_of_all_cases_and_the_deviation_over_folds(reported):
    found = model_figures(reported()).of_mean
    assert found["dice"].value == pytest.approx((1 + dice(10) + dice(5)) / 3)
    assert found["dice"].spread == pytest.approx(statistics.stdev([(1 + dice(10)) / 2, dice(5)]))
    # 35 of 60 pixels are found.
    assert found["pooled_dsc"].value == pytest.approx(70 / 95)
    assert found["pooled_sensitivity"].value == pytest.approx(35 / 60)
    assert found["pooled_sensitivity"].spread == pytest.approx(statistics.stdev([30 / 40, 5 / 20]))
    assert (
        spread_text([reported()]) == "Figures of all cases with the standard deviation over folds, each scored alone."
    )


def test_several_seeds_have_their_mean_and_the_deviation_over_them(reported):
    model = reported("A", FOUND, {"a": 10, "b": 10, "c": 5})
    means = [(1 + dice(10) + dice(5)) / 3, (2 * dice(10) + dice(5)) / 3]
    found = model_figures(model).of_mean["dice"]
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
    assert math.isnan(model_figures(model).of_mean["dice"].spread)
    assert spread_text([model]) == ""


def test_a_case_without_label_and_prediction_is_in_no_mean(reported):
    empty = Confusion(tp=0, fp=0, fn=0, tn=100)
    found = model_figures(reported("A", {**FOUND, "c": empty})).of_mean["dice"]
    assert found.value == pytest.approx((1 + dice(10)) / 2)


def test_distances_stand_beside_dice_with_their_unit(reported):
    each = {
        name: {"lesion": MaskDistances(hd95=hd95, assd=1.0, nsd=0.5)}
        for name, hd95 in zip("abc", (2, 4, 9), strict=True)
    }
    measured = MeasuredDistances(by_case=each, measure=DistanceMeasure(), unit="mm")
    table = per_case_table([reported(distances=measured)])
    assert [column.title for column in table.columns] == ["Dice", "IoU", "HD95 (mm)", "NSD"]
    assert table.shown(table.rows[0], table.columns[2]) == "5.00 ± 4.24"
    assert any("tolerance of 1 mm" in note for note in table.notes)
    assert label_table([reported(distances=measured)], "hd95").title == "HD95 in mm of each label, mean over cases"


def test_costs_are_shown_as_far_as_they_are_known(reported):
    cost = NetworkCost(
        n_parameters=49_425, multiply_adds=60_000_000, flops=150_000_000, latency_ms=None, image_shape=(3, 256, 256)
    )
    with_cost = ReportedModel(name="A", repeats=reported().repeats, cost=cost)
    table = per_case_table([with_cost, reported("B")])
    assert [column.heading for column in table.columns] == ["Dice", "IoU", "parameters", "GMACs", "GFLOPs"]
    assert [table.shown(row, table.columns[3]) for row in table.rows] == ["0.060", "–"]
    assert any("3×256×256" in note for note in table.notes)


def test_the_pooled_table_is_that_of_the_skin_papers(reported):
    table = pooled_table([reported()])
    assert [column.heading for column in table.columns] == ["DSC", "IoU", "SE", "SP", "ACC"]
    assert table.shown(table.rows[0], table.columns[0]).startswith("0.7368 ±")
