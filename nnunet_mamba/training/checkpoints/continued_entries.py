"""What a training that goes on needs of a checkpoint's logging, and of the names of its weights."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from nnunet_mamba.networks.wrappers import without_wrappers


def problem_of_logging(logging: Mapping[str, Any], *, needs: Sequence[str]) -> str | None:
    """Return what is wrong with what a training has logged, as "has …"; None if it can be continued.

    Args:
        logging: entry of a checkpoint.
        needs: what this nnU-Net logs.
    """
    for name in needs:
        values = logging.get(name)
        if not isinstance(values, list):
            return f"has a logging without a list of {name}"
        if any(isinstance(value, str) for value in values):
            return f"has a logging with a text among {name}, expected numbers"
    return None


@contextmanager
def bare_names_for(network: nn.Module) -> Iterator[None]:
    """Let a network load weights in the block that were saved with its wrappers.

    Args:
        network: without wrappers.
    """

    def rename(_: nn.Module, weights: dict[str, Tensor], *others: Any) -> None:
        del others
        renamed = without_wrappers(weights)
        weights.clear()
        weights.update(renamed)

    handle = network.register_load_state_dict_pre_hook(rename)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        handle.remove()
