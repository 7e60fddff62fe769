"""What the compiled loops of the fused Mamba block share: task, sizes, weights in lanes, and products with them.

One job is one sequence of tokens. It walks over them in the scan's chunks, from the last token if the task is reversed:
then the stride to the next token is negative, and nothing else differs. The inner channels are blocks of 16 lanes.
A linear layer is a sum over its inputs: each is spread over the lanes and multiplies a row of weights. With so few
inputs this needs no blocking and no copy of either side.
"""

import ctypes
import math
from typing import Any, NamedTuple

import numpy as np

from nnunet_mamba.ops.scan.lanes import (
    LANES,
    Lanes,
    compiled,
    load_row,
    multiply_add,
    new_rows,
    number,
    set_number,
    splat,
    spread,
    store,
    store_row,
)
from nnunet_mamba.ops.scan.numba_blocks import CHUNK, Address, Rows

_ZERO = np.float32(0)


class MambaTask(ctypes.Structure):
    """A block and its tokens as the kernels get them: addresses of contiguous float32 arrays (0: absent), and sizes."""

    NAMES = (
        "next_job",  # claimed by the threads one by one
        *("tokens", "mixed", "dmixed", "dtokens"),  # (cases, length, n_parallel d_model)
        "states",  # (jobs, chunks, n, blocks, 16): h before each chunk
        "sums",  # (jobs, rows, blocks, 16): gradients of the weights, in the order of ``SumRows``
        *("in_proj", "conv", "conv_bias", "x_proj", "dt_proj", "dt_bias", "A_log", "D", "out_proj"),
        *("cases", "n_parallel", "reverse", "length", "d_model", "d_inner", "d_conv", "dt_rank", "d_state"),
    )
    _fields_ = tuple((name, ctypes.c_int64) for name in NAMES)


TASK_NUMBERS = np.dtype([(name, np.int64) for name in MambaTask.NAMES])


class Sizes(NamedTuple):
    """The sizes of a task; ``blocks`` are those of the inner channels, ``model_blocks`` those of the tokens."""

    length: int
    n_parallel: int
    stride: int  # numbers from one token to the next in the order of reading, negative if that is reversed
    d_model: int
    d_inner: int
    d_conv: int
    dt_rank: int
    n: int
    n_projected: int  # dt_rank + 2 n, outputs of x_proj: dt, then B, then C
    blocks: int
    model_blocks: int
    projected_blocks: int
    chunks: int
    reach: int  # rows of x for one block: the chunk's and, before it, the d_conv - 1 that the convolution sees


class SumRows(NamedTuple):
    """Where the gradients of the weights begin in ``sums``, counted in rows of all inner channels."""

    in_x: int  # d_model rows
    in_z: int  # d_model
    conv: int  # d_conv
    conv_bias: int
    x_proj: int  # n_projected
    dt_proj: int  # dt_rank
    dt_bias: int
    A: int  # n
    D: int
    out_proj: int  # d_model
    total: int


class Weights(NamedTuple):
    """Weights in lanes for the forward pass; row r of block i is in row r * blocks + i."""

    in_x: Rows  # (d_model, blocks, 16)
    in_z: Rows  # (d_model, blocks, 16)
    conv: Rows  # (d_conv, blocks, 16)
    conv_bias: Rows  # (blocks, 16)
    x_proj: Rows  # (d_inner, projected_blocks, 16): the lanes are outputs
    dt_proj: Rows  # (dt_rank, blocks, 16)
    dt_bias: Rows  # (blocks, 16)
    rate: Rows  # (n, blocks, 16): A log2(e)
    D: Rows  # (blocks, 16)
    out_proj: Rows  # (d_inner, model_blocks, 16): the lanes are outputs


class TransposedWeights(NamedTuple):
    """Weights in lanes for the backward pass, whose products run from outputs to inputs."""

    in_x: Rows  # (d_inner, model_blocks, 16)
    in_z: Rows  # (d_inner, model_blocks, 16)
    x_proj: Rows  # (n_projected, blocks, 16)
    out_proj: Rows  # (d_model, blocks, 16)


@compiled
def blocks_of(channels: int) -> int:
    """Return how many blocks of lanes hold ``channels``."""
    return (channels + LANES - 1) // LANES


