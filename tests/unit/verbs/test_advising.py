"""The verb `advise` on networks that users have."""

import json
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models

import placenorm as pn
from placenorm.cost import count_cost
from placenorm.errors import ModelError, UsageError
from placenorm.facts.advice import Advice, BlockAdvice
from placenorm.facts.codec import dumps, loads
from placenorm.graph.placements import plan_edits
from placenorm.rules.depth import count_depth
from placenorm.zoo import find_example
from support.networks import ALL, IMAGES, ModuleNet, PlainMlp, ResidualNet
from support.real_networks import UNet

SMALL = (2, 3, 32, 32)


def advise(model: nn.Module, shape: tuple[int, ...] = SMALL, name: str | None = None) -> Advice:
    return pn.advise(model, torch.zeros(shape), name=name).advice


def block_of(advice: Advice, key: str) -> BlockAdvice:
    return next(block for block in advice.blocks if block.key == key)


def sites_of(advice: Advice, rule: str) -> tuple[str, ...] | None:
    return next((finding.sites for finding in advice.findings if finding.rule == rule), None)


@pytest.fixture(scope="module")
def vgg() -> Advice:
    model = models.vgg11(num_classes=10, init_weights=False)
    for place, (inputs, outputs) in {0: (512, 16), 3: (16, 16), 6: (16, 10)}.items():
        model.classifier[place] = nn.Linear(inputs * (49 if place == 0 else 1), outputs)
    return advise(model, name="torchvision:vgg11")


@pytest.fixture(scope="module")
def resnet() -> Advice:
    return advise(models.resnet50(num_classes=10), name="torchvision:resnet50")


def test_advise_vgg11_puts_norms_behind_pools_and_counts_what_that_saves(vgg: Advice) -> None:
    assert (vgg.depth, vgg.shallow, vgg.policy) == (11, False, "after-pool")
    first, third = block_of(vgg, "features.0"), block_of(vgg, "features.6")
    assert (first.position, first.advised, first.rules) == ("none", "after-pool", ("A8", "A9", "A10"))
    assert (first.elements, first.pool_factor) == ((0, 2 * 64 * 16 * 16), 4.0)
    assert (third.advised, third.rules, third.pool_factor) == ("after-activation", ("A8", "A9"), 1.0)


def test_advise_vgg11_leaves_the_logits_and_says_why(vgg: Advice) -> None:
    last = vgg.blocks[-1]
    assert (last.key, last.advised, last.rules) == ("classifier.6", "none", ())
    assert last.reason == "it gives the network's output"


def test_advise_vgg11_finds_dropout_and_few_values(vgg: Advice) -> None:
    assert sites_of(vgg, "dropout-before-norm") == ("classifier.3",)
    assert sites_of(vgg, "few-values") == ("features.13",)  # the last pool is to 1x1, which does not count
    assert sites_of(vgg, "norm-on-branch") is None


def test_advise_resnet50_keeps_norms_on_branches(resnet: Advice) -> None:
    assert (resnet.depth, len(resnet.blocks), resnet.norms) == (50, 54, 53)
    assert block_of(resnet, "conv1").rules == ("A9", "A10")
    assert block_of(resnet, "layer1.0.conv1").advised == "after-activation"
    branch = block_of(resnet, "layer1.0.conv3")
    assert (branch.position, branch.advised, branch.rules) == ("before-activation", "before-activation", ())
    assert branch.reason == "no activation of its own before add"
    assert len(sites_of(resnet, "norm-on-branch") or ()) == 16 + 4  # the last convs of all units, and the shortcuts
    assert sites_of(resnet, "dropout-before-norm") is None


