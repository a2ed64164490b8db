"""The sentences of a verdict, word for word in English, and as much said in Persian."""

import inspect
import re
from dataclasses import replace

import pytest

from placenorm.facts.comparison import Remark, Verdict
from placenorm.report.language import ENGLISH, LANGUAGES, Language
from placenorm.report.verdict_wording import AS_WRITTEN, say_remark, word_verdict
from placenorm.study import remarks
from placenorm.study.verdict import judge
from support.results import (
    ACCURACY,
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


def speak(variants, chosen, metric, margin, quantum, said=(), language=ENGLISH) -> Verdict:
    verdict = judge(variants, chosen, metric, margin, quantum, said)
    return word_verdict(variants, metric, verdict, language)


def speak_of(variants, arms, metric=R2, margin=0.0, quantum=0.0, language=ENGLISH) -> Verdict:
    return speak(variants, make_arms(arms), metric, margin, quantum, language=language)


def test_advice_says_that_the_pick_is_the_cheapest_of_the_unbeaten():
    verdict = speak_of(FOUR, {"none": LOW, "before-activation": HIGH, "after-activation": HIGH, "after-pool": HIGH})
    assert verdict.advice == (
        "Put the norm after-pool: of the 3 placements that none beats in test r2 (before-activation, after-activation "
        "and after-pool) it is the cheapest, as its norms move 1.20 MB in a training step, the next 4.80 MB; between "
        "them all 3 differences are undecided, and even 1000 more seeds would probably not change that."
    )


def test_one_best_placement_is_named_with_its_smallest_lead():
    arms = {"none": LOW, "before-activation": MIDDLE, "after-activation": MIDDLE, "after-pool": HIGH}
    verdict = speak_of(FOUR, arms, ACCURACY)
    assert verdict.advice == (
        "Put the norm after-pool: its test accuracy is better than that of every other placement, "
        "on average by at least 10.00 percentage points."
    )


def test_one_unbeaten_placement_that_shares_few_seeds_is_not_said_to_beat_all():
    trials = make_arms({"none": LOW, "before-activation": MIDDLE, "after-pool": HIGH})
    # none keeps seeds 3 to 9 and after-pool 0 to 4, so that these two share two seeds only.
    kept = [
        trial
        for trial in trials
        if not (trial.key.variant == "none" and trial.key.seed < 3)
        and not (trial.key.variant == "after-pool" and trial.key.seed > 4)
    ]
    verdict = speak((NONE, BEFORE, POOL), kept, R2, 0.0, 0.0)
    assert verdict.advice == "Put the norm after-pool: it is the only placement that no other beats in test r2."


def test_undecided_verdict_says_so_with_the_seeds_it_wants():
    verdict = speak_of((NONE, BEFORE), {"none": LOW, "before-activation": [0.81 - gap for gap in SPREAD]})
    wanted = verdict.final.pairs[0].more_seeds
    assert verdict.advice == (
        "Undecided: no placement is shown to beat another in test r2 (no norm and before-activation); the difference "
        f"is undecided, and about {wanted} more seeds would probably decide it; until then use no norm, the "
        "cheapest, as it has no norms to run."
    )
    assert any("second look" in note for note in verdict.notes)


def test_no_practical_difference_says_that_the_place_does_not_matter():
    verdict = speak_of((NONE, POOL), {"none": LOW, "after-pool": LOW[::-1]}, ACCURACY, margin=0.05)
    assert verdict.advice == (
        "Use no norm: where the norm goes makes no practical difference here (no norm and after-pool), as in test "
        "accuracy every difference lies within the margin of 5.00 percentage points; of them it is the cheapest, as it "
        "has no norms to run."
    )


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        pytest.param(make_variant("none"), "Use no norm:", id="none"),
        pytest.param(make_variant("as-is", norm_bytes=8), "Leave the norms as they are:", id="as-is"),
        pytest.param(make_variant("as-is", aliases=("after-pool",)), "they are = after-pool:", id="alias"),
        pytest.param(make_variant("mine.json"), "Use the placement mine.json:", id="own"),
        pytest.param(make_variant("after-pool"), "Put the norm after-pool:", id="position"),
    ],
)
def test_advice_in_words_for(variant, words):
    alone = speak_of((variant,), {variant.name: HIGH})
    assert words in alone.advice


def test_speed_line_tells_height_steps_and_seconds():
    trials = []
    for seed, gap in enumerate(SPREAD):
        trials.append(make_trial("none", seed, curve=[0.3 + gap, 0.5, 0.8]))
        trials.append(make_trial("after-pool", seed, curve=[0.7 - gap, 0.9, 0.9]))
    verdict = speak((NONE, POOL), trials, ACCURACY, 0.0, 1 / 360)
    assert verdict.speed_line == (
        "Speed: step for step, after-pool trains faster than no norm; the widest lead is that of after-pool over no "
        "norm: its validation accuracy is better by 32.50 percentage points on average over training, and it reaches "
        "80.0 % after 15 steps and 0.3 s (no norm: after 30 steps and 0.6 s)."
    )


