"""Accelerating networks that people really use: torchvision's and timm's."""

import copy
import pickle
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models

import placenorm as pn
from placenorm.layers import paths
from placenorm.rewrite.accelerating import Accelerated
from support.real_networks import CLASSES, REAL, RealNetwork, tensors_of, train_looking

INPUT = (2, 3, 64, 64)
TRUTH_RATIO, TRUTH_FLOOR, FLIP_FLOOR = 3.0, 1e-4, 0.1
"""The kernels in float32 may be so many times as far from float64 as torch's layers are, and this share beside; of
gradients a larger one: where a ReLU reads nothing but rounding it may be on or off, which moves them by per cents."""


@dataclass(frozen=True, slots=True)
class Case:
    """A network, and how many of its norms run alone, with an activation, with a sum, and with both."""

    network: RealNetwork
    alone: int
    activation: int
    addition: int
    both: int


def torchvision(name: str) -> RealNetwork:
    return RealNetwork(lambda: models.get_model(name, num_classes=CLASSES), INPUT)


def from_timm(name: str) -> RealNetwork:
    return RealNetwork(lambda: timm.create_model(name, num_classes=CLASSES), INPUT)


CASES = {
    "resnet18": Case(REAL["resnet18"], 3, 9, 0, 8),
    "resnet50": Case(torchvision("resnet50"), 4, 33, 0, 16),
    "mobilenet_v3_small": Case(REAL["mobilenet_v3_small"], 5, 23, 6, 0),
    "mobilenet_v3_large": Case(torchvision("mobilenet_v3_large"), 5, 31, 10, 0),
    "vgg11_bn": Case(REAL["vgg11_bn"], 0, 8, 0, 0),
    "densenet121": Case(REAL["densenet121"], 0, 121, 0, 0),
    "googlenet": Case(REAL["googlenet"], 0, 59, 0, 0),
    "regnet_y_400mf": Case(torchvision("regnet_y_400mf"), 4, 33, 0, 16),
    "timm resnet18": Case(from_timm("resnet18"), 3, 9, 0, 8),
    "timm efficientnet_b0": Case(REAL["efficientnet_b0"], 7, 33, 9, 0),
    "timm regnety_002": Case(from_timm("regnety_002"), 17, 27, 0, 0),
    "timm resnetv2_50": Case(from_timm("resnetv2_50"), 0, 49, 0, 0),
    "timm hrnet_w18_small": Case(from_timm("hrnet_w18_small"), 25, 43, 0, 23),
    "timm mobilenetv2_100": Case(from_timm("mobilenetv2_100"), 7, 35, 10, 0),
    "timm skresnet18": Case(from_timm("skresnet18"), 8, 25, 0, 3),
    "convmixer": Case(REAL["convmixer"], 0, 9, 0, 0),
    "xcit_nano": Case(REAL["xcit_nano"], 1, 15, 0, 0),
    "unet": Case(REAL["unet"], 0, 12, 0, 0),
    "mlp": Case(REAL["mlp"], 0, 2, 0, 0),
}
QUICK = ("mlp", "unet", "mobilenet_v3_small")
NAMES = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in CASES]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute in one thread: the tensors are small, and two threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class Done:
    """A network that looks trained, and what came out. Tests change copies only."""

    case: Case
    given: nn.Module
    state: dict[str, Tensor]
    inputs: Tensor
    accelerated: Accelerated


@pytest.fixture(scope="module", params=NAMES)
def done(request: pytest.FixtureRequest) -> Done:
    case = CASES[request.param]
    model = train_looking(case.network.make(), seed=1)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    inputs = case.network.draw_inputs(0)
    return Done(case, model, state, inputs, pn.accelerate(model, inputs))


def test_norms_run_with_what_stands_beside_them(done: Done) -> None:
    found: Counter[str] = Counter()
    for change in done.accelerated.changes:
        norm = done.accelerated.model.get_submodule(change.site)
        adds = " + add" in change.reason
        acts = norm.before.name != "identity" or norm.after.name != "identity"
        found["both" if adds and acts else "addition" if adds else "activation" if acts else "alone"] += 1
    case = done.case
    expected = {"alone": case.alone, "activation": case.activation, "addition": case.addition, "both": case.both}
    assert found == Counter(expected)


def test_network_is_the_same_function(done: Done) -> None:
    assert done.accelerated.max_error <= 1e-9
    assert done.accelerated.max_error_dtype < 1e-3
    assert list(done.accelerated.model.state_dict()) == list(done.state)
    torch.testing.assert_close(done.accelerated.model.state_dict(), done.state, rtol=0, atol=0)
    torch.testing.assert_close(done.given.state_dict(), done.state, rtol=0, atol=0)


def train_once(model: nn.Module, inputs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return what a network gives in a step of training, its buffers and what it evaluates to; and all gradients."""
    model = copy.deepcopy(model).train()
    x = inputs.clone().requires_grad_()
    torch.manual_seed(0)
    outputs = list(tensors_of(model(x)))
    drawn = torch.Generator().manual_seed(5)
    upstream = [torch.randn(y.shape, generator=drawn).to(y) for y in outputs]
    torch.autograd.backward(outputs, upstream)
    gradients = [torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]), x.grad]
    buffers = torch.cat([buffer.flatten().to(x.dtype) for buffer in model.buffers()])
    with torch.no_grad():
        return [*(y.detach() for y in outputs), buffers, *tensors_of(model.eval()(inputs))], gradients


def test_kernels_train_as_near_to_float64_as_torch_does(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = train_once(copy.deepcopy(done.given).double(), done.inputs.double())
    control = train_once(done.given, done.inputs)
    monkeypatch.setattr(paths, "LEAST_VALUES", 0)
    monkeypatch.setattr(paths, "LEAST_SHARE", 0)
    found = train_once(done.accelerated.model, done.inputs)
    for part, floor in enumerate((TRUTH_FLOOR, FLIP_FLOOR)):
        for right, theirs, ours in zip(truth[part], control[part], found[part], strict=True):
            assert (ours - right).norm() <= TRUTH_RATIO * (theirs - right).norm() + floor * right.norm()


def test_copy_from_a_file_is_restored_to_the_same_function(done: Done) -> None:
    loaded = pickle.loads(pickle.dumps(done.accelerated.model))
    restored = pn.restore(loaded)
    assert [type(module) for module in restored.modules()] == [type(module) for module in done.given.modules()]
    torch.testing.assert_close(train_once(restored, done.inputs), train_once(done.given, done.inputs), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["before-activation", "after-activation", "after-pool"])
@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "mobilenet_v3_small"])
def test_placed_network_is_accelerated(name: str, policy: str) -> None:
    network = REAL[name]
    model = train_looking(network.make(), seed=1)
    placed = pn.place(model, network.draw_inputs(0), policy).model
    done = pn.accelerate(placed, network.draw_inputs(0))
    assert done.max_error <= 1e-9
    fused = [change for change in done.changes if "as one layer" in change.reason]
    assert len(fused) > len(done.changes) / 2
    restored, inputs = pn.restore(done.model), network.draw_inputs(1)
    torch.testing.assert_close(train_once(restored, inputs), train_once(placed, inputs), rtol=0, atol=0)
