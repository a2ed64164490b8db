"""Proof that traced forwards do what a network's own forwards do: both run, and everything is compared."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from placenorm.errors import first_line
from placenorm.graph.tracing import ExampleInputs, split_inputs
from placenorm.randomness import fix_seed
from placenorm.rewrite.retracing import HeldArgumentError, OwnerGraphs
from placenorm.rewrite.snapshot import bit_equal

PROOF_SEEDS = (0, 1, 2)
"""Seeds that each mode runs under; with one alone, a random choice that a trace froze could agree by chance."""

GRADIENT_TOLERANCE = 1e-4
"""Largest difference of a gradient, as a share of its largest value: GPUs add gradients up in any order."""


_OTHER_GRADIENTS = (
    "it gives other gradients when torch.fx has traced it, so it switches them off or has a backward of its own"
)


@dataclass(frozen=True, slots=True)
class _Run:
    """What a copy of a network gave, and the copy: it holds the gradients of all runs, and its buffers."""

    outputs: list[Any]
    model: nn.Module


class ForwardProof:
    """Runs a model once as it is, and copies of it with traced forwards against that.

    Both run in evaluation and in training mode under several seeds, with gradients for every parameter. Where a model
    cannot train on the example (one value per channel), training runs on the example doubled along its first axis.

    Args:
        model: the model; only copies of it run.
        example_inputs: what it is called with.
    """

    def __init__(self, model: nn.Module, example_inputs: ExampleInputs) -> None:
        self._model = model
        self._evaluation = self._training = example_inputs
        self._expected: _Run | None = None
        self._unfit = ""

    def find_fault(self, forwards: Mapping[str, OwnerGraphs]) -> str:
        """Return why traced forwards, by the path of their owner, are not what the model does; "" if they are."""
        try:
            expected = self._run_as_is()
        except Exception as error:  # the user's own forward, anything can come out of it
            return (
                "the proof that a traced forward is the same cannot be run: the network does not train on the example "
                f"input, nor on that input doubled ({first_line(error)})"
            )
        rewritten = _copy_with_gradients(self._model)
        try:
            for path, graphs in forwards.items():
                graphs.install(rewritten.get_submodule(path))
            return _find_difference(expected, self._run(rewritten))
        except HeldArgumentError:
            return "it is called with an optional argument, which is not there yet"
        except Exception as error:  # generated code and the user's functions run, anything can come out of it
            return f"it does not run as torch.fx has traced it ({first_line(error)})"

    def _run_as_is(self) -> _Run:
        if self._expected is None:
            try:
                self._expected = self._run(_copy_with_gradients(self._model))
            except ValueError:
                self._training = _map_tensors(lambda x: torch.cat([x, x]) if x.dim() else x, self._evaluation)
                self._expected = self._run(_copy_with_gradients(self._model))
        return self._expected

    def _run(self, model: nn.Module) -> _Run:
        """Run a copy in both modes under every seed."""
        outputs: list[Any] = []
        for training, inputs in ((False, self._evaluation), (True, self._training)):
            model.train(training)
            for seed in PROOF_SEEDS:
                args, kwargs = split_inputs(_map_tensors(lambda x: x.detach().clone(), inputs))
                with fix_seed(seed), _gradients():
                    leaves = list(_leaves(model(*args, **kwargs)))
                    trained = [x for x in leaves if isinstance(x, Tensor) and x.requires_grad]
                    if training and trained:  # random upstream gradients: that of a sum hides errors behind a norm
                        torch.autograd.backward(trained, [torch.rand_like(x) for x in trained])
                outputs.append(_map_tensors(lambda x: x.detach().requires_grad_(x.requires_grad), leaves))
        return _Run(outputs, model)


@contextmanager
def _gradients() -> Iterator[None]:
    with torch.inference_mode(False), torch.enable_grad():
        yield


def _copy_with_gradients(model: nn.Module) -> nn.Module:
    """Return a copy whose every parameter takes a gradient, frozen ones too: who thaws them must find it right."""
    with _gradients():
        copied = copy.deepcopy(model)
        for parameter in copied.parameters():
            if parameter.is_floating_point() or parameter.is_complex():
                parameter.requires_grad_(True)
    return copied


def _find_difference(expected: _Run, found: _Run) -> str:
    """Return in what two runs differ; "" if they do not."""
    for before, after in zip(expected.outputs, found.outputs, strict=True):
        if len(before) != len(after) or not all(map(_same, before, after)):
            return "it gives other outputs when torch.fx has traced it, so it depends on hidden state"
        if [_takes_gradient(x) for x in before] != [_takes_gradient(x) for x in after]:
            return _OTHER_GRADIENTS
    pairs = zip(expected.model.parameters(), found.model.parameters(), strict=True)
    if not all(_same_gradient(before.grad, after.grad) for before, after in pairs):
        return _OTHER_GRADIENTS
    buffers = zip(expected.model.buffers(), found.model.buffers(), strict=True)
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


def _map_tensors(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return a nest with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _map_tensors(change, held) for key, held in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(_map_tensors(change, held) for held in value)
    return value