def test_speed_line_of_equal_arms_claims_nothing():
    verdict = speak_of((NONE, POOL), {"none": LOW, "after-pool": LOW})
    assert verdict.speed_line.startswith("Speed: no placement is shown to train faster than another;")


def test_cost_line_tells_bytes_and_clock():
    trials = [make_trial("none", step_time_ms=2.0), make_trial("after-pool", step_time_ms=2.5)]
    assert speak((NONE, POOL), trials, R2, 0.0, 0.0).cost_line == (
        "Cost: what the norm takes of a training step: after-pool 10.7 % of the bytes and +25 % time by the "
        "clock (median over trials that ran side by side); a step without norms takes 2.00 ms."
    )


def test_cost_line_without_a_bare_variant_gives_the_time_of_a_step():
    verdict = speak((POOL,), [make_trial("after-pool", step_time_ms=2.5)], R2, 0.0, 0.0)
    assert verdict.cost_line == (
        "Cost: what the norm takes of a training step: after-pool 10.7 % of the bytes (a step takes 2.50 ms)."
    )


def test_cost_line_without_any_norm_says_so():
    assert "no network here has a norm" in speak((NONE,), [make_trial("none")], R2, 0.0, 0.0).cost_line


def test_notes_are_the_remarks_in_their_order():
    trials = make_arms({"none": LOW, "after-pool": HIGH})
    trials[0] = make_trial("none", 0, test=0.1, curve=[0.1, 0.1], diverged_at=7)
    verdict = speak((NONE, POOL), trials, ACCURACY, 0.0, 1 / 360, said=[Remark("note-split-anew")])
    assert verdict.notes[0] == "The data are split anew for each seed, so the intervals cover seeds and splits."
    assert (
        "none diverged at every learning rate in 1 of 10 seeds (seed 0 at step 7); "
        "such a trial counts with the accuracy of a model that learned nothing."
    ) in verdict.notes
    assert len(verdict.notes) == len(verdict.remarks)


def test_trial_without_a_metric_is_said_to_be_left_out():
    trials = make_arms({"none": LOW, "after-pool": HIGH})
    trials[3] = replace(trials[3], test_metric=None)
    verdict = speak((NONE, POOL), trials, R2, 0.0, 0.0)
    assert "none has no test r2 at seed 3; its pairs leave that out." in verdict.notes


def test_advice_on_a_metric_of_which_less_is_better():
    verdict = speak_of((NONE, POOL), {"none": HIGH, "after-pool": LOW}, RMSE)
    assert verdict.advice.endswith("better than that of the other placement, by 0.15.")


def test_advice_without_trials_is_honest():
    assert "fewer than 3 seeds decide nothing" in speak(FOUR, [], ACCURACY, 0.0, 0.0).advice


def test_advice_says_that_a_rival_diverged() -> None:
    arms = {"none": [0.9, 0.9, 0.9], "after-pool": [0.91, 0.89, 0.9]}
    chosen = make_arms(arms)
    chosen[0] = replace(chosen[0], diverged_at=7, val_loss=None)
    variants = [make_variant("none"), make_variant("after-pool", norm_bytes=1000)]
    verdict = speak(variants, chosen, ACCURACY, 0.0, 0.0)
    assert "the only one that never diverged (no norm diverged at 1 of 3 seeds)" in verdict.advice


def test_advice_when_everything_diverged_says_so() -> None:
    chosen = [
        replace(trial, diverged_at=7, val_loss=None)
        for trial in make_arms({"none": [0.1] * 3, "after-pool": [0.1] * 3})
    ]
    verdict = speak([make_variant("none"), make_variant("after-pool", norm_bytes=1000)], chosen, ACCURACY, 0.01, 0.0)
    assert verdict.advice.startswith("No placement trained: every one diverged")


def test_speed_line_names_all_that_are_faster_and_claims_no_winner_among_them():
    trials = []
    for seed, gap in enumerate(SPREAD):
        trials.append(make_trial("none", seed, curve=[0.3 + gap, 0.5, 0.8]))
        trials.append(make_trial("before-activation", seed, curve=[0.7 - gap, 0.9, 0.9]))
        trials.append(make_trial("after-pool", seed, curve=[0.7 + gap, 0.9, 0.9]))
    line = speak((NONE, BEFORE, POOL), trials, ACCURACY, 0.0, 1 / 360).speed_line
    assert "before-activation and after-pool train faster than no norm;" in line
    assert line.endswith("; between before-activation and after-pool nothing is shown.")


