"""Triton kernel of the backward scan, in the tiles of ``triton_forward``.

A program walks its segment from the last chunk of 64 tokens to the first. In each it starts from the saved state, runs
forward once to note the state before every tile, and takes the tiles in reverse: states again, adjoint, gradients.
Sums over channels that a program does not own go to buffers of its own, so that nothing depends on who comes first.
"""

import triton.language as tl

from nnunet_mamba.ops.scan.triton_forward import (
    SAVED_EVERY,
    advance,
    as_in_memory,
    by_channel,
    by_state,
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
    with_token,
)


@compiled
def gate_and_slope(z_rows: tl.tensor, first: tl.tensor, mask: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """Return SiLU(z) and its derivative, (K * D, T)."""
    z = load_wide(z_rows + first, mask)
    sigmoid = tl.sigmoid(z)
    return z * sigmoid, sigmoid * (1 + z * (1 - sigmoid))


@compiled
def sum_of_channels(tile: tl.tensor) -> tl.tensor:
    """Return the sum of a (T, K, N, D) tile over its channels, (N, T)."""
    return tl.trans(tl.sum(tl.sum(tile, 1), 2))


@compiled
def inside_scan(tile: tl.tensor, mask: tl.tensor, PADDED: tl.constexpr) -> tl.tensor:
    """Put 0 where a (T, K, N, D) tile is outside ``mask``, (K * D, T); 0 * inf would be NaN there."""
    if PADDED:
        tile = tl.where(by_channel(mask, tile.shape[1]), tile, 0.0)
    return tile


@compiled
def sum_of_states(tile: tl.tensor) -> tl.tensor:
    """Return the sum of a (T, K, N, D) tile over its states, (K * D, T)."""
    return as_in_memory(tl.sum(tile, 2))


@compiled
def store_sum(pointers: tl.tensor, tile: tl.tensor, mask: tl.tensor, ADD: tl.constexpr) -> None:
    """Store a tile, or add it to what an earlier launch has stored."""
    if ADD:
        tile += tl.load(pointers, mask=mask, other=0.0)
    tl.store(pointers, tile, mask=mask)


@compiled
def note_states(
    places: tl.tensor,
    h: tl.tensor,
    u_rows: tl.tensor,
    delta_rows: tl.tensor,
    B_rows: tl.tensor,
    A: tl.tensor,
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
    for i in range(0, n_tiles):
        tl.store(places + i * A.numel, h)
        at = first + i * T
        mask, state_mask = masks(at, length, exists, n, T, A.shape[1])
        step = step_sizes(load_wide(delta_rows + at, mask), bias, mask, SOFTPLUS)
        u = load_wide(u_rows + at, mask)
        B = load_wide(B_rows + at, state_mask)
        h = advance(h, decays(step, A, n), outer(step * u, B, A.shape[0], n))[0]
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
    dz_ptr: tl.tensor,
    dB_ptr: tl.tensor,
    dC_ptr: tl.tensor,
    sums_ptr: tl.tensor,
    u_stride: tl.tensor,
    delta_stride: tl.tensor,
    B_stride: tl.tensor,
    C_stride: tl.tensor,
    z_stride: tl.tensor,
    d: tl.tensor,
    length: tl.tensor,
    group_size: tl.tensor,
    segment_length: tl.tensor,
    first_slot: tl.tensor,
    n_slots: tl.tensor,
    n: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    PADDED: tl.constexpr,
    ADD: tl.constexpr,
    T: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    D: tl.constexpr,
) -> None:
    """Compute all gradients of a segment.

    Every slot has its own dB and dC, (n_slots, b, g, n, l). ``sums``, (b, segments, d, n + 2), are dA, dD and the
    gradient of the bias. ``notes`` is a program's memory for 64 / T states.
    """
    groups, n_segments = d // group_size, tl.cdiv(length, segment_length)
    b, segment, group, slot, channel, exists = locate(first_slot, n_slots, n_segments, group_size, groups, K * D)
    state = tl.arange(0, N)
    A, is_state, place = own_states(A_ptr, channel, exists, d, n, K, N)
    bias, skip = load_per_channel(bias_ptr, channel, exists), load_per_channel(D_ptr, channel, exists)
    u_rows = rows(u_ptr + b * u_stride, channel, length, T)
    delta_rows = rows(delta_ptr + b * delta_stride, channel, length, T)
    B_rows = rows(B_ptr + b * B_stride, group * n + state, length, T)
    C_rows = rows(C_ptr + b * C_stride, group * n + state, length, T)
    like_u = rows(b * d * length, channel, length, T)
    b_total = tl.num_programs(0) // (n_slots * groups * n_segments)
    row = (((slot - first_slot) * b_total + b) * groups + group) * n + state
    dB_rows, dC_rows = rows(dB_ptr, row, length, T), rows(dC_ptr, row, length, T)
    notes = notes_ptr + tl.program_id(0).to(tl.int64) * (SAVED_EVERY // T * K * N * D)
    notes += over_states(state * (K * D), tl.arange(0, K * D), K)
    q, dA = tl.zeros([K, N, D], tl.float32), tl.zeros([K, N, D], tl.float32)
    dD, dbias = tl.zeros([K * D], tl.float32), tl.zeros([K * D], tl.float32)
    if carries_ptr is not None:
        q = tl.load(carries_ptr + (b * n_segments + segment) * n * d + place, mask=is_state, other=0.0)
    start = segment * segment_length
    end = tl.minimum(start + segment_length, length)
    for i in range(0, tl.cdiv(end - start, SAVED_EVERY)):
        chunk = tl.cdiv(end, SAVED_EVERY) - 1 - i
        n_tiles = tl.cdiv(tl.minimum(end - chunk * SAVED_EVERY, SAVED_EVERY), T)
        saved = (b * tl.cdiv(length, SAVED_EVERY) + chunk) * n * d
        h = tl.load(states_ptr + saved + place, mask=is_state, other=0.0)
        note_states(
            notes, h, u_rows, delta_rows, B_rows, A, bias, exists, chunk * SAVED_EVERY, n_tiles, length, n, SOFTPLUS
        )
        for j in range(0, n_tiles):
            tile = n_tiles - 1 - j
            first = chunk * SAVED_EVERY + tile * T
            mask, state_mask = masks(first, length, exists, n, T, N)
            u, delta = load_wide(u_rows + first, mask), load_wide(delta_rows + first, mask)
            B, C = load_wide(B_rows + first, state_mask), load_wide(C_rows + first, state_mask)
            dy = load_wide(dy_ptr + like_u + first, mask)
            step = step_sizes(delta, bias, mask, SOFTPLUS)
            decay = decays(step, A, n)
            h, before, H = advance(tl.load(notes + tile * A.numel), decay, outer(step * u, B, K, n))
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
            ddelta = sum_of_states(to_exponent * A[None]) + u * to_update
            if SOFTPLUS:
                ddelta *= tl.sigmoid(delta + bias[:, None])
            du = step * to_update
            if D_ptr is not None:
                du += skip[:, None] * dy
            tl.store(du_ptr + like_u + first, du, mask=mask)
            tl.store(ddelta_ptr + like_u + first, ddelta, mask=mask)
            dB = sum_of_channels(inside_scan(G * by_channel(step * u, K), mask, PADDED))
            dC = sum_of_channels(inside_scan(H * by_channel(dy, K), mask, PADDED))
            store_sum(dB_rows + first, dB, state_mask, ADD)
            store_sum(dC_rows + first, dC, state_mask, ADD)
            dA += tl.sum(inside_scan(to_exponent * by_channel(step, K), mask, PADDED), 0)
            dD += tl.sum(tl.where(mask, dy * u, 0.0), 1)
            dbias += tl.sum(tl.where(mask, ddelta, 0.0), 1)
        tl.debug_barrier()
    sums = ((b * n_segments + segment) * d + channel) * (n + 2)
    tl.store(sums_ptr + over_states(state, sums, K), dA, mask=is_state)
    tl.store(sums_ptr + sums + n, dD, mask=exists)
    tl.store(sums_ptr + sums + n + 1, dbias, mask=exists)
