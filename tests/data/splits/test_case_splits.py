import random
from pathlib import Path

import numpy as np
import pytest

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.splits.case_splits import (
    SPLIT_NAMES,
    Fold,
    Split,
    five_fold,
    leave_one_out,
    lgg_by_patient,
    named_split,
    published_split,
    split_cases,
)
from nnunet_mamba.data.splits.published_splits import PUBLISHED_SIZES


def ungrouped(n_cases):
    return {f"ISIC_{number:07d}": None for number in range(n_cases)}


def slices(sizes):
    return {
        f"P{patient:03d}_{number:03d}": f"P{patient:03d}"
        for patient, size in enumerate(sizes)
        for number in range(size)
    }


# 110 patients with 20 to 88 slices, 3929 in all, as in the LGG set.
LGG_SIZES = np.random.default_rng(0).permutation(
    [88, 88, 80, 72, 66, 60, 56, 51, *np.linspace(20, 46, 102).astype(int)]
)
LGG_SIZES[: 3929 - LGG_SIZES.sum()] += 1


def patients_of(identifiers, groups):
    return {groups[identifier] for identifier in identifiers}


@pytest.mark.parametrize("n_cases", [5, 13, 100])
def test_five_folds_of_cases_without_groups_are_nnunets_own(n_cases):
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    groups = ungrouped(n_cases)
    assert five_fold(groups).as_json() == generate_crossval_split(sorted(groups), seed=12345, n_splits=5)


def test_five_folds_keep_a_patient_on_one_side_and_are_balanced():
    groups = slices(LGG_SIZES)
    folds = five_fold(groups).folds
    assert len(groups) == 3929
    assert sorted(identifier for fold in folds for identifier in fold.val) == sorted(groups)
    for fold in folds:
        assert sorted((*fold.train, *fold.val)) == sorted(groups)
        assert not patients_of(fold.train, groups) & patients_of(fold.val, groups)
        assert len(patients_of(fold.val, groups)) == 22
    sizes = [len(fold.val) for fold in folds]
    assert max(sizes) - min(sizes) <= LGG_SIZES.max() - LGG_SIZES.min()
    assert max(sizes) < 1.03 * min(sizes)


def test_cases_without_a_group_mix_with_groups_even_under_the_same_name():
    groups = {"a": None, "b1": "a", "b2": "a", "c": None, "d": None, "e": None}
    held_out = sorted(fold.val for fold in five_fold(groups).folds)
    assert held_out == [("a",), ("b1", "b2"), ("c",), ("d",), ("e",)]


@pytest.mark.parametrize("make", [five_fold, leave_one_out, lgg_by_patient])
def test_the_order_of_the_input_does_not_matter(make):
    groups = slices([3, 5, 2, 9, 4, 4, 1, 7, 6, 6, 3])
    shuffled = list(groups.items())
    random.Random(1).shuffle(shuffled)
    assert make(dict(shuffled)) == make(groups)


def test_another_seed_draws_other_folds():
    groups = slices(LGG_SIZES)
    assert five_fold(groups, seed=1).folds != five_fold(groups).folds


@pytest.mark.parametrize("sizes", [[1, 1], [1, 1, 1, 1], [3, 8, 2]])
def test_fewer_than_five_groups_are_left_out_one_by_one(sizes):
    groups = slices(sizes)
    split = five_fold(groups)
    assert split == leave_one_out(groups)
    assert split.name == "leave-one-out"
    assert sorted(len(fold.val) for fold in split.folds) == sorted(sizes)
    assert all(len(patients_of(fold.val, groups)) == 1 for fold in split.folds)


def test_a_single_patient_has_no_folds_and_is_told_of_fold_all():
    split = five_fold(slices([30]))
    assert split.folds == ()
    assert "train with fold 'all'" in split.warning


@pytest.mark.parametrize(
    ("name", "n_training", "n_validation", "n_test"),
    [("isic17-1250-150-600", 1250, 150, 600), ("isic18-1815-259-520", 1815, 259, 520)],
)
def test_published_sizes_with_validation_are_one_fold(name, n_training, n_validation, n_test):
    groups = ungrouped(n_training + n_validation + n_test)
    split = published_split(name, groups)
    (fold,) = split.folds
    assert (len(fold.train), len(fold.val), len(split.test)) == (n_training, n_validation, n_test)
    assert sorted((*fold.train, *fold.val, *split.test)) == sorted(groups)
    assert split.warning is None
    assert "the draw is ours" in split.source


