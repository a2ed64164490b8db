"""What the verb fold takes, refuses, tells and warns of."""

import copy
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import placenorm as pn
from placenorm.errors import DataError, ModelError, NoEffectWarning, UsageError
from placenorm.facts.folding import DOES_NOT_RUN
from placenorm.rewrite import unnorming

ROOT = Path(__file__).parents[3]
IMAGES = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def make_net() -> nn.Sequential:
    """Return a network in evaluation with a norm behind a conv, and one that goes into the linear layer behind it."""
    torch.manual_seed(0)
    norms = nn.BatchNorm2d(4), nn.BatchNorm1d(4)
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(nn.Conv2d(1, 4, 3), norms[0], nn.Sigmoid(), *pool, norms[1], nn.Linear(4, 3)).eval()


def test_fold_leaves_the_model_alone_and_the_copy_has_no_norm() -> None:
    model = make_net()
    before = copy.deepcopy(model.state_dict())
    done = pn.fold(model, IMAGES)
    assert [change.site for change in done.changes] == ["1", "5"]
    assert (done.skipped, done.matched, done.hooked, done.agreement) == ((), 2, (), None)
    assert done.max_error is not None
    assert done.max_error < 1e-14
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in done.model.modules())
    assert not done.model.training
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert type(model[1]) is nn.BatchNorm2d
    torch.testing.assert_close(done.model(IMAGES), model(IMAGES))


def test_fold_in_place_changes_the_model() -> None:
    model = make_net()
    expected = model(IMAGES)
    assert pn.fold_(model, IMAGES).model is model
    assert type(model[1]) is nn.Identity
    torch.testing.assert_close(model(IMAGES), expected)


@pytest.mark.parametrize("failure", [ModelError("no"), RuntimeError("no"), KeyboardInterrupt()], ids=str)
def test_fold_in_place_puts_the_model_back_after_an_error(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise failure

    model = make_net()
    before, kinds = copy.deepcopy(model.state_dict()), [type(module) for module in model.modules()]
    monkeypatch.setattr(unnorming, "find_hooked", fail)  # when all is folded
    with pytest.raises(type(failure)):
        pn.fold_(model, IMAGES)
    assert [type(module) for module in model.modules()] == kinds
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_folding_twice_is_folding_once_and_warns() -> None:
    once = pn.fold(make_net(), IMAGES).model
    with pytest.warns(NoEffectWarning, match=r"^Nothing to fold: Sequential has no batch norms; give a model that has"):
        twice = pn.fold(once, IMAGES)
    assert (twice.changes, twice.skipped, twice.matched) == ((), (), 0)
    torch.testing.assert_close(twice.model.state_dict(), once.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("verb", [pn.fold, pn.fold_], ids=["fold", "fold_"])
def test_warning_of_no_norms_points_to_the_caller(verb: Callable[..., object]) -> None:
    with pytest.warns(NoEffectWarning) as caught:
        verb(nn.Linear(2, 2).eval(), torch.zeros(1, 2))
    assert [warning.filename for warning in caught] == [__file__]


def test_norms_that_all_stay_are_told_and_warn_of_nothing() -> None:
    model = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(1), nn.ReLU()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = pn.fold(model, IMAGES)
    assert (done.changes, [skip.site for skip in done.skipped]) == ((), ["1"])


def train(model: nn.Module) -> nn.Module:
    return model.train()


def train_one_norm(model: nn.Module) -> nn.Module:
    model.get_submodule("1").train()
    return model


def quantise(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is on its way into torchao
        quantised: nn.Module = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    return quantised


def make_whole(model: nn.Module) -> nn.Module:
    model.get_submodule("0").weight = nn.Parameter(torch.ones(4, 1, 3, 3, dtype=torch.int8), requires_grad=False)
    return model


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (train, "it is in training mode, where norms use the batch's statistics and dropout draws; call .eval() first"),
        (train_one_norm, "its module 1 is in training mode"),
        (quantise, "quantise the result"),
        (make_whole, "its parameter 0.weight holds whole numbers, so it is quantised by now; fold the model as it was"),
        (lambda model: model.to("meta"), "it is on the meta device and has no values; load its weights first"),
        (lambda model: torch.compile(model, backend="eager"), "give its ._orig_mod"),
        (lambda _: "net", "Cannot look into a str: give a torch.nn.Module"),
    ],
    ids=["training", "norm-in-training", "quantised", "integer", "meta", "compiled", "no-module"],
)
@pytest.mark.parametrize("verb", [pn.fold, pn.fold_], ids=["fold", "fold_"])
def test_model_that_is_not_ready_is_refused(verb: Callable[..., object], spoil: Callable[..., Any], words: str) -> None:
    with pytest.raises(ModelError, match=re.escape(words)) as caught:
        verb(spoil(make_net()), IMAGES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "kind", "words"),
    [
        (torch.zeros(2, 3, 8, 8), ModelError, "does not run on an input of shape [2, 3, 8, 8]"),
        (torch.zeros(2, 1, 2, 2), ModelError, "does not run on an input of shape [2, 1, 2, 2]"),
        ((IMAGES, IMAGES), ModelError, "give example inputs that fit its forward"),
        ([IMAGES], UsageError, "give a tensor, a tuple of arguments, or a dict of keyword arguments"),
    ],
    ids=["channels", "too-small", "too-many", "list"],
)
def test_example_that_does_not_fit_is_refused(inputs: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        pn.fold(make_net(), inputs)


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, "float16"], ids=str)
def test_type_that_no_weights_can_have_is_refused(dtype: Any) -> None:
    with pytest.raises(
        UsageError, match=r"^Cannot fold into .*: give a floating-point type such as torch.float16, and"
    ):
        pn.fold(make_net(), IMAGES, dtype=dtype)


