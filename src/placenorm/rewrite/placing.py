"""A model and a placement in, a new model out: norms put in, taken out and moved, the user's source untouched."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from placenorm.errors import ModelError, UsageError
from placenorm.facts.edits import Change, Edit, Skip
from placenorm.facts.graph import Graph, Op
from placenorm.facts.placement import Placement
from placenorm.graph.placements import EditPlan, plan_edits
from placenorm.graph.tracing import ExampleInputs, trace_model
from placenorm.layers.attached import attach_norm, attached_norms, detach_norm
from placenorm.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from placenorm.rewrite.proving import ForwardProof
from placenorm.rewrite.reordering import ChildOrder, is_plain_sequential
from placenorm.rewrite.retracing import OwnerGraphs, RetraceError, retrace

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
    model: nn.Module,
    example_inputs: ExampleInputs,
    placement: Placement,
    norm: NormChoice = "torch",
    *,
    prove: bool = True,
) -> Placed:
    """Bring a model to a placement, in place, and prove that its norms stand where they should.

    Args:
        model: any model that torch.fx can trace.
        example_inputs: what the model is called with.
        placement: a named policy, or positions by block key.
        norm: whose norms are put in.
        prove: whether to run copies of the model to prove that forwards do traced what they did before. False is right
            only where that was proved already: the same network, and as placement the ``graph.placement()`` of what
            came out, since a block whose forward fails the proof stays as it is. Where the norms stand is proved
            always.

    Raises:
        ModelError: if the model cannot be traced or does not run on the inputs.
        UsageError: if the placement or the norm has an unknown word.
    """
    if not callable(norm) and norm not in _KINDS:
        raise UsageError(
            f"Unknown norm {norm!r}: use one of {', '.join(_KINDS)}, or a function of (channels, rank of the tensor)."
        )
    graph = trace_model(model, example_inputs)
    plan = plan_edits(graph, placement)
    if not plan.edits:
        return Placed(model, graph, (), plan.skipped, plan.matched, 0.0, 0.0)
    proof = ForwardProof(model, example_inputs) if prove else None
    changes, skipped, done = _Rewriter(model, graph, norm, proof).apply(plan)
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

    def __init__(self, model: nn.Module, graph: Graph, norm: NormChoice, proof: ForwardProof | None) -> None:
        self.model = model
        self.graph = graph
        self.norm = norm
        self.proof = proof
        self.runs = Counter(op.module for op in graph.ops if op.module is not None)
        self.visits: Counter[str] = Counter()
        for (owner, _), count in Counter((op.owner, op.ordinal) for op in graph.ops if op.ordinal >= 0).items():
            self.visits[owner] = max(self.visits[owner], count)
        self.owners: dict[str, OwnerGraphs | ChildOrder] = {}
        self.refused: dict[str, str] = {}

    def apply(self, plan: EditPlan) -> tuple[tuple[Change, ...], tuple[Skip, ...], list[Edit]]:
        """Perform every edit that can be performed; return the changes, the skips and the edits that were made."""
        skipped = list(plan.skipped)
        ready: list[Edit] = []
        self._open_owners({path for edit in plan.edits for path in self._owners_of(edit)})
        for edit in plan.edits:
            refused = next((path for path in self._owners_of(edit) if path in self.refused), None)
            if refused is None:
                ready.append(edit)
            else:
                name = refused or type(self.model).__name__
                reason = f"the norm has to go inside the forward of {name}, but {self.refused[refused]}"
                skipped.append(Skip(edit.block, reason))
        needed = sorted({path for edit in ready for path in self._owners_of(edit)})
        changes = tuple(Change(edit.block, self._perform(edit)) for edit in ready)
        for path in needed:
            self.owners[path].install(self.model.get_submodule(path))
        return changes, tuple(skipped), ready

    # -- which forwards have to change

    def _owners_of(self, edit: Edit) -> tuple[str, ...]:
        """Return the owners whose forwards an edit has to go into."""
        if edit.anchor is None:
            return ()
        anchor = self.graph.ops[edit.anchor]
        norm = None if edit.norm is None else self.graph.ops[edit.norm]
        if norm is not None and self._keeps_path(norm, anchor):
            return norm.owner, anchor.owner
        return () if self._is_boundary(anchor) else (anchor.owner,)

    def _open_owners(self, wanted: set[str]) -> None:
        """Make forwards ready to be edited; note the reason for each that cannot be."""
        for path in sorted(wanted):
            try:
                self.owners[path] = self._open(path)
            except RetraceError as error:
                self.refused[path] = str(error)
        traced = {path: owner for path, owner in self.owners.items() if isinstance(owner, OwnerGraphs)}
        if self.proof is None or not traced:
            return
        fault = self.proof.find_fault(traced)
        if fault:  # one by one only now: a proof copies the model
            faults = {path: self.proof.find_fault({path: graphs}) for path, graphs in traced.items()}
            found = {path: fault for path, fault in faults.items() if fault}
            self.refused.update(found or dict.fromkeys(traced, fault))

    def _open(self, path: str) -> OwnerGraphs | ChildOrder:
        owner = self.model.get_submodule(path)
        if self.visits[path] > 1:
            raise RetraceError(f"it runs {self.visits[path]} times in one forward pass, which is not there yet")
        return ChildOrder(owner) if is_plain_sequential(owner) else retrace(owner)

    def _is_boundary(self, op: Op) -> bool:
        """Whether an op is the one call of a module, so that a norm can hang on that module."""
        return op.module is not None and self.runs[op.module] == 1

    def _is_attached(self, norm: Op) -> bool:
        """Whether a norm hangs on the module it follows."""
        host, _, child = str(norm.module).rpartition(".")
        return norm.owner == host and child in attached_norms(self.model.get_submodule(host))

    def _keeps_path(self, norm: Op, anchor: Op) -> bool:
        """Whether a moved norm can keep its path: the forward it moves to must reach it.

        A plain `nn.Sequential` runs all its children and nothing else, so a norm cannot leave one, nor come from
        elsewhere.
        """
        if self._is_attached(norm):
            return False
        if norm.owner == anchor.owner:
            return True
        inside = not anchor.owner or str(norm.module).startswith(f"{anchor.owner}.")
        return inside and not any(
            is_plain_sequential(self.model.get_submodule(path)) for path in (norm.owner, anchor.owner)
        )

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
        if self._is_attached(norm):
            detach_norm(self.model.get_submodule(host), child)
        else:
            self._replace(self._module(norm), nn.Identity().train(self.model.training))

    def _replace(self, old: nn.Module, new: nn.Module) -> None:
        """Put a module in another's place under every parent that holds it: a list and a Sequential can share one."""
        for parent in list(self.model.modules()):
            for name, child in list(parent._modules.items()):
                if child is old:
                    setattr(parent, name, new)

    def _put_in(self, module: nn.Module, anchor: Op, block: str) -> str:
        """Run a norm behind an op and return the norm's path."""
        if self._is_boundary(anchor):
            return f"{anchor.module}.{attach_norm(self._module(anchor), module)}"
        owner = self.model.get_submodule(anchor.owner)
        stem = block.removeprefix(anchor.owner).lstrip(".:").replace(".", "_").replace(":", "_").replace("#", "_")
        name, count = f"{stem}_norm", 1
        while hasattr(owner, name):
            count += 1
            name = f"{stem}_norm_{count}"
        owner.add_module(name, module)
        self.owners[anchor.owner].call_behind(anchor.ordinal, name)
        return f"{anchor.owner}.{name}" if anchor.owner else name

    def _move(self, norm: Op, anchor: Op, weight: Op) -> None:
        """Run a norm that keeps its path behind another op."""
        source, target = self.owners[norm.owner], self.owners[anchor.owner]
        if isinstance(source, ChildOrder):
            source.move_call(norm.ordinal, anchor.ordinal)
        else:
            path = source.take_call(norm.ordinal)
            if source is not target:  # as the forward it moves to calls it
                path = str(norm.module).removeprefix(f"{anchor.owner}.") if anchor.owner else str(norm.module)
            target.call_behind(anchor.ordinal, path)
        module = self._module(norm)
        if (norm.in_shape[1], len(norm.in_shape)) == (anchor.out_shape[1], len(anchor.out_shape)):
            module.reset_parameters()
        else:  # it stood before a reshape, and the tensor behind has other channels
            self._replace(module, self._build(anchor, weight))

    def _change_bias(self, weight: Op, edit: Edit) -> str:
        if edit.bias == "keep":
            return ""
        if weight.module is None:
            return f"bias of {_in_words(weight)} left as it is, since that stands in a forward of your own"
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
