"""The fused chains on the processor: tensors in, tensors out, as `chain_reference` has them."""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from placenorm.kernels.chain import Chain
from placenorm.kernels.cpu import chain_kernels as kernels
from placenorm.kernels.cpu.arithmetic import CODES
from placenorm.kernels.cpu.memory import empty_like
from placenorm.kernels.running import Running
from placenorm.kernels.threads import find_team, raise_caught

Array = NDArray[np.float32]
Layout = Literal["planes", "rows"]


def chain_fwd(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    chain: Chain,
    running: Running | None = None,
) -> tuple[Tensor, None, Tensor, Tensor, Tensor]:
    """Return ``(y, bits, mean, var, rstd)`` as `chain_reference.chain_fwd`.

    Args:
        x: ``[N, C, *]``, float32, contiguous or with the channels last.
        residual: of the shape of x, in any layout.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: what is added to the variance.
        chain: what is fused with the norm.
        running: brought up to date in place.
    """
    channels = x.shape[1]
    y = empty_like(x)
    mean, var, rstd = (make_numbers(channels) for _ in range(3))
    gamma, beta = fill_numbers(weight, channels, 1.0), fill_numbers(bias, channels, 0.0)
    view = _find_layout(x)
    given, out = _view(x, view), _view(y, view)
    added = given if residual is None else _view(_lay_out(residual, x), view)
    forward = kernels.forward_planes if view == "planes" else kernels.forward_rows
    forward(find_team(), given, added, out, mean.numpy(), var.numpy(), rstd.numpy(), gamma, beta, eps, *_encode(chain))
    raise_caught()
    if running is not None:
        running.take(mean, var, x.numel() // channels)
    return y, None, mean, var, rstd


def chain_bwd(
    dy: Tensor,
    x: Tensor,
    y: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    chain: Chain,
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Return ``(dx, dresidual, dweight, dbias)`` as `chain_reference.chain_bwd`.

    Args:
        dy: gradient of the output, of the shape of x, in any layout.
        x: as in `chain_fwd`.
        y: the output, where there was a residual; it tells where the activation was on. None without a residual.
        mean: from `chain_fwd`.
        rstd: from `chain_fwd`.
        weight: as in `chain_fwd`.
        bias: as in `chain_fwd`.
        chain: as in `chain_fwd`.
    """
    channels = x.shape[1]
    dx = empty_like(x)
    dresidual = None if y is None else empty_like(x)
    dweight, dbias = make_numbers(channels), make_numbers(channels)
    gamma, beta = fill_numbers(weight, channels, 1.0), fill_numbers(bias, channels, 0.0)
    view = _find_layout(x)
    given, out, upstream = _view(x, view), _view(dx, view), _view(_lay_out(dy, x), view)
    seen = given if y is None else _view(_lay_out(y, x), view)
    branch = out if dresidual is None else _view(dresidual, view)
    backward = kernels.backward_planes if view == "planes" else kernels.backward_rows
    backward(
        find_team(), upstream, given, seen, out, branch, mean.numpy(), rstd.numpy(), gamma, beta, dweight.numpy(),
        dbias.numpy(), *_encode(chain),
    )  # fmt: skip
    raise_caught()
    return dx, dresidual, dweight, dbias


def _find_layout(x: Tensor) -> Layout:
    return "planes" if x.is_contiguous() and x.numel() > x.shape[0] * x.shape[1] else "rows"


def _view(x: Tensor, layout: Layout) -> Array:
    """Return the numbers of a tensor, ``[N, C, S]`` or ``[M, C]``, without a copy."""
    view = x.flatten(2) if layout == "planes" else x.movedim(1, -1).flatten(0, -2)
    numbers: Array = view.detach().numpy()
    return numbers


def _lay_out(y: Tensor, x: Tensor) -> Tensor:
    """Return a tensor in the layout of another one of its shape."""
    return y if y.stride() == x.stride() else empty_like(x).copy_(y)


def fill_numbers(parameter: Tensor | None, channels: int, value: float) -> Array:
    """Return a parameter as numbers, ``[C]``; so many times the value where it is not there."""
    held: Array = (
        torch.full((channels,), value, dtype=torch.float32, device="cpu")
        if parameter is None
        else parameter.detach().float()
    ).numpy()
    return held


def make_numbers(channels: int) -> Tensor:
    """Return room for a number of every channel."""
    return torch.empty(channels, dtype=torch.float32, device="cpu")  # whatever torch's defaults are


def _encode(chain: Chain) -> tuple[Any, ...]:
    """Return what kernels take for the activations in front and behind, the addition, and the parameter."""
    return CODES[chain.before.name], CODES[chain.after.name], (0,) if chain.adds else (), np.float32(chain.parameter)
