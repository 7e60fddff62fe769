"""The compiled backward pass of the cross scan; ``numba_layout`` tells how it is laid out.

Chunks come last to first in every direction. Each one computes its step sizes and, from the saved states before it, its
states again.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import carray

from nnunet_mamba.ops.cross_scan.numba_layout import (
    TASK_NUMBERS,
    Direction,
    Share,
    Sizes,
    Weights,
    chunk_of,
    matrices_of,
    new_direction,
    new_weights,
    position_of,
    read_block,
    read_projected,
    read_row,
    read_weights,
    share_of,
    sizes_of,
    states_offset,
    write_row,
)
from nnunet_mamba.ops.mamba_mixer.numba_layout import Scalars, add_outer_product, blocks_of, fill, zeros
from nnunet_mamba.ops.scan.lane_functions import sigmoid
from nnunet_mamba.ops.scan.lanes import LANES, compiled, load_row, multiply_add, new_rows, store_row
from nnunet_mamba.ops.scan.numba_backward import (
    Adjoint,
    new_adjoint,
    retrace_state,
    reverse_state,
    sum_over_channels,
)
from nnunet_mamba.ops.scan.numba_blocks import CHUNK, Rows, claim_job, clear, free_all, gather, shifted

_LN2 = np.float32(np.log(2))


class Reverse(NamedTuple):
    """Buffers of the backward pass, beside those of the scan's own."""

    g: Rows  # (n, blocks, 16): the adjoint state that reaches the chunk from its right
    sums: Rows  # (sum_rows, blocks, 16): the gradients of dt_proj, dt_bias, A and D
    ddelta: Rows  # (CHUNK, 16); so is the next one
    terms: Rows
    scratch: Rows  # (1, 16)
    dmatrices: Rows  # (n_projected, CHUNK): gradients of dt, B and C


class Buffers(NamedTuple):
    """All buffers of a thread."""

    weights: Weights
    direction: Direction
    adjoint: Adjoint
    reverse: Reverse


