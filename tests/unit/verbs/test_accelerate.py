"""What the verbs accelerate and restore take, refuse and warn of, and the page about them."""

import copy
import doctest
import re
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import placenorm as pn
from placenorm import layers
from placenorm.errors import ModelError, NoEffectWarning, UsageError
from support.networks import IMAGES, ModuleNet

ROOT = Path(__file__).parents[3]


def make_net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


def test_page_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "accelerate.md").read_text(encoding="utf-8")
    block, printed = (
        re.search(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)[1]  # type: ignore[index]
        for language in ("python", "text")
    )
    scope: dict[str, object] = {}
    exec(compile(block, "accelerate.md", "exec"), scope)
    assert capsys.readouterr().out == printed
    restored = scope["restored"]
    assert isinstance(restored, nn.Sequential)
    assert type(restored[3]) is nn.BatchNorm2d


@pytest.mark.parametrize("name", ["placenorm.verbs.accelerating", "placenorm.verbs.restoring"])
def test_examples_run(name: str) -> None:
    result = doctest.testmod(import_module(name))
    assert result.attempted >= 3
    assert result.failed == 0


def test_accelerate_leaves_the_model_alone() -> None:
    model = make_net()
    state = copy.deepcopy(model.state_dict())
    kinds = [type(module) for module in model.modules()]
    done = pn.accelerate(model, IMAGES)
    assert done.model is not model
    assert isinstance(done.model[1], layers.BatchNorm2d)
    assert [type(module) for module in model.modules()] == kinds
    torch.testing.assert_close(model.state_dict(), state, rtol=0, atol=0)


def test_accelerate_in_place_changes_the_model_and_keeps_its_optimizer() -> None:
    model = make_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    done = pn.accelerate_(model, IMAGES)
    assert done.model is model
    before = model[1].weight.detach().clone()
    model(IMAGES).square().sum().backward()
    optimizer.step()
    assert not torch.equal(model[1].weight, before)


def test_optimizer_of_the_model_goes_on_with_the_copy() -> None:
    model = make_net()
    optimizer = torch.optim.Adam(model.parameters())
    model(IMAGES).square().sum().backward()
    optimizer.step()
    done = pn.accelerate(model, IMAGES)
    done.remap(optimizer)
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [id(p) for p in done.model.parameters()]
    assert set(optimizer.state) == set(done.model.parameters())


def test_inputs_may_be_a_dict_or_a_tuple() -> None:
    for inputs in ((IMAGES,), {"input": IMAGES}):
        assert pn.accelerate(make_net(), inputs).max_error == 0.0


def test_model_without_norms_warns_and_comes_back() -> None:
    with pytest.warns(NoEffectWarning, match=r"^Nothing to accelerate: Linear has no batch norms; give a model that"):
        done = pn.accelerate(nn.Linear(2, 2), torch.zeros(1, 2))
    assert (done.changes, done.skipped, done.matched) == ((), (), 0)


def test_norms_that_all_stay_are_told_and_warn_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = pn.accelerate(nn.Sequential(nn.Conv2d(1, 2, 3), layers.SyncBatchNorm(2)), IMAGES)
    assert done.changes == ()
    assert [skip.site for skip in done.skipped] == ["1"]


def test_restoring_what_was_not_accelerated_warns() -> None:
    for restore in (pn.restore, pn.restore_):
        with pytest.warns(NoEffectWarning, match=r"^Nothing to restore: Sequential was not accelerated; give the mode"):
            restore(make_net())


@pytest.mark.parametrize(
    "verb",
    [
        lambda: pn.accelerate(nn.ReLU(), IMAGES),
        lambda: pn.accelerate_(nn.ReLU(), IMAGES),
        lambda: pn.restore(nn.ReLU()),
    ],
    ids=["accelerate", "accelerate_", "restore"],
)
def test_warning_points_to_the_caller(verb: Callable[[], object]) -> None:
    with pytest.warns(NoEffectWarning) as caught:
        verb()
    assert [warning.filename for warning in caught] == [__file__]


