"""Our own norms as torch's: the same in evaluation, with modules that load without us."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from torch import nn

from placenorm.graph.tracing import ExampleInputs, bind_inputs, record_model, undisturbed
from placenorm.kernels.activations import IDENTITY, Activation
from placenorm.kernels.pool_chain import MaxPool
from placenorm.layers.batch_norm import takes_neighbours
from placenorm.layers.sync_batch_norm import SyncBatchNorm
from placenorm.rewrite.norms import replace_module
from placenorm.rewrite.originals import HELD, OURS

_PLAIN: Final[dict[type[nn.Module], type[nn.Module]]] = {
    **{ours: torchs for torchs, ours in OURS.items() if torchs is not ours},
    SyncBatchNorm: nn.SyncBatchNorm,
}

_ACTIVATIONS: Final[dict[str, Callable[[float], nn.Module]]] = {
    "relu": lambda _: nn.ReLU(),
    "relu6": lambda _: nn.ReLU6(),
    "leaky_relu": nn.LeakyReLU,
    "silu": lambda _: nn.SiLU(),
    "gelu": lambda _: nn.GELU(),
    "hardswish": lambda _: nn.Hardswish(),
    "tanh": lambda _: nn.Tanh(),
    "sigmoid": lambda _: nn.Sigmoid(),
    "elu": nn.ELU,
}


def make_norms_plain(model: nn.Module, example_inputs: ExampleInputs) -> dict[str, str]:
    """Put torch's layers in the place of ours, in place; return why some stay, by path.

    A layer that holds an activation or a pool becomes a Sequential of what it does.

    Args:
        model: a model that runs on the example.
        example_inputs: what it is called with.
    """
    ours = {path: module for path, module in model.named_modules() if type(module) in _PLAIN}
    if not ours:
        return {}
    record_model(model, example_inputs)  # says what is wrong with the inputs
    stay = _find_called_with_more(model, ours, example_inputs)
    if "" in ours and takes_neighbours(model):
        stay[""] = "it is the whole model, and holds an activation or a pool"
    for path, layer in ours.items():
        if path not in stay:
            _make_plain(model, layer)
    return stay


def _find_called_with_more(
    model: nn.Module, ours: dict[str, nn.Module], example_inputs: ExampleInputs
) -> dict[str, str]:
    found: dict[str, str] = {}

    def note(path: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if len(args) + len(kwargs) > 1:
                found[path] = "it is called with a residual or a mask, which no layer of torch takes"

        return hook

    handles = [module.register_forward_pre_hook(note(path), with_kwargs=True) for path, module in ours.items()]
    try:
        with undisturbed(model):
            bound = bind_inputs(model, example_inputs)
            model(*bound.args, **bound.kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _make_plain(model: nn.Module, layer: nn.Module) -> None:
    held: Any = layer
    around = {name: getattr(held, name, None) for name in ("before", "pool", "after", "pool_after")}
    holds = takes_neighbours(layer)
    for name in (*HELD, "virtual_batch_size", "frozen"):
        layer.__dict__.pop(name, None)
    layer.__class__ = _PLAIN[type(layer)]
    if not holds:
        return
    parts = [(name, _make_part(around[name])) for name in ("before", "pool")]
    parts += [("norm", layer), *((name, _make_part(around[name])) for name in ("after", "pool_after"))]
    whole = nn.Sequential(OrderedDict((name, part) for name, part in parts if part is not None))
    whole.train(layer.training)
    replace_module(model, layer, whole)


def _make_part(part: Any) -> nn.Module | None:
    if part is None or part == IDENTITY:
        return None
    if isinstance(part, Activation):
        return _ACTIVATIONS[part.name](part.parameter)
    if isinstance(part, MaxPool):
        return nn.MaxPool2d(part.kernel_size, part.stride, part.padding, ceil_mode=part.ceil_mode)
    return nn.AvgPool2d(part.kernel_size, part.stride, part.padding, part.ceil_mode, part.count_include_pad)
