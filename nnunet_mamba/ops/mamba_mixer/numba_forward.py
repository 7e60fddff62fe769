"""The compiled forward pass of the fused Mamba block; ``numba_layout`` tells how it is laid out."""

from typing import Any, NamedTuple

from numba import carray

from nnunet_mamba.ops.mamba_mixer.numba_layout import (
    TASK_NUMBERS,
    Scalars,
    Sizes,
    Weights,
    add_product,
    columns_of_rows,
    fill,
    sizes_of,
    weights_of,
    write_tokens,
    zeros,
)
from nnunet_mamba.ops.scan.lane_functions import sigmoid, softplus
from nnunet_mamba.ops.scan.lanes import (
    LANES,
    compiled,
    larger_magnitude,
    load_row,
    multiply_add,
    new_rows,
    store,
    store_row,
)
from nnunet_mamba.ops.scan.numba_blocks import (
    CHUNK,
    Address,
    Chunk,
    Matrices,
    Rows,
    claim_job,
    clear,
    free_all,
    scatter,
    shifted,
)
from nnunet_mamba.ops.scan.numba_forward import add_state


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
def new_mixer(s: Sizes) -> Mixer:
    """Return empty buffers."""
    rows = s.blocks * CHUNK
    return Mixer(
        new_rows(s.blocks * s.reach),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(s.blocks),
        new_rows(s.projected_blocks * CHUNK),
        new_rows(s.n_projected * CHUNK // LANES),
        new_rows(s.model_blocks * CHUNK),
        new_rows(s.n * s.blocks),
    )


@compiled
def chunk_of(m: Mixer, block: int) -> Chunk:
    """Return the buffers of one block as the scan's loops take them."""
    first = block * CHUNK * LANES
    return Chunk(
        shifted(m.u, first),
        shifted(m.step, first),
        shifted(m.update, first),
        shifted(m.z, first),
        shifted(m.y, first),
    )


@compiled
def matrices_of(m: Mixer, s: Sizes, n: int) -> Matrices:
    """Return where B and C of state n are."""
    B = shifted(m.matrices, (s.dt_rank + n) * CHUNK)
    return Matrices(B, shifted(B, s.n * CHUNK))


@compiled
def project_in(tokens: Address, offset: int, before: int, count: int, w: Weights, s: Sizes, m: Mixer) -> None:
    """Compute x and z of ``count`` tokens, the first of which is at ``offset``, and x of ``before`` tokens earlier."""
    history = s.d_conv - 1
    for block in range(s.blocks):
        fill(m.x, block * s.reach, history + count, zeros())
        first = block * s.reach + history - before
        scalars = Scalars(tokens, offset - before * s.stride, s.stride, 1, s.d_model)
        add_product(scalars, w.in_x, block, s.blocks, m.x, first, before + count)
        fill(m.z, block * CHUNK, count, zeros())
        scalars = Scalars(tokens, offset, s.stride, 1, s.d_model)
        add_product(scalars, w.in_z, block, s.blocks, m.z, block * CHUNK, count)


@compiled
def convolve(count: int, w: Weights, s: Sizes, m: Mixer) -> None:
    """Convolve x with what came before it and compute u = SiLU(x)."""
    for block in range(s.blocks):
        bias = load_row(w.conv_bias, block)
        for t in range(count):
            convolved = bias
            for tap in range(s.d_conv):
                x = load_row(m.x, block * s.reach + t + tap)
                convolved = multiply_add(load_row(w.conv, tap * s.blocks + block), x, convolved)
            store_row(m.convolved, block * CHUNK + t, convolved)
            store_row(m.u, block * CHUNK + t, convolved * sigmoid(convolved))


@compiled
def project_state_space(count: int, w: Weights, s: Sizes, m: Mixer) -> None:
    """Compute dt, B and C of every token from u, and from dt its step sizes; set update and y = D u."""
    for part in range(s.projected_blocks):
        fill(m.projected, part * CHUNK, count, zeros())
        for block in range(s.blocks):
            scalars = columns_of_rows(m.u, block * CHUNK, min(LANES, s.d_inner - block * LANES))
            row = block * LANES * s.projected_blocks + part
            add_product(scalars, w.x_proj, row, s.projected_blocks, m.projected, part * CHUNK, count)
        width = min(LANES, s.n_projected - part * LANES)
        rows = shifted(m.projected, part * CHUNK * LANES)
        scatter(rows, m.matrices, part * LANES * CHUNK, CHUNK, width, count)
    dt = Scalars(m.matrices, 0, 1, CHUNK, s.dt_rank)
    for block in range(s.blocks):
        fill(m.delta, block * CHUNK, count, load_row(w.dt_bias, block))
        add_product(dt, w.dt_proj, block, s.blocks, m.delta, block * CHUNK, count)
        D, largest = load_row(w.D, block), zeros()
        for row in range(block * CHUNK, block * CHUNK + count):
            u, step = load_row(m.u, row), softplus(load_row(m.delta, row))
            largest = larger_magnitude(step, largest)
            store_row(m.step, row, step)
            store_row(m.update, row, step * u)
            store_row(m.y, row, D * u)
        store_row(m.largest_step, block, largest)


@compiled
def _project_out(count: int, w: Weights, s: Sizes, m: Mixer) -> None:
    """Gate y and mix its channels into tokens."""
    for block in range(s.blocks):
        for row in range(block * CHUNK, block * CHUNK + count):
            z = load_row(m.z, row)
            store_row(m.y, row, load_row(m.y, row) * (z * sigmoid(z)))
    for part in range(s.model_blocks):
        fill(m.mixed, part * CHUNK, count, zeros())
        for block in range(s.blocks):
            scalars = columns_of_rows(m.y, block * CHUNK, min(LANES, s.d_inner - block * LANES))
            row = block * LANES * s.model_blocks + part
            add_product(scalars, w.out_proj, row, s.model_blocks, m.mixed, part * CHUNK, count)


@compiled
def sequence_offset(s: Sizes, job: int) -> int:
    """Return where the first token of a job's sequence is."""
    n_parallel = s.stride // s.d_model
    return job // n_parallel * s.length * s.stride + job % n_parallel * s.d_model


@compiled
def states_row(s: Sizes, job: int, start: int) -> int:
    """Return where the saved states before the chunk at ``start`` are, in rows of lanes."""
    return (job * s.chunks + start // CHUNK) * s.n * s.blocks


@compiled
def _forward_job(task: Any, s: Sizes, w: Weights, m: Mixer, job: int) -> None:
    sequence = sequence_offset(s, job)
    clear(m.h, s.n * s.blocks)
    for start in range(0, s.length, CHUNK):
        count = min(CHUNK, s.length - start)
        if task.states != 0:
            for row in range(s.n * s.blocks):
                store(task.states, (states_row(s, job, start) + row) * LANES, load_row(m.h, row))
        offset = sequence + start * s.stride
        project_in(task.tokens, offset, min(start, s.d_conv - 1), count, w, s, m)
        convolve(count, w, s, m)
        project_state_space(count, w, s, m)
        for block in range(s.blocks):
            chunk, largest_step = chunk_of(m, block), load_row(m.largest_step, block)
            for n in range(s.n):
                row = n * s.blocks + block
                h = add_state(
                    chunk, matrices_of(m, s, n), load_row(m.h, row), load_row(w.rate, row), count, largest_step
                )
                store_row(m.h, row, h)
        _project_out(count, w, s, m)
        write_tokens(m.mixed, count, s, task.mixed, offset)


def forward_jobs(address: Any) -> None:
    """Run jobs of a ``MambaTask`` until none is left: job i is chunk i % n_parallel of case i // n_parallel.

    Fills mixed, and the states where the task has an address for them.
    """
    task = carray(address, 1, TASK_NUMBERS)[0]
    s = sizes_of(task)
    w, m = weights_of(task, s), new_mixer(s)
    job = claim_job(address)
    while job < task.cases * task.n_parallel:
        _forward_job(task, s, w, m, job)
        job = claim_job(address)
    free_all(w)
    free_all(m)
