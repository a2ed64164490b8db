"""The short way of inputs that are like the last one: the same results, and the long way wherever anything differs."""

import copy
import io
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from placenorm.layers import Activation, BatchNorm1d, BatchNorm2d, MaxPool, batch_norm, explain, paths

SHAPE = (4, 6, 5, 7)
POOL = MaxPool((2, 2), (2, 2))


@pytest.fixture(autouse=True)
def long_ways(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """List the inputs that go the long way."""
    taken: list[Tensor] = []
    normalize = batch_norm.normalize_batch

    def listen(x: Tensor, *given: object) -> Tensor:
        taken.append(x)
        return normalize(x, *given)

    monkeypatch.setattr(paths, "LEAST_VALUES", 0)
    monkeypatch.setattr(paths, "LEAST_SHARE", 0)
    monkeypatch.setattr(batch_norm, "normalize_batch", listen)
    return taken


def draw(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def step(layer: nn.Module, *given: Tensor) -> list[Tensor]:
    leaves = [each.clone().requires_grad_() for each in given]
    y = layer(*leaves)
    gradients = torch.autograd.grad(y.square().sum(), [*leaves, layer.weight, layer.bias])
    return [y.detach(), *gradients, *(each.clone() for each in layer.buffers())]


@pytest.mark.parametrize("least", [0, 1 << 30], ids=["fused", "torch"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("kind", ["alone", "added", "pooled", "pooled-behind"])
def test_short_way_gives_the_same_to_the_last_bit(
    kind: str, training: bool, least: int, long_ways: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "LEAST_VALUES", least)
    options = {"pooled": {"before": "relu", "pool": POOL}, "pooled-behind": {"after": "relu", "pool_after": POOL}}
    layer = BatchNorm2d(6, **options.get(kind, {"after": "relu"}))
    layer.train(training)
    twin = copy.deepcopy(layer)
    for seed in range(3):
        given = [draw(seed), draw(seed + 9)] if kind == "added" else [draw(seed)]
        twin._forget()
        for one, other in zip(step(layer, *given), step(twin, *given), strict=True):
            assert torch.equal(one, other)
    assert len(long_ways) == 1 + 3
    assert int(layer.num_batches_tracked) == 3 * training
    assert explain(layer, draw(0)).name == ("fused" if training and not least else "torch")


def test_average_over_all_batches_is_asked_for_each_time(long_ways: list[Tensor]) -> None:
    layer = BatchNorm2d(6, momentum=None)
    for seed in range(2):
        layer(draw(seed))
    assert len(long_ways) == 2
    torch.testing.assert_close(layer.running_mean, (draw(0).mean((0, 2, 3)) + draw(1).mean((0, 2, 3))) / 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.eval(),
        lambda layer: layer.double(),
        lambda layer: layer.fuse(before="relu"),
        lambda layer: setattr(layer, "after", Activation("relu")),
        lambda layer: setattr(layer, "momentum", 0.5),
        lambda layer: setattr(layer, "eps", 1e-3),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.full((6,), 2.0))),
        lambda layer: setattr(layer, "running_mean", torch.zeros(6)),
        lambda layer: setattr(layer, "virtual_batch_size", 2),
        lambda layer: setattr(layer, "track_running_stats", False),
        lambda layer: layer.fuse(before="relu", pool=POOL),
        lambda layer: setattr(layer, "pool_after", POOL),
    ],
    ids=[
        "eval",
        "double",
        "fuse",
        "activation",
        "momentum",
        "eps",
        "weight",
        "buffer",
        "virtual",
        "untracked",
        "pool",
        "pool-after",
    ],
)
def test_changed_layer_goes_the_long_way(change: Callable[[nn.Module], object], long_ways: list[Tensor]) -> None:
    layer, twin = BatchNorm2d(6, after="silu"), BatchNorm2d(6, after="silu")
    for each in (layer, twin):
        each(draw(0))
        change(each)
    twin._forget()
    x = draw(1).to(layer.weight.dtype)
    found, wanted = layer(x), twin(x)
    assert len(long_ways) == 4
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    for one, other in zip(layer.buffers(), twin.buffers(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ([draw(1)], 1),
        ([draw(1), draw(2)], 2),
        ([draw(1).contiguous(memory_format=torch.channels_last)], 2),
        ([draw(1)[:2]], 2),
        ([draw(1, (4, 6, 3, 3))], 2),
        ([draw(1), None, torch.ones(4, 5, 7, dtype=torch.bool)], 2),
        ([nn.Parameter(draw(1))], 2),
    ],
    ids=["like", "residual", "layout", "batch", "size", "mask", "parameter"],
)
def test_other_input_goes_the_long_way(given: list[Tensor], count: int, long_ways: list[Tensor]) -> None:
    layer = BatchNorm2d(6, after="relu")
    layer(draw(0))
    layer(*given)
    assert len(long_ways) == count


def test_refusals_stay() -> None:
    layer = BatchNorm1d(6)
    layer(draw(0, (8, 6)))
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        layer(draw(0, (1, 6)))
    with pytest.raises(RuntimeError, match="should contain 5 elements"):
        layer(draw(0, (8, 5)))
    with pytest.raises(RuntimeError, match="mixed dtype"):
        layer(draw(0, (8, 6)).double())


def test_checkpoint_updates_the_running_statistics_once(long_ways: list[Tensor]) -> None:
    layer = BatchNorm2d(6, after="relu")
    layer(draw(0))
    y = checkpoint(layer, draw(1).requires_grad_(), use_reentrant=False)
    y.sum().backward()
    assert int(layer.num_batches_tracked) == 2
    assert len(long_ways) == 2  # the recomputation asks again


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")  # torch itself calls it, 2.14
def test_forward_derivative_goes_the_long_way(long_ways: list[Tensor]) -> None:
    layer = BatchNorm2d(6, after=Activation("elu", 1.0))
    other = nn.Sequential(nn.BatchNorm2d(6), nn.ELU())
    x, direction = draw(0), draw(1)
    layer(x)
    with forward_ad.dual_level():
        tangent, wanted = (
            forward_ad.unpack_dual(f(forward_ad.make_dual(x, direction))).tangent for f in (layer, other)
        )
    assert len(long_ways) == 2
    torch.testing.assert_close(tangent, wanted, rtol=1e-4, atol=1e-5)


def test_copies_and_files_carry_nothing_of_it() -> None:
    layer = BatchNorm2d(6)
    layer(draw(0))
    assert layer._known is not None
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
        assert other._known is None
        assert torch.equal(other(draw(1)), copy.deepcopy(layer)(draw(1)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("calls", [0, 2], ids=["fresh", "known"])
def test_traced_layer_runs_as_it_was(calls: int) -> None:
    layer = BatchNorm2d(6, after="relu").eval()
    for seed in range(calls):
        layer(draw(seed))
    traced = torch.jit.trace(layer, draw(0))  # which runs it several times and compares
    torch.testing.assert_close(traced(draw(1)), layer(draw(1)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda layer: layer(draw(0), 1), "Cannot add int behind a norm"),
        (lambda layer: explain(layer, SHAPE), "asked about an input, not about tuple"),
    ],
    ids=["residual", "explain"],
)
def test_what_is_no_tensor_is_refused_in_a_sentence(ask: Callable[[nn.Module], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        ask(BatchNorm2d(6))


def test_what_is_no_tensor_is_refused_by_a_layer_that_knows_its_input_too() -> None:
    layer = BatchNorm2d(6)
    layer(draw(0), draw(1))
    with pytest.raises(TypeError, match="Cannot add float behind a norm"):
        layer(draw(0), 1.0)


@pytest.mark.parametrize("name", ["weight", "bias", "running_mean", "running_var"])
@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda x: x[:3].clone(), "should contain 6 elements not 3"), (lambda x: x.double(), "(?i)float|double")],
    ids=["length", "type"],
)
def test_own_tensors_that_change_in_place_are_looked_at_anew(
    name: str, change: Callable[[Tensor], Tensor], said: str
) -> None:
    layer = BatchNorm2d(6, after="relu")
    layer(draw(0))
    getattr(layer, name).data = change(getattr(layer, name).data)
    with pytest.raises(RuntimeError, match=said):
        layer(draw(1))


def test_borrowed_gamma_is_not_kept() -> None:
    layer = BatchNorm2d(6, after="relu")
    fast = layer.weight * 2
    kept = weakref.ref(fast)
    torch.func.functional_call(layer, {"weight": fast}, (draw(0),)).sum().backward()
    del fast
    assert kept() is None


def test_gamma_that_is_computed_is_computed_once_a_call() -> None:
    class Doubled(nn.Module):
        times = 0

        def forward(self, x: Tensor) -> Tensor:
            self.times += 1
            return 2 * x

    layer = BatchNorm2d(6, after="relu")
    doubled = Doubled()
    parametrize.register_parametrization(layer, "weight", doubled)
    before = doubled.times
    for seed in range(3):
        layer(draw(seed))
    assert doubled.times == before + 3
