"""Edits into changes of a model: norms put in, taken out and moved, at modules and inside forwards."""

import math
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.errors import ModelError
from placenorm.facts.edits import Change, Edit, Skip
from placenorm.facts.graph import Graph, Op
from placenorm.graph.flow import Flow
from placenorm.graph.placements import place_of
from placenorm.graph.recording import Recording
from placenorm.graph.tracing import ExampleInputs
from placenorm.graph.vocabulary import is_norm_with_activation, kind_of_module
from placenorm.layers.attached import attach_norm, attached_norms, detach_norm, is_appended, is_plain_sequential
from placenorm.layers.features_last import FeaturesLast
from placenorm.rewrite.absorbing import give_bias
from placenorm.rewrite.alignment import Aligner
from placenorm.rewrite.captures import Captures
from placenorm.rewrite.norms import NormChoice, build_norm, replace_module, try_norms
from placenorm.rewrite.proving import ForwardProof
from placenorm.rewrite.reordering import ChildOrder
from placenorm.rewrite.retracing import OwnerGraphs, RetraceError, retrace

_OF_NORMS = ("weight", "bias", "running_mean", "running_var")
"""Parameters and buffers of a norm that a forward may read by itself."""

_ALIASING = frozenset({"identity", "dropout", "reshape", "norm"})
"""Kinds of ops that may hand on the memory of what they read, norms among them: those may go too."""


