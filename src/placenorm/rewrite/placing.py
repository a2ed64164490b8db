"""A model and a placement in, a new model out: norms put in, taken out and moved, the user's source untouched."""

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from placenorm.errors import ModelError
from placenorm.facts.edits import Change, Edit, Skip
from placenorm.facts.graph import Graph, Op
from placenorm.facts.placement import Placement
from placenorm.graph.placements import EditPlan, plan_edits
from placenorm.graph.tracing import ExampleInputs, split_inputs, trace_model
from placenorm.layers.attached import attach_norm, attached_norms, detach_norm
from placenorm.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from placenorm.rewrite.retracing import OwnerGraphs, RetraceError, install, retrace

NormFactory = Callable[[int, int], nn.Module]
"""Builds a norm from the number of channels and the rank of the tensor it will see (2 for [N, D])."""

NormChoice = Literal["torch", "placenorm"] | NormFactory

_KINDS: dict[str, dict[int, type[nn.Module]]] = {
    "torch": {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d},
    "placenorm": {2: BatchNorm1d, 3: BatchNorm1d, 4: BatchNorm2d, 5: BatchNorm3d},
}


@dataclass(frozen=True, slots=True)
class Placed:
    """A model at its placement.

    Attributes:
        model: the rewritten model.
        graph: its graph.
        changes: what was changed: ``.site`` (the block's key) and ``.reason``.
        skipped: what was asked for and not done: ``.site`` and ``.reason``.
        matched: number of blocks that the placement spoke of.
        max_error: max|difference| / max|output| against the model as given, in float64; None where the function was
            meant to change.
        max_error_dtype: the same in the model's own type.
    """

    model: nn.Module
    graph: Graph
    changes: tuple[Change, ...]
    skipped: tuple[Skip, ...]
    matched: int
    max_error: float | None
    max_error_dtype: float | None


def place_model(
    model: nn.Module, example_inputs: ExampleInputs, placement: Placement, norm: NormChoice = "torch"
) -> Placed:
    """Bring a model to a placement, in place, and prove that its norms stand where they should.

    Args:
        model: any model that torch.fx can trace.
        example_inputs: what the model is called with.
        placement: a named policy, or positions by block key.
        norm: whose norms are put in.

    Raises:
        ModelError: if the model cannot be traced or does not run on the inputs.
        UsageError: if the placement has an unknown word.
    """
    graph = trace_model(model, example_inputs)
    plan = plan_edits(graph, placement)
    if not plan.edits:
        return Placed(model, graph, (), plan.skipped, plan.matched, 0.0, 0.0)
    changes, skipped, done = _Rewriter(model, graph, norm, example_inputs).apply(plan)
    if not done:
        return Placed(model, graph, (), skipped, plan.matched, 0.0, 0.0)
    placed = trace_model(model, example_inputs)
    _prove_positions(placed, done)
    return Placed(model, placed, changes, skipped, plan.matched, None, None)


def _prove_positions(placed: Graph, edits: list[Edit]) -> None:
    """Raise an error unless every edited block has its norm where the edit says."""
    found = placed.placement()
    wrong = [edit for edit in edits if found.get(edit.block) != edit.after]
    if wrong:
        edit = wrong[0]
        raise ModelError(
            f"Cannot place the norm of {edit.block} at {edit.after}: after the change it stands at "
            f"{found.get(edit.block)}, so the change is not what it should be; place the other blocks with a mapping, "
            "and please report this network."
        )


