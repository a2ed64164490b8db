"""The proofs themselves: each is shown something wrong, and says so."""

import copy
import math
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.errors import ModelError
from placenorm.facts.edits import Edit
from placenorm.graph.tracing import trace_model
from placenorm.rewrite import keeping
from placenorm.rewrite.attributes import HeldArgumentError
from placenorm.rewrite.outcome import Standing, find_other_change, prove_outcome
from placenorm.rewrite.proving import count_numbers, measure_error
from placenorm.rewrite.rewriter import Rewriter

X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
NAN, INF = float("nan"), float("inf")


def chain(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), *layers, nn.Conv2d(4, 2, 3))


def reason_of(placed: Any, site: str) -> str:
    return next(skip.reason for skip in placed.skipped if skip.site == site)


# -- how far two results are apart


@pytest.mark.parametrize(
    ("expected", "found", "error"),
    [
        (torch.tensor([1.0, -4.0]), torch.tensor([1.0, -3.0]), 0.25),
        (torch.tensor([NAN, 2.0]), torch.tensor([NAN, 2.0]), 0.0),
        (torch.tensor([NAN, 2.0]), torch.tensor([1.0, 2.0]), INF),
        (torch.tensor([3 + 4j]), torch.tensor([3 + 2j]), 0.5),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), INF),
        (torch.tensor([1, 2]), torch.tensor([1, 2]), 0.0),
        (torch.ones(2), torch.ones(2, 1), INF),
        (torch.ones(1), None, INF),
        (2.0, 1.0, 0.5),
        ("a", "b", INF),
        ({"a": torch.ones(1)}, {"b": torch.ones(1)}, INF),
        ((torch.ones(1),), [torch.ones(1)], INF),
        ((torch.ones(1),), (torch.ones(1), torch.ones(1)), INF),
        ([{"a": (torch.ones(1), 3)}], [{"a": (torch.ones(1), 3)}], 0.0),
    ],
)
def test_measure_error(expected: object, found: object, error: float) -> None:
    assert measure_error(expected, found) == pytest.approx(error)


def test_measure_error_of_numbers_alone_passes_over_the_rest() -> None:
    before, after = (torch.ones(2), torch.tensor([1])), (torch.tensor([1.0, 1.5]), torch.tensor([2]))
    assert math.isinf(measure_error(before, after))
    assert measure_error(before, after, rest=False) == 0.5


def test_count_numbers_counts_what_an_error_can_be_measured_on() -> None:
    assert count_numbers({"a": torch.tensor([1.0, NAN]), "b": (torch.tensor([1]), 2.0, None)}) == 2


# -- where norms stand


def edit(before: Any, after: Any, norm: int | None, anchor: int | None) -> Edit:
    return Edit("0", "move", before, after, norm, anchor, "keep")


def test_misplaced_norm_is_named() -> None:
    """The graph of a network with its norm at one place, and an edit that wanted another."""
    graph = trace_model(chain(nn.BatchNorm2d(4), nn.ReLU()), X)
    assert Standing(graph, {}).find_misplaced(edit("none", "before-activation", None, 1), "0") == ""
    wrong = edit("none", "after-activation", None, 1)
    assert Standing(graph, {}).find_misplaced(wrong, "0") == "it stands at before-activation"
    with pytest.raises(ModelError, match="after the change it stands at before-activation"):
        prove_outcome(graph, graph, [wrong], {})
    assert Standing(graph, {"0": "1"}).find_misplaced(wrong, "0") == ""
    assert Standing(graph, {"0": "elsewhere"}).find_misplaced(wrong, "0") == "it does not run"
    twice = trace_model(chain(nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.ReLU()), X)
    assert Standing(twice, {}).find_misplaced(edit("none", "before-activation", None, 1), "0") == "2 norms run there"


