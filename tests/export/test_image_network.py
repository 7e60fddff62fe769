"""Images are normalised in the file as nnU-Net normalises them."""

import numpy as np
import pytest
import torch

from nnunet_mamba import create_network
from nnunet_mamba.export.image_network import ImageNetwork
from nnunet_mamba.prediction.plan import SCHEMES, Heads, Normalization, PredictionPlan
from nnunet_mamba.prediction.preprocessing import prepare

CT = {"mean": 120.0, "std": 45.0, "percentile_00_5": 12.0, "percentile_99_5": 230.0}


def _plan(normalizations):
    return PredictionPlan(
        configuration="2d",
        patch_size=(64, 64),
        spacing=(1.0, 1.0),
        transpose_forward=(0, 1, 2),
        normalizations=normalizations,
        heads=Heads(n_heads=1, region_values=(1,)),
        needs_nnunet=None,
    )


@pytest.mark.parametrize("schemes", [*[(scheme,) * 3 for scheme in SCHEMES], SCHEMES[:3]], ids=" ".join)
def test_normalises_like_nnunet(schemes):
    network = create_network("ultralight_vm_unet", 3, 1).eval()
    normalizations = tuple(Normalization(scheme=scheme, intensities=CT) for scheme in schemes)
    seen = []
    network.segment = lambda x: seen.append(x) or x[:, :1]
    images = np.random.default_rng(0).integers(1, 256, (2, 3, 64, 96)).astype(np.float32)
    ImageNetwork([network], normalizations, has_regions=True)(torch.from_numpy(images))
    for image, found in zip(images, seen[0], strict=True):
        expected = prepare(image[:, None], (1.0, 1.0, 1.0), _plan(normalizations)).data[:, 0]
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_averages_the_logits_of_folds_and_takes_probabilities():
    networks = [create_network("ultralbm_unet_t", 3, 2).eval() for _ in range(2)]
    image = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        logits, probabilities = ImageNetwork(networks, (), has_regions=False)(image)
        expected = (networks[0](image) + networks[1](image)) / 2
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(1, 32, 64))


def test_a_network_of_one_size_pads_itself():
    network = create_network("ultralbm_unet_t", 3, 1).eval()
    with torch.no_grad():
        logits, _ = ImageNetwork([network], (), has_regions=True, has_fixed_size=True)(torch.rand(1, 3, 40, 50))
    assert logits.shape == (1, 1, 40, 50)


def test_an_unknown_scheme_is_refused():
    network = create_network("ultralbm_unet_t", 3, 1).eval()
    module = ImageNetwork([network], (Normalization(scheme="MyNormalization"),) * 3, has_regions=True)
    with pytest.raises(ValueError, match="MyNormalization"):
        module(torch.rand(1, 3, 32, 32))
