"""The scan on an NVIDIA GPU, compiled by Triton: no (b, d, l, n) array, no atomics, bit-equal from run to run.

What should limit it, counted per (b, d, l) for 16 states, float32 and a gate:

- forward: u, delta and z are read and y is written once, 16 bytes of HBM; B and C come from the cache once per 8
  channels, another 16 bytes. Of the arithmetic, 16 exponentials keep the special function units busy for one clock
  of a multiprocessor, and about 6 instructions of a warp (5 per state and token over 32 lanes, the rest per token)
  for one and a half. An H100 would need 5.8 ps for the bytes and 6.7 ps for the instructions.
- backward: 28 bytes for the operands and their gradients, 2 for the saved states, 16 for the partial sums of dB and dC;
  20 instructions of a warp, 5 clocks: 16 ps against 22 ps. A third of them sum dB and dC over channels.

So both are bound by instructions rather than by memory, in half precision the more so.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
import triton
from torch import Tensor
from triton.errors import TritonError

from nnunet_mamba.ops.scan.operands import SAVED_EVERY, ScanOperands, states_shape
from nnunet_mamba.ops.scan.triton_backward import backward_kernel
from nnunet_mamba.ops.scan.triton_forward import carry_kernel, forward_kernel, segment_ends_kernel

# A warp for each of the four schedulers of a multiprocessor hides little latency; twice that is what the registers of
# the backward kernel allow.
_PROGRAMS_PER_MULTIPROCESSOR = 8
# A segment costs its first pass, which pays off only where a launch is short against the scan of its tokens.
_SHORTEST_SEGMENT = 256
# With this many programs other warps hide the latency of loads; with fewer, loads start two tiles ahead.
_BUSY_PROGRAMS_PER_MULTIPROCESSOR = 12
_NUMBERS_PER_TILE = 1024


@dataclass(frozen=True)
class _Tile:
    """The sizes of a kernel's tiles, (T, K, N, D) tokens, channels, states and channels again; powers of two."""

    T: int
    K: int
    N: int
    D: int


@dataclass(frozen=True)
class _Plan:
    """How a scan is divided into programs.

    Args:
        tile: what a program computes at a time.
        n_slots: programs that the channels of one group need.
        segment_length: tokens of a program, a multiple of 64.
        n_segments: programs that the tokens need.
        n_programs: all programs.
    """

    tile: _Tile
    n_slots: int
    segment_length: int
    n_segments: int
    n_programs: int


def _power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()


