import csv

import pytest

from nnunet_mamba.evaluation.case_table import write_case_table
from nnunet_mamba.results.confusion import Confusion, ScoredCase

CASES = [
    ScoredCase(identifier="a", confusions={"1": Confusion(tp=0, fp=0, fn=0, tn=10)}),
    ScoredCase(identifier="b", confusions={"1": Confusion(tp=1, fp=1, fn=1, tn=7)}),
]


def test_case_table_leaves_what_is_not_a_number_empty(tmp_path):
    write_case_table(CASES, tmp_path / "cases.csv")
    with (tmp_path / "cases.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["identifier"], first["dice"], first["tn"]) == ("a", "", "10")
    assert (second["dice"], second["iou"], second["fn"]) == ("0.500000", "0.333333", "1")


def test_a_case_table_is_whole_or_as_it_was(tmp_path):
    write_case_table(CASES, tmp_path / "cases.csv")
    before = (tmp_path / "cases.csv").read_text()
    with pytest.raises(AttributeError):
        write_case_table([*CASES, None], tmp_path / "cases.csv")
    assert (tmp_path / "cases.csv").read_text() == before
    assert sorted(path.name for path in tmp_path.glob("*cases.csv")) == ["cases.csv"]