class Forks(nn.Module):
    def __init__(self, swapped: bool) -> None:
        super().__init__()
        self.swapped = swapped
        self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a(x), self.b(x)
        return self.c((b if self.swapped else a).relu() - (a if self.swapped else b))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (chain(nn.ReLU()), chain(nn.ReLU()), ""),
        (chain(nn.ReLU()), chain(nn.Tanh()), "where ReLU 1 ran, Tanh 1 runs"),
        (chain(nn.ReLU()), chain(nn.ReLU(), nn.ReLU()), "where Conv2d 2 ran, ReLU 2 runs"),
        (Forks(False), Forks(True), "relu reads other values"),
        (chain(nn.BatchNorm2d(4), nn.ReLU()), chain(nn.Identity(), nn.ReLU()), "0 norms run where 1 should"),
        (chain(nn.Identity(), nn.ReLU()), chain(nn.BatchNorm2d(4), nn.ReLU()), "1 norms run where 0 should"),
    ],
    ids=["same", "another", "more", "other values", "norm lost", "norm came"],
)
def test_other_change_is_named(before: nn.Module, after: nn.Module, words: str) -> None:
    assert find_other_change(trace_model(before, X), trace_model(after, X), []) == words


def test_rewriter_that_does_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rewriter, "perform", lambda self, ready: [])
    with pytest.raises(ModelError, match="after the change it stands at none"):
        pn.place(chain(nn.ReLU()), X, "after-activation")


def test_model_is_as_it_was_after_an_error_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Modes()
    state, names = copy.deepcopy(model.state_dict()), [name for name, _ in model.named_modules()]
    with pytest.raises(ModelError, match="in training it stands at none, where in evaluation it stands right"):
        pn.place_(model, X, {"first": "after-activation"})
    assert type(model) is Modes
    assert [name for name, _ in model.named_modules()] == names
    assert not model.first._forward_hooks
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert model.state_dict().keys() == state.keys()


class Modes(nn.Module):
    """Its two branches run in another order in training, so that calls cannot be matched by their order."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        u, v = self.first(x), self.second(x)
        if self.training:
            a, b = F.relu(u), F.relu(v)
        else:
            b = F.relu(v)
            a = F.relu(u)
        return self.head(2 * a + b)


# -- calls out of sight


class Indexed(nn.Module):
    """The last of a Sequential runs by itself too: a norm at its end would take the place of the ReLU."""

    def __init__(self) -> None:
        super().__init__()
        shared = nn.ReLU()
        self.a, self.b = nn.Sequential(nn.Conv2d(3, 3, 1), shared), nn.Sequential(nn.Conv2d(3, 3, 1), shared)
        self.head = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.head(self.b(x) + self.a[-1](-x))


class Sliced(nn.Module):
    """A slice of a Sequential runs by itself too: what goes out of the Sequential would go out of the slice."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 1))
        self.head = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x) + self.body[:2](x))


@pytest.mark.parametrize(
    ("make", "site", "words"),
    [
        (Indexed, "a.0", "its children run outside of its own forward too, by index or in a slice"),
        (Sliced, "body.0", "body.1 runs in calls that are not looked into too, such as a slice of a Sequential"),
    ],
)
def test_sequential_whose_children_run_elsewhere_stays(make: type[nn.Module], site: str, words: str) -> None:
    placed = pn.place(make(), X, {site: "after-activation"})
    assert placed.changes == ()
    assert words in reason_of(placed, site)


