import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from placenorm.facts.codec import dumps, loads
from placenorm.facts.comparison import Remark, Verdict
from placenorm.study.pairing import DECISION_POWER, count_more_seeds, critical_t, floor_of, judge_pair
from placenorm.study.verdict import judge
from support.results import (
    ACCURACY,
    AFTER,
    BEFORE,
    FOUR,
    HIGH,
    LOW,
    MIDDLE,
    NONE,
    POOL,
    R2,
    RMSE,
    SPREAD,
    make_arms,
    make_trial,
    make_variant,
)

# Values far from rounding: thousandths between 0 and 1.
values = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=3, max_size=12)


def give_verdict(variants, arms, metric=R2, margin=0.0, quantum=0.0):
    return judge(variants, make_arms(arms), metric, margin, quantum)


def pair_up(first, second, *, margin=0.0, floor=1e-4, error=0.05, higher_is_better=True):
    return judge_pair(
        ("a", "b"),
        (dict(enumerate(first)), dict(enumerate(second))),
        higher_is_better=higher_is_better,
        floor=floor,
        margin=margin,
        error=error,
    )


# One pair.


def test_interval_is_that_of_scipys_paired_t():
    pair = pair_up(HIGH, LOW, error=0.01)
    expected = stats.ttest_rel(HIGH, LOW).confidence_interval(0.99)
    assert (pair.low, pair.high) == pytest.approx((expected.low, expected.high))
    assert pair.difference == pytest.approx(np.mean(HIGH) - np.mean(LOW))


@given(values, st.data())
def test_swapped_arms_mirror_the_pair(first, data):
    second = data.draw(st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=len(first), max_size=len(first)))
    pair, mirrored = pair_up(first, second), pair_up(second, first)
    assert (mirrored.difference, mirrored.low, mirrored.high) == (-pair.difference, -pair.high, -pair.low)
    assert (mirrored.word, mirrored.sd, mirrored.more_seeds) == (pair.word, pair.sd, pair.more_seeds)
    assert mirrored.winner == {"a": "b", "b": "a", None: None}[pair.winner]


@given(values, st.integers(-1000, 1000).map(lambda n: n / 7), st.randoms(use_true_random=False))
def test_a_constant_added_to_both_arms_changes_nothing(first, shift, random):
    second = random.sample(first, len(first))
    pair = pair_up(first, second)
    moved = pair_up([value + shift for value in first], [value + shift for value in second])
    assert (moved.difference, moved.low, moved.high) == pytest.approx((pair.difference, pair.low, pair.high), abs=1e-9)


@given(values, st.integers(-8, 8), st.randoms(use_true_random=False))
def test_other_units_scale_the_pair_and_leave_its_word(first, power, random):
    # A power of two scales without rounding, so that the word cannot flip at an edge.
    second, scale = random.sample(first, len(first)), 2.0**power
    pair = pair_up(first, second, margin=0.05)
    scaled = pair_up(
        [scale * value for value in first], [scale * value for value in second], margin=scale * 0.05, floor=scale * 1e-4
    )
    assert (scaled.word, scaled.winner, scaled.more_seeds) == (pair.word, pair.winner, pair.more_seeds)
    assert scaled.low == pytest.approx(scale * pair.low)


@given(values, st.randoms(use_true_random=False))
def test_without_a_margin_the_word_says_whether_zero_is_inside(first, random):
    pair = pair_up(first, random.sample(first, len(first)))
    assert (pair.word == "better") == (pair.low > 0 or pair.high < 0)
    assert pair.word != "no practical difference"


@pytest.mark.parametrize(
    ("shift", "margin", "word"),
    [
        pytest.param(0.05, 0.0, "better", id="certain"),
        pytest.param(0.05, 0.1, "no practical difference", id="certain-and-too-small-to-matter"),
        pytest.param(0.05, 0.05, "better", id="certain-and-perhaps-too-small"),
        pytest.param(0.001, 0.0, "undecided", id="uncertain"),
        pytest.param(0.001, 0.1, "no practical difference", id="uncertain-and-too-small-to-matter"),
        pytest.param(0.0, 0.0, "undecided", id="equal-without-a-margin"),
    ],
)
def test_word_is(shift, margin, word):
    pair = pair_up([shift + gap for gap in SPREAD], [0.0] * 10, margin=margin)
    assert pair.word == word
    assert pair.winner == ("a" if word == "better" else None)
    assert word == "undecided" or pair.more_seeds is None


