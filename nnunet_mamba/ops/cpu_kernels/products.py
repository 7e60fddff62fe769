"""Products of a matrix of numbers with rows of lanes.

Each number is spread over the lanes and multiplies a row of weights. With so few columns this needs no blocking and no
copy of either side.
"""

from typing import NamedTuple

from nnunet_mamba.ops.cpu_kernels.lanes import compiled, load_row, multiply_add, spread, store_row
from nnunet_mamba.ops.cpu_kernels.rows import Address, Rows
from nnunet_mamba.ops.cpu_kernels.sizes import LANES


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
