"""Proof that a folded network computes what it did: on its example, and on inputs of other sizes and spreads."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from placenorm.errors import ModelError
from placenorm.graph.tracing import ExampleInputs, map_tensors, split_inputs
from placenorm.probe.measuring import fit_inputs
from placenorm.randomness import fix_seed
from placenorm.rewrite.keeping import EXACT, ROUNDING, ROUNDINGS
from placenorm.rewrite.proving import change_last_bits, count_numbers, evaluate, largest_eps, measure_error

OTHER_SIZES: Final = 2
"""How many other sizes of input a folded model is proved on, where it takes them."""

OTHER_CHOICE: Final = 10.0
"""What rounding to the model's own type moves no output by, in roots of its unit, but by another choice.

As a share of the largest output: 0.3 % in float32, 31 % in float16.
"""

_MANY: Final = 9
"""Samples of a larger batch, for networks that do something else with many."""


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

    A network that chooses by comparing numbers, as a detector does its boxes, answers rounding with other boxes, or
    with none: then its parts are compared that give numbers, where all that it has learned lies in them, and what is
    behind them is the same code on the same numbers.

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
        self.parts: tuple[str, ...] = ()
        self._look()
        if not count_numbers(self._expected) or self._control > _limit_choice(original):
            self._take(self._seek_parts())
        if not count_numbers(self._expected):
            raise ModelError(
                f"Cannot fold {type(original).__name__}: what it gives for the example holds no finite numbers that "
                "could be compared; give another example, or fold it with verify=False and compare them yourself."
            )

    @property
    def shapes(self) -> tuple[str, ...]:
        """The shapes of the inputs, in words."""
        return tuple(_describe(inputs) for inputs in self._inputs)

    def _look(self) -> None:
        """Note what the model gives as it was, in float64 and in its own type."""
        self._inputs: list[ExampleInputs] = []
        self._truths: list[Any] = []
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
        self._expected = self._run_again(self._original, self._given)
        self._control = measure_error(truth, self._expected, rest=False)
        self._keep(first, truth)
        sizes = {_read_sizes(self._given)}
        for inputs in vary_inputs(self._given):
            if len(self._inputs) > OTHER_SIZES:
                break
            if _read_sizes(inputs) in sizes:
                continue
            try:
                fitted = fit_inputs(twin, inputs)
                self._keep(fitted, self._run(twin, fitted))
            except Exception:  # it does not take this size, which is no fault
                continue
            sizes.add(_read_sizes(inputs))

    def _take(self, parts: tuple[str, ...]) -> None:
        """Compare parts from now on; none for the network's own output."""
        if parts != self.parts:
            self.parts = parts
            self._look()

    def _seek_parts(self) -> tuple[str, ...]:
        """Return parts to compare in the place of the network's output, the first time; none where that will not do."""
        sought, self._sought = self._sought, True
        return () if sought or not self._wide else find_parts(self._original, self._given)

    @property
    def _allowed(self) -> float:
        """The largest error that a folded model may have in its own type."""
        eps = largest_eps(self._original)
        exact = eps <= torch.finfo(torch.float64).eps
        return EXACT if exact else max(ROUNDING * self._control, ROUNDINGS * eps)

    def _keep(self, inputs: ExampleInputs, truth: Any) -> None:
        if count_numbers(truth):
            self._truths.append(truth)
            self._inputs.append(inputs)

    def judge(self, model: nn.Module, fold: Callable[[nn.Module], None]) -> Judgement:
        """Return how far a model with something folded is from what it was; the model stays as it is.

        Args:
            model: the model, not folded.
            fold: folds a copy of it, in place.
        """
        found = self._compare(model, fold)
        parts = () if found.holds else self._seek_parts()
        if parts:  # a right fold may have made it choose otherwise, on the example or on another input
            self._take(parts)
            by_parts = self._compare(model, fold)
            if by_parts.holds:
                return by_parts
            self._take(())
        return found

    def _compare(self, model: nn.Module, fold: Callable[[nn.Module], None]) -> Judgement:
        own = self._measure(model, fold, [self._given], self._truths[:1])
        if not self._wide:
            own = max(own, self._measure(model, fold, self._inputs[1:], self._truths[1:]))
            return Judgement(None, own, self._allowed)
        return Judgement(self._measure(model, fold, self._inputs, self._truths, wide=True), own, self._allowed)

    def _measure(
        self,
        model: nn.Module,
        fold: Callable[[nn.Module], None],
        inputs: list[ExampleInputs],
        truths: list[Any],
        *,
        wide: bool = False,
    ) -> float:
        """Return the largest error of a folded copy; infinite if it does not run."""
        twin = copy.deepcopy(model)
        if wide:
            twin.double()
        try:
            fold(twin)
            if self.parts and self._differs_outside(model, twin):
                return float("inf")
            pairs = zip(truths, inputs, strict=True)
            return max((measure_error(truth, self._run(twin, each), rest=wide) for truth, each in pairs), default=0.0)
        except ModelError:
            raise
        except Exception:  # the user's forward runs without its norms, anything can come out of it
            return float("inf")

    def _differs_outside(self, model: nn.Module, twin: nn.Module) -> bool:
        """Whether a fold gave a module outside of the parts another forward, with which it has another class."""
        outside = [path for path, _ in model.named_modules() if not f"{path}.".startswith(self._prefixes)]
        return any(type(model.get_submodule(path)) is not type(twin.get_submodule(path)) for path in outside)

    @property
    def _prefixes(self) -> tuple[str, ...]:
        return tuple(f"{part}." for part in self.parts)

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
        return _observe(model, inputs, self.parts) if self.parts else _run(model, inputs)

    def _run_again(self, model: nn.Module, inputs: ExampleInputs) -> Any:
        """Return what is compared of a model that stays as it is."""
        return _observe(copy.deepcopy(model), inputs, self.parts) if self.parts else evaluate(model, inputs)


