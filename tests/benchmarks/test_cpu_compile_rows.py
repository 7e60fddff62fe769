"""What benchmarks/cpu_compile.py compares, and what it says of a network that is not done in time."""

import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def cpu_compile(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import cpu_compile

    return cpu_compile


def test_a_difference_is_a_share_of_the_largest_expected_value(cpu_compile):
    expected = [torch.tensor([1.0, -4.0]), torch.tensor([2.0])]
    found = [torch.tensor([1.0, -4.0]), torch.tensor([2.5])]
    assert cpu_compile.difference(found, expected) == 0.5 / 4


def test_a_network_that_is_not_done_in_time_costs_its_limit_and_keeps_its_row(cpu_compile):
    rows = cpu_compile.measured_apart("ultralbm_unet", batch=1, repeats=1, limit=0.5)
    assert [row["note"] for row in rows.values()] == ["not done after 0.5 s"] * 2
    line = cpu_compile.line_of(rows["training"])
    assert line.startswith("ultralbm_unet,,,training,")
    assert line.count(",") == len(cpu_compile.COLUMNS) - 1


def test_a_network_that_fails_says_so_in_its_row_and_shows_its_error(cpu_compile, capsys):
    rows = cpu_compile.measured_apart("no_such_network", batch=1, repeats=1, limit=100)
    assert rows["evaluation"]["note"] == "ended with 1"
    assert "KeyError: 'no_such_network'" in capsys.readouterr().err