@pytest.mark.parametrize(
    ("name", "n_training", "n_test"), [("isic17-1500-650", 1500, 650), ("isic18-1886-808", 1886, 808)]
)
def test_published_sizes_without_validation_are_five_folds_of_the_training_cases(name, n_training, n_test):
    groups = ungrouped(n_training + n_test)
    split = published_split(name, groups)
    assert len(split.test) == n_test
    assert len(split.folds) == 5
    for fold in split.folds:
        assert len(fold.train) + len(fold.val) == n_training
        assert not {*fold.train, *fold.val} & set(split.test)


@pytest.mark.parametrize("name", PUBLISHED_SIZES)
def test_another_number_of_cases_is_refused_with_both(name):
    n_cases = PUBLISHED_SIZES[name].n_cases
    with pytest.raises(ValueError, match=rf"`split='{name}'` is for {n_cases} cases.* and here are {n_cases - 1};"):
        published_split(name, ungrouped(n_cases - 1))


def test_lgg_by_slice_is_what_scikit_learn_draws_with_seed_37():
    from sklearn.model_selection import train_test_split

    groups = slices(LGG_SIZES)
    train, others = train_test_split(sorted(groups), test_size=0.2, random_state=37)
    validation, test = train_test_split(others, test_size=0.5, random_state=37)
    split = published_split("lgg-by-slice", groups)
    assert (len(train), len(validation), len(test)) == (3143, 393, 393)
    assert split.folds == (Fold.of(train, validation),)
    assert split.test == tuple(sorted(test))


def test_lgg_by_slice_tells_how_many_patients_it_leaks():
    groups = slices(LGG_SIZES)
    split = published_split("lgg-by-slice", groups)
    (fold,) = split.folds
    parts = [patients_of(part, groups) for part in (fold.train, fold.val, split.test)]
    n_leaking = sum(sum(patient in part for part in parts) > 1 for patient in set(groups.values()))
    assert n_leaking > 100
    assert f"{n_leaking} of 110 patients or lesions have cases on several sides" in split.warning
    assert "lgg-by-patient" in split.warning


def test_lgg_by_patient_has_the_same_proportions_and_leaks_nobody():
    groups = slices(LGG_SIZES)
    split = lgg_by_patient(groups)
    (fold,) = split.folds
    parts = [patients_of(part, groups) for part in (fold.train, fold.val, split.test)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 110
    for part, published in zip((fold.train, fold.val, split.test), (3143, 393, 393), strict=True):
        assert abs(len(part) - published) < LGG_SIZES.max()
    assert split.warning is None


def test_lgg_by_patient_of_volumes():
    split = lgg_by_patient({f"P{number}": f"P{number}" for number in range(110)})
    assert (len(split.folds[0].train), len(split.folds[0].val), len(split.test)) == (88, 11, 11)


def test_lgg_by_patient_needs_a_patient_for_every_part():
    with pytest.raises(ValueError, match=r"2 patients with 7 cases make .*expected all three"):
        lgg_by_patient(slices([3, 4]))


# As TransUNet's lists have them: case0011 to case0020 do not exist.
SYNAPSE_TRAINING = (5, 6, 7, 9, 10, 21, 23, 24, 26, 27, 28, 30, 31, 33, 34, 37, 39, 40)
SYNAPSE_TEST = (1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38)


def synapse(*numbers):
    return {f"case{number:04d}": f"case{number:04d}" for number in numbers}


def test_synapse_has_the_test_cases_of_the_papers_and_five_folds_of_the_others():
    split = named_split("synapse-18-12", synapse(*SYNAPSE_TRAINING, *SYNAPSE_TEST))
    assert split.test == tuple(sorted(synapse(*SYNAPSE_TEST)))
    assert len(split.folds) == 5
    for fold in split.folds:
        assert sorted((*fold.train, *fold.val)) == sorted(synapse(*SYNAPSE_TRAINING))
    assert split.folds == five_fold(synapse(*SYNAPSE_TRAINING)).folds
    assert split.warning is None


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((*SYNAPSE_TRAINING[1:], *SYNAPSE_TEST), r"here are 29: 1 missing \(case0005\); give"),
        ((*SYNAPSE_TRAINING, *SYNAPSE_TEST, 11), r"here are 31: 1 too many \(case0011\); give"),
        (
            (*SYNAPSE_TRAINING, 11),
            r"19: 12 missing \(case0001, case0002, case0003, case0004, case0008, ...\), 1 too many \(case0011\)",
        ),
    ],
)
def test_synapse_names_the_cases_that_are_missing_or_too_many(numbers, message):
    with pytest.raises(ValueError, match=rf"`split='synapse-18-12'` is for 30 cases, all of Synapse.*{message}"):
        split_cases("synapse-18-12", cases_of(synapse(*numbers)))


