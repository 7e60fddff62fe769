import numpy as np
import pytest
import torch

from nnunet_mamba.training.augmentation.choices import PHOTOGRAPHS, Holes
from nnunet_mamba.training.augmentation.holes_transform import HolesTransform

HOLES = Holes(probability=1, most=3, side=(0.1, 0.25))


@pytest.mark.parametrize("shape", [(3, 40, 60), (1, 40, 60), (2, 12, 40, 20)])
def test_rectangles_have_one_colour_of_the_image_in_all_channels_at_once(shape):
    np.random.seed(0)
    values = torch.arange(torch.tensor(shape).prod(), dtype=torch.float32).view(shape)
    hidden = []
    for _ in range(50):
        image = HolesTransform(HOLES)(image=values.clone(), segmentation=torch.zeros(1))["image"]
        differs = (image != values).flatten(1)
        # A pixel that is hidden is so in every channel, but for one that is the pixel of the colour itself.
        assert torch.equal(differs.all(0), differs.any(0))
        colours = {tuple(colour) for colour in image.flatten(1).T[differs.any(0)].tolist()}
        originals = set(map(tuple, values.flatten(1).T.tolist()))
        assert len(colours) <= HOLES.most
        assert colours <= originals
        hidden.append(differs.any(0).float().mean())
    assert 0.1 ** (len(shape) - 1) / 2 < min(hidden)
    assert max(hidden) <= HOLES.most * 0.3 ** (len(shape) - 1)


def test_labels_are_not_hidden():
    label = torch.ones(1, 8, 8, dtype=torch.int16)
    out = HolesTransform(HOLES)(image=torch.randn(3, 8, 8), segmentation=label.clone())
    assert torch.equal(out["segmentation"], label)


def test_a_hole_of_a_tiny_image_has_one_pixel_at_least():
    np.random.seed(0)
    image = HolesTransform(PHOTOGRAPHS.holes)(image=torch.arange(12.0).view(3, 2, 2))["image"]
    assert image.isfinite().all()


def test_the_seed_settles_the_holes():
    image = torch.randn(3, 32, 32)

    def drawn(seed):
        np.random.seed(seed)
        return HolesTransform(HOLES)(image=image.clone())["image"]

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
