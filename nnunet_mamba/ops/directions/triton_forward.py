"""Triton kernels of the cross scan's forward pass, in the tiles of the scan's, ``scan.triton_forward``.

A program takes a batch entry, K * D channels, a segment of the tokens and one direction or several. It reads the map
where it lies, position by position in the order of a direction: no copy of the map in another order is made. The step
sizes are computed in registers from dt, which has few numbers for all channels. The T tokens of a tile lie on a line of
the map and at most one more, so that their places are one number and their distance.
"""

import triton.language as tl

from nnunet_mamba.ops.scan.triton_backward import store_sum
from nnunet_mamba.ops.scan.triton_forward import (
    SAVED_EVERY,
    advance,
    by_channel,
    channels_of,
    compiled,
    decays,
    existing_states,
    kernel,
    load_per_channel,
    load_wide,
    locate,
    masks,
    over_states,
    own_states,
    retreat,
    step_sizes,
    sum_of_states,
)

DIRECTIONS = tl.constexpr(4)


@compiled
def places(first: tl.tensor, direction: tl.tensor, height: tl.tensor, width: tl.tensor, T: tl.constexpr) -> tl.tensor:
    """Return where T tokens of a direction from ``first`` on lie in the row-major map, (T,), int64.

    Lines of the map have at least T positions. What lies beyond the last token is to be masked.
    """
    length = height * width
    is_column = direction % 2 == 1
    line, distance = tl.where(is_column, height, length), tl.where(is_column, width, 1)
    start, sign = first, 1
    if direction >= 2:
        start, sign = length - 1 - first, -1
    along = start % line
    steps = tl.arange(0, T) * sign
    leaves_line = (along + steps >= line) | (along + steps < 0)
    there = along * distance + start // line + steps * distance + tl.where(leaves_line, sign * (1 - length), 0)
    return there.to(tl.int64)


@compiled
def per_token(pointer: tl.tensor, column: tl.tensor, there: tl.tensor, stride: tl.tensor) -> tl.tensor:
    """Return pointers to columns of the positions' rows, (columns, T)."""
    return pointer + column.to(tl.int64)[:, None] + (there * stride)[None, :]


@compiled
def lanes_of(N: tl.constexpr, D: tl.constexpr) -> tl.constexpr:
    """Return how many lanes share the N numbers of a channel, in tiles with D channels side by side."""
    return N if N * D <= 32 else 32 // D


