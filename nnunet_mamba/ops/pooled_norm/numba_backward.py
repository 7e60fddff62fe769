"""The compiled backward pass of a pooled group norm; ``numba_layout`` tells how it walks over the map.

With x^ = (x - mean) * rstd and g = dy at the largest position of each window, 0 elsewhere, over a group of N numbers:

    dweight = sum of g x^,   dbias = sum of g
    dx = rstd (weight g - mean of weight g - x^ mean of weight g x^)

The first pass over the map sums, the second writes dx; both find the largest positions again.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import carray

from nnunet_mamba.ops.cpu_kernels.kernel_task import claim_job
from nnunet_mamba.ops.cpu_kernels.lane_choices import first_halves, second_halves, where_equal, where_larger
from nnunet_mamba.ops.cpu_kernels.lanes import (
    Lanes,
    compiled,
    inlined,
    load_row,
    multiply_add,
    new_rows,
    number,
    set_number,
    splat,
    store,
    store_row,
)
from nnunet_mamba.ops.cpu_kernels.rows import Rows, clear, free_all, write_row, zeros
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
    read,
    read_place,
    row_offset,
    set_coefficients,
    sizes_of,
    window_of,
    write,
)


class Sums(NamedTuple):
    """Sums of a job, (blocks, 16) each; the lanes of missing channels have numbers without a meaning."""

    dy: Rows
    products: Rows  # of dy and the centred map


class Slopes(NamedTuple):
    """What turns dy and the centred map into dx, scale * g + offset + slope * (x - mean); (blocks, 16) each."""

    offset: Rows
    slope: Rows


@compiled
def _read_statistics(task: Any, case: int, sizes: Sizes, coefficients: Coefficients) -> None:
    for group in range(sizes.groups):
        place = (case * sizes.groups + group) * 2
        mean, rstd = number(task.statistics, place), number(task.statistics, place + 1)
        set_coefficients(task, group, np.float64(mean), np.float64(rstd), sizes, coefficients)


@inlined
def _sum_windows(
    task: Any,
    place: Block,
    first: int,
    last: int,
    window: tuple[int, int, int],
    reach: int,
    sizes: Sizes,
    coefficients: tuple[Lanes, Lanes, Lanes],
) -> tuple[Lanes, Lanes]:
    """Return the sums of dy, and of dy times the centred maxima, over windows ``first`` to ``last`` of a row."""
    mean, scale, bias = coefficients
    rows, row_step, step = window
    total, products = zeros(), zeros()
    for pixel in range(first, last):
        start = place.source + pixel * step * sizes.channels
        chosen = read_place(task.x, start, 0, 0, place.width, reach) - mean
        largest = normalised(chosen, scale, bias)
        for row in range(rows):
            at = start + row_offset(row, row_step, sizes)
            for i in range(step):
                centred = read_place(task.x, at, i, sizes.channels, place.width, reach) - mean
                y = normalised(centred, scale, bias)
                chosen = where_larger(y, largest, centred, chosen)
                largest = where_larger(y, largest, y, largest)
        dy = read(task.dy, place.target + pixel * sizes.channels, place.width, reach)
        total = total + dy
        products = multiply_add(dy, chosen, products)
    return total, products


@compiled
def _sum_row(task: Any, case: int, row: int, sizes: Sizes, coefficients: Coefficients, sums: Sums) -> None:
    for block in range(sizes.blocks):
        place, whole = block_of(case, row, block, sizes), n_whole(block, sizes)
        of_block = (
            load_row(coefficients.mean, block),
            load_row(coefficients.scale, block),
            load_row(coefficients.bias, block),
        )
        kind, window = kind_of_window(sizes), window_of(sizes)
        if kind == SINGLE:
            total, products = _sum_windows(task, place, 0, whole, (1, 1, 1), ALL, sizes, of_block)
        elif kind == SQUARE:
            total, products = _sum_windows(task, place, 0, whole, (2, 2, 2), ALL, sizes, of_block)
        elif kind == SQUARE_PAIRS:
            total, products = _sum_windows(task, place, 0, whole, (2, 2, 2), PAIRS, sizes, of_block)
        elif kind == ANY_PAIRS:
            total, products = _sum_windows(task, place, 0, whole, (window[0], window[1], 2), PAIRS, sizes, of_block)
        else:
            total, products = _sum_windows(task, place, 0, whole, window, ALL, sizes, of_block)
        store_row(sums.dy, block, load_row(sums.dy, block) + total)
        store_row(sums.products, block, load_row(sums.products, block) + products)
        total, products = _sum_windows(task, place, whole, sizes.pooled_width, window, ROW_END, sizes, of_block)
        store_row(sums.dy, block, load_row(sums.dy, block) + total)
        store_row(sums.products, block, load_row(sums.products, block) + products)


def sums_jobs(address: Any) -> None:
    """Run jobs of a ``PooledNormTask`` that has statistics until none is left; fills the sums."""
    task = carray(address, 1, TASK_NUMBERS)[0]
    sizes = sizes_of(task)
    coefficients = new_coefficients(sizes)
    sums = Sums(new_rows(sizes.blocks), new_rows(sizes.blocks))
    job = claim_job(address)
    while job < task.cases * sizes.shares:
        case, share = job // sizes.shares, job % sizes.shares
        _read_statistics(task, case, sizes, coefficients)
        clear(sums.dy, sizes.blocks)
        clear(sums.products, sizes.blocks)
        total = sizes.pooled_total
        for row in range(first_of(share, total, sizes), first_of(share + 1, total, sizes)):
            _sum_row(task, case, row, sizes, coefficients, sums)
        for block in range(sizes.blocks):
            offset, width = job * 2 * sizes.channels + block * LANES, sizes.channels - block * LANES
            write_row(sums.dy, block, task.sums, offset, width, True)
            write_row(sums.products, block, task.sums, offset + sizes.channels, width, True)
        job = claim_job(address)
    free_all(coefficients)
    free_all(sums)


@compiled
def _set_slopes(task: Any, case: int, sizes: Sizes, slopes: Slopes) -> None:
    """Set what the means of weight g and weight g x^ over each group take from dx."""
    channels, count = sizes.groups * sizes.of_group, sizes.pixels * sizes.of_group * sizes.together
    for group in range(sizes.groups):
        total, products = 0.0, 0.0
        for channel in range(group * sizes.of_group, (group + 1) * sizes.of_group):
            weight = np.float64(number(task.weight, channel))
            total += weight * _summed(task, case, channel, 0, sizes)
            products += weight * _summed(task, case, channel, 1, sizes)
        rstd = np.float64(number(task.statistics, (case * sizes.groups + group) * 2 + 1))
        for first in range(group * sizes.of_group, sizes.channels, channels):
            for lane in range(first, first + sizes.of_group):
                set_number(slopes.offset, lane, np.float32(-rstd * total / count))
                set_number(slopes.slope, lane, np.float32(-rstd * rstd * rstd * products / count))


@compiled
def _summed(task: Any, case: int, channel: int, which: int, sizes: Sizes) -> float:
    """Return the sum of one channel of the map over all shares of a case: of dy, or, if ``which`` is 1, of products."""
    total = 0.0
    for share in range(sizes.shares):
        place = ((case * sizes.shares + share) * 2 + which) * sizes.channels
        for lane in range(channel, sizes.channels, sizes.groups * sizes.of_group):
            total += number(task.sums, place + lane)
    return total


@compiled
def _write_gradients_of_weights(task: Any, sizes: Sizes) -> None:
    for channel in range(sizes.groups * sizes.of_group):
        dweight, dbias = 0.0, 0.0
        for case in range(task.cases):
            rstd = number(task.statistics, (case * sizes.groups + channel // sizes.of_group) * 2 + 1)
            dweight += rstd * _summed(task, case, channel, 1, sizes)
            dbias += _summed(task, case, channel, 0, sizes)
        set_number(task.dweight, channel, np.float32(dweight))
        set_number(task.dbias, channel, np.float32(dbias))


@inlined
def _write_windows(
    task: Any,
    place: Block,
    first: int,
    last: int,
    window: tuple[int, int, int],
    reach: int,
    sizes: Sizes,
    coefficients: tuple[Lanes, Lanes, Lanes, Lanes, Lanes],
) -> None:
    """Write dx of windows ``first`` to ``last`` of a row."""
    mean, scale, bias, offset, slope = coefficients
    rows, row_step, step = window
    for pixel in range(first, last):
        start = place.source + pixel * step * sizes.channels
        largest = normalised(read_place(task.x, start, 0, 0, place.width, reach) - mean, scale, bias)
        winner = zeros()
        for row in range(rows):
            at = start + row_offset(row, row_step, sizes)
            for i in range(step):
                y = normalised(read_place(task.x, at, i, sizes.channels, place.width, reach) - mean, scale, bias)
                winner = where_larger(y, largest, splat(np.float32(row * step + i)), winner)
                largest = where_larger(y, largest, y, largest)
        dy = read(task.dy, place.target + pixel * sizes.channels, place.width, reach)
        at_winner, before = multiply_add(dy, scale, offset), offset
        for row in range(rows):
            at = start + row_offset(row, row_step, sizes)
            for i in range(step):
                centred = read_place(task.x, at, i, sizes.channels, place.width, reach) - mean
                rest = where_equal(winner, splat(np.float32(row * step + i)), at_winner, offset)
                dx = multiply_add(centred, slope, rest)
                if reach != PAIRS:
                    write(task.dx, at + i * sizes.channels, place.width, reach, dx)
                elif i == 1:
                    store(task.dx, at, first_halves(before, dx))
                    store(task.dx, at + LANES, second_halves(before, dx))
                before = dx


@compiled
def _write_row(task: Any, case: int, row: int, sizes: Sizes, coefficients: Coefficients, slopes: Slopes) -> None:
    for back in range(sizes.blocks):
        block = sizes.blocks - 1 - back
        place, whole = block_of(case, row, block, sizes), n_whole(block, sizes)
        of_block = (
            load_row(coefficients.mean, block),
            load_row(coefficients.scale, block),
            load_row(coefficients.bias, block),
            load_row(slopes.offset, block),
            load_row(slopes.slope, block),
        )
        kind, window = kind_of_window(sizes), window_of(sizes)
        if kind == SINGLE:
            _write_windows(task, place, 0, whole, (1, 1, 1), ALL, sizes, of_block)
        elif kind == SQUARE:
            _write_windows(task, place, 0, whole, (2, 2, 2), ALL, sizes, of_block)
        elif kind == SQUARE_PAIRS:
            _write_windows(task, place, 0, whole, (2, 2, 2), PAIRS, sizes, of_block)
        elif kind == ANY_PAIRS:
            _write_windows(task, place, 0, whole, (window[0], window[1], 2), PAIRS, sizes, of_block)
        else:
            _write_windows(task, place, 0, whole, window, ALL, sizes, of_block)
        _write_windows(task, place, whole, sizes.pooled_width, window, ROW_END, sizes, of_block)


def backward_jobs(address: Any) -> None:
    """Run jobs of a ``PooledNormTask`` that has statistics and sums until none is left; fills the gradients."""
    task = carray(address, 1, TASK_NUMBERS)[0]
    sizes = sizes_of(task)
    coefficients = new_coefficients(sizes)
    slopes = Slopes(new_rows(sizes.blocks), new_rows(sizes.blocks))
    clear(slopes.offset, sizes.blocks)
    clear(slopes.slope, sizes.blocks)
    job = claim_job(address)
    while job < task.cases * sizes.shares:
        case, share = job // sizes.shares, job % sizes.shares
        _read_statistics(task, case, sizes, coefficients)
        _set_slopes(task, case, sizes, slopes)
        if job == 0:
            _write_gradients_of_weights(task, sizes)
        total = sizes.pooled_total
        for row in range(first_of(share, total, sizes), first_of(share + 1, total, sizes)):
            _write_row(task, case, row, sizes, coefficients, slopes)
        job = claim_job(address)
    free_all(coefficients)
    free_all(slopes)
