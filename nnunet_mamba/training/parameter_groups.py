"""Which parameters weight decay may shrink."""

from typing import Any

from torch import nn

from nnunet_mamba.networks.state_parameters import is_of_state


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into those with and those without weight decay.

    Biases, norms and scalar scales (at most one axis), a Mamba layer's A_log and D (shrinking them would change the
    time constants of the state) and whatever else carries ``_no_weight_decay`` are left alone.

    Returns:
        Two groups for a torch optimiser, decayed parameters first.
    """
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (kept if parameter.ndim <= 1 or is_of_state(name, parameter) else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
