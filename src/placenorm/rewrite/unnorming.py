"""A model in, the same model without the norms that can be folded out, with proof; the rest is named."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.errors import ModelError, UsageError, first_line
from placenorm.facts.edits import Change, Edit, Skip
from placenorm.facts.folding import DOES_NOT_RUN, Agreement
from placenorm.graph.channels import ChannelRules, Labels, NormUse, follow_channels
from placenorm.graph.tracing import ExampleInputs, make_graph, map_tensors, record_model, split_inputs, undisturbed
from placenorm.layers.bordered import is_bordered
from placenorm.probe.measuring import fit_inputs
from placenorm.randomness import fix_seed
from placenorm.rewrite.accelerating import restore_model
from placenorm.rewrite.answers import check_answers, count_agreement
from placenorm.rewrite.folding import find_centre, fold_norm, fold_weights, is_plain
from placenorm.rewrite.forms import Forms, choose_forms
from placenorm.rewrite.hooked import carry_hooks, find_hooked
from placenorm.rewrite.keeping import EXACT
from placenorm.rewrite.parallels import Parallel, ParallelFinder
from placenorm.rewrite.plain_norms import make_norms_plain
from placenorm.rewrite.proving import count_numbers, measure_error
from placenorm.rewrite.rewriter import Rewriter, Way

OTHER_SIZES: Final = 2
"""How many other sizes of input a folded model is proved on."""

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
            and the other inputs; None where nothing was verified.
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
        verify: whether to prove the result on the example and on random inputs of two other sizes; what cannot be
            proved stays.
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
    proof = _FoldProof(original, example_inputs) if verify else None
    chosen = folder.choose(proof)
    folder.apply(model, chosen)
    hooked = find_hooked(original, model, example_inputs)
    in_float32 = None if proof is None else proof.measure_in(model, torch.float32)
    if dtype is not None:
        model.to(dtype)
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
    trains = next((path for path, m in model.named_modules() if isinstance(m, _BatchNorm) and m.training), None)
    if model.training or trains is not None:
        what = "it is" if model.training or not trains else f"its norm {trains} is"
        raise ModelError(
            f"Cannot fold {type(model).__name__}: {what} in training mode, where a norm uses the batch's statistics; "
            "call .eval() first."
        )
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise ModelError(
            f"Cannot fold {type(model).__name__}: it is on the meta device and has no values; load its weights first."
        )
    whole = next((name for name, p in model.named_parameters() if not p.is_floating_point()), None)
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

    def choose(self, proof: "_FoldProof | None") -> _Chosen:
        """Return what is folded: all that can be, less what does not verify."""
        candidates = list(self._ready)
        if proof is None:
            return self._solve(candidates)
        chosen = self._solve(candidates)
        error = proof.measure(self, chosen)
        if error <= EXACT:
            self.error = error
            return chosen
        good = self._find_good(chosen.folded, proof)
        final = self._solve(good)
        for key in set(chosen.folded) - set(final.folded):
            final.kept[key] = f"the folded network differed by {error:.1e} in float64, and without it does not"
        self.error = proof.measure(self, final)
        return final

    def _find_good(self, keys: Sequence[NormKey], proof: "_FoldProof") -> list[NormKey]:
        """Return the norms that verify together, found by halves."""
        if not keys or proof.measure(self, self._solve(keys)) <= EXACT:
            return list(keys)
        if len(keys) == 1:
            return []
        half = len(keys) // 2
        first, second = self._find_good(keys[:half], proof), self._find_good(keys[half:], proof)
        both = [*first, *second]
        if proof.measure(self, self._solve(both)) <= EXACT:
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
                rules.fix((*use.reads.tolist(), *use.gives.tolist()), f"the norm {_name(key)}")
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
        changes: list[Change] = []
        skipped: list[Skip] = []
        folded = set(chosen.folded)
        for key, uses in self._uses.items():
            if key in folded:
                where = self._tell_where(uses[0], chosen.forms)
                changes.append(Change(_name(key), where + self._tell_hooks(uses[0], hooked)))
            else:
                reason = chosen.kept.get(key, "it was not asked for")
                skipped.append(Skip(_name(key), reason + self._tell_hooks(uses[0], hooked)))
        seen = {key[0] for key in self._uses}
        for path, reason in (*self._stay.items(), *self._rules.odd.items()):
            if path not in seen:
                seen.add(path)
                skipped.append(Skip(path, reason))
        for path, module in self._model.named_modules():
            if isinstance(module, _BatchNorm) and path not in seen:
                skipped.append(Skip(path, DOES_NOT_RUN))
        return tuple(changes), tuple(skipped)

    def _tell_hooks(self, use: NormUse, hooked: Sequence[str]) -> str:
        """Return that hooks on a norm, or on the weights beside it, see other values now; "" if none do."""
        if not hooked:
            return ""
        beside = f"{_paths(self._makers, use.reads)}, {_paths(self._readers, use.gives)}".split(", ")
        seen = ", ".join(path for path in hooked if path in (use.path, *beside))
        return f"; hooks on {seen} see other values now" if seen else ""

    def _tell_where(self, use: NormUse, forms: Forms) -> str:
        before = _paths(self._makers, use.reads) or "the weights"
        behind = _paths(self._readers, use.gives) or "the weights"
        if bool((forms.scale[use.gives] == 1).all() and (forms.shift[use.gives] == 0).all()):
            return f"into {before} before it"
        if bool((forms.scale[use.reads] == 1).all() and (forms.shift[use.reads] == 0).all()):
            return f"into {behind} behind it"
        return f"in part into {before} before it, in part into {behind} behind it"

    @cached_property
    def _makers(self) -> dict[int, list[str]]:
        """The weight ops that give a channel, by its label."""
        return _index((use.path, use.gives) for use in self._rules.weights)

    @cached_property
    def _readers(self) -> dict[int, list[str]]:
        """The weight ops that read a channel, by its label."""
        return _index((use.path, use.reads) for use in self._rules.weights)


def _index(uses: Iterable[tuple[str, Labels]]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for path, labels in uses:
        for label in labels.tolist():
            found.setdefault(label, []).append(path)
    return found


def _paths(known: dict[int, list[str]], labels: Labels) -> str:
    """Return the weight ops that give or read some channels, in words."""
    return ", ".join(dict.fromkeys(path for label in labels.tolist() for path in known.get(label, ())))


def _name(key: NormKey) -> str:
    path, line = key
    return path if line == -1 else f"{path}:batch_norm"


class _FoldProof:
    """Holds folded models against the model as it was, in float64, on the example and on inputs of other sizes.

    Args:
        original: the model as it was.
        example_inputs: what it is called with.

    Attributes:
        shapes: the shapes of the inputs, in words.
    """

    def __init__(self, original: nn.Module, example_inputs: ExampleInputs) -> None:
        self._original = original
        self._given = example_inputs
        self._inputs: list[ExampleInputs] = []
        self._truths: list[Any] = []
        twin = copy.deepcopy(original).double()
        try:
            self._take(twin, example_inputs)
        except Exception as error:  # the user's forward, anything can come out of it
            raise ModelError(
                f"Cannot fold {type(original).__name__}: the proof runs a copy in float64, and that fails "
                f"({first_line(error)}); fold it with verify=False, and compare the results yourself."
            ) from error
        if not count_numbers(self._truths[0]):
            raise ModelError(
                f"Cannot fold {type(original).__name__}: what it gives for the example holds no finite numbers that "
                "could be compared; give an example that it gives numbers for, or fold it with verify=False."
            )
        for inputs in vary_inputs(example_inputs):
            if len(self._inputs) > OTHER_SIZES:
                break
            try:
                self._take(twin, inputs)
            except Exception:  # it does not take this size, which is no fault
                continue
        self.shapes = tuple(_describe(inputs) for inputs in self._inputs)

    def _take(self, twin: nn.Module, inputs: ExampleInputs) -> None:
        fitted = fit_inputs(twin, inputs)
        self._truths.append(_evaluate(twin, fitted))
        self._inputs.append(fitted)

    def measure(self, folder: _Folder, chosen: _Chosen) -> float:
        """Return how far the model with something folded is from what it was; infinite if it does not run."""
        twin = copy.deepcopy(folder._model).double()
        try:
            folder.apply(twin, chosen)
            return max(
                measure_error(truth, _evaluate(twin, inputs))
                for truth, inputs in zip(self._truths, self._inputs, strict=True)
            )
        except ModelError:
            raise
        except Exception:  # the user's forward runs without its norms, anything can come out of it
            return float("inf")

    def measure_in(self, model: nn.Module, dtype: torch.dtype) -> float | None:
        """Return how far a folded model is from what it was, both in a type, on the example."""
        one, two = (copy.deepcopy(each).to(dtype) for each in (self._original, model))
        try:
            return measure_error(
                _evaluate(one, fit_inputs(one, self._given)), _evaluate(two, fit_inputs(two, self._given))
            )
        except Exception:  # a model may not run in another type than its own
            return None

    def measure_as_given(self, model: nn.Module) -> float:
        """Return how far a folded model is from what it was, on the example as it is."""
        return measure_error(_evaluate(self._original, self._given), _evaluate(model, self._given))


def _evaluate(model: nn.Module, inputs: ExampleInputs) -> Any:
    with undisturbed(model):
        args, kwargs = split_inputs(map_tensors(lambda x: x.detach().clone(), inputs))
        return map_tensors(lambda x: x.detach().clone(), model(*args, **kwargs))


def vary_inputs(inputs: ExampleInputs) -> Iterator[ExampleInputs]:
    """Yield random inputs like the example in other sizes: of images first, then of batches."""
    for step, (down, right) in enumerate(_STEPS):
        yield map_tensors(lambda x, d=down, r=right, s=step: _redraw(x, d, r, s), inputs)  # type: ignore[misc]


_STEPS: Final = ((-0.5, -0.25), (-0.25, -0.5), (0.25, 0.5), (0.25, 0.25), (0.0, 0.0), (0.0, 0.0))
"""By how much, as a share of the example's, heights and widths are other; by nothing, only the batch is."""

