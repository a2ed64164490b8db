"""Data through a model, the moments of what each of some modules reads out: streaming, in float64."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from placenorm.errors import DataError, first_line
from placenorm.graph.tracing import ExampleInputs, map_tensors, split_inputs


@dataclass(slots=True)
class ChannelMoments:
    """Mean and variance per channel of the values seen so far.

    Batches are merged without cancellation, so that a mean of 1e3 beside a deviation of 0.1 does no harm.

    Attributes:
        batches: how many batches were seen.
        count: how many values per channel were seen.
        mean: ``[C]``, float64.
        squares: sum of the squared distances from the mean, ``[C]``, float64.

    Source:
        Chan, Golub & LeVeque 1983, The American Statistician 37(3), 242-247, equation 2.1.
    """

    batches: int = 0
    count: int = 0
    mean: Tensor | None = None
    squares: Tensor | None = None

    def add(self, x: Tensor) -> None:
        """Take in a batch, ``[N, C, *]``."""
        values = x.detach().double().movedim(1, 0).flatten(1)
        new = values.shape[1]
        self.batches += 1
        if not new:
            return
        mean = values.mean(1)
        squares = (values - mean[:, None]).square().sum(1)
        if self.mean is None or self.squares is None:
            self.count, self.mean, self.squares = new, mean, squares
            return
        total = self.count + new
        step = mean - self.mean
        self.squares = self.squares + squares + step.square() * (self.count * new / total)
        self.mean = self.mean + step * (new / total)
        self.count = total

    def is_finite(self) -> bool:
        """Whether all values seen so far are numbers."""
        return self.squares is None or bool(torch.isfinite(self.squares).all())

    @property
    def var_unbiased(self) -> Tensor:
        """The variance with one degree of freedom less, ``[C]``, as running statistics hold it; 0 for one value."""
        assert self.squares is not None
        return self.squares / max(self.count - 1, 1)


def measure_inputs(
    model: nn.Module, modules: Sequence[nn.Module], batches: Iterable[ExampleInputs]
) -> list[ChannelMoments]:
    """Return the moments of what modules read while a model runs on data, without gradients and in the mode it is in.

    Args:
        model: the model.
        modules: modules in it; one that runs several times gathers all its runs.
        batches: what to call the model with; floating-point tensors are brought to the type of its parameters.

    Raises:
        DataError: if there is no batch, or the model does not run on one.
    """
    moments = [ChannelMoments() for _ in modules]
    handles = [
        module.register_forward_pre_hook(_note_in(each), with_kwargs=True)
        for module, each in zip(modules, moments, strict=True)
    ]
    ran = 0
    try:
        with torch.no_grad():
            for inputs in batches:
                args, kwargs = split_inputs(fit_inputs(model, inputs))
                try:
                    model(*args, **kwargs)
                except Exception as error:  # the user's forward, anything can come out of it
                    raise DataError(
                        f"{type(model).__name__} does not run on batch {ran + 1} of the data: {first_line(error)}; "
                        "give batches that the model takes, the input first in each."
                    ) from error
                ran += 1
    finally:
        for handle in handles:
            handle.remove()
    if not ran:
        raise DataError("There is no batch in the data to measure statistics on: give at least one, or a tensor.")
    return moments


def _note_in(moments: ChannelMoments) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        moments.add(args[0] if args else next(iter(kwargs.values())))

    return note


def check_batches(data: object) -> None:
    """Raise an error for what can hold no batch, before anything is done with it.

    Raises:
        DataError: if it is no tensor and no iterable, or is empty.
    """
    if not isinstance(data, (Tensor, Iterable)):
        raise DataError(f"Cannot take batches from a {type(data).__name__}: give a tensor, or an iterable of batches.")
    if isinstance(data, Sized) and len(data) == 0:
        raise DataError("There is no batch in the data to measure statistics on: give at least one, or a tensor.")


def read_batches(data: object) -> Iterator[ExampleInputs]:
    """Yield the model's input of every batch.

    Args:
        data: a tensor (one batch), or an iterable of batches, such as a loader: the first element of a tuple or list is
            the input, which may be a tuple of arguments or a dict of keyword arguments itself.

    Raises:
        DataError: if it is neither.
    """
    check_batches(data)
    if isinstance(data, Tensor):
        yield data
        return
    assert isinstance(data, Iterable)
    for batch in data:
        inputs = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        if isinstance(inputs, list):
            inputs = tuple(inputs)
        if not isinstance(inputs, (Tensor, tuple, dict)):
            raise DataError(
                f"Cannot call the model with a {type(inputs).__name__} from a batch of the data: let each batch be a "
                "tensor, or a tuple that has the input first."
            )
        yield inputs


def fit_inputs(model: nn.Module, inputs: ExampleInputs) -> ExampleInputs:
    """Return inputs on the device, and floating-point ones in the type, of a model's parameters."""
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    if like is None:
        return inputs
    fitted: ExampleInputs = map_tensors(
        lambda x: x.to(like.device, like.dtype if x.is_floating_point() else x.dtype), inputs
    )
    return fitted
