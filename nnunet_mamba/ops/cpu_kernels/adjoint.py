"""The adjoint of the states of a block of channels through a chunk of tokens, two states at a time.

The decays come first, in a loop of their own: with the recurrence beside it, AVX2 would run out of registers. Then the
states are retraced, and g_t = C_t dy_t + decay_{t+1} g_{t+1} runs from the last token to the first. Two states share
each row of step, dy and of all that they add to, and their chains of dependent operations overlap.
"""

from typing import NamedTuple

from nnunet_mamba.ops.cpu_kernels.lane_transposes import sum_quads, sum_to_quads
from nnunet_mamba.ops.cpu_kernels.lanes import (
    Lanes,
    compiled,
    inlined,
    larger_magnitude,
    load_row,
    multiply_add,
    new_rows,
    spread,
    store_row,
)
from nnunet_mamba.ops.cpu_kernels.recurrence import (
    Chunk,
    Matrices,
    decay_of,
    is_exponent_bounded,
    matrices_of,
    matrices_shifted,
)
from nnunet_mamba.ops.cpu_kernels.rows import Rows, write_lanes, zeros
from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK, LANES


class Adjoint(NamedTuple):
    """Buffers of the backward pass of one chunk, one row of 16 channels per token where not said otherwise."""

    dy: Rows  # after the gate's backward
    to_step: Rows  # the gradient of the step size by way of the decay, over ln 2
    to_update: Rows
    trail: Rows  # (CHUNK + 1, 4, 16): the decays of two states, then their h of the token before
    terms: Rows  # the terms of dB and dC of the first state, then of the second, each in sums over four channels
    scratch: Rows  # (1, 16)


class States(NamedTuple):
    """What a job keeps of its states from chunk to chunk, a row of 16 channels each."""

    rate: Rows  # A log2(e)
    h: Rows  # before the chunk
    g: Rows  # the adjoint state that reaches the chunk from its right, already decayed
    dA: Rows


class StatePair(NamedTuple):
    """Two states of a block of channels, or one that is alone."""

    row: int  # the first one's in ``States``
    second_row: int
    of: Matrices  # B and C of the first one
    gradients: Matrices  # where its dB and dC go
    stride: int  # numbers from there to the second one's
    is_alone: bool


@compiled
def new_adjoint() -> Adjoint:
    """Return empty buffers."""
    return Adjoint(
        new_rows(CHUNK), new_rows(CHUNK), new_rows(CHUNK), new_rows(4 * (CHUNK + 1)), new_rows(CHUNK), new_rows(1)
    )


@inlined
def projected_pair(
    projected: Rows, dprojected: Rows, dt_rank: int, states: int, n: int, block: int, blocks: int
) -> StatePair:
    """Return states n and n + 1 of a block, whose matrices and gradients are laid out as ``matrices_of`` says."""
    of, gradients = matrices_of(projected, dt_rank, states, n), matrices_of(dprojected, dt_rank, states, n)
    return StatePair(n * blocks + block, (n + 1) * blocks + block, of, gradients, CHUNK, n + 1 == states)


@inlined
def _decay_at(adjoint: Adjoint, t: int, state: int) -> Lanes:
    return load_row(adjoint.trail, 4 * t + state)


@inlined
def _h_before(adjoint: Adjoint, t: int, state: int) -> Lanes:
    return load_row(adjoint.trail, 4 * t + 2 + state)


@inlined
def _keep_h_before(adjoint: Adjoint, t: int, state: int, h: Lanes) -> None:
    store_row(adjoint.trail, 4 * t + 2 + state, h)


@inlined
def _keep_bounded_decays(
    steps: Rows, adjoint: Adjoint, rate: Lanes, second_rate: Lanes, count: int, is_bounded: bool, is_alone: bool
) -> None:
    for t in range(count):
        step = load_row(steps, t)
        store_row(adjoint.trail, 4 * t, decay_of(step, rate, is_bounded))
        if not is_alone:
            store_row(adjoint.trail, 4 * t + 1, decay_of(step, second_rate, is_bounded))


