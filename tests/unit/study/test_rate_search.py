"""The search for a learning rate: where it goes, when it ends, and that it never looks beyond its variant and seed."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.plan import plan_seed
from placenorm.study.rate_search import end_early, is_behind, plan_searches, search_rate
from placenorm.study.rates import MAX_STEPS
from support.results import make_trial

START = (0.01, 0.03, 0.09)
Loss = Callable[[float], float | None]


def give(loss: Loss, rate: float | None, variant: str = "none", seed: int = 0) -> TrialResult:
    found = loss(rate or 1.0)
    return make_trial(variant, seed, rate, val_loss=found, diverged_at=3 if found is None else None)


def walk(loss: Loss, start: tuple[float | None, ...] = START) -> tuple[list[float | None], TrialResult]:
    """The rates in the order in which they are tried, and the trial that is chosen."""
    results: dict[TrialKey, TrialResult] = {}
    while True:
        search = search_rate("none", 0, start, results)
        if search.next is None:
            assert search.chosen is not None
            return [key.lr for key in results], search.chosen
        results[search.next] = give(loss, search.next.lr)


def around(best: float) -> Loss:
    return lambda rate: (math.log(rate) - math.log(best)) ** 2


@pytest.mark.parametrize(
    ("loss", "tried"),
    [
        pytest.param(around(0.031), [0.03, 0.09, 0.01], id="middle"),
        pytest.param(around(0.085), [0.03, 0.09, 0.27], id="highest"),
        pytest.param(around(0.011), [0.03, 0.09, 0.01, 0.00333333], id="lowest"),
        pytest.param(around(0.9), [0.03, 0.09, 0.27, 0.81, 2.43], id="as-far-up-as-it-goes"),
        pytest.param(lambda rate: None, [0.03, 0.09, 0.01, 0.00333333, 0.00111111, 0.00037037], id="all-diverge"),
        pytest.param(lambda rate: None if rate > 0.05 else -rate, [0.03, 0.09, 0.01], id="above-diverges"),
    ],
)
def test_search_goes_to_the_neighbours_of_the_best(loss: Loss, tried: list[float]) -> None:
    assert walk(loss)[0] == pytest.approx(tried, rel=1e-4)


@pytest.mark.parametrize("start", [(0.1,), (None,)], ids=["one-rate", "own-loop"])
def test_single_rate_is_all_there_is_to_try(start: tuple[float | None, ...]) -> None:
    assert walk(around(0.03), start)[0] == list(start)


@given(st.floats(-9, 2), st.lists(st.sampled_from([0.001, 0.003, 0.01, 0.03, 0.1, 0.3]), min_size=2, unique=True))
def test_search_finds_what_the_whole_grid_finds_where_there_is_one_valley(place: float, rates: list[float]) -> None:
    loss, start = around(math.exp(place)), tuple(sorted(rates))
    finished: dict[TrialKey, TrialResult] = {}
    while missing := plan_seed(0, ["none"], start, finished).missing:
        finished |= {key: give(loss, key.lr) for key in missing}
    tried, chosen = walk(loss, start)
    assert chosen.key == plan_seed(0, ["none"], start, finished).chosen["none"].key
    assert len(tried) <= len(finished)
    assert len(tried) <= len(start) + MAX_STEPS + 1


@given(st.lists(st.floats(0.1, 2.0), min_size=9, max_size=9), st.lists(st.floats(0.1, 2.0), min_size=9, max_size=9))
def test_search_does_not_look_at_other_variants_and_seeds(own: list[float], others: list[float]) -> None:
    places = {rate: place for place, rate in enumerate((0.00037, 0.00111, 0.00333, 0.01, 0.03, 0.09, 0.27, 0.81, 2.43))}

    def loss(rate: float) -> float:
        return own[places[min(places, key=lambda known: abs(math.log(known / rate)))]]

    strange = {
        TrialKey(name, seed, rate): make_trial(name, seed, rate, val_loss=value)
        for name, seed in (("none", 1), ("after-pool", 0))
        for rate, value in zip(places, others, strict=True)
    }
    results: dict[TrialKey, TrialResult] = {}
    while (search := search_rate("none", 0, START, results | strange)).next is not None:
        assert search == search_rate("none", 0, START, results)
        results[search.next] = give(loss, search.next.lr)
    assert search == search_rate("none", 0, START, results)


def test_plan_wants_the_next_rate_of_every_variant_until_all_have_chosen() -> None:
    first = plan_searches(2, ["none", "after-pool"], START, {})
    assert set(first.missing) == {TrialKey("none", 2, 0.03), TrialKey("after-pool", 2, 0.03)}
    assert set(first.bars.values()) == {()}
    finished = {TrialKey("none", 2, rate): give(around(0.03), rate, "none", 2) for rate in START}
    half = plan_searches(2, ["none", "after-pool"], START, finished)
    assert (half.missing, half.chosen) == ((TrialKey("after-pool", 2, 0.03),), {})
    finished |= {TrialKey("after-pool", 2, rate): give(around(0.1), rate, "after-pool", 2) for rate in (*START, 0.27)}
    whole = plan_searches(2, ["none", "after-pool"], START, finished)
    assert whole.grid == (0.01, 0.03, 0.09, 0.27)
    assert {name: trial.key.lr for name, trial in whole.chosen.items()} == {"none": 0.03, "after-pool": 0.09}


# Trials that end early.


def with_losses(*losses: float | None, rate: float = 0.03) -> TrialResult:
    trial = make_trial("none", 0, rate, curve=[0.5] * len(losses), val_loss=losses[-1])
    return replace(
        trial, epochs=tuple(replace(record, val_loss=loss) for record, loss in zip(trial.epochs, losses, strict=True))
    )


def bar_of(*losses: float) -> tuple[tuple[int, float], ...]:
    return tuple((10 * place, loss) for place, loss in enumerate(losses, start=1))


BEST = (1.0, 0.8, 0.6, 0.5, 0.45, 0.42, 0.41, 0.40)


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        pytest.param((2.0,) * 8, 2, id="never-learns"),
        pytest.param((0.5,) * 8, 7, id="stands-still"),
        pytest.param(BEST, 8, id="as-good"),
        pytest.param((2.0, 1.0, 0.8, 0.6, 0.5, 0.45, 0.42, 0.3), 8, id="one-record-behind-and-better-at-last"),
        pytest.param((0.55, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0), 6, id="its-lowest-loss-counts"),
        pytest.param((2.0, 2.0, 0.9, 0.7, 0.6, 0.5, 0.4, 0.3), 2, id="slow-to-start"),
    ],
)
def test_trial_ends_where_it_is_behind(losses: tuple[float, ...], kept: int) -> None:
    trial = with_losses(*losses)
    ended = end_early(trial, bar_of(*BEST), 8)
    assert ended.epochs == trial.epochs[:kept]
    if kept < 8:
        assert (ended.pruned_at, ended.steps, ended.test_metric) == (10 * kept, 10 * kept, None)
    else:
        assert ended == trial


def test_a_loss_that_jumps_at_the_end_of_the_best_trial_spares_the_others() -> None:
    assert end_early(with_losses(1.2, 1.1, 1.1, 1.0), bar_of(1.0, 0.8, 0.6, 1.15), 4).pruned_at is None


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 8, 40], ids=str)
def test_first_quarter_first_record_and_last_record_end_nothing(epochs: int) -> None:
    records = with_losses(*[9.0] * epochs).epochs
    ends = [is_behind(records[:count], bar_of(*[1.0] * epochs), epochs) for count in range(1, epochs + 1)]
    first = next((count for count, end in enumerate(ends, start=1) if end), epochs)
    assert first >= min(max(2, epochs / 4), epochs)
    assert not ends[-1]


def test_first_trial_has_nothing_to_keep_up_with() -> None:
    assert end_early(with_losses(9.0, 9.0, 9.0, 9.0), (), 4).pruned_at is None


def test_trial_that_ended_early_is_not_chosen_and_sets_no_bar() -> None:
    best = with_losses(*BEST)
    worse = end_early(with_losses(*(2.0,) * 8, rate=0.09), bar_of(*BEST), 8)
    assert worse.pruned_at is not None
    lucky = replace(worse, val_loss=0.0)
    search = search_rate("none", 0, START, {best.key: best, lucky.key: lucky})
    assert search.next == TrialKey("none", 0, 0.01)
    assert search.bar == bar_of(*BEST)


def test_diverged_trial_sets_no_bar() -> None:
    lost = give(lambda rate: None, 0.03)
    assert search_rate("none", 0, START, {lost.key: lost}).bar == ()
