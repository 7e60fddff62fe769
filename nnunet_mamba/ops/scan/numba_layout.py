"""What the compiled loops of the CPU scan share: its task, its blocks of channels, and the buffers of one chunk.

One job is one batch entry times one share of a group's channels. It walks over the tokens in chunks, and inside a chunk
over blocks of up to 16 consecutive channels, which are the 16 lanes of every value; inside a block it takes one state
after the other, so that h and the decay rate live in registers. No array here has tokens times states entries but those
of one chunk, and every sum runs in a fixed order, so that results repeat bit by bit.
"""

from typing import Any, ClassVar, NamedTuple

from nnunet_mamba.ops.cpu_kernels.kernel_task import Fields, Task, integers, task_numbers
from nnunet_mamba.ops.cpu_kernels.lane_functions import LOG2E, softplus
from nnunet_mamba.ops.cpu_kernels.lanes import (
    Lanes,
    compiled,
    inlined,
    larger_magnitude,
    load_row,
    new_rows,
    number,
    prefetch,
    set_number,
    splat,
    store_row,
)
from nnunet_mamba.ops.cpu_kernels.recurrence import Chunk
from nnunet_mamba.ops.cpu_kernels.rows import ZERO, Address, Rows, blocks_of, gather
from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK, LANES


class ScanTask(Task):
    """A scan as the kernels get it: addresses of contiguous float32 arrays (0 for an absent one), and sizes."""

    _fields_: ClassVar[Fields] = integers(
        *("u", "delta", "z", "y", "dy", "du", "ddelta", "dz"),  # (b, d, l)
        *("A", "B", "C", "D", "delta_bias"),  # (d, n), (b, g, n, l) twice, (d,) twice
        "states",  # (b, ceil(l / 64), n, d): h before each chunk
        *("dA", "dB", "dC", "dD", "dbias"),  # (b, d, n), (shares, b, g, n, l) twice, (b, d) twice
        *("delta_softplus", "batch", "channels", "groups", "states_size", "tokens"),
        "shares",  # into how many jobs the channels of a group are divided
    )


TASK_NUMBERS = task_numbers(ScanTask)


class Scan(NamedTuple):
    """The operands of a task; a flag or an address of 0 says that there is none."""

    u: Address
    delta: Address
    z: Address
    A: Address
    B: Address
    C: Address
    D: Address
    delta_bias: Address
    states: Address
    delta_softplus: bool
    channels: int
    groups: int
    n: int
    tokens: int
    shares: int
    chunks: int


class Block(NamedTuple):
    """Up to 16 channels of a group, and where their numbers start."""

    width: int  # channels, 1 to 16
    channel: int  # the first one
    row: int  # the first one, counted over the batch
    matrix: int  # the group's B and C
    states: int  # the saved states of the first chunk


class Channels(NamedTuple):
    """What a job keeps of each of its blocks from chunk to chunk."""

    rate: Rows  # (blocks * n, 16): A log2(e), so that decay = 2 ** (step * rate)
    h: Rows  # (blocks * n, 16)
    skip: Rows  # (blocks, 16): D
    bias: Rows  # (blocks, 16)


@compiled
def scan_of(task: Any) -> Scan:
    """Read the operands of a task."""
    return Scan(
        task.u,
        task.delta,
        task.z,
        task.A,
        task.B,
        task.C,
        task.D,
        task.delta_bias,
        task.states,
        task.delta_softplus != 0,
        task.channels,
        task.groups,
        task.states_size,
        task.tokens,
        task.shares,
        (task.tokens + CHUNK - 1) // CHUNK,
    )


@compiled
def blocks_per_group(x: Scan) -> int:
    """Return how many blocks the channels of a group are divided into."""
    return blocks_of(x.channels // x.groups)


@compiled
def blocks_per_share(x: Scan) -> int:
    """Return how many blocks the largest share has."""
    return (blocks_per_group(x) + x.shares - 1) // x.shares


@compiled
def first_block(x: Scan, share: int) -> int:
    """Return the number of the first block of a share of a group."""
    return share * blocks_per_group(x) // x.shares


@compiled
def block_of(x: Scan, batch: int, group: int, index: int) -> Block:
    """Return block ``index`` of a group of a batch entry."""
    group_size = x.channels // x.groups
    channel = group * group_size + index * LANES
    return Block(
        min(LANES, (group + 1) * group_size - channel),
        channel,
        batch * x.channels + channel,
        (batch * x.groups + group) * x.n * x.tokens,
        batch * x.chunks * x.n * x.channels + channel,
    )


@compiled
def new_chunk() -> Chunk:
    """Return empty buffers."""
    return Chunk(new_rows(CHUNK), new_rows(CHUNK), new_rows(CHUNK), new_rows(CHUNK), new_rows(CHUNK))


@compiled
def new_channels(x: Scan) -> Channels:
    """Return room for the blocks of the largest share."""
    blocks = blocks_per_share(x)
    return Channels(new_rows(blocks * x.n), new_rows(blocks * x.n), new_rows(blocks), new_rows(blocks))


@compiled
def gather_vector(flat: Address, block: Block, rows: Rows, row: int) -> None:
    """Read one number per channel of a (d,) operand; zeros if there is none."""
    for lane in range(LANES):
        value = number(flat, block.channel + lane) if flat != 0 and lane < block.width else ZERO
        set_number(rows, row * LANES + lane, value)


@compiled
def gather_channels(x: Scan, block: Block, index: int, channels: Channels) -> None:
    """Read A, D and the bias of the block that is number ``index`` of its share."""
    gather_vector(x.D, block, channels.skip, index)
    gather_vector(x.delta_bias, block, channels.bias, index)
    for n in range(x.n):
        for lane in range(LANES):
            present = lane < block.width
            rate = number(x.A, (block.channel + lane) * x.n + n) * LOG2E if present else ZERO
            set_number(channels.rate, (index * x.n + n) * LANES + lane, rate)


@compiled
def read_chunk(x: Scan, block: Block, start: int, count: int, D: Lanes, bias: Lanes, chunk: Chunk) -> Lanes:
    """Read u and delta of one chunk; set step, update and y = D u; return the largest |step| of each channel."""
    offset = block.row * x.tokens + start
    gather(x.u, offset, x.tokens, block.width, chunk.u, count)
    gather(x.delta, offset, x.tokens, block.width, chunk.step, count)
    largest = splat(ZERO)
    for t in range(count):
        step = load_row(chunk.step, t) + bias
        if x.delta_softplus:
            step = softplus(step)
        u = load_row(chunk.u, t)
        largest = larger_magnitude(step, largest)
        store_row(chunk.step, t, step)
        store_row(chunk.update, t, step * u)
        store_row(chunk.y, t, D * u)
    return largest


@inlined
def prefetch_row(flat: Address, offset: int) -> None:
    """Fetch one chunk of a row in the background: the rows are too far apart for the CPU to foresee them."""
    for t in range(0, CHUNK, LANES):
        prefetch(flat, offset + t)


@compiled
def following_rows(x: Scan, block: Block, index: int, start: int, blocks: int, stride: int) -> int:
    """Return where the rows begin that a job reads after the chunk at ``start`` of its block ``index``.

    After the last of its ``blocks`` a job goes on with the first one, ``stride`` tokens further.
    """
    if index + 1 < blocks:
        return (block.row + LANES) * x.tokens + start
    return (block.row - index * LANES) * x.tokens + start + stride
