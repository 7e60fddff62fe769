import math
import xml.etree.ElementTree as ET

import pytest

from nnunet_mamba.report.charts.axes import log_ticks, shortened
from nnunet_mamba.report.charts.bar_chart import Bar, bar_chart
from nnunet_mamba.report.charts.colours import UNKNOWN, amount_colour, log_share
from nnunet_mamba.report.charts.distribution_chart import Distribution, distribution_chart
from nnunet_mamba.report.charts.interval_chart import Interval, interval_chart
from nnunet_mamba.report.charts.label_places import free_place
from nnunet_mamba.report.charts.scatter_chart import Point, scatter_chart

TITLES = {"title": "A & B", "x_title": "parameters", "y_title": "Dice", "amount_title": "GMACs"}


def elements(chart, name):
    return [each for each in ET.fromstring(str(chart)).iter() if each.tag.endswith(name)]


def place(circle):
    return float(circle.get("cx")), float(circle.get("cy"))


def test_the_scatter_is_logarithmic_and_higher_scores_are_higher():
    points = [Point(name=str(x), x=x, y=y) for x, y in ((1e4, 0.5), (1e5, 0.6), (1e6, 0.7))]
    (x1, y1), (x2, y2), (x3, y3) = sorted(map(place, elements(scatter_chart(points, **TITLES), "circle")))
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y1 > y2 > y3


def test_published_points_have_another_shape_and_unknown_amounts_no_colour():
    points = [Point(name="a", x=1e4, y=0.5, amount=1e9), Point(name="b", x=1e5, y=0.6, is_published=True)]
    chart = scatter_chart(points, **TITLES)
    assert len(elements(chart, "circle")) == 1
    (diamond,) = [each for each in elements(chart, "path") if "published" in each.get("class")]
    assert diamond.get("fill") == UNKNOWN
    assert "A & B" in ET.fromstring(str(chart)).get("aria-label")


def test_crowded_names_never_overlap():
    points = [Point(name=f"network number {n}", x=1e5 * (1 + n / 50), y=0.8 + n / 1000) for n in range(12)]
    names = [each for each in elements(scatter_chart(points, **TITLES), "text") if each.get("class") == "name"]
    boxes = [(float(each.get("x")), float(each.get("y")), 6.4 * len(each.text)) for each in names]
    assert 1 < len(boxes) <= 12
    for index, (x, y, width) in enumerate(boxes):
        assert all(
            abs(y - other_y) >= 14 or x + width <= other_x or other_x + other_width <= x
            for other_x, other_y, other_width in boxes[:index]
        )


@pytest.mark.parametrize("points", [[], [Point(name="a", x=0, y=0.5)], [Point(name="a", x=1e5, y=math.nan)]])
def test_nothing_to_scatter_is_no_chart(points):
    assert scatter_chart(points, **TITLES) == ""


def test_equal_points_are_drawn_too():
    points = [Point(name=name, x=1e5, y=0.5, amount=1e9) for name in "ab"]
    assert len(elements(scatter_chart(points, **TITLES), "circle")) == 2


def test_a_name_beside_the_edge_goes_to_the_other_side():
    area = (0.0, 0.0, 100.0, 100.0)
    assert free_place((90, 50), (40, 10), [], area=area, gap=5) == (45, 45, 40, 10)
    assert free_place((50, 50), (200, 10), [], area=area, gap=5) is None
    taken = [(55.0, 45.0, 40.0, 10.0)]
    assert free_place((50, 50), (40, 10), taken, area=area, gap=5) == (5, 45, 40, 10)


def test_a_distribution_has_its_median_and_mean_at_their_places():
    chart = distribution_chart([Distribution(name="A", values=[0.0, 0.5, 1.0, math.nan])], title="D", x_title="Dice")
    (median,) = [each for each in elements(chart, "line") if each.get("class") == "median"]
    assert float(median.get("x1")) == pytest.approx(260, abs=0.1)
    (dots,) = [each for each in elements(chart, "path") if each.get("class") == "dots"]
    assert dots.get("d").count("M") == 3


def test_many_cases_make_no_large_chart():
    rows = [Distribution(name=str(n), values=[i / 10_000 for i in range(10_000)]) for n in range(5)]
    assert len(distribution_chart(rows, title="D", x_title="Dice")) < 60_000
    assert distribution_chart([Distribution(name="A", values=[math.nan])], title="D", x_title="Dice") == ""


def test_intervals_lie_around_zero_and_shown_ones_are_filled():
    rows = [
        Interval(first="A", second="B", value=0.1, low=0.05, high=0.15, is_shown=True),
        Interval(first="A", second="C", value=-0.1, low=math.nan, high=math.nan),
    ]
    chart = interval_chart(rows, title="I", x_title="difference")
    right, left = elements(chart, "circle")
    (zero,) = [each for each in elements(chart, "line") if each.get("class") == "zero"]
    assert float(left.get("cx")) < float(zero.get("x1")) < float(right.get("cx"))
    assert [each.get("class") for each in (right, left)] == ["estimate shown", "estimate"]
    assert len([each for each in elements(chart, "line") if each.get("class") == "interval"]) == 1
    assert interval_chart([], title="I", x_title="") == ""


def test_bars_are_as_long_as_their_shares():
    bars = [Bar(name="a", share=0.2, text="20 %"), Bar(name="b", share=0.05, text="5 %")]
    lengths = [float(each.get("width")) for each in elements(bar_chart(bars, title="B"), "rect")]
    assert lengths[0] == pytest.approx(4 * lengths[1], abs=0.2)
    assert bar_chart([], title="B") == ""
    assert len(elements(bar_chart([Bar(name="a", share=0.0, text="0 %")], title="B"), "rect")) == 1


def test_amounts_go_from_dark_to_light():
    assert (amount_colour(0), amount_colour(1), amount_colour(math.nan)) == ("#00224e", "#fee838", UNKNOWN)
    assert log_share(10, [1, 100]) == pytest.approx(0.5)
    assert math.isnan(log_share(math.nan, [1, 100]))
    assert log_share(5, [5, 5]) == 0.5


def test_ticks_of_a_logarithmic_axis_are_round():
    assert log_ticks(1e4, 1e8) == [1e4, 1e5, 1e6, 1e7, 1e8]
    assert log_ticks(3e4, 3e5) == [5e4, 1e5, 2e5]


def test_long_names_keep_both_ends():
    assert shortened("nnUNetTrainerUltraLightVM_20epochs", 15) == "nnUNetT…0epochs"
    assert shortened("short", 15) == "short"
