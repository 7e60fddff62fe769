"""The compiled loops of the forward CPU scan; ``numba_blocks`` tells how jobs, blocks and chunks are laid out."""

from typing import Any

from numba import carray

from nnunet_mamba.ops.scan.lane_functions import sigmoid
from nnunet_mamba.ops.scan.lanes import (
    LANES,
    Lanes,
    compiled,
    inlined,
    load,
    multiply_add,
    set_number,
    spread,
    store,
)
from nnunet_mamba.ops.scan.numba_blocks import (
    CHUNK,
    Address,
    Block,
    Channels,
    Chunk,
    Floats,
    Scan,
    block_of,
    claim_job,
    clear,
    decay_of,
    first_block,
    following_rows,
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


@inlined
def _add_state(chunk: Chunk, B: Address, C: Address, h: Lanes, rate: Lanes, count: int, is_bounded: bool) -> Lanes:
    """Run h = decay h + update B through a chunk, add C h to y, and return the last h."""
    for t in range(count):
        decay = decay_of(load(chunk.step, t), rate, is_bounded)
        h = multiply_add(decay, h, load(chunk.update, t) * spread(B, t))
        store(chunk.y, t, multiply_add(h, spread(C, t), load(chunk.y, t)))
    return h


@compiled
def save_states(x: Scan, block: Block, number_of_chunk: int, h: Floats, row: int) -> None:
    """Save the states of a block, which are in the rows of ``h`` from ``row`` on."""
    for n in range(x.n):
        offset = block.states + (number_of_chunk * x.n + n) * x.channels
        if block.width == LANES:
            store(x.states, offset, load(h, row + n))
        else:
            for lane in range(block.width):
                set_number(x.states, offset + lane, h[row + n, lane])


@compiled
def _forward_block(
    x: Scan, y: Address, block: Block, index: int, start: int, following: int, chunk: Chunk, channels: Channels
) -> None:
    """Run the chunk from token ``start`` on of a job's block number ``index``; prefetch the ``following`` rows."""
    count = min(CHUNK, x.tokens - start)
    offset = block.row * x.tokens + start
    D, bias = load(channels.skip, index), load(channels.bias, index)
    largest_step = read_chunk(x, block, start, count, D, bias, chunk)
    for n in range(x.n):
        row = index * x.n + n
        rate, h = load(channels.rate, row), load(channels.h, row)
        matrix = block.matrix + n * x.tokens + start
        prefetch_row(x.B, matrix + x.tokens)
        prefetch_row(x.C, matrix + x.tokens)
        if n < LANES:
            prefetch_row(x.u, following + n * x.tokens)
            prefetch_row(x.delta, following + n * x.tokens)
        B, C = shifted(x.B, matrix), shifted(x.C, matrix)
        if is_exponent_bounded(largest_step, rate):
            h = _add_state(chunk, B, C, h, rate, count, True)
        else:
            h = _add_state(chunk, B, C, h, rate, count, False)
        store(channels.h, row, h)
    if x.z != 0:
        gather(x.z, offset, x.tokens, block.width, chunk.gate, count)
        for t in range(count):
            z = load(chunk.gate, t)
            store(chunk.y, t, load(chunk.y, t) * (z * sigmoid(z)))
    scatter(chunk.y, y, offset, x.tokens, block.width, count)


@compiled
def _forward_job(x: Scan, y: Address, job: int, chunk: Chunk, channels: Channels) -> None:
    share, group, batch = job % x.shares, job // x.shares % x.groups, job // x.shares // x.groups
    first = first_block(x, share)
    blocks = first_block(x, share + 1) - first
    clear(channels.h)
    for index in range(blocks):
        gather_channels(x, block_of(x, batch, group, first + index), index, channels)
    for start in range(0, x.tokens, CHUNK):
        for index in range(blocks):
            block = block_of(x, batch, group, first + index)
            if x.states != 0:
                save_states(x, block, start // CHUNK, channels.h, index * x.n)
            following = following_rows(x, block, index, start, blocks, CHUNK)
            _forward_block(x, y, block, index, start, following, chunk, channels)


def forward_jobs(task_pointer: Any) -> None:
    """Run jobs of a ``ScanTask`` until none is left: job i is share i % shares of group i // shares % g of an entry.

    Fills y, and the states where the task has an address for them.
    """
    task = carray(task_pointer, 1)[0]
    x = scan_of(task)
    chunk, channels = new_chunk(), new_channels(x)
    job = claim_job(task_pointer)
    while job < task.batch * x.groups * x.shares:
        _forward_job(x, task.y, job, chunk, channels)
        job = claim_job(task_pointer)
