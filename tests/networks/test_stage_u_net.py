import re

import pytest
import torch

from nnunet_mamba.networks.u_mamba import UMambaBot

SMALL = {"features_per_stage": (4, 6, 8)}
SMALL_VOLUME = {
    "features_per_stage": (4, 6, 8),
    "kernel_sizes": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
    "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
}


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


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
