"""Proof that two models train alike: one step of each on the same input, and everything that comes out compared."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.errors import ModelError, first_line
from placenorm.graph.tracing import ExampleInputs, map_tensors, split_inputs
from placenorm.graph.values import tensors_in
from placenorm.layers.normalizing import is_recomputing
from placenorm.probe.measuring import fit_inputs
from placenorm.randomness import fix_seed
from placenorm.rewrite.keeping import EXACT, ROUNDINGS
from placenorm.rewrite.proving import Given, copy_with_gradients, measure_error

GRADIENT_FLOOR = 1e-6
"""A gradient is compared on the scale of its largest value, and of this share of the largest of all: some are zero but
for rounding, such as that of a bias in front of a norm."""

TIMES = 4.0
"""In its own type a step may be so many times as far from float64 as it was: over 19 networks and 32 small ones of
other seeds, our kernels' outputs and buffers came to 2.4 times torch's distance."""

FLIPS = 0.1
"""Gradients may be further from float64 by this share: where a ReLU reads nothing but rounding it may be on or off. In
the same networks our kernels came 0.09 further than torch's."""

LEAST_GRADIENT = 1e-3
"""The share in the place of `GRADIENT_FLOOR` in a type of fewer digits than float64."""

SEED = 0
UPSTREAM_SEED = 1


@dataclass(frozen=True, slots=True)
class Step:
    """What a model gives in evaluation and in a training step.

    Attributes:
        outputs: in evaluation and in training.
        gradients: of the inputs and the parameters, in their order; None where there is none.
        buffers: after the step, in their order.
        spreads: of each buffer the standard deviation of what it is a mean of, the largest over the channels; 0.0 of
            one that is no norm's running mean.
    """

    outputs: tuple[Any, Any]
    gradients: tuple[Tensor | None, ...] = ()
    buffers: tuple[Tensor, ...] = ()
    spreads: tuple[float, ...] = ()

    @property
    def tells(self) -> bool:
        """Whether numbers come out of it: NaN agrees with NaN, whatever became of it on the way."""
        return any(bool(each.isfinite().any()) for each in tensors_in(self.outputs))

    @property
    def eps(self) -> float:
        """The rounding error of the coarsest type that comes out of it."""
        held = [x for x in tensors_in((self.outputs, self.gradients, self.buffers)) if x.is_floating_point()]
        return max((torch.finfo(x.dtype).eps for x in held), default=0.0)

    def measure(self, other: "Step") -> float:
        """Return the largest difference of anything in another step, as a share of the largest value there."""
        share = GRADIENT_FLOOR if other.eps <= torch.finfo(torch.float64).eps else LEAST_GRADIENT
        largest = max((float(grad.abs().max()) for grad in tensors_in(self.gradients) if grad.numel()), default=0.0)
        return max(
            measure_error((self.outputs, self.buffers), (other.outputs, other.buffers)),
            measure_error(self.gradients, other.gradients, floor=share * largest),
        )

    def measure_rounding(self, other: "Step") -> tuple[float, float]:
        """Return how far a step in another type is from this one.

        Returns:
            max|difference| / max|value|, the largest over outputs and buffers, where a running mean is as large as the
            spread around it at least (behind a norm it is zero but for rounding); and |difference| / |gradient| in
            norms over a tensor, the largest over the gradients. Infinite where numbers are missing.
        """
        buffers = zip(self.buffers, other.buffers, self.spreads, strict=True)
        values = max(
            measure_error(self.outputs, other.outputs, rest=False),
            *(measure_error(mine, its, rest=False, floor=spread) for mine, its, spread in buffers),
            0.0,
        )
        pairs = list(zip(self.gradients, other.gradients, strict=True))
        if any((mine is None) != (its is None) for mine, its in pairs):
            return values, math.inf
        there = [(mine, its) for mine, its in pairs if mine is not None and its is not None]
        norms = [(float((its.double() - mine).norm()), float(mine.norm())) for mine, its in there]
        least = LEAST_GRADIENT * max((norm for _, norm in norms), default=0.0)
        shares = [distance / max(norm, least) if distance else 0.0 for distance, norm in norms if norm or least]
        return values, max((math.inf if math.isnan(share) else share for share in shares), default=0.0)