@pytest.mark.parametrize(
    ("net", "sites"),
    [(ResidualNet, 3), (PlainMlp, 2)],
    ids=["ResidualNet", "PlainMlp"],
)
def test_advise_shallow_networks_get_no_norm_and_an_honest_word(net: type[nn.Module], sites: int) -> None:
    advice = pn.advise(net(), IMAGES).advice
    assert advice.shallow
    assert advice.policy == "none"
    assert [block.advised for block in advice.blocks] == ["none"] * len(advice.blocks)
    assert sum(block.rules == ("A8",) for block in advice.blocks) == sites
    assert [finding.rule for finding in advice.findings] == ["shallow-network"]
    assert advice.findings[0].stance == "note"
    assert "Nobody has published" in advice.findings[0].text


def test_advise_xcit_is_silent_about_dropout_that_drops_nothing() -> None:
    advice = advise(timm.create_model("xcit_nano_12_p16_224", num_classes=10, img_size=64), (2, 3, 64, 64))
    assert sites_of(advice, "dropout-before-norm") is None
    reasons = {block.reason for block in advice.blocks if "attn.qkv" in block.key}
    assert all("features last" in reason for reason in reasons)
    assert reasons


def test_advise_densenet_says_that_moving_pre_activation_makes_another_network() -> None:
    advice = advise(models.DenseNet(8, (2, 2), 16, num_classes=10))
    sites = sites_of(advice, "moved-pre-activation")
    assert sites
    assert all(block_of(advice, key).advised == "after-activation" for key in sites)
    assert not any(block_of(advice, key).reason for key in sites)


def test_advise_unet_without_pools_in_its_chains_calls_the_policy_after_activation() -> None:
    advice = advise(UNet(), (2, 3, 16, 16))
    assert advice.policy == "after-activation"
    assert sites_of(advice, "dropout-before-norm") == ("up2.up",)


def test_advise_bounded_activations_have_a_finding_in_favour() -> None:
    layers = [layer for _ in range(6) for layer in (nn.Linear(8, 8), nn.Tanh())]
    advice = advise(nn.Sequential(*layers, nn.Linear(8, 2)), (2, 8))
    assert {finding.rule: finding.stance for finding in advice.findings}["bounded-activation"] == "for"
    assert sites_of(advice, "disputed-order") is None


@pytest.mark.parametrize("net", ALL.values(), ids=ALL.keys())
def test_advise_agrees_with_the_network_that_place_makes(net: type[nn.Module]) -> None:
    advice = pn.advise(net(), IMAGES).advice
    for cost in advice.costs:
        placed = pn.place(net(), IMAGES, cost.policy)
        there = count_cost(placed.graph)
        assert cost.norms == len(there.norms)
        assert cost.change.elements == (count_cost(pn.trace(net(), IMAGES)).norm_elements, there.norm_elements)
        if cost.policy == advice.policy:
            assert {block.key: block.advised for block in advice.blocks} == placed.graph.placement()
            assert sum(block.elements[1] for block in advice.blocks) == there.norm_elements


@pytest.mark.parametrize(
    ("make", "name", "command"),
    [
        (
            lambda: models.resnet18(num_classes=10),
            "torchvision:resnet18",
            "placenorm compare torchvision:resnet18 --data path/to/my_data.py:datasets --placements as-is,after-pool",
        ),
        (ModuleNet, "my nets.py:Net", None),
        (
            PlainMlp,
            "mlp",
            "placenorm compare mlp --placements as-is,before-activation,after-activation",
        ),
        (
            ModuleNet,
            None,
            'pn.compare(make_model, data, placements=["as-is", "none", "after-pool"])',
        ),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), None, ""),
    ],
    ids=["named", "with a space", "built in", "in Python", "nothing to compare"],
)
def test_advise_ends_with_the_command_that_would_settle_it(
    make: Callable[[], nn.Module], name: str | None, command: str | None
) -> None:
    model = make()
    inputs = torch.zeros(SMALL) if isinstance(model, models.ResNet) else IMAGES
    found = pn.advise(model, inputs, name=name).advice.command
    if command is None:
        assert shlex.split(found)[2] == name
    else:
        assert found == command


