"""A model and a placement in, a new model out: norms put in, taken out and moved, the user's source untouched."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.errors import ModelError, UsageError
from placenorm.facts.edits import Change, Edit, Skip
from placenorm.facts.graph import Graph, Op
from placenorm.facts.placement import Placement, Position
from placenorm.graph.placements import BlockFilter, EditPlan, place_of, plan_edits
from placenorm.graph.recording import Recording
from placenorm.graph.tracing import ExampleInputs, make_graph, record_model, trace_model
from placenorm.graph.vocabulary import is_norm_with_activation
from placenorm.layers.attached import attach_norm, attached_norms, detach_norm
from placenorm.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from placenorm.layers.features_last import FeaturesLast
from placenorm.rewrite.alignment import Aligner
from placenorm.rewrite.captures import Captures
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
        placement: the position of every block of the model as it was given: what to commit, and to apply to another.
        max_error: max|difference| / max|output| against the model as given, in float64; None where the function was
            meant to change.
        max_error_dtype: the same in the model's own type.
    """

    model: nn.Module
    graph: Graph
    changes: tuple[Change, ...]
    skipped: tuple[Skip, ...]
    matched: int
    placement: dict[str, Position]
    max_error: float | None
    max_error_dtype: float | None


def place_model(
    model: nn.Module,
    example_inputs: ExampleInputs,
    placement: Placement,
    norm: NormChoice = "torch",
    *,
    only: BlockFilter = None,
    prove: bool = True,
) -> Placed:
    """Bring a model to a placement, in place, and prove that its norms stand where they should.

    Args:
        model: any model that runs on the example.
        example_inputs: what the model is called with.
        placement: a named policy, or positions by block key.
        norm: whose norms are put in.
        only: the blocks to restrict the placement to.
        prove: whether to run copies of the model to prove that forwards do traced what they did before. False is right
            only where that was proved already: the same network, and as placement the ``placement`` of what came out,
            since a block whose forward fails the proof stays as it is. Where the norms stand is proved always.

    Raises:
        ModelError: if the model cannot be traced or does not run on the inputs.
        UsageError: if the placement or the norm has an unknown word.
    """
    if not callable(norm) and norm not in _KINDS:
        raise UsageError(
            f"Unknown norm {norm!r}: use one of {', '.join(_KINDS)}, or a function of (channels, rank of the tensor)."
        )
    recording = record_model(model, example_inputs)
    graph = make_graph(model, recording)
    plan = plan_edits(graph, placement, only)
    if not plan.edits:
        return Placed(model, graph, (), plan.skipped, plan.matched, plan.placement, 0.0, 0.0)
    rewriter = Rewriter(model, graph, recording, example_inputs, norm, prove=prove)
    changes, skipped, done = rewriter.apply(plan)
    if not done:
        return Placed(model, graph, (), skipped, plan.matched, graph.placement(), 0.0, 0.0)
    placed = trace_model(model, example_inputs)
    _prove_positions(placed, done, rewriter.foreign)
    undone = {edit.block: edit.before for edit in plan.edits if edit not in done}
    return Placed(model, placed, changes, skipped, plan.matched, {**plan.placement, **undone}, None, None)


def _prove_positions(placed: Graph, edits: Iterable[Edit], foreign: dict[str, str]) -> None:
    """Raise an error unless every edited block has its norm where the edit says.

    A norm of another kind, which the user's own factory built, has no position: that it runs is what can be seen.
    """
    found = placed.placement()
    ran = {op.module for op in placed.ops} | {op.owner for op in placed.ops}
    for edit in edits:
        for block in (edit.block, *edit.also):
            if found.get(block, "none") != edit.after and foreign.get(edit.block) not in ran:
                raise ModelError(
                    f"Cannot place the norm of {block} at {edit.after}: after the change it stands at "
                    f"{found.get(block, 'none')}, so the change is not what it should be; place the other blocks with "
                    "a mapping, and please report this network."
                )


