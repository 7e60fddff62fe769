"""Sixteen float32 numbers as one numba value: a row of sixteen channels that a CPU kernel computes with at once.

LLVM maps the type to what the CPU has: one AVX-512 register, two of AVX2, four of SSE or NEON. Kernels write plain
arithmetic on such values and scalars (``decay * h + step * b``); products may fuse with the sum they enter.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, overload, register_model

LANES = 16
Lanes: TypeAlias = Any

_FLOAT = ir.FloatType()
_INT = ir.IntType(32)
_OFFSET = ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_INTEGERS = ir.VectorType(_INT, LANES)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile a function that Python calls: it releases the interpreter lock and is cached on disk."""
    return cast("_Function", numba.njit(nogil=True, cache=True, error_model="numpy")(function))


def compiled(function: _Function) -> _Function:
    """Compile a function that only kernels call; it is part of what they cache."""
    return cast("_Function", numba.njit(error_model="numpy")(function))


def inlined(function: _Function) -> _Function:
    """Compile a short function into each of its callers."""
    return cast("_Function", numba.njit(forceinline=True, error_model="numpy")(function))


def _intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let compiled code call ``function`` without its first argument, which is numba's."""
    return cast("Callable[..., Any]", numba.extending.intrinsic(function))


class LanesType(types.Type):  # type: ignore[misc]
    """The numba type of sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


LANES_TYPE = LanesType()
register_model(LanesType)(_LanesModel)


def _offset(context: Any, builder: Any, value: Any, kind: Any) -> Any:
    return context.cast(builder, value, kind, types.int64)


def _address(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    """Return the address of a number of a flat array, or of the first number of a row of a (rows, 16) array."""
    if array_type.ndim == 2:
        offset = builder.mul(offset, _OFFSET(LANES))
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [offset])


def _read(builder: Any, address: Any) -> Any:
    return builder.load(builder.bitcast(address, _VECTOR.as_pointer()), align=4)


def _write(builder: Any, lanes: Any, address: Any) -> None:
    builder.store(lanes, builder.bitcast(address, _VECTOR.as_pointer()), align=4)


def _splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, scalar, _INT(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_INTEGERS, [0] * LANES))


@compiled
def new_rows(n_rows: int) -> Any:
    """Return an uninitialised (n_rows, 16) array whose rows do not straddle the CPU's cache lines."""
    line = LANES * 4  # bytes
    flat = np.empty((n_rows + 1) * LANES, np.float32)
    start = (line - flat.ctypes.data % line) % line // 4
    return flat[start : start + n_rows * LANES].reshape((n_rows, LANES))


@_intrinsic
def load(typingctx: Any, array: Any, offset: Any) -> Any:
    """Read sixteen numbers: ``array[offset:offset + 16]``, or row ``offset`` of a (rows, 16) array. No bounds check."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = _offset(context, builder, args[1], signature.args[1])
        return _read(builder, _address(context, builder, signature.args[0], args[0], index))

    return LANES_TYPE(array, offset), codegen


@_intrinsic
def store(typingctx: Any, array: Any, offset: Any, lanes: Any) -> Any:
    """Write sixteen numbers where ``load`` would read them. No bounds check."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = _offset(context, builder, args[1], signature.args[1])
        _write(builder, args[2], _address(context, builder, signature.args[0], args[0], index))
        return context.get_dummy_value()

    return types.void(array, offset, lanes), codegen


@_intrinsic
def spread(typingctx: Any, flat: Any, offset: Any) -> Any:
    """Return ``flat[offset]`` in all lanes. No bounds check."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = _offset(context, builder, args[1], signature.args[1])
        return _splat(builder, builder.load(_address(context, builder, signature.args[0], args[0], index)))

    return LANES_TYPE(flat, offset), codegen


@_intrinsic
def prefetch(typingctx: Any, flat: Any, offset: Any) -> Any:
    """Ask the CPU to fetch the cache line of ``flat[offset]``, which may lie beyond the end, in the background."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = _offset(context, builder, args[1], signature.args[1])
        address = _address(context, builder, signature.args[0], args[0], index)
        pointer = builder.bitcast(address, ir.IntType(8).as_pointer())
        function_type = ir.FunctionType(ir.VoidType(), [pointer.type, _INT, _INT, _INT])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], function_type)
        builder.call(function, [pointer, _INT(0), _INT(3), _INT(1)])  # to read, keep close, data
        return context.get_dummy_value()

    return types.void(flat, offset), codegen


