"""Triton kernel of the cross scan's backward pass, laid out as the scan's, ``scan.triton_backward``.

Each direction has its own gradient of the map and of the step sizes, which torch sums and multiplies afterwards.
"""

import triton.language as tl

from nnunet_mamba.ops.directions.triton_forward import (
    DIRECTIONS,
    cross_step_sizes,
    per_token,
    places,
    step_weights,
)
from nnunet_mamba.ops.scan.triton_backward import inside_scan, store_sum, sums_of_channels
from nnunet_mamba.ops.scan.triton_forward import (
    LN_2,
    SAVED_EVERY,
    advance,
    by_channel,
    by_state,
    channels_of,
    compiled,
    decays,
    kernel,
    load_per_channel,
    load_wide,
    locate,
    masks,
    outer,
    over_states,
    own_states,
    retreat,
    sum_of_states,
    token,
    with_token,
)


@compiled
def note_cross_states(
    notes: tl.tensor,
    h: tl.tensor,
    u_ptr: tl.tensor,
    read: tl.tensor,
    weights: tl.tensor,
    channel: tl.tensor,
    exists: tl.tensor,
    rate: tl.tensor,
    bias: tl.tensor,
    first: tl.tensor,
    n_tiles: tl.tensor,
    direction: tl.tensor,
    d: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    rank: tl.constexpr,
    n: tl.constexpr,
    T: tl.constexpr,
) -> None:
    """Store the state before each of ``n_tiles`` tiles, beginning with h before token ``first``."""
    stride = DIRECTIONS * (rank + 2 * n)
    for i in range(0, n_tiles - 1):
        tl.store(notes + i * rate.numel, h)
        at = first + i * T
        mask, state_mask = masks(at, height * width, exists, n, T, rate.shape[1])
        there = places(at, direction, height, width, T)
        inside = at + tl.arange(0, T) < height * width
        step, _ = cross_step_sizes(weights, read, there, stride, inside, bias, mask, rank)
        u = load_wide(per_token(u_ptr, channel, there, d), mask)
        B = load_wide(per_token(read + rank, tl.arange(0, rate.shape[1]), there, stride), state_mask)
        h = advance(h, decays(step, rate, n), outer(step * u, B, rate.shape[0], n))[0]
    tl.store(notes + (n_tiles - 1) * rate.numel, h)
    tl.debug_barrier()


