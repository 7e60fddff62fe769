"""A few training steps on random data, and the memory and time that they take."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nnunet_mamba.ops.warm import warm
from nnunet_mamba.planning.memory import Budget
from nnunet_mamba.planning.process_memory import peak_memory, reset_peak
from nnunet_mamba.planning.trainer_lookup import trainer_class
from nnunet_mamba.system.machine import available_cores
from nnunet_mamba.training.preset_trainer import PresetTrainer

# The first step makes the optimiser's states and leaves the heap in pieces; the later ones hold what a training holds.
N_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class StepRequest:
    """What to train.

    Args:
        trainer: name of a bundled trainer, with or without suffixes.
        plans: with the patch size, batch size and architecture to try.
        configuration: of the plans.
        dataset_json: nnU-Net's description of the data set.
    """

    trainer: str
    plans: dict[str, Any]
    configuration: str
    dataset_json: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """What the steps took.

    Args:
        peak: bytes of the whole process on a CPU; reserved by torch on a GPU.
        before: the same before the trainer was made.
        seconds: of the last step, without the loading of its batch.
    """

    peak: int
    before: int
    seconds: float = field(default=math.nan, compare=False)


def train_steps(request: StepRequest, budget: Budget) -> StepMemory:
    """Train on random batches in this process, and return the memory and time that this takes.

    Args:
        request: what to train; the trainer writes into the folders that nnU-Net's variables name.
        budget: where to train; allocations fail above its size, on a CPU far above it.
    """
    torch.set_num_threads(available_cores())
    torch.backends.cudnn.benchmark = budget.device == "cuda"  # as nnU-Net has it
    # Kernels that compile and libraries that load at first use belong to the process, not to the step.
    warm(budget.device)
    reset_peak(budget)
    before = peak_memory(budget)
    trainer = _initialised_trainer(request, budget.device)
    seconds = math.nan
    for _ in range(N_STEPS):
        batch = random_batch(trainer)
        began = time.perf_counter()
        # It returns the loss, so on a GPU it has ended.
        trainer.train_step(batch)
        seconds = time.perf_counter() - began
    return StepMemory(peak=peak_memory(budget), before=before, seconds=seconds)


def _initialised_trainer(request: StepRequest, device: str) -> PresetTrainer:
    plans = {**request.plans, "continue_training": False}
    trainer: PresetTrainer = trainer_class(request.trainer)(
        plans, request.configuration, 0, request.dataset_json, torch.device(device)
    )
    # nnU-Net looks at the files' endings to see how cases are stored; none of them is opened.
    folder = Path(trainer.preprocessed_dataset_folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "case.b2nd").touch()
    trainer.initialize()
    trainer.prepare_trial_steps()
    # A training does so too, and what the C library keeps counts as memory.
    trainer.settle_process()
    return trainer


def random_batch(trainer: PresetTrainer) -> dict[str, Any]:
    """Return a batch as nnU-Net's data loader gives it: images with labels or regions, for every output one target."""
    manager, labels = trainer.configuration_manager, trainer.label_manager
    data = torch.randn(manager.batch_size, trainer.num_input_channels, *manager.patch_size)
    n_targets, dtype = 1, torch.int16
    if labels.has_regions:
        n_targets, dtype = len(labels.foreground_regions) + bool(labels.has_ignore_label), torch.bool
    scales = trainer._get_deep_supervision_scales()
    sizes = [
        [round(size * factor) for size, factor in zip(manager.patch_size, scale, strict=True)] for scale in scales or ()
    ]
    if not sizes:
        return {"data": data, "target": torch.zeros(manager.batch_size, n_targets, *manager.patch_size, dtype=dtype)}
    return {"data": data, "target": [torch.zeros(manager.batch_size, n_targets, *size, dtype=dtype) for size in sizes]}
