"""What a scan launches on a GPU that is not there: its kernels compiled for it, with their grids and extra memory."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
import triton
from gpu_checks.scan_shapes import Shape
from torch import Tensor
from triton.backends.compiler import GPUTarget

from nnunet_mamba.ops.directions import triton_gpu as cross_triton_gpu
from nnunet_mamba.ops.directions.operands import CrossScanOperands
from nnunet_mamba.ops.scan import triton_gpu
from nnunet_mamba.ops.scan.operands import ScanOperands


class Host(NamedTuple):
    """A module that launches kernels, and their names."""

    module: ModuleType
    kernels: tuple[str, ...]


class MapShape(NamedTuple):
    """The sizes of a cross scan: batch, the map's axes, channels, dt_rank and states."""

    b: int
    height: int
    width: int
    d: int
    rank: int
    n: int = 16


SCAN = Host(triton_gpu, ("forward_kernel", "backward_kernel", "segment_ends_kernel", "carry_kernel"))
CROSS_SCAN = Host(
    cross_triton_gpu, ("cross_forward_kernel", "cross_backward_kernel", "cross_ends_kernel", "carry_kernel")
)
TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
    "gfx1100": GPUTarget("hip", "gfx1100", 32),
}


@dataclass(frozen=True)
class Launch:
    """A launch that has not happened.

    Args:
        kernel: its name.
        n_programs: programs of one warp.
        options: tile and stages.
        compiled: what Triton has made of it, or None where nothing was compiled.
    """

    kernel: str
    n_programs: int
    options: dict[str, Any]
    compiled: Any


@dataclass
class Record:
    """The launches of a pass, and the bytes that it allocates beside operands, results and gradients."""

    launches: list[Launch] = field(default_factory=list)
    extra_bytes: int = 0


class _Recorder:
    """A kernel that notes its launches, compiled for a target or not at all."""

    def __init__(self, name: str, kernel: Any, record: Record, target: GPUTarget | None) -> None:
        self._name, self._kernel, self._record, self._target = name, kernel, record, target

    def __getitem__(self, grid: tuple[int]) -> Any:
        def launch(*arguments: Any, **options: Any) -> None:
            compiled = self._kernel.warmup(*arguments, grid=grid, **options) if self._target else None
            tile = {name: value for name, value in options.items() if name in ("T", "K", "N", "D", "STAGES")}
            self._record.launches.append(Launch(self._name, grid[0], tile, compiled))

        return launch


@contextmanager
def _active(target: GPUTarget | None) -> Iterator[None]:
    """Have Triton compile for a target that no driver has found."""
    if target is None:
        yield
        return
    before = dict(vars(triton.runtime.driver))  # Triton has no way to unset a driver
    triton.runtime.driver.set_active(
        SimpleNamespace(
            get_current_target=lambda: target,
            get_current_device=lambda: target.arch,
            get_current_stream=lambda device: 0,
        )
    )
    try:
        yield
    finally:
        vars(triton.runtime.driver).clear()
        vars(triton.runtime.driver).update(before)


@contextmanager
def recording(host: Host, n_multiprocessors: int, target: GPUTarget | None = None) -> Iterator[Record]:
    """Note what is launched, for a GPU of so many multiprocessors, instead of launching it."""
    record, sums = Record(), host.module._sums

    def counted_sums(x: Any, *shape: int) -> Tensor:
        record.extra_bytes += 4 * math.prod(shape)
        counted: Tensor = sums(x, *shape)
        return counted

    changes: dict[str, Any] = {
        name: _Recorder(name, getattr(host.module, name), record, target) for name in host.kernels
    }
    if target is not None and target.backend == "hip":
        changes["OPTIONS"] = {"num_warps": 1}
    with (
        patch.multiple(host.module, _sums=counted_sums, n_multiprocessors=lambda device: n_multiprocessors, **changes),
        _active(target),
    ):
        yield record


def operands(shape: Shape, device: str = "meta", dtype: torch.dtype = torch.float32) -> ScanOperands:
    """Return operands that hold no numbers of note, for what looks at sizes alone."""

    def empty(*sizes: int, dtype: torch.dtype = dtype) -> Tensor:
        return torch.empty(sizes, device=device, dtype=dtype)

    b, d, length, n, groups = shape
    per_channel = torch.float32
    return ScanOperands(
        *(empty(b, d, length), empty(b, d, length), empty(d, n, dtype=per_channel)),
        *(empty(b, groups, n, length), empty(b, groups, n, length), empty(d, dtype=per_channel)),
        *(empty(b, d, length), empty(d, dtype=per_channel), True),
    )


def map_operands(shape: MapShape) -> CrossScanOperands:
    """Return operands of a cross scan without numbers."""

    def empty(*sizes: int) -> Tensor:
        return torch.empty(sizes, device="meta")

    b, height, width, d, rank, n = shape
    length = height * width
    return CrossScanOperands(
        *(empty(b, length, d), empty(b, length, 4, rank + 2 * n), empty(4, d, rank)),
        *(empty(4, d), empty(4 * d, n), empty(4 * d), (height, width)),
    )


def recorded(shape: Shape | MapShape, n_multiprocessors: int, target: GPUTarget | None = None) -> tuple[Record, Record]:
    """Return what the forward pass of a training step and its backward pass would launch."""
    host, x = (CROSS_SCAN, map_operands(shape)) if isinstance(shape, MapShape) else (SCAN, operands(shape))
    with recording(host, n_multiprocessors, target) as forward:
        y, states = host.module.forward_saving(x)
    if host is SCAN:
        forward.extra_bytes -= states.numel() * states.element_size()
    with recording(host, n_multiprocessors, target) as backward:
        host.module.backward(y, x, states)
    return forward, backward
