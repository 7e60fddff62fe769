"""A kernel's task as Python prepares it: sizes, and addresses of tensors that stay alive until the kernel has run."""

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.ops.scan.kernel_compiler import compiled_kernel
from nnunet_mamba.ops.scan.thread_team import run_on_threads


class KernelTask:
    """A C structure of 64-bit integers, the first of which counts the jobs that threads have claimed.

    Args:
        structure: the task with its sizes set.
        owner: the operator, named in errors.
    """

    def __init__(self, structure: ctypes.Structure, *, owner: str) -> None:
        self._structure = structure
        self._owner = owner
        self._kept: list[Tensor] = []

    def point(self, **tensors: Tensor | None) -> None:
        """Set the address of each tensor, made contiguous; None keeps 0.

        Raises:
            TypeError: a tensor is not float32 on the CPU (int64 for ``order``).
            RuntimeError: a tensor has no memory of its own, such as those that torch traces with.
        """
        for name, tensor in tensors.items():
            if tensor is None:
                continue
            expected = torch.int64 if name == "order" else torch.float32
            if tensor.dtype != expected or tensor.device.type != "cpu":
                raise TypeError(
                    f"{self._owner}: {name} is {tensor.dtype} on {tensor.device}, expected {expected} on cpu like the "
                    f"other operands; convert it, or the whole module: .to('cpu', torch.float32)"
                )
            flat = tensor.contiguous()
            address = flat.data_ptr()
            if address == 0 and flat.numel():
                raise RuntimeError(
                    f"{self._owner}: {name} is a {type(tensor).__name__} without memory, expected a plain tensor"
                )
            self._kept.append(flat)
            setattr(self._structure, name, address)

    def run(self, kernel: Callable[[Any], None], n_threads: int) -> None:
        """Run a kernel until no job is left, on at most ``n_threads`` threads and at most those of torch."""
        self._structure.next_job = 0
        n_threads = max(1, min(torch.get_num_threads(), n_threads))
        run_on_threads(compiled_kernel(kernel).address, ctypes.addressof(self._structure), n_threads)
