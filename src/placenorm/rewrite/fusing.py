"""Which norms of a model take in what, and the change itself: layers of ours, identities, and forwards made anew."""

import inspect
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.facts.edits import Change, Skip
from placenorm.graph.recording import OUTSIDE, Recording
from placenorm.graph.tracing import ExampleInputs, bind_inputs, map_tensors, set_training, undisturbed
from placenorm.graph.vocabulary import is_norm_with_activation
from placenorm.layers.attached import attached_norms, is_plain_sequential
from placenorm.layers.batch_norm import takes_neighbours
from placenorm.rewrite.captures import Captures
from placenorm.rewrite.neighbours import addends_of, attached_norm, has_hooks, read_activation
from placenorm.rewrite.originals import OUR_NORMS, OURS, become_fused, become_identity, change_forward
from placenorm.rewrite.proving import ForwardProof
from placenorm.rewrite.retracing import OwnerGraphs, RetraceError, retrace
from placenorm.rewrite.surroundings import (
    KindReader,
    Surroundings,
    Taking,
    copy_graph,
    copy_kinds,
    fold_calls,
    inline_calls,
)

_OF_NORMS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
"""What torch's norm holds, each perhaps None; one that holds more does more."""


def find_norms(model: nn.Module) -> dict[str, nn.Module]:
    """Return the batch norms of a model by their paths, those of several processes among them."""
    return {path: module for path, module in model.named_modules() if isinstance(module, _BatchNorm)}


@dataclass(slots=True)
class _Plan:
    """What is to be done with a model.

    Attributes:
        takings: what each norm takes in, by its path.
        owners: in whose forward it stands, where it takes something in: its path.
        forwards: the edited graphs of the forwards that are made anew, by the paths of their owners.
        swallowed: how often modules were to run that are taken in, by their paths.
        staying: of those, the ones that the same forward still calls elsewhere, if only in one mode.
        notes: why what stands beside a norm stays, by the path of the norm.
        reasons: why a norm takes nothing in, in one clause, by its path.
    """

    takings: dict[str, Taking] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    forwards: dict[str, OwnerGraphs] = field(default_factory=dict)
    swallowed: Counter[str] = field(default_factory=Counter)
    staying: set[str] = field(default_factory=set)
    notes: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


