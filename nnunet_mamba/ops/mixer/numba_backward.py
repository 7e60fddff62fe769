"""The compiled backward pass of the fused Mamba block; ``numba_layout`` tells how it is laid out.

Chunks come last to first. Each one computes its forward pass again, from the saved states before it and from the tokens
that its convolution sees; what depends on the chunk to its right is carried over: the adjoint states of the scan and
the first gradients of the convolution's result.
"""

from typing import Any, NamedTuple

from numba import carray

from nnunet_mamba.ops.cpu_kernels.adjoint import Adjoint, States, new_adjoint, projected_pair, run_adjoint
from nnunet_mamba.ops.cpu_kernels.kernel_task import claim_job
from nnunet_mamba.ops.cpu_kernels.lane_functions import LN2, sigmoid, silu_slope
from nnunet_mamba.ops.cpu_kernels.lanes import compiled, load, load_row, multiply_add, new_rows, store, store_row
from nnunet_mamba.ops.cpu_kernels.products import Scalars, add_outer_product, add_product, columns_of_rows
from nnunet_mamba.ops.cpu_kernels.rows import Rows, clear, fill, free_all, shifted, sum_over_channels, zeros
from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK, LANES
from nnunet_mamba.ops.mixer.numba_forward import (
    Mixer,
    chunk_of,
    convolve,
    new_mixer,
    project_in,
    project_state_space,
    sequence_offset,
    states_row,
)
from nnunet_mamba.ops.mixer.numba_layout import (
    TASK_NUMBERS,
    Sizes,
    SumRows,
    TransposedWeights,
    Weights,
    sizes_of,
    sum_rows_in_kernels,
    transposed_weights_of,
    weights_of,
    write_tokens,
)


class Reverse(NamedTuple):
    """Buffers of the backward pass of one chunk; block i of token t is row i * CHUNK + t where not said otherwise."""

    du: Rows  # (blocks, CHUNK, 16), then the gradient of x; so are the next ones
    ddelta: Rows
    dz: Rows
    gated: Rows  # y SiLU(z), what out_proj mixes
    dconvolved: Rows  # (blocks, reach, 16): the chunk's, then the first d_conv - 1 to its right
    from_right: Rows  # (blocks, d_conv - 1, 16): the same, until the chunk to the left needs them
    dprojected: Rows  # (n_projected, CHUNK): gradients of dt, B and C
    terms: Rows  # (CHUNK, 16)
    dtokens: Rows  # (model_blocks, CHUNK, 16)
    g: Rows  # (n, blocks, 16): the adjoint state that reaches the chunk from its right
    sums: Rows  # (rows, blocks, 16): the gradients of the weights, see ``SumRows``


class Buffers(NamedTuple):
    """All buffers of a thread."""

    mixer: Mixer
    adjoint: Adjoint
    reverse: Reverse


