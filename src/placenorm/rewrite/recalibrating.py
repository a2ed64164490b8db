"""Running statistics measured anew: what each norm reads, averaged over data instead of remembered with a decay."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.errors import DataError
from placenorm.facts.edits import Change, Skip
from placenorm.graph.tracing import check_model, undisturbed
from placenorm.probe.measuring import ChannelMoments, check_batches, measure_inputs, read_batches
from placenorm.probe.states import MEASURED


@dataclass(frozen=True, slots=True)
class Recalibrated:
    """A model whose running statistics were measured anew.

    Attributes:
        model: the model.
        changes: the norms that were measured: ``.site`` (their path) and ``.reason``.
        skipped: the norms that were not, and why.
        batches: how many batches were read.
    """

    model: nn.Module
    changes: tuple[Change, ...]
    skipped: tuple[Skip, ...]
    batches: int


def recalibrate_model(model: nn.Module, data: object) -> Recalibrated:
    """Measure the running statistics of every norm anew, in place (precise batch norm).

    The norms normalise by their batches, as in training, and everything else evaluates. The variance is that of all
    values together, not the mean over batches: small batches do not make it smaller.

    Args:
        model: the model; parameters, modes and what is no running statistic stay.
        data: a tensor, or an iterable of batches, the input first in each; at least two values per channel in each.

    Raises:
        DataError: if there is no batch, or the model does not run on one; the statistics are then as they were.
        ModelError: if the model is of a kind that cannot be looked into.

    Source:
        Wu & Johnson 2021, arXiv:2105.07576, section 3.2.
    """
    check_model(model)
    found = {path: module for path, module in model.named_modules() if isinstance(module, _BatchNorm)}
    norms = {path: norm for path, norm in found.items() if norm.running_mean is not None}
    check_batches(data)
    with undisturbed(model):
        for norm in norms.values():
            norm.training = True
        moments = dict(zip(norms, measure_inputs(model, list(norms.values()), read_batches(data)), strict=True))
    ran = {path: seen for path, seen in moments.items() if seen.mean is not None}
    for path, seen in ran.items():
        if not seen.is_finite():
            raise DataError(
                f"Cannot recalibrate {path}: what it reads on these data is not finite; the statistics are as they "
                "were; look for the layer before it that overflows, or give other data."
            )
    changes = tuple(Change(path, _write(norms[path], seen)) for path, seen in ran.items())
    skipped = (
        *(Skip(path, "it keeps no running statistics") for path in found if path not in norms),
        *(Skip(path, "it did not run on these data") for path in norms if path not in ran),
    )
    return Recalibrated(model, changes, skipped, max((seen.batches for seen in ran.values()), default=0))


def _write(norm: _BatchNorm, seen: ChannelMoments) -> str:
    """Give a norm its statistics, and say how far they moved."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert seen.mean is not None
    mean, var = seen.mean, seen.var_unbiased
    scale = (norm.running_var.double() + norm.eps).sqrt()
    moved = float(((mean - norm.running_mean.double()).abs() / scale).max())
    ratio = float(((var + norm.eps) / (norm.running_var.double() + norm.eps)).sqrt().log().abs().max().exp())
    with torch.no_grad():
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.fill_(seen.batches)
            norm.__dict__[MEASURED] = seen.batches
    return (
        f"measured on {seen.count} values per channel: means moved by up to {moved:.2g} standard deviations, standard "
        f"deviations by up to a factor of {ratio:.2g}"
    )
