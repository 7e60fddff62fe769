"""The compiled loops of the backward CPU scan; ``numba_layout`` tells how jobs, blocks and chunks are laid out.

Chunks come last to first. From the saved states before it, each chunk retraces its own and then runs their adjoint back
through it; ``adjoint`` in ``cpu_kernels`` has both.
"""

from typing import Any, NamedTuple

from numba import carray

from nnunet_mamba.ops.cpu_kernels.adjoint import Adjoint, StatePair, States, new_adjoint, run_adjoint
from nnunet_mamba.ops.cpu_kernels.kernel_task import claim_job
from nnunet_mamba.ops.cpu_kernels.lane_functions import LN2, sigmoid, silu_slope
from nnunet_mamba.ops.cpu_kernels.lanes import (
    compiled,
    inlined,
    load_row,
    multiply_add,
    new_rows,
    number,
    set_number,
    store_row,
)
from nnunet_mamba.ops.cpu_kernels.recurrence import Chunk, Matrices
from nnunet_mamba.ops.cpu_kernels.rows import (
    Address,
    Rows,
    clear,
    free_all,
    gather,
    read_row,
    scatter,
    shifted,
)
from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK, LANES
from nnunet_mamba.ops.scan.numba_layout import (
    TASK_NUMBERS,
    Block,
    Channels,
    Scan,
    block_of,
    blocks_per_share,
    first_block,
    following_rows,
    gather_channels,
    new_channels,
    new_chunk,
    prefetch_row,
    read_chunk,
    scan_of,
)


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
def _new_carried(x: Scan) -> Carried:
    blocks = blocks_per_share(x)
    return Carried(new_rows(blocks * x.n), new_rows(blocks * x.n), new_rows(blocks), new_rows(blocks))


@compiled
def _gather_states(x: Scan, block: Block, number_of_chunk: int, h: Rows, row: int) -> None:
    """Read the saved states before a chunk into the rows of ``h`` from ``row`` on."""
    for n in range(x.n):
        offset = block.states + (number_of_chunk * x.n + n) * x.channels
        read_row(x.states, offset, block.width, h, row + n)


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
            store_row(chunk.gate, t, to_y * silu_slope(z, gate))
            store_row(adjoint.dy, t, to_y * (z * gate))


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
        gather(x.delta, offset, x.tokens, block.width, adjoint.trail, count)
    for t in range(count):
        u, dy, to_update = load_row(chunk.u, t), load_row(adjoint.dy, t), load_row(adjoint.to_update, t)
        ddelta = to_update * u + load_row(adjoint.to_step, t) * LN2
        if x.delta_softplus:
            ddelta = ddelta * sigmoid(load_row(adjoint.trail, t) + bias)
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


@inlined
def _prefetch(
    x: Scan, gradients: Gradients, block: Block, n: int, matrix: int, copied: int, start: int, following: int
) -> None:
    """Fetch what comes after states n and n + 1: the next two, two channels of the next block, two of the results."""
    for further in range(2):
        for flat in (x.B, x.C):
            prefetch_row(flat, matrix + (2 + further) * x.tokens)
        for flat in (gradients.dB, gradients.dC):
            prefetch_row(flat, copied + (2 + further) * x.tokens)
        if n + further < LANES:
            for flat in (x.u, x.delta, gradients.dy):
                prefetch_row(flat, following + (n + further) * x.tokens)
            # A store to a line that is far away would wait for it, too.
            for flat in (gradients.du, gradients.ddelta):
                prefetch_row(flat, (block.row + n + further) * x.tokens + start)


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
    states = States(channels.rate, channels.h, carried.g, carried.dA)
    for n in range(0, x.n, 2):
        matrix = block.matrix + n * x.tokens + start
        _prefetch(x, gradients, block, n, matrix, copy + matrix, start, following)
        of = Matrices(shifted(x.B, matrix), shifted(x.C, matrix))
        into = Matrices(shifted(gradients.dB, copy + matrix), shifted(gradients.dC, copy + matrix))
        row = index * x.n + n
        pair = StatePair(row, row + 1, of, into, x.tokens, n + 1 == x.n)
        run_adjoint(chunk, adjoint, states, pair, count, largest_step, x.z != 0, index == 0)
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
