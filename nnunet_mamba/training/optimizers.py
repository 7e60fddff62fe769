"""A recipe's optimiser and its learning rate over the run."""

from typing import Any

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nnunet_mamba.training.cosine_schedule import CosineSchedule
from nnunet_mamba.training.parameter_groups import parameter_groups
from nnunet_mamba.training.recipes import Recipe

MOMENTUM = 0.99  # nnU-Net's


def optimizer_and_schedule(
    network: nn.Module, recipe: Recipe, num_epochs: int, *, fused: bool = False
) -> tuple[Optimizer, LRScheduler]:
    """Return what optimises ``network``, and the schedule whose ``step`` nnU-Net calls with every epoch.

    Args:
        network: its trainable parameters are optimised; see ``parameter_groups`` for those that do not decay.
        recipe: says how.
        num_epochs: of this run, which the whole schedule is fitted to.
        fused: update all weights in one pass, also after loading the state of an optimiser that did not.
    """
    optimizer = _optimizer(network, recipe, fused=fused)
    optimizer.register_load_state_dict_pre_hook(_keep_own_way)
    if recipe.final_lr is None:
        return optimizer, PolyLRScheduler(optimizer, recipe.initial_lr, num_epochs)
    return optimizer, CosineSchedule(
        optimizer, recipe.initial_lr, recipe.final_lr, num_epochs=num_epochs, half_waves=recipe.half_waves
    )


def _optimizer(network: nn.Module, recipe: Recipe, *, fused: bool) -> Optimizer:
    groups = parameter_groups(network, recipe.weight_decay)
    # None lets torch choose between its other ways.
    way = True if fused else None
    if recipe.optimizer == "SGD":
        return torch.optim.SGD(groups, lr=recipe.initial_lr, momentum=MOMENTUM, nesterov=True, fused=way)
    if recipe.optimizer == "Adam":
        return torch.optim.Adam(groups, lr=recipe.initial_lr, fused=way)
    return torch.optim.AdamW(groups, lr=recipe.initial_lr, fused=way)


def _keep_own_way(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Return a stored state that says of "fused" what the optimiser itself does: the run may be on another device."""
    fused = optimizer.param_groups[0]["fused"]
    return {**state, "param_groups": [{**group, "fused": fused} for group in state["param_groups"]]}
