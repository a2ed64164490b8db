"""Proof that two models train alike: one step of each on the same input, and everything that comes out compared."""

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
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
from placenorm.rewrite.proving import measure_error

GRADIENT_FLOOR = 1e-6
"""A gradient is compared on the scale of its largest value, and of this share of the largest of all: some are zero but
for rounding, such as that of a bias in front of a norm."""

SEED = 0
UPSTREAM_SEED = 1


@dataclass(frozen=True, slots=True)
class Step:
    """What a model gives in evaluation and in a training step.

    Attributes:
        outputs: in evaluation and in training.
        gradients: of the inputs and the parameters, in their order; None where there is none.
        buffers: after the step, in their order.
    """

    outputs: tuple[Any, Any]
    gradients: tuple[Tensor | None, ...] = ()
    buffers: tuple[Tensor, ...] = ()

    @property
    def tells(self) -> bool:
        """Whether numbers come out of it: NaN agrees with NaN, whatever became of it on the way."""
        return any(bool(each.isfinite().any()) for each in tensors_in(self.outputs))

    def measure(self, other: "Step") -> float:
        """Return the largest difference of anything in another step, as a share of the largest value there."""
        return max(
            measure_error(self.outputs, other.outputs),
            _measure_gradients(self.gradients, other.gradients),
            *(measure_error(mine, its) for mine, its in zip(self.buffers, other.buffers, strict=True)),
        )


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
            self._step = self._run_step(model, watch=True)
            kind = "its own type"
            self._outputs = self._run_outputs(model)
        except Exception as error:  # the user's own forward, anything can come out of it
            raise ModelError(
                f"Cannot accelerate {type(model).__name__}: the proof trains a copy of it in {kind} for one step on "
                f"the example, and that fails ({first_line(error)}); give example inputs that it "
                "trains on."
            ) from error
        if not self._step.tells:
            raise ModelError(
                f"Cannot accelerate {type(model).__name__}: on the example it gives no finite number, which proves "
                "nothing; give example inputs on which it does."
            )

    def measure(self, model: nn.Module) -> tuple[float, float]:
        """Return how far a rewritten model is from what it was: a whole step in float64, and outputs in its own type.

        Returns:
            max|difference| / max|value|, the largest over outputs, gradients and buffers, in float64; and the same over
            the outputs in training and in evaluation, in the type of the model.
        """
        return self._step.measure(self._run_step(model)), measure_error(self._outputs, self._run_outputs(model))

    def _run_step(self, model: nn.Module, *, watch: bool = False) -> Step:
        copied = _copy(model).double()
        evaluated = self._run(copied, training=False)[0]
        if not watch:
            return self._train(copied, evaluated)
        try:
            return self._train(self._watched(copied), evaluated)
        except ValueError:  # one value per channel
            self._doubled = True
            copied = _copy(model).double()
            return self._train(self._watched(copied), evaluated)

    def _train(self, copied: nn.Module, evaluated: Any) -> Step:
        output, leaves = self._run(copied, training=True)
        trained = [x for x in tensors_in(output) if x.requires_grad]
        if trained:
            drawn = torch.Generator().manual_seed(UPSTREAM_SEED)
            upstream = [torch.randn(x.shape, generator=drawn, dtype=torch.float64).to(x) for x in trained]
            with fix_seed(SEED):
                torch.autograd.backward(trained, upstream)
        found = [tensor.grad for tensor in (*leaves, *copied.parameters())]
        gradients = tuple(None if grad is None else grad.to_dense() for grad in found)  # those of embeddings are sparse
        return Step((evaluated, _detach(output)), gradients, tuple(copied.buffers()))

    def _run_outputs(self, model: nn.Module) -> tuple[Any, Any]:
        """Return what a model gives in evaluation and in training, with gradients: kernels may refuse to give those."""
        copied = _copy(model)
        evaluated, trained = (_detach(self._run(copied, training=mode, in_double=False)[0]) for mode in (False, True))
        return evaluated, trained

    def _run(self, copied: nn.Module, *, training: bool, in_double: bool = True) -> tuple[Any, list[Tensor]]:
        """Return what a copy gives, and the inputs that take gradients."""
        copied.train(training)
        given = fit_inputs(copied, self._inputs) if in_double else self._inputs
        leaves: list[Tensor] = []

        def prepare(tensor: Tensor) -> Tensor:
            tensor = tensor.detach().clone()
            if self._doubled and training and tensor.dim():
                tensor = torch.cat([tensor, tensor / 2 if tensor.is_floating_point() else tensor])
            if not tensor.is_floating_point() or not torch.is_grad_enabled():
                return tensor
            leaves.append(tensor.requires_grad_())
            return tensor.clone()  # a forward may write into what it is given

        with torch.inference_mode(False), torch.set_grad_enabled(training), fix_seed(SEED):
            args, kwargs = split_inputs(map_tensors(prepare, given))
            return copied(*args, **kwargs), leaves

    def _watched(self, copied: nn.Module) -> nn.Module:
        """Return a copy whose norms tell when they run within a backward."""
        for path, module in copied.named_modules():
            if isinstance(module, _BatchNorm):
                module.register_forward_pre_hook(lambda *_, path=path: self._note_recomputing(path))
        return copied

    def _note_recomputing(self, path: str) -> None:
        if is_recomputing():
            self.recomputed.add(path)


def _copy(model: nn.Module) -> nn.Module:
    """Return a copy whose every parameter takes a gradient, frozen ones too: who thaws them must find it right."""
    with torch.inference_mode(False):
        copied = copy.deepcopy(model)
        for parameter in copied.parameters():
            if parameter.is_floating_point() or parameter.is_complex():
                parameter.requires_grad_(True)
            parameter.grad = None
    return copied


def _detach(value: Any) -> Any:
    return map_tensors(lambda x: x.detach().clone(), value)


def _measure_gradients(expected: Iterable[Tensor | None], found: Iterable[Tensor | None]) -> float:
    """Return the largest difference of gradients; infinite where one is there and the other is not."""
    pairs = list(zip(expected, found, strict=True))
    if any((before is None) is not (after is None) for before, after in pairs):
        return math.inf
    both = [(before, after) for before, after in pairs if before is not None and after is not None and before.numel()]
    floor = GRADIENT_FLOOR * max((float(before.abs().max()) for before, _ in both), default=0.0)
    return max((_measure(before, after, floor) for before, after in both), default=0.0)


def _measure(before: Tensor, after: Tensor, floor: float) -> float:
    if before.shape != after.shape:
        return math.inf
    same = (before == after) | (before.isnan() & after.isnan())
    difference = float((before - after).abs().masked_fill(same, 0.0).max())
    scale = max(float(before.nan_to_num(0.0, 0.0, 0.0).abs().max()), floor)
    if math.isnan(difference):
        return math.inf
    return difference / scale if scale else difference
