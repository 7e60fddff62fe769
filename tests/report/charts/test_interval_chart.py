import math
import re

import pytest
from drawn_charts import elements, texts

from nnunet_mamba.report.charts.axes import WIDTH
from nnunet_mamba.report.charts.interval_chart import UNKNOWN_BOUNDS, UNKNOWN_VALUE, Interval, interval_chart
from nnunet_mamba.report.charts.lettering import text_width

TITLES = {"title": "I", "x_title": "difference"}
LONG = "nnUNetTrainerUltraLightVMNoMamba_robust_20epochs_seed1"
SHOWN = Interval(first="A", second="B", value=0.1, low=0.05, high=0.15, is_shown=True)
UNKNOWN = Interval(first="A", second="C", value=-0.1, low=math.nan, high=math.nan)


def test_intervals_lie_around_zero_and_shown_ones_are_filled():
    chart = interval_chart([SHOWN, UNKNOWN], **TITLES)
    right, left = elements(chart, "circle")
    (zero,) = elements(chart, "path", "zero")
    places = set(re.findall(r"M([\d.]+) ", zero.get("d")))
    assert len(places) == 1
    assert float(left.get("cx")) < float(places.pop()) < float(right.get("cx"))
    assert [each.get("class") for each in (right, left)] == ["estimate shown", "estimate"]
    assert interval_chart([], **TITLES) == ""


@pytest.mark.parametrize(
    ("low", "high"), [(math.nan, math.nan), (0.0, math.nan), (-math.inf, 0.1), (math.nan, math.inf)]
)
def test_bounds_that_are_not_known_are_told(low, high):
    row = Interval(first="A", second="B", value=0.05, low=low, high=high)
    chart = interval_chart([row, SHOWN], **TITLES)
    assert len(elements(chart, "line", "interval")) == 1
    assert texts(chart, "note") == [UNKNOWN_BOUNDS]
    assert not re.search(r"\b(nan|inf)\b", str(chart))


def test_a_difference_that_is_not_known_is_told():
    row = Interval(first="A", second="B", value=math.nan, low=math.nan, high=math.nan)
    chart = interval_chart([row], **TITLES)
    assert elements(chart, "circle") == []
    assert {"A", "against B", UNKNOWN_VALUE} <= set(texts(chart))


@pytest.mark.parametrize(("higher", "left", "right"), [(True, "worse", "better"), (False, "better", "worse")])
def test_the_sides_tell_which_model_is_better(higher, left, right):
    sides = elements(interval_chart([SHOWN], higher_is_better=higher, **TITLES), "text")[:2]
    assert [each.text for each in sides] == [f"← first one {left}", f"first one {right} →"]
    assert float(sides[0].get("x")) < float(sides[1].get("x"))


@pytest.mark.parametrize("name", ["A", LONG])
def test_no_line_crosses_a_name(name):
    chart = interval_chart([Interval(first=name, second=name, value=0.1, low=-0.1, high=0.2)] * 3, **TITLES)
    names = [float(each.get("y")) for each in elements(chart, "text", "name")]
    assert len(names) == 6 * (2 if name == LONG else 1)
    drawn = [
        (float(top), float(top) + float(height))
        for line in (*elements(chart, "path", "zero"), *elements(chart, "path", "grid"))
        for top, height in re.findall(r"M[\d.]+ ([\d.]+)v([\d.]+)", line.get("d"))
    ]
    assert drawn
    assert not [(y, line) for y in names for line in drawn if line[0] < y + 4 and y - 9 < line[1]]
    assert not elements(chart, "line", "grid")


@pytest.mark.parametrize("value", [-0.1, -0.001, 0.001, 0.1])
def test_what_is_told_lies_within_and_beside_the_line_at_zero(value):
    rows = [Interval(first="A", second="B", value=value, low=math.nan, high=math.nan), SHOWN]
    chart = interval_chart([*rows, Interval(first="A", second="C", value=0, low=-0.15, high=0)], **TITLES)
    (told,) = elements(chart, "text", "note")
    width = text_width(UNKNOWN_BOUNDS, 12)
    left = float(told.get("x")) - (width if told.get("text-anchor") == "end" else 0)
    zero = float(re.match(r"M([\d.]+) ", elements(chart, "path", "zero")[0].get("d"))[1])
    assert left >= 0
    assert left + width <= WIDTH
    assert not left < zero < left + width
