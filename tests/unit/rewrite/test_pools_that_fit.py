"""Pools that the kernels do not have stay beside a norm, which takes in the rest; and steps without some gradients."""

import math

import pytest
import torch
from torch import nn

import placenorm as pn
from placenorm.layers import MaxPool
from placenorm.rewrite.stepping import Step

WIDE = [nn.MaxPool2d(4), nn.MaxPool2d((3, 3), 3), nn.MaxPool2d(5, 1, 2)]


def build(pool: nn.Module, where: str) -> nn.Sequential:
    norm, act = nn.BatchNorm2d(4), nn.ReLU()
    rest = [norm, act, pool] if where == "behind" else [act, pool, norm]
    return nn.Sequential(nn.Conv2d(3, 4, 3), *rest)


@pytest.mark.parametrize("pool", WIDE, ids=["4", "3-3", "5-1"])
def test_norm_in_front_of_a_pool_without_kernels_takes_the_activation_alone(pool: nn.Module) -> None:
    net = pn.accelerate(build(pool, "behind"), torch.randn(2, 3, 14, 14)).model
    assert net[1].pool_after is None
    assert net[1].after.name == "relu"
    assert type(net[3]) is nn.MaxPool2d


@pytest.mark.parametrize("pool", WIDE, ids=["4", "3-3", "5-1"])
def test_norm_behind_a_pool_without_kernels_leaves_it(pool: nn.Module) -> None:
    net = pn.accelerate(build(pool, "front"), torch.randn(2, 3, 14, 14)).model
    assert net[3].pool is None
    assert type(net[2]) is nn.MaxPool2d


def test_pool_with_kernels_is_taken() -> None:
    net = pn.accelerate(build(nn.MaxPool2d(3, 2, 1), "behind"), torch.randn(2, 3, 14, 14)).model
    assert net[1].pool_after == MaxPool((3, 3), (2, 2), (1, 1))


def test_gradient_that_one_step_has_and_the_other_has_not_is_infinitely_far() -> None:
    one, y = torch.ones(3, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    full, first, second = (Step((y,), given, ()) for given in ((one, one), (one, None), (None, one)))
    assert full.measure_rounding(first)[1] == math.inf
    assert first.measure_rounding(second)[1] == math.inf
    assert first.measure_rounding(first) == (0.0, 0.0)
