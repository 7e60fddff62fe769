import json

import pytest

from nnunet_mamba.data.splits.validated_cases import other_validation

DATASET = "Dataset001_Toy"


@pytest.fixture
def write_splits(tmp_path, monkeypatch):
    """Write the validation cases of folds into nnU-Net's folder of preprocessed or raw data."""
    for variable in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(variable, str(tmp_path / variable))

    def write(*folds, variable="nnUNet_preprocessed"):
        file = tmp_path / variable / DATASET / "splits_final.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps([{"train": ["other"], "val": list(cases)} for cases in folds]))

    return write


def test_nothing_is_said_of_folds_that_have_the_cases_of_their_split(write_splits):
    write_splits("ab", "cd")
    assert other_validation(DATASET, {"0": "ba", "1": ["d", "c"]}) is None
    # nnU-Net draws a split for a fold that the file does not have, and "all" has none.
    assert other_validation(DATASET, {"7": "xy", "all": "abcd"}) is None


def test_nothing_is_known_without_a_split(tmp_path, monkeypatch):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.delenv(variable, raising=False)
    assert other_validation(DATASET, {"0": "ab"}) is None
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    assert other_validation(DATASET, {"0": "ab"}) is None


def test_the_first_fold_with_other_cases_is_told_with_the_way_out(write_splits):
    write_splits("ab", "cdefg", "h")
    text = other_validation(DATASET, {"0": "ab", "1": "cxyz", "2": "i"})
    assert text.startswith("fold 1 was validated by another split than ")
    assert (
        "splits_final.json, without 4 cases of it (d, e, f, …) and with 3 others (x, y, z); 1 more fold was, too. If"
        in text
    )
    assert "put back the file that it was trained with, or train again; if it has not, validate again" in text
    assert text.endswith("nnUNetv2_train … 1 --val")


@pytest.mark.parametrize(
    ("cases", "told"),
    [("a", "without 1 case of it (b)."), ("abc", "with 1 other (c)."), ("", "without 2 cases of it (a, b).")],
)
def test_missing_and_other_cases_are_told_apart(write_splits, cases, told):
    write_splits("ab")
    assert f"splits_final.json, {told}" in other_validation(DATASET, {"0": cases})


def test_the_split_beside_the_preprocessed_data_counts_before_that_beside_the_raw_data(write_splits):
    write_splits("ab", variable="nnUNet_raw")
    assert "nnUNet_raw" in other_validation(DATASET, {"0": "cd"})
    write_splits("cd")
    assert other_validation(DATASET, {"0": "cd"}) is None