@pytest.mark.parametrize("count", [0, 1, 2], ids=str)
def test_fewer_than_three_seeds_decide_nothing(count):
    pair = pair_up([1.0] * count, [0.0] * count, margin=10.0)
    assert (pair.word, pair.winner, pair.seeds) == ("undecided", None, count)
    assert (pair.low is None) == (count < 2)


def test_lower_is_better_turns_the_sign():
    pair = pair_up(HIGH, LOW, higher_is_better=False)
    assert pair.difference < 0
    assert pair.winner == "b"


def test_seeds_that_only_one_arm_has_do_not_count():
    pair = judge_pair(
        ("a", "b"),
        ({0: 1.0, 1: 2.0, 2: 3.0, 7: 99.0}, {0: 0.0, 1: 1.0, 2: 2.0, 8: -99.0}),
        higher_is_better=True,
        floor=0.1,
        margin=0.0,
        error=0.05,
    )
    assert (pair.seeds, pair.difference) == (3, 1.0)


def test_three_equal_differences_of_one_sample_are_not_certainty():
    quantum = 1 / 360
    assert pair_up([0.9 + quantum] * 3, [0.9] * 3, floor=quantum).word == "undecided"


@pytest.mark.parametrize(
    ("values", "quantum", "floor"),
    [
        pytest.param([0.1, 0.2], 1 / 360, 1 / 360, id="quantum-of-the-metric"),
        pytest.param([0.5, 0.25, 0.75, 0.5], 0.0, 0.25, id="smallest-gap"),
        pytest.param([0.3, 0.1 + 0.2, 0.5], 0.0, 0.2, id="rounding-is-no-gap"),
        pytest.param([0.5, 0.5], 0.0, 0.0, id="one-value"),
        pytest.param([], 0.0, 0.0, id="nothing"),
    ],
)
def test_floor_is(values, quantum, floor):
    assert floor_of(values, quantum) == pytest.approx(floor)


# More seeds.


@pytest.mark.parametrize(
    ("mean", "margin"),
    [
        pytest.param(0.5, 0.0, id="towards-better"),
        pytest.param(-0.5, 0.0, id="towards-worse"),
        pytest.param(0.05, 0.5, id="towards-no-difference"),
    ],
)
def test_more_seeds_decide_as_often_as_they_promise(mean, margin):
    error, seeds = 0.05 / 12, 5
    total = seeds + count_more_seeds(mean, 1.0, seeds, margin, error)
    sample = np.random.default_rng(0).normal(mean, 1.0, (4000, total))
    centre, half = sample.mean(axis=1), critical_t(total, error) * sample.std(axis=1, ddof=1) / math.sqrt(total)
    decided = (np.abs(centre) > half) | (np.abs(centre) + half <= margin)
    # Monte Carlo: 4,000 draws have a standard error of 0.6 %; the Gaussian shortcut is good to a few percent.
    assert np.mean(decided) == pytest.approx(DECISION_POWER, abs=0.06)


@pytest.mark.parametrize(
    ("mean", "margin"), [pytest.param(0.0, 0.0, id="no-difference"), pytest.param(0.01, 0.0, id="too-many")]
)
def test_more_seeds_are_none_where_no_affordable_number_would_do(mean, margin):
    assert count_more_seeds(mean, 1.0, 5, margin, 0.05) is None


def test_more_seeds_take_the_easier_of_the_two_decisions():
    both = count_more_seeds(0.3, 1.0, 5, 1.0, 0.05)
    assert both == count_more_seeds(0.0, 1.0, 5, 0.7, 0.05)
    assert both < count_more_seeds(0.3, 1.0, 5, 0.0, 0.05)


def test_more_seeds_lead_to_at_least_three():
    assert count_more_seeds(100.0, 1.0, 2, 0.0, 0.05) == 1


# The whole verdict.


def test_all_intervals_of_both_questions_share_one_error():
    verdict = give_verdict(
        FOUR, {"none": LOW, "before-activation": MIDDLE, "after-activation": HIGH, "after-pool": LOW}
    )
    assert len(verdict.final.pairs) == len(verdict.speed.pairs) == 6
    expected = stats.ttest_rel(LOW, HIGH).confidence_interval(1 - 0.05 / 12)
    pair = next(pair for pair in verdict.final.pairs if (pair.first, pair.second) == ("none", "after-activation"))
    assert (pair.low, pair.high) == pytest.approx((expected.low, expected.high))
    together = next(remark for remark in verdict.remarks if remark.key == "note-together")
    assert together.facts == {"intervals": 12, "joint": "95", "each": "99.58"}


