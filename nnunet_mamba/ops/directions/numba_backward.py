"""The compiled backward pass of the cross scan; ``numba_layout`` tells how it is laid out.

Chunks come last to first in every direction. Each one computes its step sizes and, from the saved states before it, its
states again.
"""

from typing import Any, NamedTuple

from numba import carray

from nnunet_mamba.ops.cpu_kernels.adjoint import Adjoint, States, new_adjoint, projected_pair, run_adjoint
from nnunet_mamba.ops.cpu_kernels.kernel_task import claim_job
from nnunet_mamba.ops.cpu_kernels.lane_functions import LN2, sigmoid
from nnunet_mamba.ops.cpu_kernels.lanes import compiled, load_row, multiply_add, new_rows, store_row
from nnunet_mamba.ops.cpu_kernels.products import Scalars, add_outer_product
from nnunet_mamba.ops.cpu_kernels.rows import (
    Rows,
    blocks_of,
    clear,
    fill,
    free_all,
    gather,
    read_row,
    shifted,
    sum_over_channels,
    write_row,
    zeros,
)
from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK, LANES
from nnunet_mamba.ops.directions.numba_layout import (
    TASK_NUMBERS,
    Direction,
    Share,
    Sizes,
    Weights,
    chunk_of,
    new_direction,
    new_weights,
    position_of,
    read_block,
    read_projected,
    read_weights,
    share_of,
    sizes_of,
    states_offset,
)


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
def _new_reverse(sizes: Sizes) -> Reverse:
    return Reverse(
        new_rows(sizes.n * sizes.blocks),
        new_rows(sizes.sum_rows * sizes.blocks),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(1),
        new_rows(sizes.n_projected * CHUNK // LANES),
    )


@compiled
def _reverse_scan(share: Share, block: int, count: int, largest_step: Any, sizes: Sizes, buffers: Buffers) -> None:
    """Run the adjoint of one block's states; the sums of dB and dC over the channels go to dmatrices."""
    weights, direction, adjoint, reverse = buffers
    chunk = chunk_of(direction)
    dA = shifted(reverse.sums, (sizes.dt_rank + 1) * share.blocks * LANES)
    clear(adjoint.to_step, CHUNK)
    clear(adjoint.to_update, CHUNK)
    states = States(weights.rate, direction.h, reverse.g, dA)
    for n in range(0, sizes.n, 2):
        pair = projected_pair(direction.matrices, reverse.dmatrices, sizes.dt_rank, sizes.n, n, block, share.blocks)
        run_adjoint(chunk, adjoint, states, pair, count, largest_step, False, block == 0)


@compiled
def _reverse_steps(share: Share, block: int, count: int, sizes: Sizes, buffers: Buffers) -> None:
    """Turn what the states of one block added up into du, in the rows of to_update, and into the weights' gradients."""
    weights, direction, adjoint, reverse = buffers
    D = load_row(weights.D, block)
    bias_row, D_row = sizes.dt_rank * share.blocks + block, (sizes.sum_rows - 1) * share.blocks + block
    dbias, dD = load_row(reverse.sums, bias_row), load_row(reverse.sums, D_row)
    for t in range(count):
        u, dy, to_update = load_row(direction.u, t), load_row(adjoint.dy, t), load_row(adjoint.to_update, t)
        ddelta = (to_update * u + load_row(adjoint.to_step, t) * LN2) * sigmoid(load_row(direction.delta, t))
        store_row(reverse.ddelta, t, ddelta)
        store_row(adjoint.to_update, t, to_update * load_row(direction.step, t) + D * dy)
        dD = multiply_add(dy, u, dD)
        dbias = dbias + ddelta
    store_row(reverse.sums, bias_row, dbias)
    store_row(reverse.sums, D_row, dD)
    dt = Scalars(direction.matrices, 0, 1, CHUNK, sizes.dt_rank)
    add_outer_product(dt, reverse.ddelta, 0, count, reverse.sums, block, share.blocks)
    for rank in range(sizes.dt_rank):
        weight = load_row(weights.dt_proj, rank * share.blocks + block)
        for t in range(count):
            store_row(reverse.terms, t, load_row(reverse.ddelta, t) * weight)
        sum_over_channels(reverse.terms, reverse.scratch, reverse.dmatrices, rank * CHUNK, count, block == 0)


@compiled
def _backward_block(task: Any, share: Share, block: int, k: int, start: int, sizes: Sizes, buffers: Buffers) -> None:
    """Run one chunk of one block in direction k and add its du to the map's."""
    weights, direction, adjoint, _ = buffers
    count = min(CHUNK, sizes.length - start)
    channel = share.first + block * LANES
    largest_step = read_block(task, share, block, k, start, count, sizes, weights, direction)
    for t in range(count):
        position = position_of(task, k, start + t, sizes)
        read_row(task.dy, (share.case * sizes.length + position) * sizes.d + channel, sizes.d - channel, adjoint.dy, t)
    offset = states_offset(sizes, share, k, start, block)
    for n in range(sizes.n):
        read_row(task.states, offset + n * sizes.d, sizes.d - channel, direction.h, n * share.blocks + block)
    _reverse_scan(share, block, count, largest_step, sizes, buffers)
    _reverse_steps(share, block, count, sizes, buffers)
    for t in range(count):
        position = position_of(task, k, start + t, sizes)
        offset = (share.case * sizes.length + position) * sizes.d + channel
        write_row(adjoint.to_update, t, task.du, offset, sizes.d - channel, k == 0)


@compiled
def _write_projected(task: Any, share: Share, k: int, start: int, count: int, sizes: Sizes, buffers: Buffers) -> None:
    """Write the gradients of dt, B and C of one chunk to the share's copy of them."""
    direction, reverse = buffers.direction, buffers.reverse
    copy = (share.number * task.cases + share.case) * sizes.length
    for part in range(blocks_of(sizes.n_projected)):
        width = min(LANES, sizes.n_projected - part * LANES)
        gather(reverse.dmatrices, part * LANES * CHUNK, CHUNK, width, direction.projected, count)
        for t in range(count):
            position = position_of(task, k, start + t, sizes)
            offset = ((copy + position) * sizes.directions + k) * sizes.n_projected + part * LANES
            write_row(direction.projected, t, task.dprojected, offset, width, True)


@compiled
def _backward_direction(task: Any, share: Share, k: int, sizes: Sizes, buffers: Buffers) -> None:
    reverse = buffers.reverse
    read_weights(task, k, share, sizes, buffers.weights)
    clear(reverse.g, sizes.n * share.blocks)
    clear(reverse.sums, sizes.sum_rows * share.blocks)
    fill(reverse.terms, 0, CHUNK, zeros())
    for back in range(sizes.chunks):
        start = (sizes.chunks - 1 - back) * CHUNK
        count = min(CHUNK, sizes.length - start)
        read_projected(task, share.case, k, start, count, sizes, buffers.direction)
        for block in range(share.blocks):
            _backward_block(task, share, block, k, start, sizes, buffers)
        _write_projected(task, share, k, start, count, sizes, buffers)
    for row in range(sizes.sum_rows):
        offset = ((share.case * sizes.directions + k) * sizes.sum_rows + row) * sizes.d + share.first
        for block in range(share.blocks):
            width = sizes.d - share.first - block * LANES
            write_row(reverse.sums, row * share.blocks + block, task.sums, offset + block * LANES, width, True)


def backward_jobs(address: Any) -> None:
    """Run backward jobs of a ``CrossScanTask``, numbered like the forward ones, until none is left.

    The task must have the saved states. Each share of the channels has its own copy of dprojected.
    """
    task = carray(address, 1, TASK_NUMBERS)[0]
    sizes = sizes_of(task)
    buffers = Buffers(new_weights(sizes), new_direction(sizes), new_adjoint(), _new_reverse(sizes))
    job = claim_job(address)
    while job < task.cases * sizes.shares:
        share = share_of(sizes, job)
        for k in range(sizes.directions):
            _backward_direction(task, share, k, sizes, buffers)
        job = claim_job(address)
    free_all(buffers.weights)
    free_all(buffers.direction)
    free_all(buffers.adjoint)
    free_all(buffers.reverse)
