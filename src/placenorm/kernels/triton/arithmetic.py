"""Activations and their derivatives, in float32, on whatever shape a kernel holds.

Which activation it is is a constant of the compiled kernel.
"""

from typing import Any

import triton
import triton.language as tl


@triton.jit
def squash(x: tl.tensor) -> Any:
    """Return the logistic function."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def bend(x: tl.tensor) -> Any:
    """Return the hyperbolic tangent; near 0 by a polynomial, where the difference of two numbers near 1 would lose it.

    Source:
        Cephes tanhf (Moshier).
    """
    z = x * x
    p = -5.70498872745e-3
    p = p * z + 2.06390887954e-2
    p = p * z + -5.37397155531e-2
    p = p * z + 1.33314422036e-1
    p = p * z + -3.33332819422e-1
    return tl.where(z < 0.390625, x + x * z * p, 2.0 * squash(2.0 * x) - 1.0)


@triton.jit
def exponentiate_less_one(x: tl.tensor) -> Any:
    """Return e to the x, less 1, of numbers that are not positive; near 0 by its series."""
    p = x * (1.0 / 5040.0) + 1.0 / 720.0
    p = p * x + 1.0 / 120.0
    p = p * x + 1.0 / 24.0
    p = p * x + 1.0 / 6.0
    p = p * x + 0.5
    return tl.where(x > -0.5, x + x * x * p, tl.exp(x) - 1.0)


@triton.jit
def distribute(x: tl.tensor) -> Any:
    """Return the standard normal distribution function."""
    return 0.5 * (1.0 + tl.erf(x * 0.7071067811865476))


@triton.jit
def activate(x: tl.tensor, NAME: tl.constexpr, parameter: tl.tensor) -> Any:
    """Return the activations; NaN stays NaN."""
    if NAME == "relu":
        return tl.where(x <= 0.0, 0.0, x)
    elif NAME == "relu6":
        return tl.where(x <= 0.0, 0.0, tl.where(x >= 6.0, 6.0, x))
    elif NAME == "leaky_relu":
        return tl.where(x <= 0.0, parameter * x, x)
    elif NAME == "silu":
        return x * squash(x)
    elif NAME == "gelu":
        return x * distribute(x)
    elif NAME == "hardswish":
        return tl.where(x <= -3.0, 0.0, tl.where(x >= 3.0, x, x * (x + 3.0) * (1.0 / 6.0)))
    elif NAME == "tanh":
        return bend(x)
    elif NAME == "sigmoid":
        return squash(x)
    elif NAME == "elu":
        return tl.where(x <= 0.0, parameter * exponentiate_less_one(x), x)
    else:
        return x


@triton.jit
def differentiate(x: tl.tensor, NAME: tl.constexpr, parameter: tl.tensor) -> Any:
    """Return the derivatives, at the kinks as torch's backward has them."""
    if NAME == "relu":
        return tl.where(x <= 0.0, 0.0, 1.0)
    elif NAME == "relu6":
        return tl.where((x > 0.0) & (x < 6.0), 1.0, 0.0)
    elif NAME == "leaky_relu":
        return tl.where(x <= 0.0, parameter, 1.0)
    elif NAME == "silu":
        gate = squash(x)
        return gate * (1.0 + x * (1.0 - gate))
    elif NAME == "gelu":
        return distribute(x) + x * 0.3989422804014327 * tl.exp(-0.5 * x * x)
    elif NAME == "hardswish":
        return tl.where(x <= -3.0, 0.0, tl.where(x >= 3.0, 1.0, x * (1.0 / 3.0) + 0.5))
    elif NAME == "tanh":
        y = bend(x)
        return 1.0 - y * y
    elif NAME == "sigmoid":
        gate = squash(x)
        return gate * (1.0 - gate)
    elif NAME == "elu":
        return tl.where(x <= 0.0, parameter * tl.exp(x), 1.0)
    else:
        return tl.full(x.shape, 1.0, tl.float32)
