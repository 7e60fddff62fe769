"""The compiled forward pass of a pooled group norm: statistics, then windows; ``numba_layout`` tells how it walks."""

import math
from typing import Any

import numpy as np
from numba import carray

from nnunet_mamba.ops.cpu_kernels.kernel_task import claim_job
from nnunet_mamba.ops.cpu_kernels.lane_choices import where_larger
from nnunet_mamba.ops.cpu_kernels.lanes import (
    Lanes,
    compiled,
    free_rows,
    inlined,
    load,
    load_row,
    multiply_add,
    new_rows,
    number,
    set_number,
    store_row,
)
from nnunet_mamba.ops.cpu_kernels.rows import Address, Rows, free_all, zeros
from nnunet_mamba.ops.cpu_kernels.sizes import LANES
from nnunet_mamba.ops.pooled_norm.numba_layout import (
    ALL,
    ANY_PAIRS,
    PAIRS,
    ROW_END,
    SINGLE,
    SQUARE,
    SQUARE_PAIRS,
    TASK_NUMBERS,
    Block,
    Coefficients,
    Sizes,
    block_of,
    first_of,
    kind_of_window,
    n_whole,
    new_coefficients,
    normalised,
    pixels_of_lanes,
    pixels_of_share,
    read_place,
    row_offset,
    set_coefficients,
    sizes_of,
    window_of,
    write,
)

# Rows of lanes of which float32 sums are made; sums of such sums are float64.
_SUMMED = 128


@compiled
def _sum(x: Address, offset: int, stride: int, count: int) -> Lanes:
    """Return the sum of ``count`` rows of lanes, ``stride`` apart; four sums side by side wait less for each other."""
    a, b, c, d = zeros(), zeros(), zeros(), zeros()
    whole = count - count % 4
    for i in range(0, whole, 4):
        at = offset + i * stride
        a = a + load(x, at)
        b = b + load(x, at + stride)
        c = c + load(x, at + 2 * stride)
        d = d + load(x, at + 3 * stride)
    for i in range(whole, count):
        a = a + load(x, offset + i * stride)
    return (a + b) + (c + d)


@inlined
def _add_square(x: Address, offset: int, mean: Lanes, total: Lanes) -> Lanes:
    centred = load(x, offset) - mean
    return multiply_add(centred, centred, total)


@compiled
def _sum_squares(x: Address, offset: int, stride: int, count: int, mean: Lanes) -> Lanes:
    """Return the sum of the squares of the same rows less ``mean``."""
    a, b, c, d = zeros(), zeros(), zeros(), zeros()
    whole = count - count % 4
    for i in range(0, whole, 4):
        at = offset + i * stride
        a = _add_square(x, at, mean, a)
        b = _add_square(x, at + stride, mean, b)
        c = _add_square(x, at + 2 * stride, mean, c)
        d = _add_square(x, at + 3 * stride, mean, d)
    for i in range(whole, count):
        a = _add_square(x, offset + i * stride, mean, a)
    return (a + b) + (c + d)


@compiled
def _sum_lanes(x: Address, offset: int, period: int, count: int, sums: Rows, squares: Rows) -> None:
    """Sum ``count`` times ``period`` rows of lanes, every ``_SUMMED`` by themselves."""
    row = 0
    for start in range(0, count, _SUMMED):
        summed = min(_SUMMED, count - start)
        for i in range(period):
            at = offset + (start * period + i) * LANES
            total = _sum(x, at, period * LANES, summed)
            mean = total * np.float32(1 / summed)
            store_row(sums, row, total)
            store_row(squares, row, _sum_squares(x, at, period * LANES, summed, mean))
            row += 1


