"""How far the output of a file may be from the network's own."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from placenorm.errors import ModelError

_ROUNDINGS: Final = 1000
"""Other kernels round in another order; through a hundred layers that was below 100 roundings of the largest output."""

_MOST: Final = 0.1
"""Above that, 16 bits or not, it is another network."""


def check_error(error: float, given: Sequence[Tensor]) -> None:
    """Raise an error if outputs are further apart than rounding takes them.

    Args:
        error: max|difference| / max|output|.
        given: what the network gives.

    Raises:
        ModelError: if they are.
    """
    steps = [torch.finfo(x.dtype).eps for x in given if x.is_floating_point()]
    if not error <= min(_ROUNDINGS * max(steps, default=0.0), _MOST):
        raise ModelError(f"its outputs differ from the network's by {error:.1e} of the largest")
