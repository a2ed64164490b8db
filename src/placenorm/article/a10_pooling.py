"""A10: where a pool follows a convolution, put the norm after the pool: a 2x2 pool makes it four times faster.

Question: How much less is the norm's work after a 2x2 pool, counted and on the clock; how much of a whole training step
is that; and does the network stay as accurate, with max pools and with average pools?

Design: A network of two 3x3 convolutions, each with its ReLU and a 2x2 pool. *Cost* (experiment ``pool-cost``): on
batches of 64 images, small (the data's own) and larger ones, the norms at a position are timed in turn with the norms
after the activation, forward and backward; the position after the activation itself is the control. *Accuracy*
(experiment ``pool-training``): 10 epochs at rates 0.03 and 0.1, each position at its better rate by validation loss.
Positions: before the activation, after it, after the pool, and after the pool before the activation (max pools only).

Measure: *Work*: values that the norms take after the activation over those that they take after the pool, and
parameters of both, counted. *Time*: the same ratio of the median times of the norms, over the control's. *Step*: that
of a whole step. *Accuracy*: on test data, after the pool less after the activation.

Rule: An interval for the time at each size of image, one for the accuracy with each pool, and one for the step; ratios
are averaged over seeds, and have their intervals, as logarithms. Fewer than three seeds: undecided. Work not `FOLD`
times less: does not hold. The time at a size is *as said* if its ratio lies, with its whole interval, above `AS_SAID`;
*less* if above 1; *no less* if at or below 1. The accuracy with a pool is *kept* if its interval lies above -`POINT`;
*lost* if it lies below 0 and reaches beyond -`POINT`. All times *as said*, all accuracies *kept*: holds. Else, some
time *less* or *as said* and some accuracy *kept*: holds only if the pool is one that keeps it, where one is *lost*, and
the map is large, where some time is not *as said*; undecided where it is neither. All times *no less*, or all
accuracies *lost*: does not hold. Else: undecided. That the parameters stay is told beside it.

Published: Page 2018, 50 runs: 94.0 % against 94.1 %, and 5 s of about 67 s less, for pool, norm, activation.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final, Literal

from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments import pool_costs, pool_trainings
from placenorm.article.experiments.pool_networks import AFTER, BEFORE, POOLED, POSITIONS, SWAPPED
from placenorm.article.statistics import (
    POINT,
    best_by_seed,
    choose,
    compare_arms,
    effect_of,
    estimate,
    levels,
    seeds_of,
    values_of,
)
from placenorm.facts.claim import Chart, Effect, Factor, Observation, Outcome, Point, Published, Question, Ruling
from placenorm.facts.comparison import MIN_SEEDS, Pair

SIDES: Final = (8, 32)
FULL_SIDES: Final = (8, 16, 32, 64)
"""Small maps, on which a call costs more than its work, and maps as real images have them."""

RATES: Final = (0.03, 0.1)
FULL_RATES: Final = (0.01, 0.03, 0.1, 0.3)

FOLD: Final = 4.0
"""The article's factor, for a 2x2 pool."""

AS_SAID: Final = 3.0
"""Times less from which the article's "four" is called right: three quarters of it, as a call has a cost of its own."""

RATIO_DIGITS: Final = 3
"""Digits of a ratio that count, in the table and in the sentences."""

TIMED: Final = (AFTER, POOLED, SWAPPED)

Speed = Literal["as-said", "less", "no-less", "open"]
Keeping = Literal["kept", "lost", "open"]


def ask(scale: Scale) -> list[Question]:
    """Return the timings and the trainings, each under every seed."""
    seeds = range(scale.seeds)
    timings = [
        pool_costs.ask(seed, position, int(side))
        for position in TIMED
        for side in scale.pick(SIDES, FULL_SIDES)
        for seed in seeds
    ]
    return timings + [
        pool_trainings.ask(seed, position, rate, pool)
        for pool in ("max", "average")
        for position in POSITIONS
        if not (pool == "average" and position == SWAPPED)
        for rate in scale.pick(RATES, FULL_RATES)
        for seed in seeds
    ]