@compiled
def _write_moments(task: Any, case: int, share: int, count: int, sizes: Sizes, sums: Rows, squares: Rows) -> None:
    """Write mean and sum of squares of each channel from the sums of its lanes and the pixels that fill no rows."""
    pixels, n = pixels_of_lanes(sizes), pixels_of_share(share, sizes)
    numbers = pixels * sizes.channels
    remaining = (case + 1) * sizes.pixels - (n - count * pixels)
    for channel in range(sizes.channels):
        total, square = 0.0, 0.0
        for start in range(0, count, _SUMMED):
            for lane in range(channel, numbers, sizes.channels):
                total += number(sums, start // _SUMMED * numbers + lane)
        for pixel in range(remaining, (case + 1) * sizes.pixels):
            total += number(task.x, pixel * sizes.channels + channel)
        mean = total / n if n else 0.0
        for start in range(0, count, _SUMMED):
            summed = min(_SUMMED, count - start)
            for lane in range(channel, numbers, sizes.channels):
                place = start // _SUMMED * numbers + lane
                difference = number(sums, place) / summed - mean
                square += number(squares, place) + summed * difference * difference
        for pixel in range(remaining, (case + 1) * sizes.pixels):
            difference = number(task.x, pixel * sizes.channels + channel) - mean
            square += difference * difference
        place = (case * sizes.shares + share) * 2 * sizes.channels + channel
        set_number(task.moments, place, np.float32(mean))
        set_number(task.moments, place + sizes.channels, np.float32(square))


def moments_jobs(address: Any) -> None:
    """Run jobs of a ``PooledNormTask`` until none is left; fills the moments."""
    task = carray(address, 1, TASK_NUMBERS)[0]
    sizes = sizes_of(task)
    pixels = pixels_of_lanes(sizes)
    whole, period = sizes.pixels // pixels, pixels * sizes.channels // LANES
    most = (whole // sizes.shares + _SUMMED) // _SUMMED * period + period
    sums, squares = new_rows(most), new_rows(most)
    job = claim_job(address)
    while job < task.cases * sizes.shares:
        case, share = job // sizes.shares, job % sizes.shares
        first, last = first_of(share, whole, sizes), first_of(share + 1, whole, sizes)
        offset = (case * sizes.pixels + first * pixels) * sizes.channels
        _sum_lanes(task.x, offset, period, last - first, sums, squares)
        _write_moments(task, case, share, last - first, sizes, sums, squares)
        job = claim_job(address)
    free_rows(sums)
    free_rows(squares)


@compiled
def _statistics(task: Any, case: int, group: int, sizes: Sizes) -> tuple[float, float]:
    """Return mean and 1 / standard deviation of a group, from the moments of its channels in all shares."""
    channels = sizes.groups * sizes.of_group
    total, square = 0.0, 0.0
    for share in range(sizes.shares):
        place, n = (case * sizes.shares + share) * 2 * sizes.channels, pixels_of_share(share, sizes)
        for first in range(group * sizes.of_group, sizes.channels, channels):
            for channel in range(first, first + sizes.of_group):
                total += n * np.float64(number(task.moments, place + channel))
    count = sizes.pixels * sizes.of_group * sizes.together
    mean = total / count
    for share in range(sizes.shares):
        place, n = (case * sizes.shares + share) * 2 * sizes.channels, pixels_of_share(share, sizes)
        for first in range(group * sizes.of_group, sizes.channels, channels):
            for channel in range(first, first + sizes.of_group):
                difference = number(task.moments, place + channel) - mean
                square += number(task.moments, place + sizes.channels + channel) + n * difference * difference
    return mean, 1 / math.sqrt(square / count + number(task.eps, 0))


@inlined
def _pool(
    task: Any,
    place: Block,
    first: int,
    last: int,
    window: tuple[int, int, int],
    reach: int,
    sizes: Sizes,
    coefficients: tuple[Lanes, Lanes, Lanes],
) -> None:
    """Write the maxima of windows ``first`` to ``last`` of a row."""
    mean, scale, bias = coefficients
    rows, row_step, step = window
    for pixel in range(first, last):
        start = place.source + pixel * step * sizes.channels
        largest = normalised(read_place(task.x, start, 0, 0, place.width, reach) - mean, scale, bias)
        for row in range(rows):
            at = start + row_offset(row, row_step, sizes)
            for i in range(step):
                centred = read_place(task.x, at, i, sizes.channels, place.width, reach) - mean
                y = normalised(centred, scale, bias)
                largest = where_larger(y, largest, y, largest)
        write(task.y, place.target + pixel * sizes.channels, place.width, reach, largest)


@compiled
def _pool_row(task: Any, case: int, row: int, sizes: Sizes, coefficients: Coefficients) -> None:
    for back in range(sizes.blocks):
        block = sizes.blocks - 1 - back
        place, whole = block_of(case, row, block, sizes), n_whole(block, sizes)
        of_block = (
            load_row(coefficients.mean, block),
            load_row(coefficients.scale, block),
            load_row(coefficients.bias, block),
        )
        kind, window = kind_of_window(sizes), window_of(sizes)
        # The usual windows as constants, for which LLVM unrolls the loops over them.
        if kind == SINGLE:
            _pool(task, place, 0, whole, (1, 1, 1), ALL, sizes, of_block)
        elif kind == SQUARE:
            _pool(task, place, 0, whole, (2, 2, 2), ALL, sizes, of_block)
        elif kind == SQUARE_PAIRS:
            _pool(task, place, 0, whole, (2, 2, 2), PAIRS, sizes, of_block)
        elif kind == ANY_PAIRS:
            _pool(task, place, 0, whole, (window[0], window[1], 2), PAIRS, sizes, of_block)
        else:
            _pool(task, place, 0, whole, window, ALL, sizes, of_block)
        _pool(task, place, whole, sizes.pooled_width, window, ROW_END, sizes, of_block)


def forward_jobs(address: Any) -> None:
    """Run jobs of a ``PooledNormTask`` that has moments; fills y, and the statistics where they have an address."""
    task = carray(address, 1, TASK_NUMBERS)[0]
    sizes = sizes_of(task)
    coefficients = new_coefficients(sizes)
    job = claim_job(address)
    while job < task.cases * sizes.shares:
        case, share = job // sizes.shares, job % sizes.shares
        for group in range(sizes.groups):
            mean, exact_rstd = _statistics(task, case, group, sizes)
            # As the backward pass reads it again, which would find other maxima with another one.
            rstd = np.float64(np.float32(exact_rstd))
            set_coefficients(task, group, mean, rstd, sizes, coefficients)
            if share == 0 and task.statistics != 0:
                set_number(task.statistics, (case * sizes.groups + group) * 2, np.float32(mean))
                set_number(task.statistics, (case * sizes.groups + group) * 2 + 1, np.float32(rstd))
        total = sizes.pooled_total
        for row in range(first_of(share, total, sizes), first_of(share + 1, total, sizes)):
            _pool_row(task, case, row, sizes, coefficients)
        job = claim_job(address)
    free_all(coefficients)
