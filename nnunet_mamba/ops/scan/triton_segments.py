"""Triton kernels that find the states which segments of a scan start from, in the tiles of ``triton_forward``.

Every segment is scanned from a state of zero, and the ends are passed on from segment to segment.
"""

import triton.language as tl

from nnunet_mamba.ops.scan.triton_forward import (
    LOG2_E,
    advance,
    channels_of,
    decays,
    kernel,
    load_per_channel,
    load_wide,
    locate,
    masks,
    outer,
    own_states,
    retreat,
    rows,
    silu_gate,
    step_sizes,
)

SMALLEST_NORMAL = tl.constexpr(1.1754944e-38)


@kernel
def segment_ends_kernel(
    x_ptr: tl.tensor,
    delta_ptr: tl.tensor,
    A_ptr: tl.tensor,
    matrix_ptr: tl.tensor,
    z_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    ends_ptr: tl.tensor,
    steps_ptr: tl.tensor,
    x_stride: tl.tensor,
    delta_stride: tl.tensor,
    matrix_stride: tl.tensor,
    z_stride: tl.tensor,
    d: tl.tensor,
    length: tl.tensor,
    group_size: tl.tensor,
    segment_length: tl.tensor,
    n: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    ADJOINT: tl.constexpr,
    T: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    D: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    """Find what a segment adds to the state at its end, (b, segments, n, d), and its steps' sum, (b, segments, d).

    The adjoint runs from the last token to the first, with dy and C for x and matrix.
    """
    n_segments = tl.cdiv(length, segment_length)
    b, segment, group, slot = locate(tl.program_id(0), tl.cdiv(group_size, K * D), n_segments, d // group_size)
    channel, exists = channels_of(group, slot, group_size, K * D)
    state = tl.arange(0, N)
    rate, is_state, place = own_states(A_ptr, channel, exists, state, d, n, K)
    bias = load_per_channel(bias_ptr, channel, exists)
    x_rows = rows(x_ptr + b * x_stride, channel, length, T)
    delta_rows = rows(delta_ptr + b * delta_stride, channel, length, T)
    matrix_rows = rows(matrix_ptr + b * matrix_stride, group * n + state, length, T)
    end, steps = tl.zeros([K, N, D], tl.float32), tl.zeros([K * D], tl.float32)
    start = segment * segment_length
    n_tiles = tl.cdiv(tl.minimum(segment_length, length - start), T)
    for i in tl.range(0, n_tiles, num_stages=STAGES):
        first = start + (n_tiles - 1 - i if ADJOINT else i) * T
        mask, state_mask = masks(first, length, exists, n, T, N)
        step = step_sizes(load_wide(delta_rows + first, mask), bias, mask, SOFTPLUS)
        steps += tl.sum(step, 1)
        x = load_wide(x_rows + first, mask)
        if z_ptr is not None:
            x *= silu_gate(rows(z_ptr + b * z_stride, channel, length, T), first, mask)
        matrix = load_wide(matrix_rows + first, state_mask)
        if ADJOINT:
            end = retreat(end, decays(step, rate, n), outer(x, matrix, K, n))[0]
        else:
            end = advance(end, decays(step, rate, n), outer(step * x, matrix, K, n))[0]
    entry = b * n_segments + segment
    tl.store(ends_ptr + entry * n * d + place, end, mask=is_state)
    tl.store(steps_ptr + entry * d + channel, steps, mask=exists)


@kernel
def carry_kernel(
    ends_ptr: tl.tensor,
    steps_ptr: tl.tensor,
    A_ptr: tl.tensor,
    d: tl.tensor,
    n_segments: tl.tensor,
    n: tl.constexpr,
    ADJOINT: tl.constexpr,
    N: tl.constexpr,
    D: tl.constexpr,
) -> None:
    """Replace the segments' ends by the states that they start from: before the first token, or after the last."""
    n_blocks = tl.cdiv(d, D)
    b = (tl.program_id(0) // n_blocks).to(tl.int64)
    channel = tl.program_id(0) % n_blocks * D + tl.arange(0, D)
    state = tl.arange(0, N)[:, None]
    mask = (state < n) & (channel < d)[None, :]
    A = tl.load(A_ptr + channel[None, :] * n + state, mask=mask, other=0.0)
    carry = tl.zeros([N, D], tl.float32)
    for i in range(0, n_segments):
        entry = b * n_segments + (n_segments - 1 - i if ADJOINT else i)
        places = ends_ptr + entry * n * d + state * d + channel[None, :]
        end = tl.load(places, mask=mask, other=0.0)
        steps = tl.load(steps_ptr + entry * d + channel, mask=channel < d, other=0.0)
        tl.store(places, carry, mask=mask)
        decay = tl.exp2(A * LOG2_E * steps[None, :])
        # Token by token an infinite state stays infinite and a zero stays zero, where the product of all decays
        # has become 0 or infinite.
        decay = tl.where(tl.abs(carry) == float("inf"), tl.maximum(decay, SMALLEST_NORMAL), decay)
        carry = tl.where(carry == 0, end, decay * carry + end)