@compiled
def _new_reverse(s: Sizes) -> Reverse:
    return Reverse(
        new_rows(s.n * s.blocks),
        new_rows(s.sum_rows * s.blocks),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(1),
        new_rows(s.n_projected * CHUNK // LANES),
    )


@compiled
def _reverse_scan(share: Share, block: int, count: int, largest_step: Any, s: Sizes, b: Buffers) -> None:
    """Run the adjoint of one block's states; the sums of dB and dC over the channels go to dmatrices."""
    w, m, a, r = b
    chunk = chunk_of(m)
    dA = shifted(r.sums, (s.dt_rank + 1) * share.blocks * LANES)
    clear(a.to_step, CHUNK)
    clear(a.to_update, CHUNK)
    for n in range(s.n):
        row = n * share.blocks + block
        matrices, rate = matrices_of(m, s, n), load_row(w.rate, row)
        retrace_state(chunk, a, matrices, load_row(m.h, row), rate, count, largest_step, False)
        reverse_state(chunk, a, matrices, r.g, dA, row, rate, count)
        dB = (s.dt_rank + n) * CHUNK
        sum_over_channels(a.input_terms, r.scratch, r.dmatrices, dB, count, block == 0)
        sum_over_channels(a.output_terms, r.scratch, r.dmatrices, dB + s.n * CHUNK, count, block == 0)


@compiled
def _reverse_steps(share: Share, block: int, count: int, s: Sizes, b: Buffers) -> None:
    """Turn what the states of one block added up into du, in the rows of to_update, and into the weights' gradients."""
    w, m, a, r = b
    D = load_row(w.D, block)
    bias_row, D_row = s.dt_rank * share.blocks + block, (s.sum_rows - 1) * share.blocks + block
    dbias, dD = load_row(r.sums, bias_row), load_row(r.sums, D_row)
    for t in range(count):
        u, dy, to_update = load_row(m.u, t), load_row(a.dy, t), load_row(a.to_update, t)
        ddelta = (to_update * u + load_row(a.to_step, t) * _LN2) * sigmoid(load_row(m.delta, t))
        store_row(r.ddelta, t, ddelta)
        store_row(a.to_update, t, to_update * load_row(m.step, t) + D * dy)
        dD = multiply_add(dy, u, dD)
        dbias = dbias + ddelta
    store_row(r.sums, bias_row, dbias)
    store_row(r.sums, D_row, dD)
    dt = Scalars(m.matrices, 0, 1, CHUNK, s.dt_rank)
    add_outer_product(dt, r.ddelta, 0, count, r.sums, block, share.blocks)
    for rank in range(s.dt_rank):
        weight = load_row(w.dt_proj, rank * share.blocks + block)
        for t in range(count):
            store_row(r.terms, t, load_row(r.ddelta, t) * weight)
        sum_over_channels(r.terms, r.scratch, r.dmatrices, rank * CHUNK, count, block == 0)


@compiled
def _backward_block(task: Any, share: Share, block: int, k: int, start: int, s: Sizes, b: Buffers) -> None:
    """Run one chunk of one block in direction k and add its du to the map's."""
    w, m, a, _ = b
    count = min(CHUNK, s.length - start)
    channel = share.first + block * LANES
    largest_step = read_block(task, share, block, k, start, count, s, w, m)
    for t in range(count):
        position = position_of(task.order, k * s.length + start + t)
        read_row(task.dy, (share.case * s.length + position) * s.d + channel, s.d - channel, a.dy, t)
    offset = states_offset(s, share, k, start, block)
    for n in range(s.n):
        read_row(task.states, offset + n * s.d, s.d - channel, m.h, n * share.blocks + block)
    _reverse_scan(share, block, count, largest_step, s, b)
    _reverse_steps(share, block, count, s, b)
    for t in range(count):
        position = position_of(task.order, k * s.length + start + t)
        offset = (share.case * s.length + position) * s.d + channel
        write_row(a.to_update, t, task.du, offset, s.d - channel, k == 0)


@compiled
def _write_projected(task: Any, share: Share, k: int, start: int, count: int, s: Sizes, b: Buffers) -> None:
    """Write the gradients of dt, B and C of one chunk to the share's copy of them."""
    m, r = b.direction, b.reverse
    copy = (share.number * task.cases + share.case) * s.length
    for part in range(blocks_of(s.n_projected)):
        width = min(LANES, s.n_projected - part * LANES)
        gather(r.dmatrices, part * LANES * CHUNK, CHUNK, width, m.projected, count)
        for t in range(count):
            position = position_of(task.order, k * s.length + start + t)
            offset = ((copy + position) * s.directions + k) * s.n_projected + part * LANES
            write_row(m.projected, t, task.dprojected, offset, width, True)


@compiled
def _backward_direction(task: Any, share: Share, k: int, s: Sizes, b: Buffers) -> None:
    r = b.reverse
    read_weights(task, k, share, s, b.weights)
    clear(r.g, s.n * share.blocks)
    clear(r.sums, s.sum_rows * share.blocks)
    fill(r.terms, 0, CHUNK, zeros())
    for back in range(s.chunks):
        start = (s.chunks - 1 - back) * CHUNK
        count = min(CHUNK, s.length - start)
        read_projected(task, share.case, k, start, count, s, b.direction)
        for block in range(share.blocks):
            _backward_block(task, share, block, k, start, s, b)
        _write_projected(task, share, k, start, count, s, b)
    for row in range(s.sum_rows):
        offset = ((share.case * s.directions + k) * s.sum_rows + row) * s.d + share.first
        for block in range(share.blocks):
            width = s.d - share.first - block * LANES
            write_row(r.sums, row * share.blocks + block, task.sums, offset + block * LANES, width, True)


def backward_jobs(address: Any) -> None:
    """Run backward jobs of a ``CrossScanTask``, numbered like the forward ones, until none is left.

    The task must have the saved states. Each share of the channels has its own copy of dprojected.
    """
    task = carray(address, 1, TASK_NUMBERS)[0]
    s = sizes_of(task)
    b = Buffers(new_weights(s), new_direction(s), new_adjoint(), _new_reverse(s))
    job = claim_job(address)
    while job < task.cases * s.shares:
        share = share_of(s, job)
        for k in range(s.directions):
            _backward_direction(task, share, k, s, b)
        job = claim_job(address)
    free_all(b.weights)
    free_all(b.direction)
    free_all(b.adjoint)
    free_all(b.reverse)