@compiled
def sizes_of(task: Any) -> Sizes:
    """Read the sizes of a task."""
    n_projected = task.dt_rank + 2 * task.d_state
    return Sizes(
        task.length,
        task.n_parallel,
        (-1 if task.reverse else 1) * task.n_parallel * task.d_model,
        task.d_model,
        task.d_inner,
        task.d_conv,
        task.dt_rank,
        task.d_state,
        n_projected,
        blocks_of(task.d_inner),
        blocks_of(task.d_model),
        blocks_of(n_projected),
        (task.length + CHUNK - 1) // CHUNK,
        CHUNK + task.d_conv - 1,
    )


def sum_rows(d_model: int, d_conv: int, dt_rank: int, n: int) -> SumRows:
    """Return where each weight's gradient begins."""
    in_z = d_model
    conv = in_z + d_model
    conv_bias = conv + d_conv
    x_proj = conv_bias + 1
    dt_proj = x_proj + dt_rank + 2 * n
    dt_bias = dt_proj + dt_rank
    A = dt_bias + 1
    D = A + n
    out_proj = D + 1
    return SumRows(0, in_z, conv, conv_bias, x_proj, dt_proj, dt_bias, A, D, out_proj, out_proj + d_model)


sum_rows_in_kernels = compiled(sum_rows)


@compiled
def _in_lanes(flat: Address, offset: int, count: int, row_stride: int, width: int, lane_stride: int) -> Rows:
    """Return ``count`` rows of ``width`` channels in lanes; missing channels, and all of an absent array, are zero."""
    blocks = blocks_of(width)
    rows: Rows = new_rows(count * blocks)
    for row in range(count):
        for lane in range(blocks * LANES):
            present = flat != 0 and lane < width
            value = number(flat, offset + row * row_stride + lane * lane_stride) if present else _ZERO
            set_number(rows, row * blocks * LANES + lane, value)
    return rows


@compiled
def weights_of(task: Any, sizes: Sizes) -> Weights:
    """Arrange the weights for the forward pass."""
    rate = _in_lanes(task.A_log, 0, sizes.n, 1, sizes.d_inner, sizes.n)
    for i in range(sizes.n * sizes.blocks * LANES):
        # Missing channels get a rate of -log2(e), which their zeros decay by.
        set_number(rate, i, np.float32(-math.exp(number(rate, i)) / math.log(2)))
    return Weights(
        _in_lanes(task.in_proj, 0, sizes.d_model, 1, sizes.d_inner, sizes.d_model),
        _in_lanes(task.in_proj, sizes.d_inner * sizes.d_model, sizes.d_model, 1, sizes.d_inner, sizes.d_model),
        _in_lanes(task.conv, 0, sizes.d_conv, 1, sizes.d_inner, sizes.d_conv),
        _in_lanes(task.conv_bias, 0, 1, 0, sizes.d_inner, 1),
        _in_lanes(task.x_proj, 0, sizes.d_inner, 1, sizes.n_projected, sizes.d_inner),
        _in_lanes(task.dt_proj, 0, sizes.dt_rank, 1, sizes.d_inner, sizes.dt_rank),
        _in_lanes(task.dt_bias, 0, 1, 0, sizes.d_inner, 1),
        rate,
        _in_lanes(task.D, 0, 1, 0, sizes.d_inner, 1),
        _in_lanes(task.out_proj, 0, sizes.d_inner, 1, sizes.d_model, sizes.d_inner),
    )


@compiled
def transposed_weights_of(task: Any, sizes: Sizes) -> TransposedWeights:
    """Arrange the weights for the backward pass."""
    return TransposedWeights(
        _in_lanes(task.in_proj, 0, sizes.d_inner, sizes.d_model, sizes.d_model, 1),
        _in_lanes(task.in_proj, sizes.d_inner * sizes.d_model, sizes.d_inner, sizes.d_model, sizes.d_model, 1),
        _in_lanes(task.x_proj, 0, sizes.n_projected, sizes.d_inner, sizes.d_inner, 1),
        _in_lanes(task.out_proj, 0, sizes.d_model, sizes.d_inner, sizes.d_inner, 1),
    )


class Scalars(NamedTuple):
    """A matrix of numbers, tokens by columns, each of which multiplies whole rows of lanes."""

    address: Address
    offset: int  # of the first token's first column
    stride: int  # from one token to the next
    column_stride: int
    columns: int


