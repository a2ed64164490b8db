"""Pools as layers of torch, as kernels take them, and as the numbers that operators and graphs hold."""

import torch
from torch import nn
from torch.nn.modules.utils import _pair

from placenorm.kernels.activations import choose_parameter
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.pool_chain import AvgPool, MaxPool, Pool, PoolChain

SIZES = 6
"""Numbers that `list_sizes` gives."""


def read_pool(pool: nn.MaxPool2d | nn.AvgPool2d | Pool | None) -> Pool | None:
    """Return a pool as kernels take it.

    Raises:
        ValueError: it is no max pool or average pool of torch's in two dimensions, or has a dilation or indices.
    """
    if pool is None or isinstance(pool, Pool):
        return pool
    if isinstance(pool, nn.AvgPool2d):
        stride = pool.kernel_size if pool.stride is None else pool.stride
        return AvgPool(
            _pair(pool.kernel_size), _pair(stride), _pair(pool.padding), pool.ceil_mode, pool.count_include_pad,
            pool.divisor_override,
        )  # fmt: skip
    if not isinstance(pool, nn.MaxPool2d) or pool.return_indices or _pair(pool.dilation) != (1, 1):
        raise ValueError(
            "A norm takes a torch.nn.MaxPool2d without dilation and indices, or a torch.nn.AvgPool2d, not "
            f"{pool}; leave it a layer."
        )
    return MaxPool(_pair(pool.kernel_size), _pair(pool.stride), _pair(pool.padding), pool.ceil_mode)


def list_sizes(pool: Pool) -> list[int]:
    """Return window, stride and padding of a pool, each down and to the right."""
    return [*pool.kernel_size, *pool.stride, *pool.padding]


def list_pool(pool: Pool) -> list[int]:
    """Return all of a pool as numbers: its sizes, its ceil_mode, and two more of an average pool (divisor 0: none)."""
    more = [int(pool.count_include_pad), pool.divisor_override or 0] if isinstance(pool, AvgPool) else []
    return [*list_sizes(pool), int(pool.ceil_mode), *more]


def _make_pool(numbers: tuple[int, ...]) -> Pool:
    window, stride, padding = ((numbers[at], numbers[at + 1]) for at in (0, 2, 4))
    ceil_mode, *more = numbers[SIZES:]
    if more:
        return AvgPool(window, stride, padding, bool(ceil_mode), bool(more[0]), more[1] or None)
    return MaxPool(window, stride, padding, bool(ceil_mode))


def describe_pool_chain(before: str, parameter: float, numbers: list[int]) -> PoolChain:
    """Return the chain of an activation by name, its parameter, and a pool as `list_pool` gives it."""
    key = before, parameter, tuple(numbers)
    held = _POOL_CHAINS.get(key)
    if held is None:
        held = PoolChain(_make_pool(key[2]), choose_parameter(before, parameter))
        if not torch.compiler.is_compiling():
            _POOL_CHAINS[key] = held
    return held


def describe_chain_pool(after: str, parameter: float, numbers: list[int]) -> ChainPool:
    """Return the chain of an activation by name, its parameter, and a pool behind it as `list_pool` gives it."""
    key = after, parameter, tuple(numbers)
    held = _CHAIN_POOLS.get(key)
    if held is None:
        held = ChainPool(_make_pool(key[2]), choose_parameter(after, parameter))
        if not torch.compiler.is_compiling():
            _CHAIN_POOLS[key] = held
    return held


_POOL_CHAINS: dict[tuple[str, float, tuple[int, ...]], PoolChain] = {}
_CHAIN_POOLS: dict[tuple[str, float, tuple[int, ...]], ChainPool] = {}
"""Those there have been, as in `chain_operators`."""
