"""Paired differences of two variants: the corrected interval, the word for it, and the seeds it still wants."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise

from scipy.special import ndtri, stdtrit

from placenorm.facts.comparison import MAX_MORE_SEEDS, MIN_SEEDS, Pair, Word

FAMILY_ERROR = 0.05
"""Chance that any interval of a comparison misses its true difference, over all pairs and both questions."""

DECISION_POWER = 0.8
"""What "would probably decide it" means: the chance of it, if the mean and the spread seen so far are the true ones."""

SAME = 1e-9
"""Values closer than this share of the largest one differ by rounding only."""


@cache
def critical_t(seeds: int, error: float) -> float:
    """Return the critical value of Student's two-sided t for a mean over seeds that may err with this chance."""
    return float(stdtrit(seeds - 1, 1.0 - error / 2))


def spread(values: Iterable[float], floor: float) -> tuple[float, float]:
    """Return the mean and the standard deviation (divided by n - 1) of two or more values, the latter at least floor.

    Three equal differences of a metric that moves in whole samples are not certainty, hence the floor.
    """
    sample = list(values)
    mean = math.fsum(sample) / len(sample)
    variance = math.fsum((value - mean) ** 2 for value in sample) / (len(sample) - 1)
    return mean, max(math.sqrt(variance), floor)


def floor_of(values: Iterable[float], quantum: float) -> float:
    """Return the smallest standard deviation to believe in: one sample, or what stands in for it.

    Args:
        values: every value that the metric took in the comparison.
        quantum: the smallest step of the metric (one sample); 0 where it is continuous or not known.

    Returns:
        The quantum; without one, the smallest distance between two different values. For a continuous metric that is
        too small to matter; for a quantised metric of the user's own it is the quantum or a multiple of it.
    """
    if quantum > 0:
        return quantum
    ordered = sorted(values)
    same = SAME * max((abs(value) for value in ordered), default=0.0)
    return min((high - low for low, high in pairwise(ordered) if high - low > same), default=0.0)


def judge_pair(
    names: tuple[str, str],
    values: tuple[Mapping[int, float], Mapping[int, float]],
    *,
    higher_is_better: bool,
    floor: float,
    margin: float,
    error: float,
) -> Pair:
    """Return the paired difference of two variants with its interval and its word.

    Args:
        names: of the two variants.
        values: by seed, what each variant reached; seeds that only one of them has do not count.
        higher_is_better: which way is good.
        floor: smallest standard deviation of the differences to believe in.
        margin: differences up to this size have no practical meaning, in the units of the values.
        error: chance that this one interval may miss (0 to 1).
    """
    sign = 1.0 if higher_is_better else -1.0
    seeds = sorted(values[0].keys() & values[1].keys())
    differences = [sign * (values[0][seed] - values[1][seed]) for seed in seeds]
    count = len(differences)
    if count < 2:
        mean = differences[0] if differences else 0.0
        return Pair(*names, mean, None, None, None, count, "undecided", None, None)
    mean, sd = spread(differences, floor)
    half = critical_t(count, error) * sd / math.sqrt(count)
    low, high = mean - half, mean + half
    word = _find_word(low, high, margin) if count >= MIN_SEEDS else "undecided"
    return Pair(
        *names,
        difference=mean,
        low=low,
        high=high,
        sd=sd,
        seeds=count,
        word=word,
        winner=(names[0] if mean > 0 else names[1]) if word == "better" else None,
        more_seeds=count_more_seeds(mean, sd, count, margin, error) if word == "undecided" else None,
    )


def _find_word(low: float, high: float, margin: float) -> Word:
    # The order is the rule: a difference that is certain and too small to matter is no reason to choose.
    if -margin <= low and high <= margin:
        return "no practical difference"
    return "better" if low > 0 or high < 0 else "undecided"


def count_more_seeds(mean: float, sd: float, seeds: int, margin: float, error: float) -> int | None:
    """Return how many further seeds would probably decide a pair, if its mean and spread are what they seem.

    The pair is decided where the interval leaves 0 out, or where it lies inside +-margin; the fewer seeds of the two
    count. Both need the interval's half-width, and room for the mean itself to wander, to be below a distance:
    to 0, or to the nearer end of the margin.

    Args:
        mean: mean difference so far.
        sd: standard deviation of the differences so far.
        seeds: paired seeds so far, at least 2.
        margin: differences up to this size have no practical meaning.
        error: chance that this one interval may miss (0 to 1).

    Returns:
        Seeds beyond those there are, 1 to `MAX_MORE_SEEDS`; None where more would be needed.
    """
    distance = max(abs(mean), margin - abs(mean))
    wander = float(ndtri(DECISION_POWER))

    def decides(more: int) -> bool:
        total = seeds + more
        return (critical_t(total, error) + wander) * sd <= distance * math.sqrt(total)

    if not distance > 0:
        return None
    more = 1 + bisect_left(range(1, MAX_MORE_SEEDS + 1), True, key=decides)
    return more if more <= MAX_MORE_SEEDS else None
