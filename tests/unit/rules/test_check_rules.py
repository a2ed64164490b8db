"""Every rule of check: cases that fire, near misses that stay silent, and safe fixes that keep what is computed."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import placenorm as pn
from placenorm.errors import DataError, UsageError
from placenorm.facts.finding import Finding
from placenorm.rules.checking import CHECK_RULES

MAPS = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))


@dataclass(frozen=True)
class Case:
    """A network, what it is called with, and what else check is given."""

    make: Callable[[], nn.Module]
    example: Tensor = MAPS
    given: Callable[[nn.Module], dict[str, Any]] = field(default=lambda model: {})

    def find(self, code: str) -> tuple[Finding, ...]:
        torch.manual_seed(0)
        model = self.make()
        state = copy.deepcopy(model.state_dict())
        found = pn.check(model, self.example, select=[code], **self.given(model)).findings
        for key, value in model.state_dict().items():
            assert torch.equal(value, state[key]) or not value.isfinite().all(), key
        return found


def chain(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: copy.deepcopy(nn.Sequential(*layers))


def conv(channels: int = 3, width: int = 4, *, bias: bool = False, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(channels, width, size, padding=size // 2, bias=bias)


def norm(width: int = 4, **settings: Any) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, **settings)


class Residual(nn.Module):
    """Blocks of conv, norm and ReLU with an addition; where norms stand is a matter of the kind."""

    def __init__(self, kind: str, blocks: int = 2, convs: int = 1) -> None:
        super().__init__()
        self.kind = kind
        self.stem = conv()
        self.branches = nn.ModuleList(
            nn.Sequential(*(layer for _ in range(convs) for layer in (conv(4, 4), nn.ReLU()))) for _ in range(blocks)
        )
        self.norms = nn.ModuleList(norm() for _ in range(blocks))
        self.last = nn.ModuleList(norm() for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for branch, each, last in zip(self.branches, self.norms, self.last, strict=True):
            if self.kind == "trunk":
                x = each(x + branch(x))
            elif self.kind == "branch":
                x = x + each(branch(x))
            elif self.kind == "pre":
                x = x + branch(each(x))
            elif self.kind == "shortcut":
                x = each(x) + branch(x)
            else:
                x = torch.relu(x + last(branch[0](torch.relu(each(branch[0](x))))))
        return x.mean((2, 3))


class Twice(nn.Module):
    """One norm for two inputs, or one for each."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.left, self.right = conv(), conv()
        self.first = norm()
        self.second = self.first if shared else norm()

    def forward(self, x: Tensor) -> Tensor:
        return (self.first(self.left(x)) * self.second(self.right(x))).mean((2, 3))


class Positions(nn.Module):
    """A linear layer on [N, L, C], and a norm on its positions or on its features."""

    def __init__(self, turned: bool) -> None:
        super().__init__()
        self.turned = turned
        self.linear, self.norm, self.head = nn.Linear(6, 5), nn.BatchNorm1d(5 if turned else 6), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        x = self.norm(x.transpose(1, 2)).transpose(1, 2) if self.turned else self.norm(x)
        return self.head(x.mean(1))


class Twofold(nn.Module):
    """A conv runs in front of a norm, and once more without one: its bias counts there."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = conv(bias=True), norm(), conv(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))) + torch.relu(self.conv(2 * x)))


class Constants(nn.Module):
    """A norm called as a function subtracts what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = conv(bias=True), conv(4, 2)
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("var", torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(nn.functional.batch_norm(self.conv(x), self.mean, self.var, training=False)))


