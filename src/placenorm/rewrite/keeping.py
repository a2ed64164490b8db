"""Rewriting that keeps a network's function: a twin in float64 is rewritten first, and proved on data."""

import copy
from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.errors import DataError, ModelError, first_line
from placenorm.facts.edits import Edit, Skip
from placenorm.facts.graph import Graph
from placenorm.graph.recording import Recording
from placenorm.graph.snapshot import bit_equal
from placenorm.graph.tracing import ExampleInputs, map_tensors, undisturbed
from placenorm.probe.measuring import fit_inputs, measure_inputs, read_batches
from placenorm.rewrite.norms import NormChoice
from placenorm.rewrite.preserving import CannotPreserveError, ValueChange, ValueKeeper, make_identity, set_measured
from placenorm.rewrite.proving import change_last_bits, count_numbers, evaluate, largest_eps, measure_error
from placenorm.rewrite.rewriter import Rewriter, Way

EXACT = 1e-9
"""Largest difference, as a share of the largest output, that float64 rounding may make of an exact rewrite."""

ROUNDING, ROUNDINGS = 10.0, 100.0
"""A model in its own type may be so many times as far from the truth as it was before, or so many rounding errors."""

OWN_SHARE = 0.01
"""From this share of `EXACT` on, what a last bit of the input does by itself explains that a proof fails."""

LEAST_VALUES = 2
"""Values per channel from which a variance can be measured."""


