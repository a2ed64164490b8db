"""What norms take in and what they must not, module by module: everything is held against the untouched model."""

import copy
import io
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

import placenorm as pn
from placenorm import layers
from placenorm.errors import ModelError
from placenorm.layers import paths
from placenorm.randomness import random_states
from placenorm.rewrite import fusing
from placenorm.rewrite.accelerating import Accelerated
from placenorm.rewrite.retracing import retrace
from placenorm.rewrite.surroundings import Surroundings, Taking

C = 6


@pytest.fixture(autouse=True)
def fused_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small inputs too go through the kernels, in float32; the proof in float64 goes torch's way."""
    monkeypatch.setattr(paths, "LEAST_VALUES", 0)
    monkeypatch.setattr(paths, "LEAST_SHARE", 0)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Net(nn.Module):
    """A conv and a norm, a shortcut, and a forward that a test writes as a function of the network and two values."""

    def __init__(self, forward: Callable[["Net", Tensor, Tensor], Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, C, 3, padding=1)
        self.side = nn.Conv2d(3, C, 1)
        self.norm = nn.BatchNorm2d(C)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.eager = nn.ReLU(inplace=True)
        for name, module in modules.items():
            setattr(self, name, module)
        self.run = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, self.conv(x), self.side(x))


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def settle(model: nn.Module) -> nn.Module:
    """Give a model values of its own, gammas of both signs and statistics among them."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * (1.0 if "norm" in name else 0.5))
        for name, buffer in model.named_buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + (0.5 if name.endswith("var") else 0.0))
    return model


def build(forward: Callable[[Net, Tensor, Tensor], Tensor], **modules: nn.Module) -> nn.Module:
    return settle(Net(forward, **modules))


INPUTS = draw(4, 3, 8, 6)


def assert_same(expected: nn.Module, found: nn.Module, inputs: Tensor = INPUTS, *, steps: int = 2) -> None:
    """Evaluate both, train both some steps on random upstream gradients, and compare everything after each."""
    expected, found = copy.deepcopy(expected), copy.deepcopy(found)
    for step in range(steps):
        given = [inputs.clone().requires_grad_() for _ in range(2)]
        outputs = []
        for model, x in zip((expected, found), given, strict=True):
            model.zero_grad()
            torch.manual_seed(step)
            with torch.no_grad():
                outputs.append(model.eval()(x.clone()))
            outputs.append(model.train()(x.clone()))
            outputs[-1].backward(draw(*outputs[-1].shape, seed=9 + step, dtype=inputs.dtype))
        torch.testing.assert_close(outputs[2:], outputs[:2], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(given[1].grad, given[0].grad, rtol=1e-3, atol=1e-3)
        for mine, its in zip(expected.parameters(), found.parameters(), strict=True):
            torch.testing.assert_close(its.grad, mine.grad, rtol=1e-3, atol=2e-3)
        torch.testing.assert_close(dict(found.named_buffers()), dict(expected.named_buffers()), rtol=1e-4, atol=1e-4)


def accelerate(model: nn.Module, inputs: Tensor = INPUTS) -> Accelerated:
    """Accelerate a model, and hold it against the model as it was, and the restored one against both."""
    done = pn.accelerate(model, inputs)
    assert done.max_error < 1e-9
    assert_same(model, done.model, inputs)
    assert list(done.model.state_dict()) == list(model.state_dict())
    if done.changes:
        restored = pn.restore(done.model)
        assert [type(module) for module in restored.modules()] == [type(module) for module in model.modules()]
        assert_same(model, restored, inputs, steps=1)
    return done


def held(model: nn.Module, path: str = "norm") -> tuple[str, str, bool]:
    """Return what a norm holds: the activations in front and behind, and whether there is a pool."""
    norm = model.get_submodule(path)
    assert isinstance(norm, layers.BatchNorm2d)
    return norm.before.name, norm.after.name, norm.pool is not None


ALONE = ("identity", "identity", False)

MODULES = {
    "relu": nn.ReLU(),
    "relu in place": nn.ReLU(inplace=True),
    "relu6": nn.ReLU6(inplace=True),
    "leaky_relu": nn.LeakyReLU(0.3),
    "leaky_relu in place": nn.LeakyReLU(0.2, inplace=True),
    "silu": nn.SiLU(inplace=True),
    "gelu": nn.GELU(),
    "hardswish": nn.Hardswish(inplace=True),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "elu": nn.ELU(0.7),
}
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu of torch": torch.relu,
    "relu in place": lambda x: F.relu(x, inplace=True),
    "relu in place by place": lambda x: F.relu(x, True),
    "relu_": F.relu_,
    "relu method": lambda x: x.relu(),
    "relu_ method": lambda x: x.relu_(),
    "relu6": F.relu6,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.3),
    "leaky_relu by name": lambda x: F.leaky_relu(x, negative_slope=0.3, inplace=True),
    "leaky_relu as usual": F.leaky_relu,
    "silu": F.silu,
    "gelu": F.gelu,
    "hardswish": F.hardswish,
    "tanh": torch.tanh,
    "tanh method": lambda x: x.tanh(),
    "sigmoid": torch.sigmoid,
    "sigmoid of functional": F.sigmoid,
    "elu": lambda x: F.elu(x, 0.7),
    "elu_": lambda x: F.elu_(x, 0.7),
}


@pytest.mark.parametrize("name", MODULES)
def test_activation_behind_is_taken_in_a_sequential(name: str) -> None:
    act = copy.deepcopy(MODULES[name])
    model = settle(nn.Sequential(nn.Conv2d(3, C, 3), nn.BatchNorm2d(C), act, nn.Conv2d(C, 2, 1)))
    done = accelerate(model)
    assert held(done.model, "1") == ("identity", name.split()[0], False)
    assert type(done.model[2]) is nn.Identity
    assert type(done.model) is nn.Sequential
    assert [(change.site, change.reason) for change in done.changes] == [("1", "1 + 2 of Sequential run as one layer")]
    assert done.skipped == ()


@pytest.mark.parametrize("name", MODULES)
def test_activation_in_front_is_taken_in_a_sequential(name: str) -> None:
    act = copy.deepcopy(MODULES[name])
    model = settle(nn.Sequential(nn.Conv2d(3, C, 3), act, nn.BatchNorm2d(C), nn.Conv2d(C, 2, 1)))
    assert held(accelerate(model).model, "2") == (name.split()[0], "identity", False)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_behind_is_taken_in_a_forward(name: str) -> None:
    model = build(lambda net, x, side: FUNCTIONS[name](net.norm(x)) * side)
    done = accelerate(model)
    assert held(done.model) == ("identity", name.split()[0].rstrip("_"), False)
    assert f"norm + {name.split()[0].rstrip('_')} of Net" in done.changes[0].reason


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_in_front_is_taken_in_a_forward(name: str) -> None:
    model = build(lambda net, x, side: net.norm(FUNCTIONS[name](x)) * side)
    assert held(accelerate(model).model) == (name.split()[0].rstrip("_"), "identity", False)


def iadd(x: Tensor, y: Tensor) -> Tensor:
    x += y
    return x


ADDITIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "operator": lambda x, y: x + y,
    "in place": iadd,
    "function": torch.add,
    "method": lambda x, y: x.add(y),
    "method in place": lambda x, y: x.add_(y),
}


@pytest.mark.parametrize("name", ADDITIONS)
@pytest.mark.parametrize("order", ["norm first", "norm last"])
def test_addition_is_taken_in_with_its_relu(name: str, order: str) -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        pair = (net.norm(x), side) if order == "norm first" else (side, net.norm(x))
        return net.eager(ADDITIONS[name](*pair))

    done = accelerate(build(forward))
    assert held(done.model) == ("identity", "relu", False)
    assert done.changes[0].reason == "norm + add + eager of Net run as one layer"
    assert type(done.model.eager) is nn.Identity


@pytest.mark.parametrize("name", ADDITIONS)
def test_addition_is_taken_in_alone(name: str) -> None:
    done = accelerate(build(lambda net, x, side: F.silu(ADDITIONS[name](net.norm(x), side))))
    assert held(done.model) == ALONE
    assert "norm + add of Net" in done.changes[0].reason


def test_addition_is_taken_in_with_an_activation_in_front() -> None:
    done = accelerate(build(lambda net, x, side: net.norm(F.silu(x)) + side))
    assert held(done.model) == ("silu", "identity", False)
    assert done.changes[0].reason == "silu + norm + add of Net run as one layer"


def test_residual_that_is_computed_behind_the_norm_is_added() -> None:
    done = accelerate(
        build(lambda net, x, side: F.relu(net.norm(x) + net.pool(side).repeat_interleave(2, 2).repeat(1, 1, 1, 2)))
    )
    assert held(done.model) == ("identity", "relu", False)


def test_one_of_two_norms_takes_their_sum() -> None:
    model = build(lambda net, x, side: F.relu(net.norm(x) + net.norm2(side)), norm2=nn.BatchNorm2d(C))
    done = accelerate(model)
    assert sorted([held(done.model), held(done.model, "norm2")]) == [ALONE, ("identity", "relu", False)]


POOLS: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "module": lambda net, x: net.pool(x),
    "function": lambda net, x: F.max_pool2d(x, 3, 2, 1),
    "function of torch": lambda net, x: torch.max_pool2d(x, (2, 3), (2, 2), padding=(0, 1), ceil_mode=True),
}


@pytest.mark.parametrize("name", POOLS)
def test_pool_in_front_is_taken_in_with_its_activation(name: str) -> None:
    done = accelerate(build(lambda net, x, side: net.norm(POOLS[name](net, net.eager(x)))))
    assert held(done.model) == ("relu", "identity", True)
    assert type(done.model.eager) is nn.Identity


POOLS_BEHIND = POOLS | {
    "strides": lambda net, x: F.max_pool2d(x, kernel_size=(3, 2), stride=(2, 1)),
}


@pytest.mark.parametrize("name", POOLS_BEHIND)
@pytest.mark.parametrize("act", ["relu", "silu", ""])
def test_pool_behind_is_taken_in_with_its_activation(act: str, name: str) -> None:
    functions: dict[str, Callable[[Net, Tensor], Tensor]] = {
        "relu": lambda net, x: net.eager(x),
        "silu": lambda net, x: F.silu(x),
        "": lambda net, x: x,
    }
    done = accelerate(build(lambda net, x, side: POOLS_BEHIND[name](net, functions[act](net, net.norm(x)))))
    assert held(done.model) == ("identity", act or "identity", False)
    assert done.model.norm.pool_after is not None
    if act == "relu":
        assert type(done.model.eager) is nn.Identity
    assert "pool" in done.changes[0].reason
    assert done.max_error == 0.0


def test_pool_behind_is_taken_in_a_sequential() -> None:
    model = settle(nn.Sequential(nn.Conv2d(3, C, 3), nn.BatchNorm2d(C), nn.ReLU(True), nn.MaxPool2d(2), nn.ReLU()))
    done = accelerate(model)
    assert done.model[1].pool_after == layers.MaxPool((2, 2), (2, 2))
    assert type(done.model[2]) is type(done.model[3]) is nn.Identity
    assert type(done.model[4]) is nn.ReLU
    assert done.changes[0].reason == "1 + 2 + 3 of Sequential run as one layer"


POOL_STAYS: dict[str, Callable[[Net, Tensor, Tensor], Tensor]] = {
    "activation is read twice": lambda net, x, side: (lambda y: net.pool(y).sum() * y)(F.relu(net.norm(x))),
    "sum between": lambda net, x, side: net.pool(F.relu(net.norm(x) + side)),
    "pool of means": lambda net, x, side: F.avg_pool2d(F.relu(net.norm(x)), 2),
    "dilation": lambda net, x, side: F.max_pool2d(F.relu(net.norm(x)), 2, 1, 0, 2),
    "indices": lambda net, x, side: F.max_pool2d(F.relu(net.norm(x)), 2, return_indices=True)[0],
    "pool runs elsewhere": lambda net, x, side: F.relu(net.pool(F.mish(net.norm(x)))) * net.pool(side),
}


@pytest.mark.parametrize("name", POOL_STAYS)
def test_pool_behind_stays_where_it_would_be_another_function(name: str) -> None:
    done = accelerate(build(POOL_STAYS[name]))
    assert done.model.norm.pool_after is None
    assert type(done.model.pool) is nn.MaxPool2d


def test_pool_that_two_norms_pass_is_taken_in_by_both() -> None:
    model = build(
        lambda net, x, side: net.pool(F.relu(net.norm(x))) * net.pool(net.norm2(side)), norm2=nn.BatchNorm2d(C)
    )
    done = accelerate(model)
    assert done.model.norm.pool_after == done.model.norm2.pool_after is not None


def test_pool_between_two_norms_is_taken_in_once() -> None:
    model = build(lambda net, x, side: net.norm2(net.pool(net.eager(net.norm(x)))), norm2=nn.BatchNorm2d(C))
    done = accelerate(model)
    assert [done.model.norm.pool_after is None, done.model.norm2.pool is None].count(False) == 1


def test_pool_in_front_is_taken_in_alone_where_the_activation_falls() -> None:
    done = accelerate(build(lambda net, x, side: F.relu(net.norm(net.pool(F.silu(x))))))
    assert held(done.model) == ("identity", "identity", True)


def test_pool_in_front_is_taken_in_a_sequential() -> None:
    model = settle(nn.Sequential(nn.Conv2d(3, C, 3), nn.ReLU(True), nn.MaxPool2d(2), nn.BatchNorm2d(C)))
    done = accelerate(model)
    assert held(done.model, "3") == ("relu", "identity", True)
    assert done.changes[0].reason == "1 + 2 + 3 of Sequential run as one layer"


def test_identities_are_passed() -> None:
    done = accelerate(build(lambda net, x, side: net.relu(net.none(net.norm(x))), none=nn.Identity()))
    assert held(done.model) == ("identity", "relu", False)


def test_nested_sequentials_are_one_chain() -> None:
    model = settle(nn.Sequential(nn.Sequential(nn.Conv2d(3, C, 3), nn.BatchNorm2d(C)), nn.Sequential(nn.SiLU())))
    done = accelerate(model)
    assert held(done.model, "0.1") == ("identity", "silu", False)
    assert done.changes[0].reason == "0.1 + 1.0 of Sequential run as one layer"


@pytest.mark.parametrize("rank", [1, 3])
def test_other_ranks_take_their_neighbours(rank: int) -> None:
    if rank == 1:
        model = nn.Sequential(nn.Linear(5, C), nn.BatchNorm1d(C), nn.ReLU())
        done = accelerate(settle(model), draw(7, 5))
        assert isinstance(done.model[1], layers.BatchNorm1d)
    else:
        model = nn.Sequential(nn.Conv3d(2, C, 2), nn.GELU(), nn.BatchNorm3d(C))
        done = accelerate(settle(model), draw(3, 2, 4, 4, 4))
        assert isinstance(done.model[2], layers.BatchNorm3d)
    assert "as one layer" in done.changes[0].reason


def write_behind(y: Tensor, x: Tensor) -> Tensor:
    return y * x.add_(1.0)


REFUSED: dict[str, Callable[[Net, Tensor, Tensor], Tensor]] = {
    "read twice": lambda net, x, side: (lambda y: F.relu(y) * y)(net.norm(x)),
    "gelu by tanh": lambda net, x, side: F.gelu(net.norm(x), approximate="tanh"),
    "activation of its own": lambda net, x, side: F.mish(net.norm(x)),
    "dropout between": lambda net, x, side: F.relu(F.dropout(net.norm(x), 0.5, net.training)),
    "scaled residual": lambda net, x, side: torch.add(net.norm(x), side, alpha=2),
    "residual that is broadcast": lambda net, x, side: net.norm(x) + side.mean((2, 3), keepdim=True),
    "norm that is broadcast": lambda net, x, side: net.norm(x[:, :, :1]) + side,
    "residual of another type under autocast": lambda net, x, side: net.norm(x) + side.float(),
    "residual of another type": lambda net, x, side: net.norm(x) + side.double(),
    "number": lambda net, x, side: net.norm(x) + 1.0,
    "sum with itself": lambda net, x, side: (lambda y: y + y)(net.norm(x)),
    "sum that hangs on the norm": lambda net, x, side: (lambda y: y + F.mish(y))(net.norm(x)),
    "residual that is written into": lambda net, x, side: (lambda z: z + side)(side.add_(net.norm(x))),
    "activation in place on what others read": lambda net, x, side: (lambda y: net.norm(y) * x)(F.relu_(x)),
    "activation on what is written into later": lambda net, x, side: write_behind(net.norm(F.relu(x.view_as(x))), x),
    "activation in place on what may be others'": lambda net, x, side: net.norm(F.relu_(x.view_as(x))),
    "pool with dilation": lambda net, x, side: net.norm(F.max_pool2d(x, 2, 1, 0, 2)),
    "pool of means": lambda net, x, side: net.norm(F.avg_pool2d(x, 2)),
    "input of the network": lambda net, x, side: x,
}


REASONS = {
    "read twice": "its output goes to 2 places",
    "gelu by tanh": "no fused layer computes gelu with approximate='tanh' behind it",
    "activation of its own": "no fused layer computes mish behind it",
    "dropout between": "dropout stands behind it",
    "scaled residual": "add stands behind it",
    "residual that is broadcast": "add behind it has a residual of another shape or type",
    "norm that is broadcast": "add behind it has a residual of another shape or type",
    "residual of another type under autocast": (
        "add behind it has a residual of another type under autocast to bfloat16"
    ),
    "residual of another type": "add behind it has a residual of another shape or type",
    "number": "add stands behind it",
    "sum with itself": "add stands behind it",
    "sum that hangs on the norm": "its output goes to 2 places",
    "residual that is written into": "what add behind it reads may be written into",
    "activation in place on what others read": (
        "what relu in front reads is read or written into by others, and mul stands behind it"
    ),
    "activation on what is written into later": (
        "what relu in front reads is read or written into by others, and mul stands behind it"
    ),
    "activation in place on what may be others'": (
        "what relu in front reads is read or written into by others, and its output is that of Net"
    ),
    "pool with dilation": "no fused layer computes max_pool2d in front, and its output is that of Net",
    "pool of means": "no fused layer computes avg_pool2d in front, and its output is that of Net",
    "input of the network": (
        "what ReLU 0 in front reads is read or written into by others, and Conv2d 2 stands behind it"
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_another_function_is_not_taken_in(name: str) -> None:
    model = build(REFUSED[name])
    if name == "input of the network":
        model = settle(nn.Sequential(nn.ReLU(inplace=True), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1)))
    done = accelerate(model)
    assert held(done.model, "norm" if name != "input of the network" else "1") == ALONE
    assert [change.reason for change in done.changes] == [
        f"our layer in the place of BatchNorm2d; nothing beside it is taken in: {REASONS[name]}"
    ]


def hooked(module: nn.Module) -> nn.Module:
    module.register_forward_hook(ignore)
    return module


BESIDE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "unknown activation": (lambda: chain_with(nn.Softplus()), "no fused layer computes Softplus 2 behind it"),
    "dropout": (lambda: chain_with(nn.Identity(), nn.Dropout()), "Dropout 3 stands behind it"),
    "end": (lambda: chain_with(nn.Identity()), "its output is that of Sequential"),
    "hooks beside": (lambda: chain_with(hooked(nn.ReLU())), "there are hooks on ReLU 2 behind it"),
    "hooks": (lambda: chain_with(nn.ReLU(), norm=hooked(nn.BatchNorm2d(C))), "hooks on it look at what it reads or"),
    "norm": (lambda: nn.BatchNorm2d(3), "it runs by itself"),
    "twice": (lambda: build(lambda net, x, side: net.norm(net.norm(x)) + 1), "it runs in several places, or several"),
    "modes": (
        lambda: build(lambda net, x, side: (F.relu if net.training else F.silu)(net.norm(x))),
        "training and evaluation run other things beside it",
    ),
    "forward": (
        lambda: build(lambda net, x, side: F.relu(net.norm(x)) if x.sum() > 0 else net.norm(x)),
        "the forward of Net cannot be made anew",
    ),
    "residual": (
        lambda: build(lambda net, x, side: net.norm(x) + net.other(side), other=nn.BatchNorm2d(C)),
        "BatchNorm2d norm adds it as its residual",
    ),
}


def chain_with(*behind: nn.Module, norm: nn.Module | None = None) -> nn.Module:
    return settle(nn.Sequential(nn.Conv2d(3, C, 3), norm or nn.BatchNorm2d(C), *behind))


@pytest.mark.parametrize("name", BESIDE)
def test_norm_that_takes_nothing_in_says_why(name: str) -> None:
    make, reason = BESIDE[name]
    reasons = [change.reason for change in pn.accelerate(make(), INPUTS).changes]
    why = next(each for each in reasons if "nothing beside it is taken in" in each)
    assert why.split(": ")[1].startswith(reason)


WRITTEN: dict[str, Callable[[Net, Tensor, Tensor], Tensor]] = {
    "norm": lambda net, x, side: net.norm(x).mul_(2.0),
    "norm and relu": lambda net, x, side: F.silu(net.norm(x)).add_(side, alpha=2),
    "relu and norm": lambda net, x, side: net.norm(F.relu(x)).mul_(side),
    "pool and norm": lambda net, x, side: net.norm(net.pool(x)).mul_(2.0),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_norm_returns_may_be_written_into(name: str) -> None:
    accelerate(build(WRITTEN[name]))


def test_shared_activation_runs_on_in_its_other_places() -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        return net.eager(net.norm(x)) * net.eager(side)

    done = accelerate(build(forward))
    assert held(done.model) == ("identity", "relu", False)
    assert type(done.model.eager) is nn.ReLU


def test_activation_that_is_shared_and_always_taken_in_becomes_an_identity() -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        return net.eager(net.norm2(side) + net.eager(net.norm(x)))

    done = accelerate(build(forward, norm2=nn.BatchNorm2d(C)))
    assert held(done.model) == held(done.model, "norm2") == ("identity", "relu", False)
    assert type(done.model.eager) is nn.Identity


def test_activation_that_training_alone_runs_in_another_place_runs_on_there() -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        y = net.act(net.norm(x))
        return y * net.act(side) if net.training else y

    done = accelerate(build(forward, act=nn.SiLU()))
    assert held(done.model) == ("identity", "silu", False)
    assert type(done.model.act) is nn.SiLU


def test_activation_that_a_sequential_shares_is_taken_in() -> None:
    act = nn.ReLU(inplace=True)
    model = nn.Sequential(nn.Conv2d(3, C, 3), nn.BatchNorm2d(C), act, nn.Conv2d(C, 4, 1), act)
    done = accelerate(settle(model))
    assert held(done.model, "1") == ("identity", "relu", False)
    assert done.model[2] is done.model[4]
    assert type(done.model[4]) is nn.ReLU


def test_children_that_run_outside_of_their_sequential_keep_what_they_do() -> None:
    body = nn.Sequential(nn.BatchNorm2d(C), nn.ReLU())
    for forward in (
        lambda net, x, side: net.body(x) * net.body[:1](side),
        lambda net, x, side: net.body(x) * net.body[1](side),
        lambda net, x, side: net.body[1](net.body[0](x)) * net.body[0](side),
    ):
        done = accelerate(build(forward, body=copy.deepcopy(body)))
        assert done.model.get_submodule("body.1")(torch.tensor(-1.0)) == 0.0


def test_sequential_that_a_forward_runs_child_by_child_takes_neighbours() -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        for child in net.body:
            x = child(x)
        return x

    done = accelerate(build(forward, body=nn.Sequential(nn.BatchNorm2d(C), nn.ReLU())))
    assert held(done.model, "body.0") == ("identity", "relu", False)


class Summing(nn.Module):
    """A block that adds what it is given beside."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(C, C, 1)
        self.norm = nn.BatchNorm2d(C)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)) + beside)


