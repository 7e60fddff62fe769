"""What the compiled loops of the cross scan share: its task, its blocks of channels, and how a direction reads the map.

One job is one case times one share of the channels, in all directions, one after the other: the sum over the directions
is the job's own. A chunk's dt, B and C are read once for all blocks of 16 channels of the share.
"""

import ctypes
import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from nnunet_mamba.ops.mixer.numba_layout import Scalars, add_product, blocks_of, fill, zeros
from nnunet_mamba.ops.scan.lane_functions import softplus
from nnunet_mamba.ops.scan.lanes import (
    LANES,
    Lanes,
    compiled,
    intrinsic,
    larger_magnitude,
    load,
    load_row,
    new_rows,
    number,
    set_number,
    store,
    store_row,
)
from nnunet_mamba.ops.scan.numba_blocks import CHUNK, Address, Chunk, Matrices, Rows, scatter, shifted

_ZERO = np.float32(0)


class CrossScanTask(ctypes.Structure):
    """A cross scan as the kernels get it: addresses of contiguous float32 arrays (0: absent), and sizes."""

    NAMES = (
        "next_job",  # claimed by the threads one by one
        *("u", "y", "dy", "du"),  # (b, l, d)
        "projected",  # (b, l, K, n_projected)
        "dprojected",  # (shares, b, l, K, n_projected)
        *("dt_proj", "dt_bias", "A_logs", "Ds"),
        "order",  # (K, l), int64
        "states",  # (b, K, chunks, n, d): h before each chunk
        "sums",  # (b, K, dt_rank + 1 + n + 1, d): gradients of dt_proj, dt_bias, A and D
        *("cases", "length", "channels", "directions", "dt_rank", "d_state"),
        "shares",  # into how many jobs the channels of a case are divided
    )
    _fields_ = tuple((name, ctypes.c_int64) for name in NAMES)


TASK_NUMBERS = np.dtype([(name, np.int64) for name in CrossScanTask.NAMES])


class Sizes(NamedTuple):
    """The sizes of a task."""

    length: int
    d: int
    directions: int
    dt_rank: int
    n: int
    n_projected: int  # dt_rank + 2 n: dt, then B, then C
    shares: int
    blocks: int  # of the largest share
    chunks: int
    sum_rows: int  # of ``sums``, for one direction


class Share(NamedTuple):
    """One job's case and channels."""

    case: int
    number: int
    first: int  # its first channel
    blocks: int


class Weights(NamedTuple):
    """A direction's weights of the share's channels in lanes; row r of block i is in row r * blocks + i."""

    dt_proj: Rows  # (dt_rank, blocks, 16)
    dt_bias: Rows  # (blocks, 16)
    rate: Rows  # (n, blocks, 16): A log2(e)
    D: Rows  # (blocks, 16)


class Direction(NamedTuple):
    """Buffers of one chunk in one direction, one row of lanes per token."""

    u: Rows  # (CHUNK, 16); so are the next ones
    delta: Rows  # the step size before its softplus
    step: Rows
    update: Rows
    y: Rows
    projected: Rows  # (parts of n_projected, CHUNK, 16): dt, B and C of a token in lanes
    matrices: Rows  # (n_projected, CHUNK): the same, a row for each of them
    h: Rows  # (n, blocks, 16)


@compiled
def sizes_of(task: Any) -> Sizes:
    """Read the sizes of a task."""
    blocks = blocks_of(task.channels)
    return Sizes(
        task.length,
        task.channels,
        task.directions,
        task.dt_rank,
        task.d_state,
        task.dt_rank + 2 * task.d_state,
        task.shares,
        (blocks + task.shares - 1) // task.shares,
        (task.length + CHUNK - 1) // CHUNK,
        task.dt_rank + 1 + task.d_state + 1,
    )


