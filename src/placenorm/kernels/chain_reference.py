"""A norm with the activation in front of it or behind it, and an addition: the readable twin of the fused chains.

A chain is ``y = after(norm(before(x)) + residual)``. At most one of the two activations is not the identity, and a
residual is added only where the second is the identity or a ReLU, whose derivative the output tells. Everything is
functional, views are ``[N, C, S]``, and the norm is that of `reference`. Where x is 16 bits wide, a chain rounds once,
at its end; a sequence of layers rounds after each.
"""

from torch import Tensor

from placenorm.kernels import reference
from placenorm.kernels.activations import Activation, activate, differentiate


def chain_fwd(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    before: Activation,
    after: Activation,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the output of a chain in training mode and the statistics of its norm.

    Args:
        x: input, ``[N, C, S]``, M >= 1.
        residual: what is added to the norm's output, ``[N, C, S]``; None for nothing.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.
        eps: what is added to the variance.
        before: activation in front of the norm.
        after: activation behind the norm, or behind the addition.

    Returns:
        ``(y, mean, var, rstd)`` as `reference.batch_norm_fwd`; mean and var are those of the activated x.
    """
    z, mean, var, rstd = reference.batch_norm_fwd(activate(reference.widen(x), before), weight, bias, eps)
    if residual is not None:
        z = z + reference.widen(residual)
    return activate(z, after).to(x.dtype), mean, var, rstd


def chain_bwd(
    dy: Tensor,
    x: Tensor,
    y: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    before: Activation,
    after: Activation,
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Return the gradients of a chain in training mode.

    Args:
        dy: gradient of the output, ``[N, C, S]``.
        x: input of the forward pass, ``[N, C, S]``.
        y: output of the forward pass where there was a residual, ``[N, C, S]``: it tells where the activation was on,
            and the residual need not be kept. None without a residual.
        mean: from `chain_fwd`, ``[C]``.
        rstd: reciprocal standard deviation from `chain_fwd`, ``[C]``.
        weight: as in `chain_fwd`.
        bias: as in `chain_fwd`.
        before: as in `chain_fwd`.
        after: as in `chain_fwd`.

    Returns:
        ``(dx, dresidual, dweight, dbias)``: the first two in the dtype and shape of x, dresidual None without a
        residual; the last two ``[C]``, float32 or wider.

    Source:
        The chain rule around formulas (5) to (7) of docs/maths/batch_norm.md.
    """
    wide = reference.widen(x)
    u = activate(wide, before)
    seen = reference.normalize(u, mean, rstd, weight, bias) if y is None else reference.widen(y)
    dz = reference.widen(dy) * differentiate(seen, after)
    du, dweight, dbias = reference.batch_norm_bwd(dz, u, mean, rstd, weight)
    dx = du * differentiate(wide, before)
    return dx.to(x.dtype), None if y is None else dz.to(x.dtype), dweight, dbias
