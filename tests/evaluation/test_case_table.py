import csv
import math

import pytest

from nnunet_mamba.evaluation.case_table import write_case_table
from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure, MaskDistances
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
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


def test_further_columns_follow_at_the_end(tmp_path):
    write_case_table(CASES, tmp_path / "cases.csv")
    header = (tmp_path / "cases.csv").read_text().splitlines()[0]
    assert header == "identifier,label,dice,iou,sensitivity,specificity,accuracy,tp,fp,fn,tn,precision"
    distances = MeasuredDistances(
        by_case={
            "a": {"1": MaskDistances(hd95=math.nan, assd=math.nan, nsd=math.nan)},
            "b": {"1": MaskDistances(hd95=2.5, assd=1.0, nsd=0.25)},
        },
        measure=DistanceMeasure(),
        unit="mm",
    )
    write_case_table(CASES, tmp_path / "cases.csv", distances)
    lines = (tmp_path / "cases.csv").read_text().splitlines()
    assert lines[0] == f"{header},hd95,assd,nsd,distance_unit"
    assert [line.split(",")[11:] for line in lines[1:]] == [
        ["", "", "", "", "mm"],
        ["0.500000", "2.500000", "1.000000", "0.250000", "mm"],
    ]


def test_a_case_table_is_whole_or_as_it_was(tmp_path):
    write_case_table(CASES, tmp_path / "cases.csv")
    before = (tmp_path / "cases.csv").read_text()
    with pytest.raises(AttributeError):
        write_case_table([*CASES, None], tmp_path / "cases.csv")
    assert (tmp_path / "cases.csv").read_text() == before
    assert sorted(path.name for path in tmp_path.glob("*cases.csv")) == ["cases.csv"]