@pytest.mark.parametrize("second", ["same", "broadcast"])
def test_sum_is_taken_in_only_where_every_call_has_a_residual_of_its_shape(second: str) -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        return net.block(net.block(x, side), side if second == "same" else side.mean((2, 3), keepdim=True))

    done = accelerate(build(forward, block=Summing()))
    assert held(done.model, "block.norm") == (("identity", "relu", False) if second == "same" else ALONE)


def test_sum_is_not_taken_in_where_autocast_gives_the_residual_another_type() -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        return F.relu(net.norm(x) + side.float())

    model = build(forward)
    done = accelerate(model)
    assert held(done.model) == ALONE
    with torch.autocast("cpu", torch.bfloat16):
        assert done.model(INPUTS).dtype == model(INPUTS).dtype == torch.float32


def test_sum_that_is_taken_in_runs_under_autocast() -> None:
    model = settle(Residual())
    done = pn.accelerate(model, INPUTS)
    assert held(done.model) == ("identity", "relu", False)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(done.model(INPUTS), model(INPUTS), rtol=0.05, atol=0.05)


class Inverted(nn.Module):
    """A block whose sum stands outside of the Sequentials that hold its norms."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, C, 1), nn.BatchNorm2d(C), nn.ReLU6(inplace=True)),
            nn.Sequential(nn.Conv2d(C, 3, 1), nn.BatchNorm2d(3)),
        )
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x + self.body(x))


@pytest.mark.parametrize("name", ["relu", "none"])
def test_norm_at_the_end_of_a_sequential_takes_the_sum_behind(name: str) -> None:
    block = Inverted(nn.ReLU() if name == "relu" else nn.Identity())
    done = accelerate(settle(nn.Sequential(nn.Conv2d(3, 3, 1), block)))
    assert held(done.model, "1.body.0.1") == ("identity", "relu6", False)
    assert type(done.model.get_submodule("1.body.0.2")) is nn.Identity
    assert held(done.model, "1.body.1.1") == ("identity", "relu" if name == "relu" else "identity", False)
    assert done.changes[1].reason.startswith("body.1.1 + add")
    assert_same(done.model, pickle.loads(pickle.dumps(done.model)))


def test_norm_at_the_end_of_a_sequential_takes_the_activation_behind() -> None:
    body = nn.Sequential(nn.Conv2d(C, C, 1), nn.BatchNorm2d(C))
    done = accelerate(build(lambda net, x, side: F.silu(net.body(x)) * side, body=body))
    assert held(done.model, "body.1") == ("identity", "silu", False)
    seen: list[nn.Module] = []
    done.model.body.register_forward_hook(lambda module, *_: seen.append(module))
    done.model(INPUTS)
    assert len(seen) == 1


@pytest.mark.parametrize("behind", ["silu", "mish", "sum"])
def test_norm_at_the_end_of_a_sequential_takes_the_activation_that_begins_the_next(behind: str) -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        y = net.tail(net.body(x))
        return y + side if behind == "sum" else getattr(F, behind)(y)

    def make(*front: nn.Module) -> nn.Module:
        return nn.Sequential(*front, nn.Conv2d(C, C, 1), nn.BatchNorm2d(C))

    done = accelerate(build(forward, body=make(), tail=make(nn.Tanh())))
    assert held(done.model, "body.1") == ("identity", "tanh", False)
    assert held(done.model, "tail.2") == (("identity", "silu", False) if behind == "silu" else ALONE)
    assert type(done.model.tail[0]) is nn.Identity


def test_norm_at_the_end_of_a_sequential_says_why_it_takes_nothing() -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        y = F.silu(net.body(x))
        return y if y.sum() > 0 else y + side

    done = accelerate(build(forward, body=nn.Sequential(nn.Conv2d(C, C, 1), nn.BatchNorm2d(C))))
    assert held(done.model, "body.1") == ALONE
    reasons = [skip.reason for skip in done.skipped if skip.site == "body.1"]
    assert len(reasons) == 1
    assert reasons[0].startswith("what stands beside it stays, since the forward of Net cannot be made anew")


def test_sequential_with_a_hook_stays_whole() -> None:
    model = settle(nn.Sequential(nn.Conv2d(3, 3, 1), Inverted(nn.ReLU())))
    model[1].body[1].register_forward_hook(ignore)
    done = pn.accelerate(model, INPUTS)
    assert held(done.model, "1.body.1.1") == ALONE
    assert_same(model, done.model)


def test_norm_that_runs_twice_takes_nothing() -> None:
    done = accelerate(build(lambda net, x, side: F.relu(net.norm(x)) + F.relu(net.norm(side))))
    assert held(done.model) == ALONE


def test_block_that_runs_twice_takes_neighbours() -> None:
    block = Net(lambda net, x, side: F.relu(net.norm(x) + side))
    done = accelerate(build(lambda net, x, side: net.block(x[:, :3]) + net.block(side[:, 3:]), block=block))
    assert held(done.model, "block.norm") == ("identity", "relu", False)


def ignore(module: nn.Module, *given: object) -> None:
    """A hook that changes nothing."""


HOOKS = {
    "forward": lambda module: module.register_forward_hook(ignore),
    "before": lambda module: module.register_forward_pre_hook(ignore),
    "backward": lambda module: module.register_full_backward_hook(ignore),
}


@pytest.mark.parametrize("kind", HOOKS)
@pytest.mark.parametrize("path", ["1", "2"], ids=["norm", "activation"])
def test_module_with_a_hook_stays_apart(kind: str, path: str) -> None:
    model = settle(nn.Sequential(nn.Conv2d(3, C, 3), nn.BatchNorm2d(C), nn.ReLU()))
    HOOKS[kind](model.get_submodule(path))
    done = pn.accelerate(model, INPUTS)
    assert held(done.model, "1") == ALONE
    assert type(done.model[2]) is nn.ReLU
    assert_same(model, done.model)


def test_hook_of_a_norm_goes_on_seeing_what_it_saw() -> None:
    seen: list[Tensor] = []
    model = settle(nn.Sequential(nn.Conv2d(3, C, 3), nn.BatchNorm2d(C), nn.ReLU()))
    handle = model[1].register_forward_hook(lambda module, given, output: seen.append(output.detach().clone()))
    expected = nn.Sequential(*model[:2])(INPUTS)
    pn.accelerate_(model, INPUTS)
    seen.clear()
    model(INPUTS)
    torch.testing.assert_close(seen, [expected], rtol=1e-4, atol=1e-4)
    handle.remove()
    model(INPUTS)
    assert len(seen) == 1


def test_norm_is_the_same_object_with_the_same_parameters_buffers_and_settings() -> None:
    model = settle(nn.Sequential(nn.Conv2d(3, C, 3), nn.BatchNorm2d(C, eps=1e-2, momentum=None), nn.ReLU()))
    norm = model[1]
    norm.weight.requires_grad_(False)
    norm.eval()
    norm.note = "the user's own"
    before = {name: id(value) for name, value in (*norm.named_parameters(), *norm.named_buffers())}
    pn.accelerate_(model, INPUTS)
    assert model[1] is norm
    assert isinstance(norm, layers.BatchNorm2d)
    assert {name: id(value) for name, value in (*norm.named_parameters(), *norm.named_buffers())} == before
    assert (norm.eps, norm.momentum, norm.training, norm.weight.requires_grad) == (1e-2, None, False, False)
    assert norm.note == "the user's own"
    assert model.training


@pytest.mark.parametrize("options", [{"affine": False}, {"track_running_stats": False}], ids=str)
def test_norm_without_gamma_or_statistics_takes_neighbours(options: dict[str, bool]) -> None:
    done = accelerate(settle(nn.Sequential(nn.Conv2d(3, C, 3), nn.BatchNorm2d(C, **options), nn.ReLU())))
    assert held(done.model, "1") == ("identity", "relu", False)


def test_layers_of_ours_take_neighbours_too() -> None:
    model = settle(nn.Sequential(nn.Conv2d(3, C, 3), layers.BatchNorm2d(C), nn.ReLU()))
    assert held(accelerate(model).model, "1") == ("identity", "relu", False)


class BatchNormAct2d(nn.BatchNorm2d):
    """What timm's norm of this name is, as far as it matters here."""

    def __init__(self, channels: int, drop: nn.Module, act: nn.Module) -> None:
        super().__init__(channels)
        self.drop = drop
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))