@_intrinsic
def splat(typingctx: Any, scalar: Any) -> Any:
    """Return ``scalar`` in all lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, context.cast(builder, args[0], signature.args[0], types.float32))

    return LANES_TYPE(scalar), codegen


def _define_arithmetic(function: Callable[..., Any], instruction: str) -> None:
    """Let compiled code apply ``function`` to two lanes values, or to one and a scalar."""

    @_intrinsic
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


@_intrinsic
def multiply_add(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x * y + z, fused where the CPU can: unlike in a sum of two products, it is known which one waits for y."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function_type = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        fused = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.fmuladd.v{LANES}f32")
        return builder.call(fused, args)

    return LANES_TYPE(x, y, z), codegen


@_intrinsic
def clamp(typingctx: Any, lanes: Any, low: Any, high: Any) -> Any:
    """Limit each lane to [low, high]; NaN stays NaN."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x = args[0]
        for comparison, bound, kind in (("<", args[1], signature.args[1]), (">", args[2], signature.args[2])):
            limit = _splat(builder, context.cast(builder, bound, kind, types.float32))
            x = builder.select(builder.fcmp_ordered(comparison, x, limit), limit, x)
        return x

    return LANES_TYPE(lanes, low, high), codegen


@_intrinsic
def _power_of_two(typingctx: Any, shifted: Any) -> Any:
    """Return 2 ** k from 1.5 * 2 ** 23 + k, whose low bits are those of k; k from -127 (gives 0) to 128 (inf)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], _INTEGERS)
        exponent = builder.add(bits, ir.Constant(_INTEGERS, [127] * LANES))
        return builder.bitcast(builder.shl(exponent, ir.Constant(_INTEGERS, [23] * LANES)), _VECTOR)

    return LANES_TYPE(shifted), codegen


LOG2E = np.float32(np.log2(np.e))
_ZERO, _ONE, _TWO, _INFINITY = (np.float32(x) for x in (0, 1, 2, np.inf))
_LOWEST, _HIGHEST = np.float32(-127), np.float32(128)
# Adding it to a float32 and subtracting it again rounds to the nearest integer.
_ROUNDER = np.float32(1.5 * 2**23)
# (2 ** r - 1) / r on [-1/2, 1/2] with the least maximal relative error, 3e-7. The constant term of 2 ** r is exactly
# one, so that a decay close to 1 keeps its distance from 1.
_P1, _P2, _P3, _P4, _P5 = (
    np.float32(p) for p in (0.6931470929, 0.2402235821, 0.05550665521, 0.009665878202, 0.001326697433)
)
_A3, _A5, _A7, _A9, _A11, _A13 = (np.float32(2 / odd) for odd in (3, 5, 7, 9, 11, 13))


@inlined
def exp2(x: Lanes) -> Lanes:
    """Return 2 ** x within 3e-7 of its size; 0 below 2 ** -127, inf from 2 ** 127.5 on, NaN for NaN."""
    x = clamp(x, _LOWEST, _HIGHEST)
    shifted = x + _ROUNDER
    r = x - (shifted - _ROUNDER)
    p = (((((r * _P5) + _P4) * r + _P3) * r + _P2) * r + _P1) * r + _ONE
    return p * _power_of_two(shifted)


@inlined
def sigmoid(x: Lanes) -> Lanes:
    """Return 1 / (1 + exp(-x))."""
    return _ONE / (exp2(x * -LOG2E) + _ONE)


@inlined
def softplus(x: Lanes) -> Lanes:
    """Return log(1 + exp(x)), which in float32 is x itself above 20."""
    positive = clamp(x, _ZERO, _INFINITY)
    e = exp2((clamp(x, -_INFINITY, _ZERO) - positive) * LOG2E)
    # log(1 + e) = 2 artanh(s), and s is at most 1/3.
    s = e / (e + _TWO)
    square = s * s
    series = (((((square * _A13 + _A11) * square + _A9) * square + _A7) * square + _A5) * square + _A3) * square + _TWO
    return series * s + positive


def _halves(distance: int) -> tuple[Any, Any]:
    """Return the shuffles that gather, from two rows, the lanes without and with bit ``distance`` in their number."""
    without = [i if not i & distance else LANES + i - distance for i in range(LANES)]
    having = [i + distance if not i & distance else LANES + i for i in range(LANES)]
    return ir.Constant(_INTEGERS, without), ir.Constant(_INTEGERS, having)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose 16 rows of 16 lanes by swapping ever smaller blocks."""
    rows = list(rows)
    for distance in (8, 4, 2, 1):
        without, having = _halves(distance)
        for i in range(LANES):
            if not i & distance:
                first, second = rows[i], rows[i + distance]
                rows[i] = builder.shuffle_vector(first, second, without)
                rows[i + distance] = builder.shuffle_vector(first, second, having)
    return rows


