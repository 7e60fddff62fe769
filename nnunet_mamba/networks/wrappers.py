"""What torch.compile and distributed training put around a network, and in front of the names of its weights."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

_OF_SEVERAL_DEVICES, _OF_COMPILED = "module", "_orig_mod"


def bare_network(network: nn.Module) -> nn.Module:
    """Return a network without its wrappers, in whatever order they are."""
    while True:
        name = _OF_SEVERAL_DEVICES if isinstance(network, DataParallel | DistributedDataParallel) else _OF_COMPILED
        inner = getattr(network, name, None)
        if not isinstance(inner, nn.Module):
            return network
        network = inner


def without_wrappers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights without what the wrappers put in front of all of their names."""
    bare = dict(weights)
    # A compiled network may be wrapped for several devices, or the other way round.
    for name in (_OF_SEVERAL_DEVICES, _OF_COMPILED) * 2:
        if all(key.startswith(f"{name}.") for key in bare):
            bare = {key.removeprefix(f"{name}."): value for key, value in bare.items()}
    return bare
