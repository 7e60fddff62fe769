"""The compiled loops of the backward CPU scan; ``numba_forward`` tells how lanes, blocks and chunks are laid out.

The forward states are computed again: a first sweep keeps those before each chunk, and each chunk, from the last to the
first, retraces its own and then runs the adjoint g_t = C_t dy_t + exp(step_{t+1} A) g_{t+1} back through it.
"""

from typing import NamedTuple

import numpy as np

from nnunet_mamba.ops.scan.lanes import (
    LANES,
    LOG2E,
    compiled,
    exp2,
    kernel,
    load,
    multiply_add,
    new_rows,
    sigmoid,
    splat,
    spread,
    store,
    sum_lanes,
)
from nnunet_mamba.ops.scan.numba_forward import (
    CHUNK,
    Block,
    Chunk,
    Floats,
    KernelOperands,
    block_of,
    clear,
    gather,
    gather_rates,
    gather_vector,
    new_chunk,
    prefetch_state,
    read_chunk,
    scatter,
)

_ZERO, _ONE = np.float32(0), np.float32(1)


class KernelGradients(NamedTuple):
    """Flat gradients that the backward jobs fill; those summed over the batch have one copy per entry or share."""

    u: Floats  # (b d l)
    delta: Floats  # (b d l)
    A: Floats  # (b d n)
    B: Floats  # (shares b g n l)
    C: Floats  # (shares b g n l)
    D: Floats  # (b d)
    z: Floats  # (b d l)
    delta_bias: Floats  # (b d)


class _Adjoint(NamedTuple):
    """Buffers of the backward pass of one block."""

    A: Floats  # (n, 16)
    rate_gradient: Floats  # (n, 16), summed over the tokens so far
    g: Floats  # (n, 16), the adjoint state that reaches the chunk from its right, already decayed
    starts: Floats  # (chunks * n, 16), the state before each chunk
    dy: Floats  # (CHUNK, 16), after the gate's backward; so are the others
    decay: Floats
    decayed: Floats  # decay * h of the token before
    to_step: Floats
    to_update: Floats
    input_terms: Floats  # what dB sums over the channels
    output_terms: Floats  # what dC sums over the channels
    sums: Floats  # (CHUNK,)
    skip: Floats  # (16,); so are the others
    bias: Floats
    skip_gradient: Floats
    bias_gradient: Floats


@compiled
def _new_adjoint(states: int, chunks: int) -> _Adjoint:
    return _Adjoint(
        new_rows(states),
        new_rows(states),
        new_rows(states),
        new_rows(chunks * states),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        np.empty(CHUNK, np.float32),
        np.empty(LANES, np.float32),
        np.empty(LANES, np.float32),
        np.empty(LANES, np.float32),
        np.empty(LANES, np.float32),
    )


@compiled
def _save_starts(x: KernelOperands, block: Block, chunk: Chunk, adjoint: _Adjoint) -> None:
    """Run the states forward once and keep those before each chunk."""
    for n in range(x.states):
        store(adjoint.starts, n, splat(_ZERO))
    # The last chunk's states start no other chunk.
    for start in range(0, x.tokens - CHUNK, CHUNK):
        read_chunk(x, block, start, CHUNK, adjoint.bias, chunk)
        row = start // CHUNK * x.states
        for n in range(x.states):
            rate = load(adjoint.A, n) * LOG2E
            state = load(adjoint.starts, row + n)
            matrix = block.matrix + n * x.tokens + start
            prefetch_state(x, matrix + x.tokens, CHUNK)
            for t in range(CHUNK):
                decay = exp2(load(chunk.step, t) * rate)
                state = multiply_add(decay, state, load(chunk.update, t) * spread(x.B, matrix + t))
            store(adjoint.starts, row + x.states + n, state)


@compiled
def _sum_over_channels(rows: Floats, flat: Floats, offset: int, count: int, sums: Floats, is_first: bool) -> None:
    """Write the sum over the lanes of each of ``count`` rows to ``flat[offset:]``, or add it if not ``is_first``."""
    for t in range(0, count, LANES):
        store(sums, t, sum_lanes(rows, t))
    for t in range(count):
        flat[offset + t] = sums[t] if is_first else flat[offset + t] + sums[t]


