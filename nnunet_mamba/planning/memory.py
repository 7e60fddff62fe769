"""How much memory a training may take."""

import math
from dataclasses import dataclass, field

import torch

from nnunet_mamba.planning.gpu_memory import GpuMemory, gpu_memory
from nnunet_mamba.system.machine import available_memory

GIB = 2**30
_MOST_GIBIBYTES = 2**16
# The workers that augment data, the system, and what else is open on a laptop need the rest.
CPU_SHARE = 0.6
# CUDA's own context and what its libraries load later, which torch does not count, and the desktop need some.
CUDA_RESERVE = GIB
# A card has somewhat less than the GiB in its name.
_NAMED_AND_REAL = 1.125


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Where a training runs and what memory it may take there.

    Args:
        device: "cpu" or "cuda".
        size: bytes, of the whole process on a CPU, of torch's allocator on a GPU.
        held_by_others: bytes of the GPU that other programs hold and the size leaves to them, 0 if it is hardly any.
    """

    device: str
    size: int
    held_by_others: int = field(default=0, compare=False)


def resolve_budget(device: str | None, gibibytes: float | None) -> Budget:
    """Return the budget that the user asked for, with defaults for what was left open.

    Args:
        device: "cpu" or "cuda"; None takes CUDA where there is a device.
        gibibytes: of the process on a CPU; of the card on a GPU, ``CUDA_RESERVE`` included. None takes what is free of
            the GPU, or ``CPU_SHARE`` of the memory that is free.

    Raises:
        ValueError: the device is unknown or not there, or the memory is not positive, cannot be found out, or is not
            there to measure steps in.
    """
    device = _device(device)
    asked = None if gibibytes is None else _bytes(gibibytes)
    if device == "cuda":
        gpu = gpu_memory()
        return _free_of_gpu(gpu) if asked is None else Budget(device=device, size=_part_of_gpu(gpu, asked))
    if asked is not None:
        return Budget(device=device, size=asked)
    available = available_memory()
    if available is None:
        raise ValueError("`memory` is not given, and this system does not tell what is free; pass a number of GiB")
    return Budget(device=device, size=int(CPU_SHARE * available))


def _free_of_gpu(gpu: GpuMemory) -> Budget:
    """Return the budget of a training beside the programs that hold memory of the GPU at the moment."""
    # What is free is told beside a context, which takes about half of the reserve.
    size = min(gpu.total - CUDA_RESERVE, gpu.free - CUDA_RESERVE // 2)
    if size <= 0:
        raise ValueError(
            f"`memory` is not given, and {_free(gpu)} are free, too little for a training; end the programs that hold "
            "the rest (nvidia-smi lists them), or pass another `device`"
        )
    held = gpu.total - gpu.free
    return Budget(device="cuda", size=size, held_by_others=held - CUDA_RESERVE // 2 if held > CUDA_RESERVE else 0)


def _part_of_gpu(gpu: GpuMemory, asked: int) -> int:
    """Return what torch may take on a card with the memory that was asked for, if it can be measured on this one."""
    given = f"`memory` {asked / GIB:g}"
    if asked <= CUDA_RESERVE:
        raise ValueError(f"{given}: CUDA itself takes up to {CUDA_RESERVE / GIB:g} GiB of a GPU; pass more")
    if asked > gpu.total * _NAMED_AND_REAL:
        raise ValueError(
            f"{given}: {gpu.name} has {gpu.total / GIB:.1f} GiB, and steps are measured on it; pass at most "
            f"{gpu.total / GIB:.1f}, or plan on a larger one"
        )
    size = min(asked, gpu.total) - CUDA_RESERVE
    if size > gpu.free:
        most = math.floor(10 * (gpu.free + CUDA_RESERVE) / GIB) / 10
        raise ValueError(
            f"{given}: a training on such a card takes up to {size / GIB:.1f} GiB, and {_free(gpu)} are free to "
            f"measure it; end the programs that hold the rest (nvidia-smi lists them), or pass at most {most:g}"
        )
    return size


def _free(gpu: GpuMemory) -> str:
    return f"{gpu.free / GIB:.1f} of the {gpu.total / GIB:.1f} GiB of {gpu.name}"


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
