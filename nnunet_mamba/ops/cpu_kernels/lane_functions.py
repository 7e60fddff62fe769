"""Elementary functions of sixteen lanes: exp2, sigmoid and softplus in single precision."""

import numpy as np

from nnunet_mamba.ops.cpu_kernels.lanes import (
    Lanes,
    clamp,
    inlined,
    multiply_add,
    power_of_two,
    splat,
    times_power_of_two,
)

LOG2E = np.float32(np.log2(np.e))
LN2 = np.float32(np.log(2))
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
# Below this magnitude of x y, every number in ``exp2_of_product`` is a normal float32.
EXP2_BOUND = np.float32(125)


@inlined
def _fraction_exp2(r: Lanes) -> Lanes:
    """Return 2 ** r for |r| up to 1/2."""
    return (((((r * _P5) + _P4) * r + _P3) * r + _P2) * r + _P1) * r + _ONE


@inlined
def exp2_of_product(x: Lanes, y: Lanes) -> Lanes:
    """Return 2 ** (x y) within 3e-7 of its size, if |x y| < 125; with fused operations x y is not rounded."""
    shifted = multiply_add(x, y, splat(_ROUNDER))
    return times_power_of_two(_fraction_exp2(multiply_add(x, y, _ROUNDER - shifted)), shifted)


@inlined
def exp2(x: Lanes) -> Lanes:
    """Return 2 ** x within 3e-7 of its size for any x; 0 below 2 ** -127, inf from 2 ** 127.5 on, NaN for NaN."""
    x = clamp(x, _LOWEST, _HIGHEST)
    shifted = x + _ROUNDER
    return _fraction_exp2(x - (shifted - _ROUNDER)) * power_of_two(shifted)


@inlined
def sigmoid(x: Lanes) -> Lanes:
    """Return 1 / (1 + exp(-x))."""
    return _ONE / (exp2(x * -LOG2E) + _ONE)


@inlined
def silu_slope(x: Lanes, gate: Lanes) -> Lanes:
    """Return the derivative of SiLU at x from gate = sigmoid(x)."""
    return gate * (x * (_ONE - gate) + _ONE)


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