class GemPool(nn.Module):
    """A pool with one exponent for each channel, by the name that dropouts give to theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((4, 1, 1), 3.0))

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=1e-6).pow(self.p)


MANY = torch.randn(4096, 4, generator=torch.Generator().manual_seed(5))
SEQUENCES = torch.randn(4, 6, 6, generator=torch.Generator().manual_seed(2))


def changed(make: Callable[[], nn.Module], change: Callable[[Any], object]) -> Callable[[], nn.Module]:
    """Return a maker of the network with something about it changed."""

    def made() -> nn.Module:
        model = make()
        with torch.no_grad():
            change(model)
        return model

    return made


def trained(make: Callable[[], nn.Module], data: Tensor, steps: int = 200) -> Callable[[], nn.Module]:
    """Return a maker of the network with running statistics as so many batches leave them."""

    def run(model: nn.Module) -> None:
        for _ in range(steps):
            model(data)

    return changed(make, run)


NET = chain(conv(), norm(), nn.ReLU(), conv(4, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
ROW_NET = chain(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
DATA = {"data": [ROWS[:32], ROWS[32:]]}


def on(data: object) -> Callable[[nn.Module], dict[str, Any]]:
    return lambda model: {"data": data}


def by(decay: float, skip: bool = False) -> Callable[[nn.Module], dict[str, Any]]:
    """Return an optimizer of a model with some weight decay, for all parameters or for those of more than one axis."""

    def given(model: nn.Module) -> dict[str, Any]:
        wide = [p for p in model.parameters() if p.dim() > 1]
        rest = [p for p in model.parameters() if p.dim() <= 1]
        groups = [{"params": wide, "weight_decay": decay}]
        groups += [{"params": rest, "weight_decay": 0.0 if skip else decay}]
        return {"optimizer": torch.optim.SGD(groups, lr=0.1)}

    return given


def frozen(model: Any) -> None:
    for parameter in model[1].parameters():
        parameter.requires_grad_(False)


FIRES: dict[str, dict[str, Case]] = {
    "BN101": {
        "conv": Case(chain(conv(bias=True), norm(), nn.ReLU())),
        "linear": Case(ROW_NET, ROWS),
        "through a reshape": Case(chain(nn.Flatten(), nn.Linear(108, 4), nn.Identity(), nn.BatchNorm1d(4), nn.ReLU())),
    },
    "BN102": {
        "in front of the weight op": Case(chain(conv(), nn.ReLU(), nn.Dropout2d(0.3), conv(4), norm(), nn.ReLU())),
        "in the block": Case(chain(conv(), nn.Dropout(0.2), norm(), nn.ReLU())),
    },
    "BN103": {"deep": Case(lambda: Residual("trunk", 3, 18)), "shallow": Case(lambda: Residual("trunk"))},
    "BN104": {"two": Case(chain(conv(), norm(), norm(), nn.ReLU()))},
    "BN105": {
        "logits": Case(chain(nn.Linear(4, 3), nn.BatchNorm1d(3)), ROWS),
        "softmax": Case(chain(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Softmax(1)), ROWS),
        "without statistics": Case(chain(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)), ROWS),
    },
    "BN106": {"pooled": Case(chain(conv(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), conv(4, size=1), norm(), nn.ReLU()))},
    "BN107": {"ReLU": Case(chain(conv(), norm(affine=False), nn.ReLU(), conv(4)))},
    "BN108": {"positions": Case(lambda: Positions(turned=False), SEQUENCES)},
    "BN109": {"shared": Case(lambda: Twice(shared=True))},
    "BN110": {"shortcut": Case(lambda: Residual("shortcut"))},
    "BN111": {"behind ReLU": Case(chain(conv(), nn.ReLU(), norm(), conv(4)))},
    "BN112": {"tanh": Case(chain(conv(), norm(), nn.Tanh(), conv(4)))},
    "BN113": {"ReLU": Case(chain(conv(), norm(), nn.ReLU(), conv(4)))},
    "BN114": {"fresh": Case(lambda: Residual("branch"))},
    "BN201": {
        "nan": Case(changed(NET, lambda model: model[1].weight.fill_(torch.nan))),
        "negative": Case(changed(NET, lambda model: model[1].running_var.fill_(-1.0))),
    },
    "BN202": {
        "head": Case(
            changed(
                chain(conv(), norm(), nn.ReLU(), conv(4), norm()), lambda model: model[1].num_batches_tracked.fill_(9)
            )
        )
    },
    "BN203": {
        "keras": Case(chain(conv(), norm(momentum=0.99), nn.ReLU())),
        "one": Case(chain(conv(), norm(momentum=1.0), nn.ReLU())),
    },
    "BN204": {"slow": Case(trained(chain(conv(), norm(momentum=0.001), nn.ReLU()), MAPS, 100))},
    "BN205": {
        "dead": Case(
            trained(changed(chain(conv(), nn.ReLU(), norm()), lambda model: model[0].weight[:1].zero_()), MAPS, 300)
        )
    },
    "BN206": {"off": Case(chain(conv(), norm(track_running_stats=False), nn.ReLU()))},
    "BN207": {"frozen": Case(changed(NET, frozen))},
    "BN208": {"left": Case(changed(NET, lambda model: (model.eval(), model[1].train())))},
    "BN209": {"small": Case(trained(chain(conv(), norm(eps=10.0), nn.ReLU()), MAPS))},
    "BN210": {
        "one": Case(ROW_NET, ROWS, on([ROWS[:32], ROWS[:1]])),
        "two": Case(ROW_NET, ROWS, on([ROWS[:2]])),
        "few": Case(ROW_NET, ROWS, on([ROWS[:16]])),
    },
    "BN211": {
        "shifted": Case(trained(ROW_NET, ROWS), ROWS, on([ROWS + 2.0])),
        "wider": Case(trained(ROW_NET, ROWS), ROWS, on([5 * ROWS])),
        "not counted": Case(
            changed(trained(ROW_NET, ROWS), lambda model: model[1].num_batches_tracked.zero_()), ROWS, on([ROWS + 2.0])
        ),
    },
    "BN212": {
        "dead": Case(
            changed(chain(nn.Linear(4, 8), nn.ReLU(), nn.BatchNorm1d(8)), lambda model: model[0].weight[0].zero_()),
            ROWS,
            on([ROWS]),
        )
    },
    "BN213": {"nan": Case(ROW_NET, ROWS, on([ROWS, torch.full_like(ROWS, torch.nan)]))},
    "BN301": {"half": Case(changed(NET, lambda model: model.bfloat16()), MAPS.bfloat16())},
    "BN302": {"all": Case(NET, MAPS, by(1e-4))},
    "BN303": {
        "forgotten": Case(
            NET, MAPS, lambda model: {"optimizer": torch.optim.SGD(model.get_submodule("0").parameters(), lr=0.1)}
        )
    },
    "BN304": {"wrapped": Case(lambda: nn.DataParallel(NET()))},
}
"""By code and by what is wrong."""

SILENT: dict[str, dict[str, Case]] = {
    "BN101": {
        "no bias": Case(chain(conv(), norm(), nn.ReLU())),
        "an activation between": Case(chain(conv(bias=True), nn.ReLU(), norm())),
        "read by another too": Case(lambda: Residual("pre")),
        "frozen": Case(changed(chain(conv(bias=True), norm(), nn.ReLU()), lambda model: (model[1].eval(), None))),
        "dropout between": Case(chain(conv(bias=True), nn.Dropout(0.1), norm())),
        "features become places": Case(
            chain(nn.Linear(4, 16), nn.Unflatten(1, (4, 2, 2)), norm(), nn.ReLU(), conv(4, 2)), ROWS
        ),
        "another call has no norm": Case(Twofold),
        "a function subtracts constants": Case(Constants),
    },
    "BN102": {
        "behind the last norm": Case(chain(conv(), norm(), nn.ReLU(), nn.Dropout(0.3), conv(4))),
        "the dropout of another place": Case(
            chain(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)), ROWS
        ),
        "a pool with a p of its own": Case(lambda: nn.Sequential(conv(), norm(), GemPool(), conv(4, 2))),
        "drops nothing": Case(chain(conv(), nn.ReLU(), nn.Dropout2d(0.0), conv(4), norm(), nn.ReLU())),
    },
    "BN103": {
        "on the branch": Case(lambda: Residual("branch")),
        "opens a branch": Case(lambda: Residual("pre")),
        "behind the last addition": Case(lambda: Residual("trunk", 1)),
    },
    "BN104": {
        "a conv between": Case(chain(conv(), norm(), conv(4), norm(), nn.ReLU())),
        "other axes": Case(
            chain(nn.Linear(4, 12), nn.BatchNorm1d(12), nn.Unflatten(1, (3, 4)), nn.BatchNorm1d(3), nn.Flatten()), ROWS
        ),
    },
    "BN105": {
        "a weight op follows": Case(ROW_NET, ROWS),
        "a ReLU follows": Case(chain(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU()), ROWS),
    },
    "BN106": {"places": Case(NET), "features": Case(ROW_NET, ROWS)},
    "BN107": {
        "affine": Case(NET),
        "no threshold": Case(chain(conv(), norm(affine=False), conv(4))),
    },
    "BN108": {"turned": Case(lambda: Positions(turned=True), SEQUENCES), "rows": Case(ROW_NET, ROWS)},
    "BN109": {"two norms": Case(lambda: Twice(shared=False))},
    "BN110": {"on the branch": Case(lambda: Residual("branch")), "opens a branch": Case(lambda: Residual("pre"))},
    "BN111": {"straight behind": Case(NET)},
    "BN112": {
        "ReLU": Case(NET),
        "behind tanh": Case(chain(conv(), nn.Tanh(), norm(), conv(4))),
    },
    "BN113": {
        "tanh": Case(chain(conv(), norm(), nn.Tanh(), conv(4))),
        "without gamma": Case(chain(conv(), norm(affine=False), nn.ReLU(), conv(4))),
    },
    "BN114": {
        "zero": Case(changed(lambda: Residual("branch"), lambda m: [n.weight.zero_() for n in m.norms])),
        "trained": Case(changed(lambda: Residual("branch"), lambda m: [n.running_mean.fill_(0.5) for n in m.norms])),
    },
    "BN201": {"fresh": Case(NET), "trained": Case(trained(NET, MAPS))},
    "BN202": {
        "none trained": Case(NET),
        "all trained": Case(trained(NET, MAPS)),
        "set by hand": Case(
            changed(
                chain(conv(), norm(), nn.ReLU(), conv(4), norm()),
                lambda model: (model[1].num_batches_tracked.fill_(9), model[4].running_mean.fill_(0.1)),
            )
        ),
    },
    "BN203": {"usual": Case(NET), "average": Case(chain(conv(), norm(momentum=None), nn.ReLU()))},
    "BN204": {
        "enough": Case(trained(NET, MAPS, 60)),
        "not trained": Case(chain(conv(), norm(momentum=0.001), nn.ReLU())),
        "average": Case(trained(chain(conv(), norm(momentum=None), nn.ReLU()), MAPS, 2)),
        "measured": Case(changed(trained(NET, MAPS, 3), lambda model: pn.recalibrate_(model, MAPS))),
    },
    "BN205": {"alive": Case(trained(NET, MAPS, 300))},
    "BN206": {"tracks": Case(NET)},
    "BN207": {
        "evaluates": Case(changed(NET, lambda model: (frozen(model), model[1].eval()))),
        "learns": Case(NET),
        "whole network evaluates": Case(changed(NET, lambda model: (frozen(model), model.eval()))),
    },
    "BN208": {"trains": Case(NET), "evaluates": Case(changed(NET, lambda model: model.eval()))},
    "BN209": {"usual": Case(trained(NET, MAPS)), "not trained": Case(chain(conv(), norm(eps=10.0), nn.ReLU()))},
    "BN210": {"enough": Case(ROW_NET, ROWS, on([ROWS[:32], ROWS[32:]])), "maps": Case(NET, MAPS, on([MAPS[:1]]))},
    "BN211": {
        "the same": Case(trained(ROW_NET, ROWS), ROWS, on([ROWS])),
        "not trained": Case(ROW_NET, ROWS, on([ROWS + 2.0])),
        "few samples": Case(trained(ROW_NET, MANY), MANY, on([MANY[:3]])),
        "one image": Case(trained(NET, MAPS), MAPS, on([MAPS[:1]])),
        "without statistics": Case(
            chain(nn.Linear(4, 8), nn.BatchNorm1d(8, track_running_stats=False)), ROWS, on([ROWS + 2.0])
        ),
    },
    "BN212": {"alive": Case(ROW_NET, ROWS, on([ROWS]))},
    "BN213": {"numbers": Case(ROW_NET, ROWS, on([ROWS]))},
    "BN301": {"float32": Case(NET), "float64": Case(changed(NET, lambda model: model.double()), MAPS.double())},
    "BN302": {
        "without": Case(NET, MAPS, by(0.0)),
        "weights alone": Case(NET, MAPS, by(1e-4, skip=True)),
        "frozen": Case(changed(NET, frozen), MAPS, by(1e-4)),
    },
    "BN303": {"all": Case(NET, MAPS, by(0.0)), "frozen": Case(changed(NET, frozen), MAPS, by(0.0))},
    "BN304": {"one device": Case(NET)},
}


def cases(table: dict[str, dict[str, Case]]) -> list[Any]:
    return [pytest.param(code, case, id=f"{code}-{name}") for code, row in table.items() for name, case in row.items()]


def test_every_rule_has_cases() -> None:
    codes = [rule.code for rule in CHECK_RULES]
    assert len(set(codes)) == len(codes) == len({rule.name for rule in CHECK_RULES})
    assert list(FIRES) == codes == list(SILENT)


@pytest.mark.parametrize(("code", "case"), cases(FIRES))
def test_rule_fires(code: str, case: Case) -> None:
    found = case.find(code)
    assert {finding.code for finding in found} == {code}
    for finding in found:
        assert finding.text.endswith(".")
        assert finding.fix is None or finding.fix.text.endswith(".")


@pytest.mark.parametrize(("code", "case"), cases(SILENT))
def test_rule_is_silent(code: str, case: Case) -> None:
    assert case.find(code) == ()


@pytest.mark.parametrize(("code", "case"), cases(FIRES))
def test_safe_fix_silences_and_keeps_what_is_computed(code: str, case: Case) -> None:
    """Fixed with `preserve`, the rule is silent and the network evaluates to the same."""
    torch.manual_seed(0)
    model = case.make()
    found = pn.check(model, case.example, select=[code], **case.given(model))
    if not found.placement:
        assert not any(finding.fix is not None and finding.fix.exact for finding in found)
        return
    placed = pn.place(model, case.example, found.placement, preserve=case.example)
    assert placed.max_error is not None
    assert placed.max_error < 1e-12
    assert pn.check(placed.model, case.example, select=[code]).findings == ()


def test_some_fix_is_safe() -> None:
    assert FIRES["BN105"]["logits"].find("BN105")[0].fix is not None
    assert pn.check(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), ROWS).placement == {"0": "none"}


# -- severity, sites and reasons


def test_norm_after_addition_is_a_warning_in_deep_networks_only() -> None:
    assert {each.severity for each in FIRES["BN103"]["deep"].find("BN103")} == {"warning"}
    assert {each.severity for each in FIRES["BN103"]["shallow"].find("BN103")} == {"info"}


def test_few_values_are_an_error_where_training_raises_or_tells_nothing() -> None:
    severities = {name: case.find("BN210")[0].severity for name, case in FIRES["BN210"].items()}
    assert severities == {"one": "error", "two": "error", "few": "warning"}


def test_misfit_names_the_norm_whose_statistics_are_off_and_no_other() -> None:
    """The norms normalise by their batches, so one with statistics of other data does not put off those behind it."""
    deep = [layer for _ in range(3) for layer in (nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU())]
    model = trained(chain(*deep, nn.Linear(4, 2)), ROWS)()
    assert pn.check(model, ROWS, [ROWS], select=["BN211"]).findings == ()
    with torch.no_grad():
        model.get_submodule("4").running_mean.add_(3.0)
    assert [each.sites for each in pn.check(model, ROWS, [ROWS], select=["BN211"])] == [("4",)]


@pytest.mark.parametrize(
    ("make", "data", "reason"),
    [
        (trained(chain(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=0.001)), ROWS, 5), [ROWS + 3.0], "5 batches only"),
        (trained(chain(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=0.95)), ROWS), [ROWS + 3.0], "those of the last"),
        (trained(ROW_NET, ROWS), [ROWS[:8] + 3.0], "with 8 values per channel in a batch they are noise"),
        (trained(ROW_NET, ROWS), [ROWS + 3.0], "they are from other data, or from other weights"),
    ],
    ids=["few batches", "fast momentum", "small batch", "other data"],
)
def test_misfit_says_the_likeliest_reason(make: Callable[[], nn.Module], data: list[Tensor], reason: str) -> None:
    found = pn.check(make(), ROWS, data, select=["BN211"])
    assert len(found) == 1
    assert reason in found[0].text


def test_no_numbers_names_the_first_norm() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4))
    bad = ROWS.clone()
    bad[0, 0] = torch.inf
    assert [each.sites for each in pn.check(model, ROWS, [bad], select=["BN213"])] == [("1",)]


def test_small_dropout_in_front_of_a_norm_is_information() -> None:
    """Another dropout, behind the last norm, has no say in it."""
    layers = nn.Linear(4, 8), nn.Dropout(0.02), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)
    (found,) = pn.check(nn.Sequential(*layers), ROWS, select=["BN102"])
    assert (found.severity, found.evidence) == ("info", {"share dropped": 0.02})


def test_norm_called_as_a_function_is_named_as_not_looked_at() -> None:
    found = pn.check(Constants(), MAPS)
    assert ":batch_norm_1" in {unseen.where for unseen in found.check.unseen}
    assert "a norm called as a function" in found.table()


def test_batch_of_another_shape_is_an_error_behind_a_batch_of_one() -> None:
    with pytest.raises(DataError, match="does not run on batch 2 of the data"):
        pn.check(ROW_NET(), ROWS, [ROWS[:1], torch.zeros(32, 5)])


def test_rules_may_be_named_by_one_word() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    assert {finding.code for finding in pn.check(model, ROWS, select="BN105")} == {"BN105"}
    with pytest.raises(UsageError, match="The rule BN401 is one of training"):
        pn.check(model, ROWS, select=["BN401"])