class Accelerator:
    """Puts our layers in the place of a model's norms, with what stands beside them.

    Args:
        model: the model; `perform` changes it.
        recording: what it runs.
        example_inputs: what it is called with.
        left_out: norms that stay as they are, with the reason, by their paths.
    """

    def __init__(
        self, model: nn.Module, recording: Recording, example_inputs: ExampleInputs, left_out: dict[str, str]
    ) -> None:
        self._model = model
        self._recording = recording
        self._example_inputs = example_inputs
        self._paths: dict[int, str] = {}
        for path, module in model.named_modules():
            self._paths[id(module)] = path
        self._callers = self._find_callers()
        self._plan = _Plan()
        self._chains: list[str] = []
        self._skipped = [Skip(path, reason) for path, reason in left_out.items()]
        self._norms: dict[str, nn.Module] = {}
        for path, norm in find_norms(model).items():
            reason = "" if path in left_out else self._refuse(path, norm)
            if reason:
                self._skipped.append(Skip(path, reason))
            elif path not in left_out:
                self._norms[path] = norm

    def perform(self) -> tuple[list[Change], list[Skip]]:
        """Change the model; return what was done, and what was not."""
        traced = self._sort_out()
        self._fuse_forwards(traced, self._find_tails())
        changes: list[Change] = []
        skipped = [*self._skipped, *(Skip(path, reason) for path, reason in self._plan.notes.items())]
        for path, norm in self._norms.items():
            taking = self._plan.takings.get(path, Taking())
            if type(norm) in OUR_NORMS and taking.is_empty:
                reason = f"it is a layer of ours already; nothing beside it is taken in: {self._plan.reasons[path]}"
                skipped.append(Skip(path, reason))
                continue
            changes.append(Change(path, self._fuse(path, norm, taking)))
        for path, graphs in self._plan.forwards.items():
            change_forward(self._model.get_submodule(path), graphs)
        for path, times in self._plan.swallowed.items():
            if times == self._recording.calls[path] and path not in self._plan.staying:
                become_identity(self._model.get_submodule(path))
        return changes, skipped

    def _fuse(self, path: str, norm: nn.Module, taking: Taking) -> str:
        """Make one norm our layer, and say so."""
        own = getattr(norm, "act", None) if is_norm_with_activation(norm) else None
        activation = None if own is None else read_activation(own)
        if own is not None and activation is not None and not isinstance(own, nn.Identity):
            words = f"{path or type(norm).__name__} and the {type(own).__name__} in it run as one layer"
            become_fused(norm, Taking(after=activation))
            act = self._paths[id(own)]
            if self._recording.calls.get(act) == self._recording.calls[path]:
                become_identity(own)
            return words
        kind = type(norm).__name__
        become_fused(norm, taking)
        if taking.is_empty:
            return f"our layer in the place of {kind}; nothing beside it is taken in: {self._plan.reasons[path]}"
        owner = self._plan.owners[path]
        return f"{' + '.join(taking.words)} of {owner or type(self._model).__name__} run as one layer"

    # -- which norms

    def _refuse(self, path: str, norm: nn.Module) -> str:
        """Return why a norm stays as it is; "" if it need not."""
        if isinstance(norm, nn.SyncBatchNorm):
            return "its statistics are those of several processes, and there is no fused layer for that"
        if "forward" in norm.__dict__:
            return "its forward was set on the object, and would be lost"
        if takes_neighbours(norm):
            return "it is a layer of ours already, with what stands beside it"
        if not self._recording.calls.get(path):
            return "it does not run on the example input, so nothing can be proved about it"
        if is_norm_with_activation(norm) and type(norm).__name__ == "BatchNormAct2d":
            return self._refuse_children(norm)
        if type(norm) not in OURS:
            return f"{type(norm).__name__} is a class of its own, which may do more than torch's layer"
        if {*norm._parameters, *norm._buffers} != _OF_NORMS or (norm._modules and type(norm) not in OUR_NORMS):
            return "it holds more than a norm does"
        return ""

    @staticmethod
    def _refuse_children(norm: nn.Module) -> str:
        """Return why what timm's norm holds cannot be taken in; "" if it can."""
        inside: dict[str, Any] = dict(norm.named_children())
        drop, act = inside.get("drop"), inside.get("act")
        if drop is None or act is None or len(inside) != len(("drop", "act")):
            return "it holds other modules than dropout and an activation"
        if type(drop) is not nn.Identity:
            return f"dropout stands between it and its activation ({type(drop).__name__})"
        if read_activation(act) is None:
            return f"its activation {type(act).__name__} is none that a fused layer computes"
        if has_hooks(drop) or has_hooks(act):
            return "there are hooks on what it holds"
        return ""

    @staticmethod
    def _refuse_neighbours(norm: nn.Module) -> str:
        """Return why a norm must not take in what stands beside it; "" if it may."""
        if has_hooks(norm):
            return "hooks on it look at what it reads or returns"
        if attached_norms(norm):
            return "another norm hangs on it"
        own = getattr(norm, "act", None)
        return "" if own is None or isinstance(own, nn.Identity) else "it has an activation of its own"

    # -- who calls whom

    def _find_callers(self) -> dict[str, Counter[str]]:
        """Return in whose forwards each module is called, and how often in all, by the module's path."""
        callers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for op in self._recording.ops:
            if op.module is not None and op.owner != op.module and op.ordinal != OUTSIDE:
                callers[op.module][op.owner] += 1
        looked_into = {path for path in self._recording.visits if path}
        for owner, visits in self._recording.visits.items():
            for name in (name for visit in visits for name in visit if name in looked_into):
                callers[name][owner] += 1
        return callers

    def _runs_once_in(self, path: str, owner: str) -> bool:
        """Whether a module runs once each time that an owner does, in the owner's forward and nowhere else."""
        times = self._recording.calls.get(owner, 0)
        return self._callers.get(path) == Counter({owner: times}) and self._recording.calls.get(path) == times

    def _owner_of(self, path: str) -> str | None:
        """Return in whose forward a norm stands; None if it stands in several, or several times, or in none."""
        host, _, child = path.rpartition(".")
        if attached_norm(self._model.get_submodule(host)) == child:
            if self._recording.calls[path] != self._recording.calls[host]:
                return None
            path = host
        owner = next(iter(self._callers.get(path, ())), None)
        return owner if owner is not None and self._runs_once_in(path, owner) else None

    def _sort_out(self) -> dict[str, list[str]]:
        """Plan for the norms in plain Sequentials; return the others that could take something in, by their owners."""
        traced: defaultdict[str, list[str]] = defaultdict(list)
        plain: defaultdict[str, list[str]] = defaultdict(list)
        for path, norm in self._norms.items():
            owner = self._owner_of(path)
            reason = self._refuse_neighbours(norm)
            if reason or owner is None:
                several = "it runs in several places, or several times in one forward"
                self._plan.reasons[path] = reason or (several if self._callers.get(path) else "it runs by itself")
            elif self._is_chain(owner):
                plain[self._find_outermost(owner)].append(path)
            else:
                traced[owner].append(path)
        for owner, norms in plain.items():
            self._fuse_chain(owner, norms)
        self._chains = list(plain)
        return traced

    # -- plain Sequentials

    def _is_chain(self, path: str) -> bool:
        """Whether a module is a plain Sequential in which all that could be taken in runs nowhere else."""
        module = self._model.get_submodule(path)
        if not is_plain_sequential(module):
            return False
        children = (child for child in module if read_activation(child) is not None or isinstance(child, nn.MaxPool2d))
        return all(self._runs_once_in(self._paths[id(child)], path) for child in children)

    def _is_inlined(self, path: str, parent: str) -> bool:
        """Whether the children of a Sequential run as if they stood in the one that holds it."""
        module = self._model.get_submodule(path)
        return (
            not module._forward_hooks
            and not has_hooks(module)
            and self._is_chain(path)
            and (self._runs_once_in(path, parent) and is_plain_sequential(self._model.get_submodule(parent)))
        )

    def _find_outermost(self, path: str) -> str:
        while path:
            parent = path.rpartition(".")[0]
            if not self._is_inlined(path, parent) or not self._is_chain(parent):
                return path
            path = parent
        return path

    def _fuse_chain(self, owner: str, norms: list[str]) -> None:
        """Plan for the norms in a plain Sequential: what they take in becomes an identity, and no forward changes."""
        module = self._model.get_submodule(owner)
        graph = fx.Graph()
        given = graph.placeholder("input")
        for target in self._list_calls(owner, ""):
            given = graph.call_module(target, (given,))
        graph.output(given)
        views = [Surroundings(module, graph)]
        taken = self._take(norms, views)
        self._note(owner, taken, views)
        self._explain_rest(norms, taken, views)

    def _list_calls(self, owner: str, inside: str) -> Iterator[str]:
        """Yield what a plain Sequential runs, by paths from the owner; Sequentials in it are looked into."""
        held = self._model.get_submodule(".".join(filter(None, (owner, inside))))
        here = self._paths[id(held)]
        for name, child in held._modules.items():
            assert child is not None
            target = f"{inside}.{name}" if inside else name
            if is_plain_sequential(child) and self._is_inlined(self._paths[id(child)], here):
                yield from self._list_calls(owner, target)
            else:
                yield target

    def _find_tails(self) -> dict[str, dict[str, str]]:
        """Return the norms at the ends of plain Sequentials that have taken nothing in yet.

        Returns:
            By the owner of the forward that calls the Sequential: its path, by the norm's.
        """
        tails: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for path in self._chains:
            owner = next(iter(self._callers.get(path, ())), None)
            if owner is None or not self._runs_once_in(path, owner) or has_hooks(self._model.get_submodule(path)):
                continue
            last = list(self._list_calls(path, ""))[-1]
            norm = self._paths[id(self._model.get_submodule(f"{path}.{last}"))]
            if (
                norm in self._norms
                and norm not in self._plan.takings
                and not self._refuse_neighbours(self._norms[norm])
            ):
                tails[owner][norm] = path
        return tails

    # -- forwards

    def _fuse_forwards(self, traced: dict[str, list[str]], tails: dict[str, dict[str, str]]) -> None:
        """Plan for the norms in forwards of the user's own, which are made anew where norms take something in."""
        owners = dict.fromkeys((*traced, *tails))
        if not owners:
            return
        captures = Captures(self._model, self._example_inputs, owners, training=self._recording.training)
        proof = ForwardProof(self._model, captures)
        opened: dict[str, OwnerGraphs] = {}
        for owner in owners:
            try:
                if owner in captures.varying:
                    raise RetraceError("it is called with other plain values from one call to the next")
                opened[owner] = retrace(self._model.get_submodule(owner), captures.bind(owner).arguments)
            except RetraceError as error:
                self._explain(owner, [*traced.get(owner, []), *tails.get(owner, {})], str(error))
        self._read_kinds(opened)
        for owner, graphs in opened.items():
            norms, ends = traced.get(owner, []), tails.get(owner, {})
            fault = self._fuse_forward(owner, graphs, norms, ends, proof)
            if fault:
                self._explain(owner, [*norms, *ends], fault)

    def _explain(self, owner: str, norms: list[str], reason: str) -> None:
        """Note why what stands beside the norms of a forward stays."""
        name = owner or type(self._model).__name__
        words = f"what stands beside it stays, since the forward of {name} cannot be made anew: {reason}"
        self._plan.notes |= dict.fromkeys(norms, words)
        self._plan.reasons |= dict.fromkeys(norms, f"the forward of {name} cannot be made anew")

    def _fuse_forward(
        self, owner: str, graphs: OwnerGraphs, norms: list[str], tails: dict[str, str], proof: ForwardProof
    ) -> str:
        """Plan for the norms in one forward, and for those at the ends of the Sequentials that it calls.

        Such a Sequential is called child by child from then on, if its norm takes in a sum.

        Returns:
            Why the forward cannot be made anew; "" if it can, or need not.
        """
        module = self._model.get_submodule(owner)
        both = [graphs.training, graphs.evaluation]
        trial = [copy_graph(graph) for graph in both]
        for path in tails.values():
            self._inline(owner, path, trial)
        views = [Surroundings(module, graph) for graph in trial]
        taken = self._take([*norms, *tails], views)
        fault = proof.find_fault(owner, graphs) if taken else ""
        self._explain_rest([*norms, *tails], taken, views)
        if fault or not taken:
            return fault
        inlined = {norm: self._inline(owner, path, both) for norm, path in tails.items()}  # as on trial
        views = [Surroundings(module, graph) for graph in both]
        taken = self._take([*norms, *tails], views)
        self._note(owner, taken, views)
        for view in views:
            view.close()
        for norm, calls in inlined.items():
            if norm not in taken or not taken[norm].adds:
                for graph, target, nodes in calls:
                    fold_calls(graph, nodes, target)
        self._plan.forwards[owner] = graphs
        return ""

    def _inline(self, owner: str, path: str, graphs: Iterable[fx.Graph]) -> list[tuple[fx.Graph, str, list[fx.Node]]]:
        """Call a plain Sequential child by child; return in which graphs, its path from the owner, and the calls."""
        made: list[tuple[fx.Graph, str, list[fx.Node]]] = []
        module, sequential = self._model.get_submodule(owner), self._model.get_submodule(path)
        inside = list(self._list_calls(path, ""))
        for graph in graphs:
            for node in [node for node in graph.nodes if node.op == "call_module"]:
                target = str(node.target)
                if module.get_submodule(target) is sequential:
                    made.append((graph, target, inline_calls(graph, node, [f"{target}.{each}" for each in inside])))
        return made

    def _read_kinds(self, opened: dict[str, OwnerGraphs]) -> None:
        """Note what the nodes of forwards with sums return on the example, at every call, and also under autocast.

        A residual must have the shape and the type of what it is added to: under autocast it may have another type.
        """
        readers: dict[str, list[KindReader]] = {}
        for owner, graphs in opened.items():
            module, both = self._model.get_submodule(owner), (graphs.training, graphs.evaluation)
            if any(addends_of(node) is not None for graph in both for node in graph.nodes):
                readers[owner] = [KindReader(module, graph=graph) for graph in (both if graphs.differ() else both[:1])]
        device = next((tensor.device.type for tensor in self._model.parameters()), "cpu")
        for autocast in (False, True) if readers else ():
            with undisturbed(self._model), torch.autocast(device, torch.bfloat16, enabled=autocast):
                try:
                    self._run_along(readers)
                except Exception:  # not every network runs under autocast, and what follows is then no concern
                    if not autocast:
                        raise
        for owner in readers:
            if not opened[owner].differ():
                copy_kinds(opened[owner].training, opened[owner].evaluation)

    def _run_along(self, readers: dict[str, list[KindReader]]) -> None:
        """Run the model, and at every call of an owner the graphs of its forward before it."""
        running = False

        def run(owner: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            nonlocal running
            if running:  # within the graph of another owner: this one has a call of its own
                return
            running = True
            try:
                for reader in readers[owner]:
                    given = map_tensors(torch.clone, (args, kwargs))  # a forward may write into what it is given
                    bound = inspect.signature(module.forward).bind(*given[0], **given[1])
                    bound.apply_defaults()
                    with suppress(Exception):  # the proof will find that it does not run, and say so
                        reader.run(*bound.arguments.values())
            finally:
                running = False

        if self._recording.training:
            set_training(self._model)
        handles = [
            self._model.get_submodule(owner).register_forward_pre_hook(partial(run, owner), with_kwargs=True)
            for owner in readers
        ]
        inputs = bind_inputs(self._model, map_tensors(torch.clone, self._example_inputs))
        try:
            self._model(*inputs.args, **inputs.kwargs)
        finally:
            for handle in handles:
                handle.remove()

    # -- both

    def _take(self, norms: Iterable[str], views: list[Surroundings]) -> dict[str, Taking]:
        """Let norms take in what they can, in every graph of a forward; return what that is, by their paths."""
        taken: dict[str, Taking] = {}
        for norm in norms:
            target = self._target(views, norm)
            taking = self._agree(views, target)
            if taking is None or target is None:
                continue
            for view in views:
                if view.calls_of(target):
                    view.take(target)
            taken[norm] = taking
        return taken

    def _note(self, owner: str, taken: dict[str, Taking], views: list[Surroundings]) -> None:
        """Make what norms of a forward have taken in, in every graph of it, part of the plan."""
        module = self._model.get_submodule(owner)
        self._plan.takings |= taken
        self._plan.owners |= dict.fromkeys(taken, owner)
        for target in (target for taking in taken.values() for target in taking.modules):
            swallowed = module.get_submodule(target)
            path = self._paths[id(swallowed)]
            self._plan.swallowed[path] += self._recording.calls[owner]
            if any(view.find_targets(swallowed) for view in views):
                self._plan.staying.add(path)

    def _explain_rest(self, norms: Iterable[str], taken: Collection[str], views: list[Surroundings]) -> None:
        """Note of the norms of a forward that take nothing in why that is so."""
        for norm in norms:
            if norm not in taken:
                self._plan.reasons[norm] = self._explain_norm(self._target(views, norm), views)

    @staticmethod
    def _explain_norm(target: str | None, views: list[Surroundings]) -> str:
        """Return why a norm takes nothing in."""
        called = [view for view in views if target is not None and view.calls_of(target)]
        if target is None or any(len(view.calls_of(target)) > 1 for view in called):
            return "the forward calls it several times, or by several paths"
        if len({view.find(target) for view in called}) > 1:
            return "training and evaluation run other things beside it"
        return called[0].explain(target)

    def _target(self, views: list[Surroundings], norm: str) -> str | None:
        """Return the path from an owner by which its forward calls a norm; None if it does so by several."""
        module = self._model.get_submodule(norm)
        targets = {target for view in views for target in view.find_targets(module)}
        return next(iter(targets)) if len(targets) == 1 else None

    @staticmethod
    def _agree(views: Collection[Surroundings], target: str | None) -> Taking | None:
        """Return what a norm takes in, in every mode in which it is called; None for nothing, or not the same."""
        if target is None:
            return None
        counts = [len(view.calls_of(target)) for view in views]
        if max(counts) != 1:
            return None
        found = {view.find(target) for view, count in zip(views, counts, strict=True) if count}
        taking = next(iter(found))
        return taking if len(found) == 1 and not taking.is_empty else None
