import json
from copy import deepcopy

import pytest

from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.models.bundles.model_json import (
    FORMAT,
    MODEL_FILE,
    WEIGHTS_FILE,
    description_from_json,
    description_to_json,
)

CONVERSION = ImageConversion(
    kind=ImageKind.PHOTOGRAPHS, channel_names=("R", "G", "B"), labels={"background": 0, "disc": 1}, size=(64, 64)
).to_json()


@pytest.fixture
def content(packed):
    """The model.json of UltraLight VM-UNet."""
    return json.loads((packed("model") / MODEL_FILE).read_text())


def read(content):
    return description_from_json(content, MODEL_FILE)


def changed(content, path, value):
    """A copy with another value at a path, such as ("folds", 0, "name")."""
    copy = deepcopy(content)
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy


def test_a_description_comes_back_as_it_was(content):
    stored = read(content)
    again = json.dumps(description_to_json(stored.description, weights_sha256=stored.weights_sha256))
    assert json.loads(again) == content
    assert stored.description.network.arguments["channels"] == (8, 16, 24, 32, 48, 64)
    assert (stored.description.patch_size, stored.description.labels.foreground) == ((64, 64), ["disc"])


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("format",), "1", 'format is "1", expected a whole number'),
        (("format",), 0, "format is 0, expected a whole number, at least 1"),
        (("name",), "../evil", r'name is "\.\./evil", expected a name, of letters'),
        (("name",), "", "name is "),
        (("network", "arguments"), [], r"network\.arguments is \[\], expected an object"),
        (("network", "input_channels"), 4, r"network\.input_channels is 4, expected 3, as the plans"),
        (("network", "num_classes"), 1, r"network\.num_classes is 1, expected 2"),
        (("network", "spatial_dims"), 3, r"network\.spatial_dims is 3, expected 2"),
        (("trainer",), "a/b", 'trainer is "a/b", expected the name of a class'),
        (("trainer",), "a__b", "expected the name of a class"),
        (("configuration",), "..", r'configuration is "\.\.", expected the name of a configuration'),
        (("configuration",), "3d", r"plans\.configurations has no entry '3d'"),
        (("plans", "dataset_name"), "Dataset1_../..", r"plans\.dataset_name is .*expected the name of a data set"),
        (("plans", "plans_name"), "a__b", r"plans\.plans_name is "),
        (("plans", "transpose_forward"), [0, 1, 1], r"plans\.transpose_forward is \[0, 1, 1\], expected the numbers"),
        (("plans", "configurations", "2d", "patch_size"), [64, "x"], r"2d\.patch_size\[1\] is \"x\", expected a whole"),
        (("plans", "configurations", "2d", "patch_size"), [64], r"2d\.patch_size is \[64\], expected 2 or 3 numbers"),
        (("plans", "configurations", "2d", "spacing"), [1.0, 0], r"2d\.spacing\[1\] is 0, expected a positive number"),
        (("plans", "configurations", "2d", "normalization_schemes"), ["A"], "expected 3, one for each channel"),
        (
            ("plans", "configurations", "2d", "use_mask_for_norm"),
            [0, 0, 0],
            r"use_mask_for_norm\[0\] is 0, expected true",
        ),
        (("plans", "configurations", "2d", "preprocessor_name"), 3, "preprocessor_name is 3"),
        (("dataset_json", "labels"), {"background": 0}, "nothing but the background"),
        (("dataset_json", "file_ending"), "png", "file_ending"),
        (("dataset_json", "channel_names"), {}, "expected a name for each channel"),
        (("mirror_axes",), [0, 2], r"mirror_axes\[1\] is 2, expected an axis below 2, each once"),
        (("mirror_axes",), [0, 0], r"mirror_axes\[1\] is 0, expected an axis"),
        (("mirror_axes",), [0, "x"], r'mirror_axes\[1\] is "x", expected a whole number'),
        (("folds",), [], r"folds is \[\], expected at least one fold"),
        (("folds", 0, "name"), "../0", r"folds\[0\]\.name is "),
        (("folds", 0, "epochs"), -1, r"folds\[0\]\.epochs is -1"),
        (("postprocessing",), "fill_holes", r"postprocessing is \"fill_holes\", expected a list"),
        (("postprocessing",), [3], r"postprocessing\[0\] is 3, expected a step"),
        (("conversion",), [], "conversion is .*expected an object"),
        (("conversion",), CONVERSION | {"size": "huge"}, "conversion.size is"),
        (("conversion",), CONVERSION | {"labels": {"background": 0, "mole": 7}}, "expected 3 channels and labels of"),
        (("data", "splits_sha256"), "abc", r"data\.splits_sha256 is \"abc\", expected a SHA-256"),
        (("scores",), [{"data": "a"}], r"scores\[0\] has no entry 'protocol'"),
        (("training", "versions"), {"torch": 2}, r"training\.versions\.torch is 2"),
        (("licences", "weights"), "", r"licences\.weights is \"\", expected a licence"),
        (("hashes", WEIGHTS_FILE), "abc", r"hashes\.weights\.safetensors is \"abc\", expected a SHA-256"),
        (("card",), "../x.md", "card is .*expected the name of a file such as CARD.md"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_place_and_the_way_out(content, path, value, told):
    with pytest.raises(ValueError, match=told) as error:
        read(changed(content, path, value))
    assert str(error.value).startswith(MODEL_FILE)
    assert "get the model again, or pack it anew" in str(error.value)


@pytest.mark.parametrize("name", ["format", "name", "network", "plans", "mirror_axes", "folds", "scores", "hashes"])
def test_a_missing_entry_is_refused(content, name):
    with pytest.raises(ValueError, match=f"model.json has no entry '{name}'"):
        read({key: value for key, value in content.items() if key != name})


def test_a_file_of_a_newer_version_asks_for_it(content):
    with pytest.raises(
        ValueError, match=rf"format is {FORMAT + 1}, and this nnunet-mamba reads up to .*install a newer"
    ):
        read({**content, "format": FORMAT + 1})
    with pytest.raises(
        ValueError, match=r"network\.preset is 'mamba_4', which this nnunet-mamba does not know; install"
    ):
        read(changed(content, ("network", "preset"), "mamba_4"))


def test_a_step_of_a_newer_version_asks_for_it(content):
    with pytest.raises(ValueError, match=r"postprocessing is .*knows .*'fill_holes'\]; install a newer"):
        read(changed(content, ("postprocessing",), ["fill_holes", "dream"]))
    assert read(changed(content, ("postprocessing",), None)).description.postprocessing == ()


def test_a_network_that_the_trainer_does_not_train_is_refused(content):
    with pytest.raises(ValueError, match=r"preset is \"ultralight_vm_unet\", expected 'ultralbm_unet_t', which nnUNet"):
        read({**content, "trainer": "nnUNetTrainerUltraLBMTDistill_20epochs"})


def test_a_network_that_has_no_such_axes_is_refused(content):
    # The plans and the network agree, and VM-UNet is for slices alone.
    volume = {**content["plans"]["configurations"]["2d"], "patch_size": [8, 8, 8], "spacing": [1, 1, 1]}
    other = changed(content, ("plans", "configurations", "2d"), volume)
    other["network"].update(preset="vm_unet", spatial_dims=3)
    other["trainer"] = "nnUNetTrainerVMUNet"
    with pytest.raises(ValueError, match=r"network\.spatial_dims is 3, expected one of 2"):
        read(other)


def test_ct_needs_its_intensities(content):
    schemes = changed(content, ("plans", "configurations", "2d", "normalization_schemes"), ["CTNormalization"] * 3)
    with pytest.raises(ValueError, match=r"per_channel\.0\.std is null, expected a finite number"):
        read(schemes)
    del schemes["plans"]["foreground_intensity_properties_per_channel"]
    with pytest.raises(ValueError, match="has no entry 'foreground_intensity_properties_per_channel', which CT needs"):
        read(schemes)


def test_numbers_that_json_does_not_know_are_not_written(content):
    description = read(changed(content, ("dataset_json", "numTraining"), float("inf"))).description
    with pytest.raises(ValueError, match=r"dataset_json\.numTraining is inf, expected a finite number"):
        description_to_json(description, weights_sha256="")
