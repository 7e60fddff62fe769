"""The scan on an NVIDIA GPU, compiled by Triton: no (b, d, l, n) array, no atomics, bit-equal from run to run.

What should limit it, counted per (b, d, l) for 16 states, float32 and a gate, at VM-UNet's sizes:

- forward: u, delta and z are read and y is written once, 16 bytes of HBM; B and C come from the cache once per 16
  channels, another 8 bytes. Of the arithmetic, 16 exponentials keep the special function units busy for one clock
  of a multiprocessor, and 5 instructions of a warp (5 per state and token over 32 lanes, the rest per token) for one
  and a quarter. An H100 would need 5.8 ps for the bytes and 5.6 ps for the instructions.
- backward: 28 bytes for the operands and their gradients, 2 for the saved states, 16 for the partial sums of dB and dC;
  19 instructions of a warp, 4.7 clocks: 16 ps against 21 ps. An eighth of them sum dB and dC over channels.

So both are bound by instructions as much as by memory, in half precision the more so. ``benchmarks/kernel_figures.py``
counts them.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
import triton
from torch import Tensor
from triton.errors import TritonError

from nnunet_mamba.ops.scan.operands import SAVED_EVERY, ScanOperands, states_shape
from nnunet_mamba.ops.scan.triton_backward import backward_kernel
from nnunet_mamba.ops.scan.triton_forward import forward_kernel
from nnunet_mamba.ops.scan.triton_plan import REGISTERS, Plan, Sizes, backward_plan, forward_plan
from nnunet_mamba.ops.scan.triton_segments import carry_kernel, segment_ends_kernel

# Triton of an AMD GPU knows no such option.
OPTIONS: dict[str, int] = {"num_warps": 1} | ({} if torch.version.hip else {"maxnreg": REGISTERS})


@cache
def n_multiprocessors(device: torch.device) -> int:
    """Return how many a GPU has."""
    if device.type != "cuda":  # Triton's interpreter
        return 1
    count: int = torch.cuda.get_device_properties(device).multi_processor_count
    return count


def _sizes(x: ScanOperands) -> Sizes:
    b, d, length = x.u.shape
    return Sizes(b, d, length, x.A.shape[1], x.B.shape[1], x.u.element_size())


def _dense(tensor: Tensor | None) -> Tensor | None:
    """Return the tensor with each batch entry contiguous, which slices of channels are already."""
    if tensor is None or tensor.is_contiguous() or tensor[0].is_contiguous():
        return tensor
    return tensor.contiguous()


def _float(tensor: Tensor | None) -> Tensor | None:
    """Return the tensor of channels contiguous in float32."""
    return None if tensor is None else tensor.float().contiguous()


def _kernel_tensors(x: ScanOperands) -> tuple[Tensor | None, ...]:
    """Return the operands with dense batch entries and, per channel, in float32."""
    u, delta, A, B, C, D, z, bias, _ = x
    return _dense(u), _dense(delta), _float(A), _dense(B), _dense(C), _float(D), _dense(z), _float(bias)


def _sums(x: ScanOperands, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=x.u.device)


def _new(like: Tensor) -> Tensor:
    return torch.empty(like.shape, dtype=like.dtype, device=like.device)


def _strides(*tensors: Tensor | None) -> tuple[int, ...]:
    """Return the distances between batch entries."""
    return tuple(0 if tensor is None else tensor.stride(0) for tensor in tensors)


@contextmanager
def launching(x: Tensor, title: str = "scan") -> Iterator[None]:
    """Launch on a tensor's device, and turn what Triton raises into an error that tells what to do."""
    try:
        with torch.cuda.device(x.get_device() if x.is_cuda else -1):  # -1: none
            yield
    # Triton asserts that it finds the CUDA driver, and calls a C compiler for its launcher.
    except (TritonError, AssertionError, subprocess.CalledProcessError) as error:
        raise RuntimeError(
            f"Triton {triton.__version__} cannot run the {title} on {x.device}; install another version, or set "
            f"NNUNET_MAMBA_SCAN=reference: {type(error).__name__}: {error}"
        ) from error


