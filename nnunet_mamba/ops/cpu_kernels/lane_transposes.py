"""Shuffles of lanes: transposes between channel-major memory and lanes, and sums over the lanes.

Every shuffle but the last two of ``sum_lanes`` is one instruction or none on SSE, AVX2, AVX-512 and NEON.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from nnunet_mamba.ops.cpu_kernels.lanes import (
    FLOAT,
    INTEGERS,
    LANES_TYPE,
    OFFSET,
    VECTOR,
    address_of,
    intrinsic,
    offset_of,
    read,
    write,
)
from nnunet_mamba.ops.cpu_kernels.sizes import LANES


def _halves(distance: int) -> tuple[Any, Any]:
    """Return the shuffles that gather, from two rows, the lanes without and with bit ``distance`` in their number."""
    without = [i if not i & distance else LANES + i - distance for i in range(LANES)]
    having = [i + distance if not i & distance else LANES + i for i in range(LANES)]
    return ir.Constant(INTEGERS, without), ir.Constant(INTEGERS, having)


def _in_each_quad(*lanes: int) -> Any:
    """Return a shuffle that does the same in every four lanes of two rows; 4 to 7 are those of the second row."""
    indices = [quad + (i if i < 4 else LANES + i - 4) for quad in range(0, LANES, 4) for i in lanes]
    return ir.Constant(INTEGERS, indices)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose 16 rows of 16 lanes: swap blocks of 8 and 4 lanes, then transpose 4 by 4 by interleaving."""
    rows = list(rows)
    for distance in (8, 4):
        without, having = _halves(distance)
        for i in range(LANES):
            if not i & distance:
                first, second = rows[i], rows[i + distance]
                rows[i] = builder.shuffle_vector(first, second, without)
                rows[i + distance] = builder.shuffle_vector(first, second, having)
    low, high = _in_each_quad(0, 4, 1, 5), _in_each_quad(2, 6, 3, 7)
    low_pairs, high_pairs = _in_each_quad(0, 1, 4, 5), _in_each_quad(2, 3, 6, 7)
    for i in range(0, LANES, 4):
        interleaved = [
            [builder.shuffle_vector(rows[first], rows[first + 1], mask) for first in (i, i + 2)] for mask in (low, high)
        ]
        rows[i : i + 4] = [
            builder.shuffle_vector(*pair, mask) for pair in interleaved for mask in (low_pairs, high_pairs)
        ]
    return rows


@intrinsic
def load_transposed(typingctx: Any, memory: Any, offset: Any, stride: Any, width: Any, rows: Any, row: Any) -> Any:
    """Read 16 numbers of each of ``width`` channels, ``stride`` apart, into 16 rows of lanes; missing ones are 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start, step, count = (offset_of(context, builder, args[i], signature.args[i]) for i in (1, 2, 3))
        nothing = builder.bitcast(
            cgutils.alloca_once_value(builder, ir.Constant(VECTOR, [0.0] * LANES)), FLOAT.as_pointer()
        )
        channels = []
        for lane in range(LANES):
            index = builder.add(start, builder.mul(step, OFFSET(lane)))
            address = address_of(context, builder, signature.args[0], args[0], index)
            present = builder.icmp_signed("<", OFFSET(lane), count)
            channels.append(read(builder, builder.select(present, address, nothing)))
        first = offset_of(context, builder, args[5], signature.args[5])
        for token, lanes in enumerate(_transposed(builder, channels)):
            index = builder.mul(builder.add(first, OFFSET(token)), OFFSET(LANES))
            write(builder, lanes, address_of(context, builder, signature.args[4], args[4], index))
        return context.get_dummy_value()

    return types.void(memory, offset, stride, width, rows, row), codegen


@intrinsic
def store_transposed(typingctx: Any, rows: Any, row: Any, memory: Any, offset: Any, stride: Any, width: Any) -> Any:
    """Write 16 rows of lanes as 16 numbers of each of ``width`` channels, ``stride`` apart."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first, start, step, count = (offset_of(context, builder, args[i], signature.args[i]) for i in (1, 3, 4, 5))
        tokens = []
        for token in range(LANES):
            index = builder.mul(builder.add(first, OFFSET(token)), OFFSET(LANES))
            tokens.append(read(builder, address_of(context, builder, signature.args[0], args[0], index)))
        for lane, channel in enumerate(_transposed(builder, tokens)):
            with builder.if_then(builder.icmp_signed("<", OFFSET(lane), count)):
                index = builder.add(start, builder.mul(step, OFFSET(lane)))
                write(builder, channel, address_of(context, builder, signature.args[2], args[2], index))
        return context.get_dummy_value()

    return types.void(rows, row, memory, offset, stride, width), codegen


