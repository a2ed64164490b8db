"""What the rules of the claims share: observations by their factors, the best rate of each seed, paired intervals."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Literal

from placenorm.facts.claim import Effect, Factor, Number, Observation
from placenorm.facts.comparison import MIN_SEEDS, Pair
from placenorm.study.pairing import FAMILY_ERROR, critical_t, floor_of, judge_pair, spread
from placenorm.study.speed import find_crossing

POINT = 0.01
"""The margin for accuracy: differences up to one point have no practical meaning."""

Side = Literal["below", "above", "open"]
"""Where an interval lies of a limit."""


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
) -> Pair:
    """Return the paired difference first - second over the seeds that both have, with its word.

    Args:
        first: values by seed.
        second: values by seed.
        comparisons: how many such intervals the claim rests on; all of them share one error of 5 % (Bonferroni).
        margin: differences up to this size have no practical meaning.
    """
    floor = floor_of([*first.values(), *second.values()], 0.0)
    return judge_pair(
        ("first", "second"),
        (first, second),
        higher_is_better=True,
        floor=floor,
        margin=margin,
        error=FAMILY_ERROR / comparisons,
    )


def effect_of(name: str, pair: Pair, unit: str = "", scale: float = 1.0, **factors: Factor) -> Effect:
    """Return a paired difference as an effect, times a scale (100 for points)."""
    low, high = (None if end is None else scale * end for end in (pair.low, pair.high))
    return Effect(name, scale * pair.difference, low, high, pair.seeds, unit, factors)


def estimate(values: Sequence[float], comparisons: int = 1, quantum: float = 0.0) -> tuple[float, Number, Number]:
    """Return the mean of some values, one a seed, with the interval of Student's t; without one for a single value.

    Args:
        values: one a seed.
        comparisons: how many such intervals the claim rests on.
        quantum: the smallest step of the values. Equal values prove no more than values of which one is a step away
            would: that is the least spread to believe in.
    """
    mean = fmean(values)
    if len(values) < 2:
        return mean, None, None
    _, sd = spread(values, quantum / math.sqrt(len(values)))
    half = critical_t(len(values), FAMILY_ERROR / comparisons) * sd / math.sqrt(len(values))
    return mean, mean - half, mean + half


def find_arrival(observation: Observation, target: float) -> float:
    """Return the step at which a training first reached a validation accuracy, straight lines between; inf if never."""
    points = zip(observation.series["step"], observation.series["val_accuracy"], strict=False)
    curve = ((step, None if height is None else height - target) for step, height in points if step is not None)
    arrival = find_crossing(curve)
    return math.inf if arrival is None else arrival


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


def seeds_of(observations: Iterable[Observation]) -> list[int]:
    """Return the seeds of observations, each once, in order."""
    return sorted({observation.question.seed for observation in observations})


def largest(observations: Iterable[Observation], value: str) -> float:
    """Return the largest of a value over observations; infinite where one could not be measured, or there is none."""
    found = [observation.values.get(value) for observation in observations]
    return max((math.inf if number is None or math.isnan(number) else number for number in found), default=math.inf)


def average_by_seed(observations: Iterable[Observation], value: Callable[[Observation], Number]) -> dict[int, float]:
    """Return the mean over the observations of each seed of a value, where it was measured."""
    found: dict[int, list[float]] = {}
    for observation in observations:
        number = value(observation)
        if number is not None:
            found.setdefault(observation.question.seed, []).append(number)
    return {seed: fmean(numbers) for seed, numbers in sorted(found.items())}


def find_side(values: Sequence[float], limit: float, comparisons: int = 1, quantum: float = 0.0) -> Side:
    """Return on which side of a limit the mean of some values, one a seed, lies with its whole interval of `estimate`.

    Returns:
        ``below`` if the interval's upper end is at most the limit, ``above`` if its lower end is over it, else
        ``open``; always ``open`` with fewer than `MIN_SEEDS` values.
    """
    if len(values) < MIN_SEEDS:
        return "open"
    _, low, high = estimate(values, comparisons, quantum)
    if high is not None and high <= limit:
        return "below"
    return "above" if low is not None and low > limit else "open"


def effect_of_mean(
    name: str, values: Sequence[float], unit: str = "", comparisons: int = 1, quantum: float = 0.0, **factors: Factor
) -> Effect:
    """Return the mean of some values, one a seed, as an effect; see `estimate`."""
    mean, low, high = estimate(values, comparisons, quantum) if values else (0.0, None, None)
    return Effect(name, mean, low, high, len(values), unit, factors)


def effect_of_share(
    name: str, shares: Sequence[float], comparisons: int = 1, quantum: float = 0.0, **factors: Factor
) -> Effect:
    """Return the mean of some shares, one a seed, as an effect in percent.

    An interval of Student's t does not know that a share ends at 0 and 1, so its ends are put there.
    """
    measured = estimate(shares, comparisons, quantum) if shares else (0.0, None, None)
    mean, low, high = (None if end is None else 100 * min(max(end, 0.0), 1.0) for end in measured)
    return Effect(name, mean or 0.0, low, high, len(shares), "percent", factors)
