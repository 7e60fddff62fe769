"""Measure what the robust recipe costs: augmentation of an image, transform by transform, and averaging a step.

    python benchmarks/recipe_costs.py [--images 400] [--side 256] [--steps 10]

Augments drawn images as nnU-Net's background workers do, with one thread. Processor time is counted, and means, because
most transforms happen to few images. The augmentations take turns. Loading is not in it: nnU-Net's own and the papers'
augmentation get an image with nnU-Net's margin of zeros around it, ``photographs`` gets it without.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from threadpoolctl import threadpool_limits
from timing import machine
from torch import Tensor

from nnunet_mamba import create_network
from nnunet_mamba.training.augmentation.choices import FLIPS_AND_ROTATIONS, NNUNET, PHOTOGRAPHS, Augmentation
from nnunet_mamba.training.augmentation.transforms import augment
from nnunet_mamba.training.averaged_weights import AveragedWeights
from nnunet_mamba.training.optimizers import optimizer_and_schedule
from nnunet_mamba.training.recipes import ULTRALIGHT_VM_UNET, robust

ANGLES = (-np.pi, np.pi)
BATCH = 8


def transforms_of(augmentation: Augmentation, side: int) -> ComposeTransforms:
    """Return the transforms of photographs of a size."""
    stock = nnUNetTrainer.get_training_transforms(
        (side, side), ANGLES, None, (0, 1), False, use_mask_for_norm=[False] * 3
    )
    return augment(stock, augmentation)


def drawn_image(side: int, margin: int) -> tuple[Tensor, Tensor]:
    """Return an image and its label, with a disc in it, as nnU-Net's loader gives them with a margin."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    disc = ((y - side / 2) ** 2 + (x - side / 2) ** 2 < (side / 4) ** 2)[None]
    image = torch.randn(3, side, side, generator=generator) - 2 * disc
    image = (image - image.mean()) / image.std()
    pad = torch.nn.functional.pad
    return pad(image, [margin] * 4), pad(disc.to(torch.int16), [margin] * 4, value=-1)


def seconds(transform: Callable[..., object], image: Tensor, label: Tensor, n: int) -> float:
    """Return the mean processor seconds of a transform."""
    total = 0.0
    for _ in range(n):
        sample = {"image": image.clone(), "segmentation": label.clone()}
        start = time.process_time()
        transform(**sample)
        total += time.process_time() - start
    return total / n


def augmentation_lines(n_images: int, side: int) -> list[str]:
    """Return the rows of the augmentations, and of the transforms of ``photographs``."""
    initial = int(get_patch_size((side, side), ANGLES, ANGLES, ANGLES, (0.85, 1.25))[0])
    margins = {FLIPS_AND_ROTATIONS: (initial - side) // 2, NNUNET: (initial - side) // 2, PHOTOGRAPHS: 0}
    tasks = {one.name: (transforms_of(one, side), *drawn_image(side, margin)) for one, margin in margins.items()}
    totals = dict.fromkeys(tasks, 0.0)
    n_turns = 8
    for turn in range(1 + n_turns):
        for name, (transform, image, label) in tasks.items():
            taken = seconds(transform, image, label, max(1, n_images // n_turns))
            totals[name] += taken / n_turns if turn else 0.0
    lines = ["augmentation,ms_per_image,nnunets"]
    lines += [
        f"{name.replace(',', ' and')},{total * 1e3:.2f},{total / totals[NNUNET.name]:.2f}"
        for name, total in totals.items()
    ]
    lines += ["transform of photographs,probability,ms_when_it_happens"]
    transform, image, label = tasks[PHOTOGRAPHS.name]
    for one in transform.transforms:
        inner = getattr(one, "transform", one)
        taken = seconds(inner, image, label, max(1, n_images // 4)) * 1e3
        lines.append(f"{type(inner).__name__},{getattr(one, 'apply_probability', 1)},{taken:.2f}")
    return lines


def averaging_lines(n_steps: int, side: int) -> list[str]:
    """Return what averaging the weights of UltraLight VM-UNet takes of a training step."""
    network = create_network("ultralight_vm_unet", 3, 1).train()
    recipe = robust(ULTRALIGHT_VM_UNET)
    optimizer, _ = optimizer_and_schedule(network, recipe, 1, fused=True)
    assert recipe.ema_decay is not None
    average = AveragedWeights(network, optimizer, recipe.ema_decay)
    images = torch.randn(BATCH, 3, side, side)
    taken = []
    for _ in range(1 + n_steps):
        start = time.process_time()
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()
        taken.append(time.process_time() - start)
    step = float(np.median(taken[1:]))
    start, n_updates = time.process_time(), 200
    for _ in range(n_updates):
        average._update(optimizer)
    update = (time.process_time() - start) / n_updates
    return ["averaging,ms_per_step,of_a_step", f"ultralight_vm_unet,{update * 1e3:.3f},{update / step:.5f}"]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400, help="to augment, for each augmentation")
    parser.add_argument("--side", type=int, default=256, help="of the images, in pixels")
    parser.add_argument("--steps", type=int, default=10, help="training steps beside which averaging is measured")
    options = parser.parse_args()
    print(machine(), flush=True)
    print(*averaging_lines(options.steps, options.side), sep="\n", flush=True)
    torch.set_num_threads(1)
    with threadpool_limits(1, None):
        print(*augmentation_lines(options.images, options.side), sep="\n")


if __name__ == "__main__":
    main()
