"""Tools that take models apart must find in our layers what they find in torch's."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from placenorm import layers

BOTH_MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


class _Net(nn.Module):
    def __init__(self, momentum: float | None = 0.1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.norm = layers.BatchNorm2d(4, momentum=momentum)
        self.head = nn.Sequential(nn.Linear(4, 3), layers.BatchNorm1d(3, momentum=momentum))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))
        return y


def _make_net(**options: float | None) -> _Net:
    torch.manual_seed(0)
    return _Net(**options)


def _draw(seed: int) -> Tensor:
    return torch.randn(5, 2, 6, 6, generator=torch.Generator().manual_seed(seed))


@BOTH_MODES
def test_symbolic_trace_finds_the_norms_as_leaves(training: bool) -> None:
    net = _make_net().train(training)
    before = copy.deepcopy(net.state_dict())
    traced = fx.symbolic_trace(net)
    leaves = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    assert leaves == ["conv", "norm", "head.0", "head.1"]
    torch.testing.assert_close(net.state_dict(), before, rtol=0.0, atol=0.0)
    twin = copy.deepcopy(net)
    assert torch.equal(traced(_draw(0)), twin(_draw(0)))
    torch.testing.assert_close(traced.state_dict(), twin.state_dict(), rtol=0.0, atol=0.0)


def test_trace_made_in_training_mode_is_right_in_evaluation() -> None:
    net = _make_net()
    traced = fx.symbolic_trace(net)
    traced(_draw(0))
    assert torch.equal(traced.eval()(_draw(1)), net.eval()(_draw(1)))


@BOTH_MODES
def test_layer_alone_is_traceable(training: bool) -> None:
    layer = layers.BatchNorm2d(2).train(training)
    twin = copy.deepcopy(layer)
    traced = fx.symbolic_trace(layer)
    assert torch.equal(traced(_draw(0)), twin(_draw(0)))
    torch.testing.assert_close(traced.state_dict(), twin.state_dict(), rtol=0.0, atol=0.0)
    reloaded = pickle.loads(pickle.dumps(traced))
    assert torch.equal(reloaded(_draw(1)), twin(_draw(1)))


def test_torch_fuser_leaves_the_function_alone() -> None:
    net = _make_net()
    net(_draw(0))
    net.eval()
    torch.testing.assert_close(fuse(net)(_draw(1)), net(_draw(1)))


@BOTH_MODES
@pytest.mark.parametrize("momentum", [0.1, None], ids=["momentum", "cumulative"])
def test_compile_without_a_graph_break_gives_the_same(momentum: float | None, training: bool) -> None:
    """AOTAutograd traces forward and backward here; the code generator behind it needs a C++ compiler."""
    torch.compiler.reset()
    net = _make_net(momentum=momentum).train(training)
    twin = copy.deepcopy(net)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    for step in range(3):
        for model in (compiled, twin):
            model(_draw(step)).backward(torch.randn(5, 3, generator=torch.Generator().manual_seed(step)))
    torch.testing.assert_close(net.state_dict(), twin.state_dict())
    for mine, other in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_export_for_inference_has_operators_of_torch_only() -> None:
    net = _make_net().eval()
    exported = torch.export.export(net, (_draw(0),))
    assert not any("placenorm" in str(node.target) for node in exported.graph.nodes)
    torch.testing.assert_close(exported.module()(_draw(1)), net(_draw(1)))
