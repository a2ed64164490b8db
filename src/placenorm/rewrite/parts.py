"""Networks that choose by comparing numbers, as detectors do: whether one does, and the parts that stand in for it.

Such a network answers rounding with other boxes, or with none. Its parts give numbers that rounding leaves steady, and
what is behind them is the same code on the same numbers.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from placenorm.graph.channel_calls import TELLING
from placenorm.graph.snapshot import bit_equal
from placenorm.graph.tracing import ExampleInputs, map_tensors, split_inputs
from placenorm.graph.values import tensors_in
from placenorm.graph.vocabulary import name_of_call
from placenorm.probe.measuring import fit_inputs
from placenorm.randomness import fix_seed
from placenorm.rewrite.keeping import EXACT
from placenorm.rewrite.proving import change_last_bits, count_numbers, largest_eps, measure_error

OTHER_CHOICE: Final = 10.0
"""What rounding to the model's own type moves no output by, in roots of its unit, but by another choice.

As a share of the largest output: 0.3 % in float32, 31 % in float16.
"""

TRIES: Final = 8
"""How often the last bits of a network are drawn anew to see whether it chooses otherwise then."""


def limit_choice(model: nn.Module) -> float:
    """Return by what share of the largest output no rounding to a model's own type moves it, but another choice."""
    return OTHER_CHOICE * math.sqrt(largest_eps(model))


def is_unsteady(model: nn.Module, inputs: ExampleInputs, *, wide: bool) -> bool:
    """Whether a network chooses otherwise when the last bits of its weights and of its inputs are others.

    Args:
        model: a network; it stays as it is.
        inputs: what it is called with.
        wide: whether it is asked in float64, else in its own type.
    """
    twin = copy.deepcopy(model)
    limit = EXACT if wide else limit_choice(model)
    if wide:
        twin.double()
    given = fit_inputs(twin, inputs) if wide else inputs
    kept = {name: parameter.detach().clone() for name, parameter in twin.named_parameters()}
    truth = run_copy(copy.deepcopy(twin), given)
    draw = torch.Generator().manual_seed(0)
    for _ in range(TRIES):
        with torch.no_grad():
            for name, parameter in twin.named_parameters():
                parameter.copy_(_redraw_last_bits(kept[name], draw))
        nudged = map_tensors(lambda x: _redraw_last_bits(x, draw), given)
        if measure_error(truth, run_copy(copy.deepcopy(twin), nudged)) > limit:
            return True
    return False


def _redraw_last_bits(x: Tensor, draw: torch.Generator) -> Tensor:
    if not x.is_floating_point():
        return x
    turn = torch.randint(-1, 2, x.shape, generator=draw).to(x)
    return x + x * turn * torch.finfo(x.dtype).eps


def find_parts(original: nn.Module, example_inputs: ExampleInputs) -> tuple[str, ...]:
    """Return the paths of the modules to compare in the place of a network that rounding moves.

    Args:
        original: a network that runs in float64.
        example_inputs: what it is called with.

    Returns:
        The outermost modules that rounding does not move and in which anything is learned. Modules without children are
        none, since what a norm or a conv gives by itself is to change.
    """
    twin, alike = copy.deepcopy(original).double(), copy.deepcopy(original)
    inputs = fit_inputs(twin, example_inputs)
    runs = (twin, inputs), (twin, map_tensors(change_last_bits, inputs)), (alike, example_inputs)
    limit = limit_choice(original)
    parts: list[str] = []
    paths = _list_children(original, [""])
    while paths:  # level by level: what all modules of a large network give does not fit into memory
        seen = [observe(model, given, paths) for model, given in runs]
        steady = [path for path in paths if _is_steady(*(each[path] for each in seen), limit=limit)]
        parts += steady
        paths = _list_children(original, [path for path in paths if path not in steady])
    return tuple(path for path in parts if _holds_more(original.get_submodule(path)))


