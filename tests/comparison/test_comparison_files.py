import csv
import json

import pytest

from nnunet_mamba.comparison import files
from nnunet_mamba.comparison.case_groups import CaseGroups
from nnunet_mamba.comparison.comparing import ComparisonOptions, compare_models
from nnunet_mamba.comparison.files import refuse_if_no_output, write_comparison
from nnunet_mamba.comparison.statistics.paired_difference import Resampling
from nnunet_mamba.results.confusion import Confusion


@pytest.fixture
def comparison(make_model):
    nothing = Confusion(tp=0, fp=0, fn=0, tn=100)
    models = [
        make_model(name, {"a": pixels, "b": 10, "c": nothing}, folds={"a": "0", "b": "1", "c": "1"})
        for name, pixels in (("A", 20), ("B", 10))
    ]
    groups = CaseGroups(by_case={"a": "P1", "b": "P1"})
    return compare_models(models, groups, ComparisonOptions(resampling=Resampling(n_resamples=1000, seed=3)))


def test_the_table_holds_the_scores_that_were_compared(comparison, tmp_path):
    write_comparison(comparison, tmp_path / "new")
    with (tmp_path / "new" / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "identifier": "a",
        "group": "P1",
        "fold": "0",
        "label": "lesion",
        "dice A": "1.000000",
        "dice B": "0.666667",
    }
    assert [row["dice A"] for row in rows] == ["1.000000", "0.666667", ""]
    assert rows[2]["group"] == ""


def test_the_json_tells_what_was_found_and_how(comparison, tmp_path):
    write_comparison(comparison, tmp_path)
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert (found["n_resamples"], found["seed"], found["confidence"], found["n_tests"]) == (1000, 3, 0.95, 1)
    assert (found["metric"], found["resampled"], found["folds"]) == ("dice", "patients", ["0", "1"])
    row = found["comparisons"][0]
    assert (row["first"], row["second"], row["wins"], row["ties"], row["losses"]) == ("A", "B", 1, 1, 0)
    assert row["difference"] == pytest.approx((1 - 2 / 3) / 2)
    # Both cases with a score are of one patient.
    assert (row["n_cases"], row["n_groups"], row["low"], row["better"]) == (2, 1, None, None)
    assert (row["n_empty_first"], row["n_empty_second"]) == (1, 1)
    assert len(found["sentences"]) == 1


def test_both_files_are_whole_or_as_they_were(comparison, tmp_path, monkeypatch):
    write_comparison(comparison, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_write_table", full)
    with pytest.raises(OSError, match="No space left"):
        write_comparison(comparison, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_scored(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="choose another `output`"):
        refuse_if_no_output(tmp_path / "file")
