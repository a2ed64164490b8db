"""Which kernels compute a chain, or one with a pool: the fast ones where they cover the input, else the readable."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final, Protocol

import torch
from torch import Tensor

import placenorm.kernels.threads  # noqa: F401  (tells forked processes that torch's team is dead, from now on)
from placenorm.kernels import chain_pool_reference, chain_reference, pool_chain_reference
from placenorm.kernels.activations import FUNCTIONS
from placenorm.kernels.chain import Chain
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.pool_chain import MaxPool, Pool, PoolChain
from placenorm.kernels.running import Running

Fused = Chain | PoolChain | ChainPool
"""A norm with what is fused with it."""

LARGEST_WINDOW: Final = 3
LARGEST_STRIDE: Final = 2
"""Of the pools that there are fast kernels for."""


DTYPES: Final = {"cpu": (torch.float32,), "cuda": (torch.bfloat16, torch.float16, torch.float32)}
"""That there are fast kernels for, by the kind of device."""


HAS_TRITON: Final = find_spec("triton") is not None

MOST_CHANNELS: Final = 65535
"""Programs along the second axis of a grid of CUDA."""

MOST_VALUES: Final = 1 << 31
"""Of a channel; the kernels of a GPU count them in 32 bits."""


class ChainKernels(Protocol):
    """A module of kernels, with the two functions of `chain_reference`."""

    def chain_fwd(
        self,
        x: Tensor,
        residual: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        chain: Chain,
        running: Running | None = None,
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor]:
        """Return ``(y, bits, mean, var, rstd)``."""

    def chain_bwd(
        self,
        dy: Tensor,
        x: Tensor,
        told: Tensor | None,
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
        self,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        chain: PoolChain,
        running: Running | None = None,
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


class ChainPoolKernels(Protocol):
    """A module of kernels, with the two functions of `chain_pool_reference`."""

    def chain_pool_fwd(
        self,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        chain: ChainPool,
        running: Running | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return ``(y, winner, place, mean, var, rstd)``."""

    def chain_pool_bwd(
        self,
        dy: Tensor,
        x: Tensor,
        winner: Tensor,
        place: Tensor,
        mean: Tensor,
        rstd: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        chain: ChainPool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``(dx, dweight, dbias)``."""


def find_gap(x: Tensor, chain: Chain) -> str:
    """Return why no fast kernels cover a chain; "" where some do.

    Args:
        x: input, ``[N, C, *]``.
        chain: what is fused with the norm.
    """
    if x.is_contiguous() or _is_channels_last(x):
        return _find_gap(x, chain.before.name, chain.after.name)
    return _STRANGE


def _is_channels_last(x: Tensor) -> bool:
    """Whether the channels of a position lie together, and the positions one behind the other, in any rank."""
    if x.dim() == 3:
        samples, channels, positions = x.shape
        along, down = x.stride(2), x.stride(0)
        return (
            x.stride(1) == 1
            and (along == channels or positions == 1)
            and (down == channels * positions or samples == 1)
        )
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.dim() in formats and x.is_contiguous(memory_format=formats[x.dim()])


def choose(x: Tensor, chain: Chain) -> ChainKernels:
    """Return the kernels that compute a chain, both directions, of an input ``[N, C, *]``."""
    if find_gap(x, chain):
        return chain_reference
    if x.is_cuda:
        from placenorm.kernels.triton import chain as gpu

        return gpu
    from placenorm.kernels.cpu import chain as cpu

    return cpu


@contextmanager
def as_operator(x: Tensor) -> Iterator[None]:
    """Run kernels as an operator of torch: a graph of CUDA may own the memory, and nothing in it is kept."""
    if not x.is_cuda:
        yield
        return
    from placenorm.kernels.triton.launch import fresh_room

    with fresh_room():
        yield


def count_bytes_of_bits(x: Tensor, chain: Chain) -> int:
    """Return the bytes in which `ChainKernels.chain_fwd` tells where a ReLU behind an addition is on; 0 where y does.

    Args:
        x: input, ``[N, C, *]``.
        chain: what is fused with the norm.
    """
    if not x.is_cuda or find_gap(x, chain):
        return 0
    from placenorm.kernels.triton import chain as gpu

    return gpu.count_bytes_of_bits(x, chain)


def find_pool_gap(x: Tensor, chain: PoolChain) -> str:
    """Return why no fast kernels cover a pooled chain; "" where some do.

    Args:
        x: input, ``[N, C, H, W]``, or what is pooled of it.
        chain: what is fused with the norm.
    """
    if isinstance(chain.pool, MaxPool) and not chain.is_monotone:
        return f"{chain.before.name} may make a smaller input of a window the larger output"
    return find_window_gap(chain.pool) or _find_planar_gap(x, chain.before.name) or _find_count_gap(x, chain.pool)


def choose_pool(x: Tensor, chain: PoolChain) -> PoolChainKernels:
    """Return the kernels that compute a pooled chain, both directions; x as in `find_pool_gap`."""
    if find_pool_gap(x, chain):
        return pool_chain_reference
    if x.is_cuda:
        from placenorm.kernels.triton import pool_chain as gpu

        return gpu
    from placenorm.kernels.cpu import pool_chain as cpu

    return cpu


def find_chain_pool_gap(x: Tensor, chain: ChainPool) -> str:
    """Return why no fast kernels cover a chain with a pool behind it; "" where some do.

    Args:
        x: input, ``[N, C, H, W]``.
        chain: what is fused with the norm.
    """
    return find_window_gap(chain.pool) or _find_planar_gap(x, chain.after.name) or _find_count_gap(x, chain.pool)


def choose_chain_pool(x: Tensor, chain: ChainPool) -> ChainPoolKernels:
    """Return the kernels that compute a chain with a pool behind it, both directions; x as in `find_chain_pool_gap`."""
    if find_chain_pool_gap(x, chain):
        return chain_pool_reference
    if x.is_cuda:
        from placenorm.kernels.triton import chain_pool as gpu

        return gpu
    from placenorm.kernels.cpu import chain_pool as cpu

    return cpu


def find_any_gap(x: Tensor, fused: Fused) -> str:
    """Return why no fast kernels cover a norm with what is fused with it; "" where some do."""
    if isinstance(fused, PoolChain):
        return find_pool_gap(x, fused)
    if isinstance(fused, ChainPool):
        return find_chain_pool_gap(x, fused)
    return find_gap(x, fused)


def find_window_gap(pool: Pool) -> str:
    """Return why no fast kernels have a pool, whatever the input; "" where some do."""
    if not isinstance(pool, MaxPool):
        return "of pools there are kernels for max pools alone"
    if max(pool.stride) > LARGEST_STRIDE or max(pool.kernel_size) > LARGEST_WINDOW:
        return f"there are kernels for windows up to {LARGEST_WINDOW} and strides up to {LARGEST_STRIDE}"
    return ""


def _find_count_gap(x: Tensor, pool: Pool) -> str:
    """Return why a GPU cannot count what a kernel goes through: values, or cells of them and of the padding."""
    if not x.is_cuda:
        return ""
    (height, width), (down, right), (rows, columns) = x.shape[2:], pool.padding, pool.stride
    cells = x.shape[0] * -(-(height + down) // rows) * -(-(width + right) // columns)
    return "" if cells < MOST_VALUES else f"the kernels of a GPU count {MOST_VALUES} cells of a channel"


def _find_planar_gap(x: Tensor, activation: str) -> str:
    if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last):
        return _find_gap(x, activation)
    return _STRANGE


def _find_gap(x: Tensor, *activations: str) -> str:
    unknown = [name for name in activations if name not in FUNCTIONS]
    if unknown:
        return f"there is no kernel with {unknown[0]}"
    if x.device.type not in DTYPES:
        return f"there are no kernels for {x.device.type}"
    if x.is_cuda and not HAS_TRITON:
        return "the kernels of a GPU need Triton, which is not installed"
    if x.dtype not in DTYPES[x.device.type]:
        taken = ", ".join(str(each).removeprefix("torch.") for each in DTYPES[x.device.type])
        return f"the kernels of {x.device.type} take {taken}, this is {str(x.dtype).removeprefix('torch.')}"
    if not x.numel():
        return "the input is empty"
    if x.is_cuda and (x.shape[1] > MOST_CHANNELS or x.numel() // x.shape[1] >= MOST_VALUES):
        return f"the kernels of a GPU count {MOST_CHANNELS} channels and {MOST_VALUES} values of each"
    return ""


_STRANGE: Final = "the input is neither contiguous nor channels_last"
