"""The pooled chains on a GPU against the readable twin in float64, and both against torch."""

import pytest
import torch

from placenorm.kernels import pool_chain_reference
from placenorm.kernels.pool_chain import MONOTONE, MaxPool, PoolChain
from placenorm.kernels.running import Running
from placenorm.kernels.triton import pool_chain as gpu
from support.cases.chains import find_activation
from support.chains_compared import EPS, POOL_LAYOUTS, POOLS, LayOut, compare_pooled, draw

pytestmark = pytest.mark.gpu

EACH_POOL = pytest.mark.parametrize("pool", POOLS, ids=lambda pool: f"{pool.kernel_size}-{pool.stride}-{pool.padding}")
EACH_LAYOUT = pytest.mark.parametrize("lay_out", POOL_LAYOUTS.values(), ids=POOL_LAYOUTS.keys())
SMALL = [(3, 5, 8, 8), (2, 3, 7, 9)]
LARGE = [(5, 1, 13, 14), (16, 72, 27, 29), (8, 64, 56, 56), (2, 3, 401, 203), (3, 300, 8, 6)]
RELU = find_activation("relu")


@pytest.mark.interpreted
@EACH_LAYOUT
@EACH_POOL
@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_pooled_chain_is_as_near_to_the_truth_as_torch(
    shape: tuple[int, ...], pool: MaxPool, lay_out: LayOut, device: str
) -> None:
    compare_pooled(gpu, PoolChain(pool, RELU), shape, lay_out, device=device)


@pytest.mark.interpreted
@EACH_LAYOUT
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_narrow_types_are_too(dtype: torch.dtype, lay_out: LayOut, device: str) -> None:
    compare_pooled(gpu, PoolChain(POOLS[1], RELU), (2, 16, 6, 7), lay_out, dtype, device)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy, for values outside of the tensor
@pytest.mark.interpreted
@pytest.mark.parametrize("name", [name for name in MONOTONE if name != "relu"])
def test_other_activations_are_too(name: str, device: str) -> None:
    compare_pooled(gpu, PoolChain(POOLS[0], find_activation(name)), SMALL[1], POOL_LAYOUTS["rows"], device=device)


@EACH_LAYOUT
@EACH_POOL
@pytest.mark.parametrize("shape", LARGE, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_large_inputs_are_too(
    dtype: torch.dtype, shape: tuple[int, ...], pool: MaxPool, lay_out: LayOut, device: str
) -> None:
    compare_pooled(gpu, PoolChain(pool, RELU), shape, lay_out, dtype, device)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy, which interprets, warns of NaN
@pytest.mark.interpreted
@EACH_LAYOUT
def test_first_of_equals_wins_and_nan_wins_always(lay_out: LayOut, device: str) -> None:
    x = torch.zeros(2, 2, 4, 4)
    x[0, 0, 1, 1] = float("nan")
    x[1, 1] = -float("inf")
    chain = PoolChain(MaxPool((3, 3), (2, 2), (1, 1)))
    _, winner, place, *_ = gpu.pool_chain_fwd(lay_out(x).to(device), None, None, EPS, chain)
    torchs, flat = torch.nn.functional.max_pool2d(x, 3, 2, 1, return_indices=True)
    top, left = torch.tensor([-1, 1])[:, None], torch.tensor([-1, 1])
    torch.testing.assert_close(winner.cpu(), torchs, equal_nan=True)
    assert torch.equal(place.cpu().long(), (flat // 4 - top) * 3 + flat % 4 - left)


@pytest.mark.interpreted
@EACH_LAYOUT
def test_running_statistics_are_brought_up_to_date_on_the_way(lay_out: LayOut, device: str) -> None:
    x, chain = lay_out(draw((3, 5, 8, 6))).to(device), PoolChain(POOLS[1], RELU)
    ours, twin = (
        Running(torch.ones(5, device=device), torch.ones(5, device=device), 0.3, torch.tensor(4, device=device))
        for _ in range(2)
    )
    gpu.pool_chain_fwd(x, None, None, EPS, chain, ours)
    pool_chain_reference.pool_chain_fwd(x, None, None, EPS, chain, twin)
    torch.testing.assert_close(ours.mean, twin.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.var, twin.var, rtol=1e-5, atol=1e-6)
    assert int(ours.tracked) == int(twin.tracked) == 5


def test_results_do_not_change_from_run_to_run(device: str) -> None:
    x = draw((32, 64, 56, 56)).to(device).contiguous(memory_format=torch.channels_last)
    chain = PoolChain(POOLS[0], RELU)
    first, second = (gpu.pool_chain_fwd(x, None, None, EPS, chain) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
