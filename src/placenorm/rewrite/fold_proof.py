"""Proof that a folded network computes what it did: on its example, and on inputs of other sizes and spreads."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from placenorm.errors import ModelError
from placenorm.graph.tracing import ExampleInputs
from placenorm.probe.measuring import fit_inputs
from placenorm.rewrite.keeping import EXACT, ROUNDING, ROUNDINGS
from placenorm.rewrite.parts import differs_outside, find_parts, is_unsteady, limit_choice, observe, run_copy
from placenorm.rewrite.proving import count_numbers, evaluate, largest_eps, measure_error
from placenorm.rewrite.varying import list_sizes, tell_sizes, vary_inputs

OTHER_SIZES: Final = 2
"""How many other sizes of input a folded model is proved on, where it takes them."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How far a folded model is from what it was.

    Attributes:
        error: max|difference| / max|output| in float64, the largest over all inputs; None where it does not run in it.
        own: the same in the model's own type, against the truth, on the example.
        allowed: the largest that `own` may be: what rounding made of the model as it was, ten times.
    """

    error: float | None
    own: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether that is rounding and nothing else."""
        return (self.error is None or self.error <= EXACT) and self.own <= self.allowed

    def __str__(self) -> str:
        """In what it differs most, in words."""
        if self.error is not None and not self.error <= EXACT:
            return f"{self.error:.1e} in float64"
        return f"{self.own:.1e} in its own type, where rounding allows {self.allowed:.1e}"


