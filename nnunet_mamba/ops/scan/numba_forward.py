"""The compiled loops of the forward CPU scan, and what they share with the backward ones.

One job is one batch entry times one block of up to 16 consecutive channels of a group, and the 16 lanes of every value
are those channels. A job walks over its tokens in chunks whose buffers stay in the first-level cache; inside a chunk it
takes one state after the other, so that h and the decay rate live in registers. No array here has tokens times states
entries but those of one chunk, and every sum runs in a fixed order, so that results repeat bit by bit.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnunet_mamba.ops.scan.lanes import (
    LANES,
    LOG2E,
    compiled,
    exp2,
    kernel,
    load,
    load_transposed,
    multiply_add,
    new_rows,
    prefetch,
    sigmoid,
    softplus,
    splat,
    spread,
    store,
    store_transposed,
)

CHUNK = 64

Floats = NDArray[np.float32]
_ZERO = np.float32(0)


class KernelOperands(NamedTuple):
    """Flat, contiguous operands; an absent D or delta_bias is zeros, an absent z is not read."""

    u: Floats  # (b d l)
    delta: Floats  # (b d l)
    A: Floats  # (d n)
    B: Floats  # (b g n l)
    C: Floats  # (b g n l)
    D: Floats  # (d)
    z: Floats  # (b d l)
    delta_bias: Floats  # (d)
    delta_softplus: bool
    has_gate: bool
    channels: int
    groups: int
    states: int
    tokens: int


class Block(NamedTuple):
    """The channels of one job and where its operands start."""

    width: int  # channels, 1 to 16
    channel: int  # the first one
    row: int  # the first one, counted over the batch
    matrix: int  # where the group's B and C start


class Chunk(NamedTuple):
    """Buffers of one chunk, one row of 16 channels per token."""

    u: Floats
    step: Floats  # the step size after bias and softplus
    update: Floats  # step * u
    gate: Floats
    y: Floats


@compiled
def block_of(x: KernelOperands, batch: int, group: int, number: int) -> Block:
    """Return block ``number`` of a group of a batch entry."""
    group_size = x.channels // x.groups
    channel = group * group_size + number * LANES
    return Block(
        min(LANES, (group + 1) * group_size - channel),
        channel,
        batch * x.channels + channel,
        (batch * x.groups + group) * x.states * x.tokens,
    )


@compiled
def new_chunk() -> Chunk:
    """Return empty buffers."""
    return Chunk(
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
    )


@compiled
def gather(flat: Floats, offset: int, stride: int, width: int, rows: Floats, count: int) -> None:
    """Read ``count`` tokens of ``width`` channels into rows of lanes; missing channels are zero."""
    whole = count - count % LANES
    for token in range(0, whole, LANES):
        load_transposed(flat, offset + token, stride, width, rows, token)
    for token in range(whole, count):
        for lane in range(LANES):
            rows[token, lane] = flat[offset + lane * stride + token] if lane < width else _ZERO


@compiled
def scatter(rows: Floats, flat: Floats, offset: int, stride: int, width: int, count: int) -> None:
    """Write ``count`` rows of lanes as tokens of ``width`` channels."""
    whole = count - count % LANES
    for token in range(0, whole, LANES):
        store_transposed(rows, token, flat, offset + token, stride, width)
    for token in range(whole, count):
        for lane in range(width):
            flat[offset + lane * stride + token] = rows[token, lane]


@compiled
def clear(rows: Floats) -> None:
    """Set rows of lanes to zero."""
    for row in range(rows.shape[0]):
        store(rows, row, splat(_ZERO))


@compiled
def gather_vector(flat: Floats, block: Block, lanes: Floats) -> None:
    """Read one number per channel of a (d,) operand."""
    for lane in range(LANES):
        lanes[lane] = flat[block.channel + lane] if lane < block.width else _ZERO


@compiled
def gather_rates(x: KernelOperands, block: Block, A: Floats) -> None:
    """Read A of the block's channels into one row of lanes per state."""
    for state in range(x.states):
        for lane in range(LANES):
            present = lane < block.width
            A[state, lane] = x.A[(block.channel + lane) * x.states + state] if present else _ZERO


@compiled
def read_chunk(x: KernelOperands, block: Block, start: int, count: int, bias: Floats, chunk: Chunk) -> None:
    """Read u and delta of one chunk; compute the step size and the update."""
    offset = block.row * x.tokens + start
    gather(x.u, offset, x.tokens, block.width, chunk.u, count)
    gather(x.delta, offset, x.tokens, block.width, chunk.step, count)
    bias_lanes = load(bias, 0)
    for t in range(count):
        step = load(chunk.step, t) + bias_lanes
        if x.delta_softplus:
            step = softplus(step)
        store(chunk.step, t, step)
        store(chunk.update, t, step * load(chunk.u, t))


@compiled
def prefetch_state(x: KernelOperands, matrix: int, count: int) -> None:
    """Fetch a state's B and C of one chunk, which start at ``matrix``: rows so far apart are no stream to the CPU."""
    for t in range(0, count, LANES):
        prefetch(x.B, matrix + t)
        prefetch(x.C, matrix + t)


@compiled
def _forward_block(x: KernelOperands, y: Floats, block: Block, chunk: Chunk, A: Floats, h: Floats) -> None:
    skip, bias = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    gather_rates(x, block, A)
    gather_vector(x.D, block, skip)
    gather_vector(x.delta_bias, block, bias)
    D = load(skip, 0)
    clear(h)
    for start in range(0, x.tokens, CHUNK):
        count = min(CHUNK, x.tokens - start)
        offset = block.row * x.tokens + start
        read_chunk(x, block, start, count, bias, chunk)
        for t in range(count):
            store(chunk.y, t, D * load(chunk.u, t))
        for n in range(x.states):
            rate = load(A, n) * LOG2E
            state = load(h, n)
            matrix = block.matrix + n * x.tokens + start
            prefetch_state(x, matrix + x.tokens, count)
            for t in range(count):
                decay = exp2(load(chunk.step, t) * rate)
                state = multiply_add(decay, state, load(chunk.update, t) * spread(x.B, matrix + t))
                store(chunk.y, t, state * spread(x.C, matrix + t) + load(chunk.y, t))
            store(h, n, state)
        if x.has_gate:
            gather(x.z, offset, x.tokens, block.width, chunk.gate, count)
            for t in range(count):
                z = load(chunk.gate, t)
                store(chunk.y, t, load(chunk.y, t) * (z * sigmoid(z)))
        scatter(chunk.y, y, offset, x.tokens, block.width, count)


@kernel
def forward_jobs(x: KernelOperands, y: Floats, first: int, last: int) -> None:
    """Run the forward jobs ``first`` to ``last - 1``.

    Args:
        x: operands; job i is block i % blocks of group i // blocks % g of batch entry i // blocks // g.
        y: result, (b d l), flat.
        first: number of the first job.
        last: number after that of the last job.
    """
    blocks = (x.channels // x.groups + LANES - 1) // LANES
    chunk = new_chunk()
    A = new_rows(x.states)
    h = new_rows(x.states)
    for job in range(first, last):
        block = block_of(x, job // blocks // x.groups, job // blocks % x.groups, job % blocks)
        _forward_block(x, y, block, chunk, A, h)
