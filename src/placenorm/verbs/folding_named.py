"""The verb `fold` for a model of a name: what the command line asks for."""

import warnings
from pathlib import Path

import torch

from placenorm.errors import NoEffectWarning, UsageError
from placenorm.facts.folding import RANDOM, Folding
from placenorm.verbs.exporting import describe_folded, export
from placenorm.verbs.folding import fold_
from placenorm.verbs.named import build_example, load_batches


def fold_named(
    name: str,
    *,
    sample_shape: tuple[int, ...] | None = None,
    weights: Path | None = None,
    data: str | None = None,
    dtype: str = "float32",
    verify: bool = True,
    out: Path | None = None,
) -> Folding:
    """Fold a model of a name, in evaluation mode, and return what was done; what ``placenorm fold`` does.

    Args:
        name: as for `placenorm.zoo.find_model`.
        sample_shape: shape of one sample; None for the one that the model is made for.
        weights: a checkpoint to load; None for random weights.
        data: name of data, as for `placenorm.data.load_data`, whose test part the top-1 answers are compared on.
        dtype: type of the folded model: ``float32``, ``float16``, ``bfloat16`` or ``float64``.
        verify: whether to hold the result against the model as it was.
        out: folder for the files of `placenorm.export`; None to write nothing.

    Raises:
        UsageError: if the model has no norms.
        PlacenormError: one of its kinds, where a name, a file or the model cannot be used.
    """
    model, example = build_example(name, sample_shape, weights)
    model.eval()
    batches = None if data is None else load_batches(data, "test")
    with warnings.catch_warnings():
        warnings.simplefilter("error", NoEffectWarning)
        try:
            done = fold_(model, example, data=batches, dtype=getattr(torch, dtype), verify=verify)
        except NoEffectWarning as nothing:  # on a command line it is a slip of the pen
            raise UsageError(str(nothing)) from nothing
    held = RANDOM if weights is None else str(weights)
    if out is None:
        return describe_folded(done, example, name, held)
    return export(done, example, out, name=name, weights=held)
