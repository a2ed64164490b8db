"""The fused chains on the processor: tensors in, tensors out, as `chain_reference` has them."""

from typing import Any

import numpy as np
from torch import Tensor

from placenorm.kernels.chain import Chain
from placenorm.kernels.cpu import chain_kernels as kernels
from placenorm.kernels.cpu.arithmetic import CODES
from placenorm.kernels.cpu.lending import (
    NOWHERE,
    find_address,
    find_numbers,
    give,
    lay_out,
    make_numbers,
    point,
)
from placenorm.kernels.cpu.memory import empty_like
from placenorm.kernels.running import Running, share_of
from placenorm.kernels.threads import find_team, raise_caught


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
    mean, var, rstd = make_numbers(channels), make_numbers(channels), make_numbers(channels)
    gamma, beta = find_numbers(weight, channels), find_numbers(bias, channels)
    added = x if residual is None else _lay_out(residual, x)
    planar, shape = _find_shape(x)
    forward = kernels.forward_planes if planar else kernels.forward_rows
    kept = give(running, channels)
    forward(
        find_team(), shape, (find_address(x), find_address(added), y.data_ptr()),
        (mean.data_ptr(), var.data_ptr(), rstd.data_ptr(), point(gamma), point(beta)),
        kept, share_of(running), float(eps), *_encode(chain),
    )  # fmt: skip
    raise_caught()
    if running is not None and kept[0] == NOWHERE:
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
    gamma, beta = find_numbers(weight, channels), find_numbers(bias, channels)
    planar, shape = _find_shape(x)
    upstream = _lay_out(dy, x)
    seen = x if y is None else _lay_out(y, x)
    branch = dx if dresidual is None else dresidual
    centre, scale = find_numbers(mean, channels), find_numbers(rstd, channels)
    backward = kernels.backward_planes if planar else kernels.backward_rows
    backward(
        find_team(), shape,
        (find_address(upstream), find_address(x), find_address(seen), dx.data_ptr(), branch.data_ptr()),
        (dweight.data_ptr(), dbias.data_ptr(), point(centre), point(scale), point(gamma), point(beta)),
        *_encode(chain),
    )  # fmt: skip
    raise_caught()
    return dx, dresidual, dweight, dbias


def _find_shape(x: Tensor) -> tuple[bool, tuple[int, ...]]:
    """Return whether a tensor is gone through by planes, ``[N, C, S]``, or else by rows, ``[M, C]``; and that shape."""
    samples, channels = x.shape[:2]
    values = x.numel()
    if x.is_contiguous() and values > samples * channels:
        return True, (samples, channels, values // (samples * channels))
    return False, (values // channels, channels)


def _lay_out(y: Tensor, x: Tensor) -> Tensor:
    """Return a tensor in the layout of another one of its shape."""
    return lay_out(y, x.shape, x.stride(), x.dtype)


def _encode(chain: Chain) -> tuple[Any, ...]:
    """Return what kernels take for the activations in front and behind, the addition, and the parameter."""
    return CODES[chain.before.name], CODES[chain.after.name], (0,) if chain.adds else (), np.float32(chain.parameter)
