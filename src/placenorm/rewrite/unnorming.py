"""A model in, the same model without the norms that can be folded out, with proof; the rest is named."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.errors import ModelError, UsageError
from placenorm.facts.edits import Change, Edit, Skip
from placenorm.facts.folding import DOES_NOT_RUN, Agreement
from placenorm.graph.channel_rules import ChannelRules, NormUse
from placenorm.graph.channels import follow_channels
from placenorm.graph.tracing import ExampleInputs, make_graph, record_model
from placenorm.layers.bordered import is_bordered, watch_sizes
from placenorm.probe.measuring import fit_inputs
from placenorm.rewrite.accelerating import restore_model
from placenorm.rewrite.answers import check_answers, count_agreement
from placenorm.rewrite.fold_proof import FoldProof, Judgement
from placenorm.rewrite.fold_wording import FoldWording
from placenorm.rewrite.folding import find_centre, fold_norm, fold_weights, is_plain
from placenorm.rewrite.forms import Forms, choose_forms
from placenorm.rewrite.hooked import carry_hooks, find_hooked
from placenorm.rewrite.parallels import Parallel, ParallelFinder
from placenorm.rewrite.plain_norms import make_norms_plain
from placenorm.rewrite.proving import evaluate
from placenorm.rewrite.rewriter import Rewriter, Way

NormKey = tuple[str, int]
"""A norm: the path of its module and -1, or of the module in whose forward it is called and the place of the call."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A model for inference, its norms folded into its weights.

    Attributes:
        model: the model, in evaluation mode.
        changes: the norms that are gone: ``.site`` (the norm's path) and ``.reason`` (where it went).
        skipped: the norms that stay: ``.site`` and ``.reason``, with what would make it possible.
        matched: number of norms in the model, those that do not run in evaluation among them.
        max_error: max|difference| / max|output| against the model as given, in float64, the largest over the example
            and the other inputs; None where nothing was verified, or the model does not run in float64.
        max_error_float32: the same for both models in float32, on the example.
        max_error_dtype: the same for the model as it was given and as returned, in its own type.
        verified: the shapes of the inputs that it was proved on.
        bordered: paths of the convs that correct their output at the border.
        hooked: paths of the modules whose hooks see other values than before.
        agreement: how often the top-1 answers on the data are the same; None without data.
    """

    model: nn.Module = field(repr=False)
    changes: tuple[Change, ...]
    skipped: tuple[Skip, ...]
    matched: int
    max_error: float | None
    max_error_float32: float | None
    max_error_dtype: float | None
    verified: tuple[str, ...] = ()
    bordered: tuple[str, ...] = ()
    hooked: tuple[str, ...] = ()
    agreement: Agreement | None = None


def fold_model(
    model: nn.Module,
    example_inputs: ExampleInputs,
    *,
    verify: bool = True,
    dtype: torch.dtype | None = None,
    data: object = None,
) -> Folded:
    """Fold the norms of a model into its weights, in place, and prove that it computes what it did.

    Args:
        model: a model in evaluation mode that runs on the example; it is a copy, or the caller puts it back after an
            error.
        example_inputs: what it is called with.
        verify: whether to prove the result, in float64 and in the model's own type, on the example and on random
            inputs of two other sizes; what cannot be proved stays.
        dtype: the floating-point type that the result is brought to; None for the model's own.
        data: batches that the top-1 answers are compared on; None for none.

    Raises:
        ModelError: if the model trains, has no values, cannot be looked into or does not run on the inputs.
        UsageError: if the type is no floating-point type, or there are data and the model gives no scores.
        DataError: if the data have no batch that the model takes.
    """
    _check_ready(model)
    _check_type(dtype)
    original = copy.deepcopy(model)
    restore_model(model)
    stay = make_norms_plain(model, example_inputs)
    folder = _Folder(model, example_inputs, stay)
    if data is not None:
        check_answers(original, example_inputs, data)
    proof = FoldProof(original, example_inputs) if verify else None
    chosen = folder.choose(proof)
    folder.apply(model, chosen)
    hooked = find_hooked(original, model, example_inputs)
    in_float32 = None if proof is None else proof.measure_in(model, torch.float32)
    if dtype is not None:
        model.to(dtype)
    watch_sizes(model, lambda: evaluate(model, fit_inputs(model, example_inputs)))
    agreement = None if data is None else count_agreement(original, model, data)
    changes, skipped = folder.tell(chosen, hooked)
    bordered = tuple(path for path, module in model.named_modules() if is_bordered(module))
    done = Folded(
        model,
        changes,
        skipped,
        len(changes) + len(skipped),
        None,
        None,
        None,
        bordered=bordered,
        hooked=hooked,
        agreement=agreement,
    )
    if proof is None:
        return done
    return replace(
        done,
        max_error=folder.error,
        max_error_float32=in_float32,
        max_error_dtype=proof.measure_as_given(model) if dtype is None else proof.measure_in(model, dtype),
        verified=proof.shapes,
    )


def _check_ready(model: nn.Module) -> None:
    """Raise an error for a model that is not ready for inference.

    Raises:
        ModelError: naming what trains, or has no values.
    """
    trains = next((path for path, module in model.named_modules() if module.training), None)
    if trains is not None:
        what = f"its module {trains} is" if trains else "it is"
        raise ModelError(
            f"Cannot fold {type(model).__name__}: {what} in training mode, where norms use the batch's statistics and "
            "dropout draws; call .eval() first."
        )
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise ModelError(
            f"Cannot fold {type(model).__name__}: it is on the meta device and has no values; load its weights first."
        )
    parameters = model.named_parameters()
    whole = next((name for name, p in parameters if not (p.is_floating_point() or p.is_complex())), None)
    if whole is not None:
        raise ModelError(
            f"Cannot fold {type(model).__name__}: its parameter {whole} holds whole numbers, so it is quantised by "
            "now; fold the model as it was before, and quantise the result."
        )


def _check_type(dtype: torch.dtype | None) -> None:
    """Raise an error for a type that no weights can have.

    Raises:
        UsageError: naming it.
    """
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise UsageError(
            f"Cannot fold into {dtype}: give a floating-point type such as torch.float16, and quantise the result."
        )


@dataclass(slots=True)
class _Chosen:
    """What is folded, with the forms, and why the rest stays, by norm."""

    folded: list[NormKey]
    forms: Forms
    kept: dict[NormKey, str]
    beside: dict[str, list[Parallel]]


class _Folder:
    """Finds what can be folded in a model, and folds it in the model or in a twin of it.

    Args:
        model: the model; `apply` changes it.
        example_inputs: what it is called with.
        stay: why norms stay that cannot be looked into, by path.
    """

    def __init__(self, model: nn.Module, example_inputs: ExampleInputs, stay: dict[str, str]) -> None:
        self.error: float | None = None
        self._model = model
        self._inputs = example_inputs
        self._recording = record_model(model, example_inputs)
        self._graph = make_graph(model, self._recording)
        self._rules = follow_channels(model, example_inputs)
        self._uses = self._group()
        self._refused: dict[NormKey, str] = {}
        self._ready: dict[NormKey, tuple[Edit, Way]] = {}
        self._stay = stay
        self._names: dict[NormKey, str] = {key: key[0] for key in self._uses}
        self._plan_removal()

    def _group(self) -> dict[NormKey, tuple[NormUse, ...]]:
        """Return the calls of every norm: of a module, or of a line in a forward."""
        lines: dict[str, list[int]] = {}
        for op in self._graph.norms:
            if op.module is None:
                lines.setdefault(op.owner, []).append(op.ordinal)
        found: dict[NormKey, list[NormUse]] = {}
        for use in self._rules.norms:
            line = -1
            if use.functional:
                known = lines.get(use.path, [])
                line = known[use.number] if use.number < len(known) else -2 - use.number
            found.setdefault((use.path, line), []).append(use)
        return {key: tuple(uses) for key, uses in found.items()}

    def _plan_removal(self) -> None:
        """Find out which norms can be taken out of the model at all."""
        edits: dict[NormKey, Edit] = {}
        for index, op in enumerate(self._graph.ops):
            if op.kind == "norm":
                key = (op.module, -1) if op.module is not None else (op.owner, op.ordinal)
                edits.setdefault(key, Edit("", "remove", "none", "none", index, None, "keep"))
                self._names[key] = op.module if op.module is not None else op.key
        rewriter = self._make_rewriter(self._model, prove=True)
        for key in self._uses:
            if key not in edits:
                self._refused[key] = "it stands in calls that cannot be looked into, so that it cannot be taken out"
        wanted = {key: edit for key, edit in edits.items() if key in self._uses}
        ready, skipped = rewriter.prepare(wanted.values())
        ways = {edit.norm: way for edit, way in ready}
        reasons = iter(skipped)
        for key, edit in wanted.items():
            if edit.norm in ways:
                self._ready[key] = (edit, ways[edit.norm])
            else:
                self._refused[key] = next(reasons).reason

    def _make_rewriter(self, model: nn.Module, *, prove: bool) -> Rewriter:
        # A twin in float64 is traced anew on float64.
        inputs = self._inputs if model is self._model else fit_inputs(model, self._inputs)
        return Rewriter(model, self._graph, self._recording, inputs, "torch", prove=prove)

    # -- choosing

    def choose(self, proof: FoldProof | None) -> _Chosen:
        """Return what is folded: all that can be, less what does not verify.

        Raises:
            ModelError: if nothing verifies, not even the model as it is.
        """
        chosen = self._solve(list(self._ready))
        if proof is None:
            return chosen
        first = self._judge(proof, chosen)
        if first.holds:
            self.error = first.error
            return chosen
        final = self._solve(self._halve(chosen.folded, proof))
        last = self._judge(proof, final)
        if not last.holds:
            raise ModelError(
                f"Cannot fold {type(self._model).__name__}: two runs of the model as it is differ by {last}, so "
                "nothing can be proved; take out what is random in its evaluation, or fold it with verify=False."
            )
        final.kept = chosen.kept | final.kept
        for key in set(chosen.folded) - set(final.folded):
            final.kept[key] = f"the folded network differed by {first}, and without it does not"
        self.error = last.error
        return final

    def _judge(self, proof: FoldProof, chosen: _Chosen) -> Judgement:
        return proof.judge(self._model, lambda twin: self.apply(twin, chosen))

    def _find_good(self, keys: Sequence[NormKey], proof: FoldProof) -> list[NormKey]:
        """Return those of some norms that verify together."""
        if not keys or self._judge(proof, self._solve(keys)).holds:
            return list(keys)
        return self._halve(keys, proof)

    def _halve(self, keys: Sequence[NormKey], proof: FoldProof) -> list[NormKey]:
        """Return those of some norms, all of which do not verify together, that do; found by halves."""
        if len(keys) == 1:
            return []
        half = len(keys) // 2
        first, second = self._find_good(keys[:half], proof), self._find_good(keys[half:], proof)
        both = [*first, *second]
        if self._judge(proof, self._solve(both)).holds:
            return both
        return first if len(first) >= len(second) else second

    def _solve(self, candidates: Iterable[NormKey]) -> _Chosen:
        """Return the forms for as many of some norms as can be."""
        wanted = {key: self._uses[key] for key in candidates}
        names = {id(uses): key for key, uses in wanted.items()}
        held: set[NormKey] = {key for key in self._uses if key not in wanted and not self._is_adjustable(key)}
        while True:
            rules = self._hold(held)
            choice = choose_forms(rules, list(wanted.values()), partial(self._look_beside, rules))
            kept = {names[id(uses)]: reason for uses, reason in choice.kept}
            unfit = {
                key
                for key in kept
                if key not in held
                and not self._is_adjustable(key)
                and not all(is_plain(use, choice.forms) for use in self._uses[key])
            }
            if not unfit:
                folded = [names[id(uses)] for uses in choice.folded]
                beside: dict[str, list[Parallel]] = {}
                for each in choice.parallels:
                    beside.setdefault(each.path, []).append(each)
                return _Chosen(folded, choice.forms, self._refused | kept, beside)
            held |= unfit
            for key in unfit:
                del wanted[key]
                self._refused.setdefault(key, kept[key])

    def _look_beside(self, rules: ChannelRules, folded: Iterable[NormUse]) -> ParallelFinder:
        find = self._model.get_submodule
        return ParallelFinder(
            rules, folded, lambda path: find_centre(find(path)), lambda path: int(getattr(find(path), "groups", 1))
        )

    def _is_adjustable(self, key: NormKey) -> bool:
        return all(use.adjustable for use in self._uses[key])

    def _hold(self, keys: set[NormKey]) -> ChannelRules:
        """Return the rules with what some norms read and give held as it is."""
        rules = replace(self._rules, fixed=dict(self._rules.fixed))
        for key in keys:
            for use in self._uses[key]:
                rules.fix((*use.reads.tolist(), *use.gives.tolist()), f"the norm {self._names[key]}")
        return rules

    # -- folding

    def apply(self, model: nn.Module, chosen: _Chosen) -> None:
        """Fold what was chosen, in the model or in a twin of it."""
        ready = [self._ready[key] for key in chosen.folded]
        rewriter = self._make_rewriter(model, prove=False)
        rewriter.adopt(ready)
        done: set[int] = set()
        for use in self._rules.weights:
            module = model.get_submodule(use.path)
            if id(module) not in done:
                done.add(id(module))
                fold_weights(module, use, chosen.forms, chosen.beside.get(use.path, ()))
        for key, uses in self._uses.items():
            if key not in chosen.folded and self._is_adjustable(key):
                fold_norm(model.get_submodule(key[0]), uses[0], chosen.forms)
        norms = {path: model.get_submodule(path) for path, line in chosen.folded if line == -1}
        rewriter.perform(ready)
        carry_hooks(norms, model)

    # -- words

    def tell(self, chosen: _Chosen, hooked: Sequence[str] = ()) -> tuple[tuple[Change, ...], tuple[Skip, ...]]:
        """Return what was folded and what was not, in the order the norms run.

        Args:
            chosen: what was folded.
            hooked: paths of the modules whose hooks see other values now.
        """
        wording = FoldWording(self._rules)
        changes: list[Change] = []
        skipped: list[Skip] = []
        folded = set(chosen.folded)
        for key, uses in self._uses.items():
            if key in folded:
                where = wording.tell_where(uses[0], chosen.forms)
                changes.append(Change(self._names[key], where + wording.tell_hooks(uses[0], hooked)))
            else:
                reason = self._stay.get(key[0]) or chosen.kept[key]
                skipped.append(Skip(self._names[key], reason + wording.tell_hooks(uses[0], hooked)))
        seen = {key[0] for key in self._uses}
        for path, reason in (*self._stay.items(), *self._rules.odd.items()):
            if path not in seen:
                seen.add(path)
                skipped.append(Skip(path, reason))
        for path, module in self._model.named_modules():
            if isinstance(module, _BatchNorm) and path not in seen:
                skipped.append(Skip(path, DOES_NOT_RUN))
        return tuple(changes), tuple(skipped)
