"""Triton kernels of a small Mamba block before and after its scan.

A program takes a chunk of a case and T tokens, in the order of the scan; a tile is (channels, T), tokens side by side
in the lanes of a warp. Products with weights add one outer product after the other: the sums are as short as the
weights are, and a lane keeps nothing but its results. What the scan reads is written in its layout, (b * n_parallel,
channels, l), so that nothing is copied in between.
"""

import triton.language as tl

from nnunet_mamba.ops.scan.triton_forward import compiled, kernel, load_per_channel


@compiled
def located(length: tl.tensor, T: tl.constexpr) -> tuple[tl.tensor, tl.tensor]:
    """Return the chunk of a case, counted over all cases, and the T positions of this program."""
    n_tiles = tl.cdiv(length, T)
    return (tl.program_id(0) // n_tiles).to(tl.int64), tl.program_id(0) % n_tiles * T + tl.arange(0, T)


@compiled
def token_places(
    entry: tl.tensor,
    position: tl.tensor,
    length: tl.tensor,
    n_parallel: tl.tensor,
    d_model: tl.tensor,
    REVERSE: tl.constexpr,
) -> tl.tensor:
    """Return where the tokens of a chunk begin in (b, l, n_parallel * d_model), (T,)."""
    place = length - 1 - position if REVERSE else position
    return ((entry // n_parallel * length + place) * n_parallel + entry % n_parallel) * d_model


@compiled
def outer_product(
    weights: tl.tensor, channel: tl.tensor, stride: tl.tensor, exists: tl.tensor, numbers: tl.tensor
) -> tl.tensor:
    """Return the products of every so many-th weight with one number per token, (channels, T)."""
    return load_per_channel(weights, channel * stride, exists)[:, None] * numbers[None, :]


@compiled
def write(
    pointer: tl.tensor, row: tl.tensor, position: tl.tensor, n_rows: tl.tensor, length: tl.tensor, tile: tl.tensor
) -> None:
    """Store a tile in rows of ``length`` tokens."""
    mask = (row < n_rows)[:, None] & (position < length)[None, :]
    tl.store(pointer + row.to(tl.int64)[:, None] * length + position[None, :], tile, mask=mask)


@compiled
def write_decay(
    A_ptr: tl.tensor, A_log_ptr: tl.tensor, channel: tl.tensor, state: tl.tensor, d_inner: tl.tensor, n: tl.tensor
) -> None:
    """Store A = -exp(A_log), (d_inner, n)."""
    places = channel[:, None] * n + state[None, :]
    mask = (channel < d_inner)[:, None] & (state < n)[None, :]
    tl.store(A_ptr + places, -tl.exp(tl.load(A_log_ptr + places, mask=mask, other=0.0)), mask=mask)


@compiled
def projected_in(
    tokens_ptr: tl.tensor,
    in_proj_ptr: tl.tensor,
    conv_ptr: tl.tensor,
    places: tl.tensor,
    distance: tl.tensor,
    position: tl.tensor,
    inside: tl.tensor,
    channel: tl.tensor,
    d_model: tl.tensor,
    d_inner: tl.tensor,
    d_conv: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Return x, its convolution without bias, and z, (D, T); an earlier token begins ``distance`` numbers away."""
    exists = channel < d_inner
    x = tl.zeros([channel.shape[0], position.shape[0]], tl.float32)
    convolved, z = x, x
    for number in range(d_model):
        weight = load_per_channel(in_proj_ptr + number, channel * d_model, exists)
        token = tl.load(tokens_ptr + places + number, mask=inside, other=0.0)
        x += weight[:, None] * token[None, :]
        z += outer_product(in_proj_ptr + d_inner * d_model + number, channel, d_model, exists, token)
        for back in tl.static_range(1, d_conv):
            is_earlier = inside & (position >= back)
            token = tl.load(tokens_ptr + places + (number + back * distance), mask=is_earlier, other=0.0)
            tap = load_per_channel(conv_ptr + (d_conv - 1 - back), channel * d_conv, exists) * weight
            # Before the first token x is zero, even where a weight is not finite.
            convolved += tl.where(is_earlier[None, :], tap[:, None] * token[None, :], 0.0)
    return x, convolved + load_per_channel(conv_ptr + (d_conv - 1), channel * d_conv, exists)[:, None] * x, z


@kernel
def project_kernel(
    tokens_ptr: tl.tensor,
    in_proj_ptr: tl.tensor,
    conv_ptr: tl.tensor,
    conv_bias_ptr: tl.tensor,
    x_proj_ptr: tl.tensor,
    dt_proj_ptr: tl.tensor,
    A_log_ptr: tl.tensor,
    A_ptr: tl.tensor,
    read_ptr: tl.tensor,
    kept_ptr: tl.tensor,
    length: tl.tensor,
    n_parallel: tl.tensor,
    d_model: tl.tensor,
    d_inner: tl.tensor,
    dt_rank: tl.tensor,
    n: tl.tensor,
    d_conv: tl.constexpr,
    REVERSE: tl.constexpr,
    T: tl.constexpr,
    D: tl.constexpr,
    N: tl.constexpr,
) -> None:
    """Compute what the scan reads: u, delta and z, then B and C, (b * n_parallel, 3 d_inner + 2 n, l), and A.

    Unless ``kept_ptr`` is None, x before the convolution and after it, and dt, are kept for the backward pass,
    (b * n_parallel, 2 d_inner + dt_rank, l).
    """
    entry, position = located(length, T)
    inside, channel, state = position < length, tl.arange(0, D), tl.arange(0, N)
    places = token_places(entry, position, length, n_parallel, d_model, REVERSE)
    distance = n_parallel * d_model if REVERSE else -n_parallel * d_model
    x, convolved, z = projected_in(
        *(tokens_ptr, in_proj_ptr, conv_ptr, places, distance, position, inside, channel, d_model, d_inner, d_conv)
    )
    convolved += load_per_channel(conv_bias_ptr, channel, channel < d_inner)[:, None]
    u = convolved * tl.sigmoid(convolved)
    read_ptr += entry * (3 * d_inner + 2 * n) * length
    write(read_ptr, channel, position, d_inner, length, u)
    write(read_ptr + 2 * d_inner * length, channel, position, d_inner, length, z)
    if kept_ptr is not None:
        kept_ptr += entry * (2 * d_inner + dt_rank) * length
        write(kept_ptr, channel, position, d_inner, length, x)
        write(kept_ptr + d_inner * length, channel, position, d_inner, length, convolved)
    # From here on the lanes read each other's channels.
    tl.debug_barrier()
    delta = tl.zeros([D, T], tl.float32)
    for rank in range(dt_rank):
        dt = tl.zeros([T], tl.float32)
        for i in range(d_inner):
            dt += tl.load(x_proj_ptr + rank * d_inner + i) * tl.load(
                read_ptr + i * length + position, mask=inside, other=0.0
            )
        delta += outer_product(dt_proj_ptr + rank, channel, dt_rank, channel < d_inner, dt)
        if kept_ptr is not None:
            tl.store(kept_ptr + (2 * d_inner + rank) * length + position, dt, mask=inside)
    write(read_ptr + d_inner * length, channel, position, d_inner, length, delta)
    B, C = tl.zeros([N, T], tl.float32), tl.zeros([N, T], tl.float32)
    x_proj_ptr += dt_rank * d_inner
    for i in range(d_inner):
        numbers = tl.load(read_ptr + i * length + position, mask=inside, other=0.0)
        B += outer_product(x_proj_ptr + i, state, d_inner, state < n, numbers)
        C += outer_product(x_proj_ptr + n * d_inner + i, state, d_inner, state < n, numbers)
    read_ptr += 3 * d_inner * length
    write(read_ptr, state, position, n, length, B)
    write(read_ptr + n * length, state, position, n, length, C)
    if tl.program_id(0) == 0:
        write_decay(A_ptr, A_log_ptr, channel, state, d_inner, n)


@kernel
def mix_kernel(
    y_ptr: tl.tensor,
    out_proj_ptr: tl.tensor,
    mixed_ptr: tl.tensor,
    length: tl.tensor,
    n_parallel: tl.tensor,
    d_model: tl.tensor,
    d_inner: tl.tensor,
    REVERSE: tl.constexpr,
    T: tl.constexpr,
    M: tl.constexpr,
) -> None:
    """Compute the mixed tokens, (b, l, n_parallel * d_model), of the scan's result, (b * n_parallel, d_inner, l)."""
    entry, position = located(length, T)
    inside, number = position < length, tl.arange(0, M)
    mixed = tl.zeros([M, T], tl.float32)
    y_ptr += entry * d_inner * length
    for channel in range(d_inner):
        y = tl.load(y_ptr + channel * length + position, mask=inside, other=0.0)
        mixed += outer_product(out_proj_ptr + channel, number, d_inner, number < d_model, y)
    places = token_places(entry, position, length, n_parallel, d_model, REVERSE)
    mask = (number < d_model)[:, None] & inside[None, :]
    tl.store(mixed_ptr + places[None, :] + number[:, None], mixed, mask=mask)
