"""Activations and their derivatives, one value at a time, in a form that vectorises.

Which activation it is must be known when a kernel is compiled: a branch inside the loop would keep it from vectorising.
numba compiles anew for other types and not for other values, so an activation is told by the length of a tuple, which
is part of the tuple's type: `CODES`.
"""

from typing import Any, Final

import numpy as np
from numba import njit

IDENTITY, RELU, RELU6, LEAKY_RELU, SILU, GELU, HARDSWISH, TANH, SIGMOID, ELU = range(10)

CODES: Final[dict[str, tuple[int, ...]]] = {
    name: (0,) * code
    for name, code in {
        "identity": IDENTITY,
        "relu": RELU,
        "relu6": RELU6,
        "leaky_relu": LEAKY_RELU,
        "silu": SILU,
        "gelu": GELU,
        "hardswish": HARDSWISH,
        "tanh": TANH,
        "sigmoid": SIGMOID,
        "elu": ELU,
    }.items()
}
"""What kernels take for an activation, by its name."""

FASTMATH: Final = {"reassoc", "nsz", "contract", "arcp"}
"""Sums may be reordered, so that they vectorise; NaN and infinity stay what they are."""

f32 = np.float32

_LOG2_E, _HALF, _ONE, _ZERO = f32(1.4426950408889634), f32(0.5), f32(1.0), f32(0.0)
_LOWEST, _HIGHEST = f32(-126.0), f32(127.9)
"""Powers of two that float32 holds in its normal range."""

_ROOT_HALF, _DENSITY = f32(0.7071067811865476), f32(0.3989422804014327)


@njit(inline="always")
def exponentiate(x: Any) -> Any:
    """Return e to the x in float32, within about two rounding errors: 2^n times a polynomial for the rest.

    Source:
        Cephes exp2f's polynomial (Moshier), the power by the exponent's bits.
    """
    t = x * _LOG2_E
    t = _LOWEST if t < _LOWEST else (_HIGHEST if t > _HIGHEST else t)  # written so that NaN stays
    n = np.floor(t + _HALF)
    r = t - n
    p = f32(1.535336188319500e-4)
    p = p * r + f32(1.339887440266574e-3)
    p = p * r + f32(9.618437357674640e-3)
    p = p * r + f32(5.550332471162809e-2)
    p = p * r + f32(2.402264791363012e-1)
    p = p * r + f32(6.931472028550421e-1)
    p = p * r + _ONE
    bits = (np.int32(n) + np.int32(127)) << np.int32(23)
    return p * np.int32(bits).view(np.float32)


@njit(inline="always")
def squash(x: Any) -> Any:
    """Return the logistic function."""
    return _ONE / (_ONE + exponentiate(-x))


@njit(inline="always")
def bend(x: Any) -> Any:
    """Return the hyperbolic tangent; near 0 by a polynomial, where the difference of two numbers near 1 would lose it.

    Source:
        Cephes tanhf (Moshier).
    """
    z = x * x
    p = f32(-5.70498872745e-3)
    p = p * z + f32(2.06390887954e-2)
    p = p * z + f32(-5.37397155531e-2)
    p = p * z + f32(1.33314422036e-1)
    p = p * z + f32(-3.33332819422e-1)
    near = x + x * z * p
    far = f32(2.0) * squash(f32(2.0) * x) - _ONE
    return near if z < f32(0.390625) else far


@njit(inline="always")
def exponentiate_less_one(x: Any) -> Any:
    """Return e to the x, less 1, of a number that is not positive; near 0 by its series."""
    p = f32(1.0 / 5040.0)
    p = p * x + f32(1.0 / 720.0)
    p = p * x + f32(1.0 / 120.0)
    p = p * x + f32(1.0 / 24.0)
    p = p * x + f32(1.0 / 6.0)
    p = p * x + _HALF
    near = x + x * x * p
    return near if x > f32(-0.5) else exponentiate(x) - _ONE


@njit(inline="always")
def distribute(x: Any) -> Any:
    """Return the standard normal distribution function.

    Source:
        Abramowitz & Stegun, formula 7.1.26 for the error function, absolute error below 1.5e-7.
    """
    v = abs(x) * _ROOT_HALF
    t = _ONE / (_ONE + f32(0.3275911) * v)
    p = f32(1.061405429)
    p = p * t + f32(-1.453152027)
    p = p * t + f32(1.421413741)
    p = p * t + f32(-0.284496736)
    p = p * t + f32(0.254829592)
    tail = _HALF * p * t * exponentiate(-v * v)
    return tail if x < _ZERO else _ONE - tail


@njit(inline="always")
def activate(x: Any, code: Any, parameter: Any) -> Any:
    """Return the activation of one value."""
    kind = len(code)
    if kind == RELU:
        return _ZERO if x <= _ZERO else x  # written so that NaN stays
    if kind == RELU6:
        return _ZERO if x <= _ZERO else (f32(6.0) if x >= f32(6.0) else x)
    if kind == LEAKY_RELU:
        return parameter * x if x <= _ZERO else x
    if kind == SILU:
        return x * squash(x)
    if kind == GELU:
        return x * distribute(x)
    if kind == HARDSWISH:
        return _ZERO if x <= f32(-3.0) else (x if x >= f32(3.0) else x * (x + f32(3.0)) * f32(1.0 / 6.0))
    if kind == TANH:
        return bend(x)
    if kind == SIGMOID:
        return squash(x)
    if kind == ELU:
        return parameter * exponentiate_less_one(x) if x <= _ZERO else x
    return x


@njit(inline="always")
def differentiate(x: Any, code: Any, parameter: Any) -> Any:
    """Return the derivative of the activation at one value."""
    kind = len(code)
    if kind == RELU:
        return _ZERO if x <= _ZERO else _ONE
    if kind == RELU6:
        return _ONE if (x > _ZERO) & (x < f32(6.0)) else _ZERO
    if kind == LEAKY_RELU:
        return parameter if x <= _ZERO else _ONE
    if kind == SILU:
        gate = squash(x)
        return gate * (_ONE + x * (_ONE - gate))
    if kind == GELU:
        return distribute(x) + x * _DENSITY * exponentiate(-_HALF * x * x)
    if kind == HARDSWISH:
        return _ZERO if x <= f32(-3.0) else (_ONE if x >= f32(3.0) else x * f32(1.0 / 3.0) + _HALF)
    if kind == TANH:
        y = bend(x)
        return _ONE - y * y
    if kind == SIGMOID:
        gate = squash(x)
        return gate * (_ONE - gate)
    if kind == ELU:
        return parameter * exponentiate(x) if x <= _ZERO else _ONE
    return _ONE
