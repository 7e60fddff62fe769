import pytest

from nnunet_mamba.system.counts import how_many, numbered


@pytest.mark.parametrize(("count", "text"), [(0, "0 cases"), (1, "1 case"), (2, "2 cases")])
def test_one_thing_is_in_the_singular(count, text):
    assert how_many(count, "case") == text


def test_words_that_follow_are_in_the_same_number():
    assert how_many(1, "fold is", "folds are") == "1 fold is"
    assert how_many(3, "fold is", "folds are") == "3 folds are"


def test_numbers_follow_their_noun():
    assert numbered("fold", ["2"]) == "fold 2"
    assert numbered("fold", ["0", "1"]) == "folds 0, 1"