@dataclass(slots=True)
class Way:
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
        model: the model; `perform` changes it.
        graph: its graph.
        recording: what the graph was made of.
        example_inputs: what it is called with.
        norm: whose norms are put in.
        prove: whether to hold traced forwards against the model's own.

    Attributes:
        carried: the blocks whose norms keep their values when they move.
        fresh: the norms that start anew, each with its edit.
        built: the norms that were not there before, each with its edit.
        reset: the norms that were there and start anew.
        foreign: by block, the paths of norms that are none of the batch-norm family.
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
        self.flow = Flow(graph.ops)
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
        self.fresh: list[tuple[nn.Module, Edit]] = []
        self.built: list[tuple[nn.Module, Edit]] = []
        self.reset: list[nn.Module] = []
        self.carried: set[str] = set()

    def prepare(self, edits: Iterable[Edit]) -> tuple[list[tuple[Edit, Way]], list[Skip]]:
        """Return the edits that can be made, each with its way, and why the others cannot; nothing is changed.

        Raises:
            UsageError: if the user's own function builds norms that do not fit.
        """
        edits = list(edits)
        ways = [self._first_way(edit) for edit in edits]
        self._open_owners({path for way in ways for path in way.owners})
        others = [
            self._other_way(edit) if self._refusal(edit, way) else way for edit, way in zip(edits, ways, strict=True)
        ]
        self._open_owners({path for way in others for path in way.owners})
        ready: list[tuple[Edit, Way]] = []
        skipped: list[Skip] = []
        for edit, first, second in zip(edits, ways, others, strict=True):
            refusal = self._refusal(edit, first)
            if not refusal:
                ready.append((edit, first))
            elif not self._refusal(edit, second):
                ready.append((edit, second))
            else:
                skipped.extend(Skip(key, refusal) for key in (edit.block, *edit.also))
        anchors = [(edit, self.graph.ops[edit.anchor]) for edit, _ in ready if edit.anchor is not None]
        try_norms(self.norm, (self._norm_shape(edit, anchor) for edit, anchor in anchors))
        return ready, skipped

    def adopt(self, ready: list[tuple[Edit, Way]]) -> None:
        """Make forwards ready for edits whose ways were chosen on a twin of the model.

        Raises:
            ModelError: if a forward cannot be made ready here.
        """
        self._open_owners({path for _, way in ready for path in way.owners})
        refusal = next((found for edit, way in ready if (found := self._refusal(edit, way))), "")
        if refusal:
            raise ModelError(
                f"Cannot preserve what {type(self.model).__name__} computes: in float64, {refusal}; place it without "
                "preserve, and call pn.recalibrate on the result."
            )

    def perform(self, ready: list[tuple[Edit, Way]]) -> list[Change]:
        """Make the edits that were prepared, and return them in words."""
        changes: list[Change] = []
        for edit, way in ready:
            changes.append(Change(edit.block, self._perform(edit, way)))
            changes.extend(Change(key, f"with {edit.block}, the same line of the source") for key in edit.also)
        for path in sorted({path for _, way in ready for path in way.owners}):
            self.owners[path].install(self.model.get_submodule(path))
        return changes

    def traces(self, ready: list[tuple[Edit, Way]]) -> bool:
        """Whether forwards are traced for edits: those may do other things in training than in evaluation."""
        owners = {path for _, way in ready for path in way.owners}
        return any(isinstance(self.owners[path], OwnerGraphs) for path in owners)

    def aside(self) -> set[str]:
        """Return the paths of norms of other kinds that were put in, and of the wrappers for features that are last."""
        wrapped = {path for path, module in self.model.named_modules() if isinstance(module, FeaturesLast)}
        return wrapped | set(self.foreign.values())

    # -- which forwards have to change

    def _first_way(self, edit: Edit) -> Way:
        """Return the way that keeps most of the model as it is."""
        norm = None if edit.norm is None else self.graph.ops[edit.norm]
        if edit.anchor is None:
            assert norm is not None
            return Way(owners=() if norm.module is not None else (norm.owner,))
        anchor = self.graph.ops[edit.anchor]
        if norm is not None and norm.module is not None and self._keeps_path(norm, anchor, edit):
            return Way(owners=tuple(dict.fromkeys((norm.owner, self._owner_of(edit)))), keeps_path=True)
        return self._other_way(edit)

    def _other_way(self, edit: Edit) -> Way:
        """Return the way on which the norm becomes a new one: at a module if it can, or else inside a forward."""
        norm = None if edit.norm is None else self.graph.ops[edit.norm]
        source = (norm.owner,) if norm is not None and norm.module is None else ()
        if edit.anchor is None:
            return Way(owners=source)
        host = None if edit.swaps is not None or edit.before_op is not None else self._host_of(edit)
        if host is not None:
            return Way(host=host, owners=source)
        if edit.swaps is not None and self.graph.ops[edit.swaps].owner != self.graph.ops[edit.anchor].owner:
            return Way(reason="its activation and its pool stand in different forwards, so they cannot change places")
        owner = self._owner_of(edit)
        place = self.graph.ops[edit.anchor if edit.before_op is None else edit.before_op]
        if place.ordinal < 0 or self._inside_norm(place):
            return Way(reason="the place is in no forward that can be changed: an input, or inside another norm")
        return Way(owners=tuple(dict.fromkeys((*source, owner))))

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
                host = self.model.get_submodule(path)
                if is_plain_sequential(host) and self._serves_others(host):
                    continue  # a norm at its end would be in what others take from it
                return path
        return None

    def _inside_norm(self, op: Op) -> str | None:
        """Return the norm with an activation in which an op stands; None where it stands in none."""
        path = op.owner if op.module != op.owner else ""
        while path and not is_norm_with_activation(self.model.get_submodule(path)):
            path = path.rpartition(".")[0]
        return path or None

    def _anchor_of(self, key: str, edit: Edit) -> int | None:
        """Return the anchor of an edit in a block that changes with it."""
        return next((site.after for site in self.blocks[key].sites if site.position == edit.after), None)

    def _refusal(self, edit: Edit, way: Way) -> str:
        """Return why an edit cannot take a way; "" if it can."""
        if way.reason:
            return way.reason
        read = next((key for key in self._vanishing(edit) if key in self.flow.parameters_read_by_others), None)
        if read is not None:
            return f"a forward reads {read} by itself, which would be gone"
        hidden = next((path for path in self._modules_of(edit, way) if self._runs_unseen(path)), None)
        if hidden is not None:
            return f"{hidden} runs in calls that are not looked into too, such as a slice of a Sequential"
        writer = next((op for op in self._writers_behind(edit) if not self._is_set_in_place(op)), None)
        if writer is not None:
            return f"{writer.key} works in place, and without the norm before it would write into what others read"
        refused = next((path for path in way.owners if path in self.refused), None)
        if refused is None:
            lost = next((op for op in self._calls_needed(edit, way) if not self.owners[op.owner].has(op.ordinal)), None)
            if lost is None:
                return ""
            return f"{lost.key} cannot be told from other calls in both modes of the forward that it stands in"
        name = refused or type(self.model).__name__
        return f"the norm has to go inside the forward of {name}, but {self.refused[refused]}"

    def _vanishing(self, edit: Edit) -> list[str]:
        """Return the names of the parameters and buffers that may be gone after an edit."""
        norm = None if edit.norm is None else self.graph.ops[edit.norm].module
        opening = self.graph.ops[self.blocks[edit.block].weight].module if edit.bias == "drop" else None
        gone = [f"{norm}.{name}" for name in _OF_NORMS] if norm is not None else []
        return gone if opening is None else [*gone, f"{opening}.bias"]

    def _modules_of(self, edit: Edit, way: Way) -> list[str]:
        """Return the modules that an edit changes wherever they run: the norm, what it will hang on, the weight op."""
        norm = None if edit.norm is None else self.graph.ops[edit.norm].module
        opening = None if edit.bias == "keep" else self.graph.ops[self.blocks[edit.block].weight].module
        return [path for path in (norm, way.host, opening) if path is not None]

    def _runs_unseen(self, path: str) -> bool:
        seen = self.runs[path] or len(self.recording.visits.get(path, ()))
        return self.recording.calls.get(path, 0) > seen

    def _calls_needed(self, edit: Edit, way: Way) -> list[Op]:
        """Return the calls of forwards that an edit takes out, or puts a norm beside."""
        moved = [edit.norm] if edit.norm is not None and (way.keeps_path or self._is_function(edit.norm)) else []
        beside = [] if way.host is not None else [edit.anchor if edit.before_op is None else edit.before_op, edit.swaps]
        ops = [self.graph.ops[index] for index in (*moved, *beside) if index is not None]
        return [op for op in ops if op.owner in way.owners and op.owner in self.owners]

    def _is_function(self, norm: int) -> bool:
        return self.graph.ops[norm].module is None

    def _writers_behind(self, edit: Edit) -> list[Op]:
        """Return the calls in place behind a norm that goes, if others read what they would then write into."""
        if edit.norm is None:
            return []
        flow, ops = self.flow, self.graph.ops
        here = flow.source(edit.norm)
        while here is not None and len(flow.readers[here]) == 1 and ops[here].kind in _ALIASING:
            here = flow.source(here)
        if here is not None and len(flow.readers[here]) == 1 and ops[here].kind not in ("input", "constant"):
            return []
        found: list[Op] = []
        pending = [(reader, edit.norm) for reader in flow.readers[edit.norm]]
        while pending:
            reader, read = pending.pop()
            if ops[reader].inputs[:1] == (read,) and (ops[reader].in_place or self._is_set_in_place(ops[reader])):
                found.append(ops[reader])  # it writes into its first input
            elif ops[reader].kind in _ALIASING:
                pending.extend((further, reader) for further in flow.readers[reader])
        return found

    def _is_set_in_place(self, op: Op) -> bool:
        return op.module is not None and bool(getattr(self.model.get_submodule(op.module), "inplace", False))

    def _open_owners(self, wanted: set[str]) -> None:
        """Make forwards ready to be edited; note the reason for each that cannot be."""
        fresh = wanted - self.owners.keys() - self.refused.keys()
        sequentials = {path for path in fresh if is_plain_sequential(self.model.get_submodule(path))}
        for path in sorted(sequentials):
            self._open_sequential(path)
        if fresh == sequentials:
            return
        captures = Captures(self.model, self.example_inputs, fresh - sequentials, training=self.recording.training)
        opened: dict[str, OwnerGraphs] = {}
        for path in sorted(fresh - sequentials):
            if path in captures.varying:
                self.refused[path] = "it is called with other plain values from one call to the next"
                continue
            try:
                opened[path] = retrace(self.model.get_submodule(path), captures.bind(path).arguments)
            except RetraceError as error:
                self.refused[path] = str(error)
        self.refused |= Aligner(self.model, self.recording, captures).align(opened)
        proof = ForwardProof(self.model, captures)
        for path, graphs in opened.items():
            fault = proof.find_fault(path, graphs) if self.prove and path not in self.refused else ""
            if fault:
                self.refused[path] = fault
        self.owners |= opened

    def _open_sequential(self, path: str) -> None:
        owner = self.model.get_submodule(path)
        assert isinstance(owner, nn.Sequential)
        if any(len(visit) != len(owner) for visit in self.recording.visits.get(path, ())):
            self.refused[path] = "hooks of its children make calls between them"
        elif self._serves_others(owner):
            self.refused[path] = "its children run outside of its own forward too, by index or in a slice"
        else:
            self.owners[path] = ChildOrder(owner)

    def _serves_others(self, owner: nn.Sequential) -> bool:
        """Whether children of a Sequential run more often than the Sequentials that hold them."""
        return any(id(child) in self._overrun for child in owner)

    @cached_property
    def _overrun(self) -> set[int]:
        """The children of Sequentials alone that run outside of their forwards too, by id."""
        held: Counter[int] = Counter()
        apart: set[int] = set()
        for path, parent in self.model.named_modules():
            visits = len(self.recording.visits.get(path, ()))
            for child in parent._modules.values():
                held[id(child)] += visits
                if not is_plain_sequential(parent):
                    apart.add(id(child))
        calls = {id(module): self.recording.calls.get(path, 0) for path, module in self.model.named_modules()}
        return {child for child, times in held.items() if child not in apart and calls.get(child, 0) > times}

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

    def _perform(self, edit: Edit, way: Way) -> str:
        """Make one change and return it in words."""
        words = [
            self._leave_alone(edit),
            self._remove(edit) if edit.anchor is None else self._change_norm(edit, way),
            self._change_bias(edit),
        ]
        return "; ".join(word for word in words if word)

    def _leave_alone(self, edit: Edit) -> str:
        """Let what works in place behind a norm that goes leave alone what others read."""
        paths = [str(op.module) for op in self._writers_behind(edit)]
        for path in paths:
            self.model.get_submodule(path).inplace = False  # type: ignore[assignment]
        return f"{', '.join(paths)} no longer in place, since others read what it would write into" if paths else ""

    def _remove(self, edit: Edit) -> str:
        assert edit.norm is not None
        norm = self.graph.ops[edit.norm]
        self._take_out(norm)
        return f"{norm.name} {norm.key} removed"

    def _change_norm(self, edit: Edit, way: Way) -> str:
        assert edit.anchor is not None
        opening = self.graph.ops[self.blocks[edit.block].weight]
        norm = None if edit.norm is None else self.graph.ops[edit.norm]
        old = None if norm is None or norm.module is None else self.model.get_submodule(norm.module)
        if norm is not None and not way.keeps_path:
            self._take_out(norm)
        anchor = self.graph.ops[edit.anchor]
        swapped = self._swap(edit, anchor)
        if way.keeps_path:
            assert norm is not None
            self._move(norm, anchor, edit)
            return f"{norm.name} {norm.key} moved behind {_in_words(anchor)}{swapped}"
        module = self._reuse(old, norm, anchor, edit) or self._build(anchor, opening, edit)
        if old is not None and module is not old:
            self._settle_like(old, module, edit)
        path = self._put_in(module, anchor, edit, way)
        if kind_of_module(_inner(module)) != "norm":
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

    def _norm_shape(self, edit: Edit, anchor: Op) -> tuple[int, ...]:
        """Return the shape of the tensor that a norm behind an op sees."""
        shape = anchor.out_shape
        return (math.prod(shape[:-1]), shape[-1]) if self._features_last(edit) else shape

    def _build(self, anchor: Op, opening: Op, edit: Edit) -> nn.Module:
        """Return a new norm for what an op returns, where the weight op's parameters are."""
        last = self._features_last(edit)
        shape = self._norm_shape(edit, anchor)
        module = build_norm(self.norm, shape[1], len(shape))
        near = self.model.get_submodule(opening.module if opening.module is not None else opening.owner)
        like = next((p for p in (*near.parameters(), *self.model.parameters()) if p.is_floating_point()), None)
        if like is not None:  # float32 at least, whatever the weights are
            module.to(device=like.device, dtype=torch.float64 if like.dtype == torch.float64 else torch.float32)
        module.train(near.training)
        self.fresh.append((module, edit))
        self.built.append((module, edit))
        return FeaturesLast(module).train(near.training) if last else module

    def _reuse(self, old: nn.Module | None, norm: Op | None, anchor: Op, edit: Edit) -> nn.Module | None:
        """Return the norm that moves, with its hooks and settings, if it fits where it goes; None if it does not."""
        if old is None or norm is None or not isinstance(old, _BatchNorm) or is_norm_with_activation(old):
            return None
        fits = (norm.in_shape[1], len(norm.in_shape)) == (anchor.out_shape[1], len(anchor.out_shape))
        if not fits or self._holder(norm) != norm.module:
            return None
        _widen(old)
        if edit.block not in self.carried:
            self._start_anew(old, edit)
        return old

    def _start_anew(self, norm: Any, edit: Edit) -> None:
        norm.reset_parameters()
        self.fresh.append((norm, edit))
        self.reset.append(norm)

    def _settle_like(self, old: nn.Module, new: nn.Module, edit: Edit) -> None:
        """Give a norm that stands for another one its mode, what of it learns, and its values if they are kept."""
        inner = _inner(new)
        if not isinstance(old, _BatchNorm) or not isinstance(inner, _BatchNorm):
            return
        inner.eps, inner.momentum = old.eps, old.momentum
        new.train(old.training)
        if edit.block in self.carried:
            _carry_values(old, inner)
            self.fresh.pop()
        for name, parameter in inner.named_parameters(recurse=False):
            before = getattr(old, name)
            if before is not None:
                parameter.requires_grad_(before.requires_grad)

    def _take_out(self, norm: Op) -> None:
        if norm.module is None:
            self.owners[norm.owner].take_call(norm.ordinal)
            return
        path = self._holder(norm)
        host, _, child = path.rpartition(".")
        old = self.model.get_submodule(path)
        if self._is_attached(path) or is_appended(self.model.get_submodule(host), child):
            detach_norm(self.model.get_submodule(host), child)
        else:
            replace_module(self.model, old, _without_norm(old).train(old.training))

    def _put_in(self, module: nn.Module, anchor: Op, edit: Edit, way: Way) -> str:
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
        _widen(module)
        if edit.block in self.carried:
            return
        if (norm.in_shape[1], len(norm.in_shape)) == (anchor.out_shape[1], len(anchor.out_shape)):
            self._start_anew(module, edit)
        else:  # it stood before a reshape, and the tensor behind has other channels
            opening = self.graph.ops[self.blocks[edit.block].weight]
            replace_module(self.model, module, self._build(anchor, opening, edit))

    def _change_bias(self, edit: Edit) -> str:
        if edit.bias == "keep":
            return ""
        opening = self.graph.ops[self.blocks[edit.block].weight]
        if opening.module is None:
            return f"bias of {_in_words(opening)} left as it is, since that stands in a forward of your own"
        module: Any = self.model.get_submodule(opening.module)
        if edit.block in self.foreign and edit.bias == "drop":
            return ""  # a norm of another kind need not cancel it
        if edit.bias == "drop" and module.bias is not None:
            module.bias = None
            return f"bias of {opening.module} removed, the norm would cancel it"
        if edit.bias == "add" and module.bias is None:
            give_bias(module, opening.out_shape[opening.channel_axis])
            return f"bias of {opening.module} added (zero)"
        return ""


def _widen(norm: nn.Module) -> None:
    """Bring a norm that moves to float32 at least, as a new one is."""
    if any(tensor.dtype in (torch.float16, torch.bfloat16) for tensor in (*norm.parameters(), *norm.buffers())):
        norm.float()


def _inner(module: nn.Module) -> nn.Module:
    """Return a norm without what makes it fit for features that are last."""
    return module.norm if isinstance(module, FeaturesLast) else module


def _carry_values(old: nn.Module, new: nn.Module) -> None:
    """Give a new norm the parameters, the statistics and the settings of the one that it stands for."""
    wanted = new.state_dict()
    new.load_state_dict(wanted | {name: value for name, value in old.state_dict().items() if name in wanted})
    for name in ("eps", "momentum"):
        setattr(new, name, getattr(old, name))


def _without_norm(norm: nn.Module) -> nn.Module:
    """Return what is left of a norm that is taken out: nothing, or what it carries, under the same names."""
    if not is_norm_with_activation(norm):
        return nn.Identity()
    return nn.Sequential(OrderedDict((name, norm.get_submodule(name)) for name in ("drop", "act")))


def _in_words(op: Op) -> str:
    return f"{op.name} {op.key}" if op.module else op.key.lstrip(":")
