import math

import pytest

from nnunet_mamba.prediction.plan import read_prediction_plan


def _read(plans, dataset_json):
    return read_prediction_plan(plans, "2d", dataset_json, where="the model")


def test_tells_what_a_configuration_decides(make_plans, make_dataset_json):
    plan = _read(make_plans(transpose=(2, 0, 1)), make_dataset_json())
    assert (plan.patch_size, plan.spacing, plan.is_2d) == ((16, 24), (1.0, 1.0), True)
    assert plan.transpose_backward == (1, 2, 0)
    assert plan.needs_nnunet is None
    assert (plan.heads.n_heads, plan.heads.region_values) == (2, ())


def test_entries_are_inherited(make_plans, make_dataset_json):
    plans = make_plans()
    plans["configurations"] = {
        "base": plans["configurations"]["2d"],
        "2d": {"inherits_from": "base", "patch_size": [8, 8]},
    }
    assert _read(plans, make_dataset_json()).patch_size == (8, 8)


@pytest.mark.parametrize(
    ("labels", "order", "n_heads", "region_values"),
    [
        ({"background": 0, "a": 1, "b": 2, "ignore": 3}, None, 3, ()),
        ({"background": 0, "whole": [1, 2], "core": 2}, [1, 2], 2, (1, 2)),
        ({"background": 0, "a": [1]}, None, 2, ()),
    ],
)
def test_tells_what_the_heads_mean(make_plans, make_dataset_json, labels, order, n_heads, region_values):
    heads = _read(make_plans(), make_dataset_json(labels=labels, order=order)).heads
    assert (heads.n_heads, heads.region_values) == (n_heads, region_values)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"patch_size": [8, 8, 8], "spacing": [1, 1, 1]}, "the network sees volumes"),
        ({"preprocessor_name": "Mine"}, "preprocessor_name is 'Mine'"),
        ({"resampling_fn_probabilities": "resample_torch"}, "resampling_fn_probabilities is 'resample_torch'"),
        ({"normalization_schemes": ["Mine"]}, "normalization_schemes has 'Mine'"),
    ],
)
def test_says_what_only_nnunet_can_do(make_plans, make_dataset_json, change, reason):
    assert _read(make_plans(**change), make_dataset_json()).needs_nnunet == reason


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"patch_size": [8]}, r"patch_size \[8\], expected 2 or 3 numbers above 0"),
        ({"patch_size": [8, 0]}, r"patch_size \[8, 0\], expected 2 or 3 numbers above 0"),
        ({"spacing": [1, math.nan]}, r"spacing \[1, nan\]"),
        ({"normalization_schemes": []}, r"normalization_schemes \[\], expected one for each of 1 channels"),
        ({"use_mask_for_norm": None}, "use_mask_for_norm None, expected one for each of 1 channels"),
    ],
)
def test_names_entries_that_make_no_sense(make_plans, make_dataset_json, change, text):
    with pytest.raises(ValueError, match=f"^the model: the plans have {text}"):
        _read(make_plans(**change), make_dataset_json())


def test_names_missing_intensities_of_ct(make_plans, make_dataset_json):
    plans = make_plans(schemes=("CTNormalization",))
    del plans["foreground_intensity_properties_per_channel"]["0"]["std"]
    with pytest.raises(ValueError, match="the plans have std None in foreground_intensity_properties_per_channel"):
        _read(plans, make_dataset_json())


def test_refuses_a_cascade(make_plans, make_dataset_json):
    with pytest.raises(ValueError, match="starts from what '3d_lowres' has predicted; predict with nnUNetv2"):
        _read(make_plans(previous_stage="3d_lowres"), make_dataset_json())


def test_names_a_configuration_that_is_missing(make_plans, make_dataset_json):
    with pytest.raises(ValueError, match=r"^the model: there is no configuration '3d', but 2d"):
        read_prediction_plan(make_plans(), "3d", make_dataset_json(), where="the model")


def test_labels_with_gaps_are_refused(make_plans, make_dataset_json):
    with pytest.raises(ValueError, match=r"dataset\.json has the labels \[0, 7\], expected 0, 1, 2"):
        _read(make_plans(), make_dataset_json(labels={"background": 0, "lesion": 7}))