class Peeks(nn.Module):
    """Its forward reads a parameter of a layer or of a norm by itself."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.linear, self.bn, self.head = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.name == "tied":
            return F.linear(torch.relu(self.bn(self.linear(x))), self.linear.weight.t())
        x = torch.relu(self.linear(x)) if self.name == "linear.bias" else torch.relu(self.bn(self.linear(x)))
        return self.head(x) + self.get_parameter(self.name).sum()


ROWS = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "policy", "words"),
    [
        ("linear.bias", "before-activation", "a forward reads linear.bias by itself, which would be gone"),
        ("bn.weight", "none", "a forward reads bn.weight by itself, which would be gone"),
    ],
)
def test_parameter_that_a_forward_reads_by_itself_stays(name: str, policy: Any, words: str) -> None:
    placed = pn.place(Peeks(name), ROWS, {"linear": policy})
    assert placed.changes == ()
    assert reason_of(placed, "linear") == words


def test_weights_that_a_forward_reads_by_itself_take_no_norm_in() -> None:
    placed = pn.place(Peeks("tied"), ROWS, "none", preserve=ROWS)
    assert placed.changes == ()
    assert "a forward reads the weights of linear by itself" in reason_of(placed, "linear")


# -- what a traced forward would hold fixed


class Anneals(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)
        self.temperature, self.scales = 1.0, [1.0, 2.0]
        self.head.gain = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.conv(x)) / self.temperature * self.scales[0]) * self.head.gain


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda net: setattr(net, "temperature", 10.0), "while temperature was 1.0, and now it is 10.0"),
        (lambda net: net.scales.__setitem__(0, 3.0), r"while scales was \(1.0, 2.0\), and now it is \(3.0, 2.0\)"),
        (lambda net: setattr(net.head, "gain", 2), "while head.gain was 1.0, and now it is 2"),
    ],
)
def test_attribute_that_changes_behind_a_traced_forward_is_an_error(
    change: Callable[[Any], object], words: str
) -> None:
    model = pn.place(Anneals(), X, "after-activation").model
    copied = copy.deepcopy(model)
    assert torch.equal(model(X), copied(X))
    change(copied)
    with pytest.raises(HeldArgumentError, match=words):
        copied(X)
    model(X)


class Checkpoints(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        body: Any = lambda x: F.relu(self.conv(x))  # noqa: E731
        return self.head(torch.utils.checkpoint.checkpoint(body, x, use_reentrant=False))


def test_checkpointed_forward_is_not_traced() -> None:
    placed = pn.place(Checkpoints(), X, {"conv": "after-activation"})
    assert placed.changes == ()
    assert "or checkpoints activations, around some of its calls" in reason_of(placed, "conv")


class Detaches(torch.autograd.Function):
    """The identity, with gradients that are not its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 3 * gradient


class Meters:
    def __init__(self) -> None:
        self.calls = 0


class Counts(nn.Module):
    """It keeps count in an object of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head, self.meters = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3), Meters()

    def forward(self, x: Tensor) -> Tensor:
        self.meters.calls += 1
        return self.head(F.relu(self.conv(x)))


def test_forward_that_counts_in_an_object_is_not_traced() -> None:
    model = Counts()
    placed = pn.place(model, X, {"conv": "after-activation"})
    assert "it changes its own state" in reason_of(placed, "conv")
    assert model.meters.calls == 0


# -- what is preserved


def test_preserve_that_gets_the_values_wrong_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "set_measured", lambda norm, moments: norm.bias.data.add_(1.0))
    with pytest.raises(ModelError, match=r"the rewritten network differs by .* report this network"):
        pn.place(chain(nn.ReLU()), X, "after-activation", preserve=X)


class Chaotic(nn.Module):
    """What it gives depends on the last bit of what it is given: a round of the logistic map doubles a difference."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(4)
        norm.running_mean = torch.tensor([0.1, -0.3, 0.7, 0.9])
        norm.running_var = torch.tensor([0.3, 1.7, 0.6, 2.9])
        self.body, self.rounds = chain(norm, nn.ReLU()), rounds

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x).sigmoid()
        for _ in range(self.rounds):
            x = 4 * x * (1 - x)
        return x


def test_network_that_multiplies_rounding_is_told_so() -> None:
    calm = pn.place(Chaotic(3), X, "none", preserve=X)
    assert calm.max_error is not None
    assert calm.max_error < keeping.EXACT
    with pytest.raises(ModelError, match=r"multiplies rounding: one bit of its inputs moves it by \d"):
        pn.place(Chaotic(60), X, "none", preserve=X)