@_intrinsic
def load_transposed(typingctx: Any, flat: Any, offset: Any, stride: Any, width: Any, rows: Any, row: Any) -> Any:
    """Read 16 numbers of each of ``width`` channels, ``stride`` apart, into 16 rows of lanes; missing ones are 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start, step, count = (_offset(context, builder, args[i], signature.args[i]) for i in (1, 2, 3))
        nothing = builder.bitcast(
            cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, [0.0] * LANES)), _FLOAT.as_pointer()
        )
        channels = []
        for lane in range(LANES):
            index = builder.add(start, builder.mul(step, _OFFSET(lane)))
            address = _address(context, builder, signature.args[0], args[0], index)
            present = builder.icmp_signed("<", _OFFSET(lane), count)
            channels.append(_read(builder, builder.select(present, address, nothing)))
        first = _offset(context, builder, args[5], signature.args[5])
        for token, lanes in enumerate(_transposed(builder, channels)):
            index = builder.add(first, _OFFSET(token))
            _write(builder, lanes, _address(context, builder, signature.args[4], args[4], index))
        return context.get_dummy_value()

    return types.void(flat, offset, stride, width, rows, row), codegen


@_intrinsic
def store_transposed(typingctx: Any, rows: Any, row: Any, flat: Any, offset: Any, stride: Any, width: Any) -> Any:
    """Write 16 rows of lanes as 16 numbers of each of ``width`` channels, ``stride`` apart."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first, start, step, count = (_offset(context, builder, args[i], signature.args[i]) for i in (1, 3, 4, 5))
        tokens = []
        for token in range(LANES):
            index = builder.add(first, _OFFSET(token))
            tokens.append(_read(builder, _address(context, builder, signature.args[0], args[0], index)))
        for lane, channel in enumerate(_transposed(builder, tokens)):
            with builder.if_then(builder.icmp_signed("<", _OFFSET(lane), count)):
                index = builder.add(start, builder.mul(step, _OFFSET(lane)))
                _write(builder, channel, _address(context, builder, signature.args[2], args[2], index))
        return context.get_dummy_value()

    return types.void(rows, row, flat, offset, stride, width), codegen


@_intrinsic
def sum_lanes(typingctx: Any, rows: Any, row: Any) -> Any:
    """Return the sums over the lanes of 16 rows, one sum per lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = _offset(context, builder, args[1], signature.args[1])
        sums = []
        for token in range(LANES):
            index = builder.add(first, _OFFSET(token))
            sums.append(_read(builder, _address(context, builder, signature.args[0], args[0], index)))
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
