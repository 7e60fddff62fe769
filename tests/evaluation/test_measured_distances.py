import math
import re

import pytest

from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure, MaskDistances
from nnunet_mamba.evaluation.measured_distances import MeanDistances, MeasuredDistances

SCORED = MaskDistances(hd95=4.0, assd=1.0, nsd=0.5)
BY_CASE = {
    "a": {"lesion": SCORED},
    "b": {"lesion": MaskDistances(hd95=math.nan, assd=math.nan, nsd=math.nan)},
    "c": {"lesion": MaskDistances(hd95=8.0, assd=2.0, nsd=0.0)},
}


def measured(unit="mm", **settings):
    return MeasuredDistances(by_case=BY_CASE, measure=DistanceMeasure(**settings), unit=unit)


def test_means_leave_out_what_has_no_score():
    distances = measured()
    means = MeanDistances.over(distances.of_label("lesion"), distances.unit)
    assert (means.hd95, means.assd, means.nsd, means.unit) == (6, 1.5, 0.25, "mm")
    nothing = MeanDistances.over([BY_CASE["b"]["lesion"]], "mm")
    assert math.isnan(nothing.hd95)


@pytest.mark.parametrize(
    ("unit", "settings", "text"),
    [
        ("mm", {}, "HD95 the larger of the two directions; NSD with a tolerance of 1 mm"),
        ("pixel", {}, "NSD with a tolerance of 2 pixels"),
        ("pixel", {"tolerance": 1.0}, "NSD with a tolerance of 1 pixel"),
        ("pixel", {"convention": "medpy"}, "as medpy and the Synapse papers: .* in voxels"),
    ],
)
def test_the_convention_and_its_tolerance_are_said_together(unit, settings, text):
    distances = measured(unit, **settings)
    assert re.search(f"{text}$", distances.convention_text)
    assert distances.as_dict()["nsd_tolerance"] == distances.tolerance


def test_how_empty_masks_count_goes_with_the_figures():
    assert "HD95 and ASSD are the diagonal of the image" in measured().as_dict()["empty_masks"]
