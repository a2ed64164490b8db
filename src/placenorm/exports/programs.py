"""A model as a program of torch.export: standard ops, with the axes free that can be."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, ShapesCollection

from placenorm.errors import ModelError, first_line
from placenorm.exports.calls import BATCH, SIZE, Call, tensors_of
from placenorm.exports.limits import check_error
from placenorm.graph.tracing import undisturbed
from placenorm.rewrite.proving import measure_error

FREEDOMS: Final = ((BATCH, SIZE), (BATCH,), ())
"""What may have other sizes, the most first."""

_TORCH: Final = frozenset({"aten", "prim", "prims", "higher_order", "_operator"})
"""Where ops come from that every torch has."""

_SPATIAL: Final = 2
"""How many of the last axes of images are their size."""


@dataclass(frozen=True, slots=True)
class Program:
    """An exported model.

    Attributes:
        exported: as torch.export gives it.
        free: what may have another size.
        norms: how many calls of a batch norm it makes.
        foreign: where ops come from that not every torch has.
        calls: those that it was held against.
        refused: those that it raises an error for: sizes at which the network would be another program.
    """

    exported: ExportedProgram
    free: tuple[str, ...]
    norms: int
    foreign: tuple[str, ...]
    calls: tuple[Call, ...]
    refused: tuple[Call, ...]

    def save(self) -> bytes:
        """Return it as the content of a file."""
        buffer = io.BytesIO()
        torch.export.save(self.exported, buffer)
        return buffer.getvalue()


def find_adaptive_pools(program: Program) -> tuple[str, ...]:
    """Return where a program pools to so many places, whatever it is given: more than one."""
    found: dict[str, None] = {}
    for node in program.exported.graph.nodes:
        if "adaptive" in str(node.target) and any(isinstance(x, list) and set(x) != {1} for x in node.args):
            stack = list(node.meta.get("nn_module_stack", {}).values())
            found[str(stack[-1][0]) if stack else "a forward"] = None
    return tuple(found)


def list_freedoms(calls: Sequence[Call]) -> tuple[tuple[str, ...], ...]:
    """Return what may be free, the most first, as far as there are calls to hold it against."""
    shown = frozenset[str]().union(*(call.other for call in calls))
    return tuple(free for free in FREEDOMS if set(free) <= shown)


def make_program(model: nn.Module, calls: Sequence[Call], free: tuple[str, ...]) -> Program:
    """Return a model as a program, and hold it against the model.

    Args:
        model: the model, in evaluation mode.
        calls: the example and others.
        free: what may have another size.

    Raises:
        ModelError: if it cannot be exported so, has ops of ours, or does not give what the model gives.
    """
    example = calls[0]
    shapes = ShapesCollection()
    for x in example.tensors:
        axes = [0] * (BATCH in free and x.dim() > 1)
        if SIZE in free and x.is_floating_point():
            axes += range(max(x.dim() - _SPATIAL, 2), x.dim())
        shapes[x] = dict.fromkeys(axes, Dim.DYNAMIC)
    try:
        with undisturbed(model):
            exported = torch.export.export(model, example.args, example.kwargs, dynamic_shapes=shapes)
        found = {call: _run(exported, call) for call in calls if call.other <= set(free)}
    except Exception as error:  # torch.export says in many ways that it cannot
        raise ModelError(f"torch.export cannot do it: {first_line(error)}") from error
    taken = tuple(call for call, given in found.items() if not isinstance(given, Exception))
    for call in taken:
        check_error(measure_error(call.given, found[call]), call.given)
    if example not in taken or set(free) - set().union(*(call.other for call in taken)):
        why = next(given for given in found.values() if isinstance(given, Exception))
        raise ModelError(f"torch.export makes a program that refuses other sizes: {first_line(why)}")
    for graph in _graphs(exported):
        for node in graph.nodes:
            node.meta.pop("stack_trace", None)  # where each call stood in files of this machine
    names = [_name_op(node) for graph in _graphs(exported) for node in graph.nodes if node.op == "call_function"]
    homes = {home for home, _ in names} - _TORCH
    if "placenorm" in homes:
        raise ModelError("it has ops of placenorm, and no other program knows those; please report this network")
    norms = sum("batch_norm" in name for _, name in names)
    refused = tuple(call for call in found if call not in taken)
    return Program(exported, free, norms, tuple(sorted(homes)), taken, refused)


def _run(exported: ExportedProgram, call: Call) -> tuple[Tensor, ...] | Exception:
    try:
        with torch.no_grad():
            return tensors_of(exported.module()(*call.args, **call.kwargs))
    except Exception as error:  # a guard that fails, an op that does not take this size
        return error


def _graphs(exported: ExportedProgram) -> list[torch.fx.Graph]:
    return [module.graph for module in exported.graph_module.modules() if isinstance(module, torch.fx.GraphModule)]


def _name_op(node: torch.fx.Node) -> tuple[str, str]:
    """Return where an op comes from, and its name."""
    target = node.target
    if isinstance(target, (torch._ops.OpOverload, torch._ops.HigherOrderOperator)):
        return target.namespace, str(target)
    return str(getattr(target, "__module__", "_operator")).partition(".")[0], str(getattr(target, "__name__", target))
