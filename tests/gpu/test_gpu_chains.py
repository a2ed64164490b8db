"""The fused chains on a GPU against the readable twin in float64, and both against torch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from placenorm.kernels import chain_reference
from placenorm.kernels.activations import FUNCTIONS
from placenorm.kernels.chain import Chain, unpack
from placenorm.kernels.running import Running
from placenorm.kernels.triton import chain as gpu
from placenorm.kernels.triton import held_kernels
from placenorm.kernels.triton.tiles import cut
from support.cases.chains import COMMON, LAYOUTS, RARE, RELU, ChainInput, find_activation
from support.chains_compared import EPS, compare_chain, run_kernels

pytestmark = pytest.mark.gpu

SMALL = [
    ChainInput("usual", (4, 6, 35)),
    ChainInput("one-channel", (3, 1, 4)),
    ChainInput("one-position", (9, 5, 1)),
    ChainInput("eights", (3, 64, 16)),
    ChainInput("several-positions-a-row", (2, 72, 24)),
    ChainInput("features", (9, 24, 1)),
    ChainInput("far-mean", (8, 3, 50), mean=1e3, std=0.1),
]
FAR = ChainInput("far-mean-eights", (8, 8, 50), mean=1e3, std=0.1)
SEVERAL = SMALL[4]
LARGE = [
    ChainInput("primes", (5, 7, 11)),
    ChainInput("many-channels", (3, 2053, 6)),
    ChainInput("many-values", (64, 48, 28 * 28)),
    ChainInput("few-channels-large-planes", (2, 3, 250_001)),
    ChainInput("tiny", (6, 3, 20), mean=0.0, std=1e-6),
]
EACH_LAYOUT = pytest.mark.parametrize("lay_out", LAYOUTS.values(), ids=LAYOUTS.keys())
SWEPT = pytest.mark.parametrize("way", ["swept"], indirect=True)
BOTH_WAYS = pytest.mark.parametrize("way", ["swept", "held-narrow"], indirect=True)
HELD = [
    *(("held-wide", "planes", given) for given in (*SMALL[:2], *SMALL[3:5], FAR)),
    *((way, "rows", given) for way in ("held-wide", "held-narrow") for given in (*SMALL[3:6], FAR)),
]
NARROW = [torch.bfloat16, torch.float16]


@SWEPT
@pytest.mark.interpreted
@EACH_LAYOUT
@pytest.mark.parametrize("given", SMALL, ids=lambda given: given.name)
@pytest.mark.parametrize("chain", COMMON, ids=str)
def test_chain_is_as_near_to_the_truth_as_torch(
    chain: Chain, given: ChainInput, lay_out: Callable[[Tensor], Tensor], way: None, device: str
) -> None:
    compare_chain(gpu, chain, given, lay_out, device=device)


@pytest.mark.interpreted
@pytest.mark.parametrize(("way", "layout", "given"), HELD, indirect=["way"], ids=str)
@pytest.mark.parametrize("chain", COMMON, ids=str)
def test_what_is_held_is_too(chain: Chain, given: ChainInput, layout: str, way: None, device: str) -> None:
    compare_chain(gpu, chain, given, LAYOUTS[layout], device=device)


@BOTH_WAYS
@pytest.mark.interpreted
@EACH_LAYOUT
@pytest.mark.parametrize("dtype", NARROW, ids=str)
@pytest.mark.parametrize("chain", COMMON, ids=str)
def test_narrow_types_are_too(
    chain: Chain, dtype: torch.dtype, lay_out: Callable[[Tensor], Tensor], way: None, device: str
) -> None:
    compare_chain(gpu, chain, SEVERAL, lay_out, dtype, device)


@BOTH_WAYS
@pytest.mark.interpreted
@pytest.mark.parametrize("chain", RARE, ids=str)
def test_rare_activations_are_too(chain: Chain, way: None, device: str) -> None:
    compare_chain(gpu, chain, SEVERAL, LAYOUTS["rows"], device=device)


@EACH_LAYOUT
@pytest.mark.parametrize("given", LARGE, ids=lambda given: given.name)
@pytest.mark.parametrize("dtype", [torch.float32, *NARROW], ids=str)
@pytest.mark.parametrize("chain", COMMON, ids=str)
def test_large_inputs_are_too(
    chain: Chain, dtype: torch.dtype, given: ChainInput, lay_out: Callable[[Tensor], Tensor], device: str
) -> None:
    compare_chain(gpu, chain, given, lay_out, dtype, device)


@BOTH_WAYS
@pytest.mark.interpreted
@EACH_LAYOUT
def test_bits_tell_where_a_relu_behind_an_addition_is_on(
    lay_out: Callable[[Tensor], Tensor], way: None, device: str
) -> None:
    chain = Chain(after=RELU, adds=True)
    held = ChainInput("eights", (3, 16, 24)).make(chain, lay_out)
    x, residual, weight, bias = (held[name].to(device) for name in ("x", "residual", "weight", "bias"))
    y, bits, *_ = gpu.chain_fwd(x, residual, weight, bias, EPS, chain)
    assert bits is not None
    assert bits.numel() == gpu.count_bytes_of_bits(x, chain) == x.numel() // 8
    torch.testing.assert_close(unpack(bits, x), (y > 0).to(x.dtype))


@BOTH_WAYS
@pytest.mark.interpreted
@EACH_LAYOUT
@pytest.mark.parametrize("shape", [(4, 8, 35), (3, 296, 5)], ids=str)
def test_running_statistics_are_brought_up_to_date_on_the_way(
    shape: tuple[int, int, int], lay_out: Callable[[Tensor], Tensor], way: None, device: str
) -> None:
    x = lay_out(torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(device)
    ours, twin = (
        Running(
            torch.ones(shape[1], device=device),
            torch.ones(shape[1], device=device),
            0.3,
            torch.tensor(4, device=device),
        )
        for _ in range(2)
    )
    gpu.chain_fwd(x, None, None, None, EPS, Chain(before=RELU), ours)
    chain_reference.chain_fwd(x, None, None, None, EPS, Chain(before=RELU), twin)
    torch.testing.assert_close(ours.mean, twin.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.var, twin.var, rtol=1e-5, atol=1e-6)
    assert int(ours.tracked) == int(twin.tracked) == 5


@BOTH_WAYS
@pytest.mark.interpreted
def test_upstream_gradient_in_another_layout_is_taken(way: None, device: str) -> None:
    chain = COMMON[1]
    held = {name: None if v is None else v.to(device) for name, v in SEVERAL.make(chain, LAYOUTS["rows"]).items()}
    usual = run_kernels(gpu, chain, held).dx
    other = run_kernels(gpu, chain, {**held, "dy": held["dy"].contiguous()}).dx
    torch.testing.assert_close(usual, other, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy, which interprets, warns of NaN
@BOTH_WAYS
@pytest.mark.interpreted
def test_nan_and_infinity_stay_in_their_channel(way: None, device: str) -> None:
    held = ChainInput("spoilt", (4, 8, 10)).make(Chain(after=RELU), LAYOUTS["rows"])
    x = held["x"]
    x[1, 0, 2], x[2, 1, 3] = float("nan"), float("inf")
    y = run_kernels(gpu, Chain(after=RELU), {n: None if v is None else v.to(device) for n, v in held.items()}).y
    assert not y[:, 0].isfinite().any()
    assert y[:, 2:].isfinite().all()


@pytest.mark.interpreted
@pytest.mark.parametrize(("channels", "length"), [(64, 128), (72, 360), (512, 512), (17, 680), (3, 120), (2053, 16424)])
def test_rows_hold_whole_positions_and_waste_little(channels: int, length: int) -> None:
    found = cut(torch.empty(3, channels, 50).transpose(1, 2).contiguous().transpose(1, 2))
    assert (found.constants["PLANES"], found.folds * channels) == (False, length)
    assert found.rows * length >= 3 * channels * 50 > (found.rows - 1) * length


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("shape", "lay_out", "tile"),
    [
        ((32, 256, 196), "planes", (256, 32)),  # 6272 values of a channel
        ((64, 64, 3136), "planes", None),
        ((128, 2048, 49), "planes", (128, 64)),
        ((16, 2048, 49), "rows", None),  # 784 positions
        ((8, 2048, 49), "rows", (512, 16)),
        ((1, 2048, 49), "rows", (64, 128)),
        ((256, 1000, 1), "rows", (256, 32)),
        ((256, 1001, 1), "rows", None),  # channels that do not come in eights
    ],
    ids=str,
)
def test_what_one_program_can_hold_is_read_once(
    shape: tuple[int, int, int], lay_out: str, tile: tuple[int, int] | None
) -> None:
    plan = gpu.plan_held(held_kernels.norm_held, LAYOUTS[lay_out](torch.empty(shape)), "identity", "relu")
    assert (None if plan is None else (plan.constants["ROWS"], plan.constants["WIDTH"])) == tile


@pytest.mark.parametrize("chain", COMMON, ids=str)
def test_results_do_not_change_from_run_to_run(chain: Chain, device: str) -> None:
    held = {
        name: None if value is None else value.to(device)
        for name, value in LARGE[2].make(chain, LAYOUTS["rows"]).items()
    }
    first, second = run_kernels(gpu, chain, held), run_kernels(gpu, chain, held)
    for name in ("y", "mean", "var", "dx", "dweight", "dbias"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


def test_every_activation_has_its_chain() -> None:
    named = {chain.before.name for chain in RARE} | {chain.after.name for chain in RARE} | {"relu"}
    assert named == set(FUNCTIONS)
    assert find_activation("elu").parameter != 1.0