def test_other_type_is_that_of_the_result_and_of_the_last_error() -> None:
    done = pn.fold(make_net(), IMAGES, dtype=torch.float16)
    assert {p.dtype for p in done.model.parameters()} == {torch.float16}
    assert done.max_error is not None
    assert done.max_error_float32 is not None
    assert done.max_error_dtype is not None
    assert done.max_error < 1e-14 < done.max_error_float32 < 1e-6 < done.max_error_dtype < 1e-2


def test_agreement_is_counted_over_all_batches_of_the_data() -> None:
    model = make_net()
    done = pn.fold(model, IMAGES, data=[(IMAGES, torch.zeros(4)), (IMAGES[:3], torch.zeros(3))])
    assert done.agreement is not None
    assert (done.agreement.answers, done.agreement.same) == (7, 7)


def test_agreement_counts_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    apply = unnorming._Folder.apply

    def spoil(folder: Any, model: nn.Module, chosen: Any) -> None:
        apply(folder, model, chosen)
        with torch.no_grad():
            model.get_submodule("6").bias.copy_(torch.tensor([1e3, 0, 0]))

    monkeypatch.setattr(unnorming._Folder, "apply", spoil)
    model = make_net()
    done = pn.fold(model, IMAGES, data=IMAGES, verify=False)
    assert done.agreement is not None
    assert (done.agreement.answers, done.agreement.same) == (4, int((model(IMAGES).argmax(1) == 0).sum()))
    assert done.agreement.same < 4
    assert (done.max_error, done.max_error_float32, done.max_error_dtype) == (None, None, None)


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        ([], DataError, "There is no batch in the data"),
        (iter(()), DataError, "There is no batch in the data to compare answers on"),
        (3, DataError, "Cannot take batches from a int"),
        (torch.zeros(2, 3, 8, 8), DataError, "does not run on batch 1 of the data"),
    ],
    ids=["empty", "ends-at-once", "number", "shape"],
)
def test_data_that_cannot_be_used_are_refused(data: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        pn.fold(make_net(), IMAGES, data=data)


def test_network_without_scores_has_no_answers_to_compare() -> None:
    with pytest.raises(
        UsageError, match=r"it gives a tensor \[4\], and no scores \[N, K\] to choose from; fold it wit"
    ):
        pn.fold(nn.Sequential(make_net(), nn.Flatten(0), nn.Unflatten(0, (4, 3)), Sum()).eval(), IMAGES, data=IMAGES)


class Sum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1)


