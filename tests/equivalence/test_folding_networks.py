"""Folding whole small networks: norms of other libraries and our own, placed, accelerated, frozen, functional."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

import placenorm as pn
from placenorm.layers import BatchNorm2d
from support.folded_networks import fill_norm
from support.networks import ALL, IMAGES

CLOSE = 1e-10


def fill(model: nn.Module, gammas: str = "positive") -> Any:
    for seed, norm in enumerate(module for module in model.modules() if isinstance(module, _BatchNorm)):
        fill_norm(norm, gammas, seed)
    return model.eval()


def assert_folds(model: nn.Module, images: Tensor) -> Any:
    """The folded model is right by itself, in float64 and in its own type, and the original stays as it is."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    done = pn.fold(model, images)
    assert dict(model.state_dict()).keys() == state.keys()
    torch.testing.assert_close(dict(model.state_dict()), state, rtol=0.0, atol=0.0)
    assert done.max_error is not None
    assert done.max_error < CLOSE
    assert not [skip for skip in done.skipped if "differed" in skip.reason]
    with torch.no_grad():
        torch.testing.assert_close(done.model(images), model(images), rtol=1e-3, atol=1e-4)
    return done


def count_norms(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


@pytest.mark.parametrize("gammas", ["positive", "mixed"])
@pytest.mark.parametrize("name", [name for name in ALL if name != "PlainMlp"])
@pytest.mark.parametrize("policy", ["before-activation", "after-activation", "after-pool"])
def test_placed_network_loses_all_its_norms(name: str, policy: Any, gammas: str) -> None:
    placed = fill(pn.place(ALL[name](), IMAGES, policy).model, gammas)
    done = assert_folds(placed, IMAGES)
    assert done.matched == count_norms(placed) > 0
    if gammas == "positive":
        assert len(done.changes) == done.matched
        assert count_norms(done.model) == 0


@pytest.mark.parametrize("name", ["ModuleNet", "NestedNet", "ResidualNet"])
def test_accelerated_network_loses_all_its_norms(name: str) -> None:
    fast = pn.accelerate(fill(ALL[name]()), IMAGES)
    done = assert_folds(fast.model, IMAGES)
    assert done.skipped == ()
    assert count_norms(done.model) == 0


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"after": "relu"}, id="after"),
        pytest.param({"before": "relu"}, id="before"),
        pytest.param({"before": "relu", "pool": nn.MaxPool2d(2)}, id="pool"),
        pytest.param({"after": "relu", "pool_after": nn.MaxPool2d(2)}, id="pool-behind"),
        pytest.param({"virtual_batch_size": 2}, id="ghosts"),
    ],
)
def test_our_own_layer_goes_and_its_neighbours_stay(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), BatchNorm2d(4, **options), nn.Conv2d(4, 2, 3, padding=1))
    done = assert_folds(fill(model), IMAGES)
    assert len(done.changes) == 1
    assert count_norms(done.model) == 0


def test_synchronised_norms_go() -> None:
    model = nn.SyncBatchNorm.convert_sync_batchnorm(ALL["ResidualNet"]())
    assert len(assert_folds(fill(model), IMAGES).changes) == 3


def test_frozen_norms_go() -> None:
    model = fill(ALL["ModuleNet"]())
    for norm in (module for module in model.modules() if isinstance(module, _BatchNorm)):
        norm.requires_grad_(False)
    assert len(assert_folds(model, IMAGES).changes) == 2
    ours = BatchNorm2d(1)
    ours.frozen = True
    assert len(assert_folds(fill(nn.Sequential(ours, nn.Conv2d(1, 2, 3, padding=1))), IMAGES).changes) == 1


@pytest.mark.parametrize("apply_act", [True, False], ids=["activated", "bare"])
def test_norms_of_timm_leave_their_activations(apply_act: bool) -> None:
    layers = pytest.importorskip("timm.layers")
    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, bias=False), layers.BatchNormAct2d(4, apply_act=apply_act)
            self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), layers.BatchNormAct2d(4, apply_act=False)

        def forward(self, x: Tensor) -> Tensor:
            x = self.bn1(self.conv1(x))
            return F.relu(x + self.bn2(self.conv2(x)))

    done = assert_folds(fill(nn.Sequential(Block(), nn.Conv2d(4, 2, 1))), IMAGES)
    assert len(done.changes) == 2


def test_functional_norms_go() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3, padding=1)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            norm = self.norm
            x = F.relu(self.conv(x))
            x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, self.training, 0.1, 1e-3)
            return self.last(x)

    torch.manual_seed(0)
    done = assert_folds(fill(Functional()), IMAGES)
    assert [change.site for change in done.changes] == [":batch_norm_1"]