class _Rewriter:
    """Carries a model, its graph and the owners whose forwards are being edited."""

    def __init__(self, model: nn.Module, graph: Graph, norm: NormChoice, example_inputs: ExampleInputs) -> None:
        self.model = model
        self.graph = graph
        self.norm = norm
        self.example_inputs = example_inputs
        self.runs = Counter(op.module for op in graph.ops if op.module is not None)
        self.visits: Counter[str] = Counter()
        for (owner, _), count in Counter((op.owner, op.ordinal) for op in graph.ops if op.ordinal >= 0).items():
            self.visits[owner] = max(self.visits[owner], count)
        self.owners: dict[str, OwnerGraphs] = {}

    def apply(self, plan: EditPlan) -> tuple[tuple[Change, ...], tuple[Skip, ...], list[Edit]]:
        """Perform every edit that can be performed; return the changes, the skips and the edits that were made."""
        skipped = list(plan.skipped)
        ready: list[Edit] = []
        for edit in plan.edits:
            try:
                self._open_owners(edit)
                ready.append(edit)
            except RetraceError as error:
                skipped.append(Skip(edit.block, str(error)))
        changes = tuple(Change(edit.block, self._perform(edit)) for edit in ready)
        for path, graphs in self.owners.items():
            install(self.model.get_submodule(path), graphs)
        return changes, tuple(skipped), ready

    # -- which forwards have to be traced anew

    def _open_owners(self, edit: Edit) -> None:
        """Trace the owners that an edit has to go into, all or none."""
        wanted: list[str] = []
        norm = None if edit.norm is None else self.graph.ops[edit.norm]
        anchor = None if edit.anchor is None else self.graph.ops[edit.anchor]
        if norm is not None and anchor is not None and self._keeps_path(norm, anchor):
            wanted = [norm.owner, anchor.owner]
        elif anchor is not None and not self._is_boundary(anchor):
            wanted = [anchor.owner]
        opened: dict[str, OwnerGraphs] = {}
        for path in wanted:
            if path in self.owners or path in opened:
                continue
            if self.visits[path] > 1:
                raise RetraceError(f"{path} runs {self.visits[path]} times in one forward pass, which is not there yet")
            try:
                opened[path] = retrace(self.model.get_submodule(path))
                self._prove_retracing(path, opened[path])
            except RetraceError as error:
                name = path or type(self.model).__name__
                raise RetraceError(f"the norm has to go inside the forward of {name}, but {error}") from error
        self.owners.update(opened)

    def _is_boundary(self, op: Op) -> bool:
        """Whether an op is the one call of a module, so that a norm can hang on that module."""
        return op.module is not None and self.runs[op.module] == 1

    def _is_attached(self, norm: Op) -> bool:
        """Whether a norm hangs on the module it follows."""
        host, _, child = str(norm.module).rpartition(".")
        return norm.owner == host and child in attached_norms(self.model.get_submodule(host))

    def _keeps_path(self, norm: Op, anchor: Op) -> bool:
        """Whether a moved norm can keep its path: the forward it moves to must reach it."""
        inside = not anchor.owner or str(norm.module).startswith(f"{anchor.owner}.")
        return inside and not self._is_attached(norm)

    def _prove_retracing(self, path: str, graphs: OwnerGraphs) -> None:
        """Raise an error unless a forward, traced and not yet edited, gives bit-equal outputs in both modes."""
        for training in (False, True):
            before, after = copy.deepcopy(self.model), copy.deepcopy(self.model)
            install(after.get_submodule(path), graphs)
            try:
                expected = _run_seeded(before.train(training), self.example_inputs)
            except ValueError:  # one value per channel: with or without us, the model cannot train on this input
                continue
            try:
                found = _run_seeded(after.train(training), self.example_inputs)
            except ValueError as error:
                raise RetraceError("it is called with an optional argument, which is not there yet") from error
            if not _same(expected, found):
                raise RetraceError("it gives other outputs when torch.fx has traced it, so it depends on hidden state")

    # -- the edits

    def _perform(self, edit: Edit) -> str:
        """Make one change and return it in words."""
        weight = self.graph.ops[next(b.weight for b in self.graph.blocks if b.key == edit.block)]
        words = [self._change_norm(edit, weight), self._change_bias(weight, edit)]
        return "; ".join(word for word in words if word)

    def _change_norm(self, edit: Edit, weight: Op) -> str:
        norm = None if edit.norm is None else self.graph.ops[edit.norm]
        if edit.anchor is None:
            assert norm is not None
            self._take_out(norm)
            return f"{norm.name} {norm.key} removed"
        anchor = self.graph.ops[edit.anchor]
        if norm is not None and self._keeps_path(norm, anchor):
            self._move(norm, anchor, weight)
            return f"{norm.name} {norm.key} moved behind {_in_words(anchor)}"
        if norm is not None:
            self._take_out(norm)
        module = self._build(anchor, weight)
        path = self._put_in(module, anchor, edit.block)
        verb = "added" if norm is None else f"moved from {norm.key}"
        return f"{type(module).__name__} {path} {verb} behind {_in_words(anchor)}"

    def _build(self, anchor: Op, weight: Op) -> nn.Module:
        """Return a new norm for what an op returns, where the weight op's parameters are."""
        channels, rank = anchor.out_shape[1], len(anchor.out_shape)
        if callable(self.norm):
            module = self.norm(channels, rank)
        elif rank in _KINDS[self.norm]:
            module = _KINDS[self.norm][rank](channels)
        else:
            raise ModelError(f"Cannot place a norm behind {anchor.key}: no batch norm takes a tensor of rank {rank}.")
        like = next(
            (p for p in self._module(weight).parameters()) if weight.module else iter(self.model.parameters()), None
        )
        if like is not None:  # float32 at least, whatever the weights are
            module.to(device=like.device, dtype=torch.float64 if like.dtype == torch.float64 else torch.float32)
        return module.train(self.model.training)

    def _take_out(self, norm: Op) -> None:
        host, _, child = str(norm.module).rpartition(".")
        parent = self.model.get_submodule(host)
        if self._is_attached(norm):
            detach_norm(parent, child)
        else:
            setattr(parent, child, nn.Identity().train(self.model.training))

    def _put_in(self, module: nn.Module, anchor: Op, block: str) -> str:
        """Run a norm behind an op and return the norm's path."""
        if self._is_boundary(anchor):
            return f"{anchor.module}.{attach_norm(self._module(anchor), module)}"
        owner = self.model.get_submodule(anchor.owner)
        stem = block.rpartition(".")[2].replace(":", "").replace("#", "_")
        name, count = f"{stem}_norm", 1
        while hasattr(owner, name):
            count += 1
            name = f"{stem}_norm_{count}"
        owner.add_module(name, module)
        self._call_behind(anchor, name)
        return f"{anchor.owner}.{name}" if anchor.owner else name

    def _move(self, norm: Op, anchor: Op, weight: Op) -> None:
        """Run a norm that keeps its path behind another op."""
        for graph, node in self.owners[norm.owner].each_call(norm.ordinal):
            node.replace_all_uses_with(node.all_input_nodes[0])
            graph.erase_node(node)
        path = str(norm.module)
        self._call_behind(anchor, path.removeprefix(f"{anchor.owner}.") if anchor.owner else path)
        module = self._module(norm)
        if (norm.in_shape[1], len(norm.in_shape)) == (anchor.out_shape[1], len(anchor.out_shape)):
            module.reset_parameters()
        else:  # it stood before a reshape, and the tensor behind has other channels
            self.model.set_submodule(path, self._build(anchor, weight))

    def _call_behind(self, anchor: Op, target: str) -> None:
        for graph, node in self.owners[anchor.owner].each_call(anchor.ordinal):
            _insert_behind(graph, node, target)

    def _change_bias(self, weight: Op, edit: Edit) -> str:
        if weight.module is None or edit.bias == "keep":
            return ""
        module = self._module(weight)
        if edit.bias == "drop" and module.bias is not None:
            module.bias = None
            return f"bias of {weight.module} removed, the norm would cancel it"
        if edit.bias == "add" and module.bias is None:
            weights: Tensor = module.weight
            channels = weight.out_shape[1]
            module.bias = nn.Parameter(torch.zeros(channels, dtype=weights.dtype, device=weights.device))
            return f"bias of {weight.module} added (zero)"
        return ""

    def _module(self, op: Op) -> Any:
        """Return the module of an op; what it has beyond nn.Module is known from its kind."""
        return self.model.get_submodule(str(op.module))


def _in_words(op: Op) -> str:
    return f"{op.name} {op.key}" if op.module else op.key.lstrip(":")


def _insert_behind(graph: fx.Graph, node: fx.Node, target: str) -> None:
    """Hand what a node returns through a child module before anything else reads it."""
    readers = list(node.users)
    with graph.inserting_after(node):
        norm = graph.call_module(target, (node,))
    for reader in readers:
        reader.replace_input_with(node, norm)


def _run_seeded(model: nn.Module, example_inputs: ExampleInputs) -> Any:
    args, kwargs = split_inputs(example_inputs)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return model(*args, **kwargs)


def _same(expected: Any, found: Any) -> bool:
    """Whether two outputs, tensors or nests of tensors, are bit-equal."""
    if isinstance(expected, Tensor):
        return bool(torch.equal(expected.nan_to_num(), found.nan_to_num()))
    if isinstance(expected, dict):
        return expected.keys() == found.keys() and all(_same(value, found[key]) for key, value in expected.items())
    if isinstance(expected, (list, tuple)):
        return len(expected) == len(found) and all(map(_same, expected, found))
    return bool(expected == found)