def test_norm_with_an_activation_of_its_own_takes_it() -> None:
    act = BatchNormAct2d(C, nn.Identity(), nn.SiLU(inplace=True))
    done = accelerate(settle(nn.Sequential(nn.Conv2d(3, C, 3), act)))
    assert held(done.model, "1") == ("identity", "silu", False)
    assert [change.reason for change in done.changes] == ["1 and the SiLU in it run as one layer"]
    assert type(done.model[1].act) is nn.Identity


class Own(nn.BatchNorm2d):
    """A norm of the user's own."""


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


SKIPPED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "own class": (lambda: Own(C), "Own is a class of its own"),
    "own forward": (lambda: with_forward(nn.BatchNorm2d(C)), "its forward was set on the object"),
    "ours with neighbours": (lambda: layers.BatchNorm2d(C, after="silu"), "a layer of ours already, with"),
    "parametrised": (
        lambda: parametrize.register_parametrization(nn.BatchNorm2d(C), "weight", Doubled()),
        "ParametrizedBatchNorm2d is a class of its own",
    ),
    "with a child": (lambda: with_child(nn.BatchNorm2d(C)), "it holds more than a norm does"),
    "dropout in it": (
        lambda: BatchNormAct2d(C, nn.Dropout(0.1), nn.ReLU()),
        "dropout stands between it and its activation (Dropout)",
    ),
    "unknown activation in it": (
        lambda: BatchNormAct2d(C, nn.Identity(), nn.Mish()),
        "its activation Mish is none that a fused layer computes",
    ),
    "several processes": (lambda: layers.SyncBatchNorm(C), "its statistics are those of several processes"),
}


