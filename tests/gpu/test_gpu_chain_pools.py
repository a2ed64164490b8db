"""Chains with a max pool behind them on a GPU against the readable twin in float64, and both against torch."""

import pytest
import torch

from placenorm.kernels import chain_pool_reference
from placenorm.kernels.activations import FUNCTIONS
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.pool_chain import MaxPool
from placenorm.kernels.running import Running
from placenorm.kernels.triton import chain_pool as gpu
from support.cases.chains import find_activation
from support.chains_compared import EPS, POOL_LAYOUTS, POOLS, LayOut, compare_chain_pool, draw, run_chain_pool

pytestmark = pytest.mark.gpu

EACH_POOL = pytest.mark.parametrize("pool", POOLS, ids=lambda pool: f"{pool.kernel_size}-{pool.stride}-{pool.padding}")
EACH_LAYOUT = pytest.mark.parametrize("lay_out", POOL_LAYOUTS.values(), ids=POOL_LAYOUTS.keys())
SMALL = [(3, 5, 8, 8), (2, 3, 7, 9)]
LARGE = [(5, 1, 13, 14), (16, 72, 27, 29), (8, 64, 56, 56), (2, 3, 401, 203), (3, 300, 8, 6)]
RELU = find_activation("relu")
NARROW = [torch.bfloat16, torch.float16]


@pytest.mark.interpreted
@EACH_LAYOUT
@EACH_POOL
@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_chain_with_a_pool_is_as_near_to_the_truth_as_torch(
    shape: tuple[int, ...], pool: MaxPool, lay_out: LayOut, device: str
) -> None:
    compare_chain_pool(gpu, ChainPool(pool, RELU), shape, lay_out, device=device)


@pytest.mark.interpreted
@EACH_LAYOUT
@pytest.mark.parametrize("dtype", NARROW, ids=str)
@pytest.mark.parametrize("name", ["relu", "silu"])
def test_narrow_types_are_too(name: str, dtype: torch.dtype, lay_out: LayOut, device: str) -> None:
    compare_chain_pool(gpu, ChainPool(POOLS[1], find_activation(name)), (2, 16, 6, 7), lay_out, dtype, device)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # numpy, for values outside of the tensor
@pytest.mark.interpreted
@EACH_LAYOUT
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "relu"])
def test_other_activations_are_too(name: str, lay_out: LayOut, device: str) -> None:
    compare_chain_pool(gpu, ChainPool(POOLS[1], find_activation(name)), SMALL[1], lay_out, device=device)


@pytest.mark.interpreted
@EACH_LAYOUT
@pytest.mark.parametrize(
    ("shape", "mean", "std"),
    [((3, 1, 5, 7), 0.3, 1.7), ((1, 130, 5, 4), 0.3, 1.7), ((7, 3, 11, 13), 1e3, 0.1)],
    ids=["one-channel", "many-channels", "far-mean"],
)
def test_hard_inputs_are_too(shape: tuple[int, ...], mean: float, std: float, lay_out: LayOut, device: str) -> None:
    compare_chain_pool(gpu, ChainPool(POOLS[0], RELU), shape, lay_out, device=device, mean=mean, std=std)


@EACH_LAYOUT
@EACH_POOL
@pytest.mark.parametrize("shape", LARGE, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_large_inputs_are_too(
    dtype: torch.dtype, shape: tuple[int, ...], pool: MaxPool, lay_out: LayOut, device: str
) -> None:
    compare_chain_pool(gpu, ChainPool(pool, RELU), shape, lay_out, dtype, device)


@pytest.mark.interpreted
@EACH_LAYOUT
@pytest.mark.parametrize("name", ["relu", "silu"])
@pytest.mark.parametrize("gamma", [1.0, -1.0, 0.0])
def test_winners_are_those_of_the_twin(gamma: float, name: str, lay_out: LayOut, device: str) -> None:
    x = lay_out(torch.tensor([[1.0, 2.0, 5.0, 9.0], [3.0, 4.0, 6.0, 9.0]]).expand(2, 3, 2, 4)).to(device)
    chain = ChainPool(MaxPool((2, 2), (2, 2)), find_activation(name))
    given = x, torch.full((3,), gamma, device=device), torch.full((3,), 5.0, device=device), EPS, chain
    ours, twin = gpu.chain_pool_fwd(*given), chain_pool_reference.chain_pool_fwd(*given)
    assert torch.equal(ours[1], twin[1])
    assert torch.equal(ours[2], twin[2])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy, which interprets, warns of NaN
@pytest.mark.interpreted
@EACH_LAYOUT
@pytest.mark.parametrize("name", ["relu", "silu"])
def test_nan_and_infinity_stay_in_their_channel(name: str, lay_out: LayOut, device: str) -> None:
    x = draw((2, 4, 6, 6))
    x[0, 1, 2, 2], x[1, 2] = float("nan"), -float("inf")
    given = [each.to(device) for each in (lay_out(x), draw((2, 4, 3, 3), seed=1), torch.ones(4), torch.zeros(4))]
    ours, _, _ = run_chain_pool(gpu, ChainPool(POOLS[1], find_activation(name)), *given)
    for found in (ours.y, ours.dx):
        assert not bool(found[:, 1:3].isfinite().any())
        assert bool(found[:, ::3].isfinite().all())


@pytest.mark.interpreted
@EACH_LAYOUT
@pytest.mark.parametrize("name", ["relu", "silu"])
def test_running_statistics_are_brought_up_to_date_on_the_way(name: str, lay_out: LayOut, device: str) -> None:
    given = lay_out(draw((3, 5, 8, 6))).to(device), None, None, EPS, ChainPool(POOLS[1], find_activation(name))
    ours, twin = (
        Running(torch.ones(5, device=device), torch.ones(5, device=device), 0.3, torch.tensor(4, device=device))
        for _ in range(2)
    )
    gpu.chain_pool_fwd(*given, ours)
    chain_pool_reference.chain_pool_fwd(*given, twin)
    torch.testing.assert_close(ours.mean, twin.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.var, twin.var, rtol=1e-5, atol=1e-6)
    assert int(ours.tracked) == int(twin.tracked) == 5


@pytest.mark.parametrize("name", ["relu", "silu"])
def test_results_do_not_change_from_run_to_run(name: str, device: str) -> None:
    x = draw((32, 64, 56, 56)).to(device).contiguous(memory_format=torch.channels_last)
    dy, weight, bias = (each.to(device) for each in (draw((32, 64, 28, 28)), draw((64,)), draw((64,))))
    chain = ChainPool(POOLS[0], find_activation(name))
    first, second = (run_chain_pool(gpu, chain, x, dy, weight, bias) for _ in range(2))
    for field in first[0].__slots__:
        assert torch.equal(getattr(first[0], field), getattr(second[0], field)), field
