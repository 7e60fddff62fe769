"""The compiled forward pass of the fused Mamba block; ``numba_layout`` tells how it is laid out."""

from typing import Any, NamedTuple

from numba import carray

from nnunet_mamba.ops.cpu_kernels.kernel_task import claim_job
from nnunet_mamba.ops.cpu_kernels.lane_functions import sigmoid, softplus
from nnunet_mamba.ops.cpu_kernels.lanes import (
    compiled,
    larger_magnitude,
    load_row,
    multiply_add,
    new_rows,
    store,
    store_row,
)
from nnunet_mamba.ops.cpu_kernels.products import Scalars, add_product, columns_of_rows
from nnunet_mamba.ops.cpu_kernels.recurrence import Chunk, add_state, matrices_of
from nnunet_mamba.ops.cpu_kernels.rows import Address, Rows, clear, fill, free_all, scatter, shifted, zeros
from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK, LANES
from nnunet_mamba.ops.mixer.numba_layout import TASK_NUMBERS, Sizes, Weights, sizes_of, weights_of, write_tokens


class Mixer(NamedTuple):
    """Buffers of one chunk of tokens; block i of token t is row i * CHUNK + t, but for x."""

    x: Rows  # (blocks, reach, 16): before the convolution, with the tokens that it sees before the chunk
    convolved: Rows  # (blocks, CHUNK, 16); so are the next ones
    u: Rows
    delta: Rows  # the step size before its softplus
    step: Rows
    update: Rows
    z: Rows
    y: Rows
    largest_step: Rows  # (blocks, 16)
    projected: Rows  # (projected_blocks, CHUNK, 16): dt, B and C of a token in lanes
    matrices: Rows  # (n_projected, CHUNK): the same, a row for each of them
    mixed: Rows  # (model_blocks, CHUNK, 16)
    h: Rows  # (n, blocks, 16)


