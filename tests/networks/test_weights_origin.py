from dataclasses import replace

import pytest

from nnunet_mamba import presets
from nnunet_mamba.networks import weights_origin
from nnunet_mamba.networks.ultralight_vm_unet import UltraLightVMUNet
from nnunet_mamba.networks.weights_origin import recognised_origin

VMAMBA = {"patch_embed.proj.weight", "layers.0.blocks.0.self_attention.x_proj_weight"}


@pytest.fixture
def asked(monkeypatch):
    """The presets whose classes are imported."""
    names = []
    network_class = weights_origin.network_class
    monkeypatch.setattr(
        weights_origin, "network_class", lambda preset: names.append(preset.name) or network_class(preset)
    )
    return names


def test_only_networks_that_may_have_such_weights_are_imported(asked):
    assert recognised_origin(VMAMBA, network=UltraLightVMUNet).networks == ("vm_unet",)
    assert asked == ["vm_unet", "vm_unet_no_mamba"]


def test_weights_of_none_of_the_papers_are_not_looked_at_closely(asked, monkeypatch):
    monkeypatch.setattr(weights_origin, "create_network", None)

    assert recognised_origin({"conv1.weight", "layer1.0.conv1.weight", "fc.bias"}, network=UltraLightVMUNet) is None
    assert asked == []


def test_networks_without_their_optional_packages_are_left_out(asked, monkeypatch):
    for preset in (presets.VM_UNET, presets.VM_UNET_NO_MAMBA):
        monkeypatch.setitem(presets._BY_NAME, preset.name, replace(preset, requires=("no_such_package",), extra="x"))

    assert recognised_origin(VMAMBA, network=UltraLightVMUNet) is None
    assert asked == []