@dataclass(slots=True)
class _Way:
    """How an edit is made: on which module the norm hangs, or inside which forwards it goes.

    Attributes:
        host: path of the module that the norm becomes a child of, run by a hook; None if it goes into a forward.
        owners: paths of the modules whose forwards change.
        keeps_path: whether the norm that is there stays where it is in the model, and is called elsewhere.
        reason: why there is no way; "" where there is one.
    """

    host: str | None = None
    owners: tuple[str, ...] = ()
    keeps_path: bool = False
    reason: str = ""


class Rewriter:
    """Carries a model, its graph and the owners whose forwards are being edited.

    Args:
        model: the model; `apply` changes it.
        graph: its graph.
        recording: what the graph was made of.
        example_inputs: what it is called with.
        norm: whose norms are put in.
        prove: whether to hold traced forwards against the model's own.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: Graph,
        recording: Recording,
        example_inputs: ExampleInputs,
        norm: NormChoice,
        *,
        prove: bool,
    ) -> None:
        self.model = model
        self.graph = graph
        self.recording = recording
        self.example_inputs = example_inputs
        self.norm = norm
        self.prove = prove
        self.blocks = {block.key: block for block in (*graph.blocks, *graph.joins)}
        self.returns: defaultdict[str, set[tuple[str, int, str]]] = defaultdict(set)
        self.returned: Counter[str] = Counter()
        for op in graph.ops:
            for path in op.returned_by:
                self.returns[path].add(place_of(op))
                self.returned[path] += 1
        self.runs = Counter(op.module for op in graph.ops if op.module is not None)
        self.owners: dict[str, OwnerGraphs | ChildOrder] = {}
        self.refused: dict[str, str] = {}
        self.foreign: dict[str, str] = {}
        self.added: list[tuple[nn.Module, Edit]] = []

    def apply(self, plan: EditPlan) -> tuple[tuple[Change, ...], tuple[Skip, ...], list[Edit]]:
        """Perform every edit that can be performed; return the changes, the skips and the edits that were made."""
        skipped = list(plan.skipped)
        first = {id(edit): self._first_way(edit) for edit in plan.edits}
        self._open_owners({path for way in first.values() for path in way.owners})
        second = {id(edit): self._other_way(edit) for edit in plan.edits if self._refusal(first[id(edit)])}
        self._open_owners({path for way in second.values() for path in way.owners if path not in self.owners})
        ready: list[tuple[Edit, _Way]] = []
        for edit in plan.edits:
            way = first[id(edit)]
            refusal = self._refusal(way)
            if refusal and not self._refusal(second[id(edit)]):
                way, refusal = second[id(edit)], ""
            if refusal:
                skipped.extend(Skip(key, refusal) for key in (edit.block, *edit.also))
            else:
                ready.append((edit, way))
        changes: list[Change] = []
        for edit, way in ready:
            changes.append(Change(edit.block, self._perform(edit, way)))
            changes.extend(Change(key, f"with {edit.block}, the same line of the source") for key in edit.also)
        for path in sorted({path for _, way in ready for path in way.owners}):
            self.owners[path].install(self.model.get_submodule(path))
        return tuple(changes), tuple(skipped), [edit for edit, _ in ready]

    # -- which forwards have to change

    def _first_way(self, edit: Edit) -> _Way:
        """Return the way that keeps most of the model as it is."""
        norm = None if edit.norm is None else self.graph.ops[edit.norm]
        if edit.anchor is None:
            assert norm is not None
            return _Way(owners=() if norm.module is not None else (norm.owner,))
        anchor = self.graph.ops[edit.anchor]
        if norm is not None and norm.module is not None and self._keeps_path(norm, anchor, edit):
            return _Way(owners=tuple(dict.fromkeys((norm.owner, self._owner_of(edit)))), keeps_path=True)
        return self._other_way(edit)

    def _other_way(self, edit: Edit) -> _Way:
        """Return the way on which the norm becomes a new one: at a module if it can, or else inside a forward."""
        norm = None if edit.norm is None else self.graph.ops[edit.norm]
        source = (norm.owner,) if norm is not None and norm.module is None else ()
        if edit.anchor is None:
            return _Way(owners=source)
        host = None if edit.swaps is not None or edit.before_op is not None else self._host_of(edit)
        if host is not None:
            return _Way(host=host, owners=source)
        if edit.swaps is not None and self.graph.ops[edit.swaps].owner != self.graph.ops[edit.anchor].owner:
            return _Way(reason="its activation and its pool stand in different forwards, so they cannot change places")
        owner = self._owner_of(edit)
        if self.graph.ops[edit.anchor if edit.before_op is None else edit.before_op].ordinal < 0:
            return _Way(reason="the place is in nobody's forward: an input, or behind a norm that hangs on a module")
        return _Way(owners=tuple(dict.fromkeys((*source, owner))))

    def _owner_of(self, edit: Edit) -> str:
        """Return the module in whose forward a norm would be called."""
        assert edit.anchor is not None
        return self.graph.ops[edit.anchor if edit.before_op is None else edit.before_op].owner

    def _host_of(self, edit: Edit) -> str | None:
        """Return the module that returns what an anchor makes, each time it runs, so that a norm can hang on it."""
        assert edit.anchor is not None
        anchor = self.graph.ops[edit.anchor]
        here = place_of(anchor)
        wanting = {self._anchor_of(key, edit) for key in (edit.block, *edit.also)}
        if {index for index, op in enumerate(self.graph.ops) if place_of(op) == here} != wanting:
            return None  # the same line serves others too
        inside = self._inside_norm(anchor)
        for path in anchor.returned_by:
            runs = self.runs[path] or len(self.recording.visits.get(path, ()))
            if self.returns[path] == {here} and self.returned[path] == runs and inside in (None, path):
                return path
        return None

    def _inside_norm(self, op: Op) -> str | None:
        """Return the norm with an activation in which an op stands; None where it stands in none."""
        owner = self.model.get_submodule(op.owner)
        return op.owner if op.module != op.owner and is_norm_with_activation(owner) else None

    def _anchor_of(self, key: str, edit: Edit) -> int | None:
        """Return the anchor of an edit in a block that changes with it."""
        return next((site.after for site in self.blocks[key].sites if site.position == edit.after), None)

    def _refusal(self, way: _Way) -> str:
        """Return why a way cannot be taken; "" if it can."""
        if way.reason:
            return way.reason
        refused = next((path for path in way.owners if path in self.refused), None)
        if refused is None:
            return ""
        name = refused or type(self.model).__name__
        return f"the norm has to go inside the forward of {name}, but {self.refused[refused]}"

    def _open_owners(self, wanted: set[str]) -> None:
        """Make forwards ready to be edited; note the reason for each that cannot be."""
        fresh = wanted - self.owners.keys() - self.refused.keys()
        sequentials = {path for path in fresh if is_plain_sequential(self.model.get_submodule(path))}
        for path in sorted(sequentials):
            self._open_sequential(path)
        if fresh == sequentials:
            return
        captures = Captures(self.model, self.example_inputs, fresh - sequentials, training=self.recording.training)
        aligner = Aligner(self.model, self.recording, captures)
        proof = ForwardProof(self.model, captures)
        for path in sorted(fresh - sequentials):
            try:
                graphs = retrace(self.model.get_submodule(path), captures.bind(path).arguments)
                aligner.align(path, graphs)
            except RetraceError as error:
                self.refused[path] = str(error)
                continue
            self.owners[path] = graphs
            fault = proof.find_fault(path, graphs) if self.prove else ""
            if fault:
                self.refused[path] = fault

    def _open_sequential(self, path: str) -> None:
        owner = self.model.get_submodule(path)
        assert isinstance(owner, nn.Sequential)
        if any(len(visit) != len(owner) for visit in self.recording.visits.get(path, ())):
            self.refused[path] = "hooks of its children make calls between them"
        else:
            self.owners[path] = ChildOrder(owner)

    def _is_attached(self, path: str) -> bool:
        """Whether a norm hangs on the module it follows."""
        host, _, child = path.rpartition(".")
        return child in attached_norms(self.model.get_submodule(host))

    def _keeps_path(self, norm: Op, anchor: Op, edit: Edit) -> bool:
        """Whether a moved norm can keep its path: the forward it moves to must reach it.

        A plain `nn.Sequential` runs all its children and nothing else, so a norm cannot leave one, nor come from
        elsewhere.
        """
        if self._holder(norm) != norm.module or self._is_attached(str(norm.module)) or norm.owner == norm.module:
            return False
        owner = self._owner_of(edit)
        if edit.swaps is not None and self.graph.ops[edit.swaps].owner != owner:
            return False
        if self._features_last(edit) or self._inside_norm(anchor) or anchor.ordinal < 0:
            return False
        if norm.owner == owner:
            return True
        inside = not owner or str(norm.module).startswith(f"{owner}.")
        return inside and not any(is_plain_sequential(self.model.get_submodule(path)) for path in (norm.owner, owner))

    def _holder(self, norm: Op) -> str:
        """Return the path of a norm, or of what makes it fit for features that are last."""
        parent = str(norm.module).rpartition(".")[0]
        return parent if isinstance(self.model.get_submodule(parent), FeaturesLast) else str(norm.module)

    def _features_last(self, edit: Edit) -> bool:
        return self.graph.ops[self.blocks[edit.block].weight].channel_axis > 1

    # -- the edits

    def _perform(self, edit: Edit, way: _Way) -> str:
        """Make one change and return it in words."""
        opening = self.graph.ops[self.blocks[edit.block].weight]
        words = [self._change_norm(edit, way, opening), self._change_bias(opening, edit)]
        return "; ".join(word for word in words if word)

    def _change_norm(self, edit: Edit, way: _Way, opening: Op) -> str:
        norm = None if edit.norm is None else self.graph.ops[edit.norm]
        if norm is not None and not way.keeps_path:
            self._take_out(norm)
        if edit.anchor is None:
            assert norm is not None
            return f"{norm.name} {norm.key} removed"
        anchor = self.graph.ops[edit.anchor]
        swapped = self._swap(edit, anchor)
        if way.keeps_path:
            assert norm is not None
            self._move(norm, anchor, edit)
            return f"{norm.name} {norm.key} moved behind {_in_words(anchor)}{swapped}"
        module = self._build(anchor, opening, edit)
        path = self._put_in(module, anchor, edit, way)
        if not isinstance(module, (_BatchNorm, FeaturesLast)):
            self.foreign[edit.block] = path
        verb = "added" if norm is None else f"moved from {norm.key}"
        return f"{type(module).__name__} {path} {verb} behind {_in_words(anchor)}{swapped}"

    def _swap(self, edit: Edit, pool: Op) -> str:
        """Let an activation and its pool change places, where an edit asks for it."""
        if edit.swaps is None:
            return ""
        activation = self.graph.ops[edit.swaps]
        self.owners[pool.owner].swap_calls(activation.ordinal, pool.ordinal)
        return f", which now runs before {_in_words(activation)}"

    def _build(self, anchor: Op, opening: Op, edit: Edit) -> nn.Module:
        """Return a new norm for what an op returns, where the weight op's parameters are."""
        last = self._features_last(edit)
        channels, rank = (anchor.out_shape[-1], 2) if last else (anchor.out_shape[1], len(anchor.out_shape))
        if callable(self.norm):
            module = self.norm(channels, rank)
            if not isinstance(module, nn.Module):
                raise UsageError(
                    f"The function given as norm returned a {type(module).__name__} for {channels} channels and rank "
                    f"{rank}: return an nn.Module."
                )
        elif rank in _KINDS[self.norm]:
            module = _KINDS[self.norm][rank](channels)
        else:
            raise ModelError(f"Cannot place a norm behind {anchor.key}: no batch norm takes a tensor of rank {rank}.")
        near = self.model.get_submodule(opening.module if opening.module is not None else opening.owner)
        like = next((p for p in (*near.parameters(), *self.model.parameters()) if p.is_floating_point()), None)
        if like is not None:  # float32 at least, whatever the weights are
            module.to(device=like.device, dtype=torch.float64 if like.dtype == torch.float64 else torch.float32)
        module.train(near.training)
        self.added.append((module, edit))
        return FeaturesLast(module).train(near.training) if last else module

    def _take_out(self, norm: Op) -> None:
        if norm.module is None:
            self.owners[norm.owner].take_call(norm.ordinal)
            return
        path = self._holder(norm)
        host, _, child = path.rpartition(".")
        old = self.model.get_submodule(path)
        if self._is_attached(path):
            detach_norm(self.model.get_submodule(host), child)
        else:
            self._replace(old, _without_norm(old).train(old.training))

    def _replace(self, old: nn.Module, new: nn.Module) -> None:
        """Put a module in another's place under every parent that holds it: a list and a Sequential can share one."""
        for parent in list(self.model.modules()):
            for name, child in list(parent._modules.items()):
                if child is old:
                    setattr(parent, name, new)

    def _put_in(self, module: nn.Module, anchor: Op, edit: Edit, way: _Way) -> str:
        """Run a norm behind an op and return the norm's path."""
        if way.host is not None:
            return f"{way.host}.{attach_norm(self.model.get_submodule(way.host), module)}"
        path = self._owner_of(edit)
        owner = self.model.get_submodule(path)
        key = edit.block.rpartition("->")[2]
        stem = re.sub(r"\W+", "_", key.removeprefix(f"{path}.").removeprefix(f"{path}:").lstrip(".:"))
        name, count = f"{stem}_norm", 1
        while hasattr(owner, name):
            count += 1
            name = f"{stem}_norm_{count}"
        owner.add_module(name, module)
        self._call(edit, anchor, name)
        return f"{path}.{name}" if path else name

    def _call(self, edit: Edit, anchor: Op, name: str) -> None:
        """Call a child of the owner where an edit wants the norm."""
        owner = self.owners[self._owner_of(edit)]
        if edit.before_op is None:
            owner.call_behind(anchor.ordinal, name)
        else:
            owner.call_before(self.graph.ops[edit.before_op].ordinal, name)

    def _move(self, norm: Op, anchor: Op, edit: Edit) -> None:
        """Run a norm that keeps its path behind another op."""
        path = self._owner_of(edit)
        source, target = self.owners[norm.owner], self.owners[path]
        if isinstance(source, ChildOrder):
            source.move_call(norm.ordinal, anchor.ordinal)
        else:
            name = source.take_call(norm.ordinal)
            if source is not target:  # as the forward it moves to calls it
                name = str(norm.module).removeprefix(f"{path}.") if path else str(norm.module)
            self._call(edit, anchor, name)
        module: Any = self.model.get_submodule(str(norm.module))
        if (norm.in_shape[1], len(norm.in_shape)) == (anchor.out_shape[1], len(anchor.out_shape)):
            module.reset_parameters()
        else:  # it stood before a reshape, and the tensor behind has other channels
            opening = self.graph.ops[self.blocks[edit.block].weight]
            self._replace(module, self._build(anchor, opening, edit))

    def _change_bias(self, opening: Op, edit: Edit) -> str:
        if edit.bias == "keep":
            return ""
        if opening.module is None:
            return f"bias of {_in_words(opening)} left as it is, since that stands in a forward of your own"
        module: Any = self.model.get_submodule(opening.module)
        if edit.bias == "drop" and module.bias is not None:
            module.bias = None
            return f"bias of {opening.module} removed, the norm would cancel it"
        if edit.bias == "add" and module.bias is None:
            weights: Tensor = module.weight
            channels = opening.out_shape[opening.channel_axis]
            module.bias = nn.Parameter(torch.zeros(channels, dtype=weights.dtype, device=weights.device))
            return f"bias of {opening.module} added (zero)"
        return ""


def _without_norm(norm: nn.Module) -> nn.Module:
    """Return what is left of a norm that is taken out: nothing, or the activation that it carries."""
    if not is_norm_with_activation(norm):
        return nn.Identity()
    rest = [norm.get_submodule(name) for name in ("drop", "act")]
    rest = [part for part in rest if not isinstance(part, nn.Identity)]
    return rest[0] if len(rest) == 1 else nn.Sequential(*rest) if rest else nn.Identity()


def _in_words(op: Op) -> str:
    return f"{op.name} {op.key}" if op.module else op.key.lstrip(":")
