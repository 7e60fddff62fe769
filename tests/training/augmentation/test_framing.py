import math

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

from nnunet_mamba.training.augmentation.choices import PHOTOGRAPHS, Framing
from nnunet_mamba.training.augmentation.framing import FactorPerAxis, ShareOfFrame, reframe

ZOOMS = Framing(p_rotation=0, p_zoom=1, zoom=(0.5, 2), aspect=1.25)


def spatial_transform(framing, patch_size=(64, 64)):
    """nnU-Net's own, told a framing."""
    transform = SpatialTransform(
        patch_size, 0, False, p_rotation=0.2, rotation=(-np.pi, np.pi), p_scaling=0.2, scaling=(0.7, 1.4),
        p_synchronize_scaling_across_axes=1, border_mode_seg="constant", padding_value_seg=-1,
    )  # fmt: skip
    reframe(transform, framing)
    return transform


def square(side=16, patch=64):
    """An image with a bright square in its middle, and its label."""
    image = torch.zeros(1, patch, patch)
    edge = (patch - side) // 2
    image[:, edge : edge + side, edge : edge + side] = 1
    return image, image.to(torch.int16)


def framed(transform, image, label):
    out = transform(image=image.clone(), segmentation=label.clone())
    return out["image"], out["segmentation"]


def test_without_strength_nothing_moves():
    image, label = square()
    transform = spatial_transform(Framing(p_rotation=0, p_zoom=1, zoom=(1, 1), reflects=True))
    out, moved = framed(transform, image, label)
    torch.testing.assert_close(out, image, rtol=0, atol=1e-5)
    assert torch.equal(moved, label)


def test_zooms_are_as_often_in_as_out_and_share_their_aspect():
    np.random.seed(0)
    factor = FactorPerAxis(ZOOMS)
    drawn = np.log([[factor(None, dim) for dim in range(3)] for _ in range(4000)])
    assert np.abs(drawn.mean()) < 0.03
    assert np.abs(drawn).max() <= math.log(2) + math.log(1.25) / 2 + 1e-9
    ratios = drawn.max(1) - drawn.min(1)
    assert ratios.max() <= math.log(1.25) + 1e-9
    assert ratios.max() > math.log(1.2)
    middle = drawn.mean(1)
    assert np.percentile(middle, [5, 95]) == pytest.approx([-0.63, 0.63], abs=0.05)


@pytest.mark.parametrize("zoom", [0.5, 2.0])
def test_a_zoom_is_the_factor_of_the_sizes_in_the_frame(zoom):
    image, label = square()
    transform = spatial_transform(Framing(p_rotation=0, p_zoom=1, zoom=(zoom, zoom)))
    _, moved = framed(transform, image, label)
    assert float((moved == 1).sum()) == pytest.approx(float(label.sum()) * zoom**2, rel=0.15)


def test_image_and_label_move_together_and_stay_within_the_shift():
    np.random.seed(0)
    image, label = square()
    transform = spatial_transform(Framing(p_rotation=0, shift=0.1, reflects=True))
    centres = []
    for _ in range(200):
        out, moved = framed(transform, image, label)
        assert torch.equal(out > 0.5, moved.bool())
        centres.append(torch.nonzero(moved[0]).float().mean(0) - 31.5)
    distances = torch.stack(centres)
    assert distances.abs().max() <= 6.4 + 1
    assert distances.abs().max() > 4
    assert distances.mean(0).abs().max() < 1


def test_beyond_its_edges_an_image_is_mirrored_with_its_label():
    # Nothing but lesion above, nothing but skin below.
    image = torch.ones(1, 64, 64)
    image[:, 32:] = -1
    label = (image > 0).to(torch.int16)
    transform = spatial_transform(Framing(p_rotation=0, p_zoom=1, zoom=(0.6, 0.6), reflects=True))
    out, moved = framed(transform, image, label)
    assert (out.abs() > 0.01).all()
    assert set(moved.unique().tolist()) == {0, 1}
    assert ((out > 0) == moved.bool()).float().mean() > 0.97


@pytest.mark.parametrize("patch_size", [(40, 24), (8, 24, 16)])
def test_patches_of_any_shape_are_framed(patch_size):
    torch.manual_seed(0)
    np.random.seed(0)
    transform = spatial_transform(PHOTOGRAPHS.framing, patch_size)
    for _ in range(20):
        out, moved = framed(
            transform, torch.randn(2, *patch_size), torch.randint(0, 2, (1, *patch_size), dtype=torch.int16)
        )
        assert out.shape == (2, *patch_size)
        assert out.isfinite().all()
        assert set(moved.unique().tolist()) <= {0, 1}


def test_what_a_framing_does_not_say_is_nnunets():
    transform = spatial_transform(Framing(p_rotation=0.5))
    assert (transform.p_rotation, transform.p_scaling, transform.rotation) == (0.5, 0, (-np.pi, np.pi))
    assert (transform.border_mode_seg, transform.padding_value_seg, transform.random_crop) == ("constant", -1, False)
    assert transform.padding_mode_image == "zeros"


def test_a_share_of_the_frame_follows_its_axis():
    assert ShareOfFrame((0.5, 0.5))((40, 60), 0) == 20
    assert ShareOfFrame((0.5, 0.5))((40, 60), 1) == 30
