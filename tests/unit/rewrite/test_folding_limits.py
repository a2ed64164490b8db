"""Where a fold could go wrong without a word: rounding, state, shapes and values that the example does not show."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.errors import ModelError
from placenorm.rewrite.unnorming import Folded
from support.folded_networks import fill_norm

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """conv -> ReLU -> norm -> conv, with something between the norm and the second conv."""

    def __init__(self, between: Callable[[Any, Tensor], Tensor] = lambda _, y: y) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.last = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, padding=1)
        self.other = nn.BatchNorm2d(4)
        self.kept: Any = None
        self.between = between
        fill_norm(self.norm, "positive", 1)
        fill_norm(self.other, "positive", 2)
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self, self.norm(F.relu(self.first(x)))))


def assert_same(model: nn.Module, *inputs: Tensor) -> Folded:
    done = pn.fold(model, inputs[0])
    for x in inputs:
        torch.testing.assert_close(done.model(x), model(x), rtol=0.0, atol=1e-5 * float(model(x).abs().max()))
    return done


class PreActivation(nn.Module):
    """A shift that ReLU asks for goes through a division by a gamma."""

    def __init__(self, gamma: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.conv, self.skip = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        fill_norm(self.norm, "positive", 1)
        self.norm.weight.data[:2] = gamma
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        t = self.stem(x)
        return self.conv(F.relu(self.norm(t))) + self.skip(t)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_fold_that_only_float64_could_hold_is_undone(dtype: torch.dtype) -> None:
    done = pn.fold(PreActivation(1e-6).to(dtype), IMAGES.to(dtype))
    assert not done.changes
    assert "in its own type, where rounding allows" in done.skipped[0].reason
    assert pn.fold(PreActivation(1.0), IMAGES).changes


def test_dropout_in_training_mode_is_refused() -> None:
    net = nn.Sequential(Net(), nn.Dropout()).eval()
    net[1].train()
    with pytest.raises(ModelError, match=r"its module 1 is in training mode.*call \.eval\(\) first"):
        pn.fold(net, IMAGES)


@pytest.mark.parametrize("name", ["anchors", "_anchors"])
def test_tensors_that_stand_in_a_list_of_a_module_are_constants(name: str) -> None:
    """As torchvision's anchors of boxes, whose number a forward asks for."""

    def take_anchors(net: Net, y: Tensor) -> Tensor:
        anchors = getattr(net, name)
        torch.stack([anchors[0]] * len(anchors[0]))
        return y

    net = Net(take_anchors)
    setattr(net, name, [torch.ones(2)])
    assert [change.site for change in assert_same(net, IMAGES).changes] == ["norm"]


def test_tensor_that_the_network_keeps_stays_as_it_is() -> None:
    def keep(net: Any, y: Tensor) -> Tensor:
        net.kept = y
        return y

    net = Net(keep)
    done = assert_same(net, IMAGES)
    torch.testing.assert_close(done.model.kept, net.kept)
    assert "a tensor that the network keeps" in str(done.skipped)


def test_odd_sizes_are_proved() -> None:
    def pad(_: Any, y: Tensor) -> Tensor:
        return F.pad(y, (0, 1)) if y.shape[-1] % 2 else y

    done = assert_same(Net(pad), IMAGES, torch.randn(1, 3, 65, 65))
    assert any(int(shape.split("x")[-1]) % 2 for shape in done.verified)


def test_many_samples_are_proved() -> None:
    assert_same(Net(lambda _, y: F.gelu(y) if len(y) > 8 else y), IMAGES, torch.randn(9, 3, 64, 64))


def test_other_means_are_proved() -> None:
    assert_same(Net(lambda _, y: F.gelu(y) if y.mean() > 1.0 else y), IMAGES, IMAGES + 5.0)


def test_index_that_is_computed_lets_nothing_pass() -> None:
    def choose(net: Any, y: Tensor) -> Tensor:
        return torch.stack([y, net.other(y)])[(y.mean() > 1.0).long()]

    assert_same(Net(choose), IMAGES, IMAGES + 5.0, IMAGES - 5.0)


def test_output_without_numbers_proves_nothing() -> None:
    class Nothing(Net):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return y[y > 1e9]

    with pytest.raises(ModelError, match="holds no finite numbers"):
        pn.fold(Nothing(), IMAGES)


def test_network_that_draws_numbers_of_its_own_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    net = Net(lambda _, y: y + torch.randn(y.shape, generator=generator))
    with pytest.raises(ModelError, match="two runs of the model as it is differ"):
        pn.fold(net, IMAGES)


def test_parameters_in_one_memory_stay() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1))
    net.eval().requires_grad_(False)
    fill_norm(net[2], "positive", 1)
    net[3].weight.data = net[0].weight.data
    expected = net(IMAGES)
    done = pn.fold_(net, IMAGES)
    torch.testing.assert_close(net(IMAGES), expected)
    assert not done.changes


def test_call_in_place_behind_two_norms_leaves_the_input_alone() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
            self.conv = nn.Conv2d(3, 2, 1)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.relu(self.two(self.one(x)))) + x[:, :2]

    net = Twice().eval().requires_grad_(False)
    given = IMAGES.clone()
    pn.fold(net, IMAGES).model(given)
    assert torch.equal(given, IMAGES)


@pytest.mark.parametrize("read", [lambda w: w.mT, lambda w: w.data, lambda w: w.detach()])
def test_weight_that_is_read_otherwise_stays(read: Callable[[Tensor], Tensor]) -> None:
    def multiply(net: Any, y: Tensor) -> Tensor:
        return y * read(net.last.weight).sum()

    net = Net(multiply)
    bare = pn.fold(net, IMAGES, verify=False).model
    torch.testing.assert_close(bare(IMAGES), net(IMAGES), rtol=0.0, atol=1e-5 * float(net(IMAGES).abs().max()))


def test_forward_that_casts_is_proved_in_its_own_type() -> None:
    class Casting(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.float() / 2)

    done = assert_same(Casting(), IMAGES)
    assert [change.site for change in done.changes] == ["norm"]
    assert done.max_error is None
    assert done.max_error_dtype is not None
    assert done.max_error_dtype < 1e-5


def test_arguments_by_name_are_read() -> None:
    done = assert_same(Net(lambda net, y: net.other(torch.add(input=y, other=F.gelu(y)))), IMAGES)
    assert done.matched == 2


def test_what_is_negated_passes() -> None:
    class Negated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.conv = nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3, padding=1)
            fill_norm(self.norm, "positive", 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(-self.norm(F.gelu(x)))

    done = assert_same(Negated().eval().requires_grad_(False), IMAGES)
    assert [change.site for change in done.changes] == ["norm"]


def test_whole_model_that_is_a_layer_with_an_activation_stays() -> None:
    layer = pn.layers.BatchNorm2d(3, after="relu").eval().requires_grad_(False)
    done = pn.fold(layer, IMAGES)
    torch.testing.assert_close(done.model(IMAGES), layer(IMAGES))
    assert "it is the whole model" in done.skipped[0].reason
