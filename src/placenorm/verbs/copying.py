"""A copy of the user's model, for verbs that leave the model itself alone."""

import copy
from typing import Any

import torch
from torch import nn

from placenorm.errors import ModelError, first_line


def copy_model(model: nn.Module, way_out: str = "") -> tuple[nn.Module, dict[int, Any]]:
    """Return a copy of a model, and what each of its objects became, by the ids of the model's.

    Args:
        model: the model; the copy takes gradients, also within ``torch.inference_mode``.
        way_out: what the user can do instead, beside the usual; begins with a comma.

    Raises:
        ModelError: if something in the model cannot be copied.
    """
    copies: dict[int, Any] = {}
    try:
        with torch.inference_mode(False):
            return copy.deepcopy(model, copies), copies
    except Exception as error:  # the user's own attributes, anything can come out of it
        raise ModelError(
            f"Cannot copy {type(model).__name__}: {first_line(error)}; run a lazy model once, or use "
            f"torch.nn.utils.parametrizations in the place of hooks that recompute weights{way_out}."
        ) from error
