"""Trained networks keep what they compute: which norms can be taken in, which carried, which not, and why."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.facts.placement import POLICIES, Policy, Position
from placenorm.rewrite.placing import Placed
from support.networks import ALL, IMAGES

EXACT = 1e-12
DATA = torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(5))


def look_trained(model: nn.Module, *, falling: bool = True) -> nn.Module:
    """Give every norm statistics and parameters as training leaves them; gamma of both signs, or positive."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for norm in (m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
            if norm.running_mean is not None:
                norm.running_mean.copy_(torch.randn(norm.num_features, generator=generator) * 0.3)
                norm.running_var.copy_(torch.rand(norm.num_features, generator=generator) + 0.5)
            gamma = torch.rand(norm.num_features, generator=generator) + 0.3
            signs = torch.tensor([1.0, -1.0]).repeat(norm.num_features)[: norm.num_features]
            norm.weight.copy_(gamma * signs if falling else gamma)
            norm.bias.copy_(torch.randn(norm.num_features, generator=generator) * 0.3)
    return model.eval()


def preserve(model: nn.Module, placement: Policy | dict[str, Position], data: Tensor = DATA) -> Placed:
    """Place a copy, and check on other data than the example that it computes the same."""
    double = copy.deepcopy(model).double()
    placed = pn.place(double, data[:4].double(), placement, preserve=data)
    with torch.no_grad():
        found, expected = placed.model.eval()(data[4:].double()), double.eval()(data[4:].double())
    assert float((found - expected).abs().max()) < EXACT * float(expected.abs().max())
    single = pn.place(model, data[:4], placement, preserve=data)
    assert single.max_error is not None
    assert single.max_error < EXACT
    assert single.max_error_dtype is not None
    assert single.max_error_dtype < 1e-5
    assert single.placement == placed.placement
    return single


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("net", ALL.values(), ids=ALL.keys())
def test_preserve_keeps_what_a_network_computes(net: type[nn.Module], policy: Policy) -> None:
    torch.manual_seed(0)
    preserve(look_trained(net()), policy)


def conv_net(*layers: nn.Module, channels: int = 4) -> nn.Sequential:
    """A conv, what a test is about, and a conv without padding behind it."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), *layers, nn.Conv2d(channels, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_preserve_norm_behind_the_conv_goes_into_it() -> None:
    placed = preserve(look_trained(conv_net(nn.BatchNorm2d(4), nn.ReLU())), "none")
    assert placed.graph.norms == ()
    assert placed.skipped == ()


def test_preserve_norm_behind_the_activation_goes_into_the_next_conv() -> None:
    placed = preserve(look_trained(conv_net(nn.ReLU(), nn.BatchNorm2d(4))), "none")
    assert placed.graph.norms == ()


def test_preserve_norm_goes_through_a_flatten_into_a_linear_layer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(144, 3)
    )
    assert preserve(look_trained(model), "none").graph.norms == ()


class Fork(nn.Module):
    """A norm that two convs read."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.left, self.right = nn.Conv2d(4, 3, 3, padding=padding), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.relu(self.stem(x)))
        return (self.left(x).mean((2, 3)) + self.right(x).mean((2, 3))).tanh()


def test_preserve_norm_goes_into_all_its_readers_or_stays() -> None:
    torch.manual_seed(0)
    assert preserve(look_trained(Fork(0)), {"stem": "none"}).graph.norms == ()
    placed = preserve(look_trained(Fork(1)), {"stem": "none"})
    assert placed.changes == ()
    assert [skip.reason for skip in placed.skipped] == [
        "what was learned would be lost: its norm norm cannot be taken into the weights before it (the activation "
        ":relu_1 stands between), nor into those behind it (left pads with zeros, where the norm's shift would be "
        "missing)"
    ]


@pytest.mark.parametrize("padding_mode", ["reflect", "replicate", "circular"])
def test_preserve_padding_with_values_lets_the_shift_pass(padding_mode: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        *(nn.Conv2d(4, 3, 3, padding=1, padding_mode=padding_mode), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )
    assert preserve(look_trained(model), "none").graph.norms == ()


# -- across pools


def test_preserve_norm_crosses_a_max_pool_with_its_values_where_gamma_is_positive() -> None:
    model = look_trained(conv_net(nn.ReLU(), nn.BatchNorm2d(4), nn.MaxPool2d(2)), falling=False)
    placed = preserve(model, "after-pool")
    assert placed.graph.placement()["0"] == "after-pool"
    norm = placed.model.get_submodule("2")
    assert torch.equal(norm.weight, model[2].weight)
    assert torch.equal(norm.running_mean, model[2].running_mean)


def test_preserve_norm_with_negative_gamma_does_not_cross_a_max_pool() -> None:
    model = look_trained(conv_net(nn.ReLU(), nn.BatchNorm2d(4), nn.MaxPool2d(2)))
    placed = preserve(model, "after-pool")
    assert placed.changes == ()
    (reason,) = (skip.reason for skip in placed.skipped if "lost" in skip.reason)
    assert "gamma is negative in 2 channels, of which the max pool 3 would take minima" in reason


@pytest.mark.parametrize(
    ("pool", "crosses"),
    [
        (nn.AvgPool2d(2), True),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), True),
        (nn.AvgPool2d(2, ceil_mode=True), True),
        (nn.AvgPool2d(3, 2, 1), False),
        (nn.AvgPool2d(2, divisor_override=3), False),
        (nn.LPPool2d(2, 2), False),
    ],
    ids=["plain", "padding-not-counted", "ceil", "padding-counted", "divisor", "lp"],
)
def test_preserve_norm_crosses_an_average_pool_that_takes_means_only(pool: nn.Module, crosses: bool) -> None:
    model = look_trained(conv_net(nn.ReLU(), nn.BatchNorm2d(4), pool))
    placed = preserve(model, "after-pool")
    assert (placed.graph.placement()["0"] == "after-pool") is crosses
    if crosses:
        assert torch.equal(placed.model.get_submodule("2").weight, model[2].weight)


