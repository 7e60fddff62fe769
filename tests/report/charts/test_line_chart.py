import math

import pytest
from drawn_charts import elements

from nnunet_mamba.report.charts.line_chart import Series, line_chart, thinned


def wave(n):
    return [(epoch, math.sin(epoch / 9)) for epoch in range(1, n + 1)]


@pytest.mark.parametrize("n", [401, 402, 799, 1000, 9999])
def test_long_lines_keep_their_ends_and_peaks(n):
    points = wave(n)
    points[n // 2] = (n // 2 + 1, 7.0)
    points[n // 3] = (n // 3 + 1, -7.0)
    kept = thinned(points, 400)
    assert 200 <= len(kept) <= 400
    assert [kept[0], kept[-1]] == [points[0], points[-1]]
    assert {(n // 2 + 1, 7.0), (n // 3 + 1, -7.0)} <= set(kept)
    assert kept == sorted(set(kept))


def test_short_lines_stay_as_they_are():
    points = wave(400)
    assert thinned(points, 400) is points


def test_many_long_trainings_make_no_large_chart():
    values = [0.5 + math.sin(epoch * epoch) / 3 for epoch in range(1000)]
    chart = line_chart([Series(name="a", values=values, style="model-0")] * 25, title="T")
    lines = elements(chart, "polyline")
    assert len(lines) == 25
    assert max(len(line.get("points").split()) for line in lines) <= 400
    assert len(chart) < 130_000
    numbers = [number for point in lines[0].get("points").split() for number in point.split(",")]
    assert all(len(number.split(".")[1]) == 1 for number in numbers)
