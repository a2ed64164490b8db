"""What a forward must be like to be traced anew, and that tracing leaves no trace in the module."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from placenorm.randomness import fix_seed, random_states
from placenorm.rewrite.retracing import HeldArgumentError, RetraceError, retrace

IMAGES = torch.linspace(-1, 1, 4 * 1 * 8 * 8).reshape(4, 1, 8, 8)


class Conv(nn.Module):
    """One conv; what its forward does beside it is what a test is about."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.calls = 0
        self.last: Tensor | None = None
        self.history: list[int] = []
        self.register_buffer("steps", torch.zeros(()))
        self.steps: Tensor


class TorchDepth(Conv):
    def forward(self, x: Tensor) -> Tensor:
        keep = float(not (self.training and torch.rand(1) < 0.5))
        return x + F.relu(self.conv(x)) * keep


class PythonDepth(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.conv(x)) * (random.choice([0.0, 1.0]) if self.training else 0.5)


class NumpyDepth(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.conv(x)) * float(np.random.rand())  # noqa: NPY002 - as users write it


class HiddenBranch(Conv):
    """Draws a number that makes no difference this time."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * 2 if torch.rand(()).item() < 1e-9 else self.conv(x)


class OwnGenerator(Conv):
    generator = random.Random(0)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.generator.random()


@pytest.mark.parametrize("kind", [TorchDepth, PythonDepth, NumpyDepth, HiddenBranch])
def test_retrace_random_choice_in_python_is_refused(kind: type[nn.Module]) -> None:
    with pytest.raises(RetraceError, match="draws random numbers in Python"):
        retrace(kind())


def test_retrace_forward_that_differs_from_call_to_call_is_refused() -> None:
    with pytest.raises(RetraceError, match="runs differently from call to call"):
        retrace(OwnGenerator())


@pytest.mark.parametrize("kind", [TorchDepth, PythonDepth, NumpyDepth])
def test_retrace_random_states_stay(kind: type[nn.Module]) -> None:
    owner = kind()
    before = random_states()
    with pytest.raises(RetraceError, match="draws random numbers"):
        retrace(owner)
    assert random_states() == before


@pytest.mark.parametrize(
    "draw",
    [lambda: torch.rand(1), random.random, np.random.rand],
    ids=["torch", "python", "numpy"],
)
def test_seeded_gives_equal_draws_and_random_states_see_each(draw: Callable[[], Any]) -> None:
    outside = random_states()
    drawn = []
    for _ in range(2):
        with fix_seed(5):
            before = random_states()
            drawn.append(float(draw()))
            assert random_states() != before
    assert drawn[0] == drawn[1]
    assert random_states() == outside


class NoGradBlock(Conv):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.conv(x)
        return F.relu(x)


class NoGradForward(Conv):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


class Autocast(Conv):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return F.relu(self.conv(x))


class Inference(Conv):
    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


@pytest.mark.parametrize("kind", [NoGradBlock, NoGradForward, Autocast, Inference])
def test_retrace_switched_context_is_refused(kind: type[nn.Module]) -> None:
    with pytest.raises(RetraceError, match="switches gradients, inference mode or autocast"):
        retrace(kind())
    assert torch.is_grad_enabled()


class Counter(Conv):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.conv(x)


class BufferInPlace(Conv):
    def forward(self, x: Tensor) -> Tensor:
        self.steps += 1
        return self.conv(x)


class BufferAnew(Conv):
    def forward(self, x: Tensor) -> Tensor:
        self.steps = self.steps + 1
        return self.conv(x)


class LastSeen(Conv):
    def forward(self, x: Tensor) -> Tensor:
        self.last = self.conv(x)
        return F.relu(self.last)


class History(Conv):
    def forward(self, x: Tensor) -> Tensor:
        self.history.append(len(self.history))
        return self.conv(x)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Counter, "calls"),
        (BufferInPlace, "steps"),
        (BufferAnew, "steps"),
        (LastSeen, "last"),
        (History, "history"),
    ],
    ids=["counter", "buffer in place", "buffer anew", "output kept", "list"],
)
def test_retrace_forward_that_changes_state_is_refused_and_undone(kind: type[Conv], name: str) -> None:
    owner = kind().train()
    steps = owner.steps
    with pytest.raises(RetraceError, match=rf"it changes its own state \({name}\)"):
        retrace(owner)
    assert (owner.calls, owner.last, owner.history, owner.training) == (0, None, [], True)
    assert owner.steps is steps
    assert owner.steps.item() == 0


class MakesConstant(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + torch.ones(1)


def test_retrace_constant_tensor_is_refused_and_leaves_nothing_behind() -> None:
    owner = MakesConstant()
    attributes = set(owner.__dict__)
    with pytest.raises(RetraceError, match="makes constant tensors"):
        retrace(owner)
    assert set(owner.__dict__) == attributes


class TupleDefault(Conv):
    def forward(self, x: Tensor, size: tuple[int, int] = (4, 4)) -> Tensor:
        return F.interpolate(F.relu(self.conv(x)), size=size)


def test_retrace_default_that_is_no_plain_value_is_refused() -> None:
    with pytest.raises(RetraceError, match="argument size is no plain value where it is optional"):
        retrace(TupleDefault())


def test_retrace_graph_module_is_refused() -> None:
    with pytest.raises(RetraceError, match=r"it is a torch\.fx GraphModule"):
        retrace(fx.symbolic_trace(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())))


def test_retrace_forward_set_on_the_object_is_refused() -> None:
    owner = OddNames()
    owner.forward = owner.conv.forward  # type: ignore[method-assign]
    with pytest.raises(RetraceError, match="set on the object"):
        retrace(owner)


class OddNames(Conv):
    """Names that generated code could use itself."""

    def forward(  # type: ignore[override]
        this,  # noqa: N805
        x: Tensor,
        hold: None = None,
        defaults: int = 1,
        in_training: str = "a",
    ) -> Tensor:
        return F.relu(this.conv(x))


def test_install_takes_any_names_of_arguments() -> None:
    owner = OddNames()
    expected = owner(IMAGES)
    retrace(owner).install(owner)
    assert type(owner) is not OddNames
    assert torch.equal(owner(IMAGES), expected)
    assert torch.equal(owner(x=IMAGES, defaults=1), expected)


@pytest.mark.parametrize("value", [2, torch.ones(3), [1]], ids=["number", "tensor", "list"])
def test_install_other_value_of_an_optional_argument_is_refused(value: object) -> None:
    owner = OddNames()
    retrace(owner).install(owner)
    with pytest.raises(HeldArgumentError, match="rewritten for defaults=1, so it cannot be called with defaults="):
        owner(IMAGES, defaults=value)


class Residual(nn.Sequential):
    """A Sequential with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return x + self[0](x)


@pytest.mark.parametrize(
    "use",
    [lambda m: m[:1], lambda m: m.append(nn.ReLU()), lambda m: m.insert(0, nn.ReLU()), lambda m: m.pop(0)],
    ids=["slice", "append", "insert", "pop"],
)
def test_install_sequential_with_its_own_forward_refuses_to_be_cut(use: Callable[[Any], object]) -> None:
    owner = Residual(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU())
    expected = owner(IMAGES)
    retrace(owner).install(owner)
    with pytest.raises(TypeError, match="This Residual was rewritten by placenorm"):
        use(owner)
    assert isinstance(owner[0], nn.Conv2d)
    assert torch.equal(owner(IMAGES), expected)
