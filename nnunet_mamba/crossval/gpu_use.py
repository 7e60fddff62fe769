"""What a training says of the GPU that it uses, in a file: only the training itself can tell without taking memory."""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from nnunet_mamba.system.atomic import replacing

GPU_USE_VARIABLE = "NNUNET_MAMBA_CROSSVAL_GPU_USE"


@dataclass(frozen=True, kw_only=True)
class GpuUse:
    """What a training takes of its GPU, and what is left of it; in bytes.

    Args:
        reserved: that torch holds at the moment, without CUDA's own context.
        peak: the most that it has held.
        free: of the GPU, whoever else uses it.
        total: of the GPU.
    """

    reserved: int
    peak: int
    free: int
    total: int


def asked_file() -> Path | None:
    """Return the file in which this process is to say what it uses, None if nobody asks."""
    file = os.environ.get(GPU_USE_VARIABLE)
    return Path(file) if file else None


def write_gpu_use(file: Path) -> None:
    """Write what this process uses, if it has begun to; a file that cannot be written is left as it is."""
    # Only here: what reads these files has no torch.
    import torch

    # Asking for what is free would begin to use the GPU; these numbers are 0 until then.
    if not (peak := torch.cuda.max_memory_reserved()):
        return
    # A GPU that fails ends the training in its own words.
    with suppress(OSError, RuntimeError):
        free, total = torch.cuda.mem_get_info()
        use = GpuUse(reserved=torch.cuda.memory_reserved(), peak=peak, free=free, total=total)
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(asdict(use)), encoding="utf-8")


def read_gpu_use(file: Path) -> GpuUse | None:
    """Return what a training said last, None if it has said nothing."""
    try:
        return GpuUse(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