def test_unbeaten_set_holds_those_that_none_beats_in_the_order_of_the_plan():
    verdict = give_verdict(
        FOUR, {"none": LOW, "before-activation": HIGH, "after-activation": MIDDLE, "after-pool": HIGH}
    )
    assert verdict.final.unbeaten == ("before-activation", "after-pool")


def test_pick_is_the_cheapest_of_the_unbeaten():
    verdict = give_verdict(FOUR, {"none": LOW, "before-activation": HIGH, "after-activation": HIGH, "after-pool": HIGH})
    assert verdict.pick == "after-pool"


def test_pick_among_equally_cheap_is_the_first_of_the_plan():
    assert give_verdict((AFTER, BEFORE), {"after-activation": LOW, "before-activation": LOW}).pick == "after-activation"


def test_one_unbeaten_placement_may_share_too_few_seeds_to_beat_all():
    trials = make_arms({"none": LOW, "before-activation": MIDDLE, "after-pool": HIGH})
    # none keeps seeds 3 to 9 and after-pool 0 to 4, so that these two share two seeds only.
    kept = [
        trial
        for trial in trials
        if not (trial.key.variant == "none" and trial.key.seed < 3)
        and not (trial.key.variant == "after-pool" and trial.key.seed > 4)
    ]
    verdict = judge((NONE, BEFORE, POOL), kept, R2, 0.0, 0.0)
    assert verdict.final.unbeaten == ("after-pool",)
    won = {(pair.first, pair.second) for pair in verdict.final.pairs if pair.winner == "after-pool"}
    assert won == {("before-activation", "after-pool")}


def test_undecided_verdict_wants_seeds_and_remarks_on_a_second_look():
    verdict = give_verdict((NONE, BEFORE), {"none": LOW, "before-activation": [0.81 - gap for gap in SPREAD]})
    (pair,) = verdict.final.pairs
    assert pair.word == "undecided"
    assert pair.more_seeds is not None
    assert "note-second-look" in [remark.key for remark in verdict.remarks]


def test_summary_counts_each_variant_over_its_seeds():
    trials = [
        make_trial("none", 1, 0.09, test=0.8, curve=[0.5, 0.9], step_time_ms=4.0, dead={"r1": (10, 1), "r2": (4, 2)}),
        make_trial("none", 0, 0.03, test=0.9, curve=[0.7, 0.9], step_time_ms=2.0, dead={"r1": (10, 3), "r2": (4, 0)}),
        make_trial("none", 2, 0.01, test=0.1, curve=[0.1, 0.1], step_time_ms=3.0, diverged_at=4),
    ]
    verdict = judge((NONE,), trials, ACCURACY, 0.0, 1 / 360)
    row = verdict.summaries[0]
    interval = stats.t.interval(0.95, 2, np.mean([0.9, 0.8, 0.1]), stats.sem([0.9, 0.8, 0.1]))
    assert (row.metric_low, row.metric_high) == pytest.approx(interval)
    assert (row.seeds, row.reached, row.diverged, row.learning_rates) == (3, 2, 1, (0.03, 0.09, 0.01))
    assert row.metric == pytest.approx(0.6)
    assert row.area == pytest.approx((0.7 + 0.8 + 0.1) / 3)
    assert (row.steps_to_target, row.seconds_to_target) == pytest.approx((20.0, 20 * 3e-3))
    assert row.dead_share_pct == pytest.approx(100 * (0.3 + 0.15) / 2)
    assert row.step_time_ms == 3.0


def test_target_that_half_of_the_seeds_never_reach_has_no_median():
    trials = [make_trial("none", seed, curve=[0.5, end]) for seed, end in enumerate([0.6, 0.9])]
    row = judge((NONE,), trials, ACCURACY, 0.0, 0.0).summaries[0]
    assert (row.reached, row.steps_to_target, row.seconds_to_target) == (1, None, None)


def test_divergence_is_a_result_with_a_remark():
    trials = make_arms({"none": LOW, "after-pool": HIGH})
    trials[0] = make_trial("none", 0, test=0.1, curve=[0.1, 0.1], diverged_at=7)
    verdict = judge((NONE, POOL), trials, ACCURACY, 0.0, 1 / 360, remarks=[Remark("note-split-anew")])
    assert verdict.remarks[0] == Remark("note-split-anew")
    facts = {"name": "none", "lost": 1, "seeds": 10, "metric": "accuracy"}
    assert Remark("note-lost", facts, ({"seed": "0", "step": "7"},)) in verdict.remarks
    assert verdict.final.pairs[0].seeds == 10


