import re

import pytest

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.networks.catalogue import missing_packages, network_class
from nnunet_mamba.presets import PRESETS
from nnunet_mamba.presets.trainer_names import preset_of_file, trainer_of, variants_of_file
from nnunet_mamba.published_results import ROWS

NAMES = [(trainer, variant) for trainer in trainer_names() for variant in variants_of_file(trainer)]
OF_ROWS = [network for row in ROWS if (network := row.network or row.stand_in)]


def test_variants_have_speaking_names_that_are_no_other_part_of_a_trainers_name():
    for trainer, variant in NAMES:
        assert re.fullmatch(r"[a-z][A-Za-z0-9]*", variant), (trainer, variant)
        assert not re.fullmatch(r"paper|nnunet|robust|deep|seed\d*", variant), (trainer, variant)
    # Names of folders on Windows and macOS do not differ by their capitals alone.
    assert len({(trainer, variant.casefold()) for trainer, variant in NAMES}) == len(NAMES)


def test_a_variant_changes_arguments_of_its_network_that_the_plans_leave_alone():
    for preset in PRESETS.values():
        if missing_packages(preset):
            continue
        for variant, overrides in preset.variants.items():
            assert overrides, (preset.name, variant)
            assert overrides.keys() <= set(network_class(preset).keyword_arguments()), (preset.name, variant)
            for size in preset.sizes:
                assert not overrides.keys() & set(preset.planned(size.spatial_dims)), (preset.name, variant)
                assert {**size.arguments, **overrides} != size.arguments, (preset.name, variant)


def test_variants_cannot_be_changed():
    preset = PRESETS["vm_unet"]
    with pytest.raises(TypeError, match="does not support item assignment"):
        preset.variants["mine"] = {}
    with pytest.raises(TypeError, match="does not support item assignment"):
        preset.variants["dropPath0"]["drop_path_rate"] = 1


def test_every_row_of_the_papers_that_we_link_has_exactly_one_trainer_and_every_variant_a_row():
    of_rows = {trainer_of(network.preset, network.overrides, network.trainer) for network in OF_ROWS}
    assert {f"{trainer}_{variant}" for trainer, variant in NAMES} == {name for name in of_rows if "_" in name}
    for network in OF_ROWS:
        named = [name for name, values in PRESETS[network.preset].variants.items() if values == network.overrides]
        assert len(named) == (1 if network.overrides else 0), network.shown
        if named:
            assert trainer_of(network.preset, network.overrides) == f"{PRESETS[network.preset].trainer}_{named[0]}"


def test_a_trainer_is_named_for_what_it_trains():
    assert trainer_of("vm_unet", {}) == "nnUNetTrainerVMUNet"
    assert trainer_of("vm_unet", {"drop_path_rate": 0.1}) == "nnUNetTrainerVMUNet_dropPath01"
    # The published values are no variant, and what a variant repeats of them can be left out.
    assert trainer_of("vm_unet", {"drop_path_rate": 0.2}) == "nnUNetTrainerVMUNet"
    assert trainer_of("vm_unet", {"depths_decoder": (2, 2, 2, 2)}) == "nnUNetTrainerVMUNet_depths2222"
    assert trainer_of("ultralbm_unet_t", {}, "nnUNetTrainerUltraLBMTDistill_kl") == "nnUNetTrainerUltraLBMTDistill_kl"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("vm_net", {}), r"There is no network 'vm_net' to train; choose one of ultralight_vm_unet, "),
        (
            ("vm_unet", {"drop_path_rate": 0.4, "d_state": 8}),
            r"No trainer of vm_unet has drop_path_rate=0\.4, d_state=8: nnUNetTrainerVMUNet has the variants dropPath0",
        ),
        (("unet_tumour", {"features_per_stage": (8,)}), r"nnUNetTrainerUNetTumour has no variants"),
        (
            ("ultralbm_unet_t", {}, "nnUNetTrainerUltraLBMTDistill_dropPath0"),
            "'nnUNetTrainerUltraLBMTDistill_dropPath0' trains no ultralbm_unet_t; "
            ".* are nnUNetTrainerUltraLBMTDistill, nnUNetTrainerUltraLBMTDistill_kl, ",
        ),
        (("vm_unet", {}, "nnUNetTrainerUltraLBMTDistill"), "further trainers of that network are none"),
        (
            ("ultralbm_unet_t", {"skip_scale": "none"}, "nnUNetTrainerUltraLBMTDistill"),
            "trains ultralbm_unet_t as it is, and not with skip_scale; leave one of both out",
        ),
    ],
)
def test_what_no_trainer_trains_is_told(asked, told):
    with pytest.raises(ValueError, match=told):
        trainer_of(*asked)


def test_trainers_of_others_have_neither_network_nor_variants():
    assert preset_of_file("nnUNetTrainer") is None
    assert variants_of_file("nnUNetTrainer") == ()
