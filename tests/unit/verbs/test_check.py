"""What the verb check takes, refuses and leaves alone."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

import placenorm as pn
from placenorm.errors import DataError, ModelError, StoreError, UsageError
from placenorm.randomness import random_states
from support.networks import ALL, IMAGES, ModuleNet


def hooks_of(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("net", ALL.values(), ids=ALL.keys())
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluating"])
def test_check_leaves_the_model_as_it_was(net: type[nn.Module], training: bool) -> None:
    model = net().train(training)
    state = copy.deepcopy(model.state_dict())
    modes = {path: module.training for path, module in model.named_modules()}
    momenta = [getattr(module, "momentum", None) for module in model.modules()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    random = random_states()
    pn.check(model, IMAGES, [IMAGES, IMAGES.flip(0)], optimizer)
    assert random_states() == random
    assert {path: module.training for path, module in model.named_modules()} == modes
    assert [getattr(module, "momentum", None) for module in model.modules()] == momenta
    assert hooks_of(model) == 0
    assert all(parameter.grad is None for parameter in model.parameters())
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


class Raises(ModuleNet):
    """It raises in the middle of its second batch of data, behind its first norm."""

    def __init__(self) -> None:
        super().__init__()
        self.big = False

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        if not x.is_meta and float(x.abs().max()) > 1e6:
            raise RuntimeError("cable on fire")
        return self.head(x)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([IMAGES, torch.zeros(4, 2, 8, 8)], "ModuleNet does not run on batch 2 of the data"),
        ([], "There is no batch in the data"),
        (iter([]), "There is no sample in the data"),
        ([IMAGES[:0]], "There is no sample in the data"),
        (3, "Cannot take batches from a int"),
    ],
    ids=["shape", "empty", "exhausted", "no sample", "number"],
)
def test_check_wrong_data_are_one_sentence_and_leave_no_hook(data: object, words: str) -> None:
    model = ModuleNet()
    with pytest.raises(DataError) as raised:
        pn.check(model, IMAGES, data)
    assert words in str(raised.value)
    assert hooks_of(model) == 0


def test_check_model_that_raises_in_the_middle_is_left_as_it_was() -> None:
    model = Raises()
    with torch.no_grad():
        model.features[5].weight.fill_(1e9)
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(DataError, match="Raises does not run on batch 1 of the data: cable on fire"):
        pn.check(model, IMAGES / 1e12, [IMAGES])
    assert hooks_of(model) == 0
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_check_one_batch_and_not_a_number_are_findings() -> None:
    model = ModuleNet()
    codes = {finding.code for finding in pn.check(model, IMAGES, torch.full_like(IMAGES, torch.nan))}
    assert "BN213" in codes
    assert "BN213" not in {finding.code for finding in pn.check(model, IMAGES, IMAGES)}


@pytest.fixture
def process_group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_check_looks_inside_a_wrapper_for_several_devices() -> None:
    model = ModuleNet()
    plain = [(finding.code, finding.sites) for finding in pn.check(model, IMAGES)]
    found = pn.check(nn.parallel.DistributedDataParallel(model), IMAGES)
    assert [(finding.code, finding.sites) for finding in found if finding.code != "BN304"] == plain
    assert [finding.text for finding in found if finding.code == "BN304"] == [
        "In DistributedDataParallel each device normalises by its own part of the batch in 2 norms "
        "(features.1, features.5)."
    ]


def test_check_compiled_model_is_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"give its \._orig_mod"):
        pn.check(torch.compile(ModuleNet(), backend="eager"), IMAGES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"optimizer": nn.Linear(1, 1)}, "Cannot look into a Linear: give the torch optimizer of the model."),
        ({"select": ["BN9"]}, "Unknown rule 'BN9'"),
        ({"ignore": ["norm-twise"]}, "did you mean norm-twice?"),
    ],
    ids=["optimizer", "family", "name"],
)
def test_check_wrong_arguments_are_one_sentence(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        pn.check(ModuleNet(), IMAGES, **arguments)
    assert words in str(raised.value)


def test_check_writes_its_facts_and_its_table(tmp_path: Path) -> None:
    found = pn.check(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)), torch.zeros(2, 4), name="mine")
    assert len(found) == len(found.findings)
    assert found[0] is found.findings[0]
    assert json.loads(found.report(tmp_path / "found.json").read_text())["fact"]["model"] == "mine"
    assert found.report(tmp_path / "found.txt").read_text() == str(found)
    with pytest.raises(UsageError, match=r"name a file that ends in \.html, \.json or \.txt"):
        found.report(tmp_path / "found.pdf")
    assert found.write_fixes(tmp_path / "fix.json") == tmp_path / "fix.json"
    with pytest.raises(StoreError, match="Cannot write"):
        found.write_fixes(tmp_path / "nowhere" / "fix.json")
    assert pn.check(ModuleNet(), IMAGES).write_fixes(tmp_path / "none.json") is None


def test_check_evidence_is_finite_numbers() -> None:
    """JSON has no infinities: whatever a rule saw can be written."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    with torch.no_grad():
        model[1].running_var.fill_(torch.inf)
        model[1].running_mean.fill_(torch.nan)
        model[1].num_batches_tracked.fill_(3)
    found = pn.check(model, torch.zeros(2, 4), [torch.rand(64, 4)])
    assert found.findings[0].code == "BN201"
    assert json.loads(json.dumps([dict(each.evidence) for each in found], allow_nan=False))
