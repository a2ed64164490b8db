"""What the rules of the claims share: observations by their factors, the best rate of each seed, paired intervals."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from placenorm.facts.claim import Effect, Factor, Number, Observation
from placenorm.facts.comparison import Pair
from placenorm.study.pairing import FAMILY_ERROR, critical_t, floor_of, judge_pair, spread

POINT = 0.01
"""The margin for accuracy: differences up to one point have no practical meaning."""


def choose(observations: Iterable[Observation], kind: str | None = None, **factors: Factor) -> list[Observation]:
    """Return the observations of a kind with these factors."""
    return [
        observation
        for observation in observations
        if (kind is None or observation.question.kind == kind)
        and all(observation.question.factors.get(name) == value for name, value in factors.items())
    ]


def levels(observations: Iterable[Observation], factor: str) -> list[Factor]:
    """Return the values that a factor takes, in order of appearance."""
    found = (observation.question.factors.get(factor) for observation in observations)
    return [level for level in dict.fromkeys(found) if level is not None]


def best_by_seed(observations: Iterable[Observation]) -> dict[int, Observation]:
    """Return of each seed the training at its best learning rate: the lowest validation loss at the end.

    One that diverged comes after all others; ties go to the lower rate.
    """

    def order(observation: Observation) -> tuple[bool, float, float]:
        loss = observation.values["val_loss"]
        return loss is None, loss or 0.0, float(observation.question.factors["lr"])

    best: dict[int, Observation] = {}
    for observation in observations:
        seed = observation.question.seed
        if seed not in best or order(observation) < order(best[seed]):
            best[seed] = observation
    return best


def values_of(chosen: Mapping[int, Observation], value: str) -> dict[int, float]:
    """Return a value by seed, where it was measured."""
    found = {seed: observation.values.get(value) for seed, observation in chosen.items()}
    return {seed: number for seed, number in found.items() if number is not None}


def compare_arms(
    first: Mapping[int, float],
    second: Mapping[int, float],
    *,
    comparisons: int = 1,
    margin: float = 0.0,
    higher_is_better: bool = True,
) -> Pair:
    """Return the paired difference first - second over the seeds that both have, with its word.

    Args:
        first: values by seed.
        second: values by seed.
        comparisons: how many such intervals the claim rests on; all of them share one error of 5 % (Bonferroni).
        margin: differences up to this size have no practical meaning.
        higher_is_better: which way is good; the sign of the difference follows.
    """
    floor = floor_of([*first.values(), *second.values()], 0.0)
    return judge_pair(
        ("first", "second"),
        (first, second),
        higher_is_better=higher_is_better,
        floor=floor,
        margin=margin,
        error=FAMILY_ERROR / comparisons,
    )


def effect_of(name: str, pair: Pair, unit: str = "", scale: float = 1.0, **factors: Factor) -> Effect:
    """Return a paired difference as an effect, times a scale (100 for points)."""
    low, high = (None if end is None else scale * end for end in (pair.low, pair.high))
    return Effect(name, scale * pair.difference, low, high, pair.seeds, unit, factors)


def estimate(values: Sequence[float], comparisons: int = 1) -> tuple[float, Number, Number]:
    """Return the mean of some values, one a seed, with the interval of Student's t; without one for a single value."""
    mean = fmean(values)
    if len(values) < 2:
        return mean, None, None
    _, sd = spread(values, 0.0)
    half = critical_t(len(values), FAMILY_ERROR / comparisons) * sd / math.sqrt(len(values))
    return mean, mean - half, mean + half


def find_arrival(observation: Observation, target: float) -> float:
    """Return the step at which a training first reached a validation accuracy, straight lines between; inf if never."""
    before: tuple[float, float] | None = None
    for step, height in zip(observation.series["step"], observation.series["val_accuracy"], strict=False):
        if step is None or height is None:
            continue
        if height >= target:
            if before is None or height == before[1]:
                return step
            last, low = before
            return last + (target - low) / (height - low) * (step - last)
        before = step, height
    return math.inf


def mean_by(
    observations: Iterable[Observation], factor: str, value: Callable[[Observation], Number]
) -> dict[Factor, tuple[float, Number, Number]]:
    """Return the mean over seeds, with its interval, of a value for each level of a factor."""
    found: dict[Factor, list[float]] = {}
    for observation in observations:
        number = value(observation)
        if number is not None:
            found.setdefault(observation.question.factors[factor], []).append(number)
    return {level: estimate(numbers) for level, numbers in found.items()}