def judge(observations: Sequence[Observation]) -> Ruling:
    """Return what the rule in this file's first lines says."""
    timings = choose(observations, pool_costs.KIND)
    sides, pools = levels(timings, "side"), levels(choose(observations, pool_trainings.KIND), "pool")
    comparisons = len(sides) + len(pools) + 1
    times = {side: _compare_cost(timings, "time_ratio", side, comparisons) for side in sides}
    gains = {pool: _compare_accuracy(observations, pool, POOLED, comparisons) for pool in pools}
    speeds = {side: _find_speed(pair) for side, pair in times.items()}
    keeping = {pool: _find_keeping(pair) for pool, pair in gains.items()}
    work = {round(each.values["elements_ratio"] or 0.0, 6) for each in choose(timings, position=POOLED)}
    seeds = min(len(seeds_of(timings)), len(seeds_of(choose(observations, pool_trainings.KIND))))
    fast, kept = [s for s in speeds.values() if s in ("as-said", "less")], "kept" in keeping.values()
    outcome: Outcome = "undecided"
    variant = ""
    if seeds < MIN_SEEDS:
        pass
    elif work != {FOLD}:
        outcome, variant = "does-not-hold", "work"
    elif set(speeds.values()) == {"as-said"} and set(keeping.values()) == {"kept"}:
        outcome = "holds"
    elif fast and kept:
        conditions = ["pool"] * ("lost" in keeping.values()) + ["size"] * (set(speeds.values()) != {"as-said"})
        outcome, variant = ("holds-only-if", "-".join(conditions)) if conditions else ("undecided", "")
    elif set(speeds.values()) == {"no-less"} or set(keeping.values()) == {"lost"}:
        outcome, variant = "does-not-hold", "time" if set(speeds.values()) == {"no-less"} else "accuracy"
    largest = max((int(side) for side in sides), default=0)
    step = _compare_cost(timings, "step_ratio", largest, comparisons)
    ratios = {int(side): _ratio("time", pair, side=side) for side, pair in times.items()}
    effects = list(ratios.values())
    effects += [effect_of("accuracy", pair, "points", 100.0, pool=pool) for pool, pair in gains.items()]
    effects.append(_ratio("step", step, side=largest))
    swapped = _compare_accuracy(observations, "max", SWAPPED, 1)
    effects.append(effect_of("accuracy-swapped", swapped, "points", 100.0))
    control, pooled = (choose(timings, position=position, side=largest) for position in (AFTER, POOLED))
    shown = {side: _round(effect.estimate) for side, effect in ratios.items()} or {0: 0.0}
    facts: dict[str, Factor] = {
        "seeds": seeds,
        "work": round(fmean(work), 1) if work else 0.0,
        "parameters_after": round(_mean(control, "norm_parameters")),
        "parameters_pool": round(_mean(pooled, "norm_parameters")),
        "time_small": shown[min(shown)],
        "time_large": shown[max(shown)],
        "time_least": min(shown.values()),
        "time_most": max(shown.values()),
        "small": min(shown),
        "large": largest,
        "share": round(100 * _mean(control, "norm_share"), 1),
        "step": round(100 * (1 - math.exp(-step.difference)), 1),
        "accuracy_max": round(100 * gains["max"].difference, 1) if "max" in gains else 0.0,
        "accuracy_average": round(100 * gains["average"].difference, 1) if "average" in gains else 0.0,
        "keeping_max": keeping.get("max", "open"),
        "keeping_average": keeping.get("average", "open"),
        "accuracy_swapped": round(100 * swapped.difference, 1),
    }
    return Ruling(outcome, tuple(effects), facts, variant)


def _compare_cost(timings: Sequence[Observation], value: str, side: Factor, comparisons: int) -> Pair:
    """Return the logarithm of the ratio at the place after the pool less that of the control's."""
    pooled, control = (
        _take_logs(
            values_of({each.question.seed: each for each in choose(timings, position=position, side=side)}, value)
        )
        for position in (POOLED, AFTER)
    )
    return compare_arms(pooled, control, comparisons=comparisons)