@inlined
def _keep_decays(
    steps: Rows,
    adjoint: Adjoint,
    rate: Lanes,
    second_rate: Lanes,
    count: int,
    largest_step: Lanes,
    is_alone: bool,
) -> None:
    """Write the decays of two states, or of the first one, into the trail."""
    if is_exponent_bounded(largest_step, larger_magnitude(rate, second_rate)):
        _keep_bounded_decays(steps, adjoint, rate, second_rate, count, True, is_alone)
    else:
        _keep_bounded_decays(steps, adjoint, rate, second_rate, count, False, is_alone)


@inlined
def _retrace_one(chunk: Chunk, adjoint: Adjoint, states: States, pair: StatePair, count: int, needs_y: bool) -> None:
    h = load_row(states.h, pair.row)
    for t in range(count):
        _keep_h_before(adjoint, t, 0, h)
        h = multiply_add(_decay_at(adjoint, t, 0), h, load_row(chunk.update, t) * spread(pair.of.B, t))
        if needs_y:
            store_row(chunk.y, t, multiply_add(h, spread(pair.of.C, t), load_row(chunk.y, t)))
    _keep_h_before(adjoint, count, 0, h)


@inlined
def _reverse_one(chunk: Chunk, adjoint: Adjoint, states: States, row: int, of: Matrices, count: int) -> None:
    rate, dA, from_right = load_row(states.rate, row), load_row(states.dA, row), load_row(states.g, row)
    for back in range(count):
        t = count - 1 - back
        dy, update = load_row(adjoint.dy, t), load_row(chunk.update, t)
        g = multiply_add(dy, spread(of.C, t), from_right)
        dC_terms = dy * _h_before(adjoint, t + 1, 0)
        store_row(adjoint.terms, t, sum_to_quads(g * update, dC_terms, zeros(), zeros()))
        from_right = g * _decay_at(adjoint, t, 0)
        to_exponent = from_right * _h_before(adjoint, t, 0)
        store_row(adjoint.to_step, t, multiply_add(to_exponent, rate, load_row(adjoint.to_step, t)))
        store_row(adjoint.to_update, t, multiply_add(g, spread(of.B, t), load_row(adjoint.to_update, t)))
        dA = multiply_add(to_exponent, load_row(chunk.step, t), dA)
    store_row(states.dA, row, dA)
    store_row(states.g, row, from_right)


@compiled
def _run_one(
    chunk: Chunk,
    adjoint: Adjoint,
    states: States,
    pair: StatePair,
    count: int,
    largest_step: Lanes,
    needs_y: bool,
    is_first: bool,
) -> None:
    """Run the first state of a pair through a chunk and back."""
    rate = load_row(states.rate, pair.row)
    _keep_decays(chunk.step, adjoint, rate, rate, count, largest_step, True)
    if needs_y:
        _retrace_one(chunk, adjoint, states, pair, count, True)
    else:
        _retrace_one(chunk, adjoint, states, pair, count, False)
    _reverse_one(chunk, adjoint, states, pair.row, pair.of, count)
    for t in range(0, count, LANES):
        dB, dC, _, _ = sum_quads(adjoint.terms, t)
        write_lanes(dB, adjoint.scratch, pair.gradients.B, t, count - t, is_first)
        write_lanes(dC, adjoint.scratch, pair.gradients.C, t, count - t, is_first)


@inlined
def _retrace_two(chunk: Chunk, adjoint: Adjoint, states: States, pair: StatePair, count: int, needs_y: bool) -> None:
    """Run two states forward through a chunk, keep their h, and add C h to y."""
    h, second_h = load_row(states.h, pair.row), load_row(states.h, pair.second_row)
    of, second_of = pair.of, matrices_shifted(pair.of, pair.stride)
    for t in range(count):
        update = load_row(chunk.update, t)
        _keep_h_before(adjoint, t, 0, h)
        _keep_h_before(adjoint, t, 1, second_h)
        h = multiply_add(_decay_at(adjoint, t, 0), h, update * spread(of.B, t))
        second_h = multiply_add(_decay_at(adjoint, t, 1), second_h, update * spread(second_of.B, t))
        if needs_y:
            y = multiply_add(h, spread(of.C, t), load_row(chunk.y, t))
            store_row(chunk.y, t, multiply_add(second_h, spread(second_of.C, t), y))
    _keep_h_before(adjoint, count, 0, h)
    _keep_h_before(adjoint, count, 1, second_h)


