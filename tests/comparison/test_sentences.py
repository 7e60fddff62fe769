import dataclasses

import numpy as np
import pytest

from nnunet_mamba.comparison.case_groups import CaseGroups
from nnunet_mamba.comparison.comparing import ComparisonOptions, compare_models
from nnunet_mamba.comparison.sentences import amount, notes, sentences
from nnunet_mamba.comparison.statistics.paired_difference import Resampling
from nnunet_mamba.results.confusion import Confusion

FEW = Resampling(n_resamples=1000)


@pytest.fixture
def compare(make_model):
    def run(differences, *, patients=False, folds=None):
        names = [f"c{n:02d}" for n in range(len(differences))]
        found = [dict(zip(names, pixels, strict=True)) for pixels in (10 + np.array(differences), [10] * len(names))]
        groups = CaseGroups(by_case={name: f"P{n}" for n, name in enumerate(names)}) if patients else CaseGroups()
        options = {} if folds is None else {"folds": dict(zip(names, folds, strict=True))}
        models = [
            make_model(name, {case: int(n) for case, n in each.items()}, **options)
            for name, each in zip("AB", found, strict=True)
        ]
        return compare_models(models, groups, ComparisonOptions(resampling=FEW))

    return run


def test_a_shown_difference_can_be_printed_as_it_stands(compare):
    comparison = compare([3, 2, 4, 3, 2, 5, 3, 4, 2, 3], patients=True)
    values = comparison.rows[0].values
    low, difference, high = (f"{100 * value:.1f}" for value in (values.low, values.difference, values.high))
    assert sentences(comparison) == [
        f"A is better than B by {difference} points of Dice (95 % interval {low} to {high}; 10 patients; p = 0.002)."
    ]


def test_the_better_model_comes_first_and_its_difference_is_positive(compare):
    comparison = compare([-3, -2, -4, -3, -2, -5, -3, -4, -2, -3])
    values = comparison.rows[0].values
    low, difference, high = (f"{-100 * value:.1f}" for value in (values.high, values.difference, values.low))
    assert sentences(comparison) == [
        f"B is better than A by {difference} points of Dice (95 % interval {low} to {high}; 10 cases; p = 0.002)."
    ]


def test_what_is_not_shown_is_never_called_equal(compare):
    (text,) = sentences(compare([3, -2, 1, -3, 2, -1, 0, 4]))
    assert text.startswith("No difference shown: A has ")
    assert " points more of Dice than B (95 % interval -" in text
    (text,) = sentences(compare([0, 0, 0]))
    assert text == (
        "No difference shown: A and B have the same Dice on average (95 % interval 0.0 to 0.0; 3 cases; p = 1.000)."
    )
    (text,) = sentences(compare([5]))
    assert text == "No difference shown between A and B in Dice: one case tells nothing of others."


def test_corrected_p_values_say_so(compare):
    comparison = compare([3, 2, 4, 3, 2, 5, 3, 4, 2, 3])
    twice = dataclasses.replace(comparison, rows=[*comparison.rows, *comparison.rows])
    assert sentences(twice)[0].endswith("p = 0.002 after Holm).")
    tiny = [dataclasses.replace(comparison.rows[0], p_holm=1e-5)]
    assert sentences(dataclasses.replace(comparison, rows=tiny))[0].endswith("p < 0.001).")


def test_few_cases_are_told_with_what_they_could_not_show(compare):
    comparison = compare([3, 2, 4, 3, 2, 5, 3, 4, 2, 3])
    least = f"{100 * comparison.rows[0].values.detectable:.1f}"
    assert any(
        f"10 cases are few, below 50. Even without Holm, a true difference of less than {least} points of Dice" in text
        for text in notes(comparison)
    )
    assert not any("are few" in text for text in notes(compare([1, 2] * 25)))


def test_too_few_to_show_anything_is_told(compare):
    assert any(
        "5 cases cannot show a difference here; the smallest p that they can give after Holm is 0.062" in text
        for text in notes(compare([1, 2, 3, 4, 5]))
    )


def test_unknown_patients_are_told_and_known_ones_are_not(compare):
    assert any("No patients are known" in text for text in notes(compare([1, 2, 3])))
    assert not any("No patients are known" in text for text in notes(compare([1, 2, 3], patients=True)))


def test_shared_training_data_of_folds_is_told(compare):
    texts = notes(compare([1, 2, 3], folds=["0", "1", "1"]))
    assert any("2 folds, which share training data: intervals and p-values tell of these" in text for text in texts)
    assert any("has not seen it, of one fold:" in text for text in notes(compare([1, 2], folds=["0", "0"])))
    assert not any("has not seen it" in text for text in notes(compare([1, 2])))


def test_patients_on_both_sides_of_a_split_are_told(compare):
    comparison = compare([1, 2, 3], folds=["0", "1", "1"])
    groups = CaseGroups(by_case={"c00": "P1", "c01": "P1", "c02": "P2"})
    assert any(
        text.startswith("1 of the patients has cases in several folds")
        for text in notes(dataclasses.replace(comparison, groups=groups))
    )


def test_cases_without_a_score_are_told(compare):
    comparison = compare([1, 2, 3])
    rows = [dataclasses.replace(comparison.rows[0], n_empty_first=2)]
    assert any(
        "have no score, and no pair; A has 2 of them and B 0" in text
        for text in notes(dataclasses.replace(comparison, rows=rows))
    )


def test_amounts_have_a_digit_that_tells_them_from_zero(compare):
    comparison = compare([1, 2])
    texts = [amount(value, comparison) for value in (0.01234, 0.0001, 0.0, -0.00004, -0.5)]
    assert texts == ["1.2", "0.01", "0.0", "-0.004", "-50.0"]
    assert amount(1.26, dataclasses.replace(comparison, unit="mm")) == "1.3"


def test_a_mean_of_labels_that_differs_from_tables_of_scores_is_told(make_model):
    def with_two_labels(name, second):
        model = make_model(name, {"a": 10, "b": 12})
        cases = [
            dataclasses.replace(case, confusions={**case.confusions, "small": counts})
            for case, counts in zip(model.cases, second, strict=True)
        ]
        return dataclasses.replace(model, cases=cases, labels=None)

    there, nothing = Confusion(tp=5, fp=0, fn=5, tn=90), Confusion(tp=0, fp=0, fn=0, tn=100)
    for second, is_told in (([there, nothing], True), ([there, there], False)):
        models = [with_two_labels(name, second) for name in "AB"]
        told = notes(compare_models(models, CaseGroups(), ComparisonOptions(resampling=FEW)))
        assert any(text.startswith("mean of labels: here of the labels") for text in told) == is_told
