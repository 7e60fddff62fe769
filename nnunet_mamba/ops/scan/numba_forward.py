"""The compiled loops of the forward CPU scan; ``numba_layout`` tells how jobs, blocks and chunks are laid out."""

from typing import Any

from numba import carray

from nnunet_mamba.ops.cpu_kernels.kernel_task import claim_job
from nnunet_mamba.ops.cpu_kernels.lane_functions import sigmoid
from nnunet_mamba.ops.cpu_kernels.lanes import compiled, load_row, number, set_number, store, store_row
from nnunet_mamba.ops.cpu_kernels.recurrence import Chunk, Matrices, add_state
from nnunet_mamba.ops.cpu_kernels.rows import Address, Rows, clear, free_all, gather, scatter, shifted
from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK, LANES
from nnunet_mamba.ops.scan.numba_layout import (
    TASK_NUMBERS,
    Block,
    Channels,
    Scan,
    block_of,
    first_block,
    following_rows,
    gather_channels,
    new_channels,
    new_chunk,
    prefetch_row,
    read_chunk,
    scan_of,
)


@compiled
def _save_states(x: Scan, block: Block, number_of_chunk: int, h: Rows, row: int) -> None:
    """Save the states of a block, which are in the rows of ``h`` from ``row`` on."""
    for n in range(x.n):
        offset = block.states + (number_of_chunk * x.n + n) * x.channels
        if block.width == LANES:
            store(x.states, offset, load_row(h, row + n))
        else:
            for lane in range(block.width):
                set_number(x.states, offset + lane, number(h, (row + n) * LANES + lane))


@compiled
def _forward_block(
    x: Scan, y: Address, block: Block, index: int, start: int, following: int, chunk: Chunk, channels: Channels
) -> None:
    """Run the chunk from token ``start`` on of a job's block number ``index``; prefetch the ``following`` rows."""
    count = min(CHUNK, x.tokens - start)
    offset = block.row * x.tokens + start
    D, bias = load_row(channels.skip, index), load_row(channels.bias, index)
    largest_step = read_chunk(x, block, start, count, D, bias, chunk)
    for n in range(x.n):
        row = index * x.n + n
        rate, h = load_row(channels.rate, row), load_row(channels.h, row)
        matrix = block.matrix + n * x.tokens + start
        prefetch_row(x.B, matrix + x.tokens)
        prefetch_row(x.C, matrix + x.tokens)
        if n < LANES:
            prefetch_row(x.u, following + n * x.tokens)
            prefetch_row(x.delta, following + n * x.tokens)
        matrices = Matrices(shifted(x.B, matrix), shifted(x.C, matrix))
        store_row(channels.h, row, add_state(chunk, matrices, h, rate, count, largest_step))
    if x.z != 0:
        gather(x.z, offset, x.tokens, block.width, chunk.gate, count)
        for t in range(count):
            z = load_row(chunk.gate, t)
            store_row(chunk.y, t, load_row(chunk.y, t) * (z * sigmoid(z)))
    scatter(chunk.y, y, offset, x.tokens, block.width, count)


@compiled
def _forward_job(x: Scan, y: Address, job: int, chunk: Chunk, channels: Channels) -> None:
    share, group, batch = job % x.shares, job // x.shares % x.groups, job // x.shares // x.groups
    first = first_block(x, share)
    blocks = first_block(x, share + 1) - first
    clear(channels.h, blocks * x.n)
    for index in range(blocks):
        gather_channels(x, block_of(x, batch, group, first + index), index, channels)
    for start in range(0, x.tokens, CHUNK):
        for index in range(blocks):
            block = block_of(x, batch, group, first + index)
            if x.states != 0:
                _save_states(x, block, start // CHUNK, channels.h, index * x.n)
            following = following_rows(x, block, index, start, blocks, CHUNK)
            _forward_block(x, y, block, index, start, following, chunk, channels)


def forward_jobs(address: Any) -> None:
    """Run jobs of a ``ScanTask`` until none is left: job i is share i % shares of group i // shares % g of an entry.

    Fills y, and the states where the task has an address for them.
    """
    task = carray(address, 1, TASK_NUMBERS)[0]
    x = scan_of(task)
    chunk, channels = new_chunk(), new_channels(x)
    job = claim_job(address)
    while job < task.batch * x.groups * x.shares:
        _forward_job(x, task.y, job, chunk, channels)
        job = claim_job(address)
    free_all(chunk)
    free_all(channels)
