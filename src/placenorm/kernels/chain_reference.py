"""The readable twin of the fused chains: a norm with the activation in front of it or behind it, and an addition.

Everything is functional, and the norm is that of `reference`, on views ``[N, C, S]``. Where x is 16 bits wide, a chain
rounds once, at its end; a sequence of layers rounds after each.
"""

from torch import Tensor

from placenorm.kernels import reference
from placenorm.kernels.activations import activate, differentiate
from placenorm.kernels.chain import Chain
from placenorm.kernels.running import Running


def chain_fwd(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    chain: Chain,
    running: Running | None = None,
) -> tuple[Tensor, None, Tensor, Tensor, Tensor]:
    """Return the output of a chain in training mode and the statistics of its norm.

    Args:
        x: input, ``[N, C, *]``, M >= 1.
        residual: what is added to the norm's output, of the shape of x; None for nothing.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.
        eps: what is added to the variance.
        chain: what is fused with the norm.
        running: brought up to date in place.

    Returns:
        ``(y, bits, mean, var, rstd)`` as `reference.batch_norm_fwd`; mean and var are those of the activated x. bits
        are for kernels that tell in less than y does where a ReLU behind an addition is on: None here.
    """
    u = activate(reference.widen(_view(x)), chain.before)
    z, mean, var, rstd = reference.batch_norm_fwd(u, weight, bias, eps)
    z = z.view(x.shape)
    if running is not None:
        running.take(mean, var, x.numel() // x.shape[1])
    if residual is not None:
        z = z + reference.widen(residual)
    return activate(z, chain.after).to(x.dtype), None, mean, var, rstd


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
    """Return the gradients of a chain in training mode.

    Args:
        dy: gradient of the output, ``[N, C, *]``.
        x: input of the forward pass, ``[N, C, *]``.
        y: output of the forward pass where there was a residual, ``[N, C, *]``: it tells where the activation was on,
            and the residual need not be kept. None without a residual.
        mean: from `chain_fwd`, ``[C]``.
        rstd: reciprocal standard deviation from `chain_fwd`, ``[C]``.
        weight: as in `chain_fwd`.
        bias: as in `chain_fwd`.
        chain: as in `chain_fwd`.

    Returns:
        ``(dx, dresidual, dweight, dbias)``: the first two in the dtype and shape of x, dresidual None without a
        residual; the last two ``[C]``, float32 or wider.

    Source:
        The chain rule around formulas (5) to (7) of docs/maths/batch_norm.md.
    """
    wide = reference.widen(_view(x))
    u = activate(wide, chain.before)
    seen = reference.normalize(u, mean, rstd, weight, bias) if y is None else reference.widen(_view(y))
    dz = reference.widen(_view(dy)) * differentiate(seen, chain.after)
    du, dweight, dbias = reference.batch_norm_bwd(dz, u, mean, rstd, weight)
    dx = du * differentiate(wide, chain.before)
    dresidual = None if y is None else dz.to(x.dtype).view(x.shape)
    return dx.to(x.dtype).view(x.shape), dresidual, dweight, dbias


def _view(x: Tensor) -> Tensor:
    """Return a tensor ``[N, C, *]`` as ``[N, C, S]``."""
    return x.flatten(2) if x.dim() > 2 else x.unsqueeze(2)