@compiled
def columns_of_rows(rows: Rows, first: int, columns: int) -> Scalars:
    """Return the first lanes of rows of lanes, one row per token from ``first`` on, as scalars."""
    return Scalars(rows, first * LANES, LANES, 1, columns)


@compiled
def fill(rows: Rows, first: int, count: int, lanes: Lanes) -> None:
    """Set ``count`` rows from ``first`` on to the same lanes."""
    for row in range(first, first + count):
        store_row(rows, row, lanes)


@compiled
def add_product(scalars: Scalars, weights: Rows, row: int, step: int, result: Rows, first: int, count: int) -> None:
    """Add the sum over columns c of scalars[t, c] weights[row + c step] to result[first + t], for ``count`` tokens."""
    x, stride = scalars.address, scalars.stride
    whole = count - count % 4
    # Four tokens at a time share each row of weights.
    for t in range(0, whole, 4):
        r0, r1 = load_row(result, first + t), load_row(result, first + t + 1)
        r2, r3 = load_row(result, first + t + 2), load_row(result, first + t + 3)
        i = scalars.offset + t * stride
        for c in range(scalars.columns):
            weight = load_row(weights, row + c * step)
            r0 = multiply_add(spread(x, i), weight, r0)
            r1 = multiply_add(spread(x, i + stride), weight, r1)
            r2 = multiply_add(spread(x, i + 2 * stride), weight, r2)
            r3 = multiply_add(spread(x, i + 3 * stride), weight, r3)
            i += scalars.column_stride
        store_row(result, first + t, r0)
        store_row(result, first + t + 1, r1)
        store_row(result, first + t + 2, r2)
        store_row(result, first + t + 3, r3)
    for t in range(whole, count):
        r0 = load_row(result, first + t)
        i = scalars.offset + t * stride
        for c in range(scalars.columns):
            r0 = multiply_add(spread(x, i + c * scalars.column_stride), load_row(weights, row + c * step), r0)
        store_row(result, first + t, r0)


@compiled
def add_outer_product(scalars: Scalars, rows: Rows, first: int, count: int, sums: Rows, row: int, step: int) -> None:
    """Add the sum over ``count`` tokens t of scalars[t, c] rows[first + t] to sums[row + c step], for each column c."""
    x, column = scalars.address, scalars.column_stride
    whole = scalars.columns - scalars.columns % 4
    # Four columns at a time share each row.
    for c in range(0, whole, 4):
        s0, s1 = load_row(sums, row + c * step), load_row(sums, row + (c + 1) * step)
        s2, s3 = load_row(sums, row + (c + 2) * step), load_row(sums, row + (c + 3) * step)
        i = scalars.offset + c * column
        for t in range(first, first + count):
            lanes = load_row(rows, t)
            s0 = multiply_add(spread(x, i), lanes, s0)
            s1 = multiply_add(spread(x, i + column), lanes, s1)
            s2 = multiply_add(spread(x, i + 2 * column), lanes, s2)
            s3 = multiply_add(spread(x, i + 3 * column), lanes, s3)
            i += scalars.stride
        store_row(sums, row + c * step, s0)
        store_row(sums, row + (c + 1) * step, s1)
        store_row(sums, row + (c + 2) * step, s2)
        store_row(sums, row + (c + 3) * step, s3)
    for c in range(whole, scalars.columns):
        s0 = load_row(sums, row + c * step)
        i = scalars.offset + c * column
        for t in range(first, first + count):
            s0 = multiply_add(spread(x, i), load_row(rows, t), s0)
            i += scalars.stride
        store_row(sums, row + c * step, s0)


@compiled
def write_tokens(rows: Rows, count: int, sizes: Sizes, flat: Address, offset: int) -> None:
    """Write ``count`` tokens, d_model numbers each, from rows of lanes: block i of token t is row i * CHUNK + t."""
    for block in range(sizes.model_blocks):
        width = min(LANES, sizes.d_model - block * LANES)
        for t in range(count):
            start = offset + t * sizes.stride + block * LANES
            if width == LANES:
                store(flat, start, load_row(rows, block * CHUNK + t))
            else:
                for lane in range(width):
                    set_number(flat, start + lane, number(rows, (block * CHUNK + t) * LANES + lane))


@compiled
def zeros() -> Lanes:
    """Return lanes of zeros."""
    return splat(_ZERO)
