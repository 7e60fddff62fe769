import math

import pytest
from trained_models import plans_of_nnunet

from nnunet_mamba.data.formats.dataset_json import dataset_json_in
from nnunet_mamba.models.needed_plans import check_dataset_name, check_name, n_input_channels, needed_plans
from nnunet_mamba.system.checked_entries import Entry


def test_one_configuration_is_left_and_inherits_from_none():
    plans = plans_of_nnunet()
    base = plans["configurations"]["base"]
    base["next_stage"] = "3d_cascade_fullres"
    needed = needed_plans(plans, "2d")
    kept = {name: value for name, value in base.items() if name != "next_stage"}
    assert needed["configurations"] == {"2d": {**kept, "batch_size": 4}}
    assert "nnunet_mamba" not in needed
    with pytest.raises(ValueError, match="there is no configuration '3d'"):
        needed_plans(plans, "3d")


def test_intensities_that_json_does_not_know_become_null():
    plans = plans_of_nnunet(n_channels=1)
    needed = needed_plans(plans, "2d")["foreground_intensity_properties_per_channel"]
    assert needed == {"0": {"max": 206.0, "mean": 169.5, "std": None}}
    assert math.isnan(plans["foreground_intensity_properties_per_channel"]["0"]["std"])


def test_a_cascade_has_the_labels_of_the_stage_before_as_input():
    content = {"labels": {"background": 0, "a": 1, "b": 2, "ignore": 3}, "file_ending": ".nii.gz"}
    labels = dataset_json_in(content, place="dataset.json").labels
    assert n_input_channels(1, labels, {}) == 1
    assert n_input_channels(1, labels, {"previous_stage": None}) == 1
    assert n_input_channels(1, labels, {"previous_stage": "3d_lowres"}) == 3


@pytest.mark.parametrize("name", ["2d", "3d_fullres", "nnUNetPlans", "nnUNetUltraLightVMPlans_8GB", "a.b-c"])
def test_names_of_folders_pass(name):
    assert check_name(Entry(name, "file", "mend it"), "a name") == name


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "a/b", "a\\b", "a__b", "a:", "a b", "a_", "x\n"])
def test_names_that_are_no_folders_are_refused(name):
    with pytest.raises(ValueError, match="expected a name"):
        check_name(Entry(name, "file", "mend it"), "a name")


@pytest.mark.parametrize("name", ["Dataset101_ISIC", "Dataset1234_a b"])
def test_names_of_data_sets_pass(name):
    assert check_dataset_name(Entry(name, "file", "mend it")) == name


@pytest.mark.parametrize(
    "name",
    ["Dataset1_A", "ISIC", "Dataset101_", "Dataset101_a/b", "Dataset101_..\\x", "Dataset101_a.", "Dataset101_a\n"],
)
def test_names_that_are_no_data_sets_are_refused(name):
    with pytest.raises(ValueError, match="expected the name of a data set"):
        check_dataset_name(Entry(name, "file", "mend it"))
