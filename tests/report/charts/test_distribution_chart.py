import math

import pytest
from drawn_charts import elements, texts

from nnunet_mamba.report.charts.distribution_chart import NO_SCORE, Distribution, distribution_chart

TITLES = {"title": "D", "x_title": "Dice"}


def test_a_distribution_has_its_median_and_mean_at_their_places():
    chart = distribution_chart([Distribution(name="A", values=[0.0, 0.5, 1.0, math.nan])], **TITLES)
    (median,) = elements(chart, "line", "median")
    assert float(median.get("x1")) == pytest.approx(260, abs=0.1)
    (dots,) = elements(chart, "path", "dots model-0")
    assert dots.get("d").count("M") == 3


def test_many_cases_make_no_large_chart():
    rows = [Distribution(name=str(n), values=[i / 10_000 for i in range(10_000)]) for n in range(5)]
    assert len(distribution_chart(rows, **TITLES)) < 60_000


def test_a_model_without_a_score_says_so():
    empty = Distribution(name="A", values=[math.nan, math.inf])
    assert distribution_chart([empty], **TITLES) == ""
    chart = distribution_chart([empty, Distribution(name="B", values=[0.5])], **TITLES)
    assert {"A", "B", NO_SCORE} <= set(texts(chart))
    assert len(elements(chart, "rect", "box model-1")) == len(elements(chart, "rect")) == 1
