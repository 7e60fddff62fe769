import re

import pytest
import torch
from torch.nn import functional

from nnunet_mamba.networks import padded_u_net
from nnunet_mamba.networks.u_mamba import UMambaBot, UMambaNoMamba

SMALL = {"features_per_stage": (4, 6, 8)}
SMALL_VOLUME = {
    "features_per_stage": (4, 6, 8),
    "kernel_sizes": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
    "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
}


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.mark.parametrize("network_class", [UMambaBot, UMambaNoMamba])
@pytest.mark.parametrize(
    ("sizes", "image_size"),
    [(SMALL, (5, 1)), (SMALL, (33, 46)), (SMALL_VOLUME, (1, 7, 4)), (SMALL_VOLUME, (5, 9, 10))],
    ids=str,
)
def test_any_size_gives_finite_logits_of_that_size(network_class, sizes, image_size):
    network = network_class(1, 2, **sizes, deep_supervision=True).eval()

    with torch.no_grad():
        full, half = network(torch.randn(2, 1, *image_size))

    *depth, height, width = image_size
    assert full.shape == (2, 2, *image_size)
    assert half.shape == (2, 2, *depth, -(-height // 2), -(-width // 2))
    assert full.isfinite().all()


def test_odd_size_is_the_padded_image_cropped():
    network = UMambaBot(1, 2, **SMALL_VOLUME, deep_supervision=True).eval()
    volume = torch.randn(1, 1, 3, 9, 6)
    padded = functional.pad(volume, (0, 2, 0, 3, 0, 1), mode="replicate")

    with torch.no_grad():
        full, half = network(volume)
        expected_full, expected_half = network(padded)

    assert torch.equal(full, expected_full[:, :, :3, :9, :6])
    assert torch.equal(half, expected_half[:, :, :3, :5, :3])


def test_size_that_fits_passes_untouched(monkeypatch):
    network, image = UMambaBot(1, 2, **SMALL).eval(), torch.randn(1, 1, 16, 8)
    with torch.no_grad():
        expected = network(image)
        monkeypatch.setattr(padded_u_net, "pad_to_multiple", lambda x, multiple: x)

        assert torch.equal(network(image), expected)


@pytest.mark.parametrize(
    ("sizes", "image_size", "smallest"),
    [(SMALL, (4, 3), (5, 3)), (SMALL, (1, 2), (1, 5)), (SMALL_VOLUME, (1, 4, 4), (1, 5, 4))],
    ids=str,
)
def test_smallest_size_is_the_one_that_the_error_names(sizes, image_size, smallest):
    network = UMambaBot(1, 2, **sizes).eval()

    with pytest.raises(ValueError, match=re.escape(f"the smallest size that works is {smallest}")):
        network(torch.zeros(1, 1, *image_size))
    assert network(torch.zeros(1, 1, *smallest)).shape == (1, 2, *smallest)


@pytest.mark.parametrize("shape", [(1, 3, 4, 32, 32), (3, 32, 32), (1, 1, 32, 32), (1, 3, 0, 32), (0, 3, 32, 32)])
def test_refuses_input_that_is_not_a_batch_of_its_images(shape):
    with pytest.raises(
        ValueError, match=rf"UMambaBot: input of shape {re.escape(str(shape))}, expected \(b, 3, h, w\)"
    ):
        UMambaBot(3, 1, **SMALL)(torch.zeros(shape))


def test_refuses_images_where_it_was_made_for_volumes():
    with pytest.raises(ValueError, match=r"input of shape \(1, 3, 32, 32\), expected \(b, 3, d, h, w\)"):
        UMambaBot(3, 1, **SMALL_VOLUME)(torch.zeros(1, 3, 32, 32))
