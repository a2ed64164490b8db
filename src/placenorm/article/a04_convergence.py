"""A4: with batch norm, training converges faster.

Question: Does training reach a high accuracy sooner with a norm than without, at every depth, when each has its own
best learning rate; and at how many learning rates does training work at all?

Design: Plain networks of linear layers with ReLU, 64 wide, from one to twenty hidden layers, are trained for 12 epochs
by SGD with momentum 0.9 at several learning rates, half a decade apart (experiment ``training``): without a norm, with
one before every activation, with one after it. A seed decides the split of the data, the weights and the order of the
batches, for all arms alike. At `REACH_DEPTH` hidden layers more rates are tried, the same for every arm.

Measure: *Area*: the mean over the epochs of the validation accuracy after each, at the rate where the other seeds of
that arm and depth have their largest mean area, so that no seed reports the number it was chosen by; with a norm: the
mean of the two placements. The *gain* is the area with a norm minus that without, paired by seed. *Usable* is a rate at
which the validation accuracy at the end is at or above the target; the target is `TARGET_SHARE` of the highest that any
arm reaches there at any depth, mean over seeds at the best rates. *Reach*: how many rates of the wide grid are usable.
Beside them: steps to the target, and the time of a step.

Rule: One interval for each depth and one for reach share one error of 5 %. Training is *faster* at a depth if the
gain's interval is above 0 and its mean above one point, *slower* the other way round, *the same* if the interval lies
within a point of 0, else *open* (always with fewer than three seeds). Faster at every depth: holds. Faster at the
deepest one and from some depth on, but not at the ones below: holds only from that depth on. Faster at other depths:
holds only at some. Nowhere faster and nowhere open: does not hold. Else undecided. Reach, steps and seconds are told
and decide nothing: the article speaks of neither.

Published: Ioffe & Szegedy 2015, steps to 72.2 % on ImageNet; Raschka's NiN on CIFAR-10 after 100 epochs.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import Final

from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments import training
from placenorm.article.experiments.scenes import NORMS, PLACEMENTS
from placenorm.article.grid import (
    Word,
    ask_depths,
    average,
    choose_cell,
    choose_fastest,
    count_layers,
    find_word,
    list_depths,
    read_best,
    read_norms,
)
from placenorm.article.statistics import (
    POINT,
    choose,
    compare_arms,
    effect_of,
    estimate,
    find_arrival,
    levels,
    seeds_of,
)
from placenorm.facts.claim import Chart, Effect, Factor, Observation, Outcome, Point, Published, Question, Ruling

REACH_DEPTH: Final = 8
REACH_RATES: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
FULL_REACH_RATES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Rates that every arm is tried at, wide enough that with digits the first and the last are seldom usable."""

TARGET_SHARE: Final = 0.95
"""Of the best accuracy: what nobody would call a failed training."""


def ask(scale: Scale) -> list[Question]:
    """Return the trainings over depth, and those at more rates."""
    wide = [
        training.ask(seed, placement, rate, depth=REACH_DEPTH)
        for placement in PLACEMENTS
        for rate in scale.pick(REACH_RATES, FULL_REACH_RATES)
        for seed in range(scale.seeds)
    ]
    return list({question.key: question for question in ask_depths(scale, PLACEMENTS) + wide}.values())


def judge(observations: Sequence[Observation]) -> Ruling:
    """Return what the rule in this file's first lines says."""
    depths = list_depths(observations)
    comparisons = len(depths) + 1
    effects: dict[int, Effect] = {}
    words: dict[int, Word] = {}
    for depth in depths:
        cell = choose_cell(observations, depth)
        pair = compare_arms(
            read_norms(cell, "area"), read_best(cell, "none", "area"), comparisons=comparisons, margin=POINT
        )
        words[depth] = find_word(pair, POINT)
        effects[depth] = effect_of("gain", pair, "points", 100.0, layers=count_layers(depth))
    first = _find_first(words)
    outcome: Outcome = "undecided"
    variant = ""
    if all(word == "more" for word in words.values()):
        outcome = "holds"
    elif first is not None and "more" not in [words[depth] for depth in depths if depth < first]:
        outcome, variant = "holds-only-if", "deep"
    elif "more" in words.values():
        outcome, variant = "holds-only-if", "some"
    elif "open" not in words.values():
        outcome = "does-not-hold"
    target = find_target(observations)
    wide = choose_cell(observations, REACH_DEPTH)
    reach = compare_arms(
        average([count_usable(wide, placement, target) for placement in NORMS]),
        count_usable(wide, "none", target),
        comparisons=comparisons,
    )
    facts: dict[str, Factor] = {
        "seeds": len(seeds_of(observations)),
        "target": round(100 * target, 1),
        "first_layers": count_layers(first if first is not None else depths[-1]),
        "faster_depths": sum(word == "more" for word in words.values()),
        "open_depths": sum(word == "open" for word in words.values()),
        "depths": len(depths),
        "least_layers": count_layers(depths[0]),
        "most_layers": count_layers(depths[-1]),
        "least_gain": round(effects[depths[0]].estimate, 1),
        "most_gain": round(effects[depths[-1]].estimate, 1),
        "middle_layers": count_layers(REACH_DEPTH),
        **_tell_speed(wide, target),
        **_tell_reach(wide, target),
    }
    deepest_first = [effects[depth] for depth in reversed(depths)]
    return Ruling(outcome, (*deepest_first, effect_of("reach", reach)), facts, variant)


