import pytest

from nnunet_mamba import presets
from nnunet_mamba.networks.plan_arguments import plan_arguments

STRIDES_3D = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]


def configuration(patch_size, **architecture):
    return {"patch_size": patch_size, "architecture": {"arch_kwargs": architecture}}


@pytest.fixture
def volume():
    return configuration(
        [40, 224, 192],
        features_per_stage=[32, 64, 128, 256, 320, 320],
        kernel_sizes=[[1, 3, 3], *[[3, 3, 3]] * 5],
        strides=STRIDES_3D,
        n_conv_per_stage=[2] * 6,
        n_conv_per_stage_decoder=[2] * 5,
    )


def test_stages_of_u_mamba_are_the_plans(volume):
    assert plan_arguments(presets.U_MAMBA_BOT, volume) == {**volume["architecture"]["arch_kwargs"], "spatial_dims": 3}


def test_patch_size_decides_the_widths_of_u_mamba_enc(volume):
    assert plan_arguments(presets.U_MAMBA_ENC, volume)["input_size"] == (40, 224, 192)


def test_blocks_of_residual_encoder_plans_are_convolutions_of_a_stage(volume):
    plan = volume["architecture"]["arch_kwargs"]
    plan["n_blocks_per_stage"] = plan.pop("n_conv_per_stage")

    assert plan_arguments(presets.U_MAMBA_BOT, volume)["n_conv_per_stage"] == [2] * 6


def test_networks_of_fixed_size_take_nothing_from_a_2d_plan():
    plan = configuration([320, 320], strides=[[1, 1], *[[2, 2]] * 6], features_per_stage=[32] * 7)

    assert plan_arguments(presets.ULTRALIGHT_VM_UNET, plan) == {}
    assert plan_arguments(presets.VM_UNET, plan) == {}
    assert plan_arguments(presets.U_MAMBA_BOT_TUMOUR, plan) == {}


def test_compact_networks_pool_volumes_as_the_plan_does(volume):
    arguments = plan_arguments(presets.ULTRALIGHT_VM_UNET, volume)

    assert arguments == {"spatial_dims": 3, "strides": ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))}


def test_shallower_network_takes_the_first_of_the_plans_poolings(volume):
    assert plan_arguments(presets.UL_VM_UNET_V1, volume)["strides"] == ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))
