import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nnunet_mamba.training.augmentation.choices import PHOTOGRAPHS, Colour
from nnunet_mamba.training.augmentation.colour_transform import ColourTransform, mixing

NOTHING = Colour(probability=1, saturation=(1, 1), hue=0, gain=1, offset=0)
# As channels of a skin photograph go together.
COVARIANCE = torch.tensor([[1.0, 0.9, 0.85], [0.9, 1.0, 0.97], [0.85, 0.97, 1.0]])


def photograph(spatial=(24, 20)):
    generator = torch.Generator().manual_seed(0)
    values = torch.linalg.cholesky(COVARIANCE) @ torch.randn(3, math.prod(spatial), generator=generator)
    return values.view(3, *spatial) + torch.tensor([0.1, -0.2, 0.3]).view(3, *[1] * len(spatial))


def changed(image, **strengths):
    return ColourTransform(replace(NOTHING, **strengths))(image=image.clone())["image"]


@pytest.mark.parametrize("spatial", [(24, 20), (4, 12, 10)], ids=["image", "volume"])
def test_without_strength_nothing_changes(spatial):
    image = photograph(spatial)
    torch.testing.assert_close(changed(image), image, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("strengths", [{"saturation": (0.3, 0.3)}, {"hue": 0.3}, {"saturation": (0, 0), "hue": 0.3}])
def test_saturation_and_hue_keep_each_channels_mean_and_standard_deviation(strengths):
    image = photograph()
    other = changed(image, **strengths)
    assert not torch.allclose(other, image, atol=0.01)
    torch.testing.assert_close(other.mean((1, 2)), image.mean((1, 2)), rtol=0, atol=1e-5)
    torch.testing.assert_close(other.std((1, 2)), image.std((1, 2)), rtol=1e-4, atol=0)


def test_without_saturation_all_channels_show_the_same():
    image = photograph()
    grey = changed(image, saturation=(0, 0)).flatten(1)
    assert torch.corrcoef(grey).min() > 0.9999


def test_grey_stays_grey_whatever_the_saturation_and_hue():
    image = photograph()[:1].expand(3, -1, -1)
    torch.testing.assert_close(changed(image, saturation=(0.2, 1.5), hue=0.5), image, rtol=1e-4, atol=1e-5)


def test_a_hue_turns_colours_about_the_grey_axis():
    turn = mixing(1, 2 * math.pi / 3)
    torch.testing.assert_close(turn @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), rtol=0, atol=1e-6)
    torch.testing.assert_close(turn @ turn @ turn, torch.eye(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(mixing(0, 1.0), torch.full((3, 3), 1 / 3), rtol=0, atol=1e-6)


def test_gain_and_offset_are_drawn_within_their_strengths():
    np.random.seed(0)
    image = photograph()
    offsets = torch.stack([changed(image, offset=0.2) - image for _ in range(200)])
    assert torch.allclose(offsets, offsets[:, :, :1, :1].expand_as(offsets), atol=1e-5)
    drawn = offsets[:, :, 0, 0]
    assert drawn.abs().max() <= 0.2 + 1e-5
    assert drawn.mean().abs() < 0.02
    assert drawn.std() == pytest.approx(0.2 / math.sqrt(3), rel=0.1)
    gains = torch.stack([changed(image, gain=1.25).std((1, 2)) / image.std((1, 2)) for _ in range(200)]).log()
    assert gains.abs().max() <= math.log(1.25) + 1e-4
    assert gains.mean().abs() < 0.02
    assert gains.std() == pytest.approx(math.log(1.25) / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("n_channels", [1, 2, 4])
def test_other_numbers_of_channels_pass(n_channels):
    image = torch.randn(n_channels, 6, 6)
    assert torch.equal(ColourTransform(PHOTOGRAPHS.colour)(image=image.clone())["image"], image)


def test_a_plain_image_stays_finite():
    transform = ColourTransform(PHOTOGRAPHS.colour)
    for image in (torch.zeros(3, 5, 5), torch.full((3, 5, 5), 7.0), torch.randn(3, 1, 1)):
        assert transform(image=image.clone())["image"].isfinite().all()


def test_the_seed_settles_the_colours():
    def drawn(seed):
        np.random.seed(seed)
        return ColourTransform(PHOTOGRAPHS.colour)(image=photograph())["image"]

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.allclose(drawn(1), drawn(2))
