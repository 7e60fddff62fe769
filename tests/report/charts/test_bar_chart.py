import math

import pytest
from drawn_charts import elements, texts

from nnunet_mamba.report.charts.bar_chart import Bar, bar_chart

LOG_TEXT = "% on a logarithmic axis: compare the numbers, not the lengths"


def bars(*shares):
    return [Bar(name=f"label {share}", share=share, text=f"{100 * share:g} %") for share in shares]


def lengths(chart):
    return [float(each.get("width")) for each in elements(chart, "rect", "bar")]


def test_bars_are_as_long_as_their_shares():
    chart = bar_chart(bars(0.2, 0.05), title="B")
    assert lengths(chart)[0] == pytest.approx(4 * lengths(chart)[1], abs=0.2)
    assert LOG_TEXT not in texts(chart)
    assert bar_chart([], title="B") == ""
    assert len(lengths(bar_chart(bars(0.0), title="B"))) == 1


@pytest.mark.parametrize(("least", "is_log"), [(0.0051, False), (0.0049, True)])
def test_shares_that_differ_much_are_logarithmic_and_the_axis_says_so(least, is_log):
    chart = bar_chart(bars(0.5, least, 0.0), title="B")
    assert (LOG_TEXT in texts(chart)) == is_log


def test_equal_ratios_are_equal_steps_of_a_logarithmic_axis():
    chart = bar_chart(bars(0.3, 0.03, 0.003, 0.0003, 0.0), title="B")
    steps = [one - other for one, other in zip(lengths(chart), lengths(chart)[1:], strict=False)]
    # Nothing has no bar.
    assert len(steps) == 3
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)
    assert lengths(chart)[3] > 1
    assert {"0.01", "0.1", "1", "10", "0 %"} <= set(texts(chart))


@pytest.mark.parametrize("share", [math.nan, math.inf])
def test_a_share_that_is_no_number_has_no_length(share):
    chart = bar_chart(bars(0.2, share), title="B")
    assert lengths(chart)[1] == 1


def test_the_text_behind_the_longest_bar_is_within():
    text = "0.0123 %, in 1234 of 1234 cases"
    chart = bar_chart([Bar(name="a", share=1, text=text)], title="B")
    (behind,) = [each for each in elements(chart, "text") if each.text == text]
    assert float(behind.get("x")) + 6 * len(text) < 520
