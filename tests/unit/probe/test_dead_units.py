import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.facts.placement import POLICIES, Policy
from placenorm.graph.vocabulary import RELU_LIKE
from placenorm.probe.dead_units import _SILENT, DeadUnitProber
from support.networks import ALL, IMAGES, FunctionalNet, ModuleNet


@pytest.mark.parametrize("net", ALL.values(), ids=ALL.keys())
@pytest.mark.parametrize("policy", POLICIES, ids=POLICIES)
def test_prober_names_activations_as_the_graph_does(net: type[nn.Module], policy: Policy) -> None:
    placed = pn.place(net(), IMAGES, policy)
    with DeadUnitProber(placed.model) as prober:
        placed.model(IMAGES)
        placed.model(IMAGES)
    seen = [(share.activation, share.units) for share in prober.shares()]
    assert seen == [(op.key, op.out_shape[1]) for op in placed.graph.ops if op.relu_like]


def test_prober_sees_a_unit_that_is_dead_for_all_data_only() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    model[0].weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    model[0].bias.data = torch.tensor([0.0, 0.0, -1.0])
    with DeadUnitProber(model) as prober:
        model(torch.tensor([[1.0, 0.0]]))
        model(torch.tensor([[-1.0, 0.0]]))
    (share,) = prober.shares()
    assert (share.units, share.dead) == (3, 1)
    assert share.active == pytest.approx(2 / 6)


def test_prober_counts_a_channel_alive_by_one_place() -> None:
    x = torch.full((2, 2, 3, 3), -1.0)
    x[1, 0, 2, 2] = 1.0
    model = nn.ReLU()
    with DeadUnitProber(model) as prober:
        model(x)
    (share,) = prober.shares()
    assert (share.units, share.dead) == (2, 1)
    assert share.active == pytest.approx(1 / 36)


def test_prober_looks_at_the_true_input_of_the_activation() -> None:
    """Raw outputs are all negative, the norm between centres them: no unit is dead."""
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU())
    model[0].bias.data.fill_(-100.0)
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    assert (model[0](x) < 0).all()
    with DeadUnitProber(model) as prober:
        model(x)
    assert [share.dead for share in prober.shares()] == [0]
    assert 0.4 < (prober.shares()[0].active or 0.0) < 0.6


def test_prober_keeps_calls_of_a_shared_activation_apart() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(self.relu(x - 10) + 1)

    model = Shared()
    with DeadUnitProber(model) as prober:
        model(torch.ones(4, 2))
    seen = [(share.activation, share.dead, share.active) for share in prober.shares()]
    assert seen == [("relu", 2, 0.0), ("relu#2", 0, 1.0)]


@pytest.mark.parametrize(
    ("call", "dead_at"),
    [
        (F.relu, -1.0),
        (torch.relu, -1.0),
        (lambda x: x.relu(), -1.0),
        (lambda x: F.relu(x, inplace=True), -1.0),
        (F.relu6, 7.0),
        (F.hardswish, -4.0),
        (F.hardsigmoid, 4.0),
    ],
    ids=["F.relu", "torch.relu", "method", "in-place", "relu6", "hardswish", "hardsigmoid"],
)
def test_prober_knows_where_each_activation_is_flat(call: object, dead_at: float) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return call(x)  # type: ignore[operator,no-any-return]

    model = Net()
    with DeadUnitProber(model) as prober:
        model(torch.tensor([[dead_at, 1.0]]))
    assert [(share.units, share.dead) for share in prober.shares()] == [(2, 1)]


def test_prober_watches_what_the_graph_calls_relu_like() -> None:
    assert _SILENT.keys() == RELU_LIKE


@pytest.mark.parametrize("between", [nn.Identity(), nn.Dropout(0.5)], ids=["straight", "dropout"])
def test_prober_finds_the_features_of_a_linear_layer_last(between: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(6, 8), between, nn.ReLU())
    model[0].bias.data[:7] = -100.0
    model[0].bias.data[7] = 100.0
    with DeadUnitProber(model) as prober:
        model(torch.zeros(4, 5, 6))
    assert [(share.units, share.dead) for share in prober.shares()] == [(8, 7)]


def test_prober_counts_channels_where_a_linear_layer_feeds_a_map() -> None:
    model = nn.Sequential(nn.Linear(6, 12), nn.Unflatten(1, (3, 2, 2)), nn.ReLU(), nn.Conv2d(3, 5, 1), nn.ReLU())
    with DeadUnitProber(model) as prober:
        model(torch.zeros(4, 6))
    assert [share.units for share in prober.shares()] == [3, 5]


@pytest.mark.parametrize("activation", [nn.GELU(), nn.Tanh(), nn.LeakyReLU()], ids=["gelu", "tanh", "leaky"])
def test_prober_leaves_smooth_activations_out(activation: nn.Module) -> None:
    with DeadUnitProber(activation) as prober:
        activation(torch.full((2, 2), -3.0))
    assert prober.shares() == ()


def test_prober_leaves_no_hook_behind_after_an_exception() -> None:
    model = ModuleNet()
    with pytest.raises(RuntimeError), DeadUnitProber(model):
        model(torch.zeros(2, 5, 8, 8))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_prober_changes_no_output() -> None:
    model = FunctionalNet().eval()
    expected = model(IMAGES)
    with DeadUnitProber(model):
        found = model(IMAGES)
    assert torch.equal(found, expected)
