"""What TorchScript may do with our modules: ``torch.jit.trace`` records a network for one size of images.

A trace keeps sizes as numbers, so that it would pad, crop and scan images of another size as if they had the recorded
one, and it knows nothing of blocks that leave autocast.
"""

from functools import cache
from typing import Any, NoReturn

import torch
from torch import Tensor


def held_to_trace(x: Tensor, *, owner: str, scans: bool) -> Tensor:
    """Return images as they are, while ``torch.jit.trace`` records what its result must refuse.

    The recorded network raises a ValueError for images of another size, and a RuntimeError under autocast where that
    would reach its state spaces. Batches may be of any length.

    Args:
        x: (b, c, *spatial).
        owner: the network, named in errors.
        scans: whether a block of the network runs the selective scan.
    """
    held: Tensor = _scripted()(x, owner, [int(size) for size in x.shape[1:]], scans)
    return held


def refuse_script(owner: str) -> NoReturn:
    """Refuse ``torch.jit.script``, which would stop somewhere in Python that it does not know, and print all of it.

    Args:
        owner: network or block, named in the error.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        f"{owner}: torch.jit.script cannot compile it; use torch.jit.trace(network.eval(), images), whose result takes "
        f"images of that size, or torch.export.export(network.eval(), (images,))"
    )


@cache
def _scripted() -> Any:
    # Only a compiled function leaves its questions in a trace. It is compiled when the first network is traced.
    return torch.jit.script(_checked)


# TorchScript reads this function: its annotations and its sentences are in the little Python that it knows.
def _checked(x: Tensor, owner: str, traced: list[int], scans: bool) -> Tensor:
    found = list(x.shape[1:])
    if found != traced:
        was, now = str(traced)[1:-1], str(found)[1:-1]
        raise ValueError(
            f"{owner}: images of shape (b, {now}), but torch.jit.trace has recorded this network for (b, {was}) alone; "
            "resize the images, or trace the network for their size"
        )
    if scans:
        # TorchScript cannot ask every device for autocast, which shows in what it does.
        one = torch.ones([1, 1], dtype=torch.float32, device=x.device)
        if torch.mm(one, one).dtype != torch.float32:
            raise RuntimeError(
                f"{owner}: autocast is on, and what torch.jit.trace records cannot leave it for the state spaces, "
                "which need float32; trace and call the network outside of torch.autocast, or use torch.export"
            )
    return x
