"""What kernels of the processor make of tensors that do not lie in memory as an address says."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing._internal.two_tensor import TwoTensor

from placenorm import layers
from placenorm.kernels.cpu import lending
from placenorm.kernels.running import Running
from placenorm.layers import paths

C = 6
LAYOUTS = [torch.contiguous_format, torch.channels_last]
NOT_IN_MEMORY = "whose numbers are not in memory as they are"


@pytest.fixture(autouse=True)
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEAST_VALUES", "LEAST_SHARE", "LEAST_PLAIN"):
        monkeypatch.setattr(paths, name, 0)


def draw(layout: torch.memory_format = torch.contiguous_format, seed: int = 0) -> Tensor:
    x = torch.randn(4, C, 5, 8, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=layout)


def free(x: Tensor) -> Tensor:
    x = x.clone()
    x.untyped_storage().resize_(0)
    return x


def wrap(x: Tensor) -> Tensor:
    wrapped: Tensor = TwoTensor(x, x.clone())
    return wrapped


def turn(x: Tensor) -> Tensor:
    return torch._neg_view(x)


@pytest.mark.parametrize("spoil", [free, wrap, turn])
def test_tensor_that_does_not_lie_in_memory_is_refused(spoil: Any) -> None:
    with pytest.raises(RuntimeError, match=NOT_IN_MEMORY):
        lending.find_address(spoil(torch.ones(3)))
    assert lending.find_address(torch.empty(0)) == lending.NOWHERE


@pytest.mark.parametrize("spoil", [wrap, turn])
def test_residual_and_weight_that_do_not_lie_in_memory_are_refused(spoil: Any) -> None:
    layer = layers.BatchNorm2d(C, after="relu")
    with pytest.raises(RuntimeError, match=NOT_IN_MEMORY):
        layer(draw(), spoil(draw(seed=1)))
    layer.weight.data = torch.full((C,), 3.0)
    held = layer.weight.detach()
    with pytest.raises(RuntimeError, match=NOT_IN_MEMORY):
        lending.point(lending.find_numbers(spoil(held), C))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_operators_take_tensors_of_other_types_and_layouts(dtype: torch.dtype, layout: torch.memory_format) -> None:
    x, residual, dy = draw(layout), draw(layout, 1).to(dtype), draw(seed=2).to(dtype)
    given = None, None, 1e-5, "identity", "relu", 0.0
    y, _, mean, _, rstd = torch.ops.placenorm.chain(x, residual, *given)
    plain = F.relu(F.batch_norm(x, None, None, training=True) + residual.float())
    torch.testing.assert_close(y, plain)
    settings = "identity", "relu", 0.0
    found = torch.ops.placenorm.chain_backward(dy, x, y, mean.to(dtype), rstd.to(dtype), None, None, *settings)
    told = torch.ops.placenorm.chain_backward(
        dy.float().contiguous(memory_format=layout), x, y, mean.to(dtype).float(), rstd.to(dtype).float(), None, None,
        *settings,
    )  # fmt: skip
    torch.testing.assert_close(found, told)
    with pytest.raises(RuntimeError, match="give one number for each channel"):
        torch.ops.placenorm.chain_backward(dy, x, y, mean[:0], rstd, None, None, *settings)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("where", ["pool", "pool_after"])
def test_saved_tensors_may_come_back_in_another_layout_and_type(where: str, layout: torch.memory_format) -> None:
    def run(unpack: Any) -> list[Tensor]:
        torch.manual_seed(0)
        layer = layers.BatchNorm2d(C, **{where: nn.MaxPool2d(2)})
        x = draw(layout).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(lambda held: held, unpack):
            y = layer(x)
        return list(torch.autograd.grad(y, [x, layer.weight], torch.linspace(-1, 1, y.numel()).view(y.shape)))

    other = torch.channels_last if layout == torch.contiguous_format else torch.contiguous_format

    def change(held: Tensor) -> Tensor:
        if held.dim() == 4 and held.shape[2] == 2:  # what won and where; the input is as it was
            return held.contiguous(memory_format=other).float()
        return held.double() if held.dim() == 1 and held.dtype == torch.float32 else held

    for found, told in zip(run(change), run(lambda held: held), strict=True):
        torch.testing.assert_close(found.float(), told)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("momentum", [0.0, 0.1, 1.0, 1])
def test_running_statistics_are_mixed_as_torch_mixes_them(momentum: float, layout: torch.memory_format) -> None:
    ours, theirs = layers.BatchNorm2d(C, momentum=momentum, before="relu"), nn.BatchNorm2d(C, momentum=momentum)
    for layer in (ours, theirs):
        layer.running_mean.fill_(1e6)  # type: ignore[union-attr]
        layer.running_var.fill_(1e6)  # type: ignore[union-attr]
    x = 1e-3 * draw(layout)
    for _ in range(2):  # the second is like one it knows
        ours(x)
        theirs(F.relu(x))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    "change",
    [
        lambda running: {"mean": running.mean.double()},
        lambda running: {"var": running.var.repeat(2)[::2]},
        lambda running: {"tracked": running.tracked.int()},
    ],
    ids=["float64", "with gaps", "int32"],
)
def test_running_statistics_of_other_kinds_are_left_to_torch(change: Any) -> None:
    running = Running(torch.zeros(C), torch.ones(C), 0.1, torch.zeros((), dtype=torch.int64))
    assert all(lending.give(running, C))
    assert running.mean._version == 1
    values = {"mean": running.mean, "var": running.var, "share": 0.1, "tracked": running.tracked}
    assert lending.give(Running(**{**values, **change(running)}), C) == (lending.NOWHERE,) * 3
    assert lending.give(running, C + 1) == (lending.NOWHERE,) * 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("options", [{"before": "relu"}, {"before": "relu", "pool": nn.MaxPool2d(2)}])
def test_training_norm_is_traced_by_torch_jit(options: dict[str, Any]) -> None:
    layer = layers.BatchNorm2d(C, **options)
    traced = torch.jit.trace(layer, draw(), check_trace=False)
    x = draw(seed=1)
    torch.testing.assert_close(traced(x), layer(x))
