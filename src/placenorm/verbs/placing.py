"""The verbs `place` and `place_`: a network with its norms somewhere else."""

import copy
import warnings

from torch import nn

from placenorm.errors import NoEffectWarning
from placenorm.facts.placement import Placement
from placenorm.graph.tracing import ExampleInputs
from placenorm.rewrite.placing import NormChoice, Placed, place_model


def place(
    model: nn.Module, example_inputs: ExampleInputs, placement: Placement, *, norm: NormChoice = "torch"
) -> Placed:
    """Return a copy of a model with its norms where a placement wants them; the model stays as it is.

    A new norm starts fresh, so does one that is moved. A weight op that a norm follows directly loses its bias, and
    gets one (zero) when that norm goes. A norm at a module's end becomes its child ``norm``; one inside a forward
    becomes a child of the module whose forward it is.

    Args:
        model: any model that torch.fx can trace, of blocks that are chains (weight op, activation, pool, dropout).
        example_inputs: a tensor, a tuple of arguments or a dict of keyword arguments.
        placement: ``none``, ``before-activation``, ``after-activation``, ``after-pool``, ``as-is``, or a mapping from
            block keys to positions; blocks that a mapping does not list stay as they are.
        norm: ``torch`` for torch's layers, ``placenorm`` for ours, or a function of (channels, rank of the tensor).

    Returns:
        The new model with its graph, the changes and what was skipped, each with site and reason.

    Raises:
        ModelError: if the model cannot be traced or does not run on the inputs.
        UsageError: if the placement has an unknown word.

    Example:
        >>> import torch, placenorm as pn
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> done = pn.place(net, torch.zeros(2, 4), "after-activation")
        >>> [change.reason for change in done.changes]
        ['BatchNorm1d 1.norm added behind ReLU 1']
    """
    return place_(copy.deepcopy(model), example_inputs, placement, norm=norm)


def place_(
    model: nn.Module, example_inputs: ExampleInputs, placement: Placement, *, norm: NormChoice = "torch"
) -> Placed:
    """Do as `place` on the model itself."""
    placed = place_model(model, example_inputs, placement, norm)
    if not isinstance(placement, str) and not placed.matched:
        warnings.warn(
            f"The placement matched no block: it lists {', '.join(placement) or 'nothing'}, "
            f"the network has {', '.join(placed.graph.placement()) or 'no blocks'}.",
            NoEffectWarning,
            stacklevel=2,
        )
    return placed
