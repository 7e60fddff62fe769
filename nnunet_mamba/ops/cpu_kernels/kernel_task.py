"""A kernel's task: a C structure of sizes and of addresses of tensors that stay alive until the kernel has run.

Each operator declares its own structure, a ``Task``: its name in Python, ``task_numbers`` of it in the kernel.
"""

import ctypes
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from llvmlite import ir
from numba import types
from torch import Tensor

from nnunet_mamba.ops.cpu_kernels.kernel_compiler import compiled_kernel
from nnunet_mamba.ops.cpu_kernels.lanes import intrinsic
from nnunet_mamba.ops.cpu_kernels.thread_team import run_on_threads

Fields: TypeAlias = tuple[tuple[str, type[ctypes.c_int64]], ...]


class Task(ctypes.Structure):
    """64-bit integers, to which an operator adds its own; the first one counts the jobs that threads have claimed."""

    _fields_: ClassVar[Fields] = (("next_job", ctypes.c_int64),)


def integers(*names: str) -> Fields:
    """Return the fields that an operator's task adds to ``Task``."""
    return tuple((name, ctypes.c_int64) for name in names)


def task_numbers(structure: type[Task]) -> "np.dtype[np.void]":
    """Return the numpy type by which a kernel reads a task: ``carray(address, 1, numbers)[0]``."""
    return np.dtype([(name, np.int64) for name, _ in (*Task._fields_, *structure._fields_)])


@intrinsic
def claim_job(typingctx: Any, task: Any) -> Any:
    """Return the number of the next job of a task that no thread has claimed."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        counter = ir.IntType(64)
        address = builder.bitcast(args[0], counter.as_pointer())
        return builder.atomic_rmw("add", address, counter(1), "monotonic")

    return types.int64(task), codegen


class KernelTask:
    """A task, and the tensors that it points to.

    Args:
        structure: the task with its sizes set.
        owner: the operator, named in errors.
    """

    def __init__(self, structure: Task, *, owner: str) -> None:
        self._structure = structure
        self._owner = owner
        self._kept: list[Tensor] = []

    def point(self, **tensors: Tensor | None) -> None:
        """Set the address of each float32 tensor, made contiguous; None keeps 0.

        Raises:
            TypeError: a tensor is not float32 on the CPU.
            RuntimeError: a tensor has no memory of its own, such as those that torch traces with.
        """
        for name, tensor in tensors.items():
            if tensor is not None:
                self._point(name, tensor, torch.float32)

    def point_to_integers(self, **tensors: Tensor) -> None:
        """Set the address of each int64 tensor; see ``point``."""
        for name, tensor in tensors.items():
            self._point(name, tensor, torch.int64)

    def _point(self, name: str, tensor: Tensor, expected: torch.dtype) -> None:
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


def own_copy(part: Tensor) -> Tensor:
    """Return a part of a larger tensor in memory of its own: the results of an operator may not share theirs."""
    return part.clone(memory_format=torch.contiguous_format)