def with_forward(norm: nn.Module) -> nn.Module:
    norm.forward = partial(nn.BatchNorm2d.forward, norm)
    return norm


def with_child(norm: nn.Module) -> nn.Module:
    norm.act = nn.ReLU()
    return norm


@pytest.mark.parametrize("name", SKIPPED)
def test_norm_that_may_be_another_one_stays(name: str) -> None:
    make, reason = SKIPPED[name]
    model = nn.Sequential(nn.Conv2d(3, C, 3), make(), nn.ReLU())
    done = pn.accelerate_(model, INPUTS)
    assert done.changes == ()
    assert [skip.site for skip in done.skipped] == ["1"]
    assert reason in done.skipped[0].reason
    assert type(model[2]) is nn.ReLU
    assert not isinstance(model[1], layers.BatchNorm2d) or model[1].after.name == "silu"


def test_norm_that_does_not_run_stays() -> None:
    done = accelerate(build(lambda net, x, side: F.relu(net.norm(x)), spare=nn.BatchNorm2d(C)))
    assert [(skip.site, skip.reason) for skip in done.skipped] == [
        ("spare", "it does not run on the example input, so nothing can be proved about it")
    ]
    assert type(done.model.spare) is nn.BatchNorm2d


def test_norm_in_a_checkpointed_part_stays() -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        return F.relu(net.norm(checkpoint(net.body, x, use_reentrant=False)))

    done = accelerate(build(forward, body=nn.Sequential(nn.BatchNorm2d(C), nn.ReLU())))
    assert type(done.model.body[0]) is nn.BatchNorm2d
    assert [skip.site for skip in done.skipped] == ["body.0", "norm"]
    assert "checkpointed" in done.skipped[0].reason
    assert held(done.model) == ALONE