def take_step(
    model: nn.Module,
    inputs: ExampleInputs,
    *,
    in_double: bool,
    doubled: bool = False,
    watch: Callable[[nn.Module], object] = lambda copied: None,
) -> Step:
    """Return what a copy of a model gives in evaluation, and then in a training step on random upstream gradients.

    Args:
        model: the model; it stays as it is, and so do the random states.
        inputs: what it is called with.
        in_double: whether in float64; else in its own type.
        doubled: whether it trains on the inputs and the half of them, one behind the other.
        watch: called with the copy before it trains.
    """
    copied = copy_with_gradients(model)
    if in_double:
        inputs = fit_inputs(copied.double(), inputs)
    evaluated = _detach(_run(copied.eval(), Given(inputs, doubled=False)))
    watch(copied)
    with torch.inference_mode(False), torch.enable_grad():
        given = Given(inputs, doubled=doubled)
        output = _run(copied.train(), given)
    trained = [x for x in tensors_in(output) if x.requires_grad]
    if trained:
        drawn = torch.Generator().manual_seed(UPSTREAM_SEED)
        upstream = [torch.randn(x.shape, generator=drawn, dtype=torch.float64).to(x) for x in trained]
        with fix_seed(SEED):
            torch.autograd.backward(trained, upstream)
    found = [tensor.grad for tensor in (*given.sources, *copied.parameters())]
    gradients = tuple(None if grad is None else grad.to_dense() for grad in found)  # those of embeddings are sparse
    buffers = dict(copied.named_buffers())
    spreads = tuple(_find_spread(name, buffers) for name in buffers)
    return Step((evaluated, _detach(output)), gradients, tuple(buffers.values()), spreads)