def find_parts(original: nn.Module, example_inputs: ExampleInputs) -> tuple[str, ...]:
    """Return the paths of the modules to compare in the place of a network that rounding moves.

    Args:
        original: a network that runs in float64.
        example_inputs: what it is called with.

    Returns:
        The outermost modules that rounding does not move and in which anything is learned; none where something that is
        learned lies outside of them.
    """
    twin, alike = copy.deepcopy(original).double(), copy.deepcopy(original)
    inputs = fit_inputs(twin, example_inputs)
    runs = (twin, inputs), (twin, map_tensors(change_last_bits, inputs)), (alike, example_inputs)
    limit = _limit_choice(original)
    outermost: list[str] = []
    paths = _list_children(original, [""])
    while paths:  # level by level: what all modules of a large network give does not fit into memory
        seen = [_observe(model, given, paths) for model, given in runs]
        steady = [path for path in paths if _is_steady(*(each[path] for each in seen), limit=limit)]
        outermost += steady
        paths = _list_children(original, [path for path in paths if path not in steady])
    learned = [name for kind in (original.named_parameters(), original.named_buffers()) for name, _ in kind]
    parts = [path for path in outermost if any(name.startswith(f"{path}.") for name in learned)]
    if not all(name.startswith(tuple(f"{part}." for part in parts)) for name in learned):
        return ()  # what is outside of them may be changed too
    whole = all(any(original.get_submodule(part).children()) for part in parts)
    return tuple(parts) if whole else ()  # what a norm or a conv gives by itself is to change


def _list_children(model: nn.Module, paths: Sequence[str]) -> list[str]:
    """Return the paths of the children of modules."""
    return [f"{path}.{name}".lstrip(".") for path in paths for name, _ in model.get_submodule(path).named_children()]


def _limit_choice(model: nn.Module) -> float:
    """Return by what share of the largest output no rounding to a model's own type moves it, but another choice."""
    return OTHER_CHOICE * math.sqrt(largest_eps(model))


