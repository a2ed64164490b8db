"""The rule that stops a comparison: when, for whom, and that nothing but the trials decides it."""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placenorm.facts.comparison import Comparison, Course, Pair
from placenorm.facts.trial import Failure, TrialKey, TrialResult, make_failed_trial
from placenorm.study.agenda import make_agenda
from placenorm.study.pairing import FUTILE_CHANCE, find_chance
from placenorm.study.stopping import Standing, advance, begin, course_of
from placenorm.study.verdict import critical_of, judge_final
from support.comparisons import ACCURACY
from support.results import SPREAD, make_trial
from support.scripts import load_script
from support.sequences import give_each, make_head, run_out

ARMS = ("none", "before-activation", "after-activation", "after-pool")

LEVELS = (0.5, 0.6, 0.7, 0.8)
FAR_APART = {
    name: [level + gap for gap in random.Random(name).sample(SPREAD, 10)]
    for name, level in zip(ARMS, LEVELS, strict=True)
}
ALIKE = {name: [0.9 + gap for gap in random.Random(name).sample(SPREAD, 10)] for name in ARMS}
WORST_APART = ALIKE | {"none": [value - 0.4 for value in ALIKE["none"]]}


def stand(head: Comparison, values: dict[str, list[float]]) -> tuple[Standing, dict[TrialKey, TrialResult]]:
    """Where a comparison stands at its end, and the trials that it took."""
    results = {trial.key: trial for trial in run_out(make_agenda(head, {}), give_each(values))}
    return advance(begin(head), head, results), results


def words_of(head: Comparison, trials: list[TrialResult]) -> list[str | None]:
    answer = judge_final(head.variants, trials, head.metric, head.settings.margin, head.settings.planned)
    return [pair.winner or pair.word for pair in answer.pairs]


def test_comparison_of_arms_far_apart_is_decided_early_and_as_by_all_seeds() -> None:
    head = make_head()
    standing, _ = stand(head, FAR_APART)
    assert standing.ending == "decided"
    assert 3 <= len(standing.plans) < 10
    whole = [give_each(FAR_APART)(TrialKey(name, seed, 0.03)) for name in ARMS for seed in range(10)]
    fixed = replace(head, settings=replace(head.settings, planned=None))
    assert words_of(head, list(standing.chosen)) == words_of(fixed, whole)


def test_comparison_of_equal_arms_ends_as_futile_and_undecided() -> None:
    head = make_head()
    standing, _ = stand(head, ALIKE)
    assert standing.ending == "futile"
    assert 3 <= len(standing.plans) < 10
    assert set(words_of(head, list(standing.chosen))) == {"undecided"}


def test_arm_stops_when_nothing_about_it_is_open_and_the_others_go_on() -> None:
    close = [0.9 + gap + 0.012 for gap in SPREAD]
    values = WORST_APART | {"after-activation": close}
    standing, results = stand(make_head(), values)
    assert standing.stopped["none"] < len(standing.plans)
    assert {key.seed for key in results if key.variant == "none"} == set(range(standing.stopped["none"]))


def test_arm_that_is_beaten_is_trained_while_another_pair_of_it_is_open() -> None:
    # `none` is beaten at once by the three quiet arms, and scatters too much beside the fourth for anything to be sure.
    noisy = [0.75 + 30 * gap for gap in SPREAD]
    head = make_head()
    standing, _ = stand(head, WORST_APART | {"after-pool": noisy})
    quiet, _ = stand(head, WORST_APART)
    assert standing.stopped.get("none", 10) > quiet.stopped["none"]


def test_all_seeds_run_where_the_last_ones_may_decide() -> None:
    rng = np.random.default_rng(5)
    values = {name: list(0.9 + 0.01 * rng.standard_normal(10) + 0.015 * (name == "none")) for name in ARMS}
    standing, _ = stand(make_head(), values)
    assert (standing.ending, len(standing.plans)) == (None, 10)


def test_one_arm_alone_runs_all_its_seeds() -> None:
    head = make_head()
    head = replace(head, variants=head.variants[:1])
    standing, _ = stand(head, ALIKE)
    assert (standing.ending, len(standing.plans), standing.living) == (None, 10, ("none",))


def test_arm_beside_which_every_trial_fails_runs_all_its_seeds_and_nothing_is_decided() -> None:
    head, give = make_head(), give_each(FAR_APART)

    def fail(key: TrialKey) -> TrialResult:
        return give(key) if key.variant == "none" else make_failed_trial(key, Failure("no luck", ""))

    results = {trial.key: trial for trial in run_out(make_agenda(head, {}), fail)}
    standing = advance(begin(head), head, results)
    assert (len(standing.plans), standing.ending, standing.stopped) == (head.settings.seeds, None, {})


def test_two_seeds_end_nothing() -> None:
    standing, _ = stand(make_head(seeds=2), FAR_APART)
    assert (standing.ending, standing.living) == (None, ARMS)


