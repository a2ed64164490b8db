"""What can stand beside a norm in a traced forward and be taken into it: activations, max pools and additions."""

import operator
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.utils import _pair

from placenorm.graph.vocabulary import kind_of_call, kind_of_module, name_of_call
from placenorm.kernels.activations import FUNCTIONS, IDENTITY, Activation
from placenorm.kernels.dispatch import find_window_gap
from placenorm.kernels.pool_chain import MaxPool
from placenorm.layers.attached import attached_norms

_MODULES: Final[dict[type[nn.Module], Callable[[Any], Activation]]] = {
    nn.Identity: lambda _: IDENTITY,
    nn.ReLU: lambda _: Activation("relu"),
    nn.ReLU6: lambda _: Activation("relu6"),
    nn.LeakyReLU: lambda module: Activation("leaky_relu", float(module.negative_slope)),
    nn.SiLU: lambda _: Activation("silu"),
    nn.GELU: lambda _: Activation("gelu"),
    nn.Hardswish: lambda _: Activation("hardswish"),
    nn.Tanh: lambda _: Activation("tanh"),
    nn.Sigmoid: lambda _: Activation("sigmoid"),
    nn.ELU: lambda module: Activation("elu", float(module.alpha)),
}
"""torch's own modules and what they compute; a subclass may do more."""

_NAMED: Final = {("timm.layers.activations", name): name.lower() for name in ("GELU", "Sigmoid", "Tanh")}
"""timm's modules that compute what torch's do, by their homes and names: the library need not be there."""

_PARAMETERS: Final[dict[str, tuple[str, float]]] = {"leaky_relu": ("negative_slope", 0.01), "elu": ("alpha", 1.0)}
"""Activations with a parameter: torch's name of it, and its value where none is given."""

_SECOND: Final = frozenset({"relu", "relu6", "silu", "hardswish"})
"""Functions whose second argument says whether they work in place."""

_ADDITIONS: Final = (operator.add, operator.iadd, torch.add)

_IN_PLACE: Final = (operator.iadd, operator.isub, operator.imul, operator.itruediv)
"""What ``+=`` and its like become in a traced forward."""

_POOL_ARGUMENTS: Final = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
"""What torch's max pool is called with behind its input, in order."""

_MAKERS: Final = frozenset({"weight", "norm", "other-norm", "pool"})
"""Kinds of calls whose output is memory of its own, that nobody else holds."""

_HOOKS: Final = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def has_hooks(module: nn.Module) -> bool:
    """Whether anything hooks on a module but the norms that we ourselves have attached to it."""
    own = len(attached_norms(module))
    return sum(len(getattr(module, name)) for name in _HOOKS) > own or "forward" in module.__dict__


def attached_norm(module: nn.Module) -> str | None:
    """Return the name of the one norm that hangs on a module which has no other hooks; None where it is not so."""
    names = attached_norms(module)
    return names[0] if len(names) == 1 and not has_hooks(module) else None


def read_activation(module: nn.Module) -> Activation | None:
    """Return what an activation of torch's or timm's, or an identity, computes; None for any other module."""
    kind = type(module)
    named = _NAMED.get((kind.__module__, kind.__name__))
    if named is not None:
        return Activation(named)
    read = _MODULES.get(kind)
    if read is None or getattr(module, "approximate", "none") != "none":
        return None
    return read(module)


def read_pool(module: nn.Module) -> MaxPool | None:
    """Return what a max pool of torch's computes, as far as kernels take it; None for any other module."""
    if type(module) is not nn.MaxPool2d:
        return None
    return _make_pool({name: getattr(module, name) for name in _POOL_ARGUMENTS})


def activation_of(node: fx.Node, owner: nn.Module) -> Activation | None:
    """Return what a call computes where it is an activation that kernels have; None where it is none."""
    if node.op == "call_module":
        module = owner.get_submodule(str(node.target))
        return None if has_hooks(module) else _not_identity(read_activation(module))
    if node.op == "call_function" and kind_of_call(node.target) != "activation":  # type: ignore[arg-type]
        return None
    name = _name_of(node)
    if name not in FUNCTIONS or name == IDENTITY.name or node.op not in ("call_function", "call_method"):
        return None
    given = dict(node.kwargs)
    parameter = 0.0
    if name in _PARAMETERS:
        word, usual = _PARAMETERS[name]
        value = node.args[1] if len(node.args) > 1 else given.get(word, usual)
        if not isinstance(value, (int, float)):
            return None
        parameter = float(value)
    if name == "gelu" and given.get("approximate", "none") != "none":
        return None
    return Activation(name, parameter)


