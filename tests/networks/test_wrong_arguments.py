"""Arguments of a wrong type or value are refused in words where a block or network is made or called."""

import re

import numpy as np
import pytest
from optional_networks import all_presets

from nnunet_mamba import create_network
from nnunet_mamba.blocks.baselines.channel_norm import ChannelNorm
from nnunet_mamba.blocks.baselines.dilated_gated_attention import DilatedGatedAttention
from nnunet_mamba.blocks.baselines.external_attention import ExternalAttention
from nnunet_mamba.blocks.baselines.group_aggregation_bridge import GroupAggregationBridge
from nnunet_mamba.blocks.baselines.multi_axis_product import MultiAxisProduct
from nnunet_mamba.blocks.bidirectional_mamba import BidirectionalMamba
from nnunet_mamba.blocks.local_global_perception import LocalGlobalPerception
from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.blocks.mamba_layer import MambaLayer
from nnunet_mamba.blocks.parallel_vision_mamba import ParallelVisionMamba
from nnunet_mamba.blocks.pyramid_pooling import PyramidPooling
from nnunet_mamba.blocks.self_attention import SelfAttention
from nnunet_mamba.blocks.separable_convolution import SeparableConvolution
from nnunet_mamba.blocks.ss2d import SS2D
from nnunet_mamba.blocks.vss_block import VSSBlock

NO_SIZES = (0, -1, 1.5, float("nan"), float("inf"), True, "8", None, [8], np.ones(1))
NO_FLAGS = ("False", 0, 1, None)

# Of every block: arguments that make it, and the names of its sizes and flags.
BLOCKS = [
    (Mamba, {"d_model": 8}, ("d_model", "d_state", "d_conv", "expand", "dt_rank"), ("bias", "conv_bias")),
    (SS2D, {"d_model": 8}, ("d_model", "d_state", "d_conv", "expand", "dt_rank"), ("scan",)),
    (VSSBlock, {"d_model": 8}, ("d_model", "d_state"), ("scan",)),
    (MambaLayer, {"d_model": 8}, ("d_model",), ("channels_as_tokens",)),
    (BidirectionalMamba, {"d_model": 8}, ("d_model",), ("shared",)),
    (SelfAttention, {"d_model": 8}, ("d_model",), ("causal",)),
    (PyramidPooling, {"channels": 8}, ("channels", "spatial_dims"), ()),
    (SeparableConvolution, {"channels": 8, "kernel_size": 3}, ("channels", "kernel_size", "spatial_dims"), ()),
    (
        ParallelVisionMamba,
        {"in_channels": 8, "out_channels": 8},
        ("in_channels", "out_channels", "n_parallel"),
        ("shared_mamba", "pyramid_pooling"),
    ),
    (
        LocalGlobalPerception,
        {"in_channels": 8, "out_channels": 8},
        ("in_channels", "out_channels", "kernel_size", "spatial_dims"),
        ("shared_mamba",),
    ),
    (ChannelNorm, {"channels": 8}, ("channels",), ()),
    (ExternalAttention, {"channels": 8}, ("channels",), ()),
    *(
        (block, {"in_channels": 8, "out_channels": 8}, ("in_channels", "out_channels"), ())
        for block in (DilatedGatedAttention, MultiAxisProduct)
    ),
    (GroupAggregationBridge, {"below_channels": 8, "channels": 8}, ("below_channels", "channels"), ()),
]
SIZES = [(block, valid, name, value) for block, valid, sizes, _ in BLOCKS for name in sizes for value in NO_SIZES]
FLAGS = [(block, valid, name, value) for block, valid, _, flags in BLOCKS for name in flags for value in NO_FLAGS]


@pytest.mark.parametrize(("block", "valid", "name", "value"), [*SIZES, *FLAGS])
def test_blocks_name_the_wrong_argument(block, valid, name, value):
    with pytest.raises(ValueError, match=rf"^\w+: {name}="):
        block(**{**valid, name: value})


def test_sizes_may_be_numpys():
    assert Mamba(np.int64(4), expand=np.int32(2)).out_proj.weight.shape == (4, 8)


