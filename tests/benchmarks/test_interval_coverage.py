"""How often intervals hold the true mean, in the small; the table in docs/explanation/comparing.md is the large."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def interval_coverage(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("interval_coverage")


def test_ours_holds_the_true_mean_of_few_patients_more_often_than_plain_percentiles(interval_coverage):
    found = interval_coverage.coverage("slices", 8, n_trials=60, n_resamples=1000)
    assert found.keys() == {"ours", "percentile", "bca"}
    assert found["ours"] > found["percentile"]
    assert found["ours"] >= 0.9


def test_the_page_has_a_row_for_each_kind_of_differences(interval_coverage):
    page = (ROOT / "docs/explanation/comparing.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [\w, ]+ \|(?: [\d.]+ / [\d.]+ / [\d.]+ \|){4}$", page, re.MULTILINE)
    assert len(rows) == len(interval_coverage.KINDS)
