"""Sixteen float32 numbers as one numba value: a row of sixteen channels that a CPU kernel computes with at once.

LLVM maps the type to what the CPU has: one AVX-512 register, two of AVX2, four of SSE or NEON. Kernels write plain
arithmetic on such values and scalars (``decay * h + step * b``); products may fuse with the sum they enter.

Numbers lie in a flat array, or at an address: an integer that points to float32 numbers. Kernels work with addresses,
also of their own buffers, because numba counts the references of every array that they hand on. Rows are 16 numbers
each, one after the other. There are no bounds checks.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numba.extending
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, overload, register_model

from nnunet_mamba.ops.cpu_kernels.sizes import LANES

Lanes: TypeAlias = Any

FLOAT = ir.FloatType()
_INT = ir.IntType(32)
OFFSET = ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)
INTEGERS = ir.VectorType(_INT, LANES)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile a function that only kernels call; it becomes part of them."""
    return cast("_Function", numba.njit(error_model="numpy")(function))


def inlined(function: _Function) -> _Function:
    """Compile a short function into each of its callers."""
    return cast("_Function", numba.njit(forceinline=True, error_model="numpy")(function))


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let compiled code call ``function`` without its first argument, which is numba's."""
    return cast("Callable[..., Any]", numba.extending.intrinsic(function))


class LanesType(types.Type):  # type: ignore[misc]
    """The numba type of sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, VECTOR)


LANES_TYPE = LanesType()
register_model(LanesType)(_LanesModel)


def offset_of(context: Any, builder: Any, value: Any, kind: Any) -> Any:
    """Return an index as LLVM's 64-bit integer."""
    return context.cast(builder, value, kind, types.int64)


def address_of(context: Any, builder: Any, kind: Any, memory: Any, offset: Any) -> Any:
    """Return where number ``offset`` of a flat array or behind an address is."""
    if isinstance(kind, types.Integer):
        return builder.gep(builder.inttoptr(memory, FLOAT.as_pointer()), [offset])
    return builder.gep(context.make_array(kind)(context, builder, memory).data, [offset])


def read(builder: Any, address: Any) -> Any:
    """Load lanes from an LLVM pointer to the first of them, which need not be aligned."""
    return builder.load(builder.bitcast(address, VECTOR.as_pointer()), align=4)


def write(builder: Any, lanes: Any, address: Any) -> None:
    """Store lanes where ``read`` would load them."""
    builder.store(lanes, builder.bitcast(address, VECTOR.as_pointer()), align=4)


def _splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, scalar, _INT(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(INTEGERS, [0] * LANES))