@pytest.mark.parametrize("site", ["0", "1"], ids=["conv", "norm"])
@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward"])
def test_hooks_are_kept_and_told_of(site: str, kind: str) -> None:
    heard: list[str] = []
    model = make_net()
    getattr(model.get_submodule(site), f"register_{kind}_hook")(lambda module, *_: heard.append(type(module).__name__))
    done = pn.fold(model, IMAGES)
    (change,) = [change for change in done.changes if change.site == "1"]
    assert change.reason.endswith(f"; hooks on {site} see other values now")
    assert done.hooked == (site,)
    assert done.changes[1].reason == "into 6 behind it"
    heard.clear()
    done.model(IMAGES.clone().requires_grad_()).sum().backward()
    assert len(heard) == 1


def test_hooks_that_see_what_they_saw_are_not_told_of() -> None:
    model = make_net()
    model[6].register_forward_hook(lambda *_: None)
    model[2].register_forward_hook(lambda *_: None)
    model.register_forward_hook(lambda *_: None)
    done = pn.fold(model, IMAGES)
    assert done.hooked == ("6",)  # the linear layer behind the last norm reads what that norm read
    assert [change.reason for change in done.changes] == [
        "into 0 before it",
        "into 6 behind it; hooks on 6 see other values now",
    ]


def test_norm_that_does_not_run_is_told_of() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.aside = make_net(), nn.BatchNorm1d(2)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    done = pn.fold(Net().eval(), IMAGES)
    assert [(skip.site, skip.reason) for skip in done.skipped] == [("aside", DOES_NOT_RUN)]
    assert done.matched == 3


class Functional(nn.Module):
    """A network whose norm is a function, in a forward of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.register_buffer("mean", torch.linspace(-1, 1, 4))
        self.register_buffer("var", torch.linspace(0.5, 2, 4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(nn.functional.batch_norm(self.conv(x), self.mean, self.var))


def test_functional_norm_is_folded_and_its_forward_made_anew() -> None:
    done = pn.fold(Functional().eval(), IMAGES)
    assert [(change.site, change.reason) for change in done.changes] == [(":batch_norm_1", "into conv before it")]
    assert done.skipped == ()


def test_no_hook_of_ours_is_left_behind() -> None:
    pn.fold(make_net(), IMAGES)
    assert not torch.nn.modules.module._has_any_global_hook()


def test_page_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "fold.md").read_text(encoding="utf-8")
    block, printed = (
        re.search(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)[1]  # type: ignore[index]
        for language in ("python", "text")
    )
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    exec(compile(block, "fold.md", "exec"), {})
    assert capsys.readouterr().out == printed
    assert (tmp_path / "folded" / "fold.json").is_file()


def test_readme_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if "pn.fold" in code)
    exec(compile(block, "README.md", "exec"), {})
    *changes, error = capsys.readouterr().out.splitlines()
    assert ", ".join(changes) == re.search(r"# (1 into .*)", block)[1]  # type: ignore[index]
    assert float(error) < 1e-14


class Picking(nn.Sequential):
    """Gives the numbers that are large enough, of which there may be none, as a detector does."""

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = super().forward(x)
        return scores[scores > 1e6]


def test_example_that_gives_nothing_proves_nothing_and_is_refused() -> None:
    with pytest.raises(ModelError, match="no finite numbers that could be compared"):
        pn.fold(Picking(*make_net()).eval(), IMAGES)
    assert len(pn.fold(Picking(*make_net()).eval(), IMAGES, verify=False).changes) == 2