def test_forward_that_cannot_be_traced_keeps_its_neighbours_and_says_so() -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        y = F.relu(net.norm(x))
        return y if y.sum() > 0 else y + side

    done = accelerate(build(forward))
    assert held(done.model) == ALONE
    assert [change.site for change in done.changes] == ["norm"]
    assert [skip.site for skip in done.skipped] == ["norm"]
    assert done.skipped[0].reason.startswith(
        "what stands beside it stays, since the forward of Net cannot be made anew: torch.fx cannot trace it"
    )


def test_what_differs_between_the_modes_is_not_taken_in() -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        y = net.norm(x)
        return F.relu(y) if net.training else F.silu(y)

    assert held(accelerate(build(forward)).model) == ALONE


def test_what_is_the_same_in_both_modes_of_two_graphs_is_taken_in() -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        y = F.relu(net.norm(x) + side)
        return F.dropout(y, 0.5) if net.training else y

    assert held(accelerate(build(forward)).model) == ("identity", "relu", False)


def test_layer_in_a_branch_for_training_alone_is_taken_in() -> None:
    def forward(net: Net, x: Tensor, side: Tensor) -> Tensor:
        y = F.relu(net.norm(x))
        return y + F.silu(net.norm2(side)) if net.training else y

    done = accelerate(build(forward, norm2=nn.BatchNorm2d(C)))
    assert held(done.model, "norm2") == ("identity", "silu", False)


