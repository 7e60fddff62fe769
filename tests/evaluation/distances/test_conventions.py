import math

import pytest

from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure

SURFACE, MEDPY = DistanceMeasure(), DistanceMeasure(convention="medpy")


def test_units_and_tolerances_are_told():
    assert (SURFACE.unit((1, 1)), SURFACE.unit(None), MEDPY.unit((1, 1))) == ("mm", "pixel", "pixel")
    assert (SURFACE.tolerance_in("mm"), SURFACE.tolerance_in("pixel")) == (1, 2)
    assert (DistanceMeasure(tolerance=0.5).tolerance_in("pixel"), MEDPY.tolerance_in("pixel")) == (0.5, None)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"convention": "monai"}, "convention is 'monai', expected one of surface, medpy"),
        ({"tolerance": -1.0}, "tolerance is -1.0, expected a length of 0 or more"),
        ({"tolerance": math.nan}, "tolerance is nan, expected a length of 0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        DistanceMeasure(**settings)
