from dataclasses import replace

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.nnunet.random_binary_operator import ApplyRandomBinaryOperatorTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_mamba.training.augmentation.choices import (
    FLIPS_AND_ROTATIONS,
    NNUNET,
    NONE,
    PHOTOGRAPHS,
    Framing,
)
from nnunet_mamba.training.augmentation.transforms import augment

# Everything that is drawn happens.
ALWAYS = replace(
    PHOTOGRAPHS,
    framing=replace(PHOTOGRAPHS.framing, p_rotation=1, p_zoom=1),
    colour=replace(PHOTOGRAPHS.colour, probability=1),
    light=replace(PHOTOGRAPHS.light, probability=1),
    optics=replace(PHOTOGRAPHS.optics, p_focus=1, p_noise=1),
    holes=replace(PHOTOGRAPHS.holes, probability=1),
)
OF_INTENSITIES = replace(ALWAYS, intensities=False, framing=Framing(p_rotation=0))


def stock_transforms(patch_size=(16, 16), *, mirror_axes=(0, 1), scales=None, is_flat=False, **options):
    return nnUNetTrainer.get_training_transforms(patch_size, (-np.pi, np.pi), scales, mirror_axes, is_flat, **options)


def _transforms(p_rotation: float, **options):
    return augment(stock_transforms(**options), replace(NONE, framing=Framing(p_rotation=p_rotation)))


def names(transforms):
    return [type(getattr(transform, "transform", transform)).__name__ for transform in transforms.transforms]


def _sample() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(3, 16, 16, generator=generator)
    return image, (image[:1] > 0).to(torch.int16)


def test_without_rotation_only_the_order_of_the_pixels_changes():
    transforms = _transforms(p_rotation=0)
    image, label = _sample()
    seen = set()
    for _ in range(40):
        out = transforms(image=image.clone(), segmentation=label.clone())
        for channel in range(3):
            assert torch.equal(out["image"][channel].flatten().sort().values, image[channel].flatten().sort().values)
        assert torch.equal(out["image"][:1] > 0, out["segmentation"].bool())
        seen.add(out["image"].numpy().tobytes())
    assert len(seen) == 4  # two mirror axes


def test_rotation_moves_image_and_label_together():
    torch.manual_seed(0)
    transforms = _transforms(p_rotation=1, mirror_axes=None)
    bar = torch.zeros(1, 16, 16)
    bar[:, :, 6:10] = 1
    changed = 0
    for _ in range(20):
        out = transforms(image=bar.clone(), segmentation=bar.to(torch.int16))
        agreement = ((out["image"] > 0.5) == out["segmentation"].bool()).float().mean()
        assert agreement > 0.9
        changed += not torch.equal(out["image"], bar)
    assert changed >= 18


def test_regions_and_the_ignore_label_stay_as_nnunet_makes_them():
    transforms = _transforms(p_rotation=0, regions=[(1, 2), 2], ignore_label=3)
    image, _ = _sample()
    label = torch.randint(0, 4, (1, 16, 16), dtype=torch.int16)
    out = transforms(image=image, segmentation=label)["segmentation"]
    assert out.shape[0] == 3
    assert int(out[0].sum()) == int(((label == 1) | (label == 2)).sum())


def test_a_cascade_keeps_the_perturbation_of_its_first_stage():
    stock = stock_transforms(is_cascaded=True, foreground_labels=[1])
    kept = augment(stock, FLIPS_AND_ROTATIONS).transforms
    inner = [getattr(transform, "transform", transform) for transform in kept]
    assert any(isinstance(transform, ApplyRandomBinaryOperatorTransform) for transform in inner)


def test_nnunets_augmentation_is_left_as_it_is():
    stock = stock_transforms()
    described = repr(stock)
    assert repr(augment(stock, NNUNET)) == described


def test_photographs_come_before_nnunets_intensities_and_after_the_geometry():
    found = names(augment(stock_transforms((4, 16, 16), is_flat=True, mirror_axes=(0, 1, 2)), PHOTOGRAPHS))
    ours = ["HolesTransform", "BrightnessGradientAdditiveTransform", "ColourTransform", "OneOfTransform"]
    place = found.index("Convert2DTo3DTransform") + 1
    assert found[place : place + 5] == [*ours, "GaussianNoiseTransform"]
    assert found[: place - 1] == ["Convert3DTo2DTransform", "SpatialTransform"]
    assert found[place + 5 :] == names(stock_transforms())[1:]


