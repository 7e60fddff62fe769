import subprocess
import sys
from typing import get_args

import pytest
import torch

from nnunet_mamba import create_network, list_networks
from nnunet_mamba.networks.classifiers.classification_network import ClassificationNetwork
from nnunet_mamba.networks.complexity import measure_complexity
from nnunet_mamba.presets import CLASSIFIERS, PRESETS, ClassifierName


@pytest.mark.parametrize("preset", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_what_a_preset_says_was_counted(preset):
    with torch.device("meta"):
        network = create_network(preset.name, *preset.reference_input)
    assert isinstance(network, ClassificationNetwork)
    counted = measure_complexity(network, (preset.reference_input[0], *preset.image_size))
    assert counted.n_parameters == preset.n_parameters
    assert f"{counted.flops / 1e9:.5g}" == f"{preset.giga_flops:.5g}"


def test_names_are_unique_and_typed():
    assert set(get_args(ClassifierName)) == CLASSIFIERS.keys()
    assert not CLASSIFIERS.keys() & PRESETS.keys()


def test_tasks_are_listed_apart():
    assert list_networks(task="classification") == sorted(CLASSIFIERS)
    assert list_networks(task="segmentation") == list_networks() == sorted(PRESETS)
    with pytest.raises(ValueError, match=r"unknown task 'detection'; .*Choose one of: segmentation, classification"):
        list_networks(task="detection")


def test_mistakes_are_told_with_what_is_near():
    with pytest.raises(ValueError, match=r"unknown network 'vim_tinny'; did you mean 'vim_tiny'"):
        create_network("vim_tinny", 3, 10)
    with pytest.raises(TypeError, match=r"vim_tiny takes no override 'imagesize'; did you mean 'image_size'"):
        create_network("vim_tiny", 3, 10, imagesize=32)


def test_listing_needs_no_torch():
    script = "import sys, nnunet_mamba as n; assert n.list_networks('classification'); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
