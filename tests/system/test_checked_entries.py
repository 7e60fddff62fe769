import math

import pytest

from nnunet_mamba.system.checked_entries import Entry


def entry(value):
    return Entry(value, "model.json", "get the model again")


def test_an_error_names_the_place_the_value_and_the_way_out():
    content = entry({"mirror_axes": [0, "x"]})
    with pytest.raises(ValueError, match="mirror_axes") as error:
        [axis.whole() for axis in content.at("mirror_axes").items()]
    assert str(error.value) == (
        'model.json: mirror_axes[1] is "x", expected a whole number, at least 0; get the model again'
    )


def test_places_of_nested_entries_are_joined():
    nested = entry({"a": {"b": [{"c": 1}]}})
    assert next(nested.at("a").at("b").items()).at("c").place == "model.json: a.b[0].c"
    assert [entry.place for _, entry in nested.at("a").entries()] == ["model.json: a.b"]
    assert nested.place == "model.json"


def test_a_missing_entry_is_told():
    with pytest.raises(ValueError, match=r"^model\.json: a has no entry 'b'; get the model again$"):
        entry({"a": {}}).at("a").at("b")
    assert entry({}).optional("a").value is None
    assert not entry({"a": None}).has("a")


@pytest.mark.parametrize(
    ("value", "check", "expected"),
    [
        (3, "text", "a text"),
        ("  ", "text", "a text"),
        (True, "whole", "a whole number"),
        (-1, "whole", "a whole number"),
        (1.0, "whole", "a whole number"),
        (math.nan, "number", "a finite number"),
        (True, "number", "a finite number"),
        ("1", "number_or_none", "a finite number"),
        ({}, "text_or_none", "a text or null"),
        (1, "flag", "true or false"),
        ([], "object", "an object"),
        ({}, "items", "a list"),
    ],
)
def test_a_value_of_another_kind_is_refused(value, check, expected):
    with pytest.raises(ValueError, match=f"expected {expected}"):
        getattr(entry(value), check)()


def test_a_list_of_another_length_is_refused():
    with pytest.raises(ValueError, match="expected a list of 2"):
        entry([1]).items(n=2)


def test_values_of_the_right_kind_come_back():
    assert entry("a").text() == "a"
    assert entry(2).whole(least=2) == 2
    assert entry(2).number() == 2.0
    assert entry(None).number_or_none() is None
    assert entry(None).whole_or_none() is None
    assert entry(None).text_or_none() is None
    assert entry(False).flag() is False


def test_a_long_value_is_cut():
    with pytest.raises(ValueError, match=r"x\.\.\., expected") as error:
        entry("x" * 10_000).whole()
    assert len(str(error.value)) < 200
