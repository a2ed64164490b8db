"""Which kernels compute a chain: the fast ones where they cover the input, else the readable ones."""

from typing import Protocol

import torch
from torch import Tensor

from placenorm.kernels import chain_reference
from placenorm.kernels.activations import FUNCTIONS
from placenorm.kernels.chain import Chain


class ChainKernels(Protocol):
    """A module of kernels, with the two functions of `chain_reference`."""

    def chain_fwd(
        self, x: Tensor, residual: Tensor | None, weight: Tensor | None, bias: Tensor | None, eps: float, chain: Chain
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return ``(y, mean, var, rstd)``."""

    def chain_bwd(
        self,
        dy: Tensor,
        x: Tensor,
        y: Tensor | None,
        mean: Tensor,
        rstd: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        chain: Chain,
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """Return ``(dx, dresidual, dweight, dbias)``."""


def find_gap(x: Tensor, chain: Chain) -> str:
    """Return why no fast kernels cover a chain; "" where some do.

    Args:
        x: input, ``[N, C, S]``.
        chain: what is fused with the norm.
    """
    unknown = [each.name for each in (chain.before, chain.after) if each.name not in FUNCTIONS]
    if unknown:
        return f"there is no kernel with {unknown[0]}"
    if x.device.type != "cpu":
        return f"there are no kernels of {x.device.type} yet"
    if x.dtype != torch.float32:
        return f"the kernels of the processor take float32, this is {str(x.dtype).removeprefix('torch.')}"
    if x.numel() == 0:
        return "the input is empty"
    if not (x.is_contiguous() or x.transpose(1, 2).is_contiguous()):
        return "the input is neither contiguous nor channels_last"
    return ""


def choose(x: Tensor, chain: Chain) -> ChainKernels:
    """Return the kernels that compute a chain, both directions, of an input ``[N, C, S]``."""
    if find_gap(x, chain):
        return chain_reference
    from placenorm.kernels.cpu import chain as cpu

    return cpu
