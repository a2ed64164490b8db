"""Norms with a pool behind them, and average pools: what the layers after one another give, in both ways."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from placenorm import layers
from placenorm.kernels.activations import FUNCTIONS, activate
from placenorm.layers import paths
from placenorm.layers.batch_norm import takes_neighbours
from placenorm.layers.chain_pool_operators import chain_pool as operator
from placenorm.layers.composing import apply_pool
from support.cases.chains import find_activation
from support.chains_compared import POOL_LAYOUTS, POOLS, LayOut

C = 3
POOL = layers.MaxPool((2, 2), (2, 2))
BOTH_MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
EACH_LAYOUT = pytest.mark.parametrize("lay_out", POOL_LAYOUTS.values(), ids=POOL_LAYOUTS.keys())


@pytest.fixture(params=["fused", "torch"], autouse=True)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small inputs go both ways."""
    name: str = request.param
    monkeypatch.setattr(paths, "LEAST_VALUES", 0 if name == "fused" else 1 << 60)
    return name


def draw(*shape: int, seed: int = 0) -> Tensor:
    return 2.0 * torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + 0.7


class Sequence(nn.Module):
    """Torch's layers one after the other."""

    def __init__(self, norm: layers.BatchNorm2d) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(C, momentum=norm.momentum, track_running_stats=norm.track_running_stats)
        self.norm.load_state_dict(norm.state_dict())
        self.twin = [norm]
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        norm = self.twin[0]
        size = norm.virtual_batch_size if norm.training else None
        u = activate(x, norm.before)
        u = u if norm.pool is None else apply_pool(u, norm.pool)
        z = torch.cat([self.norm(part) for part in u.split(size or max(len(x), 1))])
        y = activate(z, norm.after)
        return y if norm.pool_after is None else apply_pool(y, norm.pool_after)


def make(training: bool = True, **options: object) -> layers.BatchNorm2d:
    norm = layers.BatchNorm2d(C, **options)
    with torch.no_grad():
        if norm.affine:
            norm.weight.copy_(torch.tensor([0.5, -1.2, 0.0]))
            norm.bias.copy_(torch.tensor([0.3, -0.1, 1.0]))
    return norm.train(training)


def assert_same(norm: layers.BatchNorm2d, x: Tensor) -> None:
    theirs = Sequence(norm)
    mine, others = (x.clone(memory_format=torch.preserve_format).requires_grad_() for _ in range(2))
    y, wanted = norm(mine), theirs(others)
    torch.testing.assert_close(y, wanted, rtol=1e-5, atol=1e-5)
    assert y.stride() == wanted.stride()
    dy = draw(*y.shape, seed=9)
    y.backward(dy)
    wanted.backward(dy)
    torch.testing.assert_close(mine.grad, others.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.state_dict(), theirs.norm.state_dict(), rtol=1e-5, atol=1e-6)
    for first, second in zip(norm.parameters(), theirs.norm.parameters(), strict=True):
        torch.testing.assert_close(first.grad, second.grad, rtol=1e-4, atol=1e-4)


@BOTH_MODES
@EACH_LAYOUT
@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1, ceil_mode=True)], ids=["two", "three"])
@pytest.mark.parametrize("name", ["identity", "relu", "silu"])
def test_pool_behind_is_the_layer_behind(name: str, pool: nn.Module, lay_out: LayOut, training: bool) -> None:
    assert_same(make(training, after=find_activation(name), pool_after=pool), lay_out(draw(4, C, 6, 9)))


@pytest.mark.slow
@BOTH_MODES
@EACH_LAYOUT
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("identity", "relu", "silu")])
def test_pool_behind_any_activation_is_the_layer_behind(name: str, lay_out: LayOut, training: bool) -> None:
    assert_same(make(training, after=find_activation(name), pool_after=POOL), lay_out(draw(4, C, 6, 9)))


@BOTH_MODES
@pytest.mark.parametrize(
    "options",
    [{"momentum": None}, {"virtual_batch_size": 2}, {"affine": False}, {"track_running_stats": False}],
    ids=str,
)
def test_settings_are_those_of_the_norm(options: dict[str, object], training: bool) -> None:
    norm = make(training, after="relu", pool_after=POOL, **options)
    if norm.affine:
        assert_same(norm, draw(5, C, 6, 5))
        return
    x = draw(5, C, 6, 5)
    wanted = F.max_pool2d(F.relu(nn.BatchNorm2d(C, affine=False).train(training)(x)), 2)
    torch.testing.assert_close(norm(x), wanted, rtol=1e-5, atol=1e-5)


