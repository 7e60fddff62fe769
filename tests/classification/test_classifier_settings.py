import json

import pytest

from nnunet_mamba.classification.settings import ClassifierSettings, settings_from_json
from nnunet_mamba.networks.classifiers.vmamba import VMamba

OVERRIDES = {"dims": (8, 16), "depths": (1, 1)}


def test_settings_survive_json():
    settings = ClassifierSettings(network="vm_unet_encoder", image_size=(32, 48), overrides=OVERRIDES, flip=False)
    again = settings_from_json(json.loads(json.dumps(settings.as_json())))
    assert again.differences(settings) == []
    assert isinstance(again.create_network(3), VMamba)
    assert again.image_size == (32, 48)


def test_the_machine_makes_no_difference_and_all_else_does():
    settings = ClassifierSettings(network="vim_cifar", image_size=(32, 32))
    other = {"device": "cpu", "workers": 3, "epochs": 7, "overrides": {"depth": 2}}
    assert settings.differences(ClassifierSettings(**{**vars(settings), **other})) == ["overrides", "epochs"]


def test_positions_are_made_for_the_size_of_the_images():
    network = ClassifierSettings(network="vim_cifar", image_size=(16, 24), overrides={"depth": 1}).create_network(5)
    assert network.grid == (4, 6)
    assert network.head.out_features == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "vm_unet"}, "network='vm_unet', expected one of vim_cifar, vim_tiny"),
        ({"image_size": (32,)}, r"image_size is \[32\], expected a list of 2"),
        ({"image_size": (32, 0)}, r"image_size\[1\] is 0, expected a whole number, at least 1|\[1\]"),
        ({"epochs": 0}, "epochs is 0, expected a whole number, at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate is NaN, expected a finite number"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0, expected at least 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing=1.0, expected a share in \[0, 1\)"),
        ({"normalisation": "none"}, "normalisation='none', expected 'imagenet' or 'image'"),
        ({"device": "gpu"}, "device='gpu'`, expected 'cpu', 'cuda', 'mps' or such as 'cuda:1'"),
        ({"flip": 1}, "flip is 1, expected true or false"),
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ClassifierSettings(**{"network": "vim_cifar", "image_size": (32, 32), **change})
