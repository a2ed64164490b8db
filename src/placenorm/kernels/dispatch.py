"""Which kernel computes a chain: the fast one where it covers the input, else the readable one."""

from torch import Tensor

from placenorm.kernels import chain_reference
from placenorm.kernels.activations import Activation


def find_gap(x: Tensor, residual: Tensor | None, before: Activation, after: Activation) -> str:
    """Return why no fast path covers a chain; "" where one does.

    Args:
        x: input, ``[N, C, S]``.
        residual: what is added behind the norm; None for nothing.
        before: activation in front of the norm.
        after: activation behind it.
    """
    if x.device.type != "cpu":
        return f"there is no fast path on {x.device.type} yet"
    from placenorm.kernels.cpu import chain

    return chain.find_gap(x, residual, before, after)


def chain_fwd(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    before: Activation,
    after: Activation,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``(y, mean, var, rstd)`` as `chain_reference.chain_fwd`."""
    if find_gap(x, residual, before, after):
        return chain_reference.chain_fwd(x, residual, weight, bias, eps, before, after)
    from placenorm.kernels.cpu import chain

    return chain.chain_fwd(x, residual, weight, bias, eps, before, after)


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
    """Return ``(dx, dresidual, dweight, dbias)`` as `chain_reference.chain_bwd`."""
    if find_gap(x, y, before, after):
        return chain_reference.chain_bwd(dy, x, y, mean, rstd, weight, bias, before, after)
    from placenorm.kernels.cpu import chain

    return chain.chain_bwd(dy, x, y, mean, rstd, weight, bias, before, after)
