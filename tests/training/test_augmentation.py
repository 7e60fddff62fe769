import numpy as np
import torch
from batchgeneratorsv2.transforms.nnunet.random_binary_operator import ApplyRandomBinaryOperatorTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_mamba.training.augmentation import flips_and_rotations


def _transforms(p_rotation: float, patch_size=(16, 16), **options):
    mirror_axes = options.pop("mirror_axes", (0, 1))
    stock = nnUNetTrainer.get_training_transforms(
        patch_size, (-np.pi, np.pi), options.pop("scales", None), mirror_axes, False, **options
    )
    return flips_and_rotations(stock, p_rotation=p_rotation)


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
    stock = nnUNetTrainer.get_training_transforms(
        (16, 16), (-1.0, 1.0), None, (0, 1), False, is_cascaded=True, foreground_labels=[1]
    )
    kept = flips_and_rotations(stock, p_rotation=0.5).transforms
    inner = [getattr(transform, "transform", transform) for transform in kept]
    assert any(isinstance(transform, ApplyRandomBinaryOperatorTransform) for transform in inner)