def _find_first(words: dict[int, Word]) -> int | None:
    """Return the depth from which on training is faster, down to the deepest; None if it is not faster there."""
    first = None
    for depth in sorted(words, reverse=True):
        if words[depth] != "more":
            break
        first = depth
    return first


def find_target(observations: Sequence[Observation]) -> float:
    """Return the accuracy that counts as trained (0 to 1), from the plain networks at their best rates."""
    reached = []
    for depth in list_depths(observations):
        cell = choose_cell(observations, depth)
        for placement in PLACEMENTS:
            ends = [_read_end(each) for each in choose_fastest(cell, placement).values()]
            reached += [fmean(ends)] if ends else []
    return TARGET_SHARE * max(reached, default=math.inf)


def count_usable(cell: Iterable[Observation], placement: str, target: float) -> dict[int, float]:
    """Return by seed at how many rates the validation accuracy at the end is at or above the target."""
    found: dict[int, float] = {}
    for each in choose(cell, placement=placement):
        seed = each.question.seed
        found[seed] = found.get(seed, 0.0) + (_read_end(each) >= target)
    return found


def _read_end(observation: Observation) -> float:
    return observation.series["val_accuracy"][-1] or 0.0


def _tell_speed(cell: Sequence[Observation], target: float) -> dict[str, Factor]:
    """Return median steps to the target (0: most trainings never arrive) and how long a step is, at the best rates."""
    facts: dict[str, Factor] = {}
    times = {}
    for name, placements in (("with", NORMS), ("without", ("none",))):
        trained = [each for arm in placements for each in choose_fastest(cell, arm).values()]
        steps = median([find_arrival(each, target) for each in trained] or [math.inf])
        facts[f"steps_{name}"] = round(steps) if math.isfinite(steps) else 0
        times[name] = median([each.values["step_time_ms"] or 0.0 for each in trained] or [0.0])
    facts["time_ratio"] = round(times["with"] / times["without"], 1) if times["without"] else 0.0
    return facts


def _tell_reach(cell: Sequence[Observation], target: float) -> dict[str, Factor]:
    rates = [float(rate) for rate in levels(cell, "lr")]
    counts = {arm: list(count_usable(cell, arm, target).values()) or [0.0] for arm in PLACEMENTS}
    return {
        "usable_with": round(fmean(fmean(counts[arm]) for arm in NORMS), 1),
        "usable_without": round(fmean(counts["none"]), 1),
        "rates": len(rates),
        "least_rate": min(rates, default=0.0),
        "most_rate": max(rates, default=0.0),
    }


def draw(observations: Sequence[Observation]) -> tuple[Chart, ...]:
    """Return the gain over depth, the learning curves at the best rates, and accuracy over the learning rate."""
    gains, curves, reach = [], [], []
    depths = list_depths(observations)
    for arm in PLACEMENTS:
        for depth in depths:
            cell = choose_cell(observations, depth)
            if arm != "none":
                pair = compare_arms(read_best(cell, arm, "area"), read_best(cell, "none", "area"))
                low, high = (None if end is None else 100 * end for end in (pair.low, pair.high))
                gains.append(Point(count_layers(depth), 100 * pair.difference, arm, low, high))
            curves += _draw_curve(list(choose_fastest(cell, arm).values()), arm, count_layers(depth))
        wide = choose(choose_cell(observations, REACH_DEPTH), placement=arm)
        for rate in sorted(float(rate) for rate in levels(wide, "lr")):
            mean, low, high = estimate([_read_end(each) for each in choose(wide, lr=rate)])
            reach.append(Point(rate, mean, arm, low, high))
    return (
        Chart("A4-gain", "lines", tuple(gains)),
        Chart("A4-curves", "lines", tuple(curves), as_percent=True),
        Chart("A4-reach", "lines", tuple(reach), log_x=True, as_percent=True),
    )


def _draw_curve(trained: Sequence[Observation], arm: str, layers: int) -> list[Point]:
    """Return the mean over seeds of the validation accuracy after each epoch; one that diverged goes on at chance."""
    longest = max((each.series["step"] for each in trained), key=len, default=())
    points = []
    for place, step in enumerate(longest):
        heights = [each.series["val_accuracy"][place] or 0.0 for each in trained]
        if step is not None:
            points.append(Point(step, fmean(heights), arm, panel=str(layers)))
    return points


CLAIM = Claim(
    "A4",
    "convergence",
    ask,
    judge,
    draw,
    published=(
        Published(
            "A4-published-inception",
            "Ioffe & Szegedy 2015, arXiv:1502.03167, figure 3, one run each",
            "https://arxiv.org/abs/1502.03167",
        ),
        Published(
            "A4-published-nin",
            "S. Raschka, rasbt/deeplearning-models, nin-cifar10_batchnorm.ipynb, one run each",
            "https://github.com/rasbt/deeplearning-models",
        ),
    ),
)