@compiled
def share_of(sizes: Sizes, job: int) -> Share:
    """Return a job's part: job i is share i % shares of case i // shares."""
    number_, blocks = job % sizes.shares, blocks_of(sizes.d)
    first = number_ * blocks // sizes.shares
    return Share(job // sizes.shares, number_, first * LANES, (number_ + 1) * blocks // sizes.shares - first)


@compiled
def new_weights(sizes: Sizes) -> Weights:
    """Return empty buffers."""
    return Weights(
        new_rows(sizes.dt_rank * sizes.blocks),
        new_rows(sizes.blocks),
        new_rows(sizes.n * sizes.blocks),
        new_rows(sizes.blocks),
    )


@compiled
def new_direction(sizes: Sizes) -> Direction:
    """Return empty buffers."""
    return Direction(
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(blocks_of(sizes.n_projected) * CHUNK),
        new_rows(sizes.n_projected * CHUNK // LANES),
        new_rows(sizes.n * sizes.blocks),
    )


@compiled
def read_weights(task: Any, k: int, share: Share, sizes: Sizes, weights: Weights) -> None:
    """Arrange the weights of direction k; channels that there are not get zeros."""
    for lane in range(share.blocks * LANES):
        channel = share.first + lane
        is_there, row = channel < sizes.d, k * sizes.d + channel
        for r in range(sizes.dt_rank):
            value = number(task.dt_proj, row * sizes.dt_rank + r) if is_there else _ZERO
            set_number(weights.dt_proj, r * share.blocks * LANES + lane, value)
        for n in range(sizes.n):
            rate = np.float32(-math.exp(number(task.A_logs, row * sizes.n + n)) / math.log(2)) if is_there else _ZERO
            set_number(weights.rate, n * share.blocks * LANES + lane, rate)
        set_number(weights.dt_bias, lane, number(task.dt_bias, row) if is_there else _ZERO)
        set_number(weights.D, lane, number(task.Ds, row) if is_there else _ZERO)


@intrinsic
def position_of(typingctx: Any, order: Any, index: Any) -> Any:
    """Return entry ``index`` of the int64 array at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.load(builder.gep(address, [args[1]]))

    return types.int64(types.int64, types.int64), codegen


@compiled
def read_row(flat: Address, offset: int, width: int, rows: Rows, row: int) -> None:
    """Read ``width`` numbers, at most 16, into a row; the others are zero."""
    if width >= LANES:
        store_row(rows, row, load(flat, offset))
    else:
        store_row(rows, row, zeros())
        for lane in range(width):
            set_number(rows, row * LANES + lane, number(flat, offset + lane))


@compiled
def write_row(rows: Rows, row: int, flat: Address, offset: int, width: int, is_first: bool) -> None:
    """Write the first ``width`` numbers of a row, at most 16, or add them if not ``is_first``."""
    if width >= LANES:
        lanes = load_row(rows, row)
        store(flat, offset, lanes if is_first else lanes + load(flat, offset))
    else:
        for lane in range(width):
            before = _ZERO if is_first else number(flat, offset + lane)
            set_number(flat, offset + lane, before + number(rows, row * LANES + lane))


@compiled
def read_projected(task: Any, case: int, k: int, start: int, count: int, sizes: Sizes, direction: Direction) -> None:
    """Read dt, B and C of the ``count`` tokens from ``start`` on in direction k, as one row of tokens for each."""
    for part in range(blocks_of(sizes.n_projected)):
        width = min(LANES, sizes.n_projected - part * LANES)
        for t in range(count):
            position = position_of(task.order, k * sizes.length + start + t)
            offset = ((case * sizes.length + position) * sizes.directions + k) * sizes.n_projected + part * LANES
            read_row(task.projected, offset, width, direction.projected, part * CHUNK + t)
        rows = shifted(direction.projected, part * CHUNK * LANES)
        scatter(rows, direction.matrices, part * LANES * CHUNK, CHUNK, width, count)


@compiled
def chunk_of(direction: Direction) -> Chunk:
    """Return the buffers as the scan's loops take them; there is no gate."""
    return Chunk(direction.u, direction.step, direction.update, direction.u, direction.y)


@compiled
def matrices_of(direction: Direction, sizes: Sizes, n: int) -> Matrices:
    """Return where B and C of state n are."""
    B = shifted(direction.matrices, (sizes.dt_rank + n) * CHUNK)
    return Matrices(B, shifted(B, sizes.n * CHUNK))


@compiled
def read_block(
    task: Any,
    share: Share,
    block: int,
    k: int,
    start: int,
    count: int,
    sizes: Sizes,
    weights: Weights,
    direction: Direction,
) -> Lanes:
    """Read u of one block, compute step, update and y = D u; return the largest step of each channel."""
    channel = share.first + block * LANES
    for t in range(count):
        position = position_of(task.order, k * sizes.length + start + t)
        read_row(task.u, (share.case * sizes.length + position) * sizes.d + channel, sizes.d - channel, direction.u, t)
    fill(direction.delta, 0, count, load_row(weights.dt_bias, block))
    dt = Scalars(direction.matrices, 0, 1, CHUNK, sizes.dt_rank)
    add_product(dt, weights.dt_proj, block, share.blocks, direction.delta, 0, count)
    D, largest = load_row(weights.D, block), zeros()
    for t in range(count):
        u, step = load_row(direction.u, t), softplus(load_row(direction.delta, t))
        largest = larger_magnitude(step, largest)
        store_row(direction.step, t, step)
        store_row(direction.update, t, step * u)
        store_row(direction.y, t, D * u)
    return largest


@compiled
def states_offset(sizes: Sizes, share: Share, k: int, start: int, block: int) -> int:
    """Return where the states of a block before the chunk at ``start`` are saved; those of the next n are d further."""
    chunk = (share.case * sizes.directions + k) * sizes.chunks + start // CHUNK
    return chunk * sizes.n * sizes.d + share.first + block * LANES
