"""The verbs `accelerate` and `accelerate_`: a network that trains on fused layers."""

import warnings
from dataclasses import replace
from typing import Final

import torch
from torch import nn

from placenorm.errors import NoEffectWarning
from placenorm.graph.tracing import ExampleInputs, check_model
from placenorm.rewrite.accelerating import Accelerated, accelerate_model
from placenorm.verbs.copying import check_copy, copy_model

IN_PLACE: Final = ", or accelerate it with pn.accelerate_"


def accelerate(model: nn.Module, example_inputs: ExampleInputs) -> Accelerated:
    """Return a copy of a model whose norms run as one with what stands beside them; the model stays as it is.

    Every batch norm becomes a layer of `placenorm.layers`, at its path, with its parameters, buffers, settings and
    hooks. It takes in an activation or a max pool in front of it or behind it, and the addition of a residual behind
    it, where nothing else reads what is between. The network computes, learns and evaluates what it did before:
    that is proved for a step of training and for evaluation, in float64 and in the model's own type, as returned.
    `placenorm.restore` is the way back.

    Args:
        model: any model that runs and trains on the example.
        example_inputs: a tensor, a tuple of arguments or a dict of keyword arguments.

    Returns:
        The new model, the changes and what was skipped, each with site and reason, and how far it is from the model as
        given: ``max_error`` in float64 (outputs, gradients, buffers) and ``max_error_dtype`` as returned (outputs,
        buffers).

    Raises:
        ModelError: if the model cannot be looked into, does not run or train on the inputs, or does not do the same on
            fused layers, but for rounding.
        UsageError: if the example inputs are neither a tensor nor a tuple nor a dict.

    Example:
        >>> import torch, placenorm as pn
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU())
        >>> done = pn.accelerate(net, torch.randn(4, 3, 8, 8))
        >>> [change.reason for change in done.changes]
        ['1 + 2 of Sequential run as one layer']
    """
    check_model(model)
    copied, copies = copy_model(model, IN_PLACE)
    check_copy(model, copied, example_inputs, IN_PLACE)
    done = _accelerate(copied, example_inputs)
    return replace(done, parameters=done.parameters.translate(copies, model))


def accelerate_(model: nn.Module, example_inputs: ExampleInputs) -> Accelerated:
    """Do as `accelerate` on the model itself; after an error it is as it was."""
    check_model(model)
    return _accelerate(model, example_inputs)


def _accelerate(model: nn.Module, example_inputs: ExampleInputs) -> Accelerated:
    """Accelerate a model in place; warn the caller of the verb if it has no norms."""
    with torch.inference_mode(False):  # the proof trains
        done = accelerate_model(model, example_inputs)
    if not done.matched:
        warnings.warn(
            f"Nothing to accelerate: {type(model).__name__} has no batch norms; give a model that has some.",
            NoEffectWarning,
            stacklevel=3,
        )
    return done
