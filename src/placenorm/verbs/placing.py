"""The verbs `place` and `place_`: a network with its norms somewhere else."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Final

from torch import nn

from placenorm.errors import NoEffectWarning
from placenorm.facts.placement import Placement, PlacementFile, read_placement
from placenorm.graph.placements import BlockFilter
from placenorm.graph.snapshot import ModuleSnapshot
from placenorm.graph.tracing import ExampleInputs, check_model
from placenorm.rewrite.norms import NormChoice
from placenorm.rewrite.placing import Placed, place_model
from placenorm.verbs.copying import check_copy, copy_model

IN_PLACE: Final = ", or place it with pn.place_"


def place(
    model: nn.Module,
    example_inputs: ExampleInputs,
    placement: Placement | Path,
    *,
    norm: NormChoice = "torch",
    filter: BlockFilter = None,  # noqa: A002 - the word of the field for it
    preserve: object = None,
) -> Placed:
    """Return a copy of a model with its norms where a placement wants them; the model stays as it is.

    The result is of the model's own class, with its methods, hooks and keys. A norm at a module's end becomes the
    child ``norm`` of that module, run by a hook; one inside a forward becomes a child of the module whose forward it
    is, and only that forward is made anew. Without `preserve`, a new norm starts fresh, and so does one that moves. A
    weight op that a norm follows directly loses its bias, and gets one when that norm goes.

    Args:
        model: any model that runs on the example.
        example_inputs: a tensor, a tuple of arguments or a dict of keyword arguments.
        placement: ``none``, ``before-activation``, ``after-activation``, ``after-pool``, ``as-is``; a mapping from
            block keys to positions, where blocks that it does not list stay as they are; or the path of a
            ``placement.json``.
        norm: ``torch`` for torch's layers, ``placenorm`` for ours, or a function of (channels, rank of the tensor).
        filter: restricts the placement to some blocks: a path (``layer1`` for all in it, ``layer*.conv1``), or a
            function of a block that says whether it is meant.
        preserve: a tensor or an iterable of batches (the first element of a tuple is the input). With it, a trained
            network keeps what it computes in evaluation mode: norms that go are taken into the weights, new ones start
            as the identity on these data. Blocks for which that cannot be exact stay as they are.

    Returns:
        The new model with its graph, the changes and what was skipped, each with site and reason; with `preserve`, how
        far it is from the model as given (``max_error`` in float64, ``max_error_dtype`` as returned).

    Raises:
        ModelError: if the model cannot be looked into or does not run on the inputs.
        UsageError: if the placement has an unknown word.
        DataError: if the data to preserve on has no batch that the model takes.
        StoreError: if a placement file cannot be read.

    Example:
        >>> import torch, placenorm as pn
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> done = pn.place(net, torch.zeros(2, 4), "after-activation")
        >>> [change.reason for change in done.changes]
        ['BatchNorm1d 1.norm added behind ReLU 1']
    """
    check_model(model)
    copied, copies = copy_model(model, IN_PLACE)
    check_copy(model, copied, example_inputs, IN_PLACE)
    placed = _place(copied, example_inputs, placement, norm, filter, preserve)
    return replace(placed, parameters=placed.parameters.translate(copies, model))


def place_(
    model: nn.Module,
    example_inputs: ExampleInputs,
    placement: Placement | Path,
    *,
    norm: NormChoice = "torch",
    filter: BlockFilter = None,  # noqa: A002
    preserve: object = None,
) -> Placed:
    """Do as `place` on the model itself; after an error it is as it was."""
    check_model(model)
    before = ModuleSnapshot(model)
    try:
        return _place(model, example_inputs, placement, norm, filter, preserve)
    except BaseException:
        before.restore(classes=True)
        raise


def _place(
    model: nn.Module,
    example_inputs: ExampleInputs,
    placement: Placement | Path,
    norm: NormChoice,
    only: BlockFilter,
    preserve: object,
) -> Placed:
    """Bring a model to a placement in place; warn the caller of the verb if that speaks of no block."""
    file = _read(placement)
    wanted = file.placement if isinstance(file, PlacementFile) else file
    biases = file.biases if isinstance(file, PlacementFile) and only is None else ()
    placed = place_model(model, example_inputs, wanted, norm, only=only, preserve=preserve, biases=biases)
    if not placed.matched and (only is not None or not isinstance(wanted, str)):
        sought = f"the filter {only!r} and " * (only is not None) + (
            f"the placement {wanted}" if isinstance(wanted, str) else f"the keys {', '.join(wanted) or '(none)'}"
        )
        warnings.warn(
            f"The placement matched no block: it asked for {sought}; "
            f"the network has {', '.join(placed.graph.placement()) or 'no blocks'}.",
            NoEffectWarning,
            stacklevel=3,
        )
    return placed


def _read(placement: Placement | Path) -> Placement | PlacementFile:
    """Return a placement, or the file that it is named by."""
    if isinstance(placement, Path):
        return read_placement(placement)
    if isinstance(placement, str) and placement.endswith(".json"):
        return read_placement(str(placement))
    return placement
