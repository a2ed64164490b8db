"""What our layers do that torch's do not: neighbours, masks, ghosts, freezing, recomputation; and which way they go."""

import copy
import pickle
import re

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from placenorm import layers
from placenorm.kernels.activations import FUNCTIONS, activate
from placenorm.layers import paths

C = 3
ACTIVATIONS = [name for name in FUNCTIONS if name != "identity"]
BOTH_MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


@pytest.fixture(params=["fused", "torch"], autouse=True)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small inputs go both ways."""
    name: str = request.param
    monkeypatch.setattr(paths, "LEAST_VALUES", 0 if name == "fused" else 1 << 60)
    return name


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return (2.0 * torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + 0.7).to(dtype)


def make_pair(**options: object) -> tuple[layers.BatchNorm2d, nn.BatchNorm2d]:
    ours = layers.BatchNorm2d(C, **options)
    theirs = nn.BatchNorm2d(C, track_running_stats=ours.track_running_stats)
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor([0.5, -1.2, 2.0]))
        theirs.bias.copy_(torch.tensor([0.3, -0.1, 1.0]))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def assert_same(
    ours: nn.Module, theirs: nn.Module, mine: Tensor, others: Tensor, *leaves: tuple[Tensor, Tensor]
) -> None:
    """Compare outputs, gradients of leaves and of parameters, and buffers."""
    torch.testing.assert_close(mine, others, rtol=1e-5, atol=1e-5)
    dy = draw(*mine.shape, seed=9)
    mine.backward(dy)
    others.backward(dy)
    for first, second in leaves:
        torch.testing.assert_close(first.grad, second.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-5, atol=1e-6)
    for first, second in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(first.grad, second.grad, rtol=1e-4, atol=1e-4)


def leaf(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    return draw(*shape, seed=seed).requires_grad_(), draw(*shape, seed=seed).requires_grad_()


@BOTH_MODES
@pytest.mark.parametrize("name", ["relu", "silu"])
def test_activation_in_front_is_the_layer_in_front(name: str, training: bool) -> None:
    ours, theirs = (each.train(training) for each in make_pair(before=name))
    mine, others = leaf(4, C, 5, 3)
    assert_same(ours, theirs, ours(mine), theirs(activate(others, ours.before)), (mine, others))


@BOTH_MODES
@pytest.mark.parametrize("name", ["relu", "silu"])
def test_activation_behind_is_the_layer_behind(name: str, training: bool) -> None:
    ours, theirs = (each.train(training) for each in make_pair(after=name))
    mine, others = leaf(4, C, 5, 3)
    assert_same(ours, theirs, ours(mine), activate(theirs(others), ours.after), (mine, others))


@BOTH_MODES
@pytest.mark.parametrize("after", [None, "relu"])
def test_residual_is_added_behind_the_norm(after: str | None, training: bool) -> None:
    ours, theirs = (each.train(training) for each in make_pair(after=after))
    mine, others = leaf(4, C, 5, 3)
    added, also = leaf(4, C, 5, 3, seed=1)
    summed = theirs(others) + also
    assert_same(ours, theirs, ours(mine, added), F.relu(summed) if after else summed, (mine, others), (added, also))


@pytest.mark.parametrize("after", [None, "relu"])
@pytest.mark.parametrize("momentum", [0.1, None], ids=["momentum", "cumulative"])
def test_fused_layer_compiles_without_a_graph_break(after: str | None, momentum: float | None) -> None:
    torch.compiler.reset()
    net = layers.BatchNorm2d(C, momentum=momentum, after=after)
    twin = copy.deepcopy(net)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    for step in range(2):
        x, residual = draw(4, C, 5, 3, seed=step), draw(4, C, 5, 3, seed=step + 10)
        for model in (compiled, twin):
            model(x, residual).backward(draw(4, C, 5, 3, seed=step + 20))
    torch.testing.assert_close(net.state_dict(), twin.state_dict())
    torch.testing.assert_close(net.weight.grad, twin.weight.grad)


def test_second_derivative_is_that_of_torch() -> None:
    ours, theirs = make_pair(after="silu")
    found = []
    for layer, act in ((ours, lambda y: y), (theirs, F.silu)):
        x = draw(4, C, 5, 3).requires_grad_()
        (first,) = torch.autograd.grad(act(layer(x)).pow(3).sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.pow(2).sum(), (x, layer.weight)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-2)


@BOTH_MODES
def test_symbolic_trace_has_the_fused_layer_as_a_leaf(training: bool) -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = layers.BatchNorm2d(C, after="relu")

        def forward(self, x: Tensor, other: Tensor) -> Tensor:
            y: Tensor = self.norm(x, other)
            return y

    block = Block().train(training)
    twin = copy.deepcopy(block)
    traced = fx.symbolic_trace(block)
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == ["norm"]
    x, other = draw(4, C, 5, 3), draw(4, C, 5, 3, seed=1)
    torch.testing.assert_close(traced(x, other), twin(x, other), rtol=0.0, atol=0.0)


# -- pools

POOL = layers.MaxPool((2, 2), (2, 2))


@BOTH_MODES
@pytest.mark.parametrize("options", [{"before": "relu"}, {}, {"momentum": None}, {"virtual_batch_size": 2}], ids=str)
def test_pool_in_front_is_the_layer_in_front(options: dict[str, object], training: bool) -> None:
    ours, theirs = (each.train(training) for each in make_pair(pool=POOL, **options))
    theirs.momentum = ours.momentum
    mine, others = leaf(4, C, 6, 5)
    pooled = F.max_pool2d(activate(others, ours.before), 2)
    parts = pooled.split(2) if training and ours.virtual_batch_size else [pooled]
    assert_same(ours, theirs, ours(mine), torch.cat([theirs(part) for part in parts]), (mine, others))


def test_pooled_layer_compiles_without_a_graph_break() -> None:
    torch.compiler.reset()
    net = layers.BatchNorm2d(C, before="relu", pool=POOL)
    twin = copy.deepcopy(net)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    for model in (compiled, twin):
        model(draw(4, C, 6, 6)).backward(draw(4, C, 3, 3, seed=1))
    torch.testing.assert_close(net.state_dict(), twin.state_dict())
    torch.testing.assert_close(net.weight.grad, twin.weight.grad)


def test_pooled_layer_explains_itself_and_gives_zscores(path: str) -> None:
    layer = layers.BatchNorm2d(C, before="relu", pool=POOL)
    x = draw(4, C, 6, 6)
    assert layers.explain(layer, x).name == path
    assert "pool=MaxPool(kernel_size=(2, 2)" in repr(layer)
    torch.testing.assert_close(layers.zscores(layer, x), layer(x))
    if path == "fused":
        silu = layers.BatchNorm2d(C, before="silu", pool=POOL)
        assert "silu may make a smaller input" in layers.explain(silu, x).reason


def test_pool_of_torch_is_read() -> None:
    given = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
    assert layers.BatchNorm2d(C, pool=given).pool == layers.MaxPool((3, 3), (2, 2), (1, 1), ceil_mode=True)
    x = draw(4, C, 9, 6)
    twin = nn.Sequential(nn.ReLU(), given, nn.BatchNorm2d(C))
    torch.testing.assert_close(layers.BatchNorm2d(C, before="relu", pool=given)(x), twin(x), rtol=1e-5, atol=1e-5)
    for other in (nn.MaxPool2d(2, dilation=2), nn.MaxPool2d(2, return_indices=True), nn.LPPool2d(2, 2), 2):
        with pytest.raises(ValueError, match="without dilation and indices"):
            layers.BatchNorm2d(C, pool=other)


def test_what_is_no_norm_is_refused() -> None:
    for function in (layers.explain, layers.zscores):
        with pytest.raises(TypeError, match="LayerNorm is none"):
            function(nn.LayerNorm(4), draw(2, 4))


def test_pool_where_it_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no relu behind it"):
        layers.BatchNorm2d(C, after="relu", pool=POOL)
    with pytest.raises(ValueError, match="Only BatchNorm2d takes a pool, BatchNorm1d does not"):
        layers.BatchNorm1d(C, pool=POOL)
    layer, x = layers.BatchNorm2d(C, pool=POOL), draw(4, C, 6, 6)
    with pytest.raises(ValueError, match="takes no residual and no mask"):
        layer(x, x)
    with pytest.raises(RuntimeError, match="Cannot pool 1x6 by windows of 2x2"):
        layer(x[:, :, :1])
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(x[:1, :, :2, :2])


# -- masks


@BOTH_MODES
@pytest.mark.parametrize("options", [{}, {"before": "silu"}, {"after": "relu"}], ids=["norm", "before", "after"])
def test_masked_positions_count_for_nothing_and_become_zero(options: dict[str, str], training: bool) -> None:
    ours, theirs = (each.train(training) for each in make_pair(**options))
    x = draw(4, C, 5, 3)
    mask = torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(2)) > 0.4
    x.transpose(0, 1)[:, ~mask] = float("nan")
    x.requires_grad_()
    y = ours(x, mask=mask)
    kept = x.detach().movedim(1, -1)[mask].T.reshape(1, C, -1, 1).requires_grad_()
    wanted = activate(theirs(activate(kept, ours.before)), ours.after)
    packed = y.movedim(1, -1)[mask].T.reshape(1, C, -1, 1)
    assert float(y.detach().movedim(1, -1)[~mask].abs().max()) == 0.0
    dy = draw(4, C, 5, 3, seed=3)
    torch.testing.assert_close(packed, wanted, rtol=1e-5, atol=1e-5)
    y.backward(dy)
    wanted.backward(dy.movedim(1, -1)[mask].T.reshape(1, C, -1, 1))
    torch.testing.assert_close(x.grad.movedim(1, -1)[mask].T.reshape(1, C, -1, 1), kept.grad, rtol=1e-4, atol=1e-5)
    assert float(x.grad.movedim(1, -1)[~mask].abs().max()) == 0.0
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-4)


def test_full_mask_is_no_mask() -> None:
    ours, _ = make_pair()
    twin = copy.deepcopy(ours)
    x = draw(4, C, 5, 3)
    torch.testing.assert_close(ours(x, mask=torch.ones(4, 1, 1, dtype=torch.bool)), twin(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.state_dict(), twin.state_dict(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (torch.ones(4, 5, 3), "A mask is boolean, True where a position counts; this is torch.float32"),
        (torch.ones(4, 5, 4, dtype=torch.bool), "Cannot mask (4, 3, 5, 3) by (4, 5, 4); a mask expands to (4, 5, 3)"),
        (torch.ones(4, C, 5, 3, dtype=torch.bool), "Cannot mask (4, 3, 5, 3) by (4, 3, 5, 3)"),
        (
            torch.zeros(4, 5, 3, dtype=torch.bool),
            "Expected more than 1 value per channel when training, got a mask with 0",
        ),
    ],
    ids=["floats", "size", "rank", "nothing"],
)
def test_mask_that_does_not_fit_is_refused(mask: Tensor, said: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match=re.escape(said)):
        layers.BatchNorm2d(C)(draw(4, C, 5, 3), mask=mask)


@pytest.mark.parametrize(("size", "lengths"), [(1, [5, 1, 4, 2]), (1, [5, 0, 4, 2]), (2, [5, 4, 1, 0])], ids=str)
def test_mask_that_leaves_a_virtual_batch_without_statistics_is_refused(size: int, lengths: list[int]) -> None:
    layer, x = layers.BatchNorm1d(C, virtual_batch_size=size), draw(4, C, 5)
    before = copy.deepcopy(layer.state_dict())
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    with pytest.raises(
        ValueError, match=r"got a mask with \d in samples \d to \d, a virtual batch; leave these samples"
    ):
        layer(x, mask=mask)
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("freeze", [False, True], ids=["evaluating", "frozen"])
@pytest.mark.parametrize("length", [0, 1])
def test_running_statistics_take_a_mask_of_any_length(length: int, freeze: bool) -> None:
    layer, x = layers.BatchNorm1d(C), draw(1, C, 5)
    layer(draw(4, C, 5))
    layer = layer.freeze() if freeze else layer.eval()
    y = layer(x, mask=(torch.arange(5) < length)[None])
    torch.testing.assert_close(y[..., :length], layer(x)[..., :length])
    assert bool((y[..., length:] == 0).all())


def test_virtual_batch_of_one_value_says_so() -> None:
    with pytest.raises(ValueError, match=r"for virtual batches of 4 samples, one of which has one value$"):
        layers.BatchNorm1d(C, virtual_batch_size=4)(draw(9, C))


# -- ghosts


@pytest.mark.parametrize("momentum", [0.3, None], ids=["momentum", "cumulative"])
def test_virtual_batches_are_one_call_each(momentum: float | None) -> None:
    ours, _ = make_pair(virtual_batch_size=3, momentum=momentum)
    theirs = nn.BatchNorm2d(C, momentum=momentum)
    theirs.load_state_dict(ours.state_dict())
    mine, others = leaf(8, C, 5, 3)
    wanted = torch.cat([theirs(part) for part in others.split(3)])
    assert_same(ours, theirs, ours(mine), wanted, (mine, others))
    assert ours.num_batches_tracked == 3
    torch.testing.assert_close(ours.eval()(mine), theirs.eval()(others))


def test_last_virtual_batch_of_one_value_is_refused_before_anything_is_counted() -> None:
    layer = layers.BatchNorm1d(C, virtual_batch_size=3)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(draw(7, C))
    assert layer.num_batches_tracked == 0


def test_virtual_batch_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one, not 0"):
        layers.BatchNorm2d(C, virtual_batch_size=0)


# -- freezing and recomputation


def test_frozen_norm_stays_so_in_training() -> None:
    net = nn.Sequential(layers.BatchNorm2d(C), nn.ReLU())
    net(draw(4, C, 5, 3))
    net[0].freeze()
    before = copy.deepcopy(net.state_dict())
    net.train()
    assert not net[0].training
    y = net(draw(4, C, 5, 3, seed=1))
    torch.testing.assert_close(net.state_dict(), before, rtol=0.0, atol=0.0)
    y.sum().backward()
    assert net[0].weight.grad is not None
    net[0].unfreeze()
    net.train()(draw(4, C, 5, 3, seed=2))
    assert net[0].num_batches_tracked == 2
    with pytest.raises(RuntimeError, match="Cannot freeze a norm without running statistics"):
        layers.BatchNorm2d(C, track_running_stats=False).freeze()


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not-reentrant"])
@pytest.mark.parametrize("options", [{}, {"after": "relu"}, {"momentum": None}], ids=["norm", "fused", "cumulative"])
def test_checkpointing_updates_the_running_statistics_once(options: dict[str, object], reentrant: bool) -> None:
    ours = layers.BatchNorm2d(C, **options)
    twin = copy.deepcopy(ours)
    mine, others = leaf(4, C, 5, 3)
    dy = draw(4, C, 5, 3, seed=1)
    checkpoint(ours, mine, use_reentrant=reentrant).backward(dy)
    twin(others).backward(dy)
    torch.testing.assert_close(ours.state_dict(), twin.state_dict())
    assert ours.num_batches_tracked == 1
    torch.testing.assert_close(mine.grad, others.grad)
    torch.testing.assert_close(ours.weight.grad, twin.weight.grad)


# -- what is told


def test_zscores_are_what_gamma_and_beta_are_applied_to() -> None:
    layer, torchs = make_pair(before="relu")
    x = draw(4, C, 5, 3)
    layer(x)
    held = copy.deepcopy(layer.state_dict())
    for training in (True, False):
        z = layers.zscores(layer.train(training), x)
        twin = copy.deepcopy(layer)
        shape = (1, C, 1, 1)
        torch.testing.assert_close(z * layer.weight.view(shape) + layer.bias.view(shape), twin(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.state_dict(), held, rtol=0.0, atol=0.0)
    torch.testing.assert_close(layers.zscores(torchs, x).mean((0, 2, 3)), torch.zeros(C), rtol=0.0, atol=1e-6)


def test_explanation_says_which_way_and_why(path: str) -> None:
    layer, torchs = make_pair(after="relu")
    x = draw(4, C, 5, 3)
    usual = layers.explain(layer, x)
    assert usual.name == path
    assert ("kernels of cpu cover norm-relu" in usual.reason) if path == "fused" else ("too small" in usual.reason)
    assert "running statistics" in layers.explain(layer.eval(), x).reason
    assert "torch's own layer" in layers.explain(torchs, x).reason
    if path == "fused":
        layer.train()
        assert "float64" in layers.explain(layer, x.double()).reason
        assert "norm-add-relu" in layers.explain(layer, x, x).reason
        plain = layers.BatchNorm2d(C)
        assert "as fast" in layers.explain(plain, x.contiguous(memory_format=torch.channels_last)).reason


def test_explanation_is_of_one_virtual_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "LEAST_VALUES", 4 * C * 5 * 3)
    monkeypatch.setattr(paths, "LEAST_SHARE", 0)
    x = draw(8, C, 5, 3)
    assert layers.explain(layers.BatchNorm2d(C, after="relu"), x).name == "fused"
    assert layers.explain(layers.BatchNorm2d(C, after="relu", virtual_batch_size=3), x).name == "torch"


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch.func.jvp itself calls it, torch 2.14
def test_functional_transforms_go_the_way_of_torch() -> None:
    layer, torchs = make_pair(after="relu", track_running_stats=False)
    x, tangent = draw(4, C, 5, 3), draw(4, C, 5, 3, seed=1)
    mine = torch.func.jvp(layer, (x,), (tangent,))
    others = torch.func.jvp(lambda value: F.relu(torchs(value)), (x,), (tangent,))
    torch.testing.assert_close(mine, others)
    mine_grad = torch.func.grad(lambda value: layer(value).pow(2).sum())(x)
    torch.testing.assert_close(mine_grad, torch.func.grad(lambda value: F.relu(torchs(value)).pow(2).sum())(x))


def test_settings_are_shown_and_survive_a_copy() -> None:
    layer = layers.BatchNorm2d(C, before=layers.Activation("leaky_relu", 0.2), virtual_batch_size=4).freeze()
    twin = pickle.loads(pickle.dumps(copy.deepcopy(layer)))
    assert "before=leaky_relu, virtual_batch_size=4, frozen=True" in repr(twin)
    assert repr(layers.BatchNorm2d(C)) == repr(nn.BatchNorm2d(C))
    torch.testing.assert_close(twin(draw(2, C, 4, 4)), layer(draw(2, C, 4, 4)))


def test_old_pickles_without_the_settings_still_run() -> None:
    layer = layers.BatchNorm2d(C)
    for name in ("before", "after", "virtual_batch_size"):
        del layer.__dict__[name]
    assert layer(draw(4, C, 5, 3)).shape == (4, C, 5, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"before": "mish"}, "There is no activation 'mish' here; use one of identity, relu"),
        ({"before": "relu", "after": "relu"}, "A norm is fused with one activation"),
        ({"after": nn.ReLU()}, "Name the activation, such as 'relu'"),
    ],
    ids=["unknown", "both", "module"],
)
def test_layer_that_cannot_be_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        layers.BatchNorm2d(C, **options)


@pytest.mark.parametrize(
    ("residual", "after", "said"),
    [
        (draw(4, C, 5, 1), None, "Cannot add a residual of shape (4, 3, 5, 1) behind a norm of shape (4, 3, 5, 3)"),
        (draw(4, C, 5, 3).double(), None, "Cannot add a residual of dtype torch.float64"),
        (draw(4, C, 5, 3), "silu", "Behind an addition a norm is fused with identity or relu, not with silu"),
    ],
    ids=["shape", "dtype", "activation"],
)
def test_residual_that_does_not_fit_is_refused(residual: Tensor, after: str | None, said: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match=re.escape(said)):
        layers.BatchNorm2d(C, after=after)(draw(4, C, 5, 3), residual)