def _take_logs(ratios: Mapping[int, float]) -> dict[int, float]:
    return {seed: math.log(ratio) for seed, ratio in ratios.items()}


def _compare_accuracy(observations: Sequence[Observation], pool: Factor, position: str, comparisons: int) -> Pair:
    """Return the accuracy at a position less that after the activation, each at its better rate."""
    first, second = (
        values_of(best_by_seed(choose(observations, pool_trainings.KIND, pool=pool, position=each)), "test_accuracy")
        for each in (position, AFTER)
    )
    return compare_arms(first, second, comparisons=comparisons, margin=POINT)


def _find_speed(pair: Pair) -> Speed:
    if pair.low is None or pair.high is None:
        return "open"
    if pair.low > 0:
        return "as-said" if pair.low > math.log(AS_SAID) else "less"
    return "no-less" if pair.high <= 0 else "open"


def _find_keeping(pair: Pair) -> Keeping:
    if pair.low is None or pair.high is None:
        return "open"
    if pair.low > -POINT:
        return "kept"
    return "lost" if pair.high < 0 else "open"


def _ratio(name: str, pair: Pair, **factors: Factor) -> Effect:
    """Return a difference of logarithms as a ratio."""
    low, high = (None if end is None else math.exp(end) for end in (pair.low, pair.high))
    return Effect(name, math.exp(pair.difference), low, high, pair.seeds, "ratio", factors)


def _round(ratio: float) -> float:
    """Return a ratio as the table of effects prints it, so that a sentence says the same."""
    return float(f"{ratio:.{RATIO_DIGITS}g}")


def _mean(observations: Sequence[Observation], value: str) -> float:
    found = [number for each in observations if (number := each.values[value]) is not None]
    return fmean(found) if found else 0.0


def draw(observations: Sequence[Observation]) -> tuple[Chart, ...]:
    """Return how many times less the norm takes over the size of the images, and accuracy by position and pool."""
    timings, trainings = choose(observations, pool_costs.KIND), choose(observations, pool_trainings.KIND)
    costs, accuracy = [], []
    for position in TIMED:
        for side in levels(timings, "side"):
            chosen = choose(timings, position=position, side=side)
            for panel, value in (("norm", "time_ratio"), ("step", "step_ratio")):
                ratios = [number for each in chosen if (number := each.values[value]) is not None]
                if ratios:
                    mean, low, high = estimate([math.log(ratio) for ratio in ratios])
                    least, most = (None if end is None else math.exp(end) for end in (low, high))
                    costs.append(Point(float(side), math.exp(mean), position, least, most, panel=panel))
    for pool in levels(trainings, "pool"):
        for position in (BEFORE, AFTER, POOLED, SWAPPED):
            best = values_of(best_by_seed(choose(trainings, pool=pool, position=position)), "test_accuracy")
            if best:
                mean, low, high = estimate(list(best.values()))
                least, most = (None if end is None else 100 * end for end in (low, high))
                accuracy.append(Point(100 * mean, position, str(pool), least, most))
    return (
        Chart("A10-cost", "lines", tuple(costs), log_x=True),
        Chart("A10-accuracy", "dots", tuple(accuracy)),
    )


CLAIM = Claim(
    "A10",
    "pooling",
    ask,
    judge,
    draw,
    published=(
        Published(
            "A10-published-page",
            "D. Page 2018, How to train your ResNet 8, cifar10-fast, bag_of_tricks.ipynb, cells 33 to 40, 50 runs",
            "https://github.com/davidcpage/cifar10-fast/blob/f79e8b89/bag_of_tricks.ipynb",
        ),
        Published(
            "A10-published-half",
            "caffenet-benchmark, Architectures.md, one run a cell",
            "https://github.com/ducha-aiki/caffenet-benchmark/blob/e47c4ffd/Architectures.md",
        ),
    ),
    needs_images=True,
)
