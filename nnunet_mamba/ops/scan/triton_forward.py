"""Triton kernels of the forward scan, and the pieces that the backward kernel shares.

A program is one warp. It takes a batch entry, K * D channels of one group and a segment of the tokens, and walks T
tokens at a time in tiles of (T, K, N, D). Triton spreads D and then N over the lanes of the warp and keeps T and K in
the registers of a lane. So the recurrence is one multiply-add per state and token, in the order of its definition, and
picking a token out of a tile costs nothing: ``token`` compares constants, which vanish in compilation. With another
layout the kernels would be slower, not wrong.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import triton
import triton.language as tl

from nnunet_mamba.ops.scan import operands

_Function = TypeVar("_Function", bound=Callable[..., Any])

LN_2 = tl.constexpr(0.6931471805599453)
LOG2_E = tl.constexpr(1.4426950408889634)
SAVED_EVERY = tl.constexpr(operands.SAVED_EVERY)
LARGEST_DECAY_RATE = tl.constexpr(-1e38)  # finite, so that a step of 0 outside the scan does not make it NaN


def compiled(function: _Function) -> _Function:
    """Compile a function that only kernels call."""
    return cast("_Function", triton.jit(function))


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that is launched as ``function[(n_programs,)](...)``."""
    # Triton compiles anew where an integer is 1 or a multiple of 16; for these that would gain nothing.
    sizes = {"group_size", "n_items", "n_buffers", "n_segments", "d_model", "d_inner", "dt_rank", "n_parallel"}
    unspecialized = sizes & set(function.__annotations__)
    return triton.jit(function, do_not_specialize=sorted(unspecialized))


