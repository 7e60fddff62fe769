import sys

import pytest

from nnunet_mamba.data.formats import declared_sizes
from nnunet_mamba.data.formats.declared_sizes import free_memory, in_words, packing_problem, size_problem


def test_what_fits_is_no_problem(monkeypatch):
    monkeypatch.setattr(declared_sizes, "free_memory", lambda: 2**30)
    assert size_problem(2**30 // 3) == ""
    text = size_problem(2**30 // 3 + 1)
    assert "it says that it holds 341 MiB" in text
    assert "1.0 GiB are free" in text


def test_sizes_without_end_are_told(monkeypatch):
    monkeypatch.setattr(declared_sizes, "free_memory", lambda: 2**30)
    assert "GiB" in size_problem(30000**30)


def test_an_unknown_machine_takes_everything(monkeypatch):
    monkeypatch.setattr(declared_sizes, "free_memory", lambda: None)
    assert size_problem(2**60) == ""


def test_deflate_packs_a_thousand_times_at_most():
    assert packing_problem(1_000_000, 1000) == ""
    assert "which 1000 bytes cannot become" in packing_problem(2_000_000, 1000)


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (20 * 2**20, "20 MiB")]
)
def test_bytes_are_told_in_words(n_bytes, text):
    assert in_words(n_bytes) == text


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v is of Linux")
def test_a_shells_limit_counts(monkeypatch):
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (2**40, 2**40))
    monkeypatch.setattr(declared_sizes, "available_memory", lambda: None)
    assert 0 < free_memory() < 2**40
