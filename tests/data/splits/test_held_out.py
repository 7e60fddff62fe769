"""The papers' test cases as the validation cases of fold 0, and the same ratio of fewer cases."""

import pytest

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.splits.case_splits import published_split, split_cases
from nnunet_mamba.data.splits.held_out import held_out_name, held_out_split
from nnunet_mamba.data.splits.published_splits import PUBLISHED_CASES, PUBLISHED_SIZES


def ungrouped(n_cases):
    return {f"ISIC_{number:07d}": None for number in range(n_cases)}


@pytest.mark.parametrize("name", PUBLISHED_SIZES)
def test_fold_0_validates_with_the_test_cases_of_the_published_split(name):
    groups = ungrouped(PUBLISHED_SIZES[name].n_cases)
    split, published = held_out_split(held_out_name(name), groups), published_split(name, groups)
    (fold,) = split.folds
    assert fold.val == published.test
    assert len(fold.train) == PUBLISHED_SIZES[name].n_training
    assert split.test == ()
    if PUBLISHED_SIZES[name].n_validation:
        assert fold.train == published.folds[0].train


def test_named_cases_are_held_out_by_their_names():
    published = PUBLISHED_CASES["synapse-18-12"]
    (fold,) = held_out_split("held-out:synapse-18-12", dict.fromkeys(published.all)).folds
    assert (set(fold.train), set(fold.val)) == (published.training, published.test)


def test_named_cases_stay_on_their_side_where_others_are_lacking():
    published = PUBLISHED_CASES["synapse-18-12"]
    lost = {min(published.training), max(published.test)}
    split = held_out_split("held-out:synapse-18-12", dict.fromkeys(published.all - lost))
    (fold,) = split.folds
    assert (set(fold.train), set(fold.val)) == (published.training - lost, published.test - lost)
    assert f" without {', '.join(sorted(lost))}; fold 0" in split.source
    with pytest.raises(ValueError, match="names its test cases, and none of them is here"):
        held_out_split("held-out:synapse-18-12", dict.fromkeys(published.training))


def test_other_numbers_of_cases_keep_the_ratio_and_tell_the_seed():
    split = held_out_split("held-out:isic17-1250-150-600", ungrouped(100))
    (fold,) = split.folds
    # 7.5 validation cases, rounded to even, are in no fold.
    assert (len(fold.train), len(fold.val)) == (62, 30)
    assert split.source == "62 training and 30 held-out cases, 8 in no fold, drawn with seed 12345"
    (ratio,) = held_out_split(held_out_name("70-30"), ungrouped(10)).folds
    assert (len(ratio.train), len(ratio.val)) == (7, 3)


def test_cases_of_one_patient_on_both_sides_are_told():
    groups = {f"P{number % 4}_{number:02d}": f"P{number % 4}" for number in range(40)}
    assert "4 of 4 patients or lesions" in held_out_split("held-out:70-30", groups).warning


def test_what_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match="'60:40' is no published split and no ratio"):
        held_out_name("60:40")
    with pytest.raises(ValueError, match="here are 1; give more cases"):
        held_out_split("held-out:70-30", ungrouped(1))
    with pytest.raises(ValueError, match="is no published split and no ratio"):
        held_out_split("held-out:x", ungrouped(10))


def test_a_conversion_takes_the_name(tmp_path):
    cases = [Case(identifier=name, channels=(tmp_path / name,), mask=tmp_path / "m") for name in ungrouped(10)]
    kept, split = split_cases("held-out:70-30", cases)
    assert kept == cases
    assert len(split.folds) == 1
