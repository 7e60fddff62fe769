"""What is left of a GPU's memory, asked in a process of its own.

The context in which a process asks takes some hundred MiB for as long as the process lives; here, every step that is
measured would miss them. ``python -m nnunet_mamba.planning.gpu_memory`` prints JSON.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class GpuMemory:
    """The memory of the first GPU that torch sees.

    Args:
        name: of the GPU.
        total: bytes.
        free: bytes that a process can take besides its own CUDA context; other programs hold the rest.
    """

    name: str
    total: int
    free: int


def gpu_memory() -> GpuMemory:
    """Ask a new process.

    Raises:
        ValueError: the GPU cannot be asked, as where other programs leave no room for a context.
    """
    process = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, check=False)
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ValueError(f"`device` cuda: the GPU cannot be asked for its memory: {reason}. Pass cpu, or free the GPU")
    return GpuMemory(**json.loads(process.stdout.splitlines()[-1]))


def _answer() -> GpuMemory:
    free, total = torch.cuda.mem_get_info(0)
    return GpuMemory(name=torch.cuda.get_device_properties(0).name, total=total, free=free)


def _main() -> None:
    sys.stdout.write(json.dumps(asdict(_answer())) + "\n")


if __name__ == "__main__":
    _main()
