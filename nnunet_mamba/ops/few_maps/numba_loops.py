"""The compiled loops of a convolution from few channels to few.

Lanes are sixteen neighbouring positions of a row. A job is one case times one share of the rows. The maps are
surrounded by zeros, so no position is special; only where a row of the result ends are the lanes counted.
"""

from typing import Any, ClassVar, NamedTuple

from numba import carray

from nnunet_mamba.ops.cpu_kernels.kernel_task import Fields, Task, claim_job, integers, task_numbers
from nnunet_mamba.ops.cpu_kernels.lane_choices import store_first
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
    splat,
    spread,
    store,
    store_row,
)
from nnunet_mamba.ops.cpu_kernels.rows import ZERO, Rows, clear, zeros
from nnunet_mamba.ops.cpu_kernels.sizes import LANES


class ConvolutionTask(Task):
    """A convolution as the loops get it: addresses of contiguous float32 arrays (0: absent), and sizes."""

    _fields_: ClassVar[Fields] = integers(
        "x",  # (cases, inputs, padded_height, padded_width)
        "y",  # (cases, outputs, height, width)
        "dy",  # (cases, outputs, padded_height, padded_width)
        "weight",  # (outputs, inputs, tap_rows, tap_columns)
        "bias",  # (outputs,)
        "sums",  # (cases, shares, *weight): the gradient of the weight, job by job
        *("cases", "inputs", "outputs", "height", "width", "padded_height", "padded_width"),
        *("tap_rows", "tap_columns", "dilation"),
        "shares",  # into how many jobs the rows of a case are divided
    )


TASK_NUMBERS = task_numbers(ConvolutionTask)
# Rows of lanes that are computed side by side, so that each waits less for its last product.
_UNROLLED = 4


class Sizes(NamedTuple):
    """The sizes of a task."""

    inputs: int
    outputs: int
    height: int
    width: int
    padded_height: int
    padded_width: int
    tap_rows: int
    tap_columns: int
    dilation: int
    shares: int


class Rectangle(NamedTuple):
    """A job's part of a case."""

    case: int
    first: int  # row
    last: int  # the row after it


@compiled
def _sizes_of(task: Any) -> Sizes:
    return Sizes(
        task.inputs,
        task.outputs,
        task.height,
        task.width,
        task.padded_height,
        task.padded_width,
        task.tap_rows,
        task.tap_columns,
        task.dilation,
        task.shares,
    )


