"""One state of a block of channels through a chunk of tokens: h_t = decay_t h_{t-1} + update_t B_t, and its adjoint.

h and the decay rate live in registers. Forwards, y collects C_t h_t. Backwards, the state is first retraced, keeping
decay_t and decay_t h_{t-1}; then g_t = C_t dy_t + decay_{t+1} g_{t+1} runs from the last token to the first.
"""

import math
from typing import NamedTuple

import numpy as np

from nnunet_mamba.ops.cpu_kernels.lane_functions import EXP2_BOUND, exp2, exp2_of_product
from nnunet_mamba.ops.cpu_kernels.lanes import (
    Lanes,
    all_below,
    compiled,
    inlined,
    larger_magnitude,
    load_row,
    multiply_add,
    new_rows,
    splat,
    spread,
    store_row,
)
from nnunet_mamba.ops.cpu_kernels.rows import ZERO, Address, Rows, shifted
from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK


class Chunk(NamedTuple):
    """Buffers of one chunk, one row of 16 channels per token."""

    u: Rows
    step: Rows  # the step size after bias and softplus
    update: Rows  # step * u
    gate: Rows
    y: Rows


class Matrices(NamedTuple):
    """One state's B and C, from the first token of a chunk on."""

    B: Address
    C: Address


class Adjoint(NamedTuple):
    """Buffers of the backward pass of one chunk, one row of 16 channels per token."""

    dy: Rows  # after the gate's backward
    decay: Rows
    decayed: Rows  # decay * h of the token before
    to_step: Rows  # the gradient of the step size by way of the decay, over ln 2
    to_update: Rows
    input_terms: Rows  # what dB sums over the channels
    output_terms: Rows  # what dC sums over the channels
    sums: Rows  # (1, 16)


@compiled
def new_adjoint() -> Adjoint:
    """Return empty buffers."""
    return Adjoint(
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(CHUNK),
        new_rows(1),
    )


@inlined
def decay_of(step: Lanes, rate: Lanes, is_bounded: bool) -> Lanes:
    """Return exp(step A) from rate = A log2(e)."""
    return exp2_of_product(step, rate) if is_bounded else exp2(step * rate)


@inlined
def is_exponent_bounded(largest_step: Lanes, rate: Lanes) -> bool:
    """Return whether no |step * rate| of the chunk is too large for ``exp2_of_product``; NaN and infinity are."""
    is_below: bool = all_below(larger_magnitude(largest_step * rate, splat(ZERO)), EXP2_BOUND)
    return is_below


@compiled
def decay_rate(A_log: float) -> float:
    """Return A log2(e) for A = -exp(A_log)."""
    rate: float = np.float32(-math.exp(A_log) / math.log(2))
    return rate


@inlined
def matrices_of(projected: Rows, dt_rank: int, states: int, n: int) -> Matrices:
    """Return where B and C of state n are, if each of dt, B and C, in this order, has a row of CHUNK numbers."""
    B = shifted(projected, (dt_rank + n) * CHUNK)
    return Matrices(B, shifted(B, states * CHUNK))


@inlined
def _add_bounded_state(chunk: Chunk, of: Matrices, h: Lanes, rate: Lanes, count: int, is_bounded: bool) -> Lanes:
    for t in range(count):
        decay = decay_of(load_row(chunk.step, t), rate, is_bounded)
        h = multiply_add(decay, h, load_row(chunk.update, t) * spread(of.B, t))
        store_row(chunk.y, t, multiply_add(h, spread(of.C, t), load_row(chunk.y, t)))
    return h


@inlined
def add_state(chunk: Chunk, of: Matrices, h: Lanes, rate: Lanes, count: int, largest_step: Lanes) -> Lanes:
    """Run h = decay h + update B through a chunk, add C h to y, and return the last h."""
    if is_exponent_bounded(largest_step, rate):
        return _add_bounded_state(chunk, of, h, rate, count, True)
    return _add_bounded_state(chunk, of, h, rate, count, False)


@inlined
def _retrace_bounded_state(
    chunk: Chunk,
    adjoint: Adjoint,
    of: Matrices,
    h: Lanes,
    rate: Lanes,
    count: int,
    needs_y: bool,
    is_bounded: bool,
) -> None:
    for t in range(count):
        decay = decay_of(load_row(chunk.step, t), rate, is_bounded)
        decayed = decay * h
        h = multiply_add(load_row(chunk.update, t), spread(of.B, t), decayed)
        store_row(adjoint.decay, t, decay)
        store_row(adjoint.decayed, t, decayed)
        store_row(adjoint.output_terms, t, load_row(adjoint.dy, t) * h)
        if needs_y:
            store_row(chunk.y, t, multiply_add(h, spread(of.C, t), load_row(chunk.y, t)))


@inlined
def retrace_state(
    chunk: Chunk,
    adjoint: Adjoint,
    of: Matrices,
    h: Lanes,
    rate: Lanes,
    count: int,
    largest_step: Lanes,
    needs_y: bool,
) -> None:
    """Run one state forward through a chunk: keep what its adjoint needs, write the terms of dC, add C h to y."""
    if not is_exponent_bounded(largest_step, rate):
        _retrace_bounded_state(chunk, adjoint, of, h, rate, count, True, False)
    elif needs_y:
        _retrace_bounded_state(chunk, adjoint, of, h, rate, count, True, True)
    else:
        _retrace_bounded_state(chunk, adjoint, of, h, rate, count, False, True)


@inlined
def reverse_state(
    chunk: Chunk,
    adjoint: Adjoint,
    of: Matrices,
    g_rows: Rows,
    dA_rows: Rows,
    row: int,
    rate: Lanes,
    count: int,
) -> None:
    """Run g_t = C_t dy_t + decay_{t+1} g_{t+1} back through a chunk and add to what depends on it."""
    dA, from_right = load_row(dA_rows, row), load_row(g_rows, row)
    for back in range(count):
        t = count - 1 - back
        g = multiply_add(load_row(adjoint.dy, t), spread(of.C, t), from_right)
        to_exponent = g * load_row(adjoint.decayed, t)
        store_row(adjoint.to_step, t, multiply_add(to_exponent, rate, load_row(adjoint.to_step, t)))
        store_row(adjoint.to_update, t, multiply_add(g, spread(of.B, t), load_row(adjoint.to_update, t)))
        store_row(adjoint.input_terms, t, g * load_row(chunk.update, t))
        dA = multiply_add(to_exponent, load_row(chunk.step, t), dA)
        from_right = g * load_row(adjoint.decay, t)
    store_row(dA_rows, row, dA)
    store_row(g_rows, row, from_right)
