import re

import pytest
import torch

from nnunet_mamba.networks.input_images import require_images, require_positive


@pytest.mark.parametrize(
    ("dims", "shape", "expected"),
    [
        (2, (1, 3, 4, 32, 32), r"\(b, 3, h, w\): .*pass slices of a volume as a batch"),
        (2, (3, 32, 32), r"\(b, 3, h, w\)"),
        (3, (1, 3, 32, 32), r"\(b, 3, d, h, w\): .*give a single slice a depth axis of 1"),
        (2, (1, 1, 32, 32), r"\(b, 3, h, w\): .*with another input_channels"),
    ],
)
def test_names_the_shape_that_it_was_given_and_the_way_out(dims, shape, expected):
    with pytest.raises(ValueError, match=rf"Mine: input of shape {re.escape(str(shape))}, expected {expected}"):
        require_images("Mine", torch.zeros(shape), input_channels=3, spatial_dims=dims)


def test_names_the_first_size_that_is_no_positive_whole_number():
    require_positive("Mine", input_channels=1, num_classes=2)
    with pytest.raises(ValueError, match="Mine: num_classes=0, expected at least 1"):
        require_positive("Mine", input_channels=1, num_classes=0)
    with pytest.raises(ValueError, match=r"Mine: input_channels=1\.5, expected a whole number of at least 1"):
        require_positive("Mine", input_channels=1.5, num_classes=0)
