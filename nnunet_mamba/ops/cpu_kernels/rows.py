"""Buffers of rows of lanes, and how numbers move between them and memory.

A row is 16 float32 numbers, the lanes of one value. A buffer is the address of its first row.
"""

from typing import Any

import numpy as np

from nnunet_mamba.ops.cpu_kernels.lane_transposes import load_transposed, store_transposed, sum_lanes
from nnunet_mamba.ops.cpu_kernels.lanes import (
    Lanes,
    compiled,
    free_rows,
    inlined,
    load,
    load_row,
    number,
    set_number,
    splat,
    store,
    store_row,
)
from nnunet_mamba.ops.cpu_kernels.sizes import LANES

Address = int
Rows = int
ZERO = np.float32(0)


@compiled
def blocks_of(channels: int) -> int:
    """Return how many blocks of lanes hold ``channels``."""
    return (channels + LANES - 1) // LANES


@inlined
def shifted(address: Address, offset: int) -> Address:
    """Return the address of the number that is ``offset`` numbers on."""
    return address + 4 * offset


@compiled
def free_all(buffers: Any) -> None:
    """Give back every buffer of a named tuple of them."""
    for rows in buffers:
        free_rows(rows)


@compiled
def zeros() -> Lanes:
    """Return lanes of zeros."""
    return splat(ZERO)


@compiled
def clear(rows: Rows, n_rows: int) -> None:
    """Set rows of lanes to zero."""
    for row in range(n_rows):
        store_row(rows, row, splat(ZERO))


@compiled
def fill(rows: Rows, first: int, count: int, lanes: Lanes) -> None:
    """Set ``count`` rows from ``first`` on to the same lanes."""
    for row in range(first, first + count):
        store_row(rows, row, lanes)


@compiled
def gather(flat: Address, offset: int, stride: int, width: int, rows: Rows, count: int) -> None:
    """Read ``count`` tokens of ``width`` channels into rows of lanes; missing channels are zero."""
    whole = count - count % LANES
    for token in range(0, whole, LANES):
        load_transposed(flat, offset + token, stride, width, rows, token)
    for token in range(whole, count):
        for lane in range(LANES):
            value = number(flat, offset + lane * stride + token) if lane < width else ZERO
            set_number(rows, token * LANES + lane, value)


@compiled
def scatter(rows: Rows, flat: Address, offset: int, stride: int, width: int, count: int) -> None:
    """Write ``count`` rows of lanes as tokens of ``width`` channels."""
    whole = count - count % LANES
    for token in range(0, whole, LANES):
        store_transposed(rows, token, flat, offset + token, stride, width)
    for token in range(whole, count):
        for lane in range(width):
            set_number(flat, offset + lane * stride + token, number(rows, token * LANES + lane))


@compiled
def read_row(flat: Address, offset: int, width: int, rows: Rows, row: int) -> None:
    """Read ``width`` numbers, at most 16, into a row; the others are zero."""
    if width >= LANES:
        store_row(rows, row, load(flat, offset))
    else:
        store_row(rows, row, zeros())
        for lane in range(width):
            set_number(rows, row * LANES + lane, number(flat, offset + lane))


@compiled
def write_row(rows: Rows, row: int, flat: Address, offset: int, width: int, is_first: bool) -> None:
    """Write the first ``width`` numbers of a row, at most 16, or add them if not ``is_first``."""
    if width >= LANES:
        lanes = load_row(rows, row)
        store(flat, offset, lanes if is_first else lanes + load(flat, offset))
    else:
        for lane in range(width):
            before = ZERO if is_first else number(flat, offset + lane)
            set_number(flat, offset + lane, before + number(rows, row * LANES + lane))


@compiled
def write_lanes(lanes: Lanes, scratch: Rows, flat: Address, offset: int, width: int, is_first: bool) -> None:
    """Write the first ``width`` lanes, or add them if not ``is_first``; ``scratch`` is a row."""
    if width >= LANES:
        store(flat, offset, lanes if is_first else lanes + load(flat, offset))
    else:
        store_row(scratch, 0, lanes)
        for lane in range(width):
            before = ZERO if is_first else number(flat, offset + lane)
            set_number(flat, offset + lane, before + number(scratch, lane))


@compiled
def sum_over_channels(rows: Rows, sums: Rows, flat: Address, offset: int, count: int, is_first: bool) -> None:
    """Write the sum over the lanes of each of ``count`` rows to ``flat``, or add it if not ``is_first``."""
    for t in range(0, count, LANES):
        write_lanes(sum_lanes(rows, t), sums, flat, offset + t, min(LANES, count - t), is_first)
