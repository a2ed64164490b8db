"""Which module and which function plays which role in a block."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.facts.graph import OpKind
from placenorm.layers.batch_norm import BatchNorm1d, takes_neighbours
from placenorm.layers.sync_batch_norm import SyncBatchNorm

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHT_MODULES = (*CONVOLUTIONS, nn.Linear)
OTHER_NORMS = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)
OTHER_NORM_FUNCTIONS: frozenset[Callable[..., Any]] = frozenset(
    {F.layer_norm, F.group_norm, F.instance_norm, F.local_response_norm, F.rms_norm, torch.layer_norm, torch.group_norm}
)

NORM_FORWARDS = (_BatchNorm.forward, nn.SyncBatchNorm.forward, BatchNorm1d.forward, SyncBatchNorm.forward)
"""What runs in a norm that can be moved; a subclass with a forward of its own may do more (an activation, say)."""

RELU_LIKE = frozenset({"ReLU", "ReLU6", "Hardswish", "Hardsigmoid"})
"""Activations whose gradient is exactly zero on a half-line: a unit that only sees that half-line is dead.

Where Hardtanh and Threshold are flat depends on their arguments; they are left out.
"""

_MODULES: list[tuple[tuple[type[nn.Module], ...], OpKind]] = [
    (WEIGHT_MODULES, "weight"),
    (OTHER_NORMS, "other-norm"),
    (
        (
            nn.ReLU,
            nn.ReLU6,
            nn.LeakyReLU,
            nn.PReLU,
            nn.RReLU,
            nn.ELU,
            nn.CELU,
            nn.SELU,
            nn.GELU,
            nn.SiLU,
            nn.Mish,
            nn.Softplus,
            nn.Softsign,
            nn.Tanh,
            nn.Sigmoid,
            nn.LogSigmoid,
            nn.Hardtanh,
            nn.Hardswish,
            nn.Hardsigmoid,
            nn.Hardshrink,
            nn.Softshrink,
            nn.Tanhshrink,
            nn.Threshold,
        ),
        "activation",
    ),
    (
        (
            nn.MaxPool1d,
            nn.MaxPool2d,
            nn.MaxPool3d,
            nn.AvgPool1d,
            nn.AvgPool2d,
            nn.AvgPool3d,
            nn.LPPool1d,
            nn.LPPool2d,
            nn.AdaptiveAvgPool1d,
            nn.AdaptiveAvgPool2d,
            nn.AdaptiveAvgPool3d,
            nn.AdaptiveMaxPool1d,
            nn.AdaptiveMaxPool2d,
            nn.AdaptiveMaxPool3d,
        ),
        "pool",
    ),
    (
        (
            nn.Dropout,
            nn.Dropout1d,
            nn.Dropout2d,
            nn.Dropout3d,
            nn.AlphaDropout,
            nn.FeatureAlphaDropout,
        ),
        "dropout",
    ),
    ((nn.Flatten, nn.Unflatten), "reshape"),
    ((nn.Identity,), "identity"),
]

_ACTIVATION_NAMES = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "leaky_relu": "LeakyReLU",
    "prelu": "PReLU",
    "rrelu": "RReLU",
    "elu": "ELU",
    "celu": "CELU",
    "selu": "SELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "logsigmoid": "LogSigmoid",
    "hardtanh": "Hardtanh",
    "hardswish": "Hardswish",
    "hardsigmoid": "Hardsigmoid",
    "hardshrink": "Hardshrink",
    "softshrink": "Softshrink",
    "tanhshrink": "Tanhshrink",
    "threshold": "Threshold",
}
"""torch's names of a function, and of the module that does the same."""

_POOL_NAMES = (
    *(f"{kind}_pool{rank}d" for kind in ("max", "avg", "lp", "adaptive_avg", "adaptive_max") for rank in (1, 2, 3)),
)
_DROPOUT_NAMES = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
_WEIGHT_NAMES = (*(f"conv{t}{rank}d" for t in ("", "_transpose") for rank in (1, 2, 3)), "linear")
_RESHAPE_NAMES = ("flatten", "reshape", "unflatten", "squeeze", "unsqueeze", "view", "view_as", "reshape_as", "ravel")
_JOIN_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    operator.add,
    operator.iadd,
    operator.sub,
    operator.mul,
    operator.imul,
    operator.truediv,
    operator.matmul,
    torch.add,
    torch.sub,
    torch.mul,
    torch.div,
    torch.matmul,
    torch.cat,
    torch.concat,
    torch.stack,
    torch.maximum,
    torch.minimum,
)
_JOIN_METHODS = (
    *(f"{sign}{name}" for name in ("add", "sub", "mul", "div", "truediv", "matmul") for sign in ("", "r", "i")),
    "bmm",
)


def _spell(names: tuple[str, ...] | dict[str, str], kind: OpKind) -> dict[Callable[..., Any], OpKind]:
    """Return every function of torch and torch.nn.functional that has one of the names, in place or not."""
    found: dict[Callable[..., Any], OpKind] = {}
    for name in names:
        for home in (torch, F):
            for spelling in (name, f"{name}_"):
                function = getattr(home, spelling, None)
                if callable(function):
                    found[function] = kind
    return found