@compiled
def new_mixer(sizes: Sizes) -> Mixer:
    """Return empty buffers."""
    rows = sizes.blocks * CHUNK
    return Mixer(
        new_rows(sizes.blocks * sizes.reach),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(sizes.blocks),
        new_rows(sizes.projected_blocks * CHUNK),
        new_rows(sizes.n_projected * CHUNK // LANES),
        new_rows(sizes.model_blocks * CHUNK),
        new_rows(sizes.n * sizes.blocks),
    )


@compiled
def chunk_of(mixer: Mixer, block: int) -> Chunk:
    """Return the buffers of one block as the scan's loops take them."""
    first = block * CHUNK * LANES
    return Chunk(
        shifted(mixer.u, first),
        shifted(mixer.step, first),
        shifted(mixer.update, first),
        shifted(mixer.z, first),
        shifted(mixer.y, first),
    )


@compiled
def project_in(
    tokens: Address, offset: int, before: int, count: int, weights: Weights, sizes: Sizes, mixer: Mixer
) -> None:
    """Compute x and z of ``count`` tokens, the first of which is at ``offset``, and x of ``before`` tokens earlier."""
    history = sizes.d_conv - 1
    for block in range(sizes.blocks):
        fill(mixer.x, block * sizes.reach, history + count, zeros())
        first = block * sizes.reach + history - before
        scalars = Scalars(tokens, offset - before * sizes.stride, sizes.stride, 1, sizes.d_model)
        add_product(scalars, weights.in_x, block, sizes.blocks, mixer.x, first, before + count)
        fill(mixer.z, block * CHUNK, count, zeros())
        scalars = Scalars(tokens, offset, sizes.stride, 1, sizes.d_model)
        add_product(scalars, weights.in_z, block, sizes.blocks, mixer.z, block * CHUNK, count)


@compiled
def convolve(count: int, weights: Weights, sizes: Sizes, mixer: Mixer) -> None:
    """Convolve x with what came before it and compute u = SiLU(x)."""
    for block in range(sizes.blocks):
        bias = load_row(weights.conv_bias, block)
        for t in range(count):
            convolved = bias
            for tap in range(sizes.d_conv):
                x = load_row(mixer.x, block * sizes.reach + t + tap)
                convolved = multiply_add(load_row(weights.conv, tap * sizes.blocks + block), x, convolved)
            store_row(mixer.convolved, block * CHUNK + t, convolved)
            store_row(mixer.u, block * CHUNK + t, convolved * sigmoid(convolved))


@compiled
def project_state_space(count: int, weights: Weights, sizes: Sizes, mixer: Mixer) -> None:
    """Compute dt, B and C of every token from u, and from dt its step sizes; set update and y = D u."""
    for part in range(sizes.projected_blocks):
        fill(mixer.projected, part * CHUNK, count, zeros())
        for block in range(sizes.blocks):
            scalars = columns_of_rows(mixer.u, block * CHUNK, min(LANES, sizes.d_inner - block * LANES))
            row = block * LANES * sizes.projected_blocks + part
            add_product(scalars, weights.x_proj, row, sizes.projected_blocks, mixer.projected, part * CHUNK, count)
        width = min(LANES, sizes.n_projected - part * LANES)
        rows = shifted(mixer.projected, part * CHUNK * LANES)
        scatter(rows, mixer.matrices, part * LANES * CHUNK, CHUNK, width, count)
    dt = Scalars(mixer.matrices, 0, 1, CHUNK, sizes.dt_rank)
    for block in range(sizes.blocks):
        fill(mixer.delta, block * CHUNK, count, load_row(weights.dt_bias, block))
        add_product(dt, weights.dt_proj, block, sizes.blocks, mixer.delta, block * CHUNK, count)
        D, largest = load_row(weights.D, block), zeros()
        for row in range(block * CHUNK, block * CHUNK + count):
            u, step = load_row(mixer.u, row), softplus(load_row(mixer.delta, row))
            largest = larger_magnitude(step, largest)
            store_row(mixer.step, row, step)
            store_row(mixer.update, row, step * u)
            store_row(mixer.y, row, D * u)
        store_row(mixer.largest_step, block, largest)


@compiled
def _project_out(count: int, weights: Weights, sizes: Sizes, mixer: Mixer) -> None:
    """Gate y and mix its channels into tokens."""
    for block in range(sizes.blocks):
        for row in range(block * CHUNK, block * CHUNK + count):
            z = load_row(mixer.z, row)
            store_row(mixer.y, row, load_row(mixer.y, row) * (z * sigmoid(z)))
    for part in range(sizes.model_blocks):
        fill(mixer.mixed, part * CHUNK, count, zeros())
        for block in range(sizes.blocks):
            scalars = columns_of_rows(mixer.y, block * CHUNK, min(LANES, sizes.d_inner - block * LANES))
            row = block * LANES * sizes.model_blocks + part
            add_product(scalars, weights.out_proj, row, sizes.model_blocks, mixer.mixed, part * CHUNK, count)


@compiled
def sequence_offset(sizes: Sizes, job: int) -> int:
    """Return where the token of a job's sequence is that is read first."""
    case, chunk = job // sizes.n_parallel, job % sizes.n_parallel
    first = case * sizes.length if sizes.stride > 0 else (case + 1) * sizes.length - 1
    return (first * sizes.n_parallel + chunk) * sizes.d_model


@compiled
def states_row(sizes: Sizes, job: int, start: int) -> int:
    """Return where the saved states before the chunk at ``start`` are, in rows of lanes."""
    return (job * sizes.chunks + start // CHUNK) * sizes.n * sizes.blocks


@compiled
def _forward_job(task: Any, sizes: Sizes, weights: Weights, mixer: Mixer, job: int) -> None:
    sequence = sequence_offset(sizes, job)
    clear(mixer.h, sizes.n * sizes.blocks)
    for start in range(0, sizes.length, CHUNK):
        count = min(CHUNK, sizes.length - start)
        if task.states != 0:
            for row in range(sizes.n * sizes.blocks):
                store(task.states, (states_row(sizes, job, start) + row) * LANES, load_row(mixer.h, row))
        offset = sequence + start * sizes.stride
        project_in(task.tokens, offset, min(start, sizes.d_conv - 1), count, weights, sizes, mixer)
        convolve(count, weights, sizes, mixer)
        project_state_space(count, weights, sizes, mixer)
        for block in range(sizes.blocks):
            chunk, largest_step = chunk_of(mixer, block), load_row(mixer.largest_step, block)
            for n in range(sizes.n):
                row = n * sizes.blocks + block
                h = add_state(
                    chunk,
                    matrices_of(mixer.matrices, sizes.dt_rank, sizes.n, n),
                    load_row(mixer.h, row),
                    load_row(weights.rate, row),
                    count,
                    largest_step,
                )
                store_row(mixer.h, row, h)
        _project_out(count, weights, sizes, mixer)
        write_tokens(mixer.mixed, count, sizes, task.mixed, offset)


def forward_jobs(address: Any) -> None:
    """Run jobs of a ``MambaTask`` until none is left: job i is chunk i % n_parallel of case i // n_parallel.

    Fills mixed, and the states where the task has an address for them.
    """
    task = carray(address, 1, TASK_NUMBERS)[0]
    sizes = sizes_of(task)
    weights, mixer = weights_of(task, sizes), new_mixer(sizes)
    job = claim_job(address)
    while job < task.cases * task.n_parallel:
        _forward_job(task, sizes, weights, mixer, job)
        job = claim_job(address)
    free_all(weights)
    free_all(mixer)