_EVEN: Final = 32
"""Sides that are so many times a whole number stay so: networks with five strides of 2 ask for it."""


def _redraw(x: Tensor, down: float, right: float, step: int) -> Tensor:
    if not x.is_floating_point():
        return x
    shape = list(x.shape)
    if x.dim() > 2:
        shape[-1] = _resize(shape[-1], right)
        if x.dim() > 3:
            shape[-2] = _resize(shape[-2], down)
    if x.dim() > 1:
        shape[0] = 1 + step % 3 if x.shape[0] != 1 + step % 3 else 4
    with fix_seed(step):
        spread = x.double().std().nan_to_num(1.0) if x.numel() > 1 else 1.0
        drawn = torch.randn(shape, dtype=torch.float64)
    return (drawn * spread + x.double().mean().nan_to_num(0.0)).to(x)


def _resize(side: int, share: float) -> int:
    if share == 0.0:
        return side
    if side % _EVEN == 0:
        moved = round(side * share / _EVEN) or (1 if share > 0 else -1)
        return max(side + moved * _EVEN, _EVEN)
    return max(side + (round(side * share) or (1 if share > 0 else -1)), 1)


def _describe(inputs: ExampleInputs) -> str:
    shapes: list[str] = []

    def note(x: Tensor) -> Tensor:
        shapes.append("x".join(map(str, x.shape)))
        return x

    map_tensors(note, inputs)
    return ", ".join(shapes)