def _is_steady(truth: Any, nudged: Any, rounded: Any, *, limit: float) -> bool:
    """Whether rounding moves numbers by no more than itself.

    Args:
        truth: in float64.
        nudged: the same for inputs that differ in their last bits.
        rounded: the same in the model's own type.
        limit: by what share that may move them.
    """
    return (
        count_numbers(truth) > 0
        and measure_error(truth, nudged) <= EXACT
        and measure_error(truth, rounded, rest=False) <= limit
    )


def _observe(model: nn.Module, inputs: ExampleInputs, paths: Sequence[str]) -> dict[str, list[Any]]:
    """Return what modules of a copy give in a run, in the order of their calls."""
    seen: dict[str, list[Any]] = {path: [] for path in paths}

    def note(path: str, output: Any) -> None:
        seen[path].append(map_tensors(lambda x: x.detach().clone(), output))

    hooks = [
        model.get_submodule(path).register_forward_hook(lambda module, given, output, path=path: note(path, output))
        for path in paths
    ]
    try:
        _run(model, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _run(model: nn.Module, inputs: ExampleInputs) -> Any:
    """Return what a copy gives that nobody needs afterwards."""
    with fix_seed(), torch.no_grad():
        args, kwargs = split_inputs(map_tensors(lambda x: x.detach().clone(), inputs))
        return map_tensors(lambda x: x.detach().clone(), model(*args, **kwargs))


def vary_inputs(inputs: ExampleInputs) -> Iterator[ExampleInputs]:
    """Yield random inputs like the example in other sizes and spreads: of images first, then of batches."""
    for step, (down, right, unit, samples) in enumerate(_STEPS):
        yield map_tensors(
            lambda x, d=down, r=right, u=unit, n=samples, s=step: _redraw(x, d, r, u, n, s),  # type: ignore[misc]
            inputs,
        )


_STEPS: Final = (
    (0.5, 0.75, 1, 1),
    (0.75, 0.5, 1, _MANY),
    (0.5, 0.75, 32, 1),
    (0.75, 0.5, 32, _MANY),
    (1.5, 1.25, 32, 1),
    (1.25, 1.5, 32, 2),
    (1.0, 1.0, 0, _MANY),
    (1.0, 1.0, 0, 1),
    (1.0, 1.0, 0, 3),
)
"""Height and width as shares of the example's, what they are a multiple of (odd numbers for 1), and samples.

Odd sizes come first, since forwards that ask for them go another way there; networks with five strides of 2 may take
multiples of 32 alone.
"""


def _redraw(x: Tensor, down: float, right: float, unit: int, samples: int, step: int) -> Tensor:
    if not x.is_floating_point():
        return x
    shape = list(x.shape)
    if x.dim() > 2:
        shape[-1] = _resize(shape[-1], right, unit)
        if x.dim() > 3:
            shape[-2] = _resize(shape[-2], down, unit)
    if x.dim() > 1:
        shape[0] = samples
    with fix_seed(step):
        spread = x.double().std().nan_to_num(1.0) if x.numel() > 1 else 1.0
        drawn = torch.randn(shape, dtype=torch.float64)
    mean = x.double().mean().nan_to_num(0.0)
    return (drawn * spread * (1.0 + step % 2) + mean + spread * (step % 2 - 0.5)).to(x)


def _resize(side: int, share: float, unit: int) -> int:
    if unit == 0:
        return side
    if unit == 1:
        return int(side * share) | 1
    return max(round(side * share / unit), 1) * unit


def _read_sizes(inputs: ExampleInputs) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of the inputs' tensors."""
    sizes: list[tuple[int, ...]] = []

    def note(x: Tensor) -> Tensor:
        sizes.append(tuple(x.shape))
        return x

    map_tensors(note, inputs)
    return tuple(sizes)


def _describe(inputs: ExampleInputs) -> str:
    shapes: list[str] = []

    def note(x: Tensor) -> Tensor:
        shapes.append("x".join(map(str, x.shape)))
        return x

    map_tensors(note, inputs)
    return ", ".join(shapes)
