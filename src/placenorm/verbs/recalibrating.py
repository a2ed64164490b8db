"""The verbs `recalibrate` and `recalibrate_`: running statistics measured anew."""

import copy

from torch import nn

from placenorm.graph.tracing import check_model
from placenorm.rewrite.recalibrating import Recalibrated, recalibrate_model


def recalibrate(model: nn.Module, data: object) -> Recalibrated:
    """Return a copy of a model whose norms have the statistics of these data (precise batch norm).

    Right after a placement without ``preserve``, after averaging weights (EMA, SWA), or where evaluation is worse than
    training. Parameters and modes stay. The norms normalise by their batches meanwhile, everything else evaluates.

    Args:
        model: any model with batch norms.
        data: a tensor, or an iterable of batches, the input first in each. Nothing is learned from it but the
            statistics; some thousands of values per channel are enough.

    Returns:
        The new model, how far each norm's statistics moved, and which norms were skipped and why.

    Raises:
        DataError: if there is no batch, the model does not run on one, or a norm reads values that are not finite.
        ModelError: if the model is scripted, compiled, quantised or wrapped.

    Source:
        Wu & Johnson 2021, arXiv:2105.07576, section 3.2.

    Example:
        >>> import torch, placenorm as pn
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8))
        >>> done = pn.recalibrate(net, torch.ones(16, 4) * torch.arange(16)[:, None])
        >>> done.batches, int(done.model[1].num_batches_tracked)
        (1, 1)
    """
    check_model(model)
    return recalibrate_(copy.deepcopy(model), data)


def recalibrate_(model: nn.Module, data: object) -> Recalibrated:
    """Do as `recalibrate` on the model itself."""
    return recalibrate_model(model, data)
