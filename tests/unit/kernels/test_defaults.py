"""torch's default type and device, which the kernels do not follow."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from placenorm.kernels.activations import Activation
from placenorm.kernels.chain import Chain
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.cpu import chain, chain_pool, pool_chain
from placenorm.kernels.cpu.planes import measure_planes
from placenorm.kernels.pool_chain import MaxPool, PoolChain

RELU, POOL = Activation("relu"), MaxPool((2, 2), (2, 2))
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def run_chain(x: Tensor, dy: Tensor) -> list[Any]:
    y, _, mean, var, rstd = chain.chain_fwd(x, None, None, None, 1e-5, Chain(RELU))
    return [y, mean, var, rstd, *chain.chain_bwd(dy, x, None, mean, rstd, None, None, Chain(RELU))]


def run_pool_chain(x: Tensor, dy: Tensor) -> list[Any]:
    fused = PoolChain(POOL, RELU)
    found = pool_chain.pool_chain_fwd(x, None, None, 1e-5, fused)
    _, winner, place, mean, _, rstd = found
    small = dy[:, :, ::2, ::2]
    return [*found, *pool_chain.pool_chain_bwd(small, winner, place, mean, rstd, None, (6, 6), fused)]


def run_chain_pool(x: Tensor, dy: Tensor) -> list[Any]:
    fused = ChainPool(POOL, RELU)
    found = chain_pool.chain_pool_fwd(x, None, None, 1e-5, fused)
    _, winner, place, mean, _, rstd = found
    small = dy[:, :, ::2, ::2]
    return [*found, *chain_pool.chain_pool_bwd(small, x, winner, place, mean, rstd, None, None, fused)]


def run_planes(x: Tensor, dy: Tensor) -> list[Any]:
    return list(measure_planes(x.contiguous()))


@pytest.fixture
def other_defaults() -> Iterator[Callable[[], None]]:
    def change() -> None:
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")

    yield change
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("run", [run_chain, run_pool_chain, run_chain_pool, run_planes])
def test_defaults_of_torch_change_nothing(
    run: Callable[[Tensor, Tensor], list[Any]], layout: torch.memory_format, other_defaults: Callable[[], None]
) -> None:
    drawn = torch.Generator().manual_seed(0)
    x, dy = (torch.randn(2, 3, 6, 6, generator=drawn).contiguous(memory_format=layout) for _ in range(2))
    expected = run(x, dy)
    other_defaults()
    torch.testing.assert_close(run(x, dy), expected, rtol=0, atol=0)
