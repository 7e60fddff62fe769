"""Which parameters belong to a state space: its decay rates, its skip weights, and what else the blocks mark."""

from torch import nn

_OF_STATE = ("A_log", "A_logs", "A_b_log", "D", "Ds", "D_b")


def is_of_state(name: str, parameter: nn.Parameter) -> bool:
    """Return whether weight decay, or a loss of digits, would change the time constants of a state.

    Args:
        name: of the parameter in its network.
        parameter: of that name.
    """
    # By name too: torch's deep copies of a network lose the mark.
    return name.rpartition(".")[2] in _OF_STATE or bool(getattr(parameter, "_no_weight_decay", False))