@compiled
def _retrace_state(
    x: KernelOperands, n: int, matrix: int, count: int, start_row: int, chunk: Chunk, adjoint: _Adjoint
) -> None:
    """Run state n forward through a chunk and keep what its adjoint needs; add to y and write the terms of dC."""
    rate = load(adjoint.A, n) * LOG2E
    state = load(adjoint.starts, start_row + n)
    for t in range(count):
        decay = exp2(load(chunk.step, t) * rate)
        decayed = decay * state
        state = load(chunk.update, t) * spread(x.B, matrix + t) + decayed
        store(adjoint.decay, t, decay)
        store(adjoint.decayed, t, decayed)
        store(adjoint.output_terms, t, load(adjoint.dy, t) * state)
        store(chunk.y, t, state * spread(x.C, matrix + t) + load(chunk.y, t))


@compiled
def _reverse_state(x: KernelOperands, n: int, matrix: int, count: int, chunk: Chunk, adjoint: _Adjoint) -> None:
    """Run g_t = C_t dy_t + decay_{t+1} g_{t+1} back through a chunk; add to step, update and A, write the dB terms."""
    A = load(adjoint.A, n)
    dA = load(adjoint.rate_gradient, n)
    carried = load(adjoint.g, n)
    for back in range(count):
        t = count - 1 - back
        g = load(adjoint.dy, t) * spread(x.C, matrix + t) + carried
        to_exponent = g * load(adjoint.decayed, t)
        store(adjoint.to_step, t, to_exponent * A + load(adjoint.to_step, t))
        store(adjoint.to_update, t, g * spread(x.B, matrix + t) + load(adjoint.to_update, t))
        store(adjoint.input_terms, t, g * load(chunk.update, t))
        dA = to_exponent * load(chunk.step, t) + dA
        carried = g * load(adjoint.decay, t)
    store(adjoint.rate_gradient, n, dA)
    store(adjoint.g, n, carried)


@compiled
def _read_adjoint(
    x: KernelOperands, dy: Floats, block: Block, start: int, count: int, chunk: Chunk, adjoint: _Adjoint
) -> None:
    """Read dy and z of one chunk, pass dy through the gate, and set to D u or zero what the states add to."""
    offset = block.row * x.tokens + start
    D = load(adjoint.skip, 0)
    gather(dy, offset, x.tokens, block.width, adjoint.dy, count)
    clear(adjoint.to_step)
    clear(adjoint.to_update)
    for t in range(count):
        store(chunk.y, t, D * load(chunk.u, t))
    if x.has_gate:
        gather(x.z, offset, x.tokens, block.width, chunk.gate, count)
        for t in range(count):
            z = load(chunk.gate, t)
            gate = sigmoid(z)
            # y is still to come: its gradient's other factor waits in the gate's place.
            store(chunk.gate, t, load(adjoint.dy, t) * (gate * (z * (_ONE - gate) + _ONE)))
            store(adjoint.dy, t, load(adjoint.dy, t) * (z * gate))


@compiled
def _write_chunk(
    x: KernelOperands,
    gradients: KernelGradients,
    block: Block,
    start: int,
    count: int,
    chunk: Chunk,
    adjoint: _Adjoint,
) -> None:
    """Turn what the states added up into du, ddelta and dz of one chunk; add to dD and the gradient of the bias."""
    offset = block.row * x.tokens + start
    D, bias = load(adjoint.skip, 0), load(adjoint.bias, 0)
    dD, dbias = load(adjoint.skip_gradient, 0), load(adjoint.bias_gradient, 0)
    if x.delta_softplus:
        # The slope comes from delta itself: 1 - exp(-step) would cancel for small steps.
        gather(x.delta, offset, x.tokens, block.width, adjoint.decay, count)
    for t in range(count):
        u, dy, to_update = load(chunk.u, t), load(adjoint.dy, t), load(adjoint.to_update, t)
        ddelta = to_update * u + load(adjoint.to_step, t)
        if x.delta_softplus:
            ddelta = ddelta * sigmoid(load(adjoint.decay, t) + bias)
        store(adjoint.to_step, t, ddelta)
        store(adjoint.to_update, t, to_update * load(chunk.step, t) + D * dy)
        dD = dy * u + dD
        dbias = dbias + ddelta
    store(adjoint.skip_gradient, 0, dD)
    store(adjoint.bias_gradient, 0, dbias)
    scatter(adjoint.to_update, gradients.u, offset, x.tokens, block.width, count)
    scatter(adjoint.to_step, gradients.delta, offset, x.tokens, block.width, count)
    if x.has_gate:
        for t in range(count):
            store(chunk.gate, t, load(chunk.gate, t) * load(chunk.y, t))
        scatter(chunk.gate, gradients.z, offset, x.tokens, block.width, count)


