"""What a backward gets of what its forward saved: hooks may pack it as they like, and its numbers may be moved."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from placenorm.layers import BatchNorm2d, explain, paths

C = 6
LAYERS: dict[str, Callable[[], BatchNorm2d]] = {
    "norm-relu": lambda: BatchNorm2d(C, after="relu"),
    "silu-norm": lambda: BatchNorm2d(C, before="silu"),
    "norm-add-relu": lambda: BatchNorm2d(C, after="relu"),
    "relu-maxpool-norm": lambda: BatchNorm2d(C, before="relu", pool=nn.MaxPool2d(2)),
    "norm-relu-maxpool": lambda: BatchNorm2d(C, after="relu", pool_after=nn.MaxPool2d(2)),
}
LAYOUTS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


@pytest.fixture(autouse=True)
def small_inputs_go_our_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEAST_VALUES", "LEAST_SHARE", "LEAST_PLAIN"):
        monkeypatch.setattr(paths, name, 0)


def move(x: Tensor) -> Tensor:
    """Return the same numbers in a layout that no kernel takes."""
    return x.transpose(0, 1).contiguous().transpose(0, 1) if x.dim() == 4 else x


def other_layout(x: Tensor) -> Tensor:
    if x.dim() != 4:
        return x
    other = torch.contiguous_format if x.is_contiguous(memory_format=torch.channels_last) else torch.channels_last
    return x.clone(memory_format=other)


HOOKS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "moved": (move, 1e-6),
    "other layout": (other_layout, 1e-6),
    "half": (lambda x: x.half() if x.is_floating_point() else x, 1e-2),
    "double": (lambda x: x.double() if x.is_floating_point() else x, 1e-6),
}


def differentiate(
    name: str, layout: torch.memory_format, hooks: AbstractContextManager[object], *, moves: bool = False
) -> list[Tensor]:
    """Return the gradients of input, gamma and beta; the last input is known already."""
    torch.manual_seed(0)
    layer = LAYERS[name]()
    x = torch.randn(4, C, 6, 8).contiguous(memory_format=layout)
    given = (x, x.flip(0).contiguous(memory_format=layout)) if "add" in name else (x,)
    assert explain(layer, *given).name == "fused"
    layer(*given)
    layer(*given)
    x.requires_grad_()
    with hooks:
        y = layer(*given)
    if moves:
        x.data = move(x.data)
    y.backward(torch.arange(y.numel(), dtype=torch.float32).view(y.shape).sin())
    assert x.grad is not None
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None
    return [x.grad, layer.weight.grad, layer.bias.grad]


@pytest.mark.parametrize("hooks", HOOKS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", LAYERS)
def test_hooks_may_give_back_what_lies_otherwise(name: str, layout: str, hooks: str) -> None:
    pack, room = HOOKS[hooks]
    wanted = differentiate(name, LAYOUTS[layout], nullcontext())
    found = differentiate(name, LAYOUTS[layout], saved_tensors_hooks(pack, lambda x: x))
    for one, other in zip(found, wanted, strict=True):
        assert float((one - other).abs().max()) <= room * float(other.abs().max())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", LAYERS)
def test_numbers_of_the_input_may_be_moved_before_the_backward(name: str, layout: str) -> None:
    wanted = differentiate(name, LAYOUTS[layout], nullcontext())
    found = differentiate(name, LAYOUTS[layout], nullcontext(), moves=True)
    for one, other in zip(found, wanted, strict=True):
        assert float((one - other).abs().max()) <= 1e-6 * float(other.abs().max())
