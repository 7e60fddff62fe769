"""What the compiled loops of a pooled group norm share: its task, its sizes, and how it walks over a map.

The map is read as (case, plane, row, pixel, channel). A job is one case times one share of the rows of the result, or,
for the moments, of the pixels. Lanes are sixteen channels of one pixel. Neighbours are put together where that fills
the lanes: they count as one pixel with the channels of all of them. Elsewhere lanes beyond the last channel are the
next pixel's, computed with the wrong weights and written all the same: pixels are written from the first to the last,
and blocks of channels from the last to the first, so that the right numbers come later. Only where a row ends are the
lanes counted.
"""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from nnunet_mamba.ops.cpu_kernels.kernel_task import Fields, Task, integers, task_numbers
from nnunet_mamba.ops.cpu_kernels.lane_choices import first_halves, load_first, second_halves, store_first
from nnunet_mamba.ops.cpu_kernels.lanes import (
    Lanes,
    compiled,
    inlined,
    load,
    multiply_add,
    new_rows,
    number,
    set_number,
    store,
)
from nnunet_mamba.ops.cpu_kernels.rows import Address, Rows, blocks_of, clear
from nnunet_mamba.ops.cpu_kernels.sizes import LANES


class PooledNormTask(Task):
    """A pooled norm as the kernels get it: addresses of contiguous float32 arrays (0: absent), and sizes."""

    _fields_: ClassVar[Fields] = integers(
        *("x", "dx"),  # (cases, planes, rows, width, channels)
        *("y", "dy"),  # (cases, planes / plane_step, rows / row_step, width / step, channels)
        *("weight", "bias"),
        *("dweight", "dbias"),  # (channels of the map,), like the last two
        "eps",  # (1,)
        "moments",  # (cases, shares, 2, channels): mean of each channel, and sum of squares around it
        "statistics",  # (cases, groups, 2): mean and 1 / standard deviation
        "sums",  # (cases, shares, 2, channels): of dy, and of dy times what is pooled less its mean
        *("cases", "planes", "rows", "width", "groups"),
        "channels",  # of a pixel, which may be several put together
        "together",  # how many pixels of the map are put together
        *("plane_step", "row_step", "step"),  # the window
        "shares",  # into how many jobs a case is divided
    )


# How far lanes reach: all sixteen are the row's, or only some of them, or they are two windows of two pixels.
ALL, ROW_END, PAIRS = 0, 1, 2
SINGLE, SQUARE, SQUARE_PAIRS, ANY_PAIRS, ANY = 0, 1, 2, 3, 4
TASK_NUMBERS = task_numbers(PooledNormTask)


class Sizes(NamedTuple):
    """The sizes of a task."""

    channels: int
    together: int
    groups: int
    of_group: int  # channels of the map in a group
    blocks: int
    shares: int
    rows: int  # of a plane; ``width`` is the pixels of a row
    width: int
    plane_step: int
    row_step: int
    step: int
    pooled_rows: int  # of a plane of the result
    pooled_width: int
    pooled_total: int  # rows of all planes of the result
    pixels: int  # of a case


class Coefficients(NamedTuple):
    """What turns a map of one case into its norm, (x - mean) * scale + bias; (blocks, 16) each."""

    mean: Rows
    scale: Rows
    bias: Rows


class Block(NamedTuple):
    """Sixteen channels of one row of windows."""

    source: int  # number of the map at which the first window starts
    target: int  # the same of the result
    width: int  # channels that there are, at most 16


@compiled
def sizes_of(task: Any) -> Sizes:
    """Read the sizes of a task."""
    pooled_rows = task.rows // task.row_step
    return Sizes(
        task.channels,
        task.together,
        task.groups,
        task.channels // task.together // task.groups,
        blocks_of(task.channels),
        task.shares,
        task.rows,
        task.width,
        task.plane_step,
        task.row_step,
        task.step,
        pooled_rows,
        task.width // task.step,
        task.planes // task.plane_step * pooled_rows,
        task.planes * task.rows * task.width,
    )


@compiled
def first_of(share: int, total: int, sizes: Sizes) -> int:
    """Return where a share of ``total`` things starts; it ends where the next one starts."""
    return share * total // sizes.shares