@intrinsic
def new_rows(typingctx: Any, n_rows: Any) -> Any:
    """Return the address of uninitialised rows that do not straddle the CPU's cache lines, until ``free_rows``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = OFFSET(LANES * 4)  # bytes
        rows = builder.add(offset_of(context, builder, args[0], signature.args[0]), OFFSET(2))
        start = builder.ptrtoint(context.nrt.allocate(builder, builder.mul(rows, line)), OFFSET)
        # The line before the first row remembers where the allocation starts.
        first = builder.mul(builder.add(builder.udiv(start, line), OFFSET(2)), line)
        builder.store(start, builder.inttoptr(builder.sub(first, OFFSET(8)), OFFSET.as_pointer()))
        return first

    return types.int64(n_rows), codegen


@intrinsic
def free_rows(typingctx: Any, rows: Any) -> Any:
    """Give back what ``new_rows`` returned."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.load(builder.inttoptr(builder.sub(args[0], OFFSET(8)), OFFSET.as_pointer()))
        context.nrt.free(builder, builder.inttoptr(start, ir.IntType(8).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def load(typingctx: Any, memory: Any, offset: Any) -> Any:
    """Read the sixteen numbers from number ``offset`` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = offset_of(context, builder, args[1], signature.args[1])
        return read(builder, address_of(context, builder, signature.args[0], args[0], index))

    return LANES_TYPE(memory, offset), codegen


@intrinsic
def store(typingctx: Any, memory: Any, offset: Any, lanes: Any) -> Any:
    """Write sixteen numbers where ``load`` would read them."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = offset_of(context, builder, args[1], signature.args[1])
        write(builder, args[2], address_of(context, builder, signature.args[0], args[0], index))
        return context.get_dummy_value()

    return types.void(memory, offset, lanes), codegen


@inlined
def load_row(rows: Any, index: int) -> Lanes:
    """Return row ``index``."""
    return load(rows, index * LANES)


@inlined
def store_row(rows: Any, index: int, lanes: Lanes) -> None:
    """Write row ``index``."""
    store(rows, index * LANES, lanes)


@intrinsic
def spread(typingctx: Any, memory: Any, offset: Any) -> Any:
    """Return number ``offset`` in all lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = offset_of(context, builder, args[1], signature.args[1])
        return _splat(builder, builder.load(address_of(context, builder, signature.args[0], args[0], index)))

    return LANES_TYPE(memory, offset), codegen


@intrinsic
def number(typingctx: Any, address: Any, offset: Any) -> Any:
    """Return number ``offset`` behind an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = offset_of(context, builder, args[1], signature.args[1])
        return builder.load(address_of(context, builder, signature.args[0], args[0], index))

    return types.float32(address, offset), codegen


@intrinsic
def set_number(typingctx: Any, address: Any, offset: Any, value: Any) -> Any:
    """Write number ``offset`` behind an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = offset_of(context, builder, args[1], signature.args[1])
        builder.store(args[2], address_of(context, builder, signature.args[0], args[0], index))
        return context.get_dummy_value()

    return types.void(address, offset, types.float32), codegen


@intrinsic
def integer(typingctx: Any, address: Any, offset: Any) -> Any:
    """Return entry ``offset`` of the int64 array at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = builder.inttoptr(args[0], OFFSET.as_pointer())
        return builder.load(builder.gep(array, [args[1]]))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def prefetch(typingctx: Any, memory: Any, offset: Any) -> Any:
    """Ask the CPU to fetch the cache line of number ``offset``, which may lie beyond the end, in the background.

    It comes into the second-level cache: rows whose stride is a power of two would push each other, and the kernel's
    buffers, out of the first level.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = offset_of(context, builder, args[1], signature.args[1])
        address = address_of(context, builder, signature.args[0], args[0], index)
        pointer = builder.bitcast(address, ir.IntType(8).as_pointer())
        function_type = ir.FunctionType(ir.VoidType(), [pointer.type, _INT, _INT, _INT])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], function_type)
        builder.call(function, [pointer, _INT(0), _INT(2), _INT(1)])  # to read, keep in the second level, data
        return context.get_dummy_value()

    return types.void(memory, offset), codegen


@intrinsic
def splat(typingctx: Any, scalar: Any) -> Any:
    """Return ``scalar`` in all lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, context.cast(builder, args[0], signature.args[0], types.float32))

    return LANES_TYPE(scalar), codegen


def _define_arithmetic(function: Callable[..., Any], instruction: str) -> None:
    """Let compiled code apply ``function`` to two lanes values, or to one and a scalar."""

    @intrinsic
    def operation(typingctx: Any, x: Any, y: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            operands = [
                value if kind is LANES_TYPE else _splat(builder, context.cast(builder, value, kind, types.float32))
                for value, kind in zip(args, signature.args, strict=True)
            ]
            # "contract" allows a fused multiply-add where the CPU has one, and changes nothing else.
            return getattr(builder, instruction)(*operands, flags=("contract",))

        return LANES_TYPE(x, y), codegen

    def implementation(x: Any, y: Any) -> Any:
        return operation(x, y)

    def chosen(x: Any, y: Any) -> Callable[..., Any] | None:
        kinds = {type(x), type(y)}
        return implementation if LanesType in kinds and kinds <= {LanesType, types.Float} else None

    overload(function)(chosen)


_define_arithmetic(operator.add, "fadd")
_define_arithmetic(operator.sub, "fsub")
_define_arithmetic(operator.mul, "fmul")
_define_arithmetic(operator.truediv, "fdiv")


@intrinsic
def multiply_add(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x * y + z, fused where the CPU can: unlike in a sum of two products, it is known which one waits for y."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function_type = ir.FunctionType(VECTOR, [VECTOR] * 3)
        fused = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.fmuladd.v{LANES}f32")
        return builder.call(fused, args)

    return LANES_TYPE(x, y, z), codegen


@intrinsic
def clamp(typingctx: Any, lanes: Any, low: Any, high: Any) -> Any:
    """Limit each lane to [low, high]; NaN stays NaN."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x = args[0]
        for comparison, bound, kind in (("<", args[1], signature.args[1]), (">", args[2], signature.args[2])):
            limit = _splat(builder, context.cast(builder, bound, kind, types.float32))
            x = builder.select(builder.fcmp_ordered(comparison, x, limit), limit, x)
        return x

    return LANES_TYPE(lanes, low, high), codegen


@intrinsic
def larger_magnitude(typingctx: Any, x: Any, y: Any) -> Any:
    """Return the larger of |x| and |y| lane by lane; NaN counts as larger than anything."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # Without their sign bits, float32 numbers are ordered like the integers of the same bits, NaN last.
        magnitude = ir.Constant(INTEGERS, [0x7FFFFFFF] * LANES)
        first, second = (builder.and_(builder.bitcast(value, INTEGERS), magnitude) for value in args)
        is_larger = builder.icmp_signed(">", first, second)
        return builder.bitcast(builder.select(is_larger, first, second), VECTOR)

    return LANES_TYPE(x, y), codegen


@intrinsic
def all_below(typingctx: Any, lanes: Any, limit: Any) -> Any:
    """Return whether every lane is below ``limit``; NaN is not."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bound = _splat(builder, context.cast(builder, args[1], signature.args[1], types.float32))
        bits = builder.bitcast(builder.fcmp_ordered("<", args[0], bound), ir.IntType(LANES))
        return builder.icmp_unsigned("==", bits, ir.Constant(bits.type, 2**LANES - 1))

    return types.boolean(lanes, limit), codegen


@intrinsic
def times_power_of_two(typingctx: Any, lanes: Any, shifted: Any) -> Any:
    """Return lanes * 2 ** k for ``shifted`` = 1.5 * 2 ** 23 + k, whose low bits are those of k.

    The exponents are added as integers, so neither the lanes nor the result may be zero, subnormal, infinite or NaN.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, shift = (builder.bitcast(value, INTEGERS) for value in args)
        exponents = builder.shl(shift, ir.Constant(INTEGERS, [23] * LANES))
        return builder.bitcast(builder.add(bits, exponents), VECTOR)

    return LANES_TYPE(lanes, shifted), codegen


@intrinsic
def power_of_two(typingctx: Any, shifted: Any) -> Any:
    """Return 2 ** k for ``shifted`` = 1.5 * 2 ** 23 + k, with k from -127 (gives 0) to 128 (gives inf)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        exponents = builder.add(builder.bitcast(args[0], INTEGERS), ir.Constant(INTEGERS, [127] * LANES))
        return builder.bitcast(builder.shl(exponents, ir.Constant(INTEGERS, [23] * LANES)), VECTOR)

    return LANES_TYPE(shifted), codegen
