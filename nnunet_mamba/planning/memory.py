"""How much memory a training may take."""

import math
from dataclasses import dataclass

import torch

from nnunet_mamba.system.machine import available_memory

GIB = 2**30
_MOST_GIBIBYTES = 2**16
# The rest is for the workers that augment data, the system, and what else is open on a laptop.
CPU_SHARE = 0.6
# For CUDA's own context, which torch does not count, and for what shows the desktop.
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
    """Return what the user asked for, and the default for what was left open.

    Args:
        device: "cpu" or "cuda"; None for CUDA where there is a device.
        gibibytes: None for all of the GPU but ``CUDA_RESERVE``, or for ``CPU_SHARE`` of the memory that is free.

    Raises:
        ValueError: the device is unknown or not there, or the memory is not positive or cannot be found out.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ValueError(f"--device {device}: expected cpu or cuda; pass one of them")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device here; pass --device cpu")
    if gibibytes is not None:
        if not (math.isfinite(gibibytes) and gibibytes > 0):
            raise ValueError(f"--memory {gibibytes:g}: expected a positive number of GiB; pass 8, for example")
        if gibibytes > _MOST_GIBIBYTES:
            raise ValueError(f"--memory {gibibytes:g}: no machine has so many GiB; pass 8, for example")
        return Budget(device=device, size=round(gibibytes * GIB))
    if device == "cuda":
        return Budget(device=device, size=torch.cuda.get_device_properties(0).total_memory - CUDA_RESERVE)
    available = available_memory()
    if available is None:
        raise ValueError("this system does not tell what memory is free; pass --memory GIB")
    return Budget(device=device, size=int(CPU_SHARE * available))
