"""How much memory a training may take."""

import math
from dataclasses import dataclass

import torch

from nnunet_mamba.system.machine import available_memory

GIB = 2**30
_MOST_GIBIBYTES = 2**16
# The workers that augment data, the system, and what else is open on a laptop need the rest.
CPU_SHARE = 0.6
# CUDA's own context, which torch does not count, and the desktop need some.
CUDA_RESERVE = GIB


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Where a training runs and what memory it may take there.

    Args:
        device: "cpu" or "cuda".
        size: bytes, of the whole process on a CPU, of torch's allocator on a GPU.
    """

    device: str
    size: int


def resolve_budget(device: str | None, gibibytes: float | None) -> Budget:
    """Return the budget that the user asked for, with defaults for what was left open.

    Args:
        device: "cpu" or "cuda"; None takes CUDA where there is a device.
        gibibytes: None takes all of the GPU but ``CUDA_RESERVE``, or ``CPU_SHARE`` of the memory that is free.

    Raises:
        ValueError: the device is unknown or not there, or the memory is not positive or cannot be found out.
    """
    device = _device(device)
    if gibibytes is not None:
        return Budget(device=device, size=_bytes(gibibytes))
    if device == "cuda":
        return Budget(device=device, size=torch.cuda.get_device_properties(0).total_memory - CUDA_RESERVE)
    available = available_memory()
    if available is None:
        raise ValueError("`memory` is not given, and this system does not tell what is free; pass a number of GiB")
    return Budget(device=device, size=int(CPU_SHARE * available))


def _device(asked: str | None) -> str:
    if asked not in (None, "cpu", "cuda"):
        raise ValueError(f"`device` {asked}: expected cpu or cuda; pass one of them")
    if asked == "cuda" and not torch.cuda.is_available():
        raise ValueError("`device` cuda: torch finds no CUDA device here; pass cpu")
    return asked or ("cuda" if torch.cuda.is_available() else "cpu")


def _bytes(gibibytes: float) -> int:
    if not (math.isfinite(gibibytes) and gibibytes > 0):
        raise ValueError(f"`memory` {gibibytes:g}: expected a positive number of GiB; pass 8, for example")
    if gibibytes > _MOST_GIBIBYTES:
        raise ValueError(f"`memory` {gibibytes:g}: no machine has so many GiB; pass 8, for example")
    return round(gibibytes * GIB)