def _tile(n: int, group_size: int, *, state_lanes: int, rows: int, longest: int) -> _Tile:
    """Return a tile of at most ``longest`` tokens and ``rows`` channels per lane.

    ``state_lanes`` lanes serve the states of a channel, if there are so many; the others serve other channels.
    """
    N = _power_of_two(n)
    channels = max(_power_of_two(group_size), 32 // N)
    D = min(channels, 32 // min(N, state_lanes), max(1, 256 // N))
    K = min(rows, channels // D) if 4 <= N <= 16 else 1
    return _Tile(T=max(1, min(longest, _NUMBERS_PER_TILE // (K * N * D))), K=K, N=N, D=D)


def _n_multiprocessors(device: torch.device) -> int:
    if device.type != "cuda":  # Triton's interpreter
        return 1
    count: int = torch.cuda.get_device_properties(device).multi_processor_count
    return count


def _plan(x: ScanOperands, tile: _Tile, n_slots: int, segment_length: int | None = None) -> _Plan:
    """Divide the scan into programs, with as many segments as fill the GPU unless their length is given."""
    b, length = x.u.shape[0], x.u.shape[2]
    n_sequences = b * x.B.shape[1] * n_slots
    if segment_length is None:
        room = _PROGRAMS_PER_MULTIPROCESSOR * _n_multiprocessors(x.u.device) // n_sequences
        n_segments = max(1, min(room, length // _SHORTEST_SEGMENT))
        segment_length = -(-length // (n_segments * SAVED_EVERY)) * SAVED_EVERY
    n_segments = -(-length // segment_length)
    return _Plan(tile, n_slots, segment_length, n_segments, n_sequences * n_segments)


def _forward_plan(x: ScanOperands, segment_length: int | None = None) -> _Plan:
    """Return a plan with more lanes for states, and so more programs, where channels and batch are few."""
    n, group_size = x.A.shape[1], x.A.shape[0] // x.B.shape[1]
    for state_lanes in (4, 8):
        tile = _tile(n, group_size, state_lanes=state_lanes, rows=1, longest=16)
        plan = _plan(x, tile, -(-group_size // tile.D), segment_length)
        if plan.n_programs >= _PROGRAMS_PER_MULTIPROCESSOR * _n_multiprocessors(x.u.device):
            break
    return plan


def _backward_plan(x: ScanOperands) -> _Plan:
    """Return a plan of one launch: its programs keep their own sums of dB and dC.

    These should take no more than half of the memory of operands and gradients, about 8 rows of tokens for each of a
    group's channels and 4 for each of its states. Slots for which there is no room wait for the next launch.
    """
    n, group_size = x.A.shape[1], x.A.shape[0] // x.B.shape[1]
    tile = _tile(n, group_size, state_lanes=4, rows=2, longest=8)
    n_slots = -(-group_size // (tile.K * tile.D))
    room = max(1, x.u.element_size() * (2 * group_size + n) // (4 * max(1, n)))
    n_launches = -(-n_slots // room)
    return _plan(x, tile, -(-n_slots // n_launches))


def _stages(plan: _Plan, device: torch.device) -> int:
    return 1 if plan.n_programs >= _BUSY_PROGRAMS_PER_MULTIPROCESSOR * _n_multiprocessors(device) else 3


def _dense(tensor: Tensor) -> Tensor:
    """Return the tensor with each batch entry contiguous, which slices of channels are already."""
    return tensor if tensor[0].is_contiguous() else tensor.contiguous()


def _kernel_operands(x: ScanOperands) -> ScanOperands:
    """Return the operands with dense batch entries and, per channel, in float32."""
    return ScanOperands(
        u=_dense(x.u),
        delta=_dense(x.delta),
        A=x.A.float().contiguous(),
        B=_dense(x.B),
        C=_dense(x.C),
        D=None if x.D is None else x.D.float().contiguous(),
        z=None if x.z is None else _dense(x.z),
        delta_bias=None if x.delta_bias is None else x.delta_bias.float().contiguous(),
        delta_softplus=x.delta_softplus,
    )


def _sums(x: ScanOperands, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=x.u.device)


def _new(like: Tensor) -> Tensor:
    return torch.empty(like.shape, dtype=like.dtype, device=like.device)


def _stride(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.stride(0)


@contextmanager
def _launching(x: ScanOperands) -> Iterator[None]:
    """Launch on the operands' device, and turn what Triton raises into an error that tells what to do."""
    try:
        with torch.cuda.device(x.u.get_device() if x.u.is_cuda else -1):  # -1: none
            yield
    # Triton asserts that it finds the CUDA driver, and calls a C compiler for its launcher.
    except (TritonError, AssertionError, subprocess.CalledProcessError) as error:
        raise RuntimeError(
            f"Triton {triton.__version__} cannot run the scan on {x.u.device}; install another version, or set "
            f"NNUNET_MAMBA_SCAN=reference: {type(error).__name__}: {error}"
        ) from error


def _carries(x: ScanOperands, plan: _Plan, dy: Tensor | None = None) -> Tensor | None:
    """Return the states that the segments start from, (b, segments, n, d), or None for a single segment.

    With ``dy``, (b, d, l), they are those of the adjoint, after the last token of each segment.
    """
    if plan.n_segments == 1:
        return None
    b, d, length = x.u.shape
    n, groups = x.A.shape[1], x.B.shape[1]
    plan = _forward_plan(x, plan.segment_length)
    ends, steps = _sums(x, b, plan.n_segments, n, d), _sums(x, b, plan.n_segments, d)
    adjoint = dy is not None
    tokens, matrix, z = (x.u, x.B, None) if dy is None else (dy, x.C, x.z)
    segment_ends_kernel[(plan.n_programs,)](
        *(tokens, x.delta, x.A, matrix, z, x.delta_bias, ends, steps),
        *(_stride(tensor) for tensor in (tokens, x.delta, matrix, z)),
        *(d, length, d // groups, plan.segment_length, n, x.delta_softplus, adjoint),
        **asdict(plan.tile),
        STAGES=_stages(plan, x.u.device),
        num_warps=1,
    )
    D = max(1, 256 // plan.tile.N)
    carry_kernel[(b * -(-d // D),)](ends, steps, x.A, d, plan.n_segments, n, adjoint, plan.tile.N, D, num_warps=1)
    return ends


def _scan(operands: ScanOperands, states: Tensor | None) -> Tensor:
    """Return y, and fill ``states`` unless it is None."""
    d, length = operands.u.shape[1:]
    y = _new(operands.u)
    if not y.numel():
        return y
    with _launching(operands):
        x = _kernel_operands(operands)
        plan = _forward_plan(x)
        forward_kernel[(plan.n_programs,)](
            *(*x.tensors, _carries(x, plan), y, states),
            *(_stride(tensor) for tensor in (x.u, x.delta, x.B, x.C, x.z)),
            *(d, length, d // x.B.shape[1], plan.segment_length, x.A.shape[1], x.delta_softplus),
            **asdict(plan.tile),
            STAGES=_stages(plan, y.device),
            num_warps=1,
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


def backward(dy: Tensor, operands: ScanOperands, states: Tensor | None = None) -> tuple[Tensor | None, ...]:
    """Run the adjoint scan, which computes the states again from the saved ones; see ``reference.backward``."""
    b, d, length = operands.u.shape
    if not operands.u.numel():
        return tuple(None if operand is None else torch.zeros_like(operand) for operand in operands.tensors)
    if states is None:
        states = forward_saving(operands)[1]
    with _launching(operands):
        x, dy, states = _kernel_operands(operands), dy.contiguous(), states.contiguous()
        n, group_size = x.A.shape[1], d // x.B.shape[1]
        plan = _backward_plan(x)
        tile, channels = plan.tile, plan.tile.K * plan.tile.D
        du, ddelta, dz = (None if like is None else _new(like) for like in (x.u, x.delta, x.z))
        dB, dC = _sums(x, plan.n_slots, *x.B.shape), _sums(x, plan.n_slots, *x.B.shape)
        sums = _sums(x, b * plan.n_segments, d, n + 2)
        notes = _sums(x, plan.n_programs, SAVED_EVERY // tile.T, tile.N * channels)
        carries = _carries(x, plan, dy)
        for first_slot in range(0, -(-group_size // channels), plan.n_slots):
            backward_kernel[(plan.n_programs,)](
                *(*x.tensors, dy, states, carries, notes, du, ddelta, dz, dB, dC, sums),
                *(_stride(tensor) for tensor in (x.u, x.delta, x.B, x.C, x.z)),
                *(d, length, group_size, plan.segment_length, first_slot, plan.n_slots),
                *(n, x.delta_softplus),
                PADDED=bool(length % tile.T or group_size % (channels * plan.n_slots)),
                ADD=first_slot > 0,
                **asdict(tile),
                num_warps=1,
            )
    dB, dC = (slots[0] if plan.n_slots == 1 else slots.sum(0) for slots in (dB, dC))
    dA, dD, dbias = (sums[..., columns].sum(0) for columns in (slice(n), n, n + 1))
    results = (du, ddelta, dA, dB, dC, dD, dz, dbias)
    return tuple(
        None if operand is None or result is None else result.to(operand.dtype)
        for operand, result in zip(operands.tensors, results, strict=True)
    )