@compiled
def in_lanes(N: tl.constexpr, D: tl.constexpr, n: tl.constexpr) -> tl.tensor:
    """Return which of N numbers stands at each place of a tile, (N,), so that those of a lane are neighbours in memory.

    Numbers that do not exist, as n is less than N, stay where ``existing_states`` expects them.
    """
    LANES: tl.constexpr = lanes_of(N, D) if n == N else N
    place = tl.arange(0, N)
    return place % LANES * (N // LANES) + place // LANES


@compiled
def spread(tile: tl.tensor, D: tl.constexpr, n: tl.constexpr) -> tl.tensor:
    """Return an (N, T) tile as (T, 1, N, 1), in the order of ``in_lanes``."""
    N: tl.constexpr = tile.shape[0]
    T: tl.constexpr = tile.shape[1]
    LANES: tl.constexpr = lanes_of(N, D) if n == N else N
    return tl.permute(tile.reshape([LANES, N // LANES, T]), [2, 1, 0]).reshape([T, N])[:, None, :, None]


@compiled
def cross_outer(per_channel: tl.tensor, per_state: tl.tensor, K: tl.constexpr, n: tl.constexpr) -> tl.tensor:
    """Return the products of a (K * D, T) tile and an (N, T) tile, which is spread, (T, K, N, D)."""
    D: tl.constexpr = per_channel.shape[0] // K
    return existing_states(by_channel(per_channel, K) * spread(per_state, D, n), n)


@compiled
def step_weights(
    dt_proj_ptr: tl.tensor, row: tl.tensor, exists: tl.tensor, K: tl.constexpr, rank: tl.constexpr, R: tl.constexpr
) -> tl.tensor:
    """Return the weights that make step sizes of dt, (K, R, D), 0 beyond the rank."""
    number = in_lanes(R, row.shape[0] // K, R)
    is_weight = over_states((number < rank).to(tl.int32), exists.to(tl.int32), K) == 2
    return tl.load(dt_proj_ptr + over_states(number, row * rank, K), mask=is_weight, other=0.0)


@compiled
def cross_step_sizes(
    weights: tl.tensor,
    read: tl.tensor,
    there: tl.tensor,
    stride: tl.tensor,
    inside: tl.tensor,
    bias: tl.tensor,
    mask: tl.tensor,
    rank: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """Return the step sizes, and what softplus makes them of, (channels, T)."""
    number = tl.arange(0, weights.shape[1])
    dt = load_wide(per_token(read, number, there, stride), (number < rank)[:, None] & inside[None, :])
    delta = sum_of_states(weights[None] * spread(dt, weights.shape[2], weights.shape[1]))
    return step_sizes(delta, bias, mask, True), delta + bias[:, None]


@kernel
def cross_forward_kernel(
    u_ptr: tl.tensor,
    projected_ptr: tl.tensor,
    dt_proj_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    A_ptr: tl.tensor,
    D_ptr: tl.tensor,
    carries_ptr: tl.tensor,
    y_ptr: tl.tensor,
    states_ptr: tl.tensor,
    d: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    segment_length: tl.tensor,
    n_batches: tl.tensor,
    n_shares: tl.tensor,
    rank: tl.constexpr,
    n: tl.constexpr,
    R: tl.constexpr,
    T: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    D: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    """Scan a segment in every n_shares-th direction: write their sum to y, (n_shares, b, l, d), and the states.

    The state before every 64th token is kept unless ``states_ptr`` is None. The states before each segment are
    ``carries``, (b, segments, n, DIRECTIONS d), or 0. Several directions of a share cannot have several segments.
    """
    length, stride = height * width, DIRECTIONS * (rank + 2 * n)
    n_segments = tl.cdiv(length, segment_length)
    b, segment, share, slot = locate(tl.program_id(0), tl.cdiv(d, K * D), n_segments, n_shares)
    channel, exists = channels_of(0, slot, d, K * D)
    state, in_tile = tl.arange(0, N), in_lanes(N, D, n)
    y_ptr += (share.to(tl.int64) * n_batches + b) * length * d
    start = segment * segment_length
    n_tiles = tl.cdiv(tl.minimum(segment_length, length - start), T)
    for direction in range(share, DIRECTIONS, n_shares):
        row = direction * d + channel
        rate, is_state, of_carries = own_states(A_ptr, row, exists, in_tile, DIRECTIONS * d, n, K)
        bias, skip = load_per_channel(bias_ptr, row, exists), load_per_channel(D_ptr, row, exists)
        weights = step_weights(dt_proj_ptr, row, exists, K, rank, R)
        place = over_states(in_tile.to(tl.int64) * d, channel, K)
        read = projected_ptr + b * length * stride + direction * (rank + 2 * n)
        h = tl.zeros([K, N, D], tl.float32)
        if carries_ptr is not None:
            carries = carries_ptr + (b * n_segments + segment) * n * DIRECTIONS * d
            h = tl.load(carries + of_carries, mask=is_state, other=0.0)
        for i in tl.range(0, n_tiles, num_stages=STAGES):
            first = start + i * T
            if states_ptr is not None:
                chunk = ((b * DIRECTIONS + direction) * tl.cdiv(length, SAVED_EVERY) + first // SAVED_EVERY) * n * d
                if first % SAVED_EVERY == 0:
                    tl.store(states_ptr + chunk + place, h, mask=is_state)
            mask, state_mask = masks(first, length, exists, n, T, N)
            there = places(first, direction, height, width, T)
            inside = first + tl.arange(0, T) < length
            u = load_wide(per_token(u_ptr + b * length * d, channel, there, d), mask)
            step, _ = cross_step_sizes(weights, read, there, stride, inside, bias, mask, rank)
            B = load_wide(per_token(read + rank, state, there, stride), state_mask)
            C = load_wide(per_token(read + rank + n, state, there, stride), state_mask)
            h, _before, H = advance(h, decays(step, rate, n), cross_outer(step * u, B, K, n))
            y = sum_of_states(H * spread(C, D, n)) + skip[:, None] * u
            store_sum(per_token(y_ptr, channel, there, d), y, mask, direction != share)
        # The next direction adds to what other lanes may have stored.
        tl.debug_barrier()


@kernel
def cross_ends_kernel(
    x_ptr: tl.tensor,
    projected_ptr: tl.tensor,
    dt_proj_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    A_ptr: tl.tensor,
    ends_ptr: tl.tensor,
    steps_ptr: tl.tensor,
    d: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    segment_length: tl.tensor,
    rank: tl.constexpr,
    n: tl.constexpr,
    R: tl.constexpr,
    ADJOINT: tl.constexpr,
    T: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    D: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    """Find what a segment adds to the state at its end, as ``segment_ends_kernel``, in one direction.

    Ends are (b, segments, n, DIRECTIONS d), sums of steps (b, segments, DIRECTIONS d). The adjoint reads dy for x.
    """
    length, stride = height * width, DIRECTIONS * (rank + 2 * n)
    n_segments = tl.cdiv(length, segment_length)
    b, segment, direction, slot = locate(tl.program_id(0), tl.cdiv(d, K * D), n_segments, DIRECTIONS)
    channel, exists = channels_of(0, slot, d, K * D)
    state, in_tile = tl.arange(0, N), in_lanes(N, D, n)
    row = direction * d + channel
    rate, is_state, place = own_states(A_ptr, row, exists, in_tile, DIRECTIONS * d, n, K)
    bias = load_per_channel(bias_ptr, row, exists)
    weights = step_weights(dt_proj_ptr, row, exists, K, rank, R)
    read = projected_ptr + b * length * stride + direction * (rank + 2 * n)
    matrix = read + rank + (n if ADJOINT else 0)
    end, steps = tl.zeros([K, N, D], tl.float32), tl.zeros([K * D], tl.float32)
    start = segment * segment_length
    n_tiles = tl.cdiv(tl.minimum(segment_length, length - start), T)
    for i in tl.range(0, n_tiles, num_stages=STAGES):
        first = start + (n_tiles - 1 - i if ADJOINT else i) * T
        mask, state_mask = masks(first, length, exists, n, T, N)
        there = places(first, direction, height, width, T)
        inside = first + tl.arange(0, T) < length
        step, _ = cross_step_sizes(weights, read, there, stride, inside, bias, mask, rank)
        steps += tl.sum(step, 1)
        x = load_wide(per_token(x_ptr + b * length * d, channel, there, d), mask)
        numbers = load_wide(per_token(matrix, state, there, stride), state_mask)
        if ADJOINT:
            end = retreat(end, decays(step, rate, n), cross_outer(x, numbers, K, n))[0]
        else:
            end = advance(end, decays(step, rate, n), cross_outer(step * x, numbers, K, n))[0]
    entry = (b * n_segments + segment) * DIRECTIONS * d
    tl.store(ends_ptr + entry * n + place, end, mask=is_state)
    tl.store(steps_ptr + entry + row, steps, mask=exists)
