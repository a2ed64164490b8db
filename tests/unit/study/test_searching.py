"""A search per block on worlds whose truth is known."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from placenorm.errors import UsageError
from placenorm.facts.placement import Position
from placenorm.facts.search import PREFIX, SEARCHED
from placenorm.facts.trial import Failure, make_failed_trial
from placenorm.graph.tracing import trace_model
from placenorm.study.search_space import find_terrain
from placenorm.study.searching import FIRST_SEED, SearchAgenda, SearchPlan, conclude_search
from support.networks import ResidualNet
from support.searches import BLOCKS, Chain, make_search_plan, run_search, run_trial

MATTERING = "2"


def one_matters(placement: Mapping[str, Position]) -> float:
    """The second block wants its norm after the activation, and the first one none: no named policy has both."""
    return 0.8 + 0.05 * (placement["2"] == "after-activation") + 0.03 * (placement["0"] == "none")


def none_matters(placement: Mapping[str, Position]) -> float:
    return 0.9


@pytest.fixture
def plan(tmp_path: Path) -> SearchPlan:
    return make_search_plan(tmp_path)


def test_search_finds_the_block_that_matters(plan: SearchPlan) -> None:
    results = run_search(plan, one_matters, 0.002)
    search = conclude_search(plan, results)
    assert search is not None
    assert search.found == SEARCHED
    assert (search.placement["0"], search.placement["2"]) == ("none", "after-activation")
    assert search.metric == pytest.approx(0.88, abs=0.01)
    assert search.policy_metric == pytest.approx(0.85, abs=0.01)
    words = {block.blocks[0]: block.word for block in search.blocks}
    assert words["2"] == "matters"
    assert len(results) == search.trials <= plan.trials


def test_search_takes_the_cheaper_of_what_the_margin_cannot_tell_apart(tmp_path: Path) -> None:
    plan = make_search_plan(tmp_path, margin=0.02)
    search = conclude_search(plan, run_search(plan, lambda placement: 0.8 + 0.05 * (placement["2"] != "none"), 0.001))
    assert search is not None
    assert search.placement["2"] != "none"
    assert {search.placement[block] for block in BLOCKS if block != "2"} == {"none"}


def test_search_where_no_block_matters_says_so_and_takes_the_cheapest(tmp_path: Path) -> None:
    plan = make_search_plan(tmp_path, trials=200, margin=0.02)
    search = conclude_search(plan, run_search(plan, none_matters, 0.003))
    assert search is not None
    assert {block.word for block in search.blocks} == {"does not matter"}
    assert search.found == "none"


def test_search_for_an_error_goes_down(tmp_path: Path) -> None:
    plan = make_search_plan(tmp_path)
    metric = replace(plan.head.metric, higher_is_better=False, quantum=0.0)
    plan = replace(plan, head=replace(plan.head, metric=metric))
    search = conclude_search(plan, run_search(plan, lambda placement: 1.0 - one_matters(placement), 0.001))
    assert search is not None
    assert (search.placement["0"], search.placement["2"]) == ("none", "after-activation")
    assert search.metric < search.policy_metric


@pytest.mark.parametrize("workers", [2, 5, 50], ids=str)
def test_workers_and_their_order_change_nothing(plan: SearchPlan, workers: int) -> None:
    alone = run_search(plan, one_matters, 0.01)
    assert run_search(plan, one_matters, 0.01, workers=workers) == alone
    assert conclude_search(plan, dict(reversed(alone.items()))) == conclude_search(plan, alone)


@pytest.mark.parametrize("stopped", [3, 17, 40, 70, 100], ids=str)
def test_search_that_was_stopped_goes_on_as_it_would_have(plan: SearchPlan, stopped: int) -> None:
    whole = run_search(plan, one_matters, 0.01)
    part = run_search(plan, one_matters, 0.01, workers=3, most=stopped)
    assert len(part) == stopped
    assert run_search(plan, one_matters, 0.01, results=part) == whole


@pytest.mark.parametrize("trials", [30, 60, 90], ids=str)
def test_search_takes_no_more_trials_than_it_may(tmp_path: Path, trials: int) -> None:
    plan = make_search_plan(tmp_path, trials=trials)
    results = run_search(plan, one_matters, 0.01, workers=4)
    named = sum(not key.variant.startswith(PREFIX) for key in results)
    assert len(results) <= max(trials, named)
    assert max(trials, named) - len(results) < plan.seeds


def test_search_tries_no_placement_twice_and_only_on_seeds_of_its_own(plan: SearchPlan) -> None:
    results = run_search(plan, one_matters, 0.01)
    assert {key.seed for key in results} == {FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2}
    codes = {key.variant for key in results if key.variant.startswith(PREFIX)}
    policies = {plan.terrain.space.name(each) for each in plan.policies.values() if each is not None}
    assert not codes & policies
    searched = [key for key in results if key.variant.startswith(PREFIX)]
    assert len(searched) == 3 * len(codes)
    assert all(plan.terrain.allows(plan.terrain.space.indices(code)) for code in codes)


def test_search_of_a_small_space_ends_when_all_was_tried(tmp_path: Path) -> None:
    plan = make_search_plan(
        tmp_path, trials=10_000, model=lambda: nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))
    )
    search = conclude_search(plan, run_search(plan, lambda placement: 0.5, 0.01))
    assert search is not None
    assert (search.size, search.tried, search.ending) == (3, 3, "all")


def test_search_says_whether_its_trials_or_its_budget_ended_it(plan: SearchPlan) -> None:
    whole, part = (run_search(plan, one_matters, 0.01, most=most) for most in (10_000, 60))
    endings = [
        None if found is None else found.ending for found in (conclude_search(plan, run) for run in (whole, part))
    ]
    assert endings == ["trials", "budget"]


def test_rates_are_those_of_the_best_named_policy(plan: SearchPlan) -> None:
    results = run_search(plan, one_matters, 0.0)
    assert {key.lr for key in results if key.variant.startswith(PREFIX)} == {0.1}


def test_failed_trial_makes_its_placement_the_last_one(plan: SearchPlan) -> None:
    results = run_search(plan, one_matters, 0.001)
    best = conclude_search(plan, results)
    assert best is not None
    code = plan.terrain.space.find(best.placement)
    assert code is not None
    failed = next(key for key in results if key.variant == code)
    broken = {**results, failed: make_failed_trial(failed, Failure("boom"))}
    agenda = SearchAgenda(plan, broken)
    while (order := agenda.take()) is not None:
        broken[order.key] = run_trial(plan, order.key, one_matters, 0.001)
        agenda.note(broken[order.key])
    other = conclude_search(plan, broken)
    assert other is not None
    assert plan.terrain.space.find(other.placement) != code


def test_search_without_its_named_policies_has_found_nothing(plan: SearchPlan) -> None:
    assert conclude_search(plan, run_search(plan, one_matters, most=5)) is None


# -- where from


def test_terrain_offers_what_each_block_has_sites_for() -> None:
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))
    )
    graph = trace_model(model, torch.zeros(2, 1, 8, 8))
    space = find_terrain(graph, lambda placement: ()).space
    assert [(choice.blocks, set(choice.positions)) for choice in space.choices] == [
        (("0",), {"before-activation", "after-activation", "after-pool", "after-pool-before-activation", "none"}),
        (("3",), {"before-activation", "after-activation", "none"}),
    ]
    assert space.size == 15
    code = space.name((4, 1))
    assert space.find(space.placement(code)) == code


def test_terrain_leaves_out_what_the_network_refuses() -> None:
    graph = trace_model(Chain(), torch.zeros(2, 6))

    def refuses(placement: Mapping[str, Position]) -> list[str]:
        return [key for key, position in placement.items() if key == "2" and position == "after-activation"]

    space = find_terrain(graph, refuses).space
    offered = {choice.blocks[0]: choice.positions for choice in space.choices}
    assert "after-activation" not in offered["2"]
    assert "after-activation" in offered["4"]


def test_terrain_without_a_choice_is_one_sentence() -> None:
    graph = trace_model(nn.Sequential(nn.Linear(6, 3)), torch.zeros(2, 6))
    with pytest.raises(UsageError, match="Cannot search per block: no block of this network has a choice"):
        find_terrain(graph, lambda placement: ())


def test_terrain_of_residual_blocks_is_allowed_block_by_block() -> None:
    terrain = find_terrain(trace_model(ResidualNet(), torch.randn(2, 1, 8, 8)), lambda placement: ())
    choices = terrain.space.choices
    assert len(choices) > 1
    start = terrain.space.find(terrain.graph.placement())
    assert start is not None
    for place, choice in enumerate(choices):
        for option in range(len(choice.positions)):
            indices = list(terrain.space.indices(start))
            indices[place] = option
            assert terrain.allows(tuple(indices))
            assert terrain.cost(tuple(indices)) >= 0