@compiled
def pixels_of_lanes(sizes: Sizes) -> int:
    """Return how many pixels fill whole rows of lanes."""
    pixels = LANES
    while pixels > 1 and (pixels // 2) * sizes.channels % LANES == 0:
        pixels //= 2
    return pixels


@compiled
def pixels_of_share(share: int, sizes: Sizes) -> int:
    """Return of how many pixels a share's moments are; the last share has those that fill no rows of lanes."""
    pixels = pixels_of_lanes(sizes)
    whole = sizes.pixels // pixels
    count: int = (first_of(share + 1, whole, sizes) - first_of(share, whole, sizes)) * pixels
    return count + sizes.pixels % pixels if share == sizes.shares - 1 else count


@compiled
def new_coefficients(sizes: Sizes) -> Coefficients:
    """Return coefficients that are zero; those of missing channels stay so."""
    rows = Coefficients(new_rows(sizes.blocks), new_rows(sizes.blocks), new_rows(sizes.blocks))
    for one in rows:
        clear(one, sizes.blocks)
    return rows


@compiled
def set_coefficients(task: Any, group: int, mean: float, rstd: float, sizes: Sizes, rows: Coefficients) -> None:
    """Set those of one group from its mean and 1 / standard deviation."""
    for channel in range(group * sizes.of_group, (group + 1) * sizes.of_group):
        scale, bias = np.float32(rstd * number(task.weight, channel)), number(task.bias, channel)
        for lane in range(channel, sizes.channels, sizes.groups * sizes.of_group):
            set_number(rows.mean, lane, np.float32(mean))
            set_number(rows.scale, lane, scale)
            set_number(rows.bias, lane, bias)


@compiled
def block_of(case: int, row: int, block: int, sizes: Sizes) -> Block:
    """Return where block ``block`` of the windows in row ``row`` of a case's result is."""
    channel = block * LANES
    plane = row // sizes.pooled_rows * sizes.plane_step
    first = plane * sizes.rows + row % sizes.pooled_rows * sizes.row_step
    return Block(
        (case * sizes.pixels + first * sizes.width) * sizes.channels + channel,
        (case * sizes.pooled_total + row) * sizes.pooled_width * sizes.channels + channel,
        min(LANES, sizes.channels - channel),
    )


@compiled
def n_whole(block: int, sizes: Sizes) -> int:
    """Return for how many windows of a row sixteen lanes from ``block`` on do not reach beyond the row."""
    beyond = sizes.channels - (block + 1) * LANES  # of the last pixel, negative
    return sizes.pooled_width if beyond >= 0 else max(0, sizes.pooled_width + beyond // sizes.channels)


@compiled
def window_of(sizes: Sizes) -> tuple[int, int, int]:
    """Return the rows of a window in all planes, those in one plane, and the pixels of a row."""
    return sizes.plane_step * sizes.row_step, sizes.row_step, sizes.step


@compiled
def kind_of_window(sizes: Sizes) -> int:
    """Return which of the windows that kernels have loops of their own for these are."""
    is_square = sizes.plane_step == 1 and sizes.row_step == 2 and sizes.step == 2
    if sizes.together > 1 and sizes.step == 2:
        return SQUARE_PAIRS if is_square else ANY_PAIRS
    if sizes.plane_step * sizes.row_step * sizes.step == 1:
        return SINGLE
    return SQUARE if is_square else ANY


@inlined
def read(flat: Address, offset: int, width: int, reach: int) -> Lanes:
    """Return sixteen numbers, or ``width`` of them where the row ends."""
    return load_first(flat, offset, width) if reach == ROW_END else load(flat, offset)


@inlined
def write(flat: Address, offset: int, width: int, reach: int, lanes: Lanes) -> None:
    """Write sixteen numbers, or ``width`` of them where the row ends."""
    if reach == ROW_END:
        store_first(flat, offset, width, lanes)
    else:
        store(flat, offset, lanes)


@inlined
def read_place(flat: Address, offset: int, i: int, channels: int, width: int, reach: int) -> Lanes:
    """Return place ``i`` of the windows in the row of windows at ``offset``."""
    if reach == PAIRS:
        one, other = load(flat, offset), load(flat, offset + LANES)
        return first_halves(one, other) if i == 0 else second_halves(one, other)
    return read(flat, offset + i * channels, width, reach)


@inlined
def row_offset(row: int, row_step: int, sizes: Sizes) -> int:
    """Return how far row ``row`` of a window is from its first one."""
    return (row // row_step * sizes.rows + row % row_step) * sizes.width * sizes.channels


@inlined
def normalised(centred: Lanes, scale: Lanes, bias: Lanes) -> Lanes:
    """Return what is pooled; the backward pass finds the same maxima because it computes the same."""
    return multiply_add(centred, scale, bias)
