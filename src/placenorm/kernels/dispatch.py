"""Which kernels compute a chain or a pooled chain: the fast ones where they cover the input, else the readable ones."""

from collections.abc import Sequence
from typing import Final, Protocol

import torch
from torch import Tensor

from placenorm.kernels import chain_reference, pool_chain_reference
from placenorm.kernels.activations import FUNCTIONS, Activation
from placenorm.kernels.chain import Chain
from placenorm.kernels.pool_chain import PoolChain

LARGEST_WINDOW: Final = 3
LARGEST_STRIDE: Final = 2
"""Of the pools that there are fast kernels for."""


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


class PoolChainKernels(Protocol):
    """A module of kernels, with the two functions of `pool_chain_reference`."""

    def pool_chain_fwd(
        self, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, chain: PoolChain
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return ``(y, winner, place, mean, var, rstd)``."""

    def pool_chain_bwd(
        self,
        dy: Tensor,
        winner: Tensor,
        place: Tensor,
        mean: Tensor,
        rstd: Tensor,
        weight: Tensor | None,
        size: tuple[int, int],
        chain: PoolChain,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``(dx, dweight, dbias)``."""


def find_gap(x: Tensor, chain: Chain) -> str:
    """Return why no fast kernels cover a chain; "" where some do.

    Args:
        x: input, ``[N, C, *]``.
        chain: what is fused with the norm.
    """
    if x.is_contiguous() or x.movedim(1, -1).is_contiguous():
        return _find_gap(x, (chain.before, chain.after))
    return _STRANGE


def choose(x: Tensor, chain: Chain) -> ChainKernels:
    """Return the kernels that compute a chain, both directions, of an input ``[N, C, S]``."""
    if find_gap(x, chain):
        return chain_reference
    from placenorm.kernels.cpu import chain as cpu

    return cpu


def find_pool_gap(x: Tensor, chain: PoolChain) -> str:
    """Return why no fast kernels cover a pooled chain; "" where some do.

    Args:
        x: input, ``[N, C, H, W]``, or what is pooled of it.
        chain: what is fused with the norm.
    """
    if not chain.is_monotone:
        return f"{chain.before.name} may make a smaller input of a window the larger output"
    if chain.pool.stride[1] > LARGEST_STRIDE or max(chain.pool.kernel_size) > LARGEST_WINDOW:
        return f"there are kernels for windows up to {LARGEST_WINDOW} and strides up to {LARGEST_STRIDE}"
    if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last):
        return _find_gap(x, (chain.before,))
    return _STRANGE


def choose_pool(x: Tensor, chain: PoolChain) -> PoolChainKernels:
    """Return the kernels that compute a pooled chain, both directions; x as in `find_pool_gap`."""
    if find_pool_gap(x, chain):
        return pool_chain_reference
    from placenorm.kernels.cpu import pool_chain as cpu

    return cpu


def _find_gap(x: Tensor, activations: Sequence[Activation]) -> str:
    unknown = [each.name for each in activations if each.name not in FUNCTIONS]
    if unknown:
        return f"there is no kernel with {unknown[0]}"
    if x.device.type != "cpu":
        return f"there are no kernels of {x.device.type} yet"
    if x.dtype != torch.float32:
        return f"the kernels of the processor take float32, this is {str(x.dtype).removeprefix('torch.')}"
    return "" if x.numel() else "the input is empty"


_STRANGE: Final = "the input is neither contiguous nor channels_last"
