"""One number that repeats a training; nnU-Net draws weights, cases and augmentations anew in every run.

A seed settles the weights to begin with, the cases of the batches and what augmentation does to them, layers that drop
something at random included. Runs of one seed are equal where a single process augments (``nnUNet_n_proc_DA=1``): the
batches of several come in the order in which they are ready. nnU-Net's blur is timed and may round otherwise.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
import torch

# The module, whose class has the same name.
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer


def seed_process(seed: int) -> None:
    """Seed all that this process draws from now on: with torch on every device, numpy and Python."""
    torch.manual_seed(seed)
    np.random.seed(_states(seed, n=1)[0])
    random.seed(seed)


@contextmanager
def seeded_loaders(seed: int, *, epoch: int, rank: int) -> Iterator[None]:
    """Seed this process, and the background workers that nnU-Net starts in the block.

    Args:
        seed: of the training.
        epoch: with which the run begins, so that one that continues does not draw what it has drawn before.
        rank: of this process among those that train together, which draw other cases.
    """
    seed_process(_states(seed, epoch, rank, n=1)[0])
    augmenter = nnUNetTrainer.NonDetMultiThreadedAugmenter
    numbers = count()

    def seeded_augmenter(*args: Any, **kwargs: Any) -> Any:
        # One for training and one for validation.
        seeds = _states(seed, epoch, rank, next(numbers), n=kwargs["num_processes"])
        return augmenter(*args, **{**kwargs, "seeds": seeds})

    nnUNetTrainer.NonDetMultiThreadedAugmenter = seeded_augmenter
    try:
        yield
    finally:
        nnUNetTrainer.NonDetMultiThreadedAugmenter = augmenter


def _states(*numbers: int, n: int) -> list[int]:
    """Return seeds that differ wherever one of the numbers does, below 2³²."""
    return [int(state) for state in np.random.SeedSequence(numbers).generate_state(n)]
