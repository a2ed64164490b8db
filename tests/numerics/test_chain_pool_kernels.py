"""Chains with a max pool behind them on the processor against the readable twin in float64, and both against torch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from placenorm.kernels import chain_pool_reference, dispatch
from placenorm.kernels.activations import FUNCTIONS, Activation
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.cpu import chain_pool as cpu
from placenorm.kernels.pool_chain import AvgPool, MaxPool
from placenorm.kernels.running import Running
from support.cases.chains import find_activation
from support.chains_compared import (
    EPS,
    POOL_LAYOUTS,
    POOLS,
    LayOut,
    PoolOutcome,
    compare_chain_pool,
    draw,
    make_pooled,
    run_chain_pool,
    run_torch_chain_pool,
)

SHAPES = [(3, 5, 8, 8), (2, 3, 7, 9), (5, 1, 3, 4), (1, 17, 5, 3)]
RARE = [name for name in FUNCTIONS if name not in ("identity", "relu")]
RELU = find_activation("relu")
EACH_POOL = pytest.mark.parametrize("pool", POOLS, ids=lambda pool: f"{pool.kernel_size}-{pool.stride}-{pool.padding}")
EACH_LAYOUT = pytest.mark.parametrize("lay_out", POOL_LAYOUTS.values(), ids=POOL_LAYOUTS.keys())


@pytest.fixture(autouse=True)
def memory_that_holds_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that forgets a value leaves NaN, or the last place."""

    def fill(shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
        value = float("nan") if dtype.is_floating_point else 255
        return torch.full(shape, value, dtype=dtype).contiguous(memory_format=layout)

    monkeypatch.setattr(cpu, "empty", fill)


def compare(chain: ChainPool, shape: tuple[int, ...], lay_out: LayOut, **moments: float) -> None:
    assert dispatch.find_chain_pool_gap(lay_out(draw(shape)), chain) == ""
    compare_chain_pool(cpu, chain, shape, lay_out, **moments)


@EACH_LAYOUT
@EACH_POOL
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_chain_with_a_pool_is_as_near_to_the_truth_as_torch(
    shape: tuple[int, ...], pool: MaxPool, lay_out: LayOut
) -> None:
    compare(ChainPool(pool, RELU), shape, lay_out)


@EACH_LAYOUT
@pytest.mark.parametrize("name", ["identity", "silu"])
def test_without_an_activation_and_with_one_that_falls_it_is_too(name: str, lay_out: LayOut) -> None:
    compare(ChainPool(POOLS[0], find_activation(name)), SHAPES[1], lay_out)


@EACH_LAYOUT
@pytest.mark.parametrize("pool", POOLS[:4], ids=lambda pool: f"{pool.kernel_size}-{pool.stride}")
@pytest.mark.parametrize("name", ["relu", "silu"])
def test_rows_of_many_windows_are_too(name: str, pool: MaxPool, lay_out: LayOut) -> None:
    compare(ChainPool(pool, find_activation(name)), (2, 2, 9, 75), lay_out)


@pytest.mark.slow
@EACH_LAYOUT
@pytest.mark.parametrize("pool", POOLS[:2], ids=["two", "three"])
@pytest.mark.parametrize("name", RARE)
def test_rare_activations_are_too(name: str, pool: MaxPool, lay_out: LayOut) -> None:
    compare(ChainPool(pool, find_activation(name)), SHAPES[1], lay_out)


@EACH_LAYOUT
@pytest.mark.parametrize(("mean", "std"), [(1e3, 0.1), (0.0, 1e-6)], ids=["far-mean", "tiny"])
def test_numbers_that_cancel_lose_no_more_than_with_torch(mean: float, std: float, lay_out: LayOut) -> None:
    compare(ChainPool(POOLS[1], RELU), (7, 3, 11, 13), lay_out, mean=mean, std=std)


@EACH_LAYOUT
@pytest.mark.parametrize("shape", [(2, 2, 71, 67), (2, 130, 5, 6)], ids=["large-plane", "many-channels"])
def test_longer_sums_than_a_run_are_too(shape: tuple[int, ...], lay_out: LayOut) -> None:
    compare(ChainPool(POOLS[0], RELU), shape, lay_out)


@EACH_POOL
@pytest.mark.parametrize("name", FUNCTIONS)
def test_twin_is_torch_in_float64(name: str, pool: MaxPool) -> None:
    chain = ChainPool(pool, find_activation(name))
    given = [each.double() for each in make_pooled(SHAPES[1], pool, torch.Tensor.contiguous)]
    twin, torchs = run_chain_pool(chain_pool_reference, chain, *given)[0], run_torch_chain_pool(chain, *given)
    for field in PoolOutcome.__slots__:
        torch.testing.assert_close(getattr(twin, field), getattr(torchs, field), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["leaky_relu", "elu"])
def test_slope_below_zero_falls(name: str) -> None:
    assert not ChainPool(POOLS[0], Activation(name, -1.5)).is_monotone
    chain = ChainPool(POOLS[0], Activation(name, -1.5))
    given = make_pooled(SHAPES[0], POOLS[0], torch.Tensor.contiguous)
    ours, torchs = run_chain_pool(cpu, chain, *given)[0], run_torch_chain_pool(chain, *given)
    torch.testing.assert_close(ours.y, torchs.y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.dx, torchs.dx, rtol=1e-4, atol=1e-5)


@EACH_LAYOUT
@pytest.mark.parametrize("name", ["relu", "silu"])
@pytest.mark.parametrize(
    ("gamma", "wanted"), [(1.0, [3, 1]), (-1.0, [0, 0]), (0.0, [0, 0])], ids=["largest", "smallest", "first"]
)
def test_what_is_compared_is_what_comes_behind_the_norm(
    gamma: float, wanted: list[int], name: str, lay_out: LayOut
) -> None:
    x = torch.tensor([[1.0, 2.0, 5.0, 9.0], [3.0, 4.0, 6.0, 9.0]]).expand(1, 1, 2, 4)
    chain = ChainPool(MaxPool((2, 2), (2, 2)), find_activation(name))
    given = lay_out(x), torch.tensor([gamma]), torch.tensor([5.0]), EPS
    for kernels in (cpu, chain_pool_reference):
        _, winner, place, *_ = kernels.chain_pool_fwd(*given, chain)
        assert place.flatten().tolist() == wanted
        assert winner.flatten().tolist() == [float(x[0, 0, k // 2, k % 2 + 2 * o]) for o, k in enumerate(wanted)]


@EACH_LAYOUT
@pytest.mark.parametrize("name", ["relu", "silu"])
def test_nan_wins_and_stays_in_its_channel(name: str, lay_out: LayOut) -> None:
    x = draw((2, 3, 6, 6))
    x[0, 1, 2, 2] = float("nan")
    chain = ChainPool(POOLS[1], find_activation(name))
    given = lay_out(x), draw((2, 3, 3, 3), seed=1), torch.ones(3), torch.zeros(3)
    ours, winner, place = run_chain_pool(cpu, chain, *given)
    assert bool(ours.y[:, 1].isnan().all())
    assert bool(ours.dx[:, 1].isnan().all())
    assert bool(ours.y[:, ::2].isfinite().all())
    assert bool(ours.dx[:, ::2].isfinite().all())
    if chain.is_monotone:
        assert bool(winner[0, 1, 1, 1].isnan())
        assert int(place[0, 1, 1, 1]) == 4


@EACH_LAYOUT
def test_running_statistics_are_brought_up_to_date(lay_out: LayOut) -> None:
    ours, twin = (Running(torch.ones(5), torch.ones(5), 0.3, torch.tensor(4)) for _ in range(2))
    given = lay_out(draw((3, 5, 8, 6))), None, None, EPS, ChainPool(POOLS[1], RELU)
    cpu.chain_pool_fwd(*given, ours)
    chain_pool_reference.chain_pool_fwd(*given, twin)
    torch.testing.assert_close(ours.mean, twin.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.var, twin.var, rtol=1e-5, atol=1e-6)
    assert int(ours.tracked) == int(twin.tracked) == 5


@EACH_LAYOUT
def test_upstream_gradient_in_another_layout_is_taken(lay_out: LayOut) -> None:
    x, dy, weight, bias = make_pooled(SHAPES[0], POOLS[0], lay_out)
    chain = ChainPool(POOLS[0], RELU)
    usual, _, _ = run_chain_pool(cpu, chain, x, dy, weight, bias)
    strange = dy.transpose(2, 3).contiguous().transpose(2, 3)
    other, _, _ = run_chain_pool(cpu, chain, x, strange, weight, bias)
    torch.testing.assert_close(usual.dx, other.dx, rtol=0, atol=0)


@pytest.mark.parametrize("threads", [2, 3])
@EACH_LAYOUT
def test_work_is_shared_out(threads: int, lay_out: LayOut) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for name in ("relu", "silu"):
            compare(ChainPool(POOLS[1], find_activation(name)), (5, 4, 9, 8), lay_out)
    finally:
        torch.set_num_threads(before)


def test_gap_names_what_no_kernel_covers() -> None:
    x, pool = draw((2, 3, 8, 8)), POOLS[0]
    gaps: list[Callable[[], str]] = [
        lambda: dispatch.find_chain_pool_gap(x, ChainPool(AvgPool((2, 2), (2, 2)))),
        lambda: dispatch.find_chain_pool_gap(x, ChainPool(MaxPool((5, 5), (2, 2)))),
        lambda: dispatch.find_chain_pool_gap(x.double(), ChainPool(pool)),
        lambda: dispatch.find_chain_pool_gap(x[..., ::2], ChainPool(pool)),
        lambda: dispatch.find_chain_pool_gap(x[:0], ChainPool(pool)),
        lambda: dispatch.find_chain_pool_gap(x, ChainPool(pool, Activation("mish"))),
    ]
    assert [find() for find in gaps] == [
        "of pools there are kernels for max pools alone",
        "there are kernels for windows up to 3 and strides up to 2",
        "the kernels of cpu take float32, this is float64",
        "the input is neither contiguous nor channels_last",
        "the input is empty",
        "there is no kernel with mish",
    ]


def test_chain_says_what_it_is() -> None:
    assert str(ChainPool(POOLS[0], RELU)) == "norm-relu-maxpool"
    assert str(ChainPool(AvgPool((2, 2), (2, 2)))) == "norm-avgpool"
