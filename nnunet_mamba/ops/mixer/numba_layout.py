"""What the compiled loops of the fused Mamba block share: its task, its sizes, and its weights in lanes.

One job is one sequence of tokens. It walks over them in chunks, from the last token if the task is reversed: then the
stride to the next token is negative, and nothing else differs. The inner channels are blocks of 16 lanes.
"""

from typing import Any, ClassVar, NamedTuple

from nnunet_mamba.ops.cpu_kernels.kernel_task import Fields, Task, integers, task_numbers
from nnunet_mamba.ops.cpu_kernels.lanes import compiled, load_row, new_rows, number, set_number, store
from nnunet_mamba.ops.cpu_kernels.recurrence import decay_rate
from nnunet_mamba.ops.cpu_kernels.rows import ZERO, Address, Rows, blocks_of
from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK, LANES


class MambaTask(Task):
    """A block and its tokens as the kernels get them: addresses of contiguous float32 arrays (0: absent), and sizes."""

    _fields_: ClassVar[Fields] = integers(
        *("tokens", "mixed", "dmixed", "dtokens"),  # (cases, length, n_parallel d_model)
        "states",  # (jobs, chunks, n, blocks, 16): h before each chunk
        "sums",  # (jobs, rows, blocks, 16): gradients of the weights, in the order of ``SumRows``
        *("in_proj", "conv", "conv_bias", "x_proj", "dt_proj", "dt_bias", "A_log", "D", "out_proj"),
        *("cases", "n_parallel", "reverse", "length", "d_model", "d_inner", "d_conv", "dt_rank", "d_state"),
    )


TASK_NUMBERS = task_numbers(MambaTask)


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
            value = number(flat, offset + row * row_stride + lane * lane_stride) if present else ZERO
            set_number(rows, row * blocks * LANES + lane, value)
    return rows


@compiled
def weights_of(task: Any, sizes: Sizes) -> Weights:
    """Arrange the weights for the forward pass."""
    rate = _in_lanes(task.A_log, 0, sizes.n, 1, sizes.d_inner, sizes.n)
    for i in range(sizes.n * sizes.blocks * LANES):
        # Missing channels get a rate of -log2(e), which their zeros decay by.
        set_number(rate, i, decay_rate(number(rate, i)))
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