_FUNCTIONS: dict[Callable[..., Any], OpKind] = {
    **_spell(_ACTIVATION_NAMES, "activation"),
    **_spell(_POOL_NAMES, "pool"),
    **_spell(_DROPOUT_NAMES, "dropout"),
    **_spell(_WEIGHT_NAMES, "weight"),
    **_spell(_RESHAPE_NAMES, "reshape"),
    **_spell(("batch_norm",), "norm"),
    **dict.fromkeys(OTHER_NORM_FUNCTIONS, "other-norm"),
    **dict.fromkeys(_JOIN_FUNCTIONS, "join"),
}
_METHODS: dict[str, OpKind] = {
    **dict.fromkeys(_ACTIVATION_NAMES, "activation"),
    **dict.fromkeys(_RESHAPE_NAMES, "reshape"),
    **dict.fromkeys(("contiguous", "clone"), "identity"),
    **dict.fromkeys(_JOIN_METHODS, "join"),
}
"""Methods of a tensor, and operators, by their names without underscores."""

_NAMED_MODULES: dict[str, OpKind] = {"DropPath": "dropout", "StochasticDepth": "dropout", "DropBlock2d": "dropout"}
"""Modules of timm and torchvision, by their names: neither library need be there."""

_NORMS_WITH_ACTIVATION = frozenset({"BatchNormAct2d", "SyncBatchNormAct"})
"""timm's norms that carry dropout and an activation behind them, as children ``drop`` and ``act``."""

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def kind_of_module(module: nn.Module) -> OpKind:
    """Return the role that a module plays in a block."""
    if is_norm_with_activation(module):
        return "norm"
    if type(module).__name__ in _NAMED_MODULES:
        return _NAMED_MODULES[type(module).__name__]
    if isinstance(module, _BatchNorm):
        return "norm" if type(module).forward in NORM_FORWARDS and not takes_neighbours(module) else "other-norm"
    return next((kind for types, kind in _MODULES if isinstance(module, types)), "other")


def is_norm_with_activation(module: nn.Module) -> bool:
    """Whether a module is one of timm's norms that carry an activation."""
    return isinstance(module, _BatchNorm) and type(module).__name__ in _NORMS_WITH_ACTIVATION


def is_leaf_module(module: nn.Module) -> bool:
    """Whether a module is one op to us: torch's own layers, and subclasses of them that play no other role."""
    if isinstance(module, _CONTAINERS) or is_norm_with_activation(module):
        return False
    if type(module).__module__.startswith(("torch.nn.", "torch.ao.nn.")):
        return True
    return kind_of_module(module) not in ("other", "weight")


def name_of_call(function: Callable[..., Any]) -> str:
    """Return the name of a function or a method as torch spells it, without the underscores of operators."""
    name = getattr(function, "__name__", type(function).__name__)
    return name.strip("_") if name != "__get__" else "attribute"


def kind_of_call(function: Callable[..., Any]) -> OpKind:
    """Return the role that a function of torch, or a method of a tensor, plays in a block."""
    kind = _FUNCTIONS.get(function)
    return kind if kind is not None else _METHODS.get(name_of_call(function), "other")


_AVERAGE_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_ADAPTIVE_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_AVERAGE_ARGUMENTS = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
"""What torch's average pools are called with behind their input, in order."""


def module_means_only(module: nn.Module) -> bool:
    """Whether a module takes means of what is there and nothing else."""
    kind = next((each for each in (*_ADAPTIVE_POOLS, *_AVERAGE_POOLS) if isinstance(module, each)), None)
    if kind is None or type(module).forward is not kind.forward:
        return False
    return kind in _ADAPTIVE_POOLS or _takes_means({**vars(module)})


def call_means_only(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], output: object
) -> bool:
    """Whether a call takes means of what is there and nothing else, channel by channel."""
    name = name_of_call(function)
    if name.startswith("adaptive_avg_pool"):
        return True
    if name.startswith("avg_pool"):
        return _takes_means({**dict(zip(_AVERAGE_ARGUMENTS, args[1:], strict=False)), **kwargs})
    source = args[0] if args else kwargs.get("input")
    return (
        name == "mean"
        and isinstance(source, torch.Tensor)
        and isinstance(output, torch.Tensor)
        and source.dim() > 2
        and output.shape[:2] == source.shape[:2]
        and all(size == 1 for size in output.shape[2:])
    )


def _takes_means(arguments: dict[str, Any]) -> bool:
    padding = arguments.get("padding", 0)
    padded = any(padding) if isinstance(padding, (tuple, list)) else bool(padding)
    counted = padded and arguments.get("count_include_pad", True)
    return not counted and arguments.get("divisor_override") is None


def activation_name(name: str) -> str:
    """Return the module's name of an activation that was called by a function's name."""
    return _ACTIVATION_NAMES.get(name.rstrip("_"), name)
