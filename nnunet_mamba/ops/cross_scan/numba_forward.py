"""The compiled forward pass of the cross scan; ``numba_layout`` tells how it is laid out."""

from typing import Any

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
    read_weights,
    share_of,
    sizes_of,
    states_offset,
    write_row,
)
from nnunet_mamba.ops.scan.lanes import LANES, compiled, load_row, store_row
from nnunet_mamba.ops.scan.numba_blocks import CHUNK, claim_job, clear, free_all
from nnunet_mamba.ops.scan.numba_forward import add_state


@compiled
def _forward_block(task: Any, share: Share, block: int, k: int, start: int, s: Sizes, w: Weights, m: Direction) -> None:
    """Run one chunk of one block in direction k and add its y to the map's."""
    count = min(CHUNK, s.length - start)
    channel = share.first + block * LANES
    if task.states != 0:
        offset = states_offset(s, share, k, start, block)
        for n in range(s.n):
            write_row(m.h, n * share.blocks + block, task.states, offset + n * s.d, s.d - channel, True)
    largest_step = read_block(task, share, block, k, start, count, s, w, m)
    chunk = chunk_of(m)
    for n in range(s.n):
        row = n * share.blocks + block
        h, rate = load_row(m.h, row), load_row(w.rate, row)
        store_row(m.h, row, add_state(chunk, matrices_of(m, s, n), h, rate, count, largest_step))
    for t in range(count):
        position = position_of(task.order, k * s.length + start + t)
        write_row(m.y, t, task.y, (share.case * s.length + position) * s.d + channel, s.d - channel, k == 0)


def forward_jobs(address: Any) -> None:
    """Run jobs of a ``CrossScanTask`` until none is left; fills y, and the states where the task has an address."""
    task = carray(address, 1, TASK_NUMBERS)[0]
    s = sizes_of(task)
    w, m = new_weights(s), new_direction(s)
    job = claim_job(address)
    while job < task.cases * s.shares:
        share = share_of(s, job)
        for k in range(s.directions):
            read_weights(task, k, share, s, w)
            clear(m.h, s.n * share.blocks)
            for start in range(0, s.length, CHUNK):
                read_projected(task, share.case, k, start, min(CHUNK, s.length - start), s, m)
                for block in range(share.blocks):
                    _forward_block(task, share, block, k, start, s, w, m)
        job = claim_job(address)
    free_all(w)
    free_all(m)
