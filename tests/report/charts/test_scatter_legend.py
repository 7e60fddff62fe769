import math

import pytest
from drawn_charts import elements, texts

from nnunet_mamba.report.charts.scatter_chart import scatter_chart
from nnunet_mamba.report.charts.scatter_legend import amount_ticks
from nnunet_mamba.report.charts.scatter_points import Point


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.06, 4.1, [0.1, 0.3, 1, 3]),
        (0.06, 0.22, [0.1, 0.2]),
        (0.01, 100, [0.01, 0.1, 1, 10, 100][::2]),
        (0.5, 6000, [1, 10, 100, 1000]),
        (1.1, 1.3, [1.1, 1.3]),
        (3, 3, [3]),
    ],
)
def test_ticks_of_colours_are_few_and_round(low, high, found):
    assert amount_ticks(low, high) == found


@pytest.mark.parametrize("exponent", range(-3, 6))
@pytest.mark.parametrize("ratio", [1.02, 1.9, 7, 40, 900, 1e6])
def test_there_are_two_to_four_ticks_within(exponent, ratio):
    low = 1.7 * 10.0**exponent
    found = amount_ticks(low, ratio * low)
    assert 2 <= len(found) <= 4
    assert all(0.99 * low <= tick <= 1.01 * ratio * low for tick in found)


def test_numbers_stand_below_their_colours():
    points = [Point(name="a", x=1e5, y=0.5, amount=1e8), Point(name="b", x=1e5, y=0.6, amount=1e10)]
    chart = scatter_chart(points, title="T", x_title="x", y_title="y", amount_title="GMACs of one image")
    assert "GMACs of one image" in texts(chart)
    places = [float(tick.get("x1")) for tick in elements(chart, "line", "tick")]
    numbers = [text for text in texts(chart) if text in ("0.1", "1", "10")]
    assert numbers[-3:] == ["0.1", "1", "10"]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)
    cells = elements(chart, "rect", "amount")
    assert math.isclose(float(cells[0].get("x")), places[0], abs_tol=0.1)
