"""What other folders get wrong without a word, and what forwards do that hides from one: right here, or refused."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.errors import NoEffectWarning
from placenorm.rewrite.unnorming import Folded
from support.folded_networks import fill_norm

CLOSE = 1e-10
C = 4
SOME = torch.ones(1)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


IMAGES, OTHERS = draw(2, 3, 9, 9), draw(3, 3, 12, 7, seed=1)


def make_norm(kind: type[nn.Module], channels: int, seed: int = 1, gammas: str = "positive") -> Any:
    norm = kind(channels)
    fill_norm(norm, gammas, seed)
    return norm


def ready(model: nn.Module) -> Any:
    return model.double().eval().requires_grad_(False)


def assert_folds(model: nn.Module, *inputs: Tensor) -> Folded:
    """The result is right without the proof, and the proof finds nothing to undo."""
    bare = pn.fold(model, inputs[0], verify=False)
    for each in inputs:
        expected = model(each.clone())
        bound = CLOSE * float(expected.abs().max())
        torch.testing.assert_close(bare.model(each.clone()), expected, rtol=0.0, atol=bound)
    done = pn.fold(model, inputs[0])
    assert done.changes == bare.changes
    return done


def sites(done: Folded) -> list[str]:
    return [change.site for change in done.changes]


# -- what others fold wrongly


def test_conv_that_two_norms_share_is_right() -> None:
    """torch.fx.experimental.optimization.fuse takes the first norm into the conv, for both."""

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, C, 3)
            self.one, self.two = (make_norm(nn.BatchNorm2d, C, seed) for seed in (1, 2))
            self.last = nn.Conv2d(C, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.relu(self.one(self.conv(x)))) + self.last(torch.relu(self.two(self.conv(-x))))

    done = assert_folds(ready(Shared()), IMAGES, OTHERS)
    assert len(done.changes) <= 1


def test_norm_over_places_behind_linear_is_refused() -> None:
    """Linear's features are the last axis, and the norm's channels are axis 1; the numbers are the same."""
    torch.manual_seed(0)
    model = ready(nn.Sequential(nn.Linear(5, 6), make_norm(nn.BatchNorm1d, 6), nn.Flatten(), nn.Linear(36, 2)))
    done = assert_folds(model, draw(3, 6, 5), draw(2, 6, 5))
    assert sites(done) == []
    assert "several" in done.skipped[0].reason


def test_order_of_registration_is_not_the_order_of_the_forward() -> None:
    """mmcv's loop folds a norm into the conv that is registered before it."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second, self.norm = nn.Conv2d(C, 3, 3), make_norm(nn.BatchNorm2d, C)
            self.first, self.relu = nn.Conv2d(3, C, 3), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.norm(self.relu(self.first(x))))

    assert sites(assert_folds(ready(Mixed()), IMAGES, OTHERS)) == ["norm"]


def test_norm_is_not_folded_across_an_activation() -> None:
    model = ready(nn.Sequential(nn.Conv2d(3, C, 3), nn.GELU(), make_norm(nn.BatchNorm2d, C), nn.GELU()))
    done = assert_folds(model, IMAGES, OTHERS)
    assert sites(done) == []
    assert "gelu" in done.skipped[0].reason


def make_bordered() -> Any:
    torch.manual_seed(0)
    norm = make_norm(nn.BatchNorm2d, C)
    return ready(nn.Sequential(nn.Conv2d(3, C, 3), nn.GELU(), norm, nn.Conv2d(C, 2, 3, padding=1)))


def test_zero_padding_is_right_at_the_border_where_the_naive_fold_is_not() -> None:
    """NNabla's folder takes the shift into the bias, as if the padding were the norm's output for zero."""
    model = make_bordered()
    norm, conv = model[2], model[3]
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    shift = norm.bias - norm.running_mean * scale
    naive = ready(nn.Conv2d(C, 2, 3, padding=1))
    naive.weight.copy_(conv.weight * scale.view(1, -1, 1, 1))
    naive.bias.copy_(conv.bias + (conv.weight * shift.view(1, -1, 1, 1)).sum((1, 2, 3)))
    wrong = (naive(model[:2](IMAGES)) - model(IMAGES)).abs()
    assert float(wrong.max()) > 0.01
    torch.testing.assert_close(wrong[..., 1:-1, 1:-1].max(), torch.zeros(()).double(), rtol=0.0, atol=1e-12)
    done = assert_folds(model, IMAGES, OTHERS)
    assert sites(done) == ["2"]
    assert done.bordered == ("3",)


def test_bias_comes_of_the_weights_as_they_were() -> None:
    """NNabla's other fault: scales the weights first, and then multiplies the shift with the scaled ones."""
    torch.manual_seed(0)
    norm = make_norm(nn.BatchNorm2d, C)
    conv = nn.Conv2d(C, 2, 1, bias=False)
    done = assert_folds(ready(nn.Sequential(nn.Conv2d(3, C, 3), nn.GELU(), norm, conv)), IMAGES, OTHERS)
    shift = norm.bias - norm.running_mean * norm.weight * (norm.running_var + norm.eps).rsqrt()
    found: Any = done.model[3]
    torch.testing.assert_close(found.bias, conv.weight.flatten(1) @ shift)