def test_more_seeds_go_on_where_a_comparison_ended_as_futile() -> None:
    head = make_head()
    ended, results = stand(head, ALIKE)
    more = replace(head, settings=replace(head.settings, seeds=40))
    agenda = make_agenda(more, results)
    order = agenda.take()
    assert order is not None
    assert order.key.seed == len(ended.plans)


def test_margin_that_holds_every_difference_decides() -> None:
    standing, _ = stand(make_head(margin=0.2), ALIKE)
    assert standing.ending == "decided"


@settings(max_examples=25)
@given(st.integers(1, 6), st.randoms(use_true_random=False), st.sampled_from([FAR_APART, ALIKE, WORST_APART]))
def test_verdict_is_that_of_one_worker_whoever_finishes_first(
    jobs: int, chance: random.Random, values: dict[str, list[float]]
) -> None:
    head = make_head()
    alone, _ = stand(head, values)
    trials = run_out(make_agenda(head, {}), give_each(values), jobs, chance.randrange)
    chance.shuffle(trials)
    assert advance(begin(head), head, {trial.key: trial for trial in trials}) == alone


def test_course_counts_what_was_trained_beside_the_whole_grid() -> None:
    head = make_head(rates=(0.01, 0.03, 0.09))
    standing, results = stand(head, FAR_APART)
    course = course_of(standing, head, results)
    assert course.whole_steps == 4 * 10 * 3 * 30
    assert course.steps == 30 * len(results) < course.whole_steps
    assert course == Course(
        len(standing.plans), standing.stopped, "decided", steps=course.steps, whole_steps=course.whole_steps
    )


def test_metric_that_is_never_a_number_runs_all_seeds() -> None:
    head = make_head()
    results = {
        TrialKey(name, seed, 0.03): make_trial(name, seed, 0.03, test=None) for name in ARMS for seed in range(10)
    }
    standing = advance(begin(head), head, results)
    assert (standing.ending, len(standing.plans)) == (None, 10)


# The chance that further seeds decide a pair.


@pytest.mark.parametrize(
    ("mean", "margin"),
    [
        pytest.param(0.0, 0.0, id="nothing-there"),
        pytest.param(0.6, 0.0, id="something-there"),
        pytest.param(0.0, 1.0, id="inside-the-margin"),
    ],
)
def test_chance_is_that_of_seeds_that_are_drawn_to_the_end(mean: float, margin: float) -> None:
    seeds, more, error, count = 8, 12, 0.05 / 12, 40_000
    critical = critical_of(seeds + more)
    pair = Pair("a", "b", mean, -9.0, 9.0, 1.0, seeds, "undecided", None, None)
    rng = np.random.default_rng(1)
    # What is not known of the true spread and mean after eight seeds, then the twelve to come.
    sd = np.sqrt((seeds - 1) / rng.chisquare(seeds - 1, count))
    centre = mean + sd / np.sqrt(seeds) * rng.standard_normal(count)
    new = centre[:, None] + sd[:, None] * rng.standard_normal((count, more))
    total = seeds + more
    end = (seeds * mean + new.sum(axis=1)) / total
    squares = (seeds - 1) + seeds * (mean - end) ** 2 + ((new - end[:, None]) ** 2).sum(axis=1)
    half = critical(total, error) * np.sqrt(squares / (total - 1) / total)
    drawn = np.mean((np.abs(end) > half) | (np.abs(end) + half <= margin))
    # The spread is taken to stay what it is: good to some percent.
    assert find_chance(pair, more, margin, error, critical) == pytest.approx(drawn, abs=0.06)


def test_chance_without_two_seeds_is_not_known() -> None:
    assert find_chance(Pair("a", "b", 0.0, None, None, None, 1, "undecided", None, None), 9, 0.0, 0.05) == 1.0


def test_chance_of_equal_values_is_none() -> None:
    assert find_chance(Pair("a", "b", 0.0, 0.0, 0.0, 0.0, 5, "undecided", None, None), 5, 0.0, 0.05) == 0.0


# The simulation of the decision page runs the same rule.


@pytest.mark.parametrize("effect", [0.0, 1.5, 4.0], ids=str)
def test_simulated_rule_is_the_rule(effect: float) -> None:
    bench = load_script("bench/sequential.py")
    head = replace(make_head(), metric=replace(ACCURACY, quantum=0.5))
    world = bench.World("few", effect=effect, noise=bench._quantised, quantum=0.5)
    values = bench.draw(world, 12, np.random.default_rng(7))
    signs, cost, early = bench.run_early(values, world.quantum, FUTILE_CHANCE)
    for each, drawn in enumerate(values):
        standing, results = stand(head, {name: list(map(float, arm)) for name, arm in zip(ARMS, drawn, strict=True)})
        answer = judge_final(head.variants, list(standing.chosen), head.metric, 0.0, head.settings.planned)
        found = [0 if pair.winner is None else 1 if pair.winner == pair.first else -1 for pair in answer.pairs]
        assert found == list(signs[each])
        assert (len(results) / 40, standing.ending is not None) == (pytest.approx(cost[each]), early[each])