@compiled
def locate(
    item: tl.tensor, n_slots: tl.tensor, n_segments: tl.tensor, groups: tl.tensor
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Return the batch entry, segment, group and slot of an item of work.

    Items that read the same B and C are neighbours.
    """
    group = item // n_slots % groups
    segment = item // (n_slots * groups) % n_segments
    b = item // (n_slots * groups) // n_segments
    return b.to(tl.int64), segment, group, item % n_slots


@compiled
def channels_of(
    group: tl.tensor, slot: tl.tensor, group_size: tl.tensor, CHANNELS: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    """Return the channels of a slot, which is a run of ``CHANNELS`` channels of one group, and which of them exist."""
    in_group = slot * CHANNELS + tl.arange(0, CHANNELS)
    return (group * group_size + in_group).to(tl.int64), in_group < group_size


@compiled
def rows(pointer: tl.tensor, row: tl.tensor, length: tl.tensor, T: tl.constexpr) -> tl.tensor:
    """Return pointers to the first T tokens of rows of ``length`` tokens, (rows, T)."""
    return pointer + row.to(tl.int64)[:, None] * length + tl.arange(0, T)[None, :]


@compiled
def masks(
    first: tl.tensor, length: tl.tensor, exists: tl.tensor, n: tl.constexpr, T: tl.constexpr, N: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    """Return what exists of the tiles from token ``first`` on, (channels, T) and (N, T)."""
    inside = (first + tl.arange(0, T) < length)[None, :]
    return exists[:, None] & inside, (tl.arange(0, N) < n)[:, None] & inside


@compiled
def load_wide(pointers: tl.tensor, mask: tl.tensor) -> tl.tensor:
    """Load in float32, with 0 outside the mask."""
    return tl.load(pointers, mask=mask, other=0.0).to(tl.float32)


@compiled
def load_per_channel(pointer: tl.tensor, channel: tl.tensor, exists: tl.tensor) -> tl.tensor:
    """Return one number per channel, 0 without a pointer."""
    numbers = tl.zeros(channel.shape, tl.float32)
    if pointer is not None:
        numbers = tl.load(pointer + channel, mask=exists, other=0.0)
    return numbers


@compiled
def over_states(per_state: tl.tensor, per_channel: tl.tensor, K: tl.constexpr) -> tl.tensor:
    """Return the sum of an (N,) and a (K * D,) vector as (K, N, D)."""
    tile = per_state[None, :, None] + per_channel.reshape([K, per_channel.shape[0] // K])[:, None, :]
    # If these are offsets, a lane shall not take neighbours in memory: the state would have to be moved between that
    # layout and the one of the recurrence, at every token.
    return tl.max_contiguous(tile, [1, 1, 1])


@compiled
def own_states(
    A_ptr: tl.tensor,
    channel: tl.tensor,
    exists: tl.tensor,
    state: tl.tensor,
    d: tl.tensor,
    n: tl.constexpr,
    K: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Return A log2(e), which states exist, and where they lie in an (n, d) block, each (K, N, D)."""
    is_state = over_states((state < n).to(tl.int32), exists.to(tl.int32), K) == 2
    rate = tl.load(A_ptr + over_states(state, channel * n, K), mask=is_state, other=0.0) * LOG2_E
    rate = tl.where(rate < LARGEST_DECAY_RATE, LARGEST_DECAY_RATE, rate)
    return rate, is_state, over_states(state.to(tl.int64) * d, channel, K)


@compiled
def softplus(x: tl.tensor) -> tl.tensor:
    """Return log(1 + exp(x)), precise where it is tiny too."""
    # log(1 + e) = 2 artanh(s); its series has no cancellation, and e^-|x| neither overflows nor rounds 1 + e to 1.
    e = tl.exp(-tl.abs(x))
    s = e / (2 + e)
    series = s * s * (1.0 / 15) + 1.0 / 13
    for k in tl.static_range(2, 8):
        series = series * (s * s) + 1.0 / (15 - 2 * k)
    return tl.where(x > 0, x, 0.0) + 2 * s * series


@compiled
def step_sizes(delta: tl.tensor, bias: tl.tensor, mask: tl.tensor, SOFTPLUS: tl.constexpr) -> tl.tensor:
    """Return the step sizes, (K * D, T), 0 outside the scan: there the state rests."""
    step = delta + bias[:, None]
    if SOFTPLUS:
        step = softplus(step)
    return tl.where(mask, step, 0.0)


@compiled
def by_channel(tile: tl.tensor, K: tl.constexpr) -> tl.tensor:
    """Return a (K * D, T) tile as (T, K, 1, D)."""
    return tl.trans(tile).reshape([tile.shape[1], K, tile.shape[0] // K])[:, :, None, :]


@compiled
def by_state(tile: tl.tensor) -> tl.tensor:
    """Return an (N, T) tile as (T, 1, N, 1)."""
    return tl.trans(tile)[:, None, :, None]


@compiled
def as_in_memory(tile: tl.tensor) -> tl.tensor:
    """Return a (T, K, D) tile as (K * D, T)."""
    return tl.trans(tile.reshape([tile.shape[0], tile.shape[1] * tile.shape[2]]))


@compiled
def existing_states(tile: tl.tensor, n: tl.constexpr) -> tl.tensor:
    """Put 0 where a (T, K, N, D) tile has more states than the scan; 0 * inf would be NaN there."""
    if tile.shape[2] != n:
        tile = tl.where(tl.arange(0, tile.shape[2])[None, None, :, None] < n, tile, 0.0)
    return tile


@compiled
def decays(step: tl.tensor, rate: tl.tensor, n: tl.constexpr) -> tl.tensor:
    """Return 2^(step rate), (T, K, N, D), for steps (K * D, T) and rates (K, N, D)."""
    return existing_states(tl.exp2(by_channel(step, rate.shape[0]) * rate[None]), n)


@compiled
def outer(per_channel: tl.tensor, per_state: tl.tensor, K: tl.constexpr, n: tl.constexpr) -> tl.tensor:
    """Return the products of a (K * D, T) and an (N, T) tile, (T, K, N, D)."""
    return existing_states(by_channel(per_channel, K) * by_state(per_state), n)


@compiled
def chosen(tile: tl.tensor, is_chosen: tl.tensor, axis: tl.constexpr) -> tl.tensor:
    """Return the part of a tile that is chosen along an axis, which a lane holds in its registers."""
    # As integers: adding a floating-point 0 can change a number, so that it would stay in the compiled code.
    return tl.sum(tl.where(is_chosen, tile.to(tl.int32, bitcast=True), 0), axis).to(tl.float32, bitcast=True)


@compiled
def token(tile: tl.tensor, i: tl.constexpr) -> tl.tensor:
    """Return token i of a (T, K, N, D) tile, (K, N, D)."""
    return chosen(tile, tl.arange(0, tile.shape[0])[:, None, None, None] == i, 0)


@compiled
def sum_of_states(tile: tl.tensor) -> tl.tensor:
    """Return the sum of a (T, K, N, D) tile over its states, (K * D, T)."""
    # One after the other, so that a product and its sum are one instruction; Triton's own sum is a tree.
    T: tl.constexpr = tile.shape[0]
    K: tl.constexpr = tile.shape[1]
    N: tl.constexpr = tile.shape[2]
    D: tl.constexpr = tile.shape[3]
    LANES: tl.constexpr = N if N * D <= 32 else 32 // D
    parts = tile.reshape([T, K, N // LANES, LANES, D])
    part = tl.arange(0, N // LANES)[None, None, :, None, None]
    total = chosen(parts, part == 0, 2)
    for i in tl.static_range(1, N // LANES):
        total += chosen(parts, part == i, 2)
    return as_in_memory(tl.sum(total, 2))


@compiled
def with_token(tile: tl.tensor, i: tl.constexpr, numbers: tl.tensor) -> tl.tensor:
    """Return a (T, K, N, D) tile with (K, N, D) numbers for token i."""
    chosen = tl.arange(0, tile.shape[0])[:, None, None, None] == i
    return tl.where(chosen, numbers[None], tile)


@compiled
def advance(h: tl.tensor, decay: tl.tensor, update: tl.tensor) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Run the recurrence over a tile from state h; return the last state and the states before and after each token."""
    before, after = update, update
    for i in tl.static_range(update.shape[0]):
        before = with_token(before, i, h)
        h = token(decay, i) * h + token(update, i)
        after = with_token(after, i, h)
    return h, before, after


@compiled
def retreat(q: tl.tensor, decay: tl.tensor, source: tl.tensor) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Run the adjoint recurrence over a tile from its end: g = source + q, q = decay g; return q and all g and q."""
    T: tl.constexpr = source.shape[0]
    all_g, all_q = source, source
    for i in tl.static_range(T):
        g = token(source, T - 1 - i) + q
        q = token(decay, T - 1 - i) * g
        all_g = with_token(all_g, T - 1 - i, g)
        all_q = with_token(all_q, T - 1 - i, q)
    return q, all_g, all_q


@compiled
def silu_gate(z_rows: tl.tensor, first: tl.tensor, mask: tl.tensor) -> tl.tensor:
    """Return SiLU(z), (K * D, T)."""
    z = load_wide(z_rows + first, mask)
    return z * tl.sigmoid(z)


@kernel
def forward_kernel(
    u_ptr: tl.tensor,
    delta_ptr: tl.tensor,
    A_ptr: tl.tensor,
    B_ptr: tl.tensor,
    C_ptr: tl.tensor,
    D_ptr: tl.tensor,
    z_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    carries_ptr: tl.tensor,
    y_ptr: tl.tensor,
    states_ptr: tl.tensor,
    u_stride: tl.tensor,
    delta_stride: tl.tensor,
    B_stride: tl.tensor,
    C_stride: tl.tensor,
    z_stride: tl.tensor,
    d: tl.tensor,
    length: tl.tensor,
    group_size: tl.tensor,
    segment_length: tl.tensor,
    n: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    T: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    D: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    """Scan a segment: write y, and the state before every 64th token unless ``states_ptr`` is None.

    Strides are those between batch entries. The states before each segment are ``carries``, (b, segments, n, d), or 0.
    """
    n_segments = tl.cdiv(length, segment_length)
    b, segment, group, slot = locate(tl.program_id(0), tl.cdiv(group_size, K * D), n_segments, d // group_size)
    channel, exists = channels_of(group, slot, group_size, K * D)
    state = tl.arange(0, N)
    rate, is_state, place = own_states(A_ptr, channel, exists, state, d, n, K)
    bias, skip = load_per_channel(bias_ptr, channel, exists), load_per_channel(D_ptr, channel, exists)
    u_rows = rows(u_ptr + b * u_stride, channel, length, T)
    delta_rows = rows(delta_ptr + b * delta_stride, channel, length, T)
    B_rows = rows(B_ptr + b * B_stride, group * n + state, length, T)
    C_rows = rows(C_ptr + b * C_stride, group * n + state, length, T)
    y_rows = rows(y_ptr + b * d * length, channel, length, T)
    h = tl.zeros([K, N, D], tl.float32)
    if carries_ptr is not None:
        h = tl.load(carries_ptr + (b * n_segments + segment) * n * d + place, mask=is_state, other=0.0)
    start = segment * segment_length
    for i in tl.range(0, tl.cdiv(tl.minimum(segment_length, length - start), T), num_stages=STAGES):
        first = start + i * T
        if states_ptr is not None:
            chunk = b * tl.cdiv(length, SAVED_EVERY) + first // SAVED_EVERY
            if first % SAVED_EVERY == 0:
                tl.store(states_ptr + chunk * n * d + place, h, mask=is_state)
        mask, state_mask = masks(first, length, exists, n, T, N)
        u = load_wide(u_rows + first, mask)
        step = step_sizes(load_wide(delta_rows + first, mask), bias, mask, SOFTPLUS)
        update = outer(step * u, load_wide(B_rows + first, state_mask), K, n)
        h, _before, H = advance(h, decays(step, rate, n), update)
        C = load_wide(C_rows + first, state_mask)
        y = sum_of_states(H * by_state(C))
        if D_ptr is not None:
            y += skip[:, None] * u
        if z_ptr is not None:
            y *= silu_gate(rows(z_ptr + b * z_stride, channel, length, T), first, mask)
        tl.store(y_rows + first, y, mask=mask)
