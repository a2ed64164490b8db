"""Mean and spread of many planes at once: what `watch` reads at every call, in one pass over memory."""

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from placenorm.kernels.cpu.arithmetic import FASTMATH, f32
from placenorm.kernels.cpu.compiling import njit

LARGEST: Final = 1 << 14
"""Values of one plane up to which a sum in float32, by at least 16 partial sums, is as exact as torch's own."""


def covers(x: Tensor) -> bool:
    """Whether `measure_planes` takes a tensor: ``[N, C, *]`` in float32 on the processor, contiguous, not too large."""
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.dim() > 2
        and x.is_contiguous()
        and 0 < x.numel() <= LARGEST * x.shape[0] * x.shape[1]
    )


def measure_planes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of every plane and the Euclidean length of what is left without it.

    Args:
        x: ``[N, C, *]`` that `covers` takes.

    Returns:
        Two tensors ``[N, C]``, float32.
    """
    centres, lengths = (torch.empty(x.shape[:2], dtype=x.dtype, device=x.device) for _ in range(2))
    _measure(x.flatten(0, 1).flatten(1).detach().numpy(), centres.view(-1).numpy(), lengths.view(-1).numpy())
    return centres, lengths


@njit(nogil=True, cache=True, fastmath=FASTMATH, error_model="numpy")
def _measure(
    x: Any,  # [planes, S]
    centres: Any,  # [planes]
    lengths: Any,  # [planes]
) -> None:
    places = x.shape[1]
    for plane in range(x.shape[0]):
        total = f32(0.0)
        for place in range(places):
            total += x[plane, place]
        centre = total / f32(places)
        squares = f32(0.0)
        for place in range(places):
            rest = x[plane, place] - centre
            squares += rest * rest
        centres[plane] = centre
        lengths[plane] = np.sqrt(squares)
