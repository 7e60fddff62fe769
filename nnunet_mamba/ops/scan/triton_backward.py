"""Triton kernel of the backward scan, in the tiles of ``triton_forward``.

There are no more programs than the GPU runs at a time. Each takes one item of work after the other, and the items that
follow are known in advance: a segment's tokens and, of a group's channels, every so many-th slot. It walks a slot from
the last chunk of 64 tokens to the first. In each chunk it starts from the saved state, runs forward once to note the
state before every tile, and takes the tiles in reverse: states again, adjoint, gradients. Sums over channels go to a
buffer that belongs to the item, which adds its slots in their order: nothing depends on who comes first.
"""

import triton.language as tl

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
    rows,
    step_sizes,
    sum_of_states,
    token,
    with_token,
)


@compiled
def gate_and_slope(z_rows: tl.tensor, first: tl.tensor, mask: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """Return SiLU(z) and its derivative, (K * D, T)."""
    z = load_wide(z_rows + first, mask)
    sigmoid = tl.sigmoid(z)
    return z * sigmoid, sigmoid * (1 + z * (1 - sigmoid))


@compiled
def sums_of_channels(first: tl.tensor, second: tl.tensor) -> tl.tensor:
    """Return the sums of two (T, K, N, D) tiles over their channels, (T, N, 2)."""
    first, second = tl.sum(first, 1), tl.sum(second, 1)
    T: tl.constexpr = first.shape[0]
    N: tl.constexpr = first.shape[1]
    D: tl.constexpr = first.shape[2]
    is_first = tl.arange(0, 2) == 0
    if D == 1:
        both = tl.where(is_first[None, None, :], first, second)
    else:
        # Lanes add in pairs. From then on one of a pair is left for each tile, instead of both for both.
        first = tl.sum(first.reshape([T, N, D // 2, 2]), 3, keep_dims=True)
        second = tl.sum(second.reshape([T, N, D // 2, 2]), 3, keep_dims=True)
        both = tl.sum(tl.where(is_first[None, None, None, :], first, second), 2)
    return both


@compiled
def inside_scan(tile: tl.tensor, mask: tl.tensor, PADDED: tl.constexpr) -> tl.tensor:
    """Put 0 where a (T, K, N, D) tile is outside ``mask``, (K * D, T); 0 * inf would be NaN there."""
    if PADDED:
        tile = tl.where(by_channel(mask, tile.shape[1]), tile, 0.0)
    return tile


@compiled
def store_sum(pointers: tl.tensor, tile: tl.tensor, mask: tl.tensor, is_later: tl.tensor) -> None:
    """Store a tile, or add it to what an earlier slot has stored."""
    tl.store(pointers, tile + tl.load(pointers, mask=mask & is_later, other=0.0), mask=mask)


@compiled
def note_states(
    places: tl.tensor,
    h: tl.tensor,
    u_rows: tl.tensor,
    delta_rows: tl.tensor,
    B_rows: tl.tensor,
    rate: tl.tensor,
    bias: tl.tensor,
    exists: tl.tensor,
    first: tl.tensor,
    n_tiles: tl.tensor,
    length: tl.tensor,
    n: tl.constexpr,
    SOFTPLUS: tl.constexpr,
) -> None:
    """Store the state before each of ``n_tiles`` tiles, beginning with h before token ``first``."""
    T: tl.constexpr = u_rows.shape[1]
    for i in range(0, n_tiles - 1):
        tl.store(places + i * rate.numel, h)
        at = first + i * T
        mask, state_mask = masks(at, length, exists, n, T, rate.shape[1])
        step = step_sizes(load_wide(delta_rows + at, mask), bias, mask, SOFTPLUS)
        u = load_wide(u_rows + at, mask)
        B = load_wide(B_rows + at, state_mask)
        h = advance(h, decays(step, rate, n), outer(step * u, B, rate.shape[0], n))[0]
    tl.store(places + (n_tiles - 1) * rate.numel, h)
    tl.debug_barrier()


@kernel
def backward_kernel(
    u_ptr: tl.tensor,
    delta_ptr: tl.tensor,
    A_ptr: tl.tensor,
    B_ptr: tl.tensor,
    C_ptr: tl.tensor,
    D_ptr: tl.tensor,
    z_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    dy_ptr: tl.tensor,
    states_ptr: tl.tensor,
    carries_ptr: tl.tensor,
    notes_ptr: tl.tensor,
    du_ptr: tl.tensor,
    ddelta_ptr: tl.tensor,
    dA_ptr: tl.tensor,
    dBC_ptr: tl.tensor,
    dD_ptr: tl.tensor,
    dz_ptr: tl.tensor,
    dbias_ptr: tl.tensor,
    u_stride: tl.tensor,
    delta_stride: tl.tensor,
    B_stride: tl.tensor,
    C_stride: tl.tensor,
    z_stride: tl.tensor,
    d: tl.tensor,
    length: tl.tensor,
    group_size: tl.tensor,
    segment_length: tl.tensor,
    n_items: tl.tensor,
    n_buffers: tl.tensor,
    n: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    PADDED: tl.constexpr,
    T: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    D: tl.constexpr,
) -> None:
    """Compute all gradients.

    dB and dC, (2, n_buffers, b, g, n, l), are sums of every n_buffers-th slot, dA, (b, segments, d, n), dD and the
    bias's gradient, (b, segments, d), those of a segment. ``notes`` is a program's memory for 64 / T states.
    """
    groups, n_segments, n_slots = d // group_size, tl.cdiv(length, segment_length), tl.cdiv(group_size, K * D)
    state = tl.arange(0, N)
    notes = notes_ptr + tl.program_id(0).to(tl.int64) * (SAVED_EVERY // T * K * N * D)
    notes += over_states(state * (K * D), tl.arange(0, K * D), K)
    for item in range(tl.program_id(0), n_items, tl.num_programs(0)):
        b, segment, group, buffer = locate(item, n_buffers, n_segments, groups)
        B_rows = rows(B_ptr + b * B_stride, group * n + state, length, T)
        C_rows = rows(C_ptr + b * C_stride, group * n + state, length, T)
        n_rows = n_items // n_segments * n  # of dB, and of dC
        row = (buffer * (n_rows // (n_buffers * n)) + b * groups + group) * n + state[:, None]
        row += tl.arange(0, 2)[None, :] * n_rows
        dBC = dBC_ptr + row.to(tl.int64)[None] * length + tl.arange(0, T)[:, None, None]
        end = tl.minimum((segment + 1) * segment_length, length)
        n_chunks = tl.cdiv(end - segment * segment_length, SAVED_EVERY)
        for slot in range(buffer, n_slots, n_buffers):
            channel, exists = channels_of(group, slot, group_size, K * D)
            rate, is_state, place = own_states(A_ptr, channel, exists, state, d, n, K)
            bias, skip = load_per_channel(bias_ptr, channel, exists), load_per_channel(D_ptr, channel, exists)
            u_rows = rows(u_ptr + b * u_stride, channel, length, T)
            delta_rows = rows(delta_ptr + b * delta_stride, channel, length, T)
            like_u = rows(b * d * length, channel, length, T)
            q, dA = tl.zeros([K, N, D], tl.float32), tl.zeros([K, N, D], tl.float32)
            dD, dbias = tl.zeros([K * D], tl.float32), tl.zeros([K * D], tl.float32)
            if carries_ptr is not None:
                q = tl.load(carries_ptr + (b * n_segments + segment) * n * d + place, mask=is_state, other=0.0)
            for i in range(0, n_chunks):
                chunk = tl.cdiv(end, SAVED_EVERY) - 1 - i
                n_tiles = tl.cdiv(tl.minimum(end - chunk * SAVED_EVERY, SAVED_EVERY), T)
                at = chunk * SAVED_EVERY
                h = tl.load(
                    states_ptr + (b * tl.cdiv(length, SAVED_EVERY) + chunk) * n * d + place, mask=is_state, other=0.0
                )
                note_states(notes, h, u_rows, delta_rows, B_rows, rate, bias, exists, at, n_tiles, length, n, SOFTPLUS)
                for j in range(0, n_tiles):
                    tile = n_tiles - 1 - j
                    first = at + tile * T
                    mask, state_mask = masks(first, length, exists, n, T, N)
                    u, delta = load_wide(u_rows + first, mask), load_wide(delta_rows + first, mask)
                    B, C = load_wide(B_rows + first, state_mask), load_wide(C_rows + first, state_mask)
                    dy = load_wide(dy_ptr + like_u + first, mask)
                    step = step_sizes(delta, bias, mask, SOFTPLUS)
                    decay = decays(step, rate, n)
                    h, before, H = advance(tl.load(notes + tile * rate.numel), decay, outer(step * u, B, K, n))
                    if z_ptr is not None:
                        gate, slope = gate_and_slope(rows(z_ptr + b * z_stride, channel, length, T), first, mask)
                        y = sum_of_states(H * by_state(C))
                        if D_ptr is not None:
                            y += skip[:, None] * u
                        tl.store(dz_ptr + like_u + first, dy * y * slope, mask=mask)
                        dy *= gate
                    q, G, Q = retreat(q, decay, outer(dy, C, K, n))
                    to_exponent = Q * before
                    if first == 0:
                        # Before the first token there is no state to decay; 0 * inf would be NaN.
                        to_exponent = with_token(to_exponent, 0, tl.zeros([K, N, D], tl.float32))
                    to_update = sum_of_states(G * by_state(B))
                    ddelta = sum_of_states(to_exponent * rate[None]) * LN_2 + u * to_update
                    if SOFTPLUS:
                        ddelta *= tl.sigmoid(delta + bias[:, None])
                    du = step * to_update
                    if D_ptr is not None:
                        du += skip[:, None] * dy
                    tl.store(du_ptr + like_u + first, du, mask=mask)
                    tl.store(ddelta_ptr + like_u + first, ddelta, mask=mask)
                    sums = sums_of_channels(
                        inside_scan(G * by_channel(step * u, K), mask, PADDED),
                        inside_scan(H * by_channel(dy, K), mask, PADDED),
                    )
                    store_sum(dBC + first, sums, tl.trans(state_mask)[:, :, None], slot != buffer)
                    to_A = inside_scan(to_exponent * by_channel(step, K), mask, PADDED)
                    for t in tl.static_range(T):
                        dA += token(to_A, t)
                    dD += tl.sum(tl.where(mask, dy * u, 0.0), 1)
                    dbias += tl.sum(tl.where(mask, ddelta, 0.0), 1)
                tl.debug_barrier()
            entry = (b * n_segments + segment) * d + channel
            tl.store(dA_ptr + over_states(state, entry * n, K), dA, mask=is_state)
            tl.store(dD_ptr + entry, dD, mask=exists)
            tl.store(dbias_ptr + entry, dbias, mask=exists)