def works_in_place(node: fx.Node, owner: nn.Module) -> bool:
    """Whether a call may write into what it reads."""
    if node.op == "call_module":
        return bool(getattr(owner.get_submodule(str(node.target)), "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_")
    if _spelling(node).endswith("_") or node.target in _IN_PLACE:
        return True
    name, arguments = _name_of(node), node.args
    place = 1 if name in _SECOND else 2 if name in _PARAMETERS else len(arguments)
    return bool(arguments[place] if len(arguments) > place else node.kwargs.get("inplace", False))


def pool_of(node: fx.Node, owner: nn.Module) -> MaxPool | None:
    """Return what a call computes where it is a max pool that kernels have; None where it is none."""
    if node.op == "call_module":
        module = owner.get_submodule(str(node.target))
        pool = None if has_hooks(module) else read_pool(module)
        return pool if pool is not None and not find_window_gap(pool) else None
    if node.op != "call_function" or _name_of(node) != "max_pool2d":
        return None
    pool = _make_pool({**dict(zip(_POOL_ARGUMENTS, node.args[1:], strict=False)), **node.kwargs})
    return pool if pool is not None and not find_window_gap(pool) else None


def is_identity(node: fx.Node, owner: nn.Module) -> bool:
    """Whether a call hands on what it reads, and nothing could see it do so."""
    if node.op != "call_module":
        return False
    module = owner.get_submodule(str(node.target))
    return type(module) is nn.Identity and not has_hooks(module) and not attached_norms(module)


def addends_of(node: fx.Node) -> tuple[fx.Node, fx.Node] | None:
    """Return the two values of a network that a call adds; None where it does anything else."""
    by_function = node.op == "call_function" and node.target in _ADDITIONS
    by_method = node.op == "call_method" and node.target in ("add", "add_")
    if not (by_function or by_method) or node.kwargs or len(node.args) != 2:
        return None
    one, other = node.args
    if not isinstance(one, fx.Node) or not isinstance(other, fx.Node) or one is other:
        return None
    return one, other


def makes_own_memory(node: fx.Node, owner: nn.Module) -> bool:
    """Whether what a call returns is memory that nothing else can hold: what writes into it changes nothing else."""
    if node.op == "call_module":
        module = owner.get_submodule(str(node.target))
        return kind_of_module(module) in _MAKERS and not has_hooks(module) and not attached_norms(module)
    if node.op != "call_function" or works_in_place(node, owner):
        return False
    return kind_of_call(node.target) in (*_MAKERS, "join")  # type: ignore[arg-type]


def _make_pool(given: dict[str, Any]) -> MaxPool | None:
    if given.get("return_indices") or any(isinstance(value, (fx.Node, Tensor)) for value in given.values()):
        return None
    window = given.get("kernel_size")
    stride = given.get("stride")
    sizes = (window, window if stride is None or stride == [] else stride, given.get("padding", 0))
    if window is None or _pair(given.get("dilation", 1)) != (1, 1):
        return None
    try:
        size, step, pad = (_as_pair(each) for each in sizes)
        return MaxPool(size, step, pad, bool(given.get("ceil_mode", False)))
    except (TypeError, ValueError):  # sizes that only torch can say what is wrong with
        return None


def _as_pair(value: Any) -> tuple[int, int]:
    first, second = _pair(value)
    return int(first), int(second)


def _not_identity(activation: Activation | None) -> Activation | None:
    return None if activation == IDENTITY else activation


def _name_of(node: fx.Node) -> str:
    return str(node.target).strip("_") if node.op == "call_method" else name_of_call(node.target)  # type: ignore[arg-type]


def _spelling(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", ""))