@BOTH_MODES
@pytest.mark.parametrize(
    "pool",
    [
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d((3, 2), (2, 1), (1, 0), ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d(2, divisor_override=3),
    ],
    ids=["two", "three", "uneven", "divisor"],
)
@pytest.mark.parametrize("side", ["pool", "pool_after"])
def test_average_pools_go_the_way_of_torch(side: str, pool: nn.AvgPool2d, training: bool) -> None:
    norm = make(training, **{"before" if side == "pool" else "after": "relu", side: pool})
    x = draw(4, C, 7, 6)
    torch.testing.assert_close(apply_pool(x, getattr(norm, side)), pool(x), rtol=0, atol=0)
    assert_same(norm, x)
    found = layers.explain(norm, x)
    assert found.name == "torch"
    reasons = ("max pools alone", "too small", "running statistics")
    assert any(reason in found.reason for reason in reasons)
    assert "AvgPool" in repr(norm)


def test_average_pool_is_named_as_the_reason(path: str) -> None:
    found = layers.explain(make(pool_after=nn.AvgPool2d(2)), draw(4, C, 6, 6))
    assert ("for max pools alone" in found.reason) == (path == "fused")


def test_explanation_names_the_chain(path: str) -> None:
    norm, x = make(after="relu", pool_after=POOL), draw(4, C, 6, 6)
    found = layers.explain(norm, x)
    assert found.name == path
    if path == "fused":
        assert "kernels of cpu cover norm-relu-maxpool" in found.reason
        assert layers.explain(make(after="silu", pool_after=POOL), x).name == "fused"
        assert "windows up to 3" in layers.explain(make(pool_after=nn.MaxPool2d(4)), x).reason


def test_pool_behind_gains_on_smaller_inputs_with_the_channels_last(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "LEAST_VALUES", 4 * C * 6 * 6 // paths.POOLED_BEHIND_TIMES)
    monkeypatch.setattr(paths, "LEAST_SHARE", 0)
    x = POOL_LAYOUTS["rows"](draw(4, C, 6, 6))
    names = [layers.explain(norm, x).name for norm in (make(after="relu", pool_after=POOL), make(after="relu"))]
    assert names == ["fused", "torch"]
    assert layers.explain(make(after="relu", pool_after=POOL), x[:3]).name == "torch"


def test_zscores_are_not_pooled() -> None:
    norm, x = make(after="relu", pool_after=POOL), draw(4, C, 6, 6)
    z = layers.zscores(norm, x)
    assert z.shape == x.shape
    shape = (1, C, 1, 1)
    wanted = F.max_pool2d(F.relu(z * norm.weight.view(shape) + norm.bias.view(shape)), 2)
    torch.testing.assert_close(norm(x), wanted, rtol=1e-5, atol=1e-5)


def test_settings_are_shown_and_survive_a_copy_and_a_file() -> None:
    norm = make(after="relu", pool_after=nn.MaxPool2d(3, 2, 1))
    assert takes_neighbours(make(pool_after=POOL))
    assert "after=relu, pool_after=MaxPool(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), ceil_mode=False)" in repr(
        norm
    )
    x = draw(4, C, 6, 6)
    for other in (copy.deepcopy(norm), pickle.loads(pickle.dumps(norm))):
        torch.testing.assert_close(other(x), copy.deepcopy(norm)(x), rtol=0, atol=0)
    assert set(norm.state_dict()) == set(nn.BatchNorm2d(C).state_dict())


def test_fuse_takes_a_pool_and_leaves_it() -> None:
    norm, x = make(), draw(4, C, 6, 6)
    assert norm.fuse(after="relu", pool_after=POOL)(x).shape == (4, C, 3, 3)
    assert norm.fuse(after="relu")(x).shape == x.shape
    assert norm.pool_after is None


def test_layer_compiles_without_a_graph_break() -> None:
    torch.compiler.reset()
    net = make(after="relu", pool_after=POOL)
    twin = copy.deepcopy(net)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    for model in (compiled, twin):
        model(draw(4, C, 6, 6)).backward(draw(4, C, 3, 3, seed=1))
    torch.testing.assert_close(net.state_dict(), twin.state_dict())
    torch.testing.assert_close(net.weight.grad, twin.weight.grad)


def test_layer_is_exported_in_evaluation_as_torchs_operators() -> None:
    net, x = make(False, after="relu", pool_after=POOL), draw(4, C, 6, 6)
    exported = torch.export.export(net, (x,))
    assert "placenorm" not in str(exported.graph)
    torch.testing.assert_close(exported.module()(x), net(x), rtol=0, atol=0)


def test_layer_is_a_leaf_of_a_trace() -> None:
    net = nn.Sequential(make(after="relu", pool_after=POOL)).eval()
    traced = fx.symbolic_trace(net)
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == ["0"]
    x = draw(4, C, 6, 6)
    torch.testing.assert_close(traced(x), net(x), rtol=0, atol=0)


def test_second_derivative_is_that_of_torch() -> None:
    norm = make(after="silu", pool_after=POOL)
    found = []
    for layer in (norm, Sequence(norm)):
        x = draw(4, C, 6, 6).requires_grad_()
        (first,) = torch.autograd.grad(layer(x).pow(3).sum(), x, create_graph=True)
        found += torch.autograd.grad(first.pow(2).sum(), x)
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-2)


def test_checkpoint_updates_the_running_statistics_once() -> None:
    norm = make(after="relu", pool_after=POOL)
    twin = copy.deepcopy(norm)
    x = draw(4, C, 6, 6).requires_grad_()
    checkpoint(norm, x, use_reentrant=False).sum().backward()
    twin(draw(4, C, 6, 6)).sum().backward()
    torch.testing.assert_close(norm.state_dict(), twin.state_dict(), rtol=0, atol=0)


def test_empty_batch_gives_what_torch_gives() -> None:
    norm = make(after="relu", pool_after=POOL)
    theirs = Sequence(norm)
    x = torch.empty(0, C, 6, 6)
    assert norm(x).shape == theirs(x).shape == (0, C, 3, 3)
    torch.testing.assert_close(norm.state_dict(), theirs.norm.state_dict(), equal_nan=True)


def test_backward_keeps_the_input_and_five_bytes_for_each_value_that_is_left(path: str) -> None:
    if path == "torch":
        pytest.skip("torch keeps what it keeps")
    norm, x = make(after="relu", pool_after=POOL), draw(4, C, 16, 16).requires_grad_()
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.numel() > C:
            saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        norm(x)
    assert sum(saved.values()) == 4 * x.numel() + 5 * x.numel() // 4
    assert x.data_ptr() in saved


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # opcheck itself reads it, torch 2.14
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["fast", "readable"])
@pytest.mark.parametrize("name", ["relu", "silu"])
@EACH_LAYOUT
def test_operator_is_what_torch_asks_of_one(lay_out: LayOut, name: str, dtype: torch.dtype) -> None:
    x, weight, bias = (each.to(dtype).requires_grad_() for each in (lay_out(draw(3, 5, 7, 8)), draw(5), draw(5)))
    found = torch.library.opcheck(operator, (x, weight, bias, 1e-5, name, 0.0, [3, 3, 2, 2, 1, 1, 0]))
    assert set(found.values()) == {"SUCCESS"}


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: layers.BatchNorm2d(C, pool=POOL, pool_after=POOL), "fused with one pool, not with one in front"),
        (lambda: layers.BatchNorm2d(C, before="relu", pool_after=POOL), "has no relu in front"),
        (lambda: layers.BatchNorm1d(C, pool_after=POOL), "Only BatchNorm2d takes a pool, BatchNorm1d does not"),
        (lambda: layers.BatchNorm2d(C, pool_after=nn.MaxPool2d(2, dilation=2)), "without dilation and indices"),
        (lambda: layers.BatchNorm2d(C, pool_after=nn.AdaptiveAvgPool2d(1)), "or a torch.nn.AvgPool2d, not"),
        (lambda: layers.AvgPool((2, 2), (2, 2), (2, 0)), "at most half of its window"),
        (lambda: layers.Activation("relu", 0.2), r"relu takes no parameter \(got 0\.2\); only leaky_relu and elu do"),
    ],
    ids=["both", "in-front", "rank", "dilation", "adaptive", "padding", "parameter"],
)
def test_layer_that_cannot_be_is_refused(build: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build()


@pytest.mark.parametrize("ask", [lambda norm, *given: norm(*given), layers.explain], ids=["forward", "explain"])
def test_call_that_cannot_be_is_refused(ask: Callable[..., object]) -> None:
    norm, x = make(after="relu", pool_after=POOL), draw(4, C, 6, 6)
    with pytest.raises(ValueError, match="takes no residual and no mask"):
        ask(norm, x, x)
    with pytest.raises(RuntimeError, match="Cannot pool 1x6 by windows of 2x2"):
        ask(norm, x[:, :, :1])
    for layer in (norm, layers.BatchNorm2d(C, after="relu"), layers.BatchNorm2d(C, affine=False)):
        with pytest.raises(RuntimeError, match="running_mean should contain 2 elements not 3"):
            ask(layer, x[:, :2])
    assert int(norm.num_batches_tracked) == 0


def test_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="takes no residual and no mask"):
        make(pool_after=POOL)(draw(4, C, 6, 6), mask=torch.ones(4, 6, 6, dtype=torch.bool))


@pytest.mark.parametrize("pool", POOLS, ids=repr)
def test_pools_are_numbers_and_pools_again(pool: layers.MaxPool) -> None:
    norm, x = make(after="relu", pool_after=pool), draw(2, C, 9, 8)
    torch.testing.assert_close(norm(x), Sequence(make(after="relu", pool_after=pool))(x), rtol=1e-5, atol=1e-5)
