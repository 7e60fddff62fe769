import dataclasses
import subprocess
import sys

import pytest

from nnunet_mamba import create_network, list_networks
from nnunet_mamba.presets import PRESETS, ULTRALIGHT_VM_UNET


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_preset_builds_the_published_number_of_parameters(preset):
    network = create_network(preset.name, *preset.reference_input)

    assert sum(parameter.numel() for parameter in network.parameters()) == preset.n_parameters


def test_presets_are_listed_under_their_own_names():
    assert list_networks() == sorted(PRESETS) == sorted(preset.name for preset in PRESETS.values())


def test_preset_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ULTRALIGHT_VM_UNET.n_parameters = 1
    with pytest.raises(TypeError, match="does not support item assignment"):
        ULTRALIGHT_VM_UNET.arguments["n_parallel"] = 1
    with pytest.raises(TypeError, match="does not support item assignment"):
        PRESETS["mine"] = ULTRALIGHT_VM_UNET


def test_preset_is_hashable():
    assert {ULTRALIGHT_VM_UNET: "value"}[ULTRALIGHT_VM_UNET] == "value"


def test_listing_networks_does_not_import_torch():
    script = "import sys, nnunet_mamba; assert nnunet_mamba.list_networks(); print('torch' in sys.modules)"

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "False"
