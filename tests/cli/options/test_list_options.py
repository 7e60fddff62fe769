import pytest

from nnunet_mamba.cli.options.list_options import parse_names, parse_sizes


@pytest.mark.parametrize("texts", ["A, B,", ["A,B"], ["A", " B"]])
def test_names(texts):
    assert parse_names(texts, option="--trainers") == ["A", "B"]


def test_an_option_that_was_not_given_names_nothing():
    assert parse_names((), option="--trainers") == []


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (",", "--trainers ',' names nothing"),
        (["A", ""], "--trainers '' names nothing"),
        ("A,B,A", "--trainers names A more than once"),
        (["A", "A"], "--trainers names A more than once"),
    ],
)
def test_names_that_are_none_or_come_twice_are_refused(texts, words):
    with pytest.raises(ValueError, match=words):
        parse_names(texts, option="--trainers")


@pytest.mark.parametrize("text", ["48x64", "48 64", "48,64", " 48 × 64 "])
def test_sizes(text):
    assert parse_sizes(text, option="--patch-size") == (48, 64)


@pytest.mark.parametrize("text", ["", "8", "big", "0x8", "-8x8", "8x8x8x8", "8.5x8"])
def test_text_that_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=f"--patch-size '{text}': expected two or three positive numbers"):
        parse_sizes(text, option="--patch-size")