class Gives(nn.Module):
    wanted: ClassVar[dict[str, Callable[[Tensor], object]]] = {
        "complex": torch.fft.fft,
        "class": lambda x: x.argmax(1),
        "nan": lambda x: x * NAN,
    }

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.body = form, chain(nn.ReLU())

    def forward(self, x: Tensor) -> object:
        return self.wanted[self.form](self.body(x))


def test_preserve_compares_complex_numbers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "set_measured", lambda norm, moments: norm.bias.data.add_(1.0))
    with pytest.raises(ModelError, match="the rewritten network differs by"):
        pn.place(Gives("complex"), X, "after-activation", preserve=X)


@pytest.mark.parametrize("form", ["class", "nan"])
def test_preserve_with_nothing_to_compare_is_refused(form: str) -> None:
    with pytest.raises(ModelError, match="holds no finite numbers that could be compared"):
        pn.place(Gives(form), X, "after-activation", preserve=X)


class Head(nn.Module):
    """A head that runs in training only, with a norm of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.aux = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.stem(x)
        return (self.head(x), self.aux(x)) if self.training else self.head(x)


def test_preserve_keeps_heads_that_run_in_training_only() -> None:
    model = Head()
    with torch.no_grad():
        for norm in (model.stem[1], model.aux[1]):
            norm.running_var.fill_(3.0)
            norm.running_mean.fill_(0.5)
    for policy in ("none", "after-activation"):
        placed = pn.place(model, X, policy, preserve=X)
        assert placed.max_error is not None
        assert placed.max_error < 1e-12
        assert {change.site for change in placed.changes} >= {"stem.0", "aux.0"}
        for network in (model, placed.model):
            network.eval()
            network.training = True
        torch.testing.assert_close(placed.model(X), model(X))


def test_preserve_of_a_head_that_runs_in_training_only_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    real = keeping.ValueKeeper.apply

    def forget(self: Any, edit: Edit, change: Any) -> None:
        if edit.block != "aux.0":
            real(self, edit, change)

    model = Head()
    with torch.no_grad():
        model.aux[1].running_var.fill_(3.0)
    monkeypatch.setattr(keeping.ValueKeeper, "apply", forget)
    with pytest.raises(ModelError, match="the rewritten network differs by"):
        pn.place(model, X, {"aux.0": "none"}, preserve=X)


def test_preserve_in_half_precision_gives_norms_float32_or_an_error() -> None:
    model = chain(nn.BatchNorm2d(4), nn.ReLU())
    with torch.no_grad():
        model.get_submodule("1").weight.fill_(400.0)
    placed = pn.place(model.bfloat16(), X.bfloat16(), "after-activation", preserve=X)
    norms = [module for module in placed.model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.running_var.dtype for norm in norms} == {torch.float32}
    assert placed.max_error_dtype is not None
    assert placed.max_error_dtype < 0.1


class Touchy(nn.Module):
    """What it returns is the difference of two nearly equal numbers, so that rounding is a million times larger."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.fc(x))
        return h[:, :1] - h[:, 1:]


def test_network_in_float64_that_amplifies_rounding_is_preserved() -> None:
    torch.manual_seed(0)
    model = Touchy().double().eval()
    with torch.no_grad():
        model.fc.weight[1] = model.fc.weight[0] * (1 + 1e-6)
        model.fc.bias[1] = model.fc.bias[0]
        model.norm.running_mean.fill_(0.3)
        model.norm.running_var.fill_(2.0)
    x = torch.randn(8, 6, dtype=torch.float64)
    done = pn.place(model, x, "none", preserve=x)
    assert done.changes
    assert done.max_error is not None
    assert 1e-13 < done.max_error < 1e-9  # more than 100 roundings, and still exact
