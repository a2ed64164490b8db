"""Every rule: a small network that it fires on, one on which it stays silent, and its page."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import placenorm as pn
from placenorm.facts.placement import Policy
from placenorm.graph.placements import plan_edits
from placenorm.rules import evidence
from placenorm.rules.depth import LEAST_DEPTH, count_depth
from placenorm.rules.engine import RULES, find_all
from placenorm.rules.layout import Layout
from placenorm.rules.rule import Rule
from support.rule_pages import SECTIONS

EVIDENCE = Path(__file__).parents[3] / "docs" / "evidence.md"


class Residual(nn.Module):
    """A branch that ends at an addition, with the norm before or after the activation in front."""

    def __init__(self, norm_first: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4) if norm_first else nn.Identity()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.conv(torch.relu(self.norm(x)))
        return self.head(torch.relu(x))


class Branch(nn.Module):
    """A branch with an activation of its own, added to what it came from."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.second(torch.relu(self.first(x))))


def convs(activation: type[nn.Module] = nn.ReLU, pool: int = 1, more: int = 0) -> nn.Module:
    """Return convs with an activation, and a pool behind the first."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        activation(),
        *([nn.MaxPool2d(pool)] if pool > 1 else []),
        *(layer for _ in range(more) for layer in (nn.Conv2d(4, 4, 1), activation())),
        nn.Conv2d(4, 2, 1),
    )


def dropped(place: int, p: float = 0.5) -> nn.Module:
    layers = [nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)]
    layers.insert(place, nn.Dropout(p))
    return nn.Sequential(nn.Flatten(), *layers)


@dataclass(frozen=True, slots=True)
class Case:
    fires: Callable[[], nn.Module]
    policy: Policy
    sites: tuple[str, ...]
    silent: Callable[[], nn.Module]
    silent_policy: Policy
    size: int = 8

    def look(self, model: Callable[[], nn.Module], policy: Policy) -> Layout:
        return look(model(), policy, self.size)


CASES = {
    "shallow-network": Case(convs, "as-is", (), lambda: convs(more=4), "as-is"),
    "disputed-order": Case(convs, "after-activation", ("0",), lambda: convs(nn.Tanh), "after-activation"),
    "residual-order": Case(Branch, "after-activation", ("first",), Branch, "before-activation"),
    "missing-norm": Case(lambda: convs(more=1), "before-activation", ("0", "2"), lambda: convs(more=1), "as-is"),
    "norm-behind-pool": Case(lambda: convs(pool=2), "after-pool", ("0",), lambda: convs(pool=2), "after-activation"),
    "few-values": Case(lambda: convs(pool=2), "after-pool", ("0",), lambda: convs(pool=2), "after-activation", size=4),
    "dropout-before-norm": Case(lambda: dropped(2), "after-pool", ("4",), lambda: dropped(4), "after-pool", size=2),
    "dead-units": Case(convs, "after-activation", ("0",), lambda: convs(nn.SiLU), "after-activation"),
    "moved-pre-activation": Case(
        lambda: Residual(norm_first=True), "after-activation", ("stem->:relu_1",), Residual, "after-activation"
    ),
    "unfoldable-norm": Case(convs, "after-activation", ("0",), convs, "before-activation"),
    "bounded-activation": Case(lambda: convs(nn.Tanh), "after-activation", ("0",), convs, "after-activation"),
    "norm-on-branch": Case(Residual, "after-activation", ("conv",), Residual, "none"),
}


def look(model: nn.Module, policy: Policy, size: int = 8) -> Layout:
    graph = pn.trace(model, torch.zeros(2, 3, size, size))
    return Layout(graph, plan_edits(graph, policy).placement)


PLACES = {2: ("4",), 3: ("3",), 4: (), 5: ()}
"""Where the dropout stands, and which blocks have it in front of their norm."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_fires_where_it_should_and_names_the_sites(rule: Rule) -> None:
    case = CASES[rule.name]
    found = list(rule.find(case.look(case.fires, case.policy)))
    assert [finding.sites for finding in found] == [case.sites]
    assert {finding.rule for finding in found} == {rule.name}
    assert found[0].text.endswith(".")
    assert found[0].figures


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_is_silent_where_it_should_be(rule: Rule) -> None:
    case = CASES[rule.name]
    assert list(rule.find(case.look(case.silent, case.silent_policy))) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_has_a_page_with_all_sections(rule: Rule) -> None:
    page = rule.look.__doc__ or ""
    places = [page.find(f"\n    {section}:\n") for section in SECTIONS]
    assert -1 not in places
    assert places == sorted(places)