@pytest.mark.parametrize("part", ["colour", "light", "optics", "holes"])
def test_intensities_change_and_labels_do_not(part):
    alone = replace(NONE, **{part: getattr(ALWAYS, part)})
    transforms = augment(stock_transforms((32, 32), mirror_axes=None), alone)
    image, label = torch.randn(3, 32, 32), torch.randint(0, 2, (1, 32, 32), dtype=torch.int16)
    for _ in range(5):
        out = transforms(image=image.clone(), segmentation=label.clone())
        assert not torch.allclose(out["image"], image, atol=1e-3)
        assert torch.equal(out["segmentation"], label)


@pytest.mark.parametrize(
    ("patch_size", "n_channels", "is_flat"),
    [((32, 40), 3, False), ((32, 40), 1, False), ((8, 24, 20), 2, False), ((4, 32, 32), 3, True)],
)
def test_images_and_volumes_of_any_channels_stay_finite(patch_size, n_channels, is_flat):
    np.random.seed(0)
    torch.manual_seed(0)
    axes = tuple(range(len(patch_size)))
    transforms = augment(stock_transforms(patch_size, is_flat=is_flat, mirror_axes=axes), ALWAYS)
    for image in (torch.randn(n_channels, *patch_size), torch.zeros(n_channels, *patch_size)):
        for _ in range(8):
            label = torch.randint(-1, 3, (1, *patch_size), dtype=torch.int16)
            out = transforms(image=image.clone(), segmentation=label)
            assert out["image"].shape == image.shape
            assert out["image"].isfinite().all()
            assert set(out["segmentation"].unique().tolist()) <= {0, 1, 2}


def test_a_cascade_gets_its_channels_unchanged():
    options = {"is_cascaded": True, "foreground_labels": [1], "mirror_axes": None}
    transforms = augment(stock_transforms((32, 32), **options), OF_INTENSITIES)
    # Without what nnU-Net itself does to the first stage's segmentation.
    transforms.transforms = [
        t for t in transforms.transforms if not hasattr(t, "transform") or t.apply_probability == 1
    ]
    first_stage = torch.randint(0, 2, (1, 32, 32), dtype=torch.int16)
    label = torch.cat([torch.zeros_like(first_stage), first_stage])
    out = transforms(image=torch.randn(3, 32, 32), segmentation=label)
    assert out["image"].shape[0] == 4
    assert torch.equal(out["image"][3], first_stage[0].float())


def test_regions_and_deep_supervision_stay_nnunets():
    options = {"regions": [(1, 2), 2], "ignore_label": 3, "scales": [[1, 1], [0.5, 0.5]]}
    label = torch.randint(0, 4, (1, 32, 32), dtype=torch.int16)
    transforms = augment(stock_transforms((32, 32), mirror_axes=None, **options), OF_INTENSITIES)
    full, half = transforms(image=torch.randn(3, 32, 32), segmentation=label.clone())["segmentation"]
    assert (full.shape, half.shape) == ((3, 32, 32), (3, 16, 16))
    assert torch.equal(full[0].bool(), ((label == 1) | (label == 2))[0])


def test_light_fades_over_the_frame_and_keeps_its_strength():
    np.random.seed(0)
    light = replace(ALWAYS.light, strength=1.2)
    transforms = augment(stock_transforms((64, 64), mirror_axes=None), replace(NONE, light=light))
    label = torch.zeros(1, 64, 64, dtype=torch.int16)
    fields = [transforms(image=torch.zeros(3, 64, 64), segmentation=label)["image"] for _ in range(100)]
    for field in fields:
        assert torch.equal(field[0], field[2])
        assert field.abs().max() <= 1.2 + 1e-5
        # From a pixel to its neighbour there is no edge.
        assert field.diff(dim=2).abs().max() < 0.12
    means = torch.tensor([float(field.mean()) for field in fields])
    assert means.mean().abs() < 0.15
    assert means.std() > 0.1


def test_the_seeds_settle_everything():
    image, label = torch.randn(3, 32, 32), torch.zeros(1, 32, 32, dtype=torch.int16)
    label[:, 8:20, 8:20] = 1

    def drawn(seed):
        np.random.seed(seed)
        torch.manual_seed(seed)
        transforms = augment(stock_transforms((32, 32)), ALWAYS)
        return transforms(image=image.clone(), segmentation=label.clone())

    first, same, other = drawn(1), drawn(1), drawn(2)
    torch.testing.assert_close(first["image"], same["image"])
    assert torch.equal(first["segmentation"], same["segmentation"])
    assert not torch.allclose(first["image"], other["image"])
