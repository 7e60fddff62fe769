import json

import pytest
from data_sets import DATA_SETS

from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind

LABELS = {"background": 0, "lesion": 1}
PHOTOGRAPHS = {
    "kind": "photographs",
    "channel_names": ["R", "G", "B"],
    "channel_tokens": [],
    "labels": LABELS,
    "source_labels": {"background": [0], "lesion": [255]},
    "size": "256x192",
    "threshold": None,
    "spacing": None,
    "is_by_hand": False,
}


def test_json_is_plain_and_means_the_same(data_set):
    conversion = data_set.conversion
    stored = json.loads(json.dumps(conversion.to_json()))
    assert ImageConversion.from_json(stored) == conversion


def test_json_says_all_of_it():
    conversion = ImageConversion.from_json(PHOTOGRAPHS)
    assert conversion == ImageConversion(
        kind=ImageKind.PHOTOGRAPHS,
        channel_names=("R", "G", "B"),
        labels=LABELS,
        source_labels={"background": (0,), "lesion": (255,)},
        size=(256, 192),
    )
    assert conversion.to_json() == PHOTOGRAPHS


def test_what_may_be_missing_has_the_meaning_of_nothing():
    short = {name: PHOTOGRAPHS[name] for name in ("kind", "channel_names", "labels")}
    assert ImageConversion.from_json(short) == ImageConversion(
        kind=ImageKind.PHOTOGRAPHS, channel_names=("R", "G", "B"), labels=LABELS
    )


def test_whole_numbers_may_have_a_decimal_point():
    stored = {**PHOTOGRAPHS, "source_labels": {"background": [0.0], "lesion": [255.0]}}
    (value,) = ImageConversion.from_json(stored).source_labels["lesion"]
    assert (value, type(value)) == (255, int)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("kind", "films", "model.json: conversion.kind is .films., expected one of photographs, grey_pictures"),
        ("kind", ["photographs"], r"conversion\.kind is \[.photographs.\]"),
        ("channel_names", "RGB", r"conversion\.channel_names is .RGB., expected a list of names"),
        ("channel_names", ["R", "G", 3], r"channel_names is \[.R., .G., 3\]"),
        ("channel_names", ["R"], r"conversion\.channel_names are 1, expected 3 for photographs"),
        ("channel_tokens", ["a", "A", "b"], r"channel_tokens is .*expected a list of different texts"),
        ("channel_tokens", ["../a"], "without slashes"),
        ("channel_tokens", ["a", "b", "c"], "channel_tokens are 3, expected 1"),
        ("labels", [0, 1], r"labels is \[0, 1\], expected whole numbers by name"),
        ("labels", {"background": 0, "lesion": True}, "expected whole numbers by name, 0 to 65535"),
        ("labels", {"background": 0, "lesion": 70000}, "0 to 65535"),
        ("labels", {"background": 0, "lesion": 0}, "expected different numbers"),
        ("labels", {"lesion": 1, "hair": 2}, "0 and at least one more"),
        ("source_labels", {"background": 0}, "source_labels is .*expected lists of whole numbers"),
        ("source_labels", {"background": [0], "lesion": []}, "expected lists of whole numbers"),
        ("source_labels", {"background": [0], "lesion": ["red"]}, "or of colours such as '#ff0000'"),
        ("source_labels", {"background": [0]}, "source_labels know nothing of lesion"),
        ("source_labels", {"background": [0], "lesion": [-1]}, "source_labels hold -1, expected 0 to 65535"),
        ("source_labels", {"background": [256], "lesion": ["#ff0000"]}, "hold 256, expected 0 to 255"),
        ("size", 256, "size is 256, expected 'original', or HEIGHTxWIDTH"),
        ("size", "999999x2", "size is .999999x2."),
        ("threshold", "high", "threshold is .high., expected a number or null"),
        ("threshold", float("nan"), "threshold is NaN"),
        ("spacing", [1, 1], "spacing is .*expected three lengths"),
        ("spacing", [1, 1, -1], "100 at most, or null"),
        ("spacing", [1, 1, 10**400], "100 at most, or null"),
        ("spacing", [1, 1, 1], r"spacing is .1.0, 1.0, 1.0., expected none for photographs"),
        ("is_by_hand", 1, "is_by_hand is 1, expected true or false"),
        ("rotation", 3, "has the entry .rotation., which is not known; install a newer nnunet-mamba"),
    ],
)
def test_an_entry_that_is_wrong_is_named(name, value, expected):
    with pytest.raises(ValueError, match=r"model\.json: conversion") as error:
        ImageConversion.from_json({**PHOTOGRAPHS, name: value}, place="model.json: conversion")
    error.match(expected)


@pytest.mark.parametrize("name", ["kind", "channel_names", "labels"])
def test_an_entry_that_is_missing_is_named(name):
    content = {key: value for key, value in PHOTOGRAPHS.items() if key != name}
    with pytest.raises(ValueError, match=f"conversion has no '{name}', expected kind, channel_names, labels"):
        ImageConversion.from_json(content)


@pytest.mark.parametrize("content", [None, [], "photographs", 3])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(ValueError, match=r"conversion is .*, expected an object"):
        ImageConversion.from_json(content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (8, 8)}, "size is 8x8, expected none for volumes"),
        ({"source_labels": {"background": (0,), "lesion": ("#ff0000",)}}, "hold the colour #ff0000, expected numbers"),
        ({"channel_tokens": ("t1",)}, "channel_tokens are 1, expected 2"),
        ({"channel_tokens": ()}, "channel_tokens are 0, expected 2"),
        ({"kind": ImageKind.LGG_VOLUMES, "channel_names": ("a", "b", "c"), "channel_tokens": ()}, "spacing is None"),
        ({"kind": ImageKind.CT_VOLUMES}, "channel_names are 2, expected 1 for ct_volumes"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(changes, message):
    volumes = {
        "kind": ImageKind.VOLUMES,
        "channel_names": ("T1", "FLAIR"),
        "channel_tokens": ("t1", "flair"),
        "labels": LABELS,
    }
    assert ImageConversion(**volumes).may_be_ct
    with pytest.raises(ValueError, match=message):
        ImageConversion(**{**volumes, **changes})


def test_every_kind_has_a_data_set_to_prove_it(tmp_path):
    kinds = set()
    for name, make in DATA_SETS.items():
        root = tmp_path / name / "data"
        root.mkdir(parents=True)
        kinds.add(make(root).conversion.kind)
    assert kinds == set(ImageKind)
    assert all(kind.in_words and kind.endings for kind in kinds)