@compiled
def _part_of(job: int, sizes: Sizes) -> Rectangle:
    share = job % sizes.shares
    first = share * sizes.height // sizes.shares
    return Rectangle(job // sizes.shares, first, (share + 1) * sizes.height // sizes.shares)


@inlined
def _padded_offset(case: int, channels: int, channel: int, row: int, sizes: Sizes) -> int:
    """Return where row ``row`` of a channel of padded maps begins."""
    return ((case * channels + channel) * sizes.padded_height + row) * sizes.padded_width


@inlined
def _store_within(task: Any, offset: int, column: int, width: int, lanes: Lanes) -> None:
    """Write sixteen positions of a row of the result, or those that there are."""
    if column + LANES <= width:
        store(task.y, offset + column, lanes)
    else:
        store_first(task.y, offset + column, width - column, lanes)


@compiled
def _convolve_four(task: Any, case: int, output: int, row: int, column: int, target: int, sizes: Sizes) -> None:
    """Compute 64 positions of a row of one output, of which up to 15 of the last may be missing."""
    start = splat(number(task.bias, output)) if task.bias != 0 else zeros()
    a, b, c, d = start, start, start, start
    tap = output * sizes.inputs * sizes.tap_rows * sizes.tap_columns
    for channel in range(sizes.inputs):
        for tap_row in range(sizes.tap_rows):
            at = _padded_offset(case, sizes.inputs, channel, row + tap_row * sizes.dilation, sizes) + column
            for _ in range(sizes.tap_columns):
                weight = spread(task.weight, tap)
                a = multiply_add(load(task.x, at), weight, a)
                b = multiply_add(load(task.x, at + LANES), weight, b)
                c = multiply_add(load(task.x, at + 2 * LANES), weight, c)
                d = multiply_add(load(task.x, at + 3 * LANES), weight, d)
                tap += 1
                at += sizes.dilation
    store(task.y, target + column, a)
    store(task.y, target + column + LANES, b)
    store(task.y, target + column + 2 * LANES, c)
    _store_within(task, target, column + 3 * LANES, sizes.width, d)


@compiled
def _convolve_one(task: Any, case: int, output: int, row: int, column: int, target: int, sizes: Sizes) -> None:
    """Compute sixteen positions of a row of one output, or those that there are."""
    y = splat(number(task.bias, output)) if task.bias != 0 else zeros()
    tap = output * sizes.inputs * sizes.tap_rows * sizes.tap_columns
    for channel in range(sizes.inputs):
        for tap_row in range(sizes.tap_rows):
            at = _padded_offset(case, sizes.inputs, channel, row + tap_row * sizes.dilation, sizes) + column
            for _ in range(sizes.tap_columns):
                y = multiply_add(load(task.x, at), spread(task.weight, tap), y)
                tap += 1
                at += sizes.dilation
    _store_within(task, target, column, sizes.width, y)


def convolution_jobs(address: Any) -> None:
    """Run jobs of a ``ConvolutionTask`` until none is left; fills y."""
    task = carray(address, 1, TASK_NUMBERS)[0]
    sizes = _sizes_of(task)
    job = claim_job(address)
    while job < task.cases * sizes.shares:
        case, first, last = _part_of(job, sizes)
        for output in range(sizes.outputs):
            for row in range(first, last):
                target = ((case * sizes.outputs + output) * sizes.height + row) * sizes.width
                column = 0
                while column + (_UNROLLED - 1) * LANES < sizes.width:
                    _convolve_four(task, case, output, row, column, target, sizes)
                    column += _UNROLLED * LANES
                while column < sizes.width:
                    _convolve_one(task, case, output, row, column, target, sizes)
                    column += LANES
        job = claim_job(address)


@compiled
def _add_four_taps(task: Any, x: int, dy: int, count: int, dilation: int, sums: Rows, tap: int) -> None:
    """Add the products of a row of dy and of the map, from the positions of four taps on, to their sums."""
    a, b = load_row(sums, tap), load_row(sums, tap + 1)
    c, d = load_row(sums, tap + 2), load_row(sums, tap + 3)
    for block in range(count):
        gradient, at = load(task.dy, dy + block * LANES), x + block * LANES
        a = multiply_add(load(task.x, at), gradient, a)
        b = multiply_add(load(task.x, at + dilation), gradient, b)
        c = multiply_add(load(task.x, at + 2 * dilation), gradient, c)
        d = multiply_add(load(task.x, at + 3 * dilation), gradient, d)
    store_row(sums, tap, a)
    store_row(sums, tap + 1, b)
    store_row(sums, tap + 2, c)
    store_row(sums, tap + 3, d)


@compiled
def _add_tap(task: Any, x: int, dy: int, count: int, sums: Rows, tap: int) -> None:
    a = load_row(sums, tap)
    for block in range(count):
        a = multiply_add(load(task.x, x + block * LANES), load(task.dy, dy + block * LANES), a)
    store_row(sums, tap, a)


@compiled
def _add_taps(task: Any, case: int, output: int, channel: int, row: int, sizes: Sizes, sums: Rows) -> None:
    """Add one row's products to the sums of all taps between an output and a channel."""
    margin_rows = sizes.dilation * (sizes.tap_rows // 2)
    margin = sizes.dilation * (sizes.tap_columns // 2)
    # Beyond its last column dy is zero, so whole rows of lanes can be added.
    dy = _padded_offset(case, sizes.outputs, output, row + margin_rows, sizes) + margin
    count = (sizes.width + LANES - 1) // LANES
    first = (output * sizes.inputs + channel) * sizes.tap_rows * sizes.tap_columns
    for tap_row in range(sizes.tap_rows):
        x = _padded_offset(case, sizes.inputs, channel, row + tap_row * sizes.dilation, sizes)
        column = 0
        while column + 4 <= sizes.tap_columns:
            tap = first + tap_row * sizes.tap_columns + column
            _add_four_taps(task, x + column * sizes.dilation, dy, count, sizes.dilation, sums, tap)
            column += 4
        while column < sizes.tap_columns:
            tap = first + tap_row * sizes.tap_columns + column
            _add_tap(task, x + column * sizes.dilation, dy, count, sums, tap)
            column += 1


def weight_gradient_jobs(address: Any) -> None:
    """Run jobs of a ``ConvolutionTask`` until none is left; fills the sums."""
    task = carray(address, 1, TASK_NUMBERS)[0]
    sizes = _sizes_of(task)
    n_taps = sizes.outputs * sizes.inputs * sizes.tap_rows * sizes.tap_columns
    sums = new_rows(n_taps)
    job = claim_job(address)
    while job < task.cases * sizes.shares:
        case, first, last = _part_of(job, sizes)
        clear(sums, n_taps)
        for output in range(sizes.outputs):
            for channel in range(sizes.inputs):
                for row in range(first, last):
                    _add_taps(task, case, output, channel, row, sizes, sums)
        for tap in range(n_taps):
            total = ZERO
            for lane in range(LANES):
                total += number(sums, tap * LANES + lane)
            set_number(task.sums, job * n_taps + tap, total)
        job = claim_job(address)
    free_rows(sums)
