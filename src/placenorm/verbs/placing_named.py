"""The verb `place` for a model of a name: what the command line asks for."""

import warnings
from pathlib import Path

import torch

from placenorm.cost import count_cost
from placenorm.errors import NoEffectWarning, StoreError, UsageError
from placenorm.facts.placement import Placement, write_placement
from placenorm.facts.placing import Placing
from placenorm.graph.tracing import trace_model
from placenorm.rewrite.norms import NormChoice
from placenorm.rewrite.placing import Placed
from placenorm.verbs.named import build_example, load_batches
from placenorm.verbs.placing import place_


def place_named(
    name: str,
    to: str,
    *,
    sample_shape: tuple[int, ...] | None = None,
    weights: Path | None = None,
    norm: NormChoice = "torch",
    filter: str | None = None,  # noqa: A002
    preserve: str | None = None,
    out: Path | None = None,
) -> Placing:
    """Bring a model of a name to a placement, and return what was done; what the command ``placenorm place`` does.

    Args:
        name: as for `placenorm.zoo.find_model`.
        to: a named policy, the path of a placement file, or pairs such as ``conv1=after-pool,conv2=none``.
        sample_shape: shape of one sample; None for the one that the model is made for.
        weights: a checkpoint to start from.
        norm: whose norms are put in.
        filter: path of the blocks to restrict it to.
        preserve: name of data, as for `placenorm.data.load_data`; what the network computes on them is kept.
        out: folder for ``placement.json`` and ``weights.pt``; None to write nothing.

    Raises:
        PlacenormError: one of its kinds, where a name, a file or the model cannot be used.
    """
    model, example = build_example(name, sample_shape, weights)
    graph = trace_model(model, example)
    data = None if preserve is None else load_batches(preserve)
    with warnings.catch_warnings():
        warnings.simplefilter("error", NoEffectWarning)
        try:
            placed = place_(model, example, _read_words(to), norm=norm, filter=filter, preserve=data)
        except NoEffectWarning as nothing:  # on a command line it is a slip of the pen
            raise UsageError(str(nothing)) from nothing
    if out is not None:
        _write(placed, out)
    return Placing(
        model=name,
        before=graph.placement(),
        after=placed.placement,
        changes=placed.changes,
        skipped=placed.skipped,
        cost_before=count_cost(graph),
        cost_after=count_cost(placed.graph),
        max_error=placed.max_error,
        max_error_dtype=placed.max_error_dtype,
    )


def _read_words(to: str) -> Placement:
    """Return a placement as it is written on a command line."""
    if "=" not in to:
        return to  # type: ignore[return-value]  # checked where it is used
    pairs = [part.rpartition("=") for part in to.split(",") if part.strip()]
    return {key.strip(): position.strip() for key, _, position in pairs}  # type: ignore[misc]


def _write(placed: Placed, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_placement(placed.placement, out / "placement.json", placed.biases)
        torch.save(placed.model.state_dict(), out / "weights.pt")
    except OSError as error:
        raise StoreError(f"Cannot write to {out}: {error.strerror}; give a folder that can be written to.") from error
