"""Choices between lanes, lane by lane, halves of rows, and rows of which only some lanes are there."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from nnunet_mamba.ops.cpu_kernels.lanes import (
    INTEGERS,
    LANES_TYPE,
    VECTOR,
    address_of,
    intrinsic,
    offset_of,
)
from nnunet_mamba.ops.cpu_kernels.sizes import LANES

_INT = ir.IntType(32)
_MASK = ir.VectorType(ir.IntType(1), LANES)
_NUMBER_OF_LANE = ir.Constant(INTEGERS, list(range(LANES)))


@intrinsic
def where_larger(typingctx: Any, x: Any, y: Any, if_larger: Any, otherwise: Any) -> Any:
    """Return ``if_larger`` where x > y or x is NaN, as torch's pooling decides, else ``otherwise``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        is_larger = builder.or_(
            builder.fcmp_ordered(">", args[0], args[1]), builder.fcmp_unordered("uno", args[0], args[0])
        )
        return builder.select(is_larger, args[2], args[3])

    return LANES_TYPE(x, y, if_larger, otherwise), codegen


@intrinsic
def where_equal(typingctx: Any, x: Any, y: Any, if_equal: Any, otherwise: Any) -> Any:
    """Return ``if_equal`` where x = y, else ``otherwise``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("==", args[0], args[1]), args[2], args[3])

    return LANES_TYPE(x, y, if_equal, otherwise), codegen


def _joined_halves(builder: Any, x: Any, y: Any, first: int) -> Any:
    half = [first + i for i in range(LANES // 2)]
    return builder.shuffle_vector(x, y, ir.Constant(INTEGERS, [*half, *(LANES + i for i in half)]))


@intrinsic
def first_halves(typingctx: Any, x: Any, y: Any) -> Any:
    """Return the first eight lanes of x, then those of y."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _joined_halves(builder, args[0], args[1], 0)

    return LANES_TYPE(x, y), codegen


@intrinsic
def second_halves(typingctx: Any, x: Any, y: Any) -> Any:
    """Return the last eight lanes of x, then those of y."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _joined_halves(builder, args[0], args[1], LANES // 2)

    return LANES_TYPE(x, y), codegen


def _first_lanes(builder: Any, width: Any) -> Any:
    """Return the mask of the first ``width`` lanes."""
    undefined = ir.Constant(INTEGERS, ir.Undefined)
    first = builder.insert_element(undefined, builder.trunc(width, _INT), _INT(0))
    return builder.icmp_signed(
        "<", _NUMBER_OF_LANE, builder.shuffle_vector(first, undefined, ir.Constant(INTEGERS, [0] * LANES))
    )


@intrinsic
def load_first(typingctx: Any, memory: Any, offset: Any, width: Any) -> Any:
    """Read ``width`` numbers from number ``offset`` on, and nothing beyond; lanes from there on are zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index, count = (offset_of(context, builder, args[i], signature.args[i]) for i in (1, 2))
        address = address_of(context, builder, signature.args[0], args[0], index)
        pointer = builder.bitcast(address, VECTOR.as_pointer())
        function_type = ir.FunctionType(VECTOR, [pointer.type, _INT, _MASK, VECTOR])
        function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.masked.load.v{LANES}f32.p0")
        zeros = ir.Constant(VECTOR, [0.0] * LANES)
        return builder.call(function, [pointer, _INT(4), _first_lanes(builder, count), zeros])

    return LANES_TYPE(memory, offset, width), codegen


@intrinsic
def store_first(typingctx: Any, memory: Any, offset: Any, width: Any, lanes: Any) -> Any:
    """Write the first ``width`` lanes where ``load_first`` would read them."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index, count = (offset_of(context, builder, args[i], signature.args[i]) for i in (1, 2))
        address = address_of(context, builder, signature.args[0], args[0], index)
        pointer = builder.bitcast(address, VECTOR.as_pointer())
        function_type = ir.FunctionType(ir.VoidType(), [VECTOR, pointer.type, _INT, _MASK])
        function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.masked.store.v{LANES}f32.p0")
        builder.call(function, [args[3], pointer, _INT(4), _first_lanes(builder, count)])
        return context.get_dummy_value()

    return types.void(memory, offset, width, LANES_TYPE), codegen
