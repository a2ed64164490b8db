import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision import models

import placenorm as pn
from placenorm.cost import compare_costs, count_cost, predict_cost
from placenorm.errors import UsageError
from placenorm.facts.cost import CostChange
from placenorm.facts.placement import POLICIES, Policy
from placenorm.report.cost_wording import say_change
from placenorm.report.language import ENGLISH
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


def count_by_hooks(model: nn.Module, inputs: Tensor) -> tuple[list[int], int, int]:
    """Return the elements that each norm sees, and the parameters and buffers of all norms: counted while it runs."""
    elements: list[int] = []
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.register_forward_pre_hook(lambda module, args: elements.append(args[0].numel()))
    model.eval()(inputs)
    return (
        elements,
        sum(parameter.numel() for norm in norms for parameter in norm.parameters()),
        sum(buffer.numel() for norm in norms for buffer in norm.buffers()),
    )


def make_vgg11() -> nn.Module:
    """Return torchvision's vgg11 with a narrow classifier: its own has 120 million weights of plain linear layers."""
    with torch.device("meta"):
        model = models.vgg11(num_classes=10, init_weights=False)
    model.classifier = nn.Sequential(nn.Linear(512 * 49, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 10))
    model.features.to_empty(device="cpu")
    for parameter in model.features.parameters():
        nn.init.constant_(parameter, 0.01)
    return model


def make_resnet18() -> nn.Module:
    return models.resnet18(num_classes=10)


@pytest.mark.parametrize("policy", POLICIES, ids=POLICIES)
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        *((net, tuple(IMAGES.shape)) for net in ALL.values()),
        (make_vgg11, (2, 3, 64, 64)),
        (make_resnet18, (2, 3, 64, 64)),
    ],
    ids=[*ALL, "vgg11", "resnet18"],
)
def test_predict_cost_equals_the_count_of_the_placed_network(make: Any, shape: tuple[int, ...], policy: Policy) -> None:
    inputs = torch.linspace(-1, 1, math.prod(shape)).reshape(shape)
    model = make()
    predicted = predict_cost(pn.trace(model, inputs), policy)
    placed = pn.place(model, inputs, policy)
    counted = count_cost(placed.graph)
    assert sorted(norm.elements for norm in predicted.norms) == sorted(norm.elements for norm in counted.norms)
    for number in ("norm_train_bytes", "norm_eval_bytes", "norm_parameters", "norm_buffers", "parameters", "macs"):
        assert getattr(predicted, number) == getattr(counted, number), number
    elements, parameters, buffers = count_by_hooks(placed.model, inputs)
    assert (sum(elements), parameters, buffers) == (
        predicted.norm_elements,
        predicted.norm_parameters,
        predicted.norm_buffers,
    )


def test_predict_cost_leaves_the_graph_as_it_is() -> None:
    graph = pn.trace(ModuleNet(), IMAGES)
    before = count_cost(graph)
    predict_cost(graph, "after-pool")
    assert count_cost(graph) == before


def test_predict_cost_takes_a_mapping() -> None:
    graph = pn.trace(ModuleNet(), IMAGES)
    before, after = (predict_cost(graph, {"features.0": position}) for position in ("none", "after-pool"))  # type: ignore[dict-item]
    assert [norm.block for norm in before.norms] == ["features.4"]
    assert [norm.elements for norm in after.norms] == [8 * 4 * 4 * 4, 8 * 6 * 4 * 4]


def test_predict_cost_unknown_word_says_so() -> None:
    with pytest.raises(UsageError, match="Unknown placement"):
        predict_cost(pn.trace(ModuleNet(), IMAGES), "behind-pool")  # type: ignore[arg-type]


def test_count_cost_of_resnet18_equals_a_count_by_hooks() -> None:
    model, inputs = make_resnet18(), torch.zeros(2, 3, 64, 64)
    cost = count_cost(pn.trace(model, inputs))
    elements, parameters, buffers = count_by_hooks(model, inputs)
    assert len(elements) == 20
    assert sorted(norm.elements for norm in cost.norms) == sorted(elements)
    assert (cost.norm_parameters, cost.norm_buffers) == (parameters, buffers)
    assert cost.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_compare_costs_behind_a_2x2_pool_is_a_quarter_with_the_same_parameters() -> None:
    graph = pn.trace(ModuleNet(), IMAGES)
    before, after = (predict_cost(graph, policy) for policy in ("after-activation", "after-pool"))
    change = compare_costs(before, after, {"features.0"})
    assert say_change(change, ENGLISH) == "4.0x less work for the norm, same parameters"
    assert change.elements == (8 * 4 * 8 * 8, 8 * 4 * 4 * 4)
    assert change.buffers == (9, 9)
    assert compare_costs(before, after) != change  # the other block's norm does not move


@pytest.mark.parametrize(
    ("elements", "parameters", "words"),
    [
        ((100, 100), (8, 8), "same work for the norm, same parameters"),
        ((0, 0), (0, 0), "no work for a norm, same parameters"),
        ((0, 1000), (0, 8), "1,000 values a step to normalise, 8 parameters more"),
        ((1000, 0), (8, 0), "no longer 1,000 values a step to normalise, 8 parameters less"),
        ((100, 250), (8, 8), "2.5x more work for the norm, same parameters"),
        ((1000, 950), (8, 8), "5 % less work for the norm, same parameters"),
    ],
    ids=["same", "none", "new", "gone", "more", "a little less"],
)
def test_compare_costs_in_words(elements: tuple[int, int], parameters: tuple[int, int], words: str) -> None:
    change = CostChange(elements, train_bytes=(0, 0), eval_bytes=(0, 0), parameters=parameters, buffers=(0, 0))
    assert say_change(change, ENGLISH) == words