def _carries(
    x: ScanOperands, tensors: tuple[Tensor | None, ...], plan: Plan, dy: Tensor | None = None
) -> Tensor | None:
    """Return the states that the segments start from, (b, segments, n, d), or None for a single segment.

    With ``dy``, (b, d, l), they are those of the adjoint, after the last token of each segment.
    """
    if plan.n_segments == 1:
        return None
    b, d, length, n, groups, _ = sizes = _sizes(x)
    plan = forward_plan(sizes, n_multiprocessors(x.u.device), plan.segment_length)
    ends, steps = _sums(x, b, plan.n_segments, n, d), _sums(x, b, plan.n_segments, d)
    u, delta, A, B, C, _, z, bias = tensors
    adjoint = dy is not None
    tokens, matrix, gate = (u, B, None) if dy is None else (dy, C, z)
    segment_ends_kernel[(plan.n_programs,)](
        *(tokens, delta, A, matrix, gate, bias, ends, steps),
        *_strides(tokens, delta, matrix, gate),
        *(d, length, d // groups, plan.segment_length, n, x.delta_softplus, adjoint),
        **vars(plan.tile),
        STAGES=plan.stages,
        **OPTIONS,
    )
    D = max(1, 256 // plan.tile.N)
    carry_kernel[(b * -(-d // D),)](ends, steps, A, d, plan.n_segments, n, adjoint, plan.tile.N, D, **OPTIONS)
    return ends


def _scan(operands: ScanOperands, states: Tensor | None, *, is_saved: bool = False) -> Tensor:
    """Return y, and fill ``states`` unless it is None; if they are saved ones, start every 64 tokens from them."""
    y = _new(operands.u)
    if not y.numel():
        return y
    _, d, length, n, groups, _ = sizes = _sizes(operands)
    with launching(operands.u):
        plan = forward_plan(sizes, n_multiprocessors(y.device), SAVED_EVERY if is_saved else None)
        u, delta, _, B, C, _, z, _ = tensors = _kernel_tensors(operands)
        carries, states = (states, None) if is_saved else (_carries(operands, tensors, plan), states)
        forward_kernel[(plan.n_programs,)](
            *(*tensors, carries, y, states),
            *_strides(u, delta, B, C, z),
            *(d, length, d // groups, plan.segment_length, n, operands.delta_softplus),
            **vars(plan.tile),
            STAGES=plan.stages,
            **OPTIONS,
        )
    return y


def forward(operands: ScanOperands) -> Tensor:
    """Run the scan; see ``reference.forward``."""
    return _scan(operands, None)


def forward_saving(operands: ScanOperands) -> tuple[Tensor, Tensor]:
    """Run the scan and keep the states that the backward pass starts from; see ``reference.forward_saving``."""
    b, d, length = operands.u.shape
    states = _sums(operands, *states_shape(b, d, length, operands.A.shape[1]))
    return _scan(operands, states), states


def forward_again(operands: ScanOperands, states: Tensor) -> Tensor:
    """Run a scan that saved its states a second time, in one launch: every 64 tokens by themselves."""
    return _scan(operands, states.contiguous(), is_saved=True)


def backward(dy: Tensor, operands: ScanOperands, states: Tensor | None = None) -> tuple[Tensor | None, ...]:
    """Run the adjoint scan, which computes the states again from the saved ones; see ``reference.backward``."""
    b, d, length, n, groups, _ = sizes = _sizes(operands)
    if not operands.u.numel():
        return tuple(None if operand is None else torch.zeros_like(operand) for operand in operands.tensors)
    if states is None:
        states = forward_saving(operands)[1]
    with launching(operands.u):
        plan = backward_plan(sizes, n_multiprocessors(dy.device))
        u, delta, _, B, C, _, z, _ = tensors = _kernel_tensors(operands)
        dy, states, tile = dy.contiguous(), states.contiguous(), plan.tile
        du, ddelta, dz = (None if like is None else _new(like) for like in (u, delta, z))
        dBC = _sums(operands, 2, plan.n_buffers, b, groups, n, length)
        n_entries = b * plan.n_segments
        dA, dD, dbias = _sums(operands, n_entries, d, n), _sums(operands, n_entries, d), _sums(operands, n_entries, d)
        notes = _sums(operands, plan.n_programs, SAVED_EVERY // tile.T, tile.N * tile.channels)
        backward_kernel[(plan.n_programs,)](
            *(*tensors, dy, states, _carries(operands, tensors, plan, dy), notes),
            *(du, ddelta, dA, dBC, dD, dz, dbias),
            *_strides(u, delta, B, C, z),
            *(d, length, d // groups, plan.segment_length, plan.n_items, plan.n_buffers, n, operands.delta_softplus),
            PADDED=bool(length % tile.T or d // groups % tile.channels),
            **vars(tile),
            **OPTIONS,
        )
    dA, dD, dbias = (sums[0] if n_entries == 1 else sums.sum(0) for sums in (dA, dD, dbias))
    # Sums even of one buffer: results of an operator may not share their memory.
    dB, dC = dBC[0].sum(0), dBC[1].sum(0)
    results = (du, ddelta, dA, dB, dC, dD, dz, dbias)
    return tuple(
        None if operand is None or result is None else result.to(operand.dtype)
        for operand, result in zip(operands.tensors, results, strict=True)
    )
