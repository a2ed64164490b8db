"""A10: where pooling follows a conv, move the norm after the pool: four times less to compute for a 2x2 pool."""

import pytest
import torch
from torch import Tensor, nn

from placenorm import layers
from placenorm.cost import count_cost
from placenorm.facts.cost import Cost
from placenorm.facts.placement import Policy
from placenorm.rewrite.placing import place_model

C = 4
SHAPE = (8, C, 12, 12)
PADDED = {"kernel_size": 3, "stride": 2, "padding": 1}


def _draw() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


def _norm(gamma: list[float], *, training: bool = False) -> layers.BatchNorm2d:
    """Return a norm with statistics, gamma and beta that are not at their initial values."""
    norm = layers.BatchNorm2d(C)
    norm.load_state_dict(
        {
            "weight": torch.tensor(gamma),
            "bias": torch.tensor([0.5, -1.0, 2.0, 0.1]),
            "running_mean": torch.tensor([0.3, -0.2, 1.0, 0.0]),
            "running_var": torch.tensor([0.5, 2.0, 1.0, 4.0]),
            "num_batches_tracked": torch.tensor(1),
        }
    )
    return norm.train(training)


def _order_matters(pool: nn.Module, norm: nn.Module) -> float:
    """Return the largest difference between norm-then-pool and pool-then-norm."""
    with torch.no_grad():
        return float((pool(norm(_draw())) - norm(pool(_draw()))).abs().max())


def _values_normalised(net: nn.Sequential) -> int:
    seen: list[int] = []
    for module in net:
        if isinstance(module, layers.BatchNorm2d):
            module.register_forward_hook(lambda _module, args, _output: seen.append(args[0].numel()))
    net(_draw())
    return sum(seen)


POSITIVE, MIXED = [1.0, 0.5, 2.0, 0.0], [1.0, -0.5, 2.0, -1.5]
EXACT = 1e-5


@pytest.mark.parametrize(
    ("pool", "factor"),
    [(nn.MaxPool2d(2), 4), (nn.AvgPool2d(2), 4), (nn.MaxPool2d(3), 9), (nn.MaxPool2d(3, stride=2, padding=1), 4)],
    ids=["max-2x2", "avg-2x2", "max-3x3", "max-3x3-stride-2"],
)
def test_norm_after_the_pool_has_as_many_times_less_to_do_as_the_stride_product(pool: nn.Module, factor: int) -> None:
    before = _values_normalised(nn.Sequential(layers.BatchNorm2d(C), pool))
    after = _values_normalised(nn.Sequential(pool, layers.BatchNorm2d(C)))
    assert before == factor * after


def test_parameters_stay_2c_either_way() -> None:
    before = nn.Sequential(layers.BatchNorm2d(C), nn.MaxPool2d(2))
    after = nn.Sequential(nn.MaxPool2d(2), layers.BatchNorm2d(C))
    assert [sum(each.numel() for each in net.parameters()) for net in (before, after)] == [2 * C, 2 * C]


def _cost_of(policy: Policy) -> Cost:
    net = nn.Sequential(nn.Conv2d(C, C, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(C * 36, 2))
    return count_cost(place_model(net, _draw(), policy).graph)


def test_after_pool_placement_counts_four_times_fewer_values_and_as_many_parameters() -> None:
    before, after = _cost_of("after-activation"), _cost_of("after-pool")
    assert before.norm_elements == 4 * after.norm_elements == _draw().numel()
    assert [cost.norms[0].parameters for cost in (before, after)] == [2 * C, 2 * C]


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(**PADDED)], ids=["plain", "padded"])
def test_max_pool_commutes_in_evaluation_where_gamma_is_not_negative(pool: nn.Module) -> None:
    assert _order_matters(pool, _norm(POSITIVE)) < EXACT
    assert _order_matters(pool, _norm(MIXED)) > 1.0


@pytest.mark.parametrize(
    ("pool", "commutes"),
    [
        (nn.AvgPool2d(2), True),
        (nn.AvgPool2d(**PADDED, count_include_pad=False), True),
        (nn.AvgPool2d(**PADDED), False),
        (nn.AvgPool2d(2, divisor_override=3), False),
    ],
    ids=["plain", "padding-not-counted", "padding-counted", "divisor-override"],
)
@pytest.mark.parametrize("gamma", [POSITIVE, MIXED], ids=["positive", "mixed"])
def test_average_pool_commutes_in_evaluation_unless_its_weights_do_not_sum_to_1(
    gamma: list[float], pool: nn.Module, commutes: bool
) -> None:
    difference = _order_matters(pool, _norm(gamma))
    assert difference < EXACT if commutes else difference > 0.1


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AvgPool2d(2)], ids=["max", "avg"])
def test_in_training_it_is_a_different_network(pool: nn.Module) -> None:
    assert _order_matters(pool, _norm(POSITIVE, training=True)) > 0.1