class FoldProof:
    """Holds folded models against the model as it was, in float64 and in its own type.

    Args:
        original: the model as it was.
        example_inputs: what it is called with.

    Where the network answers rounding with another choice (`placenorm.rewrite.parts`), its parts are compared, and all
    that lies outside of them has to be as it was.

    Attributes:
        parts: paths of the modules whose outputs are compared; none where the network's own are.

    Raises:
        ModelError: if what the model gives for the example holds no numbers to compare.
    """

    def __init__(self, original: nn.Module, example_inputs: ExampleInputs) -> None:
        self._original = original
        self._given = example_inputs
        self._wide = True
        self._sought = False
        self._choosing: dict[int, bool] = {}  # by the input's place, what was asked
        self.parts: tuple[str, ...] = ()
        self._look()
        if not self._has_numbers or self._control > limit_choice(original):
            self._take_parts()
        if not self._has_numbers:
            raise ModelError(
                f"Cannot fold {type(original).__name__}: what it gives for the example holds no finite numbers that "
                "could be compared; give another example, or fold it with verify=False and compare them yourself."
            )

    @property
    def shapes(self) -> tuple[str, ...]:
        """The shapes of the inputs, in words."""
        return tuple(tell_sizes(inputs) for inputs in self._inputs)

    @property
    def _has_numbers(self) -> bool:
        return bool(count_numbers(self._expected) and count_numbers(self._truths[0]))

    def _look(self) -> None:
        """Note what the model gives as it was, in float64 and in its own type."""
        twin = copy.deepcopy(self._original)
        if self._wide:
            try:
                twin.double()
                first = fit_inputs(twin, self._given)
                truth = self._run(twin, first)
            except Exception:  # a forward that casts to a type of its own, say: then its own type has to do
                self._wide = False
                twin = copy.deepcopy(self._original)
        if not self._wide:
            first = fit_inputs(twin, self._given)
            truth = self._run(twin, first)
        self._inputs, self._truths = [first], [truth]
        self._expected = self._run_again(self._original, self._given)
        self._control = measure_error(truth, self._expected, rest=False)
        sizes = {list_sizes(self._given)}
        for inputs in vary_inputs(self._given):
            if len(self._inputs) > OTHER_SIZES:
                break
            if list_sizes(inputs) in sizes:
                continue
            try:
                fitted = fit_inputs(twin, inputs)
                truth = self._run(twin, fitted)
            except Exception:  # it does not take this size, which is no fault
                continue
            if count_numbers(truth):
                self._truths.append(truth)
                self._inputs.append(fitted)
            sizes.add(list_sizes(inputs))

    def _take_parts(self) -> None:
        """Compare the network's parts from now on, where it has any; asked once."""
        self._sought = True
        self.parts = find_parts(self._original, self._given) if self._wide else ()
        if self.parts:
            self._look()

    @property
    def _allowed(self) -> float:
        """The largest error that a folded model may have in its own type."""
        eps = largest_eps(self._original)
        exact = eps <= torch.finfo(torch.float64).eps
        return EXACT if exact else max(ROUNDING * self._control, ROUNDINGS * eps)

    def judge(self, model: nn.Module, fold: Callable[[nn.Module], None]) -> Judgement:
        """Return how far a model with something folded is from what it was; the model stays as it is.

        Args:
            model: the model, not folded.
            fold: folds a copy of it, in place.
        """
        found, failing = self._compare(model, fold)
        if not failing or self._sought or not self._wide or not all(map(self._chooses, failing)):
            return found
        # A right fold may have made it choose otherwise, and its whole output can prove nothing.
        self._take_parts()
        return self._compare(model, fold)[0] if self.parts else found

    def _compare(self, model: nn.Module, fold: Callable[[nn.Module], None]) -> tuple[Judgement, list[int]]:
        """Return how far a folded copy is from the model, and on which inputs it is too far."""
        others = [] if self._wide else self._inputs[1:]
        own = self._measure(model, fold, [self._given, *others])
        exact = self._measure(model, fold, self._inputs, wide=True) if self._wide else []
        failing = {place for place, error in enumerate(exact) if not error <= EXACT}
        failing |= {place for place, error in enumerate(own) if not error <= self._allowed}
        return Judgement(max(exact) if exact else None, max(own), self._allowed), sorted(failing)

    def _chooses(self, place: int) -> bool:
        """Whether the model itself answers other last bits of one of the inputs with another choice."""
        if place not in self._choosing:
            self._choosing[place] = is_unsteady(self._original, self._inputs[place], wide=True) or (
                place == 0 and is_unsteady(self._original, self._given, wide=False)
            )
        return self._choosing[place]

    def _measure(
        self, model: nn.Module, fold: Callable[[nn.Module], None], inputs: list[ExampleInputs], *, wide: bool = False
    ) -> list[float]:
        """Return the errors of a folded copy on the first of the inputs; infinite if it does not run."""
        twin = copy.deepcopy(model)
        if wide:
            twin.double()
        truths = self._truths[: len(inputs)]
        try:
            before = copy.deepcopy(twin) if self.parts else twin
            fold(twin)
            if self.parts and differs_outside(before, twin, self.parts):
                return [float("inf")] * len(inputs)
            pairs = zip(truths, inputs, strict=True)
            return [measure_error(truth, self._run(twin, each), rest=wide) for truth, each in pairs]
        except ModelError:
            raise
        except Exception:  # the user's forward runs without its norms, anything can come out of it
            return [float("inf")] * len(inputs)

    def measure_in(self, model: nn.Module, dtype: torch.dtype) -> float | None:
        """Return how far a folded model is from what it was, both in a type, on the example."""
        try:
            one, two = (copy.deepcopy(each).to(dtype) for each in (self._original, model))
            found = [self._run(each, fit_inputs(each, self._given)) for each in (one, two)]
            return measure_error(*found)
        except Exception:  # a model may not run in another type than its own
            return None

    def measure_as_given(self, model: nn.Module) -> float:
        """Return how far a folded model is from what it was, on the example as it is."""
        return measure_error(self._expected, self._run_again(model, self._given))

    def _run(self, model: nn.Module, inputs: ExampleInputs) -> Any:
        """Return what is compared of a copy that nobody needs afterwards."""
        return observe(model, inputs, self.parts, apart=True) if self.parts else run_copy(model, inputs)

    def _run_again(self, model: nn.Module, inputs: ExampleInputs) -> Any:
        """Return what is compared of a model that stays as it is."""
        return self._run(copy.deepcopy(model), inputs) if self.parts else evaluate(model, inputs)
