"""Which parameters weight decay may shrink."""

from typing import Any

from torch import nn


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into those with and those without weight decay.

    Biases, norms and scalar scales (at most one axis) and whatever carries ``_no_weight_decay`` (a Mamba layer's
    A_log and D: shrinking them would change the time constants of the state) are left alone.

    Returns:
        Two groups for a torch optimiser, decayed parameters first.
    """
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in network.parameters():
        if parameter.requires_grad:
            keep = parameter.ndim <= 1 or getattr(parameter, "_no_weight_decay", False)
            (kept if keep else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
