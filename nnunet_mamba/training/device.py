"""Which device a training really gets."""

from typing import TYPE_CHECKING

import torch

from nnunet_mamba.ops.scan.backends import choose_backend
from nnunet_mamba.system.machine import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable


def device_or_cpu(device: torch.device) -> tuple[torch.device, str | None]:
    """Replace CUDA or Apple's MPS by the CPU if there is no such device, and give a CPU the threads that fit it.

    ``nnUNetv2_train`` asks for CUDA by default and sets torch to one thread for it, so the threads are set back. With
    ``-device cpu`` it takes as many as the machine has cores, whatever a container or job may use.

    Returns:
        The device to train on, and one line for the user if it is not the one asked for.
    """
    present: dict[str, Callable[[], bool]] = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device.type == "cpu":
        torch.set_num_threads(min(torch.get_num_threads(), available_cores()))
        return device, None
    if device.type not in present or present[device.type]():
        return device, None
    torch.set_num_threads(available_cores())
    return torch.device("cpu"), f"No {device.type.upper()} device found: training on the CPU"


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