def test_dropout_draws_what_it_drew() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, C, 3), nn.Dropout(0.4), nn.BatchNorm2d(C), nn.ReLU(), nn.Dropout2d(0.4), nn.Conv2d(C, 2, 1)
    )
    accelerate(settle(model))


PLACED = {
    "before-activation": (0, ("identity", "relu", False), (1, 2)),
    "after-activation": (1, ("relu", "identity", False), (1,)),
    "after-pool": (2, ("relu", "identity", True), (1, 2)),
}
"""By placement: on which of conv, activation and pool the norm hangs, what it then holds, and what it takes in."""


@pytest.mark.parametrize("policy", PLACED)
@pytest.mark.parametrize("container", ["sequential", "forward"])
@pytest.mark.parametrize("inplace", [False, True], ids=["", "in place"])
def test_norm_that_hangs_on_a_module_takes_its_neighbours(policy: str, container: str, inplace: bool) -> None:
    act, pool, head = nn.ReLU(inplace=inplace), nn.MaxPool2d(2), nn.Conv2d(C, 2, 1)
    if container == "sequential":
        given, names = settle(nn.Sequential(nn.Conv2d(3, C, 3), act, pool, head)), ("0", "1", "2")
    else:
        names = ("conv", "act", "pool")
        given = build(
            lambda net, x, side: net.head(net.pool(net.act(x))), norm=nn.Identity(), act=act, pool=pool, head=head
        )
    host, holds, taken = PLACED[policy]
    placed = pn.place(given, INPUTS, policy).model
    done = accelerate(placed)
    assert held(done.model, f"{names[host]}.norm") == holds
    gone = [index for index, name in enumerate(names) if type(done.model.get_submodule(name)) is nn.Identity]
    assert gone == list(taken)


