"""The compiled forward pass of the cross scan; ``numba_layout`` tells how it is laid out."""

from typing import Any

from numba import carray

from nnunet_mamba.ops.cpu_kernels.kernel_task import claim_job
from nnunet_mamba.ops.cpu_kernels.lanes import compiled, load_row, store_row
from nnunet_mamba.ops.cpu_kernels.recurrence import add_state, matrices_of
from nnunet_mamba.ops.cpu_kernels.rows import clear, free_all, write_row
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


@compiled
def _forward_block(
    task: Any, share: Share, block: int, k: int, start: int, sizes: Sizes, weights: Weights, direction: Direction
) -> None:
    """Run one chunk of one block in direction k and add its y to the map's."""
    count = min(CHUNK, sizes.length - start)
    channel = share.first + block * LANES
    if task.states != 0:
        offset = states_offset(sizes, share, k, start, block)
        for n in range(sizes.n):
            write_row(direction.h, n * share.blocks + block, task.states, offset + n * sizes.d, sizes.d - channel, True)
    largest_step = read_block(task, share, block, k, start, count, sizes, weights, direction)
    chunk = chunk_of(direction)
    for n in range(sizes.n):
        row = n * share.blocks + block
        h, rate = load_row(direction.h, row), load_row(weights.rate, row)
        matrices = matrices_of(direction.matrices, sizes.dt_rank, sizes.n, n)
        store_row(direction.h, row, add_state(chunk, matrices, h, rate, count, largest_step))
    for t in range(count):
        position = position_of(task, k, start + t, sizes)
        write_row(
            direction.y,
            t,
            task.y,
            (share.case * sizes.length + position) * sizes.d + channel,
            sizes.d - channel,
            k == 0,
        )


def forward_jobs(address: Any) -> None:
    """Run jobs of a ``CrossScanTask`` until none is left; fills y, and the states where the task has an address."""
    task = carray(address, 1, TASK_NUMBERS)[0]
    sizes = sizes_of(task)
    weights, direction = new_weights(sizes), new_direction(sizes)
    job = claim_job(address)
    while job < task.cases * sizes.shares:
        share = share_of(sizes, job)
        for k in range(sizes.directions):
            read_weights(task, k, share, sizes, weights)
            clear(direction.h, sizes.n * share.blocks)
            for start in range(0, sizes.length, CHUNK):
                read_projected(task, share.case, k, start, min(CHUNK, sizes.length - start), sizes, direction)
                for block in range(share.blocks):
                    _forward_block(task, share, block, k, start, sizes, weights, direction)
        job = claim_job(address)
    free_all(weights)
    free_all(direction)
