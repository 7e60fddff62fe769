"""The compiled backward pass of the fused Mamba block; ``numba_layout`` tells how it is laid out.

Chunks come last to first. Each one computes its forward pass again, from the saved states before it and from the tokens
that its convolution sees; what depends on the chunk to its right is carried over: the adjoint states of the scan and
the first gradients of the convolution's result.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import carray

from nnunet_mamba.ops.mamba_mixer.numba_forward import (
    Mixer,
    chunk_of,
    convolve,
    matrices_of,
    new_mixer,
    project_in,
    project_state_space,
    sequence_offset,
    states_row,
)
from nnunet_mamba.ops.mamba_mixer.numba_layout import (
    TASK_NUMBERS,
    Scalars,
    Sizes,
    SumRows,
    TransposedWeights,
    Weights,
    add_outer_product,
    add_product,
    columns_of_rows,
    fill,
    sizes_of,
    transposed_weights_of,
    weights_of,
    write_tokens,
    zeros,
)
from nnunet_mamba.ops.scan.lane_functions import sigmoid
from nnunet_mamba.ops.scan.lanes import (
    LANES,
    Lanes,
    compiled,
    inlined,
    load,
    load_row,
    multiply_add,
    new_rows,
    store,
    store_row,
)
from nnunet_mamba.ops.scan.numba_backward import (
    Adjoint,
    new_adjoint,
    retrace_state,
    reverse_state,
    sum_over_channels,
)
from nnunet_mamba.ops.scan.numba_blocks import CHUNK, Rows, claim_job, clear, free_all, shifted

_ONE, _LN2 = np.float32(1), np.float32(np.log(2))


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
def _sum_rows_of(s: Sizes) -> SumRows:
    """Return where each weight's gradient begins, as ``numba_layout.sum_rows`` does for Python."""
    conv = 2 * s.d_model
    x_proj = conv + s.d_conv + 1
    dt_bias = x_proj + s.n_projected + s.dt_rank
    out_proj = dt_bias + 1 + s.n + 1
    return SumRows(
        0,
        s.d_model,
        conv,
        conv + s.d_conv,
        x_proj,
        x_proj + s.n_projected,
        dt_bias,
        dt_bias + 1,
        dt_bias + 1 + s.n,
        out_proj,
        out_proj + s.d_model,
    )


