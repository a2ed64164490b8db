import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

import placenorm as pn
from placenorm.cost import count_cost
from placenorm.facts.placement import POLICIES, Policy
from support.networks import ALL, IMAGES, FunctionalNet, ModuleNet


@pytest.mark.parametrize("net", ALL.values(), ids=ALL.keys())
@pytest.mark.parametrize("policy", POLICIES, ids=POLICIES)
def test_count_cost_equals_a_count_by_hooks(net: type[nn.Module], policy: Policy) -> None:
    """An independent count while the model runs: elements and parameters that each norm module sees."""
    placed = pn.place(net(), IMAGES, policy)
    elements: list[int] = []
    parameters = 0

    def count(module: nn.Module, args: tuple[Any, ...]) -> None:
        elements.append(args[0].numel())

    for module in placed.model.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_pre_hook(count)
            parameters += sum(parameter.numel() for parameter in module.parameters())
    placed.model(IMAGES)
    cost = count_cost(placed.graph)
    assert [norm.elements for norm in cost.norms] == elements
    assert sum(norm.parameters for norm in cost.norms) == parameters
    assert cost.parameters == sum(parameter.numel() for parameter in placed.model.parameters())


def test_count_cost_norm_behind_a_2x2_pool_costs_a_quarter() -> None:
    before, after = (
        count_cost(pn.place(ModuleNet(), IMAGES, {"features.0": position}).graph).norms[0]  # type: ignore[dict-item]
        for position in ("after-activation", "after-pool")
    )
    assert before.elements == 4 * after.elements
    assert before.train_bytes == 4 * after.train_bytes
    assert before.parameters == after.parameters == 2 * 4


def test_count_cost_norm_moves_eight_tensors_in_training() -> None:
    cost = count_cost(pn.place(FunctionalNet(), IMAGES, {"conv1": "before-activation"}).graph)
    assert cost.norms[0].train_bytes == 8 * 4 * math.prod((8, 4, 8, 8))
    assert cost.norms[0].eval_bytes == 2 * 4 * math.prod((8, 4, 8, 8))


def test_count_cost_shares_without_norms_are_zero() -> None:
    cost = count_cost(pn.trace(FunctionalNet(), IMAGES))
    assert (cost.norm_elements, cost.norm_train_bytes, cost.norm_share_pct) == (0, 0, 0.0)


def test_count_cost_share_grows_with_the_norms() -> None:
    shares = [
        count_cost(pn.place(FunctionalNet(), IMAGES, policy).graph).norm_share_pct
        for policy in ("none", "after-pool", "after-activation")
    ]
    assert shares == sorted(shares)
    assert shares[0] < shares[1] < shares[2] < 100


def test_count_cost_half_precision_moves_half_the_bytes() -> None:
    single, half = (
        count_cost(pn.trace(ModuleNet().to(kind).eval(), IMAGES.to(kind))).norm_train_bytes
        for kind in (torch.float32, torch.bfloat16)
    )
    assert single == 2 * half


def test_count_cost_counts_parameters_that_a_forward_reads_itself() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
            return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)

    model = nn.Sequential(Standardised(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    assert count_cost(pn.trace(model, IMAGES)).parameters == (4 * 9 + 4) + (144 * 2 + 2)


def test_count_cost_counts_a_weight_once_that_is_called_and_read() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 6, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(torch.relu(self.fc(x)), self.fc.weight)

    assert count_cost(pn.trace(Tied(), torch.zeros(2, 6))).parameters == 36


def test_count_cost_counts_parameters_below_a_module_that_is_one_op() -> None:
    fc = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 8))
    buffers = {name: value.clone() for name, value in fc.named_buffers()}
    graph = pn.trace(nn.Sequential(fc, nn.ReLU(), nn.Linear(8, 2)), torch.zeros(4, 6))
    assert count_cost(graph).parameters == (6 * 8 + 8) + (8 * 2 + 2)
    assert all(torch.equal(value, buffers[name]) for name, value in fc.named_buffers())