class FunctionKeeper:
    """Keeps the function that a model evaluates to while its norms move.

    Args:
        model: the model, not rewritten yet.
        example_inputs: what it is called with.
        graph: its graph.
        recording: what the graph was made of.
        norm: whose norms are put in.

    Attributes:
        carried: the blocks whose norms keep their values.
        error: what `rewrite_twin` found: max|difference| / max|output| in float64.

    Raises:
        ModelError: if the model has no values, or does not run in float64.
    """

    def __init__(
        self,
        model: nn.Module,
        example_inputs: ExampleInputs,
        graph: Graph,
        recording: Recording,
        norm: NormChoice,
    ) -> None:
        if any(parameter.is_meta for parameter in model.parameters()):
            raise ModelError(
                f"Cannot preserve what {type(model).__name__} computes: it is on the meta device and has no values; "
                "load its weights first, or place it without preserve."
            )
        self.carried: set[str] = set()
        self.error = 0.0
        self._model = model
        self._given = example_inputs
        self._graph = graph
        self._recording = recording
        self._norm = norm
        self._twin = copy.deepcopy(model).double()
        self._example = fit_inputs(self._twin, example_inputs)
        self._values = ValueKeeper(self._twin, graph)
        self._changes: list[tuple[Edit, ValueChange]] = []
        self._expected = evaluate(model, example_inputs)
        try:
            self._truth = self._evaluate_twin(self._example)
        except Exception as error:  # the user's forward, anything can come out of it
            raise ModelError(
                f"Cannot preserve what {type(model).__name__} computes: the proof runs a copy in float64, and that "
                f"fails ({first_line(error)}); place it without preserve, and call pn.recalibrate on the result."
            ) from error

    def choose(self, ready: Iterable[tuple[Edit, Way]]) -> tuple[list[tuple[Edit, Way]], list[Skip]]:
        """Return the edits after which the function can stay, and why it cannot after the others."""
        kept: list[tuple[Edit, Way]] = []
        skipped: list[Skip] = []
        for edit, way in ready:
            try:
                if callable(self._norm) and edit.anchor is not None:
                    raise CannotPreserveError("a norm that your own function builds need not start as the identity")
                self._changes.append((edit, self._values.plan(edit)))
            except CannotPreserveError as reason:
                words = f"what was learned would be lost: {reason}"
                skipped.extend(Skip(key, words) for key in (edit.block, *edit.also))
            else:
                kept.append((edit, way))
        self.carried = {edit.block for edit, change in self._changes if change.carries}
        return kept, skipped

    def rewrite_twin(self, ready: list[tuple[Edit, Way]], data: object) -> None:
        """Make the chosen edits on the twin, and prove that it computes what the model did.

        Raises:
            DataError: if the data has no batch that the model takes.
            ModelError: if the twin computes something else.
        """
        batches = read_batches(data)
        first = next(batches, None)
        if first is None:
            raise DataError("There is no batch in the data to measure statistics on: give at least one, or a tensor.")
        _check_finite(first)
        try:
            on_data = self._evaluate_twin(fit_inputs(self._twin, first))
        except Exception as error:
            raise DataError(
                f"{type(self._twin).__name__} does not run on the first batch of the data: {first_line(error)}; give "
                "batches that the model takes, the input first in each."
            ) from error
        if not count_numbers(on_data):
            raise ModelError(
                f"Cannot preserve what {type(self._twin).__name__} computes: what it gives for the first batch of the "
                "data holds no finite numbers that could be compared; place it without preserve, and call "
                "pn.recalibrate on the result."
            )
        rewriter = Rewriter(self._twin, self._graph, self._recording, self._example, self._norm, prove=False)
        rewriter.carried = self.carried
        rewriter.adopt(ready)
        self.prepare(self._twin)
        for edit, change in self._changes:
            self._values.apply(edit, change)
        biases = {edit.block: self._lost_bias(edit) for edit, _ in ready}
        self._shift_carried(biases)
        rewriter.perform(ready)
        fresh = [(module, edit) for module, edit in rewriter.fresh if isinstance(module, _BatchNorm)]
        for module, edit in fresh:
            make_identity(module, biases[edit.block])
        with undisturbed(self._twin):
            moments = measure_inputs(self._twin, [module for module, _ in fresh], chain([first], batches))
        for (module, edit), measured in zip(fresh, moments, strict=True):
            if 0 < measured.count < LEAST_VALUES:
                raise DataError(
                    f"Cannot preserve at {edit.block}: its new norm reads {measured.count} values per channel in these "
                    "data, which have no variance, so nothing was changed; give more samples."
                )
            if not measured.is_finite():
                raise DataError(
                    f"Cannot preserve at {edit.block}: what its new norm reads on these data is not finite, so nothing "
                    "was changed; look for values in the data that are no numbers, or overflow."
                )
            set_measured(module, measured)
        self.error = max(
            measure_error(self._truth, self._evaluate_twin(self._example)),
            measure_error(on_data, self._evaluate_twin(fit_inputs(self._twin, first))),
        )
        if not self.error <= EXACT:
            own = self._measure_own_error(first)
            cause = (
                f"The network itself multiplies rounding: one bit of its inputs moves it by {own:.1e} as it was given, "
                "so no rewrite of it can be proved; place fewer blocks with filter, or without preserve."
                if own > EXACT * OWN_SHARE
                else "Place fewer blocks with filter, and please report this network."
            )
            raise ModelError(
                f"Cannot preserve what {type(self._twin).__name__} computes: the rewritten network differs by "
                f"{self.error:.1e} of its largest output in float64, where {EXACT:.0e} is rounding, so nothing was "
                f"changed. {cause}"
            )

    def prepare(self, model: nn.Module) -> None:
        """Give the weight ops that take norms in their biases, in the model or its twin."""
        for _, change in self._changes:
            self._values.give_biases(model, change)

    def find_new_biases(self, model: nn.Module) -> tuple[str, ...]:
        """Return the paths of the weight ops that have no bias and will need one."""
        paths = {path for _, change in self._changes for path in change.weights}
        return tuple(sorted(path for path in paths if getattr(model.get_submodule(path), "bias", None) is None))

    def hand_over(self, model: nn.Module) -> frozenset[int]:
        """Give a model that was rewritten like the twin the twin's values; return the ids of what was changed."""
        changed: set[int] = set()
        with torch.no_grad():
            for kind in ("named_parameters", "named_buffers"):
                own: dict[str, Tensor] = dict(getattr(model, kind)())
                for name, value in getattr(self._twin, kind)():
                    cast = value.to(own[name].dtype)
                    if bool((value.isfinite() & ~cast.isfinite()).any()):
                        raise ModelError(
                            f"Cannot preserve what {type(model).__name__} computes: {name} would have values that "
                            f"{str(cast.dtype).removeprefix('torch.')} does not hold; place it in float32."
                        )
                    if not bit_equal(own[name], cast):
                        own[name].data.copy_(cast)
                        changed.add(id(own[name]))
        return frozenset(changed)

    def error_as_returned(self, model: nn.Module) -> float:
        """Return max|difference| / max|output| of a model against itself as it was given, in its own type.

        Raises:
            ModelError: if it is further from the truth in float64 than rounding takes the model as it was given.
        """
        found = evaluate(model, self._given)
        truth = self._truth[:1]  # as it evaluates
        control = measure_error(truth, (self._expected,), rest=False)
        eps = largest_eps(model)
        # In float64 the model is its own truth, and the twin has proved it already, on more inputs.
        allowed = EXACT if eps <= torch.finfo(torch.float64).eps else max(ROUNDING * control, ROUNDINGS * eps)
        off = measure_error(truth, (found,), rest=False)
        if not off <= allowed:
            raise ModelError(
                f"Cannot preserve what {type(model).__name__} computes in its own type: rounding takes it {off:.1e} of "
                f"its largest output from what it computes in float64, and took it {control:.1e} before; place it in "
                "float32 or float64, or place fewer blocks with filter."
            )
        return measure_error(self._expected, found)

    def _measure_own_error(self, batch: ExampleInputs) -> float:
        """Return how far the model as it was given moves, in float64, when its inputs change in their last bit."""
        original = copy.deepcopy(self._model).double()
        moved: list[float] = []
        for given in (self._given, batch):
            inputs = fit_inputs(original, given)
            moved.append(
                measure_error(evaluate(original, inputs), evaluate(original, map_tensors(change_last_bits, inputs)))
            )
        return max(moved)

    def _evaluate_twin(self, inputs: ExampleInputs) -> tuple[Any, ...]:
        """Return what the twin evaluates to, and what it gives in training where parts of it run then alone."""
        evaluated = evaluate(self._twin, inputs)
        if not self._recording.training:
            return (evaluated,)
        return evaluated, evaluate(self._twin, inputs, training=True)

    def _lost_bias(self, edit: Edit) -> Tensor | None:
        """Return the bias that a weight op of the twin loses by an edit; None where it loses none."""
        if edit.bias != "drop":
            return None
        op = self._graph.ops[next(block.weight for block in self._graph.blocks if block.key == edit.block)]
        bias: Any = None if op.module is None else self._twin.get_submodule(op.module).bias
        return None if bias is None else bias.detach().clone()

    def _shift_carried(self, biases: dict[str, Tensor | None]) -> None:
        """Let norms that keep their values expect the values of a weight op that has lost its bias."""
        shifted: set[str] = set()
        for edit, change in self._changes:
            bias = biases[edit.block]
            path = "" if edit.norm is None else str(self._graph.ops[edit.norm].module)
            if change.carries and bias is not None and path not in shifted:
                norm: Any = self._twin.get_submodule(path)
                norm.running_mean.sub_(bias)
                shifted.add(path)


def _check_finite(batch: ExampleInputs) -> None:
    """Raise an error if a batch holds what is no number: a network that makes NaN of it proves nothing.

    Raises:
        DataError: naming the batch.
    """
    held: list[Tensor] = []

    def note(x: Tensor) -> Tensor:
        held.append(x)
        return x

    map_tensors(note, batch)
    if not all(bool(x.isfinite().all()) for x in held):
        raise DataError(
            "The first batch of the data holds values that are not finite, so nothing can be proved on it; give data "
            "without NaN and infinities."
        )