@compiled
def _new_reverse(s: Sizes, total: int) -> Reverse:
    rows = s.blocks * CHUNK
    return Reverse(
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(rows),
        new_rows(s.blocks * s.reach),
        new_rows(s.blocks * (s.d_conv - 1)),
        new_rows(s.n_projected * CHUNK // LANES),
        new_rows(CHUNK),
        new_rows(s.model_blocks * CHUNK),
        new_rows(s.n * s.blocks),
        new_rows(total * s.blocks),
    )


@inlined
def _silu_slope(x: Lanes, gate: Lanes) -> Lanes:
    """Return the derivative of SiLU at x from gate = sigmoid(x)."""
    return gate * (x * (_ONE - gate) + _ONE)


@compiled
def _reverse_out(dmixed: Scalars, block: int, count: int, w: TransposedWeights, s: Sizes, b: Buffers) -> None:
    """Pass the gradient of the mixed tokens through out_proj and one block's gate; clear what its states add to."""
    m, a, r = b
    fill(a.dy, 0, count, zeros())
    add_product(dmixed, w.out_proj, block, s.blocks, a.dy, 0, count)
    for t in range(count):
        z, dgated = load_row(m.z, block * CHUNK + t), load_row(a.dy, t)
        gate = sigmoid(z)
        # y is still to come: both products with it wait for it.
        store_row(r.dz, block * CHUNK + t, dgated * _silu_slope(z, gate))
        store_row(r.gated, block * CHUNK + t, z * gate)
        store_row(a.dy, t, dgated * (z * gate))
    clear(a.to_step, CHUNK)
    clear(a.to_update, CHUNK)


@compiled
def _reverse_scan(block: int, count: int, w: Weights, s: Sizes, sums: SumRows, b: Buffers) -> None:
    """Run the adjoint of one block's states; the sums of dB and dC over the channels go to dprojected."""
    m, a, r = b
    chunk, largest_step = chunk_of(m, block), load_row(m.largest_step, block)
    dA = shifted(r.sums, sums.A * s.blocks * LANES)
    dprojected = r.dprojected
    for n in range(s.n):
        row = n * s.blocks + block
        matrices, rate = matrices_of(m, s, n), load_row(w.rate, row)
        retrace_state(chunk, a, matrices, load_row(m.h, row), rate, count, largest_step, True)
        reverse_state(chunk, a, matrices, r.g, dA, row, rate, count)
        dB = (s.dt_rank + n) * CHUNK
        sum_over_channels(a.input_terms, r.terms, dprojected, dB, count, block == 0)
        sum_over_channels(a.output_terms, r.terms, dprojected, dB + s.n * CHUNK, count, block == 0)


@compiled
def _reverse_steps(block: int, count: int, w: Weights, s: Sizes, sums: SumRows, b: Buffers) -> None:
    """Turn what the states of one block added up into du, ddelta, dz and y SiLU(z)."""
    m, a, r = b
    D = load_row(w.D, block)
    D_row, bias_row = sums.D * s.blocks + block, sums.dt_bias * s.blocks + block
    dD, dbias = load_row(r.sums, D_row), load_row(r.sums, bias_row)
    for t in range(count):
        row = block * CHUNK + t
        u, dy, y, to_update = load_row(m.u, row), load_row(a.dy, t), load_row(m.y, row), load_row(a.to_update, t)
        ddelta = (to_update * u + load_row(a.to_step, t) * _LN2) * sigmoid(load_row(m.delta, row))
        store_row(r.ddelta, row, ddelta)
        store_row(r.du, row, to_update * load_row(m.step, row) + D * dy)
        store_row(r.dz, row, load_row(r.dz, row) * y)
        store_row(r.gated, row, load_row(r.gated, row) * y)
        dD = multiply_add(dy, u, dD)
        dbias = dbias + ddelta
    store_row(r.sums, D_row, dD)
    store_row(r.sums, bias_row, dbias)


@compiled
def _reverse_state_space(count: int, w: Weights, v: TransposedWeights, s: Sizes, sums: SumRows, b: Buffers) -> None:
    """Pass the gradients of the step sizes, B and C through dt_proj and x_proj, and add to du."""
    m, _, r = b
    dprojected = r.dprojected
    for rank in range(s.dt_rank):
        fill(r.terms, 0, count, zeros())
        for block in range(s.blocks):
            weight = load_row(w.dt_proj, rank * s.blocks + block)
            for t in range(count):
                store_row(r.terms, t, multiply_add(load_row(r.ddelta, block * CHUNK + t), weight, load_row(r.terms, t)))
        sum_over_channels(r.terms, m.mixed, dprojected, rank * CHUNK, count, True)
    dt = Scalars(m.matrices, 0, 1, CHUNK, s.dt_rank)
    gradients = Scalars(dprojected, 0, 1, CHUNK, s.n_projected)
    for block in range(s.blocks):
        first = block * CHUNK
        add_outer_product(dt, r.ddelta, first, count, r.sums, sums.dt_proj * s.blocks + block, s.blocks)
        add_outer_product(gradients, m.u, first, count, r.sums, sums.x_proj * s.blocks + block, s.blocks)
        add_product(gradients, v.x_proj, block, s.blocks, r.du, first, count)


@compiled
def _reverse_convolution(count: int, w: Weights, s: Sizes, sums: SumRows, b: Buffers) -> None:
    """Turn du into the gradient of x before the convolution, in the same rows."""
    m, _, r = b
    history = s.d_conv - 1
    for block in range(s.blocks):
        first, reach = block * CHUNK, block * s.reach
        bias_row = sums.conv_bias * s.blocks + block
        dbias = load_row(r.sums, bias_row)
        for t in range(count):
            convolved = load_row(m.convolved, first + t)
            dconvolved = load_row(r.du, first + t) * _silu_slope(convolved, sigmoid(convolved))
            store_row(r.dconvolved, reach + t, dconvolved)
            dbias = dbias + dconvolved
        store_row(r.sums, bias_row, dbias)
        for right in range(history):
            store_row(r.dconvolved, reach + count + right, load_row(r.from_right, block * history + right))
        for right in range(history):
            store_row(r.from_right, block * history + right, load_row(r.dconvolved, reach + right))
        fill(r.du, first, count, zeros())
        for tap in range(s.d_conv):
            weight, row = load_row(w.conv, tap * s.blocks + block), (sums.conv + tap) * s.blocks + block
            total = load_row(r.sums, row)
            for t in range(count):
                right = load_row(r.dconvolved, reach + t + history - tap)
                store_row(r.du, first + t, multiply_add(right, weight, load_row(r.du, first + t)))
                total = multiply_add(load_row(r.dconvolved, reach + t), load_row(m.x, reach + t + tap), total)
            store_row(r.sums, row, total)


@compiled
def _reverse_in(tokens: Scalars, count: int, v: TransposedWeights, s: Sizes, sums: SumRows, b: Buffers) -> None:
    """Pass the gradients of x and z through in_proj."""
    _, _, r = b
    for block in range(s.blocks):
        first = block * CHUNK
        add_outer_product(tokens, r.du, first, count, r.sums, sums.in_x * s.blocks + block, s.blocks)
        add_outer_product(tokens, r.dz, first, count, r.sums, sums.in_z * s.blocks + block, s.blocks)
    for part in range(s.model_blocks):
        fill(r.dtokens, part * CHUNK, count, zeros())
        for block in range(s.blocks):
            width, row = min(LANES, s.d_inner - block * LANES), block * LANES * s.model_blocks + part
            dx = columns_of_rows(r.du, block * CHUNK, width)
            dz = columns_of_rows(r.dz, block * CHUNK, width)
            add_product(dx, v.in_x, row, s.model_blocks, r.dtokens, part * CHUNK, count)
            add_product(dz, v.in_z, row, s.model_blocks, r.dtokens, part * CHUNK, count)


@compiled
def _backward_chunk(
    task: Any, s: Sizes, w: Weights, v: TransposedWeights, sums: SumRows, b: Buffers, job: int, start: int
) -> None:
    count = min(CHUNK, s.length - start)
    offset = sequence_offset(s, job) + start * s.stride
    m, _, r = b
    project_in(task.tokens, offset, min(start, s.d_conv - 1), count, w, s, m)
    convolve(count, w, s, m)
    project_state_space(count, w, s, m)
    for row in range(s.n * s.blocks):
        store_row(m.h, row, load(task.states, (states_row(s, job, start) + row) * LANES))
    dmixed = Scalars(task.dmixed, offset, s.stride, 1, s.d_model)
    for block in range(s.blocks):
        _reverse_out(dmixed, block, count, v, s, b)
        _reverse_scan(block, count, w, s, sums, b)
        _reverse_steps(block, count, w, s, sums, b)
        out_row = sums.out_proj * s.blocks + block
        add_outer_product(dmixed, r.gated, block * CHUNK, count, r.sums, out_row, s.blocks)
    _reverse_state_space(count, w, v, s, sums, b)
    _reverse_convolution(count, w, s, sums, b)
    _reverse_in(Scalars(task.tokens, offset, s.stride, 1, s.d_model), count, v, s, sums, b)
    write_tokens(r.dtokens, count, s, task.dtokens, offset)


def backward_jobs(address: Any) -> None:
    """Run backward jobs of a ``MambaTask``, numbered like the forward ones, until none is left.

    The task must have the saved states. Each job has its own sums of the weights' gradients.
    """
    task = carray(address, 1, TASK_NUMBERS)[0]
    s = sizes_of(task)
    sums = _sum_rows_of(s)
    w, v = weights_of(task, s), transposed_weights_of(task, s)
    b = Buffers(new_mixer(s), new_adjoint(), _new_reverse(s, sums.total))
    job = claim_job(address)
    while job < task.cases * task.n_parallel:
        clear(b.reverse.from_right, s.blocks * (s.d_conv - 1))
        clear(b.reverse.g, s.n * s.blocks)
        clear(b.reverse.sums, s.blocks * sums.total)
        for back in range(s.chunks):
            _backward_chunk(task, s, w, v, sums, b, job, (s.chunks - 1 - back) * CHUNK)
        for row in range(sums.total * s.blocks):
            store(task.sums, (job * sums.total * s.blocks + row) * LANES, load_row(b.reverse.sums, row))
        job = claim_job(address)
    free_all(w)
    free_all(v)
    free_all(b.mixer)
    free_all(b.adjoint)
    free_all(b.reverse)