class StepProof:
    """What a model does before it is rewritten, in float64 and in its own type, to hold the rewritten one against.

    Only copies run, and the random states stay. Where the model cannot train on the example (one value per channel),
    it trains on the example and the half of it, one behind the other.

    Args:
        model: the model as it is given.
        example_inputs: what it is called with.

    Attributes:
        recomputed: the paths of norms whose forward runs a second time in the backward (checkpointed activations).

    Raises:
        ModelError: if the model cannot be copied, has no values, or does not train on the example, in float64 or
            in its own type.
    """

    def __init__(self, model: nn.Module, example_inputs: ExampleInputs) -> None:
        if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
            raise ModelError(
                f"Cannot accelerate {type(model).__name__}: it is on the meta device and has no values to prove "
                "anything with; load its weights first."
            )
        self._inputs = example_inputs
        self._doubled = False
        self.recomputed: set[str] = set()
        kind = "float64"
        try:
            self._truth = self._take_first_step(model)
            kind = "its own type"
            self._given = self._take_step(model, in_double=False)
        except Exception as error:  # the user's own forward, anything can come out of it
            advice = "give example inputs that it trains on."
            if kind == "float64" and self._trains(model):
                advice = (
                    "its own type does: where the forward brings a tensor to a fixed type (`.float()`, or one that is "
                    "made there), have it take that of a parameter."
                )
            raise ModelError(
                f"Cannot accelerate {type(model).__name__}: the proof trains a copy of it in {kind} for one step on "
                f"the example, and that fails ({first_line(error)}); {advice}"
            ) from error
        if not self._truth.tells:
            raise ModelError(
                f"Cannot accelerate {type(model).__name__}: on the example it gives no finite number, which proves "
                "nothing; give example inputs on which it does."
            )

    def _trains(self, model: nn.Module) -> bool:
        """Whether the model trains in its own type."""
        try:
            self._take_step(model, in_double=False)
        except Exception:  # the user's own forward
            return False
        return True

    def measure(self, model: nn.Module) -> float:
        """Return how far a rewritten model is in float64 from what it was.

        Returns:
            max|difference| / max|value|, the largest over outputs, gradients and buffers.
        """
        return self._truth.measure(self._take_step(model, in_double=True))

    def measure_as_returned(self, model: nn.Module) -> tuple[float, str]:
        """Return how far a rewritten model is in its own type from what it was, and why that is too far.

        Returns:
            max|difference| / max|value|, the largest over outputs and buffers; and "" where these and the gradients
            are as near to float64 as torch's own rounding explains.
        """
        step = self._take_step(model, in_double=False)
        error, _ = self._given.measure_rounding(step)
        parts = zip(
            ("outputs and buffers", "gradients"),
            self._truth.measure_rounding(self._given),
            self._truth.measure_rounding(step),
            (max(ROUNDINGS * step.eps, EXACT), FLIPS),
            strict=True,
        )
        for part, before, after, floor in parts:
            if not after <= TIMES * before + floor:
                words = f"{part} of a training step are {after:.1e} off float64, and were {before:.1e} off before"
                return error, words
        return error, ""

    def find_furthest(self, model: nn.Module) -> tuple[str, float]:
        """Return which norm of a rewritten model rounds most by itself, on what it reads in the model, and how much.

        Returns:
            Its path, and how far its own step is from that in float64, as a share of the largest value.
        """
        read: dict[str, tuple[Any, ...]] = {}
        norms = {path: module for path, module in model.named_modules() if isinstance(module, _BatchNorm)}

        def note(path: str, module: nn.Module, given: tuple[Any, ...]) -> None:
            read[path] = _detach(given)

        def watch(copied: nn.Module) -> None:
            for path in norms:
                copied.get_submodule(path).register_forward_pre_hook(partial(note, path), prepend=True)

        self._take_step(model, in_double=False, watch=watch)
        errors = {
            path: take_step(norms[path], given, in_double=True).measure(take_step(norms[path], given, in_double=False))
            for path, given in read.items()
        }
        return max(errors.items(), key=lambda item: item[1])

    def _take_step(
        self, model: nn.Module, *, in_double: bool, watch: Callable[[nn.Module], object] = lambda copied: None
    ) -> Step:
        return take_step(model, self._inputs, in_double=in_double, doubled=self._doubled, watch=watch)

    def _take_first_step(self, model: nn.Module) -> Step:
        """Return the step in float64; find out which norms run again, and whether the example is to be doubled."""
        try:
            return self._take_step(model, in_double=True, watch=self._watch)
        except ValueError:  # one value per channel
            self._doubled = True
            return self._take_step(model, in_double=True, watch=self._watch)

    def _watch(self, copied: nn.Module) -> None:
        """Let the norms of a copy tell when they run within a backward."""
        for path, module in copied.named_modules():
            if isinstance(module, _BatchNorm):
                module.register_forward_pre_hook(lambda *_, path=path: self._note_recomputing(path))

    def _note_recomputing(self, path: str) -> None:
        if is_recomputing():
            self.recomputed.add(path)


def _find_spread(name: str, buffers: dict[str, Tensor]) -> float:
    """Return the largest standard deviation around a running mean; 0.0 where a buffer is none."""
    path, _, own = name.rpartition(".")
    var = buffers.get(f"{path}.running_var".removeprefix(".")) if own == "running_mean" else None
    return 0.0 if var is None or not var.numel() else float(var.double().max().clamp(min=0.0).sqrt().nan_to_num())


def _run(copied: nn.Module, given: Given) -> Any:
    """Return what a copy gives; with gradients in training alone."""
    with torch.inference_mode(False), torch.set_grad_enabled(copied.training), fix_seed(SEED):
        args, kwargs = split_inputs(given.value)
        return copied(*args, **kwargs)


def _detach(value: Any) -> Any:
    return map_tensors(lambda x: x.detach().clone(), value)
