import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nnunet_mamba import create_network, list_networks
from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.presets import PRESETS, ULTRALIGHT_VM_UNET
from nnunet_mamba.training.generated_trainers import load_trainer

# What the papers' own code builds.
PUBLISHED = {
    ("ultralight_vm_unet", 2): 49_457,
    ("ul_vm_unet_v1", 2): 217_165,
    ("ul_vm_unet_v2", 2): 42_737,
    ("ul_vm_unet_v3", 2): 176_453,
    ("ul_vm_unet_v4", 2): 1_135_309,
    ("ul_vm_unet_v5", 2): 703_885,
    ("ul_vm_unet_v6", 2): 769_677,
    ("ultralight_vm_unet_no_mamba", 2): 123_655,
    ("ultralbm_unet", 2): 34_166,
    ("ultralbm_unet_t", 2): 10_956,
    ("vm_unet", 2): 27_427_561,
    ("u_mamba_bot", 2): 47_533_012,
    ("u_mamba_bot", 3): 41_945_158,
    ("u_mamba_enc", 2): 47_015_538,
    ("u_mamba_enc", 3): 42_842_798,
    ("u_mamba_bot_tumour", 2): 9_813_700,
    ("u_mamba_bot_pp", 2): 10_076_356,
    ("unet_tumour", 2): 7_765_985,
    ("resnet18_seg", 2): 13_930_497,
    ("resnet50_seg", 2): 42_909_633,
    ("segformer_tumour", 2): 17_782_913,
    ("unext", 2): 1_471_921,
    ("u_lite", 2): 878_417,
    ("cmunext_s", 2): 417_505,
    ("lightm_unet", 2): 403_302,
    ("lightm_unet_32", 2): 5_011_732,
    ("malunet", 2): 177_943,
    ("ege_unet", 2): 53_374,
}


@pytest.mark.parametrize(("name", "spatial_dims"), PUBLISHED)
def test_published_networks_have_the_published_number_of_parameters(name, spatial_dims):
    size = PRESETS[name].size(spatial_dims)
    with torch.device("meta"):
        network = create_network(name, *size.reference_input, spatial_dims=spatial_dims)

    assert sum(parameter.numel() for parameter in network.parameters()) == PUBLISHED[name, spatial_dims]
    assert size.n_parameters == PUBLISHED[name, spatial_dims]


def test_presets_are_listed_under_their_own_names():
    assert list_networks() == sorted(PRESETS) == sorted(preset.name for preset in PRESETS.values())


def test_sizes_are_for_images_and_volumes_in_this_order():
    assert {preset.spatial_dims for preset in PRESETS.values()} <= {(2,), (3,), (2, 3)}
    assert {name for name, preset in PRESETS.items() if 3 not in preset.spatial_dims} == {
        *("vm_unet", "vm_unet_no_mamba", "unet_tumour", "resnet18_seg", "resnet50_seg", "segformer_tumour"),
        *("unext", "u_lite", "cmunext_s", "lightm_unet", "lightm_unet_32"),
        *("malunet", "ege_unet"),
        *("smp_unet", "smp_unet_plus_plus", "smp_segformer", "smp_dpt"),
    }


def test_an_argument_that_is_the_size_of_the_counted_image_comes_from_the_plans():
    tied = {
        (preset.name, argument)
        for preset in PRESETS.values()
        for size in preset.sizes
        for argument, value in size.arguments.items()
        if value == size.image_size
    }

    assert tied == {(name, "input_size") for name in ("u_mamba_enc", "smp_dpt", "monai_unetr")}
    assert all(argument in PRESETS[name].planned(dims) for name, argument in tied for dims in (2, 3))


def test_optional_packages_come_with_an_extra_that_there_is():
    declared = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for preset in PRESETS.values():
        assert not preset.requires or f"\n{preset.extra} = [" in declared, preset.name


def test_preset_cannot_be_changed():
    size = ULTRALIGHT_VM_UNET.sizes[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        size.n_parameters = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        ULTRALIGHT_VM_UNET.name = "mine"
    with pytest.raises(TypeError, match="does not support item assignment"):
        size.arguments["n_parallel"] = 1
    with pytest.raises(TypeError, match="does not support item assignment"):
        PRESETS["mine"] = ULTRALIGHT_VM_UNET


def test_u_mamba_alone_takes_all_of_its_stages_from_the_plans():
    names = {name for name, preset in PRESETS.items() if preset.has_stages_of_plans}
    assert names == {"u_mamba_bot", "u_mamba_enc", "u_mamba_no_mamba", "u_mamba_bot_pp"}


def test_every_bundled_trainer_is_of_the_preset_that_names_it():
    named = {name: preset for preset in PRESETS.values() for name in (preset.trainer, *preset.other_trainers)}
    assert {name: load_trainer(name).preset for name in trainer_names()} == named


def test_listing_networks_does_not_import_torch():
    script = "import sys, nnunet_mamba; assert nnunet_mamba.list_networks(); print('torch' in sys.modules)"

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "False"
