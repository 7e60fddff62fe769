import itertools
import math
import xml.etree.ElementTree as ET

import pytest
from drawn_charts import elements, plotted, spot, texts

from nnunet_mamba.report.charts.axes import WIDTH
from nnunet_mamba.report.charts.lettering import text_width
from nnunet_mamba.report.charts.scatter_chart import scatter_chart
from nnunet_mamba.report.charts.scatter_points import Point

TITLES = {"title": "A & B", "x_title": "parameters", "y_title": "Dice", "amount_title": "GMACs"}
LONG = "nnUNetTrainerUltraLightVMNoMamba_robust_20epochs_seed{}"


def crowd(n, **options):
    return [Point(name=LONG.format(i), x=5e4 * (1 + i % 5 / 50), y=0.88 + i / 2000, **options) for i in range(n)]


def cloud(n):
    return [
        Point(name=f"method {i}", x=1e6 * 1.01**i, y=0.8 + i % 7 / 1000, amount=1e9, is_published=True)
        for i in range(n)
    ]


def name_boxes(chart):
    """Left, right, top and bottom of each name, without the numbers' names below the axes."""
    boxes = []
    for text in plotted(chart, "text", "name"):
        lines = list(text)
        for line in lines:
            width = text_width(line.text, 12)
            x, y = float(line.get("x")), float(line.get("y"))
            left = x - {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")] * width
            boxes.append((left, left + width, y - 9, y + 2))
    return boxes


def overlap(one, other):
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def test_the_scatter_is_logarithmic_and_higher_scores_are_higher():
    points = [Point(name=str(x), x=x, y=y) for x, y in ((1e4, 0.5), (1e5, 0.6), (1e6, 0.7))]
    chart = scatter_chart(points, **TITLES)
    (x1, y1), (x2, y2), (x3, y3) = sorted(map(spot, plotted(chart, "circle")))
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y1 > y2 > y3
    assert "A & B" in ET.fromstring(str(chart)).get("aria-label")


def test_published_points_are_diamonds_of_their_colour_and_explained():
    points = [Point(name="a", x=1e4, y=0.5, amount=1e9), Point(name="b", x=1e5, y=0.6, amount=1e8, is_published=True)]
    chart = scatter_chart(points, **TITLES)
    for shape, style in (("circle", "point amount"), ("path", "point published amount")):
        # One is drawn, one explains it.
        assert len(elements(chart, shape, style)) == 2
    assert {"measured here", "published"} <= set(texts(chart))
    assert not {"measured here", "published"} & set(texts(scatter_chart(points[:1], **TITLES)))


@pytest.mark.parametrize(("is_published", "text"), [(True, "compute not published"), (False, "compute not known")])
def test_unknown_compute_has_no_colour_and_is_explained(is_published, text):
    points = [Point(name="a", x=1e4, y=0.5, amount=1e9), Point(name="b", x=1e5, y=0.6, is_published=is_published)]
    chart = scatter_chart(points, **TITLES)
    unknown = elements(chart, "path" if is_published else "circle", "point unknown")
    assert len(unknown) == 2
    assert not any(each.get("style") for each in unknown)
    assert text in texts(chart)
    assert "not" not in " ".join(texts(scatter_chart(points[:1], **TITLES)))


@pytest.mark.parametrize(
    "points",
    [
        crowd(12),
        crowd(12, spread=0.003),
        [*crowd(6, spread=0.01), *cloud(30)],
        [Point(name=LONG.format(i), x=1e6, y=0.9) for i in range(12)],
        crowd(2),
    ],
    ids=["crowd", "with bars", "with published", "equal", "two"],
)
def test_names_cover_no_name_no_mark_and_no_bar(points):
    chart = scatter_chart(points, **TITLES)
    names = name_boxes(chart)
    assert names
    assert not [pair for pair in itertools.combinations(names, 2) if overlap(*pair)]
    marks = [(x - 6, x + 6, y - 6, y + 6) for x, y in map(spot, plotted(chart, "circle", "point"))]
    bars = [
        (float(bar.get("x1")) - 0.6, float(bar.get("x1")) + 0.6, *sorted(float(bar.get(y)) for y in ("y1", "y2")))
        for bar in elements(chart, "line", "spread")
    ]
    assert not [(name, other) for name in names for other in (*marks, *bars) if overlap(name, other)]
    assert all(left >= 50 and right <= WIDTH for left, right, _, _ in names)


@pytest.mark.parametrize(
    "points",
    [
        crowd(12, spread=0.003),
        crowd(30),
        [Point(name=LONG.format(i), x=1e6, y=0.9) for i in range(12)],
        [*crowd(12), *cloud(60)],
    ],
    ids=["crowd", "many", "equal", "with published"],
)
def test_each_of_ones_own_names_is_written(points):
    chart = scatter_chart(points, **TITLES)
    written = texts(chart, "name")
    own = [point.name for point in points if not point.is_published]
    assert {name for name in own if not any(name == text or text.endswith(f"  {name}") for text in written)} == set()
    numbers = {text.split("  ")[0] for text in written if "  " in text}
    assert numbers <= set(written)


def test_a_cloud_of_published_points_tells_that_names_are_left_out():
    told = [text for text in texts(scatter_chart(cloud(60), **TITLES), "note") if "no room" in text]
    assert len(told) == 1
    few = scatter_chart(cloud(19), **TITLES)
    assert texts(few, "note") == []
    assert all(any(f"method {i}" in text for text in texts(few, "name")) for i in range(19))


@pytest.mark.parametrize("points", [[], [Point(name="a", x=0, y=0.5)], [Point(name="a", x=1e5, y=math.nan)]])
def test_nothing_to_scatter_is_no_chart(points):
    assert scatter_chart(points, **TITLES) == ""


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"x": math.inf}, "parameters not known"),
        ({"x": math.nan}, "parameters not known"),
        ({"x": 0.0}, "parameters not known"),
        ({"y": math.inf}, "no score"),
        ({"y": math.nan}, "no score"),
    ],
)
def test_points_without_a_place_are_told(options, why):
    points = [Point(name="drawn", x=1e5, y=0.5), Point(**{"name": "lost", "x": 1e5, "y": 0.5, **options})]
    chart = scatter_chart(points, **TITLES)
    assert texts(chart, "note") == [f"Not drawn: lost ({why})."]
    assert "lost" not in texts(chart, "name")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_amounts_and_spreads_that_are_no_numbers_are_not_drawn(value):
    chart = scatter_chart([Point(name="a", x=1e5, y=0.5, amount=value, spread=value)], **TITLES)
    assert elements(chart, "circle", "point unknown")
    assert elements(chart, "line", "spread") == []
    assert not {"nan", "inf"} & set(str(chart).split('"'))


def test_equal_points_are_drawn_too():
    points = [Point(name=name, x=1e5, y=0.5, amount=1e9) for name in "ab"]
    assert len(elements(scatter_chart(points, **TITLES), "circle")) == 2