@pytest.mark.parametrize("preset", all_presets())
@pytest.mark.parametrize("value", [0, -3, 2.0, float("nan"), True, "3", None])
def test_networks_name_wrong_channels_and_classes(preset, value):
    with pytest.raises(ValueError, match=rf": num_classes={re.escape(repr(value))}, expected"):
        create_network(preset.name, 3, value)
    with pytest.raises(ValueError, match=rf": input_channels={re.escape(repr(value))}, expected"):
        create_network(preset.name, value, 1)


OVERRIDES = {
    "ultralight_vm_unet": {
        "channels": (None, 8, "abcdef", (8,), (8, 16, 24), (8, 16, 24.0, 32), (8, 16, 23, 32), (), (8, 16, True, 32)),
        "n_parallel": (0, 1.5, "4", True, None, 3),
        "strides": (2, "22222", ((2, 2),), ((2, 0),) * 5, ((2, 1.5),) * 5, ("22",) * 5),
        **dict.fromkeys(("bridge", "shared_mamba", "deep_supervision"), NO_FLAGS),
        **dict.fromkeys(
            ("split_att", "encoder_mixer", "decoder_mixer", "pyramid_pooling"), (None, 3, "other", ["pvm"])
        ),
    },
    "ultralbm_unet": {
        "channels": (None, 8, "abcdef", (8, 16, 24), (8, 16, 24, 30, 48, 64)),
        "kernel_sizes": (3, None, (3, 5), (3, 4, 5), (3.0, 5, 7), "357"),
        "mixers": (None, "conv", ("conv",), ("conv", "conv", 3)),
        "branches": (None, 3, "conv", ("conv",) * 5, ("conv", "conv", "conv", None)),
        **dict.fromkeys(("directions", "flip", "skip_scale"), (None, 3, "other")),
        **dict.fromkeys(("shared_mamba", "deep_supervision"), NO_FLAGS),
    },
    "malunet": {
        "channels": (None, (8, 16, 24), (8, 16, 23, 32), (8, 16, 24, 30), (8, 16, True, 32)),
        "split_att": (None, 3, "other"),
        **dict.fromkeys(("bridge", "deep_supervision"), NO_FLAGS),
    },
    "ege_unet": {
        "channels": (None, (8, 16, 24), (2, 16, 24, 32), (8, 16, 24, 30)),
        "deep_supervision": NO_FLAGS,
    },
    "vm_unet": {
        "dims": (None, 96, (), "ab", (96,), (96, 100, 200, 400), (90, 180, 360, 720), (96.0, 192, 384, 768)),
        "depths": (None, 2, (2, 2), (2, 2, 2, 0), (2, 2, 2, 1.5), "2222"),
        "depths_decoder": (None, 2, (2, 2), (2, 2, 2, True)),
        "drop_path_rate": (1.0, -0.1, float("nan"), "0.2", None),
        "d_state": NO_SIZES,
        **dict.fromkeys(("scan", "deep_supervision"), NO_FLAGS),
    },
    "u_mamba_bot": {
        "features_per_stage": (
            None,
            32,
            (),
            (32,),
            "ab",
            (32, 0),
            (32, 1.5),
            (32, float("nan")),
            (32, None),
            (8, True),
        ),
        "kernel_sizes": (2, 0, None, "3", ((3, 3),), float("nan")),
        "strides": (0, "1", (2, 2), 1.5),
        "n_conv_per_stage": (0, None, "2", (2,), float("inf")),
        "deep_supervision": NO_FLAGS,
    },
    "u_mamba_enc": {"input_size": (None, 64, (64,), (64, 0), (64, 1.5), "ab")},
    "u_mamba_bot_pp": {"pyramid_pooling": NO_FLAGS, "features_per_stage": ((8, 12),), "deep_supervision": NO_FLAGS},
}
WRONG = [(name, one, value) for name, wrong in OVERRIDES.items() for one, values in wrong.items() for value in values]


@pytest.mark.parametrize(("name", "override", "value"), WRONG)
def test_networks_name_the_wrong_override(name, override, value):
    sizes = {"features_per_stage": (8, 16), "strides": None} if name.startswith("u_mamba_bot") else {}
    with pytest.raises(ValueError, match=r"^\w+: ") as error:
        create_network(name, 3, 1, **{**sizes, override: value})
    assert override in str(error.value) or "channels" in str(error.value)