def _list_children(model: nn.Module, paths: Sequence[str]) -> list[str]:
    """Return the paths of the children of modules."""
    return [f"{path}.{name}".lstrip(".") for path in paths for name, _ in model.get_submodule(path).named_children()]


def _holds_more(part: nn.Module) -> bool:
    """Whether a module has children, and something learned in them."""
    return any(part.children()) and any(True for _ in part.parameters())


def _is_steady(truth: Any, nudged: Any, rounded: Any, *, limit: float) -> bool:
    """Whether rounding moves numbers by no more than itself.

    Args:
        truth: in float64.
        nudged: the same for inputs that differ in their last bits.
        rounded: the same in the model's own type.
        limit: by what share that may move them.
    """
    return (
        count_numbers(truth) > 0
        and measure_error(truth, nudged) <= EXACT
        and measure_error(truth, rounded, rest=False) <= limit
    )


def differs_outside(model: nn.Module, changed: nn.Module, parts: Sequence[str]) -> bool:
    """Whether anything but the parts of a network was changed: a module's class, a parameter or a buffer."""
    inside = _prefixes(parts)
    one, two = (
        {path: type(module) for path, module in each.named_modules() if not f"{path}.".startswith(inside)}
        for each in (model, changed)
    )
    held, found = (
        {name: tensor for name, tensor in _list_tensors(each) if not name.startswith(inside)}
        for each in (model, changed)
    )
    if one != two or held.keys() != found.keys():
        return True
    return any(not bit_equal(tensor, found[name]) for name, tensor in held.items())


def _list_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _prefixes(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{part}." for part in parts)


# -- running copies


def run_copy(model: nn.Module, inputs: ExampleInputs) -> Any:
    """Return what a copy gives that nobody needs afterwards."""
    with fix_seed(), torch.no_grad():
        args, kwargs = split_inputs(map_tensors(lambda x: x.detach().clone(), inputs))
        return map_tensors(lambda x: x.detach().clone(), model(*args, **kwargs))


def observe(model: nn.Module, inputs: ExampleInputs, paths: Sequence[str], *, apart: bool = False) -> dict[str, Any]:
    """Return what modules of a copy give in a run, by path, in the order of their calls.

    Args:
        model: the copy.
        inputs: what it is called with.
        paths: of the modules.
        apart: whether to note, too, what others take out of the modules while none of them runs: what a module in one
            of them gives that is called by itself, and parameters and buffers that are read.
    """
    seen: dict[str, list[Any]] = {path: [] for path in paths}
    running: list[str] = []

    def note(path: str, output: Any) -> None:
        seen.setdefault(path, []).append(map_tensors(lambda x: x.detach().clone(), output))

    def enter(path: str) -> None:
        running.append(path)

    def leave(path: str, output: Any) -> None:
        running.pop()
        if output is not None:  # of a part that raised
            note(path, output)

    def look(path: str, output: Any) -> None:
        if not running:
            note(path, output)

    hooks = []
    for path in paths:
        part = model.get_submodule(path)
        if apart:
            for below, module in part.named_modules(prefix=path):
                if module is not part:
                    hooks.append(module.register_forward_hook(lambda m, x, y, below=below: look(below, y)))
        hooks.append(part.register_forward_pre_hook(lambda m, x, path=path: enter(path)))
        hooks.append(part.register_forward_hook(lambda m, x, y, path=path: leave(path, y), always_call=True))
    try:
        with _watch_reads(model, paths, look) if apart else nullcontext():
            run_copy(model, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _watch_reads(model: nn.Module, paths: Sequence[str], look: Any) -> TorchFunctionMode:
    """Return what looks at parameters and buffers of modules that a call reads."""
    named = {id(tensor): name for name, tensor in _list_tensors(model) if name.startswith(_prefixes(paths))}

    class Reads(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if name_of_call(func) not in TELLING or isinstance(result, Tensor):
                for tensor in tensors_in((args, kwargs)):
                    if id(tensor) in named:
                        look(named[id(tensor)], tensor)
            return result

    return Reads()