def test_accelerating_twice_is_accelerating_once() -> None:
    once = accelerate(build(lambda net, x, side: F.relu(net.norm(x) + side)))
    twice = pn.accelerate(once.model, INPUTS)
    assert twice.changes == ()
    assert [skip.site for skip in twice.skipped] == ["norm"]
    assert_same(once.model, twice.model)
    plain = accelerate(build(lambda net, x, side: net.norm(x) + 1))
    assert [skip.reason for skip in pn.accelerate(plain.model, INPUTS).skipped] == [
        "it is a layer of ours already; nothing beside it is taken in: add stands behind it"
    ]


def test_model_that_is_a_norm_becomes_our_layer() -> None:
    model = settle(nn.BatchNorm2d(3))
    assert isinstance(accelerate(model).model, layers.BatchNorm2d)


class Residual(nn.Module):
    """A block at the top of this file, so that it can be pickled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, C, 3, padding=1)
        self.norm = nn.BatchNorm2d(C)
        self.relu = nn.ReLU(inplace=True)
        self.side = nn.Sequential(nn.Conv2d(3, C, 1), nn.BatchNorm2d(C), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        y += self.side(x)
        return self.relu(y)


def save_and_load(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded: nn.Module = torch.load(file, weights_only=False)
    return loaded


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), save_and_load],
    ids=["deepcopy", "pickle", "torch.save"],
)
def test_copies_run_and_can_be_restored(copied: Callable[[nn.Module], nn.Module]) -> None:
    given = settle(Residual())
    done = accelerate(given)
    twin = copied(done.model)
    assert held(twin) == ("identity", "relu", False)
    assert_same(given, twin)
    restored = pn.restore(twin)
    assert [type(module) for module in restored.modules()] == [type(module) for module in given.modules()]
    assert_same(given, restored)


def test_accelerated_model_compiles() -> None:
    torch.compiler.reset()
    given = settle(Residual())
    compiled = torch.compile(pn.accelerate(given, INPUTS).model, backend="eager", fullgraph=True)
    twin = copy.deepcopy(given)
    for step in range(2):
        for model in (compiled, twin):
            model(draw(4, 3, 8, 6, seed=step)).backward(draw(4, C, 8, 6, seed=step + 5))
    grads = [[parameter.grad for parameter in model.parameters()] for model in (compiled, twin)]
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-3)


def test_restored_model_keeps_what_was_learned() -> None:
    given = settle(Residual())
    done = pn.accelerate(given, INPUTS)
    optimizer = torch.optim.SGD(done.model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        done.model(INPUTS).square().mean().backward()
        optimizer.step()
    state = {name: value.clone() for name, value in done.model.state_dict().items()}
    values = [id(parameter) for parameter in done.model.parameters()]
    assert pn.restore_(done.model) is done.model
    assert [id(parameter) for parameter in done.model.parameters()] == values
    torch.testing.assert_close(done.model.state_dict(), state, rtol=0, atol=0)
    assert type(done.model) is Residual
    assert vars(done.model.norm).keys() == vars(given.norm).keys()
    assert {type(module) for module in done.model.modules() if isinstance(module, nn.BatchNorm2d)} == {nn.BatchNorm2d}
    given.load_state_dict(state)
    assert_same(given, done.model)
    again = pn.accelerate(done.model, INPUTS)
    assert held(again.model) == ("identity", "relu", False)


def test_placed_forward_comes_back_as_it_was_placed() -> None:
    placed = pn.place(settle(Residual()), INPUTS, "after-activation").model
    done = accelerate(placed)
    assert done.changes
    restored = pn.restore(done.model)
    assert list(restored.state_dict()) == list(placed.state_dict())
    assert_same(placed, pickle.loads(pickle.dumps(restored)))


def test_forward_that_was_rewritten_since_is_not_restored() -> None:
    model = pn.accelerate(settle(Residual()), INPUTS).model
    graphs = retrace(model)
    for graph in (graphs.training, graphs.evaluation):
        last = next(node for node in graph.nodes if node.op == "output")
        with graph.inserting_before(last):
            last.args = (graph.call_function(F.silu, (last.args[0],)),)
    graphs.install(model)
    with pytest.raises(ModelError, match=r"Cannot restore Residual: its forward was rewritten again"):
        pn.restore_(model)
    assert held(model) == ("identity", "relu", False)


def test_forward_that_was_rewritten_in_between_is_not_restored() -> None:
    model = build(lambda net, x, side: F.relu(net.norm(x)) * F.mish(net.norm2(side)), norm2=nn.BatchNorm2d(C))
    pn.accelerate_(model, INPUTS)
    graphs = retrace(model)
    for graph in (graphs.training, graphs.evaluation):
        next(node for node in graph.nodes if node.target is F.mish).target = F.silu
    graphs.install(model)
    assert [change.site for change in pn.accelerate_(model, INPUTS).changes] == ["norm2"]
    with pytest.raises(ModelError, match=r"Cannot restore Net: its forward was rewritten again"):
        pn.restore_(model)


@pytest.mark.parametrize("path", ["norm", ""], ids=["norm", "owner"])
def test_module_that_was_parametrised_since_is_not_restored(path: str) -> None:
    model = settle(Residual())
    model.gain = nn.Parameter(torch.ones(1))
    model = pn.accelerate(model, INPUTS).model
    module = model.get_submodule(path)
    parametrize.register_parametrization(module, "weight" if path else "gain", Doubled())
    kinds = [type(each) for each in model.modules()]
    with pytest.raises(ModelError, match=rf"Cannot restore {path or 'Param.*'}: it was made a Parametrized\w+ after"):
        pn.restore_(model)
    assert [type(each) for each in model.modules()] == kinds
    model(INPUTS)


def test_example_of_one_value_per_channel_is_doubled() -> None:
    model = nn.Sequential(nn.Linear(5, C), nn.BatchNorm1d(C), nn.ReLU())
    done = pn.accelerate(settle(model), draw(1, 5))
    assert done.max_error == 0.0
    assert_same(model, done.model, draw(4, 5))


def test_model_is_not_disturbed_by_the_proof() -> None:
    model = settle(nn.Sequential(nn.Conv2d(3, C, 3), nn.BatchNorm2d(C), nn.ReLU(), nn.Dropout(0.5)))
    model[1].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = random_states()
    inputs = INPUTS.clone()
    for done in (pn.accelerate(model, inputs), pn.accelerate_(model, inputs)):
        torch.testing.assert_close(done.model.state_dict(), state, rtol=0, atol=0)
        assert [module.training for module in done.model] == [True, False, True, True]
        assert all(parameter.grad is None for parameter in done.model.parameters())
    assert random_states() == drawn
    assert torch.equal(inputs, INPUTS)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
def test_gradients_are_proved_where_the_caller_has_switched_them_off(
    off: Callable[[], AbstractContextManager[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = settle(Residual())
    with off():
        assert pn.accelerate(model, INPUTS).max_error == 0.0
    become = fusing.become_fused

    def scale(norm: nn.Module, taking: Taking) -> None:
        become(norm, taking)
        norm.register_forward_pre_hook(_scale_gradient)

    monkeypatch.setattr(fusing, "become_fused", scale)
    with off(), pytest.raises(ModelError, match="differs by"):
        pn.accelerate(model, INPUTS)


WRONG = {
    "activation": Taking(after=layers.Activation("silu"), words=("1", "2"), modules=("2",)),
    "slope": Taking(after=layers.Activation("leaky_relu", 0.011), words=("1", "2"), modules=("2",)),
    "place": Taking(before=layers.Activation("leaky_relu", 0.01), words=("1", "2"), modules=("2",)),
}


@pytest.mark.parametrize("name", WRONG)
def test_proof_refuses_another_function_and_leaves_the_model_as_it_was(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Surroundings, "find", lambda self, target: WRONG[name])
    model = settle(nn.Sequential(nn.Conv2d(3, C, 3), nn.BatchNorm2d(C), nn.LeakyReLU(), nn.Conv2d(C, 2, 1)))
    twin = copy.deepcopy(model)
    kept = [(module, type(module), dict(module.__dict__)) for module in model.modules()]
    with pytest.raises(ModelError, match=r"Cannot accelerate Sequential: on fused layers a training step differs by"):
        pn.accelerate_(model, INPUTS)
    assert all(type(module) is kind and module.__dict__ == before for module, kind, before in kept)
    assert_same(twin, model)


def test_model_that_does_not_run_on_fused_layers_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Surroundings, "find", lambda self, target: Taking(after=layers.Activation("relu")))
    monkeypatch.setattr(fusing, "become_fused", lambda norm, taking: setattr(norm, "eps", "small"))
    model = settle(nn.Sequential(nn.Conv2d(3, C, 3), nn.BatchNorm2d(C), nn.ReLU()))
    with pytest.raises(ModelError, match=r"Cannot accelerate Sequential: it does not run on fused layers"):
        pn.accelerate_(model, INPUTS)
    assert model[1].eps == 1e-5


def test_proof_looks_at_the_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    become = fusing.become_fused

    def forget(norm: nn.Module, taking: Taking) -> None:
        become(norm, taking)
        norm.momentum = 0.11

    monkeypatch.setattr(fusing, "become_fused", forget)
    with pytest.raises(ModelError, match="differs by"):
        pn.accelerate(settle(Residual()), INPUTS)


def test_proof_looks_at_the_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    become = fusing.become_fused

    def detach(norm: nn.Module, taking: Taking) -> None:
        become(norm, taking)
        norm.register_forward_pre_hook(_scale_gradient)

    monkeypatch.setattr(fusing, "become_fused", detach)
    with pytest.raises(ModelError, match="differs by"):
        pn.accelerate(settle(Residual()), INPUTS)


def _scale_gradient(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    x = given[0]
    return (x.detach() + 1.001 * (x - x.detach()), *given[1:])


OFF: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "values": (lambda x: 1.001 * x, "outputs and buffers of a training step are"),
    "gradients": (
        lambda x: x.detach() + 1.5 * (x - x.detach()),
        "gradients of a training step are 5.0e-01 off float64",
    ),
}
"""What kernels do that are wrong in float32 alone: the proof in float64 runs torch's layers, which are right."""