@inlined
def _reverse_two(chunk: Chunk, adjoint: Adjoint, states: States, pair: StatePair, count: int) -> None:
    """Run g_t = C_t dy_t + decay_{t+1} g_{t+1} of two states back through a chunk and add to what depends on it."""
    rate, second_rate = load_row(states.rate, pair.row), load_row(states.rate, pair.second_row)
    dA, second_dA = load_row(states.dA, pair.row), load_row(states.dA, pair.second_row)
    from_right, second_from_right = load_row(states.g, pair.row), load_row(states.g, pair.second_row)
    of, second_of = pair.of, matrices_shifted(pair.of, pair.stride)
    for back in range(count):
        t = count - 1 - back
        dy, step, update = load_row(adjoint.dy, t), load_row(chunk.step, t), load_row(chunk.update, t)
        g = multiply_add(dy, spread(of.C, t), from_right)
        second_g = multiply_add(dy, spread(second_of.C, t), second_from_right)
        # Read again from the trail: AVX2 has no registers left for the two h.
        dC_terms, second_dC_terms = dy * _h_before(adjoint, t + 1, 0), dy * _h_before(adjoint, t + 1, 1)
        store_row(adjoint.terms, t, sum_to_quads(g * update, dC_terms, second_g * update, second_dC_terms))
        to_update = multiply_add(g, spread(of.B, t), load_row(adjoint.to_update, t))
        store_row(adjoint.to_update, t, multiply_add(second_g, spread(second_of.B, t), to_update))
        from_right, second_from_right = g * _decay_at(adjoint, t, 0), second_g * _decay_at(adjoint, t, 1)
        to_exponent = from_right * _h_before(adjoint, t, 0)
        second_to_exponent = second_from_right * _h_before(adjoint, t, 1)
        to_step = multiply_add(to_exponent, rate, load_row(adjoint.to_step, t))
        store_row(adjoint.to_step, t, multiply_add(second_to_exponent, second_rate, to_step))
        dA, second_dA = multiply_add(to_exponent, step, dA), multiply_add(second_to_exponent, step, second_dA)
    store_row(states.dA, pair.row, dA)
    store_row(states.dA, pair.second_row, second_dA)
    store_row(states.g, pair.row, from_right)
    store_row(states.g, pair.second_row, second_from_right)


@compiled
def run_adjoint(
    chunk: Chunk,
    adjoint: Adjoint,
    states: States,
    pair: StatePair,
    count: int,
    largest_step: Lanes,
    needs_y: bool,
    is_first: bool,
) -> None:
    """Run a pair of states through a chunk and back.

    Adds to to_step, to_update, dA, and C h to y where ``needs_y`` says so; g becomes that of the chunk to the left. dB
    and dC are written if the block is the first one, else added to.
    """
    if pair.is_alone:
        _run_one(chunk, adjoint, states, pair, count, largest_step, needs_y, is_first)
        return
    rate, second_rate = load_row(states.rate, pair.row), load_row(states.rate, pair.second_row)
    _keep_decays(chunk.step, adjoint, rate, second_rate, count, largest_step, False)
    if needs_y:
        _retrace_two(chunk, adjoint, states, pair, count, True)
    else:
        _retrace_two(chunk, adjoint, states, pair, count, False)
    _reverse_two(chunk, adjoint, states, pair, count)
    second = matrices_shifted(pair.gradients, pair.stride)
    for t in range(0, count, LANES):
        dB, dC, second_dB, second_dC = sum_quads(adjoint.terms, t)
        write_lanes(dB, adjoint.scratch, pair.gradients.B, t, count - t, is_first)
        write_lanes(dC, adjoint.scratch, pair.gradients.C, t, count - t, is_first)
        write_lanes(second_dB, adjoint.scratch, second.B, t, count - t, is_first)
        write_lanes(second_dC, adjoint.scratch, second.C, t, count - t, is_first)
