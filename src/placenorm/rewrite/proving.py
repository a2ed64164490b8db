"""Proof that a traced forward does what a module's own forward does: both run, and everything is compared."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from placenorm.errors import first_line
from placenorm.graph.snapshot import bit_equal
from placenorm.graph.tracing import ExampleInputs, map_tensors, set_training, split_inputs, undisturbed
from placenorm.randomness import fix_seed
from placenorm.rewrite.captures import Captures
from placenorm.rewrite.retracing import OwnerGraphs

PROOF_SEEDS = (0, 1)
"""Seeds that each mode runs under; with one alone, a random choice that a trace froze could agree by chance."""

GRADIENT_TOLERANCE = 1e-4
"""Largest difference of a gradient, as a share of its largest value: GPUs add gradients up in any order."""


_PLAIN = (type(None), bool, int, str, bytes, type, tuple)
"""Types of what a nest holds beside tensors, and is told apart by."""

_OTHER_GRADIENTS = (
    "it gives other gradients when torch.fx has traced it, so it switches them off or has a backward of its own"
)


@dataclass(frozen=True, slots=True)
class _Run:
    """What a copy of a module gave, the gradients of what it was given, and the copy: it holds its own gradients."""

    outputs: list[Any]
    gradients: list[Tensor | None]
    copy: nn.Module


class ForwardProof:
    """Runs copies of modules as they are, and with the forwards that torch.fx has traced, on what they are called with.

    Both run in evaluation and in training mode under several seeds, with gradients for every parameter and input. Where
    a module cannot train on its input (one value per channel), training runs on the input and the half of it.

    Args:
        model: the model; only copies of its modules run.
        captures: what they are called with.
    """

    def __init__(self, model: nn.Module, captures: Captures) -> None:
        self._model = model
        self._captures = captures

    def find_fault(self, path: str, graphs: OwnerGraphs) -> str:
        """Return why the traced forward of a module is not what the module does; "" if it is.

        A module on the meta device has no values that could be compared: there, nothing is proved.
        """
        owner = self._model.get_submodule(path)
        if any(tensor.is_meta for tensor in (*owner.parameters(), *owner.buffers())):
            return ""
        expected = copy_with_gradients(owner)
        doubled = False
        try:
            try:
                as_it_is = self._run(expected, path, doubled=False)
            except ValueError:
                doubled, expected = True, copy_with_gradients(owner)
                as_it_is = self._run(expected, path, doubled=True)
        except Exception as error:  # the user's own forward, anything can come out of it
            return (
                "the proof that a traced forward is the same cannot be run: it does not train on the example input, "
                f"nor on that input doubled ({first_line(error)})"
            )
        rewritten = copy_with_gradients(owner)
        try:
            graphs.install(rewritten)
            return _find_difference(as_it_is, self._run(rewritten, path, doubled=doubled))
        except Exception as error:  # generated code and the user's functions run, anything can come out of it
            return f"it does not run as torch.fx has traced it ({first_line(error)})"

    def _run(self, copied: nn.Module, path: str, *, doubled: bool) -> _Run:
        """Run a copy in both modes under every seed."""
        outputs: list[Any] = []
        gradients: list[Tensor | None] = []
        for training in (False, True):
            copied.train(training)
            for seed in PROOF_SEEDS:
                bound = self._captures.bind(path)
                with fix_seed(seed), _gradients():
                    given = Given((bound.args, bound.kwargs), doubled=doubled and training)
                    args, kwargs = given.value
                    leaves = list(_leaves(copied(*args, **kwargs)))
                    trained = [x for x in leaves if isinstance(x, Tensor) and x.requires_grad]
                    if training and trained:  # random upstream gradients: that of a sum hides errors behind a norm
                        torch.autograd.backward(trained, [torch.rand_like(x) for x in trained])
                    gradients.extend(tensor.grad for tensor in given.sources)
                outputs.append(map_tensors(lambda x: x.detach().requires_grad_(x.requires_grad), leaves))
        return _Run(outputs, gradients, copied)


class Given:
    """Copies of arguments that may be written to, and that take gradients where these are switched on.

    Args:
        value: the arguments.
        doubled: whether each comes with the half of it, one behind the other along the first axis: that makes a
            variance where there is one value per channel.

    Attributes:
        value: the copies.
        sources: the tensors in which the gradients of theirs gather.
    """

    def __init__(self, value: Any, *, doubled: bool) -> None:
        self.sources: list[Tensor] = []
        self._doubled = doubled
        self.value = map_tensors(self._prepare, value)

    def _prepare(self, tensor: Tensor) -> Tensor:
        tensor = tensor.detach().clone()
        if self._doubled and tensor.dim():
            tensor = torch.cat([tensor, tensor / 2 if tensor.is_floating_point() else tensor])
        if not tensor.is_floating_point() or not torch.is_grad_enabled():
            return tensor
        self.sources.append(tensor.requires_grad_())
        return tensor.clone()


@contextmanager
def _gradients() -> Iterator[None]:
    with torch.inference_mode(False), torch.enable_grad():
        yield


def copy_with_gradients(module: nn.Module) -> nn.Module:
    """Return a copy whose every parameter takes a gradient, frozen ones too: who thaws them must find it right."""
    with _gradients():
        copied = copy.deepcopy(module)
        for parameter in copied.parameters():
            if parameter.is_floating_point() or parameter.is_complex():
                parameter.requires_grad_(True)
            parameter.grad = None
    return copied


def _find_difference(expected: _Run, found: _Run) -> str:
    """Return in what two runs differ; "" if they do not."""
    for before, after in zip(expected.outputs, found.outputs, strict=True):
        if len(before) != len(after) or not all(map(_same, before, after)):
            return "it gives other outputs when torch.fx has traced it, so it depends on hidden state"
        if [_takes_gradient(x) for x in before] != [_takes_gradient(x) for x in after]:
            return _OTHER_GRADIENTS
    pairs = list(zip(expected.gradients, found.gradients, strict=True))
    parameters = zip(expected.copy.parameters(), found.copy.parameters(), strict=True)
    pairs.extend((before.grad, after.grad) for before, after in parameters)
    if not all(_same_gradient(before, after) for before, after in pairs):
        return _OTHER_GRADIENTS
    buffers = zip(expected.copy.buffers(), found.copy.buffers(), strict=True)
    if not all(bit_equal(before, after) for before, after in buffers):
        return "it leaves other buffers behind when torch.fx has traced it, so it changes state of the network"
    return ""


def _takes_gradient(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.requires_grad


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, Tensor):
        return isinstance(found, Tensor) and bit_equal(expected, found)
    return bool(expected == found)


def _same_gradient(expected: Tensor | None, found: Tensor | None) -> bool:
    if expected is None or found is None:
        return expected is found
    floor = GRADIENT_TOLERANCE * float(expected.nan_to_num().abs().max()) if expected.numel() else 0.0
    return torch.allclose(expected, found, rtol=0.0, atol=floor, equal_nan=True)


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the tensors and other values of a nest, with what tells nests of the same values apart."""
    if isinstance(value, dict):
        yield type(value)
        yield tuple(value)
        for held in value.values():
            yield from _leaves(held)
    elif isinstance(value, (list, tuple)):
        yield type(value)
        yield len(value)
        for held in value:
            yield from _leaves(held)
    elif is_dataclass(value) and not isinstance(value, type):
        yield type(value)
        for field in fields(value):
            yield from _leaves(getattr(value, field.name))
    else:
        yield value


