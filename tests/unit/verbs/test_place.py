"""What the verb place takes and what it refuses: wrapped and changed models, data, norms, filters, keys."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

import placenorm as pn
from placenorm.errors import DataError, ModelError, NoEffectWarning, UsageError
from placenorm.facts.placement import write_placement
from support.networks import IMAGES, ModuleNet, NestedNet, PlainMlp

Placing = Callable[[], object]


# -- models that are something else by now


@pytest.fixture
def process_group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def scripted() -> nn.Module:
    return torch.jit.script(ModuleNet())


def scripted_inside() -> nn.Module:
    return nn.Sequential(scripted(), nn.Linear(3, 2))


def traced() -> nn.Module:
    return torch.jit.trace(ModuleNet().eval(), IMAGES)


def quantised() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(ModuleNet().eval(), {nn.Linear}, dtype=torch.qint8)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (scripted, "ModuleNet, which is scripted or traced by torch.jit"),
        (scripted_inside, "Sequential, whose 0 is scripted or traced by torch.jit"),
        (traced, "scripted or traced by torch.jit"),
        (quantised, "ModuleNet, whose head is quantised (Linear)"),
        (lambda: torch.compile(ModuleNet(), backend="eager"), "give its ._orig_mod, and compile the result"),
        (lambda: nn.DataParallel(ModuleNet()), "wrapped in DataParallel: give its .module"),
        (lambda: nn.parallel.DistributedDataParallel(ModuleNet()), "wrapped in DistributedDataParallel: give its .mod"),
        (lambda: ModuleNet, "Cannot look into the class ModuleNet: give a model of it, such as ModuleNet()"),
        (lambda: ModuleNet().forward, "Cannot look into a method: give a torch.nn.Module"),
    ],
    ids=[
        "scripted",
        "scripted-inside",
        "jit-traced",
        "quantised",
        "compiled",
        "data-parallel",
        "ddp",
        "class",
        "no-module",
    ],
)
@pytest.mark.usefixtures("process_group")
def test_place_model_that_cannot_be_looked_into_is_one_sentence(make: Callable[[], Any], words: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises against some of its own
        model = make()
    for verb in (pn.trace, lambda *inputs: pn.place(*inputs, "none")):
        with pytest.raises(ModelError) as raised:
            verb(model, IMAGES)
        assert words in str(raised.value)


def test_place_model_of_a_compiled_one_can_be_compiled_again() -> None:
    compiled: Any = torch.compile(ModuleNet().eval(), backend="eager")
    model = pn.place(compiled._orig_mod, IMAGES, "after-activation").model.eval()
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(IMAGES), model(IMAGES))
    torch.compiler.reset()


def test_place_model_on_meta_is_placed_and_has_its_values_later() -> None:
    with torch.device("meta"):
        model = NestedNet()
        placed = pn.place(model, IMAGES.to("meta"), "after-activation")
    assert all(parameter.is_meta for parameter in placed.model.parameters())
    real = pn.place(NestedNet(), IMAGES, "after-activation").model.eval()
    placed.model.load_state_dict(real.state_dict(), assign=True)
    torch.testing.assert_close(placed.model.eval()(IMAGES), real(IMAGES))


def test_place_model_on_meta_has_nothing_to_preserve() -> None:
    with torch.device("meta"):
        model = NestedNet()
    with pytest.raises(ModelError, match="it is on the meta device and has no values"):
        pn.place(model, IMAGES.to("meta"), "none", preserve=IMAGES)


def test_place_model_that_cannot_be_copied_is_one_sentence() -> None:
    model = NestedNet()
    model.cache = (x for x in range(3))  # type: ignore[assignment]
    with pytest.raises(ModelError, match="Cannot copy NestedNet: cannot pickle 'generator' object; run a lazy model"):
        pn.place(model, IMAGES, "none")
    assert pn.place_(model, IMAGES, "none").graph.norms == ()


# -- what goes in and comes out


class Pair(NamedTuple):
    left: Tensor
    right: Tensor


@dataclass
class Result:
    logits: Tensor
    hidden: list[Tensor]


class Nest(ModuleNet):
    """Takes and gives nests of tensors."""

    def __init__(self, form: type) -> None:
        super().__init__()
        self.form = form

    def forward(self, pair: Pair) -> Any:
        hidden = self.features(pair.left + pair.right)
        logits = self.head(hidden)
        if self.form is dict:
            return {"logits": logits, "hidden": hidden}
        return Result(logits, [hidden]) if self.form is Result else (logits, (hidden, None))


def tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Result):
        return [output.logits, *output.hidden]
    return [
        found for value in (output.values() if isinstance(output, dict) else output or ()) for found in tensors(value)
    ]


@pytest.mark.parametrize("form", [dict, tuple, Result])
@pytest.mark.parametrize("preserve", [False, True], ids=["fresh", "preserve"])
def test_place_takes_and_gives_nests_of_tensors(form: type, preserve: bool) -> None:
    model, pair = Nest(form).eval(), Pair(IMAGES, IMAGES.flip(0))
    placed = pn.place(model, (pair,), "after-activation", preserve=[((pair,),)] if preserve else None)
    assert placed.graph.placement()["features.0"] == "after-activation"
    found, expected = tensors(placed.model(pair)), tensors(model(pair))
    assert len(found) == 2
    if preserve:
        assert placed.max_error is not None
        assert placed.max_error < 1e-12
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("example", "error", "words"),
    [
        ([IMAGES], UsageError, "Cannot call ModuleNet with a list as example inputs: give a tensor, a tuple"),
        (IMAGES.numpy(), UsageError, "with a ndarray as example inputs"),
        (IMAGES.double(), ModelError, "of shape [8, 1, 8, 8] (float64):"),
        (IMAGES.repeat(1, 2, 1, 1), ModelError, "does not run on an input of shape [8, 2, 8, 8]:"),
        ((IMAGES, IMAGES), ModelError, "ModuleNet cannot be called with [8, 1, 8, 8], [8, 1, 8, 8]"),
        ({"y": IMAGES}, ModelError, "ModuleNet cannot be called with y=[8, 1, 8, 8]"),
    ],
    ids=["list", "array", "type", "channels", "two", "keyword"],
)
def test_place_wrong_example_is_one_sentence(example: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as raised:
        pn.place(ModuleNet(), example, "none")
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "There is no batch in the data"),
        (iter([]), "There is no batch in the data"),
        (3, "Cannot take batches from a int"),
        (["text"], "Cannot call the model with a str from a batch"),
        (torch.zeros(8, 2, 8, 8), "ModuleNet does not run on the first batch of the data"),
        ([IMAGES, torch.zeros(8, 2, 8, 8)], "ModuleNet does not run on batch 2 of the data"),
        (torch.full_like(IMAGES, torch.nan), "The first batch of the data holds values that are not finite"),
    ],
    ids=["empty", "exhausted", "number", "words", "shape", "second", "nan"],
)
def test_place_wrong_data_to_preserve_on_is_one_sentence(data: object, words: str) -> None:
    model = ModuleNet()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(DataError) as raised:
        pn.place_(model, IMAGES, "after-activation", preserve=data)
    assert words in str(raised.value)
    assert type(model) is ModuleNet
    torch.testing.assert_close(dict(model.state_dict()), state, rtol=0, atol=0)


def test_place_data_that_are_not_finite_prove_nothing_where_norms_only_go() -> None:
    with pytest.raises(DataError, match="holds values that are not finite"):
        pn.place(ModuleNet(), IMAGES, "none", preserve=torch.full_like(IMAGES, torch.inf))


def test_place_one_value_per_channel_has_no_variance_to_preserve() -> None:
    model = PlainMlp()
    inputs = torch.ones(8, next(model.parameters()).shape[1])
    with pytest.raises(DataError, match="reads 1 values per channel"):
        pn.place(model, inputs, "after-activation", preserve=inputs[:1])


# -- norms of the user's own


@pytest.mark.parametrize(
    ("norm", "words"),
    [
        (nn.BatchNorm2d, "from the class BatchNorm2d itself: give a function of (channels, rank of the tensor)"),
        (lambda channels: nn.GroupNorm(2, channels), "The function given as norm fails for 4 channels"),
        (lambda channels, rank: channels, "returned a int for 4 channels and a tensor of rank 4"),
        (lambda channels, rank: nn.BatchNorm1d(channels), "The BatchNorm1d that the function given as norm built does"),
        (lambda channels, rank: nn.Flatten(), "into [8, 256]: a norm keeps the shape"),
        ("batch", "Unknown norm 'batch': use one of torch, placenorm"),
    ],
    ids=["class", "one-argument", "number", "rank", "shape", "word"],
)
def test_place_norm_that_does_not_fit_is_one_sentence_and_changes_nothing(norm: Any, words: str) -> None:
    model = NestedNet()
    names = [name for name, _ in model.named_modules()]
    with pytest.raises(UsageError) as raised:
        pn.place_(model, IMAGES, {"first.conv": "after-activation"}, norm=norm)
    assert words in str(raised.value)
    assert [name for name, _ in model.named_modules()] == names
    assert type(model.first) is NestedNet.Block


def test_place_norm_of_another_kind_leaves_the_bias_that_it_does_not_cancel() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    for norm, keeps in ((lambda channels, rank: nn.GroupNorm(2, channels), True), ("torch", False)):
        placed = pn.place(model, IMAGES, "before-activation", norm=norm).model
        assert (placed.get_submodule("0").bias is not None) is keeps


# -- filters, keys and files


@pytest.mark.parametrize(
    ("only", "keys"),
    [
        ("first", {"first.conv"}),
        ("*.conv", {"first.conv", "second.conv"}),
        (lambda block: block.channels > 4, {"second.conv"}),
    ],
    ids=["path", "pattern", "predicate"],
)
def test_place_filter_restricts_the_placement(only: Any, keys: set[str]) -> None:
    placed = pn.place(NestedNet(), IMAGES, "after-activation", filter=only)
    assert {change.site for change in placed.changes} == keys


def test_place_filter_that_matches_nothing_warns_in_the_callers_file() -> None:
    for verb in (pn.place, pn.place_):
        with pytest.warns(NoEffectWarning, match="the filter 'third'") as caught:
            verb(NestedNet(), IMAGES, "none", filter="third")
        assert caught[0].filename == __file__


def test_place_filter_of_another_type_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="Cannot filter by a int: give a path such as"):
        pn.place(NestedNet(), IMAGES, "none", filter=3)  # type: ignore[arg-type]


def test_place_unknown_key_beside_a_known_one_is_skipped_with_the_nearest() -> None:
    placed = pn.place(NestedNet(), IMAGES, {"first.conv": "none", "secnd.conv": "none"})
    assert [change.site for change in placed.changes] == ["first.conv"]
    assert [(skip.site, skip.reason) for skip in placed.skipped] == [
        ("secnd.conv", "no block of the network has this key; did you mean second.conv or first.conv?")
    ]


def test_place_file_brings_a_fresh_model_to_the_same_placement(tmp_path: Path) -> None:
    placed = pn.place(NestedNet(), IMAGES, {"first.conv": "after-activation", "second.conv": "none"})
    write_placement(placed.placement, tmp_path / "placement.json")
    for path in (tmp_path / "placement.json", str(tmp_path / "placement.json")):
        again = pn.place(NestedNet(), IMAGES, path)
        assert again.graph.placement() == placed.graph.placement()
        again.model.load_state_dict(placed.model.state_dict())


# -- optimizers


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_remap_optimizer_goes_on_with_the_placed_model(kind: type[torch.optim.Optimizer]) -> None:
    """One that held everything holds everything, each in its group, with the state of what was not touched."""
    model = ModuleNet()
    norms = [p for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()]
    others = [p for p in model.parameters() if not any(p is norm for norm in norms)]
    momentum = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind([{"params": others, "lr": 0.1}, {"params": norms, "lr": 0.2}], **momentum)
    model(IMAGES).square().sum().backward()
    optimizer.step()
    weight = model.head.weight
    state = {name: torch.as_tensor(value).clone() for name, value in optimizer.state[weight].items()}
    assert state
    placed = pn.place(model, IMAGES, "after-activation")
    placed.remap(optimizer)
    held = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert held.keys() == {id(p) for p in placed.model.parameters()}
    assert held[id(placed.model.features[0].weight)] == 0.1
    moved = optimizer.state[placed.model.head.weight]
    torch.testing.assert_close({name: torch.as_tensor(value) for name, value in moved.items()}, state)
    optimizer.zero_grad()
    placed.model(IMAGES).square().sum().backward()
    before = [p.detach().clone() for p in placed.model.parameters()]
    optimizer.step()
    assert all(not torch.equal(p, old) for p, old in zip(placed.model.parameters(), before, strict=True))


@pytest.mark.parametrize("policy", ["after-activation", "none", "before-activation"])
def test_remap_optimizer_keeps_parameters_of_one_axis_by_themselves(policy: Any) -> None:
    """As for weight decay: weights in one group, gammas, betas and biases in another."""
    model = ModuleNet() if policy == "none" else nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    parameters = list(model.parameters())
    wide, flat = [p for p in parameters if p.dim() > 1], [p for p in parameters if p.dim() <= 1]
    groups = [{"params": wide, "weight_decay": 0.1}, {"params": flat, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups)
    placed = pn.place(model, IMAGES, policy)
    placed.remap(optimizer)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in placed.model.named_parameters():
        assert decays[id(parameter)] == (0.1 if parameter.dim() > 1 else 0.0), name


def test_remap_optimizer_finds_the_group_of_the_same_rate() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    groups = [
        {"params": [layer.get_parameter(name)], "lr": rate}
        for layer, rate in ((model[0], 0.1), (model[2], 0.2))
        for name in ("weight", "bias")
    ]
    optimizer = torch.optim.SGD(groups)
    placed = pn.place(model, IMAGES, "after-activation")
    placed.remap(optimizer)
    (norm,) = [module for module in placed.model.modules() if isinstance(module, nn.BatchNorm2d)]
    homes = [number for number, group in enumerate(optimizer.param_groups) for p in group["params"] if p is norm.weight]
    assert homes == [1]


def test_remap_optimizer_leaves_the_norm_of_a_frozen_weight_alone() -> None:
    model = PlainMlp()
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    optimizer = torch.optim.SGD(linears[-1].parameters(), lr=0.1)
    inputs = torch.ones(8, linears[0].in_features)
    placed = pn.place(model, inputs, "after-activation")
    placed.remap(optimizer)
    assert len(optimizer.param_groups[0]["params"]) == len(list(linears[-1].parameters()))


def test_remap_optimizer_of_another_model_is_one_sentence() -> None:
    placed = pn.place(ModuleNet(), IMAGES, "none")
    with pytest.raises(UsageError, match="it holds no parameter of the model that was placed"):
        placed.remap(torch.optim.SGD(ModuleNet().parameters(), lr=0.1))
    with pytest.raises(UsageError, match="Cannot remap a Linear"):
        placed.remap(nn.Linear(1, 1))  # type: ignore[arg-type]
