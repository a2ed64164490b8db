"""Activations and their derivatives, one value at a time, in a form that vectorises.

Which activation it is must be known when a kernel is compiled: a branch inside the loop would keep it from vectorising.
numba compiles anew for other types and not for other values, so an activation is told by the length of a tuple, which
is part of the tuple's type: `CODES`.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit
from numba.extending import overload

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

_INLINED: Final[Any] = {"forceinline": True, "fastmath": FASTMATH, "error_model": "numpy"}
"""By LLVM; where numba inlined, it inferred the types of all activations anew at every place, for half a minute."""

INLINE: Final = njit(**_INLINED)

f32 = np.float32

_LOG2_E, _HALF, _ONE, _ZERO = f32(1.4426950408889634), f32(0.5), f32(1.0), f32(0.0)
_THREE, _SIX = f32(3.0), f32(6.0)
_LOWEST, _HIGHEST = f32(-126.0), f32(127.9)
"""Powers of two that float32 holds in its normal range."""

_ROOT_HALF, _DENSITY = f32(0.7071067811865476), f32(0.3989422804014327)


@INLINE
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


@INLINE
def squash(x: Any) -> Any:
    """Return the logistic function."""
    return _ONE / (_ONE + exponentiate(-x))


@INLINE
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


@INLINE
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


@INLINE
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


@INLINE
def _slope_of_silu(x: Any) -> Any:
    gate = squash(x)
    return gate * (_ONE + x * (_ONE - gate))


@INLINE
def _slope_of_tanh(x: Any) -> Any:
    y = bend(x)
    return _ONE - y * y


@INLINE
def _slope_of_sigmoid(x: Any) -> Any:
    gate = squash(x)
    return gate * (_ONE - gate)


_ACTIVATIONS: Final[dict[int, Callable[..., Any]]] = {
    IDENTITY: lambda x, code, parameter: x,
    RELU: lambda x, code, parameter: _ZERO if x <= _ZERO else x,  # written so that NaN stays
    RELU6: lambda x, code, parameter: _ZERO if x <= _ZERO else (_SIX if x >= _SIX else x),
    LEAKY_RELU: lambda x, code, parameter: parameter * x if x <= _ZERO else x,
    SILU: lambda x, code, parameter: x * squash(x),
    GELU: lambda x, code, parameter: x * distribute(x),
    HARDSWISH: lambda x, code, parameter: (
        _ZERO if x <= -_THREE else (x if x >= _THREE else x * (x + _THREE) * f32(1.0 / 6.0))
    ),
    TANH: lambda x, code, parameter: bend(x),
    SIGMOID: lambda x, code, parameter: squash(x),
    ELU: lambda x, code, parameter: parameter * exponentiate_less_one(x) if x <= _ZERO else x,
}

_SLOPES: Final[dict[int, Callable[..., Any]]] = {
    IDENTITY: lambda x, code, parameter: _ONE,
    RELU: lambda x, code, parameter: _ZERO if x <= _ZERO else _ONE,
    RELU6: lambda x, code, parameter: _ONE if (x > _ZERO) & (x < _SIX) else _ZERO,
    LEAKY_RELU: lambda x, code, parameter: parameter if x <= _ZERO else _ONE,
    SILU: lambda x, code, parameter: _slope_of_silu(x),
    GELU: lambda x, code, parameter: distribute(x) + x * _DENSITY * exponentiate(-_HALF * x * x),
    HARDSWISH: lambda x, code, parameter: (
        _ZERO if x <= -_THREE else (_ONE if x >= _THREE else x * f32(1.0 / 3.0) + _HALF)
    ),
    TANH: lambda x, code, parameter: _slope_of_tanh(x),
    SIGMOID: lambda x, code, parameter: _slope_of_sigmoid(x),
    ELU: lambda x, code, parameter: parameter * exponentiate(x) if x <= _ZERO else _ONE,
}


def activate(x: Any, code: Any, parameter: Any) -> Any:
    """Return the activation of one value, in compiled code."""
    return _ACTIVATIONS[len(code)](x, code, parameter)


def differentiate(x: Any, code: Any, parameter: Any) -> Any:
    """Return the derivative of the activation at one value, in compiled code."""
    return _SLOPES[len(code)](x, code, parameter)


@overload(activate, strict=False, jit_options=_INLINED)
def _choose_activation(x: Any, code: Any, parameter: Any) -> Any:
    return _ACTIVATIONS[len(code)]


@overload(differentiate, strict=False, jit_options=_INLINED)
def _choose_slope(x: Any, code: Any, parameter: Any) -> Any:
    return _SLOPES[len(code)]
