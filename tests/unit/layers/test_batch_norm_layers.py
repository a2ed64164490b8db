"""Our layers in the place of torch's: the same keys, buffers, outputs and errors."""

import copy
import inspect
import pickle
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from placenorm import layers

C = 3
HAS_BIAS_SWITCH = "bias" in inspect.signature(nn.BatchNorm2d).parameters


@dataclass(frozen=True, slots=True)
class Pair:
    name: str
    shape: tuple[int, ...]

    @property
    def ours(self) -> type[nn.Module]:
        kind: type[nn.Module] = getattr(layers, self.name)
        return kind

    @property
    def torchs(self) -> type[nn.Module]:
        kind: type[nn.Module] = getattr(nn, self.name)
        return kind

    def draw(self, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
        source = torch.Generator().manual_seed(seed)
        return (2.0 * torch.randn(self.shape, generator=source) + 0.7).to(dtype)


PAIRS = [
    Pair("BatchNorm1d", (8, C)),
    Pair("BatchNorm1d", (4, C, 7)),
    Pair("BatchNorm2d", (4, C, 5, 3)),
    Pair("BatchNorm3d", (2, C, 2, 3, 5)),
]
OPTIONS: dict[str, dict[str, object]] = {
    "default": {},
    "momentum-none": {"momentum": None},
    "momentum-zero": {"momentum": 0.0},
    "momentum-one": {"momentum": 1.0},
    "plain": {"affine": False},
    "untracked": {"track_running_stats": False},
    "plain-untracked": {"affine": False, "track_running_stats": False},
    "eps": {"eps": 0.5},
    **({"no-bias": {"bias": False}} if HAS_BIAS_SWITCH else {}),
}
EACH_PAIR = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.name}-{len(pair.shape)}d")
EACH_OPTION = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())


def _twins(pair: Pair, options: dict[str, object], **more: object) -> tuple[nn.Module, nn.Module]:
    """Return our layer and torch's with the same parameters, none of them at its initial value."""
    ours, theirs = pair.ours(C, **options, **more), pair.torchs(C, **options, **more)
    with torch.no_grad():
        for parameter, value in zip(theirs.parameters(), ([0.5, -1.2, 2.0], [0.3, -0.1, 1.0]), strict=False):
            parameter.copy_(torch.tensor(value))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@EACH_PAIR
def test_layer_is_the_torch_layer(pair: Pair) -> None:
    assert isinstance(pair.ours(C), pair.torchs)
    usual = list(inspect.signature(pair.torchs).parameters)
    assert list(inspect.signature(pair.ours).parameters)[:7] == usual[:7]
    assert repr(pair.ours(C)) == repr(pair.torchs(C))


@EACH_PAIR
@EACH_OPTION
def test_state_dict_goes_both_ways(pair: Pair, options: dict[str, object]) -> None:
    ours, theirs = _twins(pair, options)
    ours(pair.draw(0))
    theirs.load_state_dict(ours.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[key])
        assert value.dtype == theirs.state_dict()[key].dtype


@EACH_PAIR
@EACH_OPTION
def test_several_steps_leave_the_same_buffers_and_gradients(pair: Pair, options: dict[str, object]) -> None:
    ours, theirs = _twins(pair, options)
    for step in range(4):
        outputs = []
        for layer in (ours, theirs):
            x = pair.draw(step).requires_grad_()
            y = layer(x)
            y.backward(pair.draw(100 + step))
            outputs.append((y.detach(), x.grad))
        torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(
        [parameter.grad for parameter in ours.parameters()],
        [parameter.grad for parameter in theirs.parameters()],
        rtol=1e-5,
        atol=1e-4,
    )


