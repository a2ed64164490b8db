"""The verbs `restore` and `restore_`: the way back from `accelerate`."""

import warnings

from torch import nn

from placenorm.errors import NoEffectWarning
from placenorm.graph.tracing import check_model
from placenorm.rewrite.accelerating import restore_model
from placenorm.verbs.copying import copy_model


def restore(model: nn.Module) -> nn.Module:
    """Return a copy of an accelerated model with torch's layers and its own forwards back; the model stays as it is.

    What it has learned since stays: parameters, running statistics, modes and hooks.

    Args:
        model: a model that `placenorm.accelerate` returned, trained or loaded since.

    Raises:
        ModelError: if a forward was rewritten again since, the model is compiled, scripted or wrapped, or it cannot be
            copied.

    Example:
        >>> import torch, placenorm as pn
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU())
        >>> fast = pn.accelerate(net, torch.randn(4, 3, 8, 8)).model
        >>> [type(layer).__name__ for layer in (fast[2], pn.restore(fast)[2])]
        ['Identity', 'ReLU']
    """
    check_model(model)
    restored, _ = copy_model(model)
    _restore(restored)
    return restored


def restore_(model: nn.Module) -> nn.Module:
    """Do as `restore` on the model itself, and return it."""
    check_model(model)
    _restore(model)
    return model


def _restore(model: nn.Module) -> None:
    """Restore a model in place; warn the caller of the verb if there is nothing to restore."""
    if not restore_model(model):
        warnings.warn(
            f"Nothing to restore: {type(model).__name__} was not accelerated; give the model that pn.accelerate "
            "returned.",
            NoEffectWarning,
            stacklevel=3,
        )