REMARKS = (
    Remark("note-together", {"intervals": 12, "joint": "95", "each": "99.58"}),
    Remark("note-few-seeds", {"least": 3}),
    Remark("note-second-look", {"second": 8, "first": "5"}),
    Remark("note-every-look", {"planned": 10}),
    Remark("note-stopped-decided", {"seeds": 5, "asked": 10, "measure": "final", "metric": "accuracy"}),
    Remark("note-stopped-futile", {"seeds": 5, "asked": 10, "measure": "final", "metric": "r2", "chance": "10"}),
    Remark("note-arms-stopped", {"asked": 10}, ({"name": "none", "seeds": 1}, {"name": "after-pool", "seeds": 5})),
    Remark("note-share", {"share": "41", "arms": 4, "asked": 10}),
    Remark("note-share-search", {"trials": 150}),
    Remark("note-share-own", {"share": "41", "arms": 4, "asked": 10}),
    Remark("note-lost", {"name": "none", "lost": 1, "seeds": 10, "metric": "accuracy"}, ({"seed": "0", "step": "7"},)),
    Remark("note-empty", {"name": "none", "measure": "speed", "metric": "r2", "number": 2, "seeds": "3, 4"}),
    Remark(
        "note-failed",
        {"name": "none", "failed": 2, "trials": 9, "number": 2, "seeds": "3, 4", "reason": "line 3 of my.py raises it"},
    ),
    Remark(
        "note-failed-all",
        {"name": "none", "failed": 9, "trials": 9, "number": 2, "seeds": "3, 4", "reason": "line 3 of my.py raises it"},
    ),
    Remark("note-pair-seeds", {"finished": 9}, ({"first_name": "none", "second_name": "after-pool", "seeds": "7"},)),
    Remark("note-unfinished", {"finished": 2, "seeds": 10}),
    Remark("note-same-start"),
    Remark("note-same-start-and-batches"),
    Remark("note-unpaired"),
    Remark("note-fixed-test"),
    Remark("note-split-anew"),
    Remark("note-data", {"text": "12 rows have no label and are left out."}),
    Remark("note-coarse", {"test": "90"}),
    Remark("note-precision", {"name": "bfloat16"}),
    Remark("note-compiled"),
    Remark("note-processes", {"number": 2}),
    Remark("note-checkpoint-damaged", {"number": 1, "name": "none|seed=0|lr=0.1"}),
    Remark("note-checkpoint-unwritten", {"number": 3, "name": "none|seed=0|lr=0.1"}),
    Remark("note-torch", {"torch": "2.9.0, then 2.10.0"}),
    Remark("note-skipped", {"label": "after-pool", "site": "conv1", "reason": "its forward cannot be traced"}),
    Remark("note-diverged", {"name": "none", "diverged": 2, "trials": 30}),
    Remark("note-rate-given", {"rates": "0.1"}),
    Remark("note-rates", {"rates": "0.03, 0.1, 0.3"}),
    Remark("note-rates-searched", {"rates": "0.03, 0.1", "least": "0.01", "most": "0.3", "ended": 12, "trials": 60}),
    Remark("note-rates-grown", {"rates": "0.03, 0.1", "grown": 2, "seeds": 10, "least": "0.01", "most": "0.3"}),
    Remark(
        "note-rates-grown-far", {"rates": "0.03", "grown": 2, "seeds": 10, "least": "0.01", "most": "0.3", "far": 1}
    ),
)


def test_every_remark_of_the_study_is_among_those_below() -> None:
    source = inspect.getsource(remarks)
    assert set(re.findall('"(note-[a-z-]+)"', source)) == {remark.key for remark in REMARKS}


@pytest.mark.parametrize("remark", REMARKS, ids=lambda remark: remark.key)
def test_remark_is_said_in_both_languages(remark: Remark) -> None:
    english, persian = (say_remark(remark, Language(code)) for code in LANGUAGES)
    assert english.endswith(".")
    assert persian.endswith(".")
    if remark.key != "note-data":  # a sentence about the data has the language that it was written in
        assert re.search("[\u0600-\u06ff]", persian)
    names = [str(fact) for name, fact in remark.facts.items() if name in AS_WRITTEN]
    assert all(name in persian for name in names)
    for name in names:
        persian = persian.replace(name, "")
    assert not re.search("(?<![a-z])[0-9]", persian)


@pytest.mark.parametrize("code", LANGUAGES)
def test_sentences_of_every_kind_are_made_in_both_languages(code: str) -> None:
    language, rival = Language(code), [0.81 - gap for gap in SPREAD]
    worlds = (
        speak_of((NONE, POOL), {"none": LOW, "after-pool": HIGH}, ACCURACY, language=language),
        speak_of((NONE, POOL), {"none": LOW, "after-pool": LOW[::-1]}, ACCURACY, 0.05, language=language),
        speak_of((NONE, BEFORE), {"none": LOW, "before-activation": rival}, language=language),
        speak_of((POOL,), {"after-pool": HIGH}, language=language),
        speak_of((NONE,), {"none": HIGH}, language=language),
        speak(FOUR, [], ACCURACY, 0.0, 0.0, language=language),
    )
    sentences = [line for verdict in worlds for line in (verdict.advice, verdict.speed_line, verdict.cost_line)]
    assert all(line.endswith(".") for line in sentences)
    assert [line for line in sentences if bool(re.search("[\u0600-\u06ff]", line)) != (code == "fa")] == []
    assert len({verdict.advice for verdict in worlds}) == len(worlds)