def test_rules_have_names_of_their_own_that_read_after_allow() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names) == len(CASES)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


def test_find_all_keeps_the_order_of_the_rules() -> None:
    found = [finding.rule for finding in find_all(look(convs(pool=2), "after-pool"))]
    order = [rule.name for rule in RULES]
    assert found == sorted(found, key=order.index)
    assert {"disputed-order", "norm-behind-pool", "unfoldable-norm"} <= set(found)


def test_few_values_says_how_many_there_are() -> None:
    (finding,) = (each for each in find_all(look(convs(pool=2), "after-pool", 4)) if each.rule == "few-values")
    assert "0 has 4 places left, so it takes a batch of 8 to have 32" in finding.text


def test_missing_norm_is_about_convolutions() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2))
    assert "missing-norm" not in {each.rule for each in find_all(look(linear, "before-activation", 2))}


def test_residual_order_needs_an_addition() -> None:
    assert "residual-order" not in {each.rule for each in find_all(look(convs(more=1), "after-activation"))}


@pytest.mark.parametrize("place", [2, 3, 4, 5], ids=lambda place: f"dropout at {place}")
def test_dropout_before_norm_looks_only_at_what_stands_in_front(place: int) -> None:
    found = {each.rule: each.sites for each in find_all(look(dropped(place), "after-pool", 2))}
    assert found.get("dropout-before-norm", ()) == PLACES[place]


@pytest.mark.parametrize("more", range(7), ids=lambda more: f"{more + 2} weight ops")
def test_count_depth_counts_weight_ops_and_the_threshold_decides(more: int) -> None:
    layout = look(convs(more=more), "as-is")
    assert count_depth(layout.graph) == more + 2
    shallow = any(finding.rule == "shallow-network" for finding in find_all(layout))
    assert shallow == (more + 2 < LEAST_DEPTH)


def test_count_depth_takes_the_longest_path() -> None:
    assert count_depth(pn.trace(Residual(), torch.zeros(2, 3, 8, 8))) == 3


@pytest.mark.parametrize("figure", evidence.ALL, ids=lambda figure: figure.source)
def test_figures_have_a_number_or_a_result_a_setting_and_a_source(figure: evidence.Figure) -> None:
    assert figure.text
    assert figure.setting
    assert figure.source
    assert figure.url.startswith("https://") or figure.mark == "own measurement"


@pytest.mark.parametrize(
    ("figure", "numbers"),
    [
        (evidence.CAFFENET_AFTER, ("0.493", "0.478", "0.471")),
        (evidence.GOOGLENET_AFTER, ("0.596", "0.603", "0.619")),
        (evidence.NIN_AFTER, ("86.2", "85.8", "80.2")),
        (evidence.CAFFENET_TANH, ("0.448", "0.401")),
        (evidence.INCEPTION_STEPS, ("31.0 million", "13.3 million", "2.1 million")),
        (evidence.HE_PRE_ACTIVATION, ("6.37", "6.61", "6.71")),
        (evidence.LI_DROPOUT, ("77.42", "68.55")),
        (evidence.PAGE_POOL, ("94.0 %", "94.1 %")),
    ],
    ids=["CaffeNet", "GoogLeNet", "NiN", "TanH", "Inception", "pre-activation", "dropout", "pool"],
)
def test_figures_are_those_of_the_evidence_page(figure: evidence.Figure, numbers: tuple[str, ...]) -> None:
    page = EVIDENCE.read_text(encoding="utf-8")
    for number in numbers:
        assert number in figure.text
        assert number in page
