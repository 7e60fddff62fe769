"""Which device a training really gets."""

import os
from typing import TYPE_CHECKING

import torch

from nnunet_mamba.ops.scan.backends import choose_backend
from nnunet_mamba.system.machine import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable


def device_or_cpu(device: torch.device) -> tuple[torch.device, str | None]:
    """Replace CUDA or Apple's MPS by the CPU if there is no such device.

    ``nnUNetv2_train`` asks for CUDA by default and sets torch to one thread for it, so the threads are set back.

    Returns:
        The device to train on, and one line for the user if it is not the one asked for.
    """
    present: dict[str, Callable[[], bool]] = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device.type not in present or present[device.type]():
        return device, None
    cores = available_cores()
    torch.set_num_threads(cores)
    # Threads that spin while they wait take the core from the thread that they wait for, as soon as another process
    # wants one too (benchmarks/training_step.py). OpenMP has read the variable before this code runs.
    advice = "" if "OMP_WAIT_POLICY" in os.environ else " OMP_WAIT_POLICY=passive keeps it fast beside other programs."
    return torch.device(
        "cpu"
    ), f"No {device.type.upper()} device found: training on the CPU with {cores} threads.{advice}"


def scan_notice(device: torch.device) -> str:
    """Return one line on how the networks' selective scans will run.

    Args:
        device: that trains.

    Raises:
        RuntimeError: the backend that ``$NNUNET_MAMBA_SCAN`` names cannot run there.
        ValueError: the variable names no backend.
    """
    name = choose_backend(torch.empty(0, device=device)).name
    if name != "reference":
        return f"Selective scan on {device.type}: {name}"
    return (
        f"Selective scan on {device.type}: reference, in plain torch, exact but many times slower than on a CPU or a "
        "CUDA device (nnunet-mamba scan-backends tells why); -device cpu may be faster"
    )