def _quads(*numbers: int) -> Any:
    """Return a shuffle of the quads, four lanes each, of two rows; 4 to 7 are those of the second row."""
    return ir.Constant(INTEGERS, [4 * number + i for number in numbers for i in range(4)])


def _folded(builder: Any, x: Any, y: Any, first: Any, second: Any) -> Any:
    """Add two shuffles of the same two rows."""
    return builder.fadd(builder.shuffle_vector(x, y, first), builder.shuffle_vector(x, y, second))


@intrinsic
def sum_to_quads(typingctx: Any, x: Any, y: Any, z: Any, w: Any) -> Any:
    """Return one row with a quad for each of four: each quad's sum is the sum of that row's lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lower, upper = _halves(LANES // 2)
        first, second = (_folded(builder, args[i], args[i + 1], lower, upper) for i in (0, 2))
        return _folded(builder, first, second, _quads(0, 2, 4, 6), _quads(1, 3, 5, 7))

    return LANES_TYPE(x, y, z, w), codegen


@intrinsic
def sum_quads(typingctx: Any, rows: Any, row: Any) -> Any:
    """Return the sums over each quad of 16 rows: four values, one for each quad, with one sum per lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = offset_of(context, builder, args[1], signature.args[1])
        sums = []
        for token in range(LANES):
            index = builder.mul(builder.add(first, OFFSET(token)), OFFSET(LANES))
            sums.append(read(builder, address_of(context, builder, signature.args[0], args[0], index)))
        even, odd = _in_each_quad(0, 2, 4, 6), _in_each_quad(1, 3, 5, 7)
        for _ in range(2):
            sums = [_folded(builder, sums[i], sums[i + 1], even, odd) for i in range(0, len(sums), 2)]
        # Four rows of four tokens in each quad; what is left is a transpose of the quads.
        halves = [builder.shuffle_vector(sums[i], sums[i + 1], half) for half in _halves(LANES // 2) for i in (0, 2)]
        quads = [
            builder.shuffle_vector(halves[i], halves[i + 1], mask)
            for i in (0, 2)
            for mask in (_quads(0, 2, 4, 6), _quads(1, 3, 5, 7))
        ]
        return context.make_tuple(builder, signature.return_type, quads)

    return types.UniTuple(LANES_TYPE, 4)(rows, row), codegen


@intrinsic
def sum_lanes(typingctx: Any, rows: Any, row: Any) -> Any:
    """Return the sums over the lanes of 16 rows, one sum per lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = offset_of(context, builder, args[1], signature.args[1])
        sums = []
        for token in range(LANES):
            index = builder.mul(builder.add(first, OFFSET(token)), OFFSET(LANES))
            sums.append(read(builder, address_of(context, builder, signature.args[0], args[0], index)))
        for distance in (8, 4, 2, 1):
            without, having = _halves(distance)
            sums = [
                builder.fadd(
                    builder.shuffle_vector(sums[i], sums[i + distance], without),
                    builder.shuffle_vector(sums[i], sums[i + distance], having),
                )
                for i in range(distance)
            ]
        return sums[0]

    return LANES_TYPE(rows, row), codegen