@compiled
def _backward_block(
    x: KernelOperands,
    dy: Floats,
    gradients: KernelGradients,
    block: Block,
    copy: int,
    is_first: bool,
    chunk: Chunk,
    adjoint: _Adjoint,
) -> None:
    """Run one block; its share's dB and dC start at ``copy``, and the share's first block overwrites them."""
    gather_rates(x, block, adjoint.A)
    gather_vector(x.D, block, adjoint.skip)
    gather_vector(x.delta_bias, block, adjoint.bias)
    clear(adjoint.rate_gradient)
    clear(adjoint.g)
    store(adjoint.skip_gradient, 0, splat(_ZERO))
    store(adjoint.bias_gradient, 0, splat(_ZERO))
    _save_starts(x, block, chunk, adjoint)
    for number in range((x.tokens + CHUNK - 1) // CHUNK - 1, -1, -1):
        start = number * CHUNK
        count = min(CHUNK, x.tokens - start)
        read_chunk(x, block, start, count, adjoint.bias, chunk)
        _read_adjoint(x, dy, block, start, count, chunk, adjoint)
        for n in range(x.states):
            matrix = block.matrix + n * x.tokens + start
            prefetch_state(x, matrix + x.tokens, count)
            _retrace_state(x, n, matrix, count, number * x.states, chunk, adjoint)
            _reverse_state(x, n, matrix, count, chunk, adjoint)
            _sum_over_channels(adjoint.input_terms, gradients.B, copy + matrix, count, adjoint.sums, is_first)
            _sum_over_channels(adjoint.output_terms, gradients.C, copy + matrix, count, adjoint.sums, is_first)
        _write_chunk(x, gradients, block, start, count, chunk, adjoint)
    for lane in range(block.width):
        gradients.D[block.row + lane] = adjoint.skip_gradient[lane]
        gradients.delta_bias[block.row + lane] = adjoint.bias_gradient[lane]
        for n in range(x.states):
            gradients.A[(block.row + lane) * x.states + n] = adjoint.rate_gradient[n, lane]


@kernel
def backward_jobs(
    x: KernelOperands, dy: Floats, gradients: KernelGradients, shares: int, first: int, last: int
) -> None:
    """Run the backward jobs ``first`` to ``last - 1``.

    Here a job is all blocks of one share of a group, one after the other, because they add to the same dB and dC.

    Args:
        x: operands of the forward scan.
        dy: gradient of its result, (b d l), flat.
        gradients: where the results go.
        shares: into how many parts the blocks of a group are divided; job i is share i % shares of group
            i // shares % g of batch entry i // shares // g.
        first: number of the first job.
        last: number after that of the last job.
    """
    blocks = (x.channels // x.groups + LANES - 1) // LANES
    chunk = new_chunk()
    adjoint = _new_adjoint(x.states, max(1, (x.tokens + CHUNK - 1) // CHUNK))
    copy_size = gradients.B.size // shares
    for job in range(first, last):
        share, batch, group = job % shares, job // shares // x.groups, job // shares % x.groups
        start = share * blocks // shares
        for number in range(start, (share + 1) * blocks // shares):
            block = block_of(x, batch, group, number)
            _backward_block(x, dy, gradients, block, share * copy_size, number == start, chunk, adjoint)
