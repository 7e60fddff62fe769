"""The compiled loops of the backward CPU scan; ``numba_blocks`` tells how jobs, blocks and chunks are laid out.

Chunks come last to first. From the saved states before it, each chunk retraces its own, keeping decay_t and
decay_t h_{t-1}, and then runs the adjoint g_t = C_t dy_t + decay_{t+1} g_{t+1} back through it.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import carray

from nnunet_mamba.ops.scan.lane_functions import sigmoid
from nnunet_mamba.ops.scan.lane_transposes import sum_lanes
from nnunet_mamba.ops.scan.lanes import (
    LANES,
    Lanes,
    compiled,
    inlined,
    load,
    load_row,
    multiply_add,
    new_rows,
    number,
    set_number,
    spread,
    store,
    store_row,
)
from nnunet_mamba.ops.scan.numba_blocks import (
    CHUNK,
    TASK_NUMBERS,
    Address,
    Block,
    Channels,
    Chunk,
    Matrices,
    Rows,
    Scan,
    block_of,
    blocks_per_share,
    claim_job,
    clear,
    decay_of,
    first_block,
    following_rows,
    free_all,
    gather,
    gather_channels,
    is_exponent_bounded,
    new_channels,
    new_chunk,
    prefetch_row,
    read_chunk,
    scan_of,
    scatter,
    shifted,
)

_ZERO, _ONE, _LN2 = np.float32(0), np.float32(1), np.float32(np.log(2))


class Gradients(NamedTuple):
    """Where the results of a task go, and where its dy is; those summed over the batch have one copy per entry."""

    dy: Address  # (b, d, l)
    du: Address  # (b, d, l)
    ddelta: Address  # (b, d, l)
    dz: Address  # (b, d, l)
    dA: Address  # (b, d, n)
    dB: Address  # (shares, b, g, n, l)
    dC: Address  # (shares, b, g, n, l)
    dD: Address  # (b, d)
    dbias: Address  # (b, d)
    copy: int  # numbers of one share's dB


class Adjoint(NamedTuple):
    """Buffers of the backward pass of one chunk, one row of 16 channels per token."""

    dy: Rows  # after the gate's backward
    decay: Rows
    decayed: Rows  # decay * h of the token before
    to_step: Rows  # the gradient of the step size by way of the decay, over ln 2
    to_update: Rows
    input_terms: Rows  # what dB sums over the channels
    output_terms: Rows  # what dC sums over the channels
    sums: Rows  # (1, 16)


class Carried(NamedTuple):
    """What a job keeps of each of its blocks from chunk to chunk, beside ``Channels``."""

    g: Rows  # (blocks * n, 16): the adjoint state that reaches the chunk from its right, already decayed
    dA: Rows  # (blocks * n, 16)
    dD: Rows  # (blocks, 16)
    dbias: Rows  # (blocks, 16)


class Workspace(NamedTuple):
    """All buffers of a thread."""

    chunk: Chunk
    adjoint: Adjoint
    channels: Channels
    carried: Carried


@compiled
def _gradients_of(task: Any) -> Gradients:
    copy = task.batch * task.groups * task.states_size * task.tokens
    return Gradients(task.dy, task.du, task.ddelta, task.dz, task.dA, task.dB, task.dC, task.dD, task.dbias, copy)


@compiled
def new_adjoint() -> Adjoint:
    """Return empty buffers."""
    return Adjoint(
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(1),
    )


@compiled
def _new_carried(x: Scan) -> Carried:
    blocks = blocks_per_share(x)
    return Carried(new_rows(blocks * x.n), new_rows(blocks * x.n), new_rows(blocks), new_rows(blocks))


@compiled
def _gather_states(x: Scan, block: Block, number_of_chunk: int, h: Rows, row: int) -> None:
    """Read the saved states before a chunk into the rows of ``h`` from ``row`` on."""
    for n in range(x.n):
        offset = block.states + (number_of_chunk * x.n + n) * x.channels
        for lane in range(LANES):
            value = number(x.states, offset + lane) if lane < block.width else _ZERO
            set_number(h, (row + n) * LANES + lane, value)


@compiled
def _read_adjoint(x: Scan, dy: Address, block: Block, start: int, count: int, chunk: Chunk, adjoint: Adjoint) -> None:
    """Read dy and z of one chunk, pass dy through the gate, and clear what the states add to."""
    offset = block.row * x.tokens + start
    gather(dy, offset, x.tokens, block.width, adjoint.dy, count)
    clear(adjoint.to_step, CHUNK)
    clear(adjoint.to_update, CHUNK)
    if x.z != 0:
        gather(x.z, offset, x.tokens, block.width, chunk.gate, count)
        for t in range(count):
            z, to_y = load_row(chunk.gate, t), load_row(adjoint.dy, t)
            gate = sigmoid(z)
            # y is still to come: its gradient's other factor waits in the gate's place.
            store_row(chunk.gate, t, to_y * (gate * (z * (_ONE - gate) + _ONE)))
            store_row(adjoint.dy, t, to_y * (z * gate))


@inlined
def _retrace_bounded_state(
    chunk: Chunk,
    adjoint: Adjoint,
    of: Matrices,
    h: Lanes,
    rate: Lanes,
    count: int,
    needs_y: bool,
    is_bounded: bool,
) -> None:
    for t in range(count):
        decay = decay_of(load_row(chunk.step, t), rate, is_bounded)
        decayed = decay * h
        h = multiply_add(load_row(chunk.update, t), spread(of.B, t), decayed)
        store_row(adjoint.decay, t, decay)
        store_row(adjoint.decayed, t, decayed)
        store_row(adjoint.output_terms, t, load_row(adjoint.dy, t) * h)
        if needs_y:
            store_row(chunk.y, t, multiply_add(h, spread(of.C, t), load_row(chunk.y, t)))


@inlined
def retrace_state(
    chunk: Chunk,
    adjoint: Adjoint,
    of: Matrices,
    h: Lanes,
    rate: Lanes,
    count: int,
    largest_step: Lanes,
    needs_y: bool,
) -> None:
    """Run one state forward through a chunk: keep what its adjoint needs, write the terms of dC, add C h to y."""
    if not is_exponent_bounded(largest_step, rate):
        _retrace_bounded_state(chunk, adjoint, of, h, rate, count, True, False)
    elif needs_y:
        _retrace_bounded_state(chunk, adjoint, of, h, rate, count, True, True)
    else:
        _retrace_bounded_state(chunk, adjoint, of, h, rate, count, False, True)


@inlined
def reverse_state(
    chunk: Chunk,
    adjoint: Adjoint,
    of: Matrices,
    g_rows: Rows,
    dA_rows: Rows,
    row: int,
    rate: Lanes,
    count: int,
) -> None:
    """Run g_t = C_t dy_t + decay_{t+1} g_{t+1} back through a chunk and add to what depends on it."""
    dA, from_right = load_row(dA_rows, row), load_row(g_rows, row)
    for back in range(count):
        t = count - 1 - back
        g = multiply_add(load_row(adjoint.dy, t), spread(of.C, t), from_right)
        to_exponent = g * load_row(adjoint.decayed, t)
        store_row(adjoint.to_step, t, multiply_add(to_exponent, rate, load_row(adjoint.to_step, t)))
        store_row(adjoint.to_update, t, multiply_add(g, spread(of.B, t), load_row(adjoint.to_update, t)))
        store_row(adjoint.input_terms, t, g * load_row(chunk.update, t))
        dA = multiply_add(to_exponent, load_row(chunk.step, t), dA)
        from_right = g * load_row(adjoint.decay, t)
    store_row(dA_rows, row, dA)
    store_row(g_rows, row, from_right)


@compiled
def sum_over_channels(rows: Rows, sums: Rows, flat: Address, offset: int, count: int, is_first: bool) -> None:
    """Write the sum over the lanes of each of ``count`` rows to ``flat``, or add it if not ``is_first``."""
    whole = count - count % LANES
    for t in range(0, whole, LANES):
        total = sum_lanes(rows, t)
        store(flat, offset + t, total if is_first else total + load(flat, offset + t))
    if whole < count:
        store_row(sums, 0, sum_lanes(rows, whole))
        for t in range(whole, count):
            before = _ZERO if is_first else number(flat, offset + t)
            set_number(flat, offset + t, before + number(sums, t - whole))


@compiled
def _write_chunk(
    x: Scan,
    gradients: Gradients,
    block: Block,
    index: int,
    start: int,
    count: int,
    work: Workspace,
) -> None:
    """Turn what the states added up into du, ddelta and dz of one chunk; add to dD and the gradient of the bias."""
    chunk, adjoint, channels, carried = work
    offset = block.row * x.tokens + start
    D, bias = load_row(channels.skip, index), load_row(channels.bias, index)
    dD, dbias = load_row(carried.dD, index), load_row(carried.dbias, index)
    if x.delta_softplus:
        # The slope comes from delta itself: 1 - exp(-step) would cancel for small steps.
        gather(x.delta, offset, x.tokens, block.width, adjoint.decay, count)
    for t in range(count):
        u, dy, to_update = load_row(chunk.u, t), load_row(adjoint.dy, t), load_row(adjoint.to_update, t)
        ddelta = to_update * u + load_row(adjoint.to_step, t) * _LN2
        if x.delta_softplus:
            ddelta = ddelta * sigmoid(load_row(adjoint.decay, t) + bias)
        store_row(adjoint.to_step, t, ddelta)
        store_row(adjoint.to_update, t, to_update * load_row(chunk.step, t) + D * dy)
        dD = multiply_add(dy, u, dD)
        dbias = dbias + ddelta
    store_row(carried.dD, index, dD)
    store_row(carried.dbias, index, dbias)
    scatter(adjoint.to_update, gradients.du, offset, x.tokens, block.width, count)
    scatter(adjoint.to_step, gradients.ddelta, offset, x.tokens, block.width, count)
    if x.z != 0:
        for t in range(count):
            store_row(chunk.gate, t, load_row(chunk.gate, t) * load_row(chunk.y, t))
        scatter(chunk.gate, gradients.dz, offset, x.tokens, block.width, count)


@compiled
def _backward_block(
    x: Scan,
    gradients: Gradients,
    block: Block,
    index: int,
    start: int,
    following: int,
    copy: int,
    work: Workspace,
) -> None:
    """Run the chunk from token ``start`` on of a job's block ``index``; the job's dB and dC begin at ``copy``."""
    chunk, adjoint, channels, carried = work
    count = min(CHUNK, x.tokens - start)
    D, bias = load_row(channels.skip, index), load_row(channels.bias, index)
    largest_step = read_chunk(x, block, start, count, D, bias, chunk)
    _read_adjoint(x, gradients.dy, block, start, count, chunk, adjoint)
    _gather_states(x, block, start // CHUNK, channels.h, index * x.n)
    for n in range(x.n):
        row = index * x.n + n
        rate, h = load_row(channels.rate, row), load_row(channels.h, row)
        matrix = block.matrix + n * x.tokens + start
        for flat in (x.B, x.C):
            prefetch_row(flat, matrix + x.tokens)
        for flat in (gradients.dB, gradients.dC):
            prefetch_row(flat, copy + matrix + x.tokens)
        if n < LANES:
            for flat in (x.u, x.delta, gradients.dy):
                prefetch_row(flat, following + n * x.tokens)
        matrices = Matrices(shifted(x.B, matrix), shifted(x.C, matrix))
        retrace_state(chunk, adjoint, matrices, h, rate, count, largest_step, x.z != 0)
        reverse_state(chunk, adjoint, matrices, carried.g, carried.dA, row, rate, count)
        sum_over_channels(adjoint.input_terms, adjoint.sums, gradients.dB, copy + matrix, count, index == 0)
        sum_over_channels(adjoint.output_terms, adjoint.sums, gradients.dC, copy + matrix, count, index == 0)
    _write_chunk(x, gradients, block, index, start, count, work)


@compiled
def _write_channels(x: Scan, gradients: Gradients, block: Block, index: int, carried: Carried) -> None:
    """Write the gradients of one block that are sums over the tokens."""
    for lane in range(block.width):
        set_number(gradients.dD, block.row + lane, number(carried.dD, index * LANES + lane))
        set_number(gradients.dbias, block.row + lane, number(carried.dbias, index * LANES + lane))
        for n in range(x.n):
            dA = number(carried.dA, (index * x.n + n) * LANES + lane)
            set_number(gradients.dA, (block.row + lane) * x.n + n, dA)


@compiled
def _backward_job(x: Scan, gradients: Gradients, job: int, work: Workspace) -> None:
    share, group, batch = job % x.shares, job // x.shares % x.groups, job // x.shares // x.groups
    first = first_block(x, share)
    blocks = first_block(x, share + 1) - first
    for per_state in (work.carried.g, work.carried.dA):
        clear(per_state, blocks * x.n)
    for per_block in (work.carried.dD, work.carried.dbias):
        clear(per_block, blocks)
    for index in range(blocks):
        gather_channels(x, block_of(x, batch, group, first + index), index, work.channels)
    for back in range(x.chunks):
        start = (x.chunks - 1 - back) * CHUNK
        for index in range(blocks):
            block = block_of(x, batch, group, first + index)
            following = following_rows(x, block, index, start, blocks, -CHUNK)
            copy = share * gradients.copy
            _backward_block(x, gradients, block, index, start, following, copy, work)
    for index in range(blocks):
        _write_channels(x, gradients, block_of(x, batch, group, first + index), index, work.carried)


def backward_jobs(address: Any) -> None:
    """Run backward jobs of a ``ScanTask``, numbered like the forward ones, until none is left.

    The task must have the saved states. The blocks of a job add to the same dB and dC, so each share has its own copy.
    """
    task = carray(address, 1, TASK_NUMBERS)[0]
    x, gradients = scan_of(task), _gradients_of(task)
    work = Workspace(new_chunk(), new_adjoint(), new_channels(x), _new_carried(x))
    job = claim_job(address)
    while job < task.batch * x.groups * x.shares:
        _backward_job(x, gradients, job, work)
        job = claim_job(address)
    free_all(work.chunk)
    free_all(work.adjoint)
    free_all(work.channels)
    free_all(work.carried)