@kernel
def cross_backward_kernel(
    u_ptr: tl.tensor,
    projected_ptr: tl.tensor,
    dt_proj_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    A_ptr: tl.tensor,
    D_ptr: tl.tensor,
    dy_ptr: tl.tensor,
    states_ptr: tl.tensor,
    carries_ptr: tl.tensor,
    notes_ptr: tl.tensor,
    du_ptr: tl.tensor,
    ddelta_ptr: tl.tensor,
    dA_ptr: tl.tensor,
    dBC_ptr: tl.tensor,
    dD_ptr: tl.tensor,
    dbias_ptr: tl.tensor,
    d: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    segment_length: tl.tensor,
    n_batches: tl.tensor,
    n_items: tl.tensor,
    n_buffers: tl.tensor,
    rank: tl.constexpr,
    n: tl.constexpr,
    R: tl.constexpr,
    PADDED: tl.constexpr,
    T: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    D: tl.constexpr,
) -> None:
    """Compute the gradients of the map, (DIRECTIONS, b, l, d), and of the scan's operands.

    ddelta, (DIRECTIONS, b, l, d), is that of what softplus makes the step sizes of, without the bias. dB and dC,
    (n_buffers, b, l, DIRECTIONS, 2, n), are sums of every n_buffers-th slot; dA, (b, segments, DIRECTIONS d, n), dD and
    the bias's gradient those of a segment. ``notes`` is a program's memory for 64 / T states.
    """
    length, stride = height * width, DIRECTIONS * (rank + 2 * n)
    n_segments, n_slots = tl.cdiv(length, segment_length), tl.cdiv(d, K * D)
    state, both = tl.arange(0, N), tl.arange(0, 2)
    notes = notes_ptr + tl.program_id(0).to(tl.int64) * (SAVED_EVERY // T * K * N * D)
    notes += over_states(state * (K * D), tl.arange(0, K * D), K)
    for item in range(tl.program_id(0), n_items, tl.num_programs(0)):
        b, segment, direction, buffer = locate(item, n_buffers, n_segments, DIRECTIONS)
        read = projected_ptr + b * length * stride + direction * (rank + 2 * n)
        dBC = dBC_ptr + (buffer.to(tl.int64) * n_batches + b) * length * (DIRECTIONS * 2 * n)
        dBC += (direction * 2 + both[None, None, :]) * n + state[None, :, None]
        end = tl.minimum((segment + 1) * segment_length, length)
        n_chunks = tl.cdiv(end - segment * segment_length, SAVED_EVERY)
        own_map = (direction.to(tl.int64) * n_batches + b) * length * d
        for slot in range(buffer, n_slots, n_buffers):
            channel, exists = channels_of(0, slot, d, K * D)
            row = direction * d + channel
            rate, is_state, of_carries = own_states(A_ptr, row, exists, state, DIRECTIONS * d, n, K)
            place = over_states(state.to(tl.int64) * d, channel, K)
            bias, skip = load_per_channel(bias_ptr, row, exists), load_per_channel(D_ptr, row, exists)
            weights = step_weights(dt_proj_ptr, row, exists, K, rank, R)
            q, dA = tl.zeros([K, N, D], tl.float32), tl.zeros([K, N, D], tl.float32)
            dD, dbias = tl.zeros([K * D], tl.float32), tl.zeros([K * D], tl.float32)
            if carries_ptr is not None:
                carries = carries_ptr + (b * n_segments + segment) * n * DIRECTIONS * d
                q = tl.load(carries + of_carries, mask=is_state, other=0.0)
            for i in range(0, n_chunks):
                chunk = tl.cdiv(end, SAVED_EVERY) - 1 - i
                at = chunk * SAVED_EVERY
                n_tiles = tl.cdiv(tl.minimum(end - at, SAVED_EVERY), T)
                saved = states_ptr + ((b * DIRECTIONS + direction) * tl.cdiv(length, SAVED_EVERY) + chunk) * n * d
                h = tl.load(saved + place, mask=is_state, other=0.0)
                note_cross_states(
                    *(notes, h, u_ptr + b * length * d, read, weights, channel, exists, rate, bias),
                    *(at, n_tiles, direction, d, height, width, rank, n, T),
                )
                for j in range(0, n_tiles):
                    tile = n_tiles - 1 - j
                    first = at + tile * T
                    mask, state_mask = masks(first, length, exists, n, T, N)
                    there = places(first, direction, height, width, T)
                    inside = first + tl.arange(0, T) < length
                    u = load_wide(per_token(u_ptr + b * length * d, channel, there, d), mask)
                    dy = load_wide(per_token(dy_ptr + b * length * d, channel, there, d), mask)
                    B = load_wide(per_token(read + rank, state, there, stride), state_mask)
                    C = load_wide(per_token(read + rank + n, state, there, stride), state_mask)
                    step, delta = cross_step_sizes(weights, read, there, stride, inside, bias, mask, rank)
                    decay = decays(step, rate, n)
                    h, before, H = advance(tl.load(notes + tile * rate.numel), decay, outer(step * u, B, K, n))
                    q, G, Q = retreat(q, decay, outer(dy, C, K, n))
                    to_exponent = Q * before
                    if first == 0:
                        # Before the first token there is no state to decay; 0 * inf would be NaN.
                        to_exponent = with_token(to_exponent, 0, tl.zeros([K, N, D], tl.float32))
                    to_update = sum_of_states(G * by_state(B))
                    ddelta = sum_of_states(to_exponent * rate[None]) * LN_2 + u * to_update
                    ddelta *= tl.sigmoid(delta)
                    du = step * to_update + skip[:, None] * dy
                    tl.store(per_token(du_ptr + own_map, channel, there, d), du, mask=mask)
                    tl.store(per_token(ddelta_ptr + own_map, channel, there, d), ddelta, mask=mask)
                    sums = sums_of_channels(
                        inside_scan(G * by_channel(step * u, K), mask, PADDED),
                        inside_scan(H * by_channel(dy, K), mask, PADDED),
                    )
                    targets = dBC + (there * (DIRECTIONS * 2 * n))[:, None, None]
                    store_sum(targets, sums, tl.trans(state_mask)[:, :, None], slot != buffer)
                    to_A = inside_scan(to_exponent * by_channel(step, K), mask, PADDED)
                    for t in tl.static_range(T):
                        dA += token(to_A, t)
                    dD += tl.sum(tl.where(mask, dy * u, 0.0), 1)
                    dbias += tl.sum(tl.where(mask, ddelta, 0.0), 1)
                tl.debug_barrier()
            entry = (b * n_segments + segment) * DIRECTIONS * d + row
            tl.store(dA_ptr + over_states(state, entry * n, K), dA, mask=is_state)
            tl.store(dD_ptr + entry, dD, mask=exists)
            tl.store(dbias_ptr + entry, dbias, mask=exists)
