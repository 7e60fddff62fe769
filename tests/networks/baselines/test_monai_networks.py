import re

import pytest
import torch
from optional_networks import SMALL

from nnunet_mamba import create_network
from nnunet_mamba.networks.baselines.monai_networks import (
    MonaiAttentionUnet,
    MonaiSwinUNETR,
    MonaiUnetPlusPlus,
    MonaiUNETR,
)
from nnunet_mamba.networks.upstream_weights import load_upstream_weights

nets = pytest.importorskip("monai.networks.nets", reason="monai is not installed")

SWIN = SMALL["MonaiSwinUNETR"][2]
UNETR = {**SMALL["MonaiUNETR"][2], "input_size": (32, 48)}
SIZES = {2: (32, 64), 3: (16, 32, 16)}


def of_attention_unet(dims):
    features = (4, 8, 8, 16)
    theirs = nets.AttentionUnet(dims, 2, 3, features, (2, 2, 2))
    return MonaiAttentionUnet(2, 3, features_per_stage=features, spatial_dims=dims), theirs


def of_unet_plus_plus(dims):
    features = (4, 4, 8, 8, 8)
    theirs = nets.BasicUNetPlusPlus(dims, 2, 3, (*features, 6))
    return MonaiUnetPlusPlus(2, 3, features_per_stage=features, last_features=6, spatial_dims=dims), theirs


def of_swin_unetr(dims):
    theirs = nets.SwinUNETR(2, 3, feature_size=12, depths=(2, 1, 1, 1), num_heads=(2, 2, 2, 2), spatial_dims=dims)
    return MonaiSwinUNETR(2, 3, **SWIN, spatial_dims=dims), theirs


def of_unetr(dims):
    sizes = {"feature_size": 4, "hidden_size": 12, "mlp_dim": 16}
    theirs = nets.UNETR(2, 3, SIZES[dims], num_heads=2, spatial_dims=dims, **sizes)
    return MonaiUNETR(2, 3, input_size=SIZES[dims], n_heads=2, spatial_dims=dims, **sizes), theirs


@pytest.mark.parametrize(
    ("make", "dims"),
    [
        *((make, 2) for make in (of_attention_unet, of_unet_plus_plus, of_swin_unetr, of_unetr)),
        *((make, 3) for make in (of_attention_unet, of_unet_plus_plus, of_unetr)),
    ],
)
def test_computes_what_the_library_computes_from_its_own_weights(make, dims):
    torch.manual_seed(0)
    ours, theirs = (network.eval() for network in make(dims))
    images = torch.randn(2, 2, *SIZES[dims])

    report = load_upstream_weights(ours, theirs.state_dict())

    # Heads and norms that the library does not use are no reason to refuse the rest.
    assert (report.missing, report.mismatched, report.unused) == ((), (), ())
    with torch.no_grad():
        expected = theirs(images)
        torch.testing.assert_close(ours(images), expected[0] if isinstance(expected, list) else expected)


def test_unetr_has_as_many_axes_as_its_input_size():
    with torch.device("meta"):
        network = create_network("monai_unetr", 1, 2, input_size=(17, 32, 40))
    assert network.size_multiple == (16, 16, 16)
    assert network.body.vit.patch_embedding.n_patches == 2 * 2 * 3


def test_images_with_one_position_at_the_deepest_level_are_refused():
    images = torch.zeros(1, 2, 16, 16)
    for network, stride in (
        (MonaiUnetPlusPlus(2, 3, features_per_stage=(4,) * 5, last_features=4), 16),
        (MonaiSwinUNETR(2, 3, **SWIN), 32),
    ):
        with pytest.raises(ValueError, match=rf"smallest size that works is \({stride + 1}, 16\)"):
            network(images)


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (MonaiAttentionUnet, {"features_per_stage": 8}, "features_per_stage=8, expected a sequence of whole numbers"),
        (MonaiAttentionUnet, {"features_per_stage": (8,)}, "features_per_stage=(8,), expected two levels or more"),
        (MonaiAttentionUnet, {"features_per_stage": (8, 0)}, "features_per_stage=(8, 0), expected whole numbers of at"),
        (MonaiAttentionUnet, {"spatial_dims": 4}, "MonaiAttentionUnet: spatial_dims=4, expected 2 or 3"),
        (MonaiUnetPlusPlus, {"features_per_stage": (8, 8)}, "features_per_stage=(8, 8), expected 5 whole numbers of"),
        (MonaiUnetPlusPlus, {"last_features": 0}, "MonaiUnetPlusPlus: last_features=0, expected at least 1"),
        (MonaiSwinUNETR, {"feature_size": 25}, "MonaiSwinUNETR: feature_size=25, expected a multiple of 12"),
        (MonaiSwinUNETR, {"depths": (2, 2)}, "MonaiSwinUNETR: depths=(2, 2), expected 4 whole numbers of at least 1"),
        (
            MonaiSwinUNETR,
            {"n_heads": (3, 6, 12, 7)},
            "MonaiSwinUNETR: n_heads[3]=7 for 192 channels, expected a divisor",
        ),
        (MonaiUNETR, {"input_size": (32, 1.5)}, "MonaiUNETR: input_size=(32, 1.5), expected 2 numbers of at least 1"),
        (MonaiUNETR, {**UNETR, "n_heads": 5}, "MonaiUNETR: hidden_size=12 for n_heads=5, expected a multiple; nearest"),
        (MonaiUNETR, {**UNETR, "mlp_dim": 0}, "MonaiUNETR: mlp_dim=0, expected at least 1"),
    ],
    ids=lambda value: getattr(value, "__name__", "") if isinstance(value, type) else str(value)[:40],
)
def test_refuses_arguments_that_do_not_fit(network, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        network(1, 2, **arguments)
