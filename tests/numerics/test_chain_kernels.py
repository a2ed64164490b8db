"""The fused chains on the processor, held against the readable twin in float64 and against torch on the same input."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from placenorm.kernels import dispatch
from placenorm.kernels.activations import FUNCTIONS, activate, differentiate
from placenorm.kernels.chain import Chain
from placenorm.kernels.cpu import chain as cpu
from placenorm.kernels.cpu import memory
from placenorm.layers.chain_operators import chain as chain_operator
from support.cases.chains import COMMON, INPUTS, LAYOUTS, RARE, RELU, ChainInput, find_activation
from support.chains_compared import EPS, compare_chain, run_kernels

EACH_INPUT = pytest.mark.parametrize("given", INPUTS, ids=lambda given: given.name)
EACH_LAYOUT = pytest.mark.parametrize("lay_out", LAYOUTS.values(), ids=LAYOUTS.keys())


@pytest.fixture(params=[1, 3], ids=["one-thread", "three-threads"])
def count_of_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def memory_that_holds_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that forgets a value leaves NaN."""
    monkeypatch.setattr(cpu, "empty_like", lambda x: torch.full_like(x, float("nan")))


def compare(chain: Chain, given: ChainInput, lay_out: Callable[[Tensor], Tensor]) -> None:
    assert dispatch.find_gap(lay_out(torch.empty(given.shape)), chain) == ""
    compare_chain(cpu, chain, given, lay_out)


@EACH_LAYOUT
@EACH_INPUT
@pytest.mark.parametrize("chain", COMMON, ids=str)
def test_chain_is_as_near_to_the_truth_as_torch(
    chain: Chain, given: ChainInput, lay_out: Callable[[Tensor], Tensor], count_of_threads: int
) -> None:
    compare(chain, given, lay_out)


@pytest.mark.slow
@EACH_LAYOUT
@EACH_INPUT
@pytest.mark.parametrize("chain", RARE, ids=str)
def test_rare_chain_is_as_near_to_the_truth_as_torch(
    chain: Chain, given: ChainInput, lay_out: Callable[[Tensor], Tensor]
) -> None:
    compare(chain, given, lay_out)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivative_is_that_of_torch(name: str) -> None:
    activation = find_activation(name)
    x = torch.linspace(-7, 7, 561, dtype=torch.float64)
    x[280] = 0.0
    x.requires_grad_()
    activate(x, activation).sum().backward()
    torch.testing.assert_close(differentiate(x.detach(), activation), x.grad)


@EACH_LAYOUT
def test_nan_and_infinity_stay_in_their_channel(lay_out: Callable[[Tensor], Tensor]) -> None:
    chain = Chain(after=RELU)
    held = ChainInput("spoilt", (4, 3, 10)).make(chain, lay_out)
    x = held["x"]
    assert x is not None
    x[1, 0, 2], x[2, 1, 3] = float("nan"), float("inf")
    y = run_kernels(cpu, chain, held).y
    assert not y[:, 0].isfinite().any()
    assert y[:, 2].isfinite().all()
    assert bool(y[2, 1, 3].isnan())


def test_gap_names_what_no_kernel_covers() -> None:
    x, chain = torch.randn(2, 3, 8), Chain(after=RELU)
    gaps = {
        "takes": dispatch.find_gap(x, chain),
        "type": dispatch.find_gap(x.double(), chain),
        "layout": dispatch.find_gap(x[..., ::2], chain),
        "empty": dispatch.find_gap(x[:0], chain),
        "activation": dispatch.find_gap(x, Chain(find_activation("mish"))),
    }
    assert gaps == {
        "takes": "",
        "type": "the kernels of cpu take float32, this is float64",
        "layout": "the input is neither contiguous nor channels_last",
        "empty": "the input is empty",
        "activation": "there is no kernel with mish",
    }


@pytest.mark.parametrize(
    ("before", "after", "adds", "said"),
    [
        ("relu", "silu", False, "A norm is fused with one activation, not with relu in front of it and silu behind it"),
        ("identity", "silu", True, "Behind an addition a norm is fused with identity or relu, not with silu"),
    ],
)
def test_chain_without_a_gradient_is_refused(before: str, after: str, adds: bool, said: str) -> None:
    x = torch.randn(2, 3, 8)
    with pytest.raises(ValueError, match=said):
        chain_operator(x, x if adds else None, None, None, EPS, before, after, 0.0)


def test_large_result_has_the_layout_of_its_input() -> None:
    x = torch.empty(2, 64, 160, 160).contiguous(memory_format=torch.channels_last)
    y = memory.empty_like(x)
    assert y.stride() == x.stride()
    y.fill_(1.0)
    assert float(y.sum()) == y.numel()