def measure_error(expected: Any, found: Any, *, rest: bool = True, floor: float = 0.0) -> float:
    """Return max|difference| / max|output| of two results of a network, the largest over their tensors.

    What is no floating-point or complex number has to be the same; infinite where it is not, or where the nests differ.

    Args:
        expected: a tensor, or a nest of tuples, lists, dicts and dataclasses.
        found: the same nest with other values.
        rest: whether what is no floating-point or complex number counts.
        floor: what a difference is at least a share of, however small the largest output is.
    """
    before, after = list(_leaves(expected)), list(_leaves(found))
    if len(before) != len(after):
        return math.inf
    pairs = zip(before, after, strict=True)
    return max((_error_of_leaf(*pair, floor) for pair in pairs if rest or _has_numbers(pair[0])), default=0.0)


def count_numbers(result: Any) -> int:
    """Return how many finite floating-point numbers a result of a network holds: what an error can be measured on."""
    return sum(int(torch.as_tensor(leaf).isfinite().sum()) for leaf in _leaves(result) if _has_numbers(leaf))


def change_last_bits(x: Tensor) -> Tensor:
    """Return a tensor whose every second value is the next larger one: what that does to a network is its own rounding.

    Args:
        x: any tensor; one without floating-point numbers comes back as it is.
    """
    if not x.is_floating_point():
        return x
    changed = x.clone()
    flat = changed.reshape(-1)
    flat[::2] = torch.nextafter(flat[::2], torch.full_like(flat[::2], float("inf")))
    return flat.reshape(x.shape)


def _has_numbers(leaf: Any) -> bool:
    if isinstance(leaf, Tensor):
        return leaf.is_floating_point() or leaf.is_complex()
    return isinstance(leaf, float)


def _error_of_leaf(before: Any, after: Any, floor: float) -> float:
    if isinstance(before, Tensor) and isinstance(after, Tensor):
        if before.shape != after.shape or before.is_complex() != after.is_complex():
            return math.inf
        if before.is_complex():
            before, after = torch.view_as_real(before), torch.view_as_real(after)
        if before.is_floating_point() and after.is_floating_point():
            return _relative_error(before.double(), after.double(), floor) if before.numel() else 0.0
        return 0.0 if torch.equal(before, after) else math.inf
    if isinstance(before, float) and isinstance(after, float):
        return _relative_error(torch.tensor([before]), torch.tensor([after]), floor)
    if isinstance(before, _PLAIN) or isinstance(after, _PLAIN):
        return 0.0 if before == after else math.inf
    return 0.0 if type(before) is type(after) else math.inf


def _relative_error(expected: Tensor, found: Tensor, floor: float) -> float:
    """Return max|difference| / max|expected|, or of the floor; infinite where one is no number and the other is."""
    same = (expected == found) | (expected.isnan() & found.isnan())
    difference = float((expected - found).abs().masked_fill(same, 0.0).max())
    if math.isnan(difference):
        return math.inf
    largest = max(float(expected.nan_to_num(0.0, 0.0, 0.0).abs().max()), floor)
    return difference / largest if largest else difference


def largest_eps(model: nn.Module) -> float:
    """Return the rounding error of the coarsest type that a model computes in."""
    types = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    return max((torch.finfo(each).eps for each in types), default=torch.finfo(torch.float32).eps)


def evaluate(model: nn.Module, example_inputs: ExampleInputs, *, training: bool = False) -> Any:
    """Return what a model evaluates to, or what it gives in training with its norms evaluating; nothing is changed."""
    with undisturbed(model):
        if training:
            set_training(model)
        args, kwargs = split_inputs(map_tensors(lambda x: x.detach().clone(), example_inputs))
        return map_tensors(lambda x: x.detach().clone(), model(*args, **kwargs))
