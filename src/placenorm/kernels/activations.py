"""The activations that norms are fused with: their names, their functions in torch, and their derivatives."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation, its parameter fixed.

    Attributes:
        name: a key of `FUNCTIONS`.
        parameter: the slope of leaky_relu, the alpha of elu; 0 for the others, which have none.

    Raises:
        ValueError: an activation without a parameter is given one.
    """

    name: str
    parameter: float = 0.0

    def __post_init__(self) -> None:
        if self.parameter != 0.0 and self.name in FUNCTIONS and self.name not in PARAMETRIC:
            raise ValueError(
                f"{self.name} takes no parameter (got {self.parameter}); only {' and '.join(PARAMETRIC)} do"
            )


def choose_parameter(name: str, parameter: float) -> Activation:
    """Return an activation by name, with the parameter where it has one."""
    return Activation(name, parameter if name in PARAMETRIC else 0.0)


PARAMETRIC: Final = ("leaky_relu", "elu")
"""Activations with a parameter."""


FUNCTIONS: Final[dict[str, Callable[[Tensor, float], Tensor]]] = {
    "identity": lambda x, _: x,
    "relu": lambda x, _: F.relu(x),
    "relu6": lambda x, _: F.relu6(x),
    "leaky_relu": F.leaky_relu,
    "silu": lambda x, _: F.silu(x),
    "gelu": lambda x, _: F.gelu(x),
    "hardswish": lambda x, _: F.hardswish(x),
    "tanh": lambda x, _: torch.tanh(x),
    "sigmoid": lambda x, _: torch.sigmoid(x),
    "elu": F.elu,
}
"""What torch computes, by name; the second argument is the parameter."""

IDENTITY: Final = Activation("identity")


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Return the activations of a tensor, in its shape and dtype."""
    y: Tensor = FUNCTIONS[activation.name](x, activation.parameter)
    return y


def differentiate(x: Tensor, activation: Activation) -> Tensor:
    """Return the derivative of an activation at every value, as torch's backward has it at the kinks.

    Args:
        x: what the activation is given, any shape, float32 or float64.
        activation: the activation.
    """
    one, parameter = torch.ones_like(x), activation.parameter
    match activation.name:
        case "identity":
            return one
        case "relu":
            return (x > 0).to(x.dtype)
        case "relu6":
            return ((x > 0) & (x < 6)).to(x.dtype)
        case "leaky_relu":
            return torch.where(x > 0, one, parameter * one)
        case "silu":
            gate = torch.sigmoid(x)
            return gate * (1 + x * (1 - gate))
        case "gelu":
            density = torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
            return 0.5 * (1 + torch.erf(x * math.sqrt(0.5))) + x * density
        case "hardswish":
            return torch.where(x <= -3, 0 * one, torch.where(x < 3, x / 3 + 0.5, one))
        case "tanh":
            return 1 - torch.tanh(x).square()
        case "sigmoid":
            gate = torch.sigmoid(x)
            return gate * (1 - gate)
        case "elu":
            return torch.where(x > 0, one, parameter * torch.exp(x))
        case name:
            raise ValueError(f"There is no activation {name!r} here; use one of {', '.join(FUNCTIONS)}.")