@pytest.mark.parametrize("name", OFF)
def test_proof_in_the_models_own_type_names_the_norm_and_leaves_the_model_as_it_was(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    become = fusing.become_fused
    change, words = OFF[name]

    def spoil(norm: nn.Module, taking: Taking) -> None:
        become(norm, taking)
        if taking.after.name == "silu":
            norm.register_forward_hook(lambda module, given, y: change(y) if y.dtype is torch.float32 else y)

    monkeypatch.setattr(fusing, "become_fused", spoil)
    layers_of = (nn.Conv2d(3, C, 3), nn.BatchNorm2d(C), nn.SiLU(), nn.Conv2d(C, C, 1), nn.BatchNorm2d(C), nn.ReLU())
    model = settle(nn.Sequential(*layers_of))
    kinds = [type(module) for module in model.modules()]
    with pytest.raises(ModelError, match=rf"in its own type, {re.escape(words)}.* of the norms, 1 is the furthest off"):
        pn.accelerate_(model, INPUTS)
    assert [type(module) for module in model.modules()] == kinds
    assert pn.accelerate(model.double(), INPUTS.double()).max_error_dtype == 0.0


def test_error_in_the_models_own_type_is_that_of_a_training_step() -> None:
    model = settle(Residual())
    assert 0.0 < pn.accelerate(model, INPUTS).max_error_dtype < 1e-4


def make_bottleneck() -> nn.Module:
    """A norm reads a conv of a norm whose beta is 0: its mean is rounding, and no scale to measure errors on."""
    torch.manual_seed(0)
    convs = nn.Conv2d(3, C, 3, padding=1, bias=False), nn.Conv2d(C, C, 1, bias=False)
    return nn.Sequential(convs[0], nn.BatchNorm2d(C), convs[1], nn.BatchNorm2d(C), nn.ReLU())


def test_mean_that_is_zero_but_for_rounding_is_measured_on_the_spread_around_it() -> None:
    assert pn.accelerate(make_bottleneck(), INPUTS).max_error_dtype < 1e-4


@pytest.mark.parametrize("part", ["outputs", "buffers"])
def test_mean_that_is_zero_but_for_rounding_hides_no_fault(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = layers.BatchNorm2d.forward

    def go_wrong(norm: layers.BatchNorm2d, x: Tensor) -> Tensor:
        y = right(norm, x)
        if x.dtype == torch.float32 and part == "buffers" and norm.training:
            norm.running_var.mul_(3.0)
        return y * 0.5 if x.dtype == torch.float32 and part == "outputs" and not norm.training else y

    monkeypatch.setattr(layers.BatchNorm2d, "forward", go_wrong)
    with pytest.raises(ModelError, match="in its own type, outputs and buffers of a training step are"):
        pn.accelerate(make_bottleneck(), INPUTS)
