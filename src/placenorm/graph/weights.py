"""The weights that a weight op computes with: their shape, their cost, and whether they are just its module's own."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from placenorm.graph.vocabulary import name_of_call
from placenorm.layers.attached import attached_norms


@dataclass(frozen=True, slots=True)
class Weights:
    """What a weight op computes with: the shape of its weights, and whether they are just its module's own."""

    shape: tuple[int, ...]
    transposed: bool
    own: bool


def find_weights(
    func: Callable[..., Any], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Weights | None:
    """Return the weights that a weight op was called with."""
    given = args[1] if len(args) > 1 else kwargs.get("weight")
    bias = args[2] if len(args) > 2 else kwargs.get("bias")
    if not isinstance(given, Tensor):
        return None
    own = given is module._parameters.get("weight") and bias is module._parameters.get("bias")
    return Weights(tuple(given.shape), "transpose" in name_of_call(func), own)


def count_macs(weight: Weights | None, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> int:
    """Return the multiply-adds of a weight op: one per output element and weight that it reads."""
    if weight is None:
        return 0
    return math.prod(in_shape if weight.transposed else out_shape) * math.prod(weight.shape[1:])


def count_own_parameters(module: nn.Module) -> int:
    """Return the number of parameters of a module without its attached norms."""
    attached = tuple(f"{child}." for child in attached_norms(module))
    return sum(
        parameter.numel()
        for name, parameter in module.named_parameters()
        if not (name.startswith(attached) or is_lazy(parameter))
    )
