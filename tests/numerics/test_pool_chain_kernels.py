"""The pooled chains on the processor against the readable twin in float64, and both against torch."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenorm.kernels import dispatch, pool_chain_reference
from placenorm.kernels.activations import Activation, activate
from placenorm.kernels.cpu import memory
from placenorm.kernels.cpu import pool_chain as cpu
from placenorm.kernels.pool_chain import MONOTONE, MaxPool, PoolChain
from placenorm.layers import BatchNorm2d
from placenorm.layers.pool_chain_operators import pool_chain as operator
from support.cases.chains import find_activation
from support.chains_compared import (
    EPS,
    POOL_LAYOUTS,
    POOLS,
    PoolOutcome,
    compare_pooled,
    draw,
    make_pooled,
    run_pooled,
    run_torch_pooled,
)

SHAPES = [(3, 5, 8, 8), (2, 3, 7, 9), (5, 1, 3, 4), (1, 17, 5, 3)]
EACH_POOL = pytest.mark.parametrize("pool", POOLS, ids=lambda pool: f"{pool.kernel_size}-{pool.stride}-{pool.padding}")
EACH_LAYOUT = pytest.mark.parametrize("lay_out", POOL_LAYOUTS.values(), ids=POOL_LAYOUTS.keys())


@pytest.fixture(autouse=True)
def memory_that_holds_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that forgets a value leaves NaN, or the last place."""

    def fill(shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
        value = float("nan") if dtype.is_floating_point else 255
        return torch.full(shape, value, dtype=dtype).contiguous(memory_format=layout)

    monkeypatch.setattr(cpu, "empty", fill)


@EACH_LAYOUT
@EACH_POOL
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["relu", "identity"])
def test_pooled_chain_is_as_near_to_the_truth_as_torch(
    name: str, shape: tuple[int, ...], pool: MaxPool, lay_out: Callable[[Tensor], Tensor]
) -> None:
    compare(PoolChain(pool, find_activation(name)), shape, lay_out)


@EACH_LAYOUT
@EACH_POOL
def test_rows_of_many_windows_are_too(pool: MaxPool, lay_out: Callable[[Tensor], Tensor]) -> None:
    compare(PoolChain(pool, find_activation("relu")), (2, 2, 9, 75), lay_out)


@pytest.mark.slow
@EACH_LAYOUT
@pytest.mark.parametrize("name", [name for name in MONOTONE if name not in ("relu", "identity")])
def test_rare_activations_are_too(name: str, lay_out: Callable[[Tensor], Tensor]) -> None:
    compare(PoolChain(POOLS[0], find_activation(name)), SHAPES[1], lay_out)


def compare(chain: PoolChain, shape: tuple[int, ...], lay_out: Callable[[Tensor], Tensor]) -> None:
    assert dispatch.find_pool_gap(lay_out(draw(shape)), chain) == ""
    compare_pooled(cpu, chain, shape, lay_out)


@EACH_POOL
@pytest.mark.parametrize("name", MONOTONE)
def test_twin_is_torch_in_float64(name: str, pool: MaxPool) -> None:
    chain = PoolChain(pool, find_activation(name))
    given = [each.double() for each in make_pooled(SHAPES[1], pool, torch.Tensor.contiguous)]
    twin, torchs = run_pooled(pool_chain_reference, chain, *given), run_torch_pooled(chain, *given)
    for field in PoolOutcome.__slots__:
        torch.testing.assert_close(getattr(twin, field), getattr(torchs, field), rtol=1e-9, atol=1e-9)


@EACH_LAYOUT
def test_first_of_equals_wins_and_nan_wins_always(lay_out: Callable[[Tensor], Tensor]) -> None:
    x = torch.zeros(2, 2, 4, 4)
    x[0, 0, 1, 1] = float("nan")
    chain = PoolChain(POOLS[0])
    _, winner, place, *_ = cpu.pool_chain_fwd(lay_out(x), None, None, EPS, chain)
    assert bool(winner[0, 0, 0, 0].isnan())
    assert place[0, 0, 0, 0] == 3
    assert int(place.sum()) == 3


@EACH_LAYOUT
def test_backward_keeps_five_bytes_for_each_value_that_is_left(lay_out: Callable[[Tensor], Tensor]) -> None:
    x = lay_out(draw((4, 8, 16, 16))).requires_grad_()
    saved: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        operator(x, None, None, EPS, "relu", 0.0, [2, 2, 2, 2, 0, 0, 0])
    large = [each for each in saved if each.numel() > 8]
    assert sum(each.numel() * each.element_size() for each in large) == 5 * x.numel() // 4


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # opcheck itself reads it, torch 2.14
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["fast", "readable"])
@EACH_LAYOUT
def test_operator_is_what_torch_asks_of_one(lay_out: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    x, _, weight, bias = (each.to(dtype).requires_grad_() for each in make_pooled(SHAPES[0], POOLS[1], lay_out))
    found = torch.library.opcheck(operator, (x, weight, bias, EPS, "relu", 0.0, [3, 3, 2, 2, 1, 1, 0]))
    assert set(found.values()) == {"SUCCESS"}


def test_second_derivative_raises() -> None:
    x = draw((2, 3, 4, 4)).requires_grad_()
    y = operator(x, None, None, EPS, "relu", 0.0, [2, 2, 2, 2, 0, 0, 0])[0]
    with pytest.raises(RuntimeError, match="Cannot differentiate a pooled norm a second time"):
        torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)


@pytest.mark.parametrize(
    ("make_pool", "error", "said"),
    [
        (lambda: MaxPool((0, 2), (2, 2)), ValueError, "window and stride are at least 1"),
        (lambda: MaxPool((2, 2), (2, 2), (2, 0)), ValueError, "at most half of its window"),
        (lambda: MaxPool((5, 5), (2, 2)).find_size(4, 9), RuntimeError, "Cannot pool 4x9 by windows of 5x5"),
    ],
    ids=["window", "padding", "too-large"],
)
def test_pool_that_cannot_be_is_refused(make_pool: Callable[[], object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        make_pool()


@pytest.mark.parametrize("name", ["leaky_relu", "elu"])
def test_activation_that_falls_is_not_fused_with_a_pool(name: str) -> None:
    falling, rising = (PoolChain(POOLS[0], Activation(name, slope)) for slope in (-1.5, 1.5))
    assert not falling.is_monotone
    assert rising.is_monotone
    x, layer = draw((2, 3, 6, 6)), BatchNorm2d(3, before=Activation(name, -1.5), pool=POOLS[0])
    wanted = nn.BatchNorm2d(3)(F.max_pool2d(activate(x, Activation(name, -1.5)), 2))
    torch.testing.assert_close(layer(x), wanted)


def test_gap_names_what_no_kernel_covers() -> None:
    x, pool = draw((2, 3, 8, 8)), POOLS[0]
    gaps = [
        dispatch.find_pool_gap(x, PoolChain(pool, find_activation("silu"))),
        dispatch.find_pool_gap(x, PoolChain(MaxPool((5, 5), (2, 2)))),
        dispatch.find_pool_gap(x.double(), PoolChain(pool)),
        dispatch.find_pool_gap(x[..., ::2], PoolChain(pool)),
    ]
    assert gaps == [
        "silu may make a smaller input of a window the larger output",
        "there are kernels for windows up to 3 and strides up to 2",
        "the kernels of cpu take float32, this is float64",
        "the input is neither contiguous nor channels_last",
    ]


def test_fresh_memory_has_the_layout_that_was_asked_for() -> None:
    assert memory.empty((2, 3, 4, 5), torch.uint8, torch.channels_last).is_contiguous(memory_format=torch.channels_last)