def test_functional_norm_is_folded() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Conv2d(3, C, 3), nn.Conv2d(C, 2, 3, padding=1)
            self.register_buffer("mean", draw(C, seed=3))
            self.register_buffer("var", draw(C, seed=4).abs() + 0.5)
            self.gamma, self.beta = nn.Parameter(draw(C, seed=5)), nn.Parameter(draw(C, seed=6))

        def forward(self, x: Tensor) -> Tensor:
            y = torch.relu(self.conv(x))
            return self.last(F.batch_norm(y, self.mean, self.var, self.gamma, self.beta, self.training, 0.1, 0.01))

    assert sites(assert_folds(ready(Functional()), IMAGES, OTHERS)) == [":batch_norm_1"]


class Parts(nn.Module):
    """A conv, a norm and another conv; each test has its own forward."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(3, C, 3, bias=False), nn.Conv2d(C, C, 3, padding=1, bias=False)
        self.n, self.m = make_norm(nn.BatchNorm2d, C), make_norm(nn.BatchNorm2d, C, 2)
        self.c, self.tied = nn.Conv2d(C, C, 1, bias=False), nn.Conv2d(C, C, 1, bias=False)
        self.tied.weight = self.c.weight

    def normed(self, x: Tensor) -> Tensor:
        return self.n(torch.relu(self.a(x)))


FOLDED: dict[str, Callable[[Any, Tensor], Tensor]] = {}
KEPT: dict[str, Callable[[Any, Tensor], Any]] = {}


def folded(forward: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    FOLDED[forward.__name__.replace("_", "-")] = forward
    return forward


def kept(forward: Callable[[Any, Tensor], Any]) -> Callable[[Any, Tensor], Any]:
    KEPT[forward.__name__.replace("_", "-")] = forward
    return forward


def make_parts(forward: Callable[[Any, Tensor], Any]) -> Any:
    return ready(type("Parted", (Parts,), {"forward": forward})())


@kept
def read_by_conv_and_returned(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    y = self.normed(x)
    return self.b(y), y


@kept
def read_by_conv_and_constant_add(self: Any, x: Tensor) -> Tensor:
    y = self.normed(x)
    return self.b(y) + F.gelu(y)


@folded
def read_by_conv_and_add_of_another_norm(self: Any, x: Tensor) -> Tensor:
    y = self.normed(x)
    return self.c(y + self.m(self.b(y)))


@folded
def iterated(self: Any, x: Tensor) -> Tensor:
    return self.b(torch.stack(list(self.normed(x))))


@folded
def looped(self: Any, x: Tensor) -> Tensor:
    return torch.cat([self.b(row[None]) for row in self.normed(x)])


@folded
def read_as_data(self: Any, x: Tensor) -> Tensor:
    return self.b(self.normed(x).data)


@folded
def joined_with_whole_numbers(self: Any, x: Tensor) -> Tensor:
    y = self.normed(x)
    return self.b(torch.cat([y[:, :3], 3 * torch.ones_like(y[:, :1], dtype=torch.int64)], 1))


@folded
def normalised_first(self: Any, x: Tensor) -> Tensor:
    return self.b(self.n(x.repeat(1, 2, 1, 1)[:, :C]))


@kept
def data_set(self: Any, x: Tensor) -> Tensor:
    y = self.normed(x)
    z = torch.zeros_like(y)
    z.data = y
    return self.b(z)


@kept
def written_in_place_through_a_view(self: Any, x: Tensor) -> Tensor:
    y = self.normed(x)
    y[:, :2].add_(self.m(F.gelu(self.b(F.gelu(self.a(x)))))[:, :2])
    return self.b(y)


@kept
def negated_in_place_behind_a_view(self: Any, x: Tensor) -> Tensor:
    y = self.normed(x)
    y.view_as(y).neg_()
    return self.b(y)


@kept
def written_into_a_buffer(self: Any, x: Tensor) -> Tensor:
    y = self.normed(x)
    z = torch.zeros_like(y)
    z.narrow(1, 0, C).add_(y)
    return self.b(z)


@kept
def written_out(self: Any, x: Tensor) -> Tensor:
    y = self.normed(x)
    z = torch.zeros_like(y)
    torch.add(y, y, out=z[:])
    return self.b(z)


@kept
def tied_weights_without_biases(self: Any, x: Tensor) -> Tensor:
    return self.tied(F.gelu(self.c(self.normed(x))))


@kept
def weight_read_by_a_function(self: Any, x: Tensor) -> Tensor:
    return F.conv2d(self.normed(x), self.b.weight, padding=1)


@kept
def weight_read_beside(self: Any, x: Tensor) -> Tensor:
    y = self.normed(x)
    return self.b(y) + F.conv2d(y, self.b.weight * 2, padding=1)


@kept
def gamma_read_beside(self: Any, x: Tensor) -> Tensor:
    return self.b(self.normed(x)).mean((2, 3)) * self.n.weight


@kept
def gamma_computed(self: Any, x: Tensor) -> Tensor:
    gamma = x.mean() + torch.ones(C, dtype=x.dtype)
    y = torch.relu(self.a(x))
    return self.b(F.batch_norm(y, self.n.running_mean, self.n.running_var, gamma, self.n.bias))


@kept
def slopes_computed(self: Any, x: Tensor) -> Tensor:
    return F.prelu(self.b(x[:, :1].expand(-1, C, -1, -1)), self.normed(x).mean((0, 2, 3)))


@kept
def inner_transform(self: Any, x: Tensor) -> Tensor:
    return self.b(torch.vmap(lambda image: torch.sigmoid(image) * image)(self.n(F.silu(self.a(x)))))


@kept
def made_by_nobody(self: Any, x: Tensor) -> Tensor:
    return self.b(nn.Parameter(self.normed(x), requires_grad=False))


@kept
def seen_as_whole_numbers(self: Any, x: Tensor) -> Tensor:
    return self.b(self.normed(x).view(torch.int64).view(torch.float64))


@kept
def square_transposed(self: Any, x: Tensor) -> Tensor:
    y = torch.cat([self.normed(x)[:2], self.normed(x)[-2:]]).mean((2, 3))
    return self.b(y.T[..., None, None])


@kept
def nonzero_asked(self: Any, x: Tensor) -> Tensor:
    y = self.normed(x)
    return self.b(y) * (1.0 if torch.is_nonzero(y.flatten()[0]) else 2.0)


@kept
def closed_over(self: Any, x: Tensor) -> Tensor:
    return self.b(self.normed(x) + SOME.to(x))


@pytest.mark.parametrize("name", FOLDED)
def test_forward_lets_every_norm_go(name: str) -> None:
    done = assert_folds(make_parts(FOLDED[name]), IMAGES, OTHERS)
    assert {skip.reason for skip in done.skipped} <= {"it does not run in evaluation on the example input"}


@pytest.mark.parametrize("name", KEPT)
def test_forward_keeps_its_norm_and_is_right(name: str) -> None:
    model = make_parts(KEPT[name])
    done = pn.fold(model, IMAGES, verify=False)
    assert "n" not in sites(done)
    for each in (IMAGES, OTHERS):
        torch.testing.assert_close(done.model(each), model(each), rtol=CLOSE, atol=CLOSE)


def test_output_of_an_unknown_kind_holds_what_it_holds() -> None:
    class Result:
        def __init__(self, image: Tensor) -> None:
            self.image = image

    model = make_parts(lambda self, x: Result(self.b(self.normed(x))))
    done = pn.fold(model, IMAGES, verify=False)
    torch.testing.assert_close(done.model(IMAGES).image, model(IMAGES).image)


def test_op_of_another_library_is_not_taken_for_torchs_of_the_same_name() -> None:
    library = torch.library.Library("placenorm_tests", "DEF")
    library.define("relu(Tensor x) -> Tensor")
    library.impl("relu", torch.tanh, "CompositeExplicitAutograd")
    model = make_parts(lambda self, x: self.b(torch.ops.placenorm_tests.relu(self.n(F.silu(self.a(x))))))
    assert sites(assert_folds(model, IMAGES, OTHERS)) == []


def test_norm_behind_a_norm_and_a_norm_alone() -> None:
    norms = [make_norm(nn.BatchNorm2d, 3, seed, gammas) for seed, gammas in enumerate(("mixed", "positive", "zeros"))]
    assert sites(assert_folds(ready(nn.Sequential(*norms)), IMAGES, OTHERS)) in (["0", "1"], ["0", "2"], ["1", "2"], [])
    assert len(sites(assert_folds(ready(nn.Sequential(*norms, nn.Conv2d(3, 2, 3))), IMAGES, OTHERS))) == 3


def test_twice_is_once() -> None:
    once = pn.fold(make_bordered(), IMAGES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoEffectWarning)
        twice = pn.fold(once.model, IMAGES)
    assert twice.changes == ()
    torch.testing.assert_close(twice.model(OTHERS), once.model(OTHERS), rtol=0.0, atol=0.0)


def test_folded_network_may_get_new_norms_and_be_folded_again() -> None:
    once = pn.fold(make_bordered(), IMAGES).model
    model = ready(nn.Sequential(once, make_norm(nn.BatchNorm2d, 2), nn.ReLU(), nn.Conv2d(2, 2, 3)))
    assert_folds(model, IMAGES, OTHERS)


def test_transposed_conv_with_an_asked_size_is_folded() -> None:
    class Up(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.norm = nn.Conv2d(3, C, 3, stride=2), make_norm(nn.BatchNorm2d, C)
            self.up = nn.ConvTranspose2d(C, 3, 3, stride=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.up(self.norm(torch.sigmoid(self.down(x))), output_size=x.shape[-2:])

    assert sites(assert_folds(ready(Up()), IMAGES, draw(2, 3, 12, 8))) == ["norm"]