def cases_of(groups, **options):
    return [
        Case(identifier=name, channels=(Path(f"{name}.jpg"),), mask=Path(f"{name}.png"), group=group, **options)
        for name, group in groups.items()
    ]


def test_test_cases_of_a_split_become_test_cases():
    groups = {name: "a lesion" if name.endswith("1") else None for name in ungrouped(2000)}
    cases = cases_of(groups)
    marked, split = split_cases("isic17-1250-150-600", cases)
    assert [case.identifier for case in marked] == [case.identifier for case in cases]
    assert {case.identifier for case in marked if not case.is_training} == set(split.test)
    assert len(split.test) == 600
    assert marked[0].mask == cases[0].mask
    assert "1 of 1 patients" in split.warning


def test_test_cases_of_the_source_are_no_part_of_the_folds():
    cases = [*cases_of(ungrouped(7)), *cases_of({"t": None}, is_training=False)]
    marked, split = split_cases("five-fold", cases)
    assert marked == cases
    assert split.folds == five_fold(ungrouped(7)).folds
    with pytest.raises(ValueError, match="there are 1 test cases already"):
        split_cases("isic17-1500-650", cases)


def test_patients_of_training_among_given_test_cases_are_told_of():
    training = cases_of({"a": "P1", "b": "P1", "c": "P2", "d": None, "e": "P3"})
    test = cases_of({"t1": "P1", "t2": "P2", "t3": None, "t4": "P9"}, is_training=False)
    _, split = split_cases("five-fold", [*training, *test])
    assert split.warning.startswith("2 of 4 test cases show a patient or lesion that has training cases too")
    assert "new patients: t1, t2; leave out" in split.warning
    _, split = split_cases("five-fold", [*training, *test[2:]])
    assert split.warning is None
    _, split = split_cases("five-fold", [*training[:2], *test[:1]])
    assert "fold 'all'; 1 of 1 test cases" in split.warning


def test_unknown_names_are_answered_with_all_names():
    with pytest.raises(
        ValueError, match=r"`split='random'`: expected one of five-fold, leave-one-out, challenge, isic17.*18-12$"
    ):
        split_cases("random", cases_of(ungrouped(5)))
    assert {"lgg-by-slice", "lgg-by-patient", "synapse-18-12"} < set(SPLIT_NAMES)


def test_cases_that_were_left_out_leave_the_split():
    split = Split(
        name="x", folds=(Fold(("a", "b"), ("c", "d")), Fold(("c", "d"), ("a", "b"))), test=("t", "u"), source="s"
    )
    kept = split.only({"a", "c", "d", "u"})
    assert kept.folds == (Fold(("a",), ("c", "d")), Fold(("c", "d"), ("a",)))
    assert kept.test == ("u",)
    for nothing_left in ({"c", "d"}, {"t"}):
        with pytest.raises(ValueError, match="x has a fold with nothing to train or validate with"):
            split.only(nothing_left)


def test_a_patient_that_was_left_out_needs_no_fold():
    groups = slices([2, 3, 4])
    kept = {name: group for name, group in groups.items() if group != "P001"}
    assert leave_one_out(groups).only(kept) == leave_one_out(kept)
    assert five_fold({"one": None}).only({"one"}).folds == ()


def test_the_challenges_split_holds_out_the_validation_part_and_tells_of_shared_lesions():
    def case(number, *, is_validation, lesion=None):
        file = Path(f"{number}.jpg")
        return Case(identifier=f"ISIC_{number}", channels=(file,), mask=file, is_validation=is_validation, group=lesion)

    cases = [case(1, is_validation=False), case(2, is_validation=True), case(3, is_validation=False, lesion="L")]
    marked, split = split_cases("challenge", cases)
    assert marked == cases
    assert split.as_json() == [{"train": ["ISIC_1", "ISIC_3"], "val": ["ISIC_2"]}]
    assert split.warning is None
    _, split = split_cases("challenge", [*cases, case(4, is_validation=True, lesion="L")])
    assert "1 of 1 patients or lesions have cases on several sides" in split.warning
    for some, missing in ((cases[:1], "validation part with masks"), (cases[1:2], "training part")):
        with pytest.raises(ValueError, match=f"there is no {missing}; give both"):
            split_cases("challenge", some)
