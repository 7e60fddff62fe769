"""One state of a block of channels through a chunk of tokens: h_t = decay_t h_{t-1} + update_t B_t.

h and the decay rate live in registers; y collects C_t h_t. The adjoint is in ``adjoint``.
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
    """One state's B and C, from the first token of a chunk on, or where their gradients are."""

    B: Address
    C: Address


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
def matrices_shifted(of: Matrices, offset: int) -> Matrices:
    """Return the matrices of the state whose numbers are ``offset`` further."""
    return Matrices(shifted(of.B, offset), shifted(of.C, offset))


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
