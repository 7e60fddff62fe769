import copy

import numpy as np
import pytest

from nnunet_mamba.training.plans_checks import (
    refuse_senseless_dataset,
    refuse_senseless_plans,
)


def plans_for(patch_size):
    configuration = {
        "batch_size": 2,
        "patch_size": list(patch_size),
        "spacing": [1.0] * len(patch_size),
        "architecture": {"arch_kwargs": {}},
    }
    return {"dataset_name": "Dataset901_Tiny", "plans_name": "nnUNetPlans", "configurations": {"2d": configuration}}


NEEDS = ("patch_size", "batch_size", "spacing", "architecture")
DATASET = {
    "channel_names": {"0": "R"},
    "labels": {"background": 0, "disc": 1},
    "numTraining": 10,
    "file_ending": ".png",
}


def changed(**entries):
    plans = copy.deepcopy(plans_for((40, 48)))
    plans["configurations"]["2d"].update(entries)
    return plans


def test_nnunets_plans_pass():
    refuse_senseless_plans(plans_for((40, 48)), "2d", where="plans", needs=NEEDS)
    refuse_senseless_plans(changed(batch_size=np.int64(3)), "2d", where="plans", needs=NEEDS)
    child = {**plans_for((8, 40, 48))}
    child["configurations"] = {**child["configurations"], "child": {"inherits_from": "2d", "batch_size": 7}}
    refuse_senseless_plans(child, "child", where="plans", needs=NEEDS)


@pytest.mark.parametrize("name", ["batch_size"])
@pytest.mark.parametrize("value", [0, -1, 2.5, float("nan"), float("inf"), "8", None, True, [2]])
def test_a_batch_that_is_no_number_of_cases_is_told(name, value):
    with pytest.raises(ValueError, match="expected a positive whole number") as error:
        refuse_senseless_plans(changed(**{name: value}), "2d", where="the plans", needs=NEEDS)
    assert str(error.value).startswith(f"the plans: 2d has the {name} {value!r}, ")


@pytest.mark.parametrize(
    "entries",
    [
        {"patch_size": []},
        {"patch_size": [40]},
        {"patch_size": [40, 0]},
        {"patch_size": [40, 48.5]},
        {"patch_size": [40, float("nan")]},
        {"patch_size": "40x48"},
        {"patch_size": None},
        {"patch_size": {"y": 1}},
        {"spacing": [1.0, float("nan")]},
        {"spacing": [1.0, float("inf")]},
        {"spacing": [1.0, -1.0]},
        {"spacing": [1.0, 1.0, 1.0]},
        {"median_image_size_in_voxels": [0, 3]},
    ],
)
def test_sizes_that_are_none_are_told(entries):
    with pytest.raises(ValueError, match="for each of its axes") as error:
        refuse_senseless_plans(changed(**entries), "2d", where="plans", needs=NEEDS)
    assert next(iter(entries)) in str(error.value)


def test_what_is_missing_is_told_together():
    plans = changed()
    del plans["configurations"]["2d"]["patch_size"], plans["plans_name"]
    with pytest.raises(ValueError, match=r"plans: plans_name is None, expected a name; 2d has no patch_size\."):
        refuse_senseless_plans(plans, "2d", where="plans", needs=NEEDS)
    for configurations in (None, [], {}, 3):
        with pytest.raises(ValueError, match="there are no configurations"):
            refuse_senseless_plans({**changed(), "configurations": configurations}, "2d", where="plans", needs=NEEDS)
    for name, configurations in {
        "3d": {"2d": {}},
        "a": {"a": {"inherits_from": "b"}},
        "c": {"c": {"inherits_from": 3}},
        "d": {"d": "2d"},
    }.items():
        with pytest.raises(ValueError, match="there is no configuration"):
            refuse_senseless_plans({**changed(), "configurations": configurations}, name, where="plans", needs=NEEDS)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"labels": None}, '"labels" is null, expected'),
        ({"labels": {}}, '"labels" is {}'),
        ({"labels": {"background": 0, "disc": float("nan")}}, 'label "disc" is NaN'),
        ({"labels": {"background": 0, "disc": "1"}}, 'label "disc" is "1", expected a whole number'),
        ({"labels": {"background": 0, "disc": []}}, 'region "disc" is \\[\\], expected whole numbers'),
        ({"labels": {"background": 0, "disc": True}}, 'label "disc" is true'),
        ({"labels": {"Background": 0, "disc": 1}}, '"labels" has "Background", .*write "background"'),
        ({"labels": {"background": 0, "a": 1, "b": 1}}, 'labels "a" and "b" are both 1'),
        ({"labels": {"background": 0, "a": 1, "ignore": 3}}, 'label "ignore" is 3, expected 2'),
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, 'it has regions, but no "regions_class_order"'),
        ({"file_ending": "png"}, '"file_ending" is "png", expected a dot first'),
        ({"channel_names": {}}, "channel_names is {}"),
        ({"channel_names": ["R"]}, "channel_names is \\['R'\\]"),
        ({"numTraining": 0}, "numTraining is 0"),
        ({"numTraining": float("nan")}, "numTraining is nan"),
        ({"numTraining": None}, "numTraining is None"),
    ],
)
def test_a_dataset_json_without_sense_is_told(entries, words):
    refuse_senseless_dataset(DATASET, where="dataset.json", counts_cases=True)
    with pytest.raises(ValueError, match=f"^dataset.json: {words}"):
        refuse_senseless_dataset({**DATASET, **entries}, where="dataset.json", counts_cases=True)


def test_regions_and_the_old_name_of_channels_pass():
    regions = {"background": 0, "whole": [1, 2], "core": [2, 2]}
    described = {"modality": {"0": "MRI"}, "labels": regions, "regions_class_order": [1, 2], "file_ending": ".nii.gz"}
    refuse_senseless_dataset(described, where="dataset.json")
