"""What the compiled loops of the cross scan share: its task, its blocks of channels, and how a direction reads the map.

One job is one case times one share of the channels, in all directions, one after the other: the sum over the directions
is the job's own. A chunk's dt, B and C are read once for all blocks of 16 channels of the share.
"""

from typing import Any, ClassVar, NamedTuple

from nnunet_mamba.ops.cpu_kernels.kernel_task import Fields, Task, integers, task_numbers
from nnunet_mamba.ops.cpu_kernels.lane_functions import softplus
from nnunet_mamba.ops.cpu_kernels.lanes import (
    Lanes,
    compiled,
    integer,
    larger_magnitude,
    load_row,
    new_rows,
    number,
    set_number,
    store_row,
)
from nnunet_mamba.ops.cpu_kernels.products import Scalars, add_product
from nnunet_mamba.ops.cpu_kernels.recurrence import Chunk, decay_rate
from nnunet_mamba.ops.cpu_kernels.rows import ZERO, Rows, blocks_of, fill, read_row, scatter, shifted, zeros
from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK, LANES


class CrossScanTask(Task):
    """A cross scan as the kernels get it: addresses of contiguous float32 arrays (0: absent), and sizes."""

    _fields_: ClassVar[Fields] = integers(
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


TASK_NUMBERS = task_numbers(CrossScanTask)


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
    """Arrange the weights of direction k; missing channels get zeros."""
    for lane in range(share.blocks * LANES):
        channel = share.first + lane
        is_there, row = channel < sizes.d, k * sizes.d + channel
        for r in range(sizes.dt_rank):
            value = number(task.dt_proj, row * sizes.dt_rank + r) if is_there else ZERO
            set_number(weights.dt_proj, r * share.blocks * LANES + lane, value)
        for n in range(sizes.n):
            rate = decay_rate(number(task.A_logs, row * sizes.n + n)) if is_there else ZERO
            set_number(weights.rate, n * share.blocks * LANES + lane, rate)
        set_number(weights.dt_bias, lane, number(task.dt_bias, row) if is_there else ZERO)
        set_number(weights.D, lane, number(task.Ds, row) if is_there else ZERO)


@compiled
def position_of(task: Any, k: int, token: int, sizes: Sizes) -> int:
    """Return the position that direction k reads as its token number ``token``."""
    position: int = integer(task.order, k * sizes.length + token)
    return position


@compiled
def read_projected(task: Any, case: int, k: int, start: int, count: int, sizes: Sizes, direction: Direction) -> None:
    """Read dt, B and C of the ``count`` tokens from ``start`` on in direction k, as one row of tokens for each."""
    for part in range(blocks_of(sizes.n_projected)):
        width = min(LANES, sizes.n_projected - part * LANES)
        for t in range(count):
            position = position_of(task, k, start + t, sizes)
            offset = ((case * sizes.length + position) * sizes.directions + k) * sizes.n_projected + part * LANES
            read_row(task.projected, offset, width, direction.projected, part * CHUNK + t)
        rows = shifted(direction.projected, part * CHUNK * LANES)
        scatter(rows, direction.matrices, part * LANES * CHUNK, CHUNK, width, count)


@compiled
def chunk_of(direction: Direction) -> Chunk:
    """Return the buffers as the scan's loops take them; there is no gate."""
    return Chunk(direction.u, direction.step, direction.update, direction.u, direction.y)


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
        position = position_of(task, k, start + t, sizes)
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
