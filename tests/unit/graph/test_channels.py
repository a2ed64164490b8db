"""What every kind of call does to the labels of channels, and the rules that it sets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from placenorm.graph.channel_rules import GROUND, ChannelRules, NormUse, WeightUse
from placenorm.graph.channels import follow_channels

C = 4
IMAGES = torch.linspace(-1, 1, 2 * 3 * 9 * 9).view(2, 3, 9, 9)

Between = Callable[[Tensor], Tensor]


class Sandwich(nn.Module):
    """A conv, what a test is about, and a conv that reads it."""

    def __init__(self, between: Callable[..., Tensor], channels: int = C, stems: int = 1) -> None:
        super().__init__()
        self.stems = nn.ModuleList(nn.Conv2d(3, C, 3) for _ in range(stems))
        self.between = between
        self.last = nn.Conv2d(channels, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(*(stem(x) for stem in self.stems)))


def follow(between: Callable[..., Tensor], channels: int = C, stems: int = 1) -> ChannelRules:
    return follow_channels(Sandwich(between, channels, stems).eval(), IMAGES)


def ends(rules: ChannelRules) -> tuple[list[int], list[int]]:
    """Return the labels that the stem gives and that the last conv reads."""
    return rules.weights[0].gives.tolist(), rules.weights[-1].reads.tolist()


SAME: dict[str, Between] = {
    "clone": torch.clone,
    "contiguous": Tensor.contiguous,
    "data": lambda x: x.data,
    "type": lambda x: x.type(torch.float32),
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, (12, 5), mode="bilinear"),
    "adaptive-mean": lambda x: F.adaptive_avg_pool2d(x, 3),
    "mean-pool": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "open-mean-pool": lambda x: F.avg_pool2d(x, 2, ceil_mode=True),
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "reflected": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "replicated": lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"),
    "around": lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
    "turned": lambda x: x.transpose(2, 3).flip(3),
    "cut": lambda x: x[..., 1:-1, ::2],
    "back-and-forth": lambda x: x.permute(0, 2, 3, 1).reshape(-1, C).view(2, 7, 7, C).permute(0, 3, 1, 2),
    "rows": lambda x: torch.stack(list(x)),
    "no-zero": lambda x: x + 0,
}
CENTRED: dict[str, Between] = {
    "zero-padded": lambda x: F.pad(x, (1, 1, 1, 1)),
    "padded-mean-pool": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "divided-pool": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    "sum": lambda x: x.sum((2, 3), keepdim=True),
    "times": lambda x: x * 3.0,
    "halved": lambda x: x / 2,
    "scaled": lambda x: torch.arange(1.0, 5.0).view(C, 1, 1) * x,
}
KEPT: dict[str, Between] = {
    "gelu": F.gelu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "plus-one": lambda x: x + 1,
    "one-less": lambda x: 1 - x,
    "inverse": lambda x: 1 / x,
    "square": lambda x: x * x,
    "quotient": lambda x: x / x,
    "power": lambda x: x**2,
    "padded-with-ones": lambda x: F.pad(x, (1, 1, 1, 1), value=1.0),
    "softmax": lambda x: x.softmax(1),
    "mixed-channels": lambda x: x.mean(1, keepdim=True).expand(-1, C, -1, -1),
    "alpha": lambda x: torch.add(x, x, alpha=2),
    "sorted": lambda x: x.sort(1).values,
    "asked": lambda x: x if x.sum() > 0 else -x,
    "dropping": lambda x: F.dropout(x, 0.5, training=True) * 0 + F.gelu(x),
    "other-type-of-number": lambda x: x.view(torch.int32).view(torch.float32),
    "fft": lambda x: torch.fft.fft2(x).real,
}
MOVED: dict[str, tuple[Between, list[int]]] = {
    "flipped": (lambda x: x.flip(1), [3, 2, 1, 0]),
    "rolled": (lambda x: x.roll(1, 1), [3, 0, 1, 2]),
    "indexed": (lambda x: x[:, [2, 0, 0, 1]], [2, 0, 0, 1]),
    "shuffled": (lambda x: x.view(2, 2, 2, 7, 7).transpose(1, 2).reshape(2, 4, 7, 7), [0, 2, 1, 3]),
    "halves": (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), [2, 3, 0, 1]),
    "nested": (lambda x: torch.cat([torch.cat([x[:, 3:], x[:, :1]], 1), x[:, 1:3]], 1), [3, 0, 1, 2]),
    "repeated": (lambda x: x[:, :2].repeat(1, 2, 1, 1), [0, 1, 0, 1]),
    "interleaved": (lambda x: x[:, :2].repeat_interleave(2, 1), [0, 0, 1, 1]),
    "selected": (lambda x: x.index_select(1, torch.tensor([1, 1, 3, 2])), [1, 1, 3, 2]),
}


@pytest.mark.parametrize("name", SAME)
def test_call_lets_every_form_pass(name: str) -> None:
    rules = follow(SAME[name])
    given, read = ends(rules)
    assert read == given
    assert not set(given) & {*rules.fixed, *rules.centred, *rules.positive}


@pytest.mark.parametrize("name", CENTRED)
def test_call_lets_scales_pass_alone(name: str) -> None:
    rules = follow(CENTRED[name])
    given, read = ends(rules)
    assert read == given
    assert set(given) <= set(rules.centred)
    assert not set(given) & {*rules.fixed, *rules.positive}


@pytest.mark.parametrize("name", KEPT)
def test_call_lets_no_form_pass(name: str) -> None:
    rules = follow(KEPT[name])
    given, read = ends(rules)
    assert set(given) <= set(rules.fixed)
    assert all(label == GROUND or label in rules.fixed or label in rules.scaled_alike[0][0] for label in read)


@pytest.mark.parametrize("name", MOVED)
def test_call_moves_channels(name: str) -> None:
    call, places = MOVED[name]
    rules = follow(call)
    given, read = ends(rules)
    assert read == [given[place] for place in places]
    assert not rules.fixed.keys() & set(given)


@pytest.mark.parametrize(
    ("call", "centred"),
    [
        pytest.param(F.relu, True, id="relu"),
        pytest.param(lambda x: F.leaky_relu(x, 0.2), True, id="leaky"),
        pytest.param(lambda x: F.prelu(x, torch.tensor([0.2])), True, id="prelu"),
        pytest.param(lambda x: x.clone().relu_(), True, id="in-place"),
        pytest.param(lambda x: F.max_pool2d(x, 3, 1, 1), False, id="max-pool"),
        pytest.param(lambda x: F.adaptive_max_pool2d(x, 3), False, id="adaptive"),
    ],
)
def test_call_keeps_signs(call: Between, centred: bool) -> None:
    rules = follow(call)
    given, read = ends(rules)
    assert read == given
    assert set(given) <= set(rules.positive)
    assert (set(given) <= set(rules.centred)) == centred


@pytest.mark.parametrize(
    ("call", "sign"),
    [
        pytest.param(lambda x, y: x + y, 1, id="sum"),
        pytest.param(lambda x, y: x - y, -1, id="difference"),
        pytest.param(torch.add, 1, id="function"),
        pytest.param(lambda x, y: x.clone().add_(y), 1, id="in-place"),
    ],
)
def test_sum_shares_scales_and_adds_shifts(call: Callable[..., Tensor], sign: int) -> None:
    rules = follow(call, stems=2)
    one, two, last = rules.weights
    (made, first, other, found, _) = rules.sums[0]
    assert (last.reads.tolist(), first.tolist(), other.tolist()) == (
        made.tolist(),
        one.gives.tolist(),
        two.gives.tolist(),
    )
    assert found == sign
    pairs = {pair for alike in rules.scaled_alike for pair in zip(*(side.tolist() for side in alike), strict=True)}
    assert pairs == {*zip(made, one.gives, strict=True), *zip(made, two.gives, strict=True)}


def test_product_of_two_holds_the_second() -> None:
    rules = follow(lambda x, y: x * y, stems=2)
    one, two, last = rules.weights
    assert last.reads.tolist() == one.gives.tolist()
    assert set(one.gives) <= set(rules.centred)
    assert set(two.gives) <= set(rules.fixed)


def test_sum_in_shared_memory_holds_everything() -> None:
    def call(x: Tensor, y: Tensor) -> Tensor:
        x[:, :2].add_(y[:, :2])
        return x

    rules = follow(call, stems=2)
    assert set(rules.weights[0].gives[:2]) | set(rules.weights[1].gives[:2]) <= set(rules.fixed)


def test_flattened_places_keep_their_channel() -> None:
    model = nn.Sequential(nn.Conv2d(3, C, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * C, 2)).eval()
    conv, linear = follow_channels(model, IMAGES).weights
    assert linear.reads.tolist() == np.repeat(conv.gives, 4).tolist()


@pytest.mark.parametrize(
    ("layer", "varies"),
    [
        pytest.param(nn.Conv2d(3, 4, 3), False, id="open"),
        pytest.param(nn.Conv2d(3, 4, 3, padding=1), True, id="padded"),
        pytest.param(nn.Conv2d(3, 4, 3, padding="same"), True, id="same"),
        pytest.param(nn.Conv2d(3, 4, 3, padding="valid"), False, id="valid"),
        pytest.param(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), False, id="reflected"),
        pytest.param(nn.ConvTranspose2d(3, 4, 3), True, id="transposed"),
    ],
)
def test_padding_varies(layer: nn.Module, varies: bool) -> None:
    (use,) = follow_channels(layer.eval(), IMAGES).weights
    assert use == WeightUse("", use.reads, use.gives, varies)
    assert (len(use.reads), len(use.gives)) == (3, 4)


def test_padding_of_a_conv_of_the_users_own_lets_no_shift_pass() -> None:
    class Mine(nn.Conv2d):
        pass

    rules = follow_channels(nn.Sequential(nn.Conv2d(3, 4, 3), Mine(4, 2, 3, padding=1)).eval(), IMAGES)
    assert set(rules.weights[0].gives) <= set(rules.centred)


def test_norm_says_what_it_does() -> None:
    norm = nn.BatchNorm2d(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, -1.0, 0.0]))
        norm.bias.fill_(0.5)
        norm.running_mean.fill_(1.0)
        norm.running_var.fill_(4.0 - norm.eps)
    (use,) = follow_channels(nn.Sequential(norm).eval(), IMAGES).norms
    assert (use.path, use.functional, use.adjustable, use.size) == ("0", False, True, IMAGES.numel())
    assert use.reads.tolist() == [GROUND] * 3
    np.testing.assert_allclose(use.scale, [1.0, -0.5, 0.0], rtol=1e-6)
    np.testing.assert_allclose(use.shift, [-0.5, 1.0, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)), "the batch", id="batch"),
        pytest.param(nn.Sequential(nn.Linear(9, 3), nn.Flatten(2), nn.BatchNorm1d(3)), "several", id="features"),
    ],
)
def test_norm_that_sets_no_rules_says_why(model: nn.Sequential, reason: str) -> None:
    rules = follow_channels(model.eval(), IMAGES)
    assert rules.norms == []
    assert any(reason in why for why in rules.odd.values())


def test_shared_modules_take_the_same_forms() -> None:
    conv, norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
    rules = follow_channels(nn.Sequential(conv, norm, nn.ReLU(), conv, norm).eval(), IMAGES)
    for uses in (rules.weights, rules.norms):
        one, two = uses
        assert any(np.array_equal(a, one.reads) and np.array_equal(b, two.reads) for a, b in rules.alike)
        assert any(np.array_equal(a, one.gives) and np.array_equal(b, two.gives) for a, b in rules.alike)


def test_output_stays_as_it_is() -> None:
    rules = follow_channels(nn.Conv2d(3, 4, 3).eval(), IMAGES)
    assert set(rules.weights[0].gives) == set(rules.fixed)


def test_model_stays_as_it_is() -> None:
    model = Sandwich(F.relu).train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = IMAGES.clone()
    follow_channels(model, images)
    assert model.training
    torch.testing.assert_close(dict(model.state_dict()), state, rtol=0.0, atol=0.0)
    assert torch.equal(images, IMAGES)


def test_error_of_the_model_comes_through_and_nothing_stays_hooked() -> None:
    with pytest.raises(RuntimeError):
        follow_channels(nn.Conv2d(5, 4, 3), IMAGES)
    hooks: Any = nn.modules.module
    assert not hooks._global_forward_hooks
    assert not hooks._global_forward_pre_hooks


def test_calls_of_norms_are_numbered_within_their_forward() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(3))
            self.register_buffer("var", torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return F.batch_norm(F.relu(F.batch_norm(x, self.mean, self.var)), self.mean, self.var)

    uses: list[NormUse] = follow_channels(nn.Sequential(Functional()).eval(), IMAGES).norms
    assert [(use.path, use.number, use.functional) for use in uses] == [("0", 0, True), ("0", 1, True)]