@EACH_PAIR
@EACH_OPTION
def test_evaluation_gives_the_same_and_leaves_the_buffers(pair: Pair, options: dict[str, object]) -> None:
    ours, theirs = _twins(pair, options)
    for layer in (ours, theirs):
        layer(pair.draw(1))
        layer.eval()
    before = copy.deepcopy(ours.state_dict())
    torch.testing.assert_close(ours(pair.draw(2)), theirs(pair.draw(2)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.state_dict(), before, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_tracking_switched_off_later_behaves_as_in_torch(training: bool) -> None:
    pair = PAIRS[2]
    ours, theirs = (each.train(training) for each in _twins(pair, {}))
    ours.track_running_stats = theirs.track_running_stats = False
    torch.testing.assert_close(ours(pair.draw(1)), theirs(pair.draw(1)))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("missing", ["num_batches_tracked", "running_mean"])
@pytest.mark.parametrize("momentum", [0.1, None], ids=["momentum", "cumulative"])
def test_a_buffer_set_to_none_behaves_as_in_torch(missing: str, momentum: float | None) -> None:
    pair = PAIRS[2]
    ours, theirs = _twins(pair, {"momentum": momentum})
    for layer in (ours, theirs):
        setattr(layer, missing, None)
        if missing == "running_mean":
            layer.running_var = None
    torch.testing.assert_close(ours(pair.draw(1)), theirs(pair.draw(1)))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("shape", [(0, C, 4, 4), (2, C, 0, 4)], ids=["no-samples", "no-positions"])
def test_empty_batch_behaves_as_in_torch(shape: tuple[int, ...], training: bool) -> None:
    ours, theirs = (each.train(training) for each in _twins(PAIRS[2], {}))
    for layer in (ours, theirs):
        x = torch.zeros(shape, requires_grad=True)
        y = layer(x)
        y.sum().backward()
        assert y.shape == x.grad.shape == shape
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    for mine, torchs in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, torchs.grad)


@dataclass(frozen=True, slots=True)
class Refusal:
    name: str
    pair: Pair
    x: Tensor
    training: bool = True
    eps: float = 1e-5
    tracked: bool = True
    same_words: bool = True


BY_TYPE = {pair.name: pair for pair in PAIRS}
REFUSALS = [
    Refusal("rank-1d", BY_TYPE["BatchNorm1d"], torch.ones(C)),
    Refusal("rank-1d-eval", BY_TYPE["BatchNorm1d"], torch.ones(2, C, 2, 2), training=False),
    Refusal("rank-2d", BY_TYPE["BatchNorm2d"], torch.ones(4, C)),
    Refusal("rank-3d", BY_TYPE["BatchNorm3d"], torch.ones(4, C, 2, 2)),
    Refusal("one-value-1d", BY_TYPE["BatchNorm1d"], torch.ones(1, C)),
    Refusal("one-value-2d", BY_TYPE["BatchNorm2d"], torch.ones(1, C, 1, 1)),
    Refusal("one-value-eval-untracked", BY_TYPE["BatchNorm2d"], torch.ones(1, C, 1, 1), training=False, tracked=False),
    Refusal("channels", BY_TYPE["BatchNorm2d"], torch.ones(4, 5, 2, 2)),
    Refusal("channels-eval", BY_TYPE["BatchNorm2d"], torch.ones(4, 5, 2, 2), training=False),
    Refusal("channels-untracked", BY_TYPE["BatchNorm2d"], torch.ones(4, 5, 2, 2), tracked=False),
    Refusal("eps-zero", BY_TYPE["BatchNorm2d"], torch.ones(4, C, 2, 2), eps=0.0),
    Refusal("eps-negative", BY_TYPE["BatchNorm2d"], torch.ones(4, C, 2, 2), training=False, eps=-1.0),
    Refusal("integers", BY_TYPE["BatchNorm2d"], torch.ones(4, C, 2, 2, dtype=torch.long), same_words=False),
    Refusal("wider-input", BY_TYPE["BatchNorm2d"], torch.ones(4, C, 2, 2, dtype=torch.double), same_words=False),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
def test_bad_input_raises_what_torch_raises(refusal: Refusal) -> None:
    raised = []
    for kind in (refusal.pair.ours, refusal.pair.torchs):
        layer = kind(C, eps=refusal.eps, track_running_stats=refusal.tracked).train(refusal.training)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what is compared
            layer(refusal.x)
        raised.append(caught.value)
    assert type(raised[0]) is type(raised[1])
    if refusal.same_words:
        assert str(raised[0]) == str(raised[1])
    else:
        assert str(raised[0]).startswith("Cannot take batch norm of")


def test_refused_batch_is_not_counted() -> None:
    layer = layers.BatchNorm2d(C)
    with pytest.raises(ValueError, match="more than 1 value"):
        layer(torch.ones(1, C, 1, 1))
    assert layer.num_batches_tracked == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_layer_in_another_dtype_keeps_torch_dtypes(dtype: torch.dtype, training: bool) -> None:
    pair = PAIRS[2]
    ours, theirs = (each.train(training) for each in _twins(pair, {}, dtype=dtype))
    for layer in (ours, theirs):
        layer(pair.draw(0, dtype)).backward(pair.draw(1, dtype))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    assert [each.grad.dtype for each in ours.parameters()] == [dtype, dtype]
    assert ours(pair.draw(2, dtype)).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_autocast_gives_torch_dtypes(dtype: torch.dtype, training: bool) -> None:
    pair = PAIRS[2]
    ours, theirs = (each.train(training) for each in _twins(pair, {}))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mine, torchs = ours(pair.draw(0, dtype)), theirs(pair.draw(0, dtype))
    torch.testing.assert_close(mine, torchs)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    mine.backward(pair.draw(1, dtype))
    assert ours.weight.grad.dtype == torch.float32


@EACH_PAIR
def test_layer_survives_pickle_and_deepcopy(pair: Pair) -> None:
    layer = pair.ours(C, momentum=0.25)
    layer(pair.draw(0))
    for twin in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert type(twin) is pair.ours
        torch.testing.assert_close(twin.state_dict(), layer.state_dict(), rtol=0.0, atol=0.0)
        assert torch.equal(twin(pair.draw(1)), copy.deepcopy(layer)(pair.draw(1)))


def test_frozen_parameters_still_pass_the_gradient_on() -> None:
    ours, theirs = _twins(PAIRS[2], {})
    gradients = []
    for layer in (ours, theirs):
        layer.requires_grad_(False)
        x = PAIRS[2].draw(0).requires_grad_()
        layer(x).backward(PAIRS[2].draw(1))
        gradients.append(x.grad)
        assert layer.weight.grad is None
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_no_grad_still_updates_the_buffers() -> None:
    ours, theirs = _twins(PAIRS[2], {})
    with torch.no_grad():
        ours(PAIRS[2].draw(0))
        theirs(PAIRS[2].draw(0))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