def test_trial_without_a_metric_leaves_its_seed_out_and_says_so():
    trials = make_arms({"none": LOW, "after-pool": HIGH})
    trials[3] = replace(trials[3], test_metric=None)
    verdict = judge((NONE, POOL), trials, R2, 0.0, 0.0)
    assert (verdict.final.pairs[0].seeds, verdict.speed.pairs[0].seeds) == (9, 10)
    facts = {"name": "none", "measure": "final", "metric": "r2", "number": 1, "seeds": "3"}
    assert Remark("note-empty", facts) in verdict.remarks


def test_lower_is_better_throughout():
    verdict = give_verdict((NONE, POOL), {"none": HIGH, "after-pool": LOW}, RMSE)
    assert verdict.final.unbeaten == verdict.speed.unbeaten == ("after-pool",)
    assert verdict.target == pytest.approx(np.mean(HIGH))


def test_comparison_without_trials_has_an_honest_verdict():
    verdict = judge(FOUR, [], ACCURACY, 0.0, 0.0)
    assert verdict.final.unbeaten == ("none", "before-activation", "after-activation", "after-pool")
    assert "note-few-seeds" in [remark.key for remark in verdict.remarks]
    assert verdict.target is None


@pytest.mark.parametrize(
    ("variants", "trials", "reason"),
    [
        pytest.param((), [], "at least one variant", id="no-variant"),
        pytest.param((NONE,), [make_trial("after-pool")], "of no variant", id="unknown-variant"),
        pytest.param((NONE,), [make_trial("none"), make_trial("none", lr=0.1)], "second of its", id="two-of-a-seed"),
    ],
)
def test_wrong_trials_are_refused(variants, trials, reason):
    with pytest.raises(ValueError, match=reason):
        judge(variants, trials, R2, 0.0, 0.0)


@given(st.data(), st.integers(2, 4), st.integers(3, 8), st.sampled_from([0.0, 0.02, 0.2]), st.booleans())
def test_verdict_holds_together_and_survives_json(data, count, seeds, margin, higher_is_better):
    metric = replace(R2, higher_is_better=higher_is_better)
    # Arms far apart beside arms close together, so that every word occurs.
    height = st.integers(0, 10).map(lambda n: n / 20)
    gaps = st.lists(st.integers(-20, 20).map(lambda n: n / 1000), min_size=seeds, max_size=seeds)
    heights = data.draw(st.lists(height, min_size=count, max_size=count))
    arms = {
        variant.name: [level + gap for gap in data.draw(gaps)]
        for variant, level in zip(FOUR[:count], heights, strict=True)
    }
    verdict = give_verdict(FOUR[:count], arms, metric, margin)
    for answer in (verdict.final, verdict.speed):
        won = {(pair.winner, name) for pair in answer.pairs if pair.winner for name in (pair.first, pair.second)}
        assert all((pair.word == "better") == (pair.winner is not None) for pair in answer.pairs)
        # "better" is transitive where all arms have the same seeds, so one that none beats beats each of the others.
        assert all(any((best, name) in won for best in answer.unbeaten) for name in set(arms) - set(answer.unbeaten))
    assert verdict.pick in verdict.final.unbeaten
    assert loads(Verdict, dumps(verdict), "here") == verdict


def test_pick_is_not_a_variant_that_diverged() -> None:
    """The cheapest of an undecided set is passed over if it diverged."""
    arms = {"none": [0.9, 0.9, 0.9], "after-pool": [0.91, 0.89, 0.9]}
    chosen = make_arms(arms)
    chosen[0] = replace(chosen[0], diverged_at=7, val_loss=None)
    variants = [make_variant("none"), make_variant("after-pool", norm_bytes=1000)]
    verdict = judge(variants, chosen, ACCURACY, 0.0, 0.0)
    assert verdict.pick == "after-pool"


def test_verdict_holds_numbers_and_no_words():
    verdict = give_verdict(FOUR[:2], {"none": LOW, "before-activation": HIGH})
    words = (verdict.advice, verdict.speed_line, verdict.cost_line, verdict.final.measure, verdict.speed.measure)
    assert set(words) == {""}
    assert verdict.notes == ()
    assert verdict.remarks