@pytest.mark.parametrize(
    ("sample", "data"),
    [((1, 8, 8), ""), ((3, 16, 16), " --data path/to/my_data.py:datasets")],
    ids=["of the embedded data", "of other data"],
)
def test_advise_command_is_for_the_input_that_was_looked_at(sample: tuple[int, ...], data: str) -> None:
    model, shape = find_example("cnn", sample)
    found = advise(model, (2, *shape), name="cnn").command
    assert found == f"placenorm compare cnn{data} --placements as-is,before-activation,after-pool"


def test_advise_command_asks_for_a_loop_where_ours_cannot_learn_from_the_output() -> None:
    found = advise(UNet(), (2, 3, 16, 16), name="net.py:UNet").command
    assert "--train path/to/my_train.py:train --input 3x16x16" in found
    assert "--data" not in found


def test_advise_command_names_the_weights() -> None:
    found = pn.advise(ModuleNet(), IMAGES, name="net.py:Net", weights="my net.pt").advice.command
    assert shlex.split(found)[-2:] == ["--weights", "my net.pt"]


def test_advise_takes_a_command_as_it_is() -> None:
    assert pn.advise(ModuleNet(), IMAGES, command="do this").advice.command == "do this"


def test_advise_command_lists_placements_that_differ() -> None:
    graph = pn.trace(ModuleNet(), IMAGES)
    names = ("as-is", "none", "after-pool")
    assert len({tuple(plan_edits(graph, name).placement.items()) for name in names}) == len(names)


def test_advise_leaves_the_model_as_it_was() -> None:
    model = ModuleNet()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pn.advise(model, IMAGES)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "make",
    [*ALL.values(), UNet, lambda: models.resnet18(num_classes=10), lambda: timm.create_model("resnet10t")],
    ids=[*ALL, "UNet", "resnet18", "timm"],
)
def test_advise_without_values_sees_what_tracing_the_model_itself_sees(make: Callable[[], nn.Module]) -> None:
    model = make()
    inputs = IMAGES if type(model).__name__ in ALL else torch.zeros(SMALL)
    ran: list[str] = []
    model.register_forward_pre_hook(lambda module, args: ran.append(str(args[0].device)))
    advice = pn.advise(model, inputs).advice
    assert ran == ["meta"]
    graph = pn.trace(model, inputs)
    assert {block.key: block.position for block in advice.blocks} == graph.placement()
    assert sum(block.elements[0] for block in advice.blocks) == count_cost(graph).norm_elements
    assert advice.depth == count_depth(graph)


def test_advise_runs_a_model_whose_forward_needs_values() -> None:
    class Choosing(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else x + 1)

    advice = advise(Choosing(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (2, 4))
    assert [block.key for block in advice.blocks] == ["0", "2"]


def test_advice_survives_json(resnet: Advice) -> None:
    text = dumps(resnet)
    assert json.loads(text)["fact"]["blocks"][0]["rules"] == ["A9", "A10"]
    assert loads(Advice, text, "here") == resnet


@pytest.mark.parametrize("ending", ["html", "json", "txt"], ids=str)
def test_advised_reports_into_a_file(tmp_path: Path, ending: str) -> None:
    done = pn.advise(ModuleNet(), IMAGES)
    path = done.report(tmp_path / f"advice.{ending}")
    text = path.read_text(encoding="utf-8")
    assert "shallow-network" in text
    if ending == "json":
        assert loads(Advice, text, str(path)) == done.advice
    if ending == "txt":
        assert text == done.table() == str(done)


def test_advised_refuses_other_endings(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"name a file that ends in \.html, \.json or \.txt"):
        pn.advise(ModuleNet(), IMAGES).report(tmp_path / "advice.pdf")


def test_advise_wrong_inputs_are_one_sentence() -> None:
    with pytest.raises(ModelError, match="does not run on an input of shape"):
        pn.advise(ModuleNet(), torch.zeros(2, 5))


def test_rules_stand_beside_the_report_in_the_layers() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    assert any({"placenorm.rules", "placenorm.report"} <= set(line.split(" | ")) for line in layers)
