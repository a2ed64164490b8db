"""The verbs `fold` and `fold_`: a network for inference, its norms folded into its weights."""

import warnings
from typing import Final

import torch
from torch import nn

from placenorm.errors import NoEffectWarning
from placenorm.graph.snapshot import ModuleSnapshot
from placenorm.graph.tracing import ExampleInputs, check_model
from placenorm.rewrite.unnorming import Folded, fold_model
from placenorm.verbs.copying import check_copy, copy_model

IN_PLACE: Final = ", or fold it with pn.fold_ and verify=False, and compare the results yourself"


def fold(
    model: nn.Module,
    example_inputs: ExampleInputs,
    *,
    data: object = None,
    dtype: torch.dtype | None = None,
    verify: bool = True,
) -> Folded:
    """Return a copy of a model for inference with its norms folded into its weights; the model stays as it is.

    A norm in evaluation is a scale and a shift per channel. They are taken into the convs and linear layers before it
    and behind it, through everything that lets them pass, so that nothing of the norm is left to compute; which way is
    chosen for the whole network. A conv that pads with zeros and takes in a shift corrects its output at the border
    (`placenorm.layers`), which is exact for every size of input. What cannot be exact stays, and says why.

    The model is folded as it runs on the example: calls that go another way there (another value of an argument, part
    of a Sequential by itself, a method such as ``forward_features``) may read channels in another form.

    Args:
        model: any model in evaluation mode that runs on the example.
        example_inputs: a tensor, a tuple of arguments or a dict of keyword arguments.
        data: a tensor or an iterable of batches (the first element of a tuple is the input): how often the folded
            network gives the same top-1 answer on them is ``agreement``.
        dtype: the floating-point type that the result is brought to, such as ``torch.float16``; None for the model's
            own.
        verify: whether to hold the result against the model in float64, on the example and on random inputs of two
            other sizes. What does not verify is undone and reported.

    Returns:
        The new model with what was folded and what was not, each with site and reason, and how far it is from the
        model as given (``max_error`` in float64, ``max_error_float32``, ``max_error_dtype`` for both in the type of the
        result). `placenorm.export` writes it into files.

    Raises:
        ModelError: if the model trains, is quantised, has no values, cannot be looked into or does not run on the
            inputs.
        UsageError: if the example inputs are neither a tensor nor a tuple nor a dict, the type is no floating-point
            type, or there are data and the model gives no scores to choose from.
        DataError: if the data have no batch that the model takes.

    Example:
        >>> import torch, placenorm as pn
        >>> parts = torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.BatchNorm2d(8), torch.nn.Conv2d(8, 4, 3)
        >>> done = pn.fold(torch.nn.Sequential(*parts).eval(), torch.randn(1, 3, 16, 16))
        >>> [(change.site, change.reason) for change in done.changes]
        [('2', 'into 0 before it')]
    """
    check_model(model)
    copied = _copy(model, example_inputs, verify=verify)
    return _fold(copied, example_inputs, data, dtype, verify=verify)


def fold_(
    model: nn.Module,
    example_inputs: ExampleInputs,
    *,
    data: object = None,
    dtype: torch.dtype | None = None,
    verify: bool = True,
) -> Folded:
    """Do as `fold` on the model itself; after an error it is as it was."""
    check_model(model)
    before = ModuleSnapshot(model)
    if verify:
        _copy(model, example_inputs, verify=True)  # the proof works on copies
    try:
        return _fold(model, example_inputs, data, dtype, verify=verify)
    except BaseException:
        before.restore(classes=True)
        raise


def _copy(model: nn.Module, example_inputs: ExampleInputs, *, verify: bool) -> nn.Module:
    """Return a copy of a model, which is one where that is to be verified and the model can be folded."""
    copied, _ = copy_model(model)
    if verify and not any(module.training for module in model.modules()):
        check_copy(model, copied, example_inputs, IN_PLACE)
    return copied


def _fold(
    model: nn.Module, example_inputs: ExampleInputs, data: object, dtype: torch.dtype | None, *, verify: bool
) -> Folded:
    """Fold a model in place; warn the caller of the verb if it has no norms."""
    with torch.inference_mode(False):
        done = fold_model(model, example_inputs, verify=verify, dtype=dtype, data=data)
    if not done.matched:
        warnings.warn(
            f"Nothing to fold: {type(model).__name__} has no batch norms; give a model that has some.",
            NoEffectWarning,
            stacklevel=3,
        )
    return done