def test_preserve_norm_between_pool_and_activation_keeps_its_values() -> None:
    model = look_trained(conv_net(nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)), falling=False)
    placed = preserve(model, {"0": "after-pool-before-activation"})
    assert [name for name, _ in placed.model.named_children()][:4] == ["0", "3", "1", "2"]
    assert torch.equal(placed.model.get_submodule("1").weight, model[1].weight)


def test_preserve_norm_with_negative_gamma_is_taken_in_and_starts_anew_behind_the_pool() -> None:
    model = look_trained(conv_net(nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)))
    placed = preserve(model, {"0": "after-pool-before-activation"})
    assert placed.graph.placement()["0"] == "after-pool-before-activation"
    assert bool((placed.model.get_submodule("1").weight > 0).all())


# -- new norms


def test_preserve_new_norm_has_the_statistics_of_the_data_and_undoes_them() -> None:
    model = conv_net(nn.ReLU()).eval()
    placed = preserve(model, "after-activation")
    norm = placed.model.get_submodule("1.norm")
    values = torch.relu(model[0](DATA)).detach().double().movedim(1, 0).flatten(1)
    torch.testing.assert_close(norm.running_mean.double(), values.mean(1), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(norm.running_var.double(), values.var(1), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(norm.bias.detach(), norm.running_mean, rtol=0, atol=0)


def test_preserve_bias_of_the_conv_moves_into_beta() -> None:
    model = conv_net(nn.ReLU()).eval()
    placed = preserve(model, "before-activation")
    assert placed.model[0].bias is None
    norm = placed.model.get_submodule("0.norm")
    torch.testing.assert_close((norm.bias - norm.running_mean).detach(), model[0].bias.detach(), rtol=1e-5, atol=1e-6)


def test_preserve_new_norm_trains_as_one() -> None:
    placed = preserve(conv_net(nn.ReLU()).eval(), "after-activation").model.train()
    placed(DATA).square().sum().backward()
    norm = placed.get_submodule("1.norm")
    assert float(norm.weight.grad.abs().max()) > 0
    assert int(norm.num_batches_tracked) == 2


def test_preserve_network_without_its_data_in_one_loader_reads_them_once() -> None:
    batches = iter([(DATA[:16], 1), (DATA[16:], 2)])
    placed = pn.place(conv_net(nn.ReLU()).eval(), DATA[:4], "after-activation", preserve=batches)
    assert int(placed.model.get_submodule("1.norm").num_batches_tracked) == 2
    assert next(batches, None) is None


# -- what cannot be kept


class Shared(nn.Module):
    """One conv, two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(1), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.conv(self.first(self.conv(x)).relu())).relu().mean((2, 3))


class Tied(nn.Module):
    """Two convs with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.other = nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1), nn.Conv2d(1, 1, 3)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.norm(self.one(x)).relu()).mean((2, 3))


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 1)
        self.register_buffer("mean", torch.full((2,), 0.1))
        self.register_buffer("var", torch.full((2,), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        x = F.batch_norm(self.conv(x), self.mean, self.var)
        return self.head(torch.relu(x)).mean((2, 3))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Shared, "conv also runs as conv"),
        (Tied, "one shares its weights with other"),
        (
            lambda: nn.Sequential(
                Standardised(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 6), nn.Flatten()
            ),
            "the weights of 0:conv2d_1 stand in a forward of your own",
        ),
        (
            lambda: nn.Sequential(
                nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 4, 3)),
                *(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 6), nn.Flatten()),
            ),
            "0 does not compute with its weights just as they are",
        ),
        (Functional, "is a functional call, whose values stand in your forward"),
    ],
    ids=["shared", "tied", "standardised", "weight-norm", "functional"],
)
def test_preserve_says_why_a_norm_has_to_stay(make: Callable[[], nn.Module], words: str) -> None:
    torch.manual_seed(0)
    placed = preserve(look_trained(make()), "none")
    reasons = [skip.reason for skip in placed.skipped if "what was learned would be lost" in skip.reason]
    assert reasons
    assert all(words in reason for reason in reasons)
    assert len(placed.graph.norms) == len(reasons)


def test_preserve_norm_without_running_statistics_stays() -> None:
    model = conv_net(nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU())
    placed = pn.place(model.eval(), DATA[:4], "none", preserve=DATA)
    assert [skip.reason for skip in placed.skipped] == [
        "what was learned would be lost: its norm 1 keeps no running statistics, so it never evaluates"
    ]


def test_preserve_takes_in_the_calls_of_one_line_together() -> None:
    class Twins(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
            self.head = nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return (self.head(self.encoder(x)) - self.head(self.encoder(x.flip(3)))).abs().mean((2, 3))

    torch.manual_seed(0)
    placed = preserve(look_trained(Twins()), "none")
    assert placed.graph.norms == ()
    assert len(preserve(look_trained(Twins()), "after-activation").graph.norms) == 2


def test_without_preserve_no_error_is_claimed() -> None:
    placed = pn.place(look_trained(conv_net(nn.BatchNorm2d(4), nn.ReLU())), IMAGES, "none")
    assert (placed.max_error, placed.max_error_dtype) == (None, None)