def test_restore_leaves_the_accelerated_model_alone() -> None:
    fast = pn.accelerate(make_net(), IMAGES).model
    restored = pn.restore(fast)
    assert (type(fast[2]), type(restored[2])) == (nn.Identity, nn.ReLU)
    assert pn.restore_(fast) is fast
    assert type(fast[2]) is nn.ReLU


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: torch.compile(ModuleNet(), backend="eager"), "give its ._orig_mod"),
        (lambda: nn.DataParallel(ModuleNet()), "give its .module"),
    ],
    ids=["compiled", "data-parallel"],
)
def test_model_that_cannot_be_looked_into_is_refused(model: Callable[[], nn.Module], words: str) -> None:
    for verb in (lambda net: pn.accelerate(net, IMAGES), lambda net: pn.accelerate_(net, IMAGES), pn.restore):
        with pytest.raises(ModelError, match=re.escape(words)):
            verb(model())


@pytest.mark.parametrize(
    ("verb", "way_out"),
    [(lambda net: pn.accelerate(net, IMAGES), ", or accelerate it with pn.accelerate_"), (pn.restore, "")],
    ids=["accelerate", "restore"],
)
def test_model_that_cannot_be_copied_is_an_error(verb: Callable[[nn.Module], object], way_out: str) -> None:
    model = make_net()
    model.cache = (x for x in range(3))  # type: ignore[assignment]
    said = rf"^Cannot copy Sequential: cannot pickle 'generator' object; .* weights{re.escape(way_out)}\.$"
    with pytest.raises(ModelError, match=said):
        verb(model)


class Picky(nn.Module):
    """A network that asks for labels when it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.training and labels is None:
            raise RuntimeError("no labels.")
        return self.norm(x)


def test_model_that_does_not_train_on_the_example_is_an_error() -> None:
    with pytest.raises(
        ModelError,
        match=r"^Cannot accelerate Picky: the proof trains a copy of it in float64 for one step on the example, and "
        r"that fails \(no labels\); give example inputs that it trains on\.$",
    ):
        pn.accelerate(Picky(), IMAGES)
    assert pn.accelerate(Picky(), (IMAGES, torch.zeros(8))).max_error == 0.0


class Narrow(nn.Module):
    """A network whose forward asks for float32."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc = nn.BatchNorm2d(1), nn.Linear(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(x).float().mean((2, 3)))


def test_model_whose_forward_asks_for_a_type_is_told_so() -> None:
    with pytest.raises(ModelError, match=r"its own type does: where the forward brings a tensor to a fixed type"):
        pn.accelerate(Narrow(), IMAGES)


class Wide(nn.Module):
    """A network that trains in float64 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.dtype is not torch.float64:
            raise RuntimeError("too narrow.")
        return self.norm(x)


@pytest.mark.parametrize(
    ("count", "value"), [(2, float("nan")), (2, float("inf")), (0, 1.0)], ids=["nan", "inf", "empty"]
)
def test_example_that_proves_nothing_is_an_error(count: int, value: float) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    with pytest.raises(
        ModelError, match="on the example it gives no finite number, which proves nothing; give example"
    ):
        pn.accelerate(model, torch.full((count, 3, 8, 8), value))


def test_model_that_does_not_train_in_its_own_type_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"a copy of it in its own type for one step .* \(too narrow\); give example"):
        pn.accelerate(Wide(), IMAGES)


def test_model_that_does_not_run_on_the_example_is_an_error() -> None:
    with pytest.raises(ModelError, match="does not run on an input of shape"):
        pn.accelerate(make_net(), torch.zeros(2, 3))


def test_inputs_of_no_known_form_are_an_error() -> None:
    with pytest.raises(UsageError, match="Cannot call Sequential with a list as example inputs"):
        pn.accelerate(make_net(), [IMAGES])


def test_model_without_values_is_an_error() -> None:
    with pytest.raises(ModelError, match="it is on the meta device and has no values"):
        pn.accelerate(make_net().to("meta"), IMAGES.to("meta"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_model_of_another_type_is_accelerated(dtype: torch.dtype) -> None:
    done = pn.accelerate(make_net().to(dtype), IMAGES.to(dtype))
    assert done.max_error == 0.0
    assert done.max_error_dtype == 0.0
    assert {value.dtype for value in done.model.parameters()} == {dtype}
