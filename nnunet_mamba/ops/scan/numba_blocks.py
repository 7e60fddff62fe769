"""What the compiled loops of the CPU scan share: its task, its blocks of channels, and the buffers of one chunk.

One job is one batch entry times one share of a group's channels. It walks over the tokens in chunks, and inside a chunk
over blocks of up to 16 consecutive channels, which are the 16 lanes of every value; inside a block it takes one state
after the other, so that h and the decay rate live in registers. No array here has tokens times states entries but those
of one chunk, and every sum runs in a fixed order, so that results repeat bit by bit.
"""

import ctypes
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from nnunet_mamba.ops.scan.lane_functions import EXP2_BOUND, LOG2E, exp2, exp2_of_product, softplus
from nnunet_mamba.ops.scan.lane_transposes import load_transposed, store_transposed
from nnunet_mamba.ops.scan.lanes import (
    LANES,
    Lanes,
    all_below,
    compiled,
    free_rows,
    inlined,
    intrinsic,
    larger_magnitude,
    load_row,
    multiply_add,
    new_rows,
    number,
    prefetch,
    set_number,
    splat,
    spread,
    store_row,
)
from nnunet_mamba.ops.scan.operands import SAVED_EVERY

CHUNK = SAVED_EVERY

Address = int
# The address of rows of 16 numbers, the lanes of one value each.
Rows = int
_ZERO = np.float32(0)


class ScanTask(ctypes.Structure):
    """A scan as the kernels get it: addresses of contiguous float32 arrays (0 for an absent one), and sizes."""

    NAMES = (
        "next_job",  # claimed by the threads one by one
        *("u", "delta", "z", "y", "dy", "du", "ddelta", "dz"),  # (b, d, l)
        *("A", "B", "C", "D", "delta_bias"),  # (d, n), (b, g, n, l) twice, (d,) twice
        "states",  # (b, ceil(l / 64), n, d): h before each chunk
        *("dA", "dB", "dC", "dD", "dbias"),  # (b, d, n), (shares, b, g, n, l) twice, (b, d) twice
        *("delta_softplus", "batch", "channels", "groups", "states_size", "tokens"),
        "shares",  # into how many jobs the channels of a group are divided
    )
    _fields_ = tuple((name, ctypes.c_int64) for name in NAMES)


TASK_NUMBERS = np.dtype([(name, np.int64) for name in ScanTask.NAMES])


class Scan(NamedTuple):
    """The operands of a task; a flag or an address of 0 says that there is none."""

    u: Address
    delta: Address
    z: Address
    A: Address
    B: Address
    C: Address
    D: Address
    delta_bias: Address
    states: Address
    delta_softplus: bool
    channels: int
    groups: int
    n: int
    tokens: int
    shares: int
    chunks: int


class Block(NamedTuple):
    """Up to 16 channels of a group, and where their numbers start."""

    width: int  # channels, 1 to 16
    channel: int  # the first one
    row: int  # the first one, counted over the batch
    matrix: int  # the group's B and C
    states: int  # the saved states of the first chunk


class Chunk(NamedTuple):
    """Buffers of one chunk, one row of 16 channels per token."""

    u: Rows
    step: Rows  # the step size after bias and softplus
    update: Rows  # step * u
    gate: Rows
    y: Rows


class Channels(NamedTuple):
    """What a job keeps of each of its blocks from chunk to chunk."""

    rate: Rows  # (blocks * n, 16): A log2(e), so that decay = 2 ** (step * rate)
    h: Rows  # (blocks * n, 16)
    skip: Rows  # (blocks, 16): D
    bias: Rows  # (blocks, 16)


class Matrices(NamedTuple):
    """One state's B and C, from the first token of a chunk on."""

    B: Address
    C: Address