@compiled
def _new_reverse(sizes: Sizes, total: int) -> Reverse:
    rows = sizes.blocks * CHUNK
    return Reverse(
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(sizes.blocks * sizes.reach),
        new_rows(sizes.blocks * (sizes.d_conv - 1)),
        new_rows(sizes.n_projected * CHUNK // LANES),
        new_rows(CHUNK),
        new_rows(sizes.model_blocks * CHUNK),
        new_rows(sizes.n * sizes.blocks),
        new_rows(total * sizes.blocks),
    )


@compiled
def _reverse_out(
    dmixed: Scalars, block: int, count: int, weights: TransposedWeights, sizes: Sizes, buffers: Buffers
) -> None:
    """Pass the gradient of the mixed tokens through out_proj and one block's gate; clear what its states add to."""
    mixer, adjoint, reverse = buffers
    fill(adjoint.dy, 0, count, zeros())
    add_product(dmixed, weights.out_proj, block, sizes.blocks, adjoint.dy, 0, count)
    for t in range(count):
        z, dgated = load_row(mixer.z, block * CHUNK + t), load_row(adjoint.dy, t)
        gate = sigmoid(z)
        # y is still to come: both products with it wait for it.
        store_row(reverse.dz, block * CHUNK + t, dgated * silu_slope(z, gate))
        store_row(reverse.gated, block * CHUNK + t, z * gate)
        store_row(adjoint.dy, t, dgated * (z * gate))
    clear(adjoint.to_step, CHUNK)
    clear(adjoint.to_update, CHUNK)


@compiled
def _reverse_scan(block: int, count: int, weights: Weights, sizes: Sizes, sums: SumRows, buffers: Buffers) -> None:
    """Run the adjoint of one block's states; the sums of dB and dC over the channels go to dprojected."""
    mixer, adjoint, reverse = buffers
    chunk, largest_step = chunk_of(mixer, block), load_row(mixer.largest_step, block)
    dA = shifted(reverse.sums, sums.A * sizes.blocks * LANES)
    states = States(weights.rate, mixer.h, reverse.g, dA)
    for n in range(0, sizes.n, 2):
        pair = projected_pair(mixer.matrices, reverse.dprojected, sizes.dt_rank, sizes.n, n, block, sizes.blocks)
        run_adjoint(chunk, adjoint, states, pair, count, largest_step, True, block == 0)


@compiled
def _reverse_steps(block: int, count: int, weights: Weights, sizes: Sizes, sums: SumRows, buffers: Buffers) -> None:
    """Turn what the states of one block added up into du, ddelta, dz and y SiLU(z)."""
    mixer, adjoint, reverse = buffers
    D = load_row(weights.D, block)
    D_row, bias_row = sums.D * sizes.blocks + block, sums.dt_bias * sizes.blocks + block
    dD, dbias = load_row(reverse.sums, D_row), load_row(reverse.sums, bias_row)
    for t in range(count):
        row = block * CHUNK + t
        u, dy, y, to_update = (
            load_row(mixer.u, row),
            load_row(adjoint.dy, t),
            load_row(mixer.y, row),
            load_row(adjoint.to_update, t),
        )
        ddelta = (to_update * u + load_row(adjoint.to_step, t) * LN2) * sigmoid(load_row(mixer.delta, row))
        store_row(reverse.ddelta, row, ddelta)
        store_row(reverse.du, row, to_update * load_row(mixer.step, row) + D * dy)
        store_row(reverse.dz, row, load_row(reverse.dz, row) * y)
        store_row(reverse.gated, row, load_row(reverse.gated, row) * y)
        dD = multiply_add(dy, u, dD)
        dbias = dbias + ddelta
    store_row(reverse.sums, D_row, dD)
    store_row(reverse.sums, bias_row, dbias)


@compiled
def _reverse_state_space(
    count: int, weights: Weights, transposed: TransposedWeights, sizes: Sizes, sums: SumRows, buffers: Buffers
) -> None:
    """Pass the gradients of the step sizes, B and C through dt_proj and x_proj, and add to du."""
    mixer, _, reverse = buffers
    dprojected = reverse.dprojected
    for rank in range(sizes.dt_rank):
        fill(reverse.terms, 0, count, zeros())
        for block in range(sizes.blocks):
            weight = load_row(weights.dt_proj, rank * sizes.blocks + block)
            for t in range(count):
                store_row(
                    reverse.terms,
                    t,
                    multiply_add(load_row(reverse.ddelta, block * CHUNK + t), weight, load_row(reverse.terms, t)),
                )
        sum_over_channels(reverse.terms, mixer.mixed, dprojected, rank * CHUNK, count, True)
    dt = Scalars(mixer.matrices, 0, 1, CHUNK, sizes.dt_rank)
    gradients = Scalars(dprojected, 0, 1, CHUNK, sizes.n_projected)
    for block in range(sizes.blocks):
        first = block * CHUNK
        add_outer_product(
            dt, reverse.ddelta, first, count, reverse.sums, sums.dt_proj * sizes.blocks + block, sizes.blocks
        )
        add_outer_product(
            gradients, mixer.u, first, count, reverse.sums, sums.x_proj * sizes.blocks + block, sizes.blocks
        )
        add_product(gradients, transposed.x_proj, block, sizes.blocks, reverse.du, first, count)


@compiled
def _reverse_convolution(count: int, weights: Weights, sizes: Sizes, sums: SumRows, buffers: Buffers) -> None:
    """Turn du into the gradient of x before the convolution, in the same rows."""
    mixer, _, reverse = buffers
    history = sizes.d_conv - 1
    for block in range(sizes.blocks):
        first, reach = block * CHUNK, block * sizes.reach
        bias_row = sums.conv_bias * sizes.blocks + block
        dbias = load_row(reverse.sums, bias_row)
        for t in range(count):
            convolved = load_row(mixer.convolved, first + t)
            dconvolved = load_row(reverse.du, first + t) * silu_slope(convolved, sigmoid(convolved))
            store_row(reverse.dconvolved, reach + t, dconvolved)
            dbias = dbias + dconvolved
        store_row(reverse.sums, bias_row, dbias)
        for right in range(history):
            store_row(reverse.dconvolved, reach + count + right, load_row(reverse.from_right, block * history + right))
        for right in range(history):
            store_row(reverse.from_right, block * history + right, load_row(reverse.dconvolved, reach + right))
        fill(reverse.du, first, count, zeros())
        for tap in range(sizes.d_conv):
            weight, row = load_row(weights.conv, tap * sizes.blocks + block), (sums.conv + tap) * sizes.blocks + block
            total = load_row(reverse.sums, row)
            for t in range(count):
                right = load_row(reverse.dconvolved, reach + t + history - tap)
                store_row(reverse.du, first + t, multiply_add(right, weight, load_row(reverse.du, first + t)))
                total = multiply_add(load_row(reverse.dconvolved, reach + t), load_row(mixer.x, reach + t + tap), total)
            store_row(reverse.sums, row, total)


@compiled
def _reverse_in(
    tokens: Scalars, count: int, transposed: TransposedWeights, sizes: Sizes, sums: SumRows, buffers: Buffers
) -> None:
    """Pass the gradients of x and z through in_proj."""
    _, _, reverse = buffers
    for block in range(sizes.blocks):
        first = block * CHUNK
        add_outer_product(
            tokens, reverse.du, first, count, reverse.sums, sums.in_x * sizes.blocks + block, sizes.blocks
        )
        add_outer_product(
            tokens, reverse.dz, first, count, reverse.sums, sums.in_z * sizes.blocks + block, sizes.blocks
        )
    for part in range(sizes.model_blocks):
        fill(reverse.dtokens, part * CHUNK, count, zeros())
        for block in range(sizes.blocks):
            width, row = min(LANES, sizes.d_inner - block * LANES), block * LANES * sizes.model_blocks + part
            dx = columns_of_rows(reverse.du, block * CHUNK, width)
            dz = columns_of_rows(reverse.dz, block * CHUNK, width)
            add_product(dx, transposed.in_x, row, sizes.model_blocks, reverse.dtokens, part * CHUNK, count)
            add_product(dz, transposed.in_z, row, sizes.model_blocks, reverse.dtokens, part * CHUNK, count)


@compiled
def _backward_chunk(
    task: Any,
    sizes: Sizes,
    weights: Weights,
    transposed: TransposedWeights,
    sums: SumRows,
    buffers: Buffers,
    job: int,
    start: int,
) -> None:
    count = min(CHUNK, sizes.length - start)
    offset = sequence_offset(sizes, job) + start * sizes.stride
    mixer, _, reverse = buffers
    project_in(task.tokens, offset, min(start, sizes.d_conv - 1), count, weights, sizes, mixer)
    convolve(count, weights, sizes, mixer)
    project_state_space(count, weights, sizes, mixer)
    for row in range(sizes.n * sizes.blocks):
        store_row(mixer.h, row, load(task.states, (states_row(sizes, job, start) + row) * LANES))
    dmixed = Scalars(task.dmixed, offset, sizes.stride, 1, sizes.d_model)
    for block in range(sizes.blocks):
        _reverse_out(dmixed, block, count, transposed, sizes, buffers)
        _reverse_scan(block, count, weights, sizes, sums, buffers)
        _reverse_steps(block, count, weights, sizes, sums, buffers)
        out_row = sums.out_proj * sizes.blocks + block
        add_outer_product(dmixed, reverse.gated, block * CHUNK, count, reverse.sums, out_row, sizes.blocks)
    _reverse_state_space(count, weights, transposed, sizes, sums, buffers)
    _reverse_convolution(count, weights, sizes, sums, buffers)
    _reverse_in(Scalars(task.tokens, offset, sizes.stride, 1, sizes.d_model), count, transposed, sizes, sums, buffers)
    write_tokens(reverse.dtokens, count, sizes, task.dtokens, offset)


def backward_jobs(address: Any) -> None:
    """Run backward jobs of a ``MambaTask``, numbered like the forward ones, until none is left.

    The task must have the saved states. Each job has its own sums of the weights' gradients.
    """
    task = carray(address, 1, TASK_NUMBERS)[0]
    sizes = sizes_of(task)
    sums = sum_rows_in_kernels(sizes.d_model, sizes.d_conv, sizes.dt_rank, sizes.n)
    weights, transposed = weights_of(task, sizes), transposed_weights_of(task, sizes)
    buffers = Buffers(new_mixer(sizes), new_adjoint(), _new_reverse(sizes, sums.total))
    job = claim_job(address)
    while job < task.cases * task.n_parallel:
        clear(buffers.reverse.from_right, sizes.blocks * (sizes.d_conv - 1))
        clear(buffers.reverse.g, sizes.n * sizes.blocks)
        clear(buffers.reverse.sums, sizes.blocks * sums.total)
        for back in range(sizes.chunks):
            _backward_chunk(task, sizes, weights, transposed, sums, buffers, job, (sizes.chunks - 1 - back) * CHUNK)
        for row in range(sums.total * sizes.blocks):
            store(task.sums, (job * sums.total * sizes.blocks + row) * LANES, load_row(buffers.reverse.sums, row))
        job = claim_job(address)
    free_all(weights)
    free_all(transposed)
    free_all(buffers.mixer)
    free_all(buffers.adjoint)
    free_all(buffers.reverse)