@intrinsic
def claim_job(typingctx: Any, task: Any) -> Any:
    """Return the number of the next job of a task that no thread has claimed."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        counter = ir.IntType(64)
        address = builder.bitcast(args[0], counter.as_pointer())
        return builder.atomic_rmw("add", address, counter(1), "monotonic")

    return types.int64(task), codegen


@compiled
def scan_of(task: Any) -> Scan:
    """Read the operands of a task."""
    return Scan(
        task.u,
        task.delta,
        task.z,
        task.A,
        task.B,
        task.C,
        task.D,
        task.delta_bias,
        task.states,
        task.delta_softplus != 0,
        task.channels,
        task.groups,
        task.states_size,
        task.tokens,
        task.shares,
        (task.tokens + CHUNK - 1) // CHUNK,
    )


@compiled
def blocks_per_group(x: Scan) -> int:
    """Return how many blocks the channels of a group are divided into."""
    return (x.channels // x.groups + LANES - 1) // LANES


@compiled
def blocks_per_share(x: Scan) -> int:
    """Return how many blocks the largest share has."""
    return (blocks_per_group(x) + x.shares - 1) // x.shares


@compiled
def first_block(x: Scan, share: int) -> int:
    """Return the number of the first block of a share of a group."""
    return share * blocks_per_group(x) // x.shares


@compiled
def block_of(x: Scan, batch: int, group: int, index: int) -> Block:
    """Return block ``index`` of a group of a batch entry."""
    group_size = x.channels // x.groups
    channel = group * group_size + index * LANES
    return Block(
        min(LANES, (group + 1) * group_size - channel),
        channel,
        batch * x.channels + channel,
        (batch * x.groups + group) * x.n * x.tokens,
        batch * x.chunks * x.n * x.channels + channel,
    )


@compiled
def new_chunk() -> Chunk:
    """Return empty buffers."""
    return Chunk(new_rows(CHUNK), new_rows(CHUNK), new_rows(CHUNK), new_rows(CHUNK), new_rows(CHUNK))


@compiled
def new_channels(x: Scan) -> Channels:
    """Return room for the blocks of the largest share."""
    blocks = blocks_per_share(x)
    return Channels(new_rows(blocks * x.n), new_rows(blocks * x.n), new_rows(blocks), new_rows(blocks))


@compiled
def free_all(buffers: Any) -> None:
    """Give back every buffer of a named tuple of them."""
    for rows in buffers:
        free_rows(rows)


@compiled
def gather(flat: Address, offset: int, stride: int, width: int, rows: Rows, count: int) -> None:
    """Read ``count`` tokens of ``width`` channels into rows of lanes; missing channels are zero."""
    whole = count - count % LANES
    for token in range(0, whole, LANES):
        load_transposed(flat, offset + token, stride, width, rows, token)
    for token in range(whole, count):
        for lane in range(LANES):
            value = number(flat, offset + lane * stride + token) if lane < width else _ZERO
            set_number(rows, token * LANES + lane, value)


@compiled
def scatter(rows: Rows, flat: Address, offset: int, stride: int, width: int, count: int) -> None:
    """Write ``count`` rows of lanes as tokens of ``width`` channels."""
    whole = count - count % LANES
    for token in range(0, whole, LANES):
        store_transposed(rows, token, flat, offset + token, stride, width)
    for token in range(whole, count):
        for lane in range(width):
            set_number(flat, offset + lane * stride + token, number(rows, token * LANES + lane))


@compiled
def clear(rows: Rows, n_rows: int) -> None:
    """Set rows of lanes to zero."""
    for row in range(n_rows):
        store_row(rows, row, splat(_ZERO))


@compiled
def gather_vector(flat: Address, block: Block, rows: Rows, row: int) -> None:
    """Read one number per channel of a (d,) operand; zeros if there is none."""
    for lane in range(LANES):
        value = number(flat, block.channel + lane) if flat != 0 and lane < block.width else _ZERO
        set_number(rows, row * LANES + lane, value)


@compiled
def gather_channels(x: Scan, block: Block, index: int, channels: Channels) -> None:
    """Read A, D and the bias of the block that is number ``index`` of its share."""
    gather_vector(x.D, block, channels.skip, index)
    gather_vector(x.delta_bias, block, channels.bias, index)
    for n in range(x.n):
        for lane in range(LANES):
            present = lane < block.width
            rate = number(x.A, (block.channel + lane) * x.n + n) * LOG2E if present else _ZERO
            set_number(channels.rate, (index * x.n + n) * LANES + lane, rate)


@compiled
def read_chunk(x: Scan, block: Block, start: int, count: int, D: Lanes, bias: Lanes, chunk: Chunk) -> Lanes:
    """Read u and delta of one chunk; set step, update and y = D u; return the largest |step| of each channel."""
    offset = block.row * x.tokens + start
    gather(x.u, offset, x.tokens, block.width, chunk.u, count)
    gather(x.delta, offset, x.tokens, block.width, chunk.step, count)
    largest = splat(_ZERO)
    for t in range(count):
        step = load_row(chunk.step, t) + bias
        if x.delta_softplus:
            step = softplus(step)
        u = load_row(chunk.u, t)
        largest = larger_magnitude(step, largest)
        store_row(chunk.step, t, step)
        store_row(chunk.update, t, step * u)
        store_row(chunk.y, t, D * u)
    return largest


@inlined
def prefetch_row(flat: Address, offset: int) -> None:
    """Fetch one chunk of a row in the background: rows as far apart as ours are no stream that the CPU foresees."""
    for t in range(0, CHUNK, LANES):
        prefetch(flat, offset + t)


@compiled
def following_rows(x: Scan, block: Block, index: int, start: int, blocks: int, stride: int) -> int:
    """Return where the rows begin that a job reads after the chunk at ``start`` of its block ``index``.

    After the last of its ``blocks`` a job goes on with the first one, ``stride`` tokens further.
    """
    if index + 1 < blocks:
        return (block.row + LANES) * x.tokens + start
    return (block.row - index * LANES) * x.tokens + start + stride


@inlined
def decay_of(step: Lanes, rate: Lanes, is_bounded: bool) -> Lanes:
    """Return exp(step A) from rate = A log2(e)."""
    return exp2_of_product(step, rate) if is_bounded else exp2(step * rate)


@inlined
def is_exponent_bounded(largest_step: Lanes, rate: Lanes) -> bool:
    """Return whether no |step * rate| of the chunk is too large for ``exp2_of_product``; NaN and infinity are."""
    is_below: bool = all_below(larger_magnitude(largest_step * rate, splat(_ZERO)), EXP2_BOUND)
    return is_below


@inlined
def run_state(step: Rows, update: Rows, B: Address, h: Lanes, rate: Lanes, count: int, is_bounded: bool) -> Lanes:
    """Return h = decay h + update B after ``count`` tokens; ``B`` is the address of the first token's."""
    for t in range(count):
        h = multiply_add(decay_of(load_row(step, t), rate, is_bounded), h, load_row(update, t) * spread(B, t))
    return h


@inlined
def shifted(address: Address, offset: int) -> Address:
    """Return the address of the number that is ``offset`` numbers on."""
    return address + 4 * offset
