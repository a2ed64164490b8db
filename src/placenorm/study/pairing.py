"""Paired differences of two variants: the corrected interval, the word for it, and the seeds it still wants."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import pairwise

from scipy.special import ndtri, stdtr, stdtrit

from placenorm.facts.comparison import MAX_MORE_SEEDS, MIN_SEEDS, Pair, Word

FAMILY_ERROR = 0.05
"""Chance that any interval of a comparison misses its true difference, over all pairs and both questions."""

DECISION_POWER = 0.8
"""What "would probably decide it" means: the chance of it, if the mean and the spread seen so far are the true ones."""

FUTILE_CHANCE = 0.1
"""Below this chance to be decided by the seeds that are asked for, a difference is not worth them.

A row of the table of bounds in docs/decisions/0014-stopping-early.md.
"""

Critical = Callable[[int, float], float]
"""The critical value of |t| for a mean over so many seeds, of an interval that may err with this chance."""

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
    critical: Critical = critical_t,
) -> Pair:
    """Return the paired difference of two variants with its interval and its word.

    Args:
        names: of the two variants.
        values: by seed, what each variant reached; seeds that only one of them has do not count.
        higher_is_better: which way is good.
        floor: smallest standard deviation of the differences to believe in.
        margin: differences up to this size have no practical meaning, in the units of the values.
        error: chance that this one interval may miss (0 to 1).
        critical: gives the critical value: Student's for one look, or one that holds at every look.
    """
    sign = 1.0 if higher_is_better else -1.0
    seeds = sorted(values[0].keys() & values[1].keys())
    differences = [sign * (values[0][seed] - values[1][seed]) for seed in seeds]
    count = len(differences)
    if count < 2:
        mean = differences[0] if differences else 0.0
        return Pair(*names, mean, None, None, None, count, "undecided", None, None)
    mean, sd = spread(differences, floor)
    half = critical(count, error) * sd / math.sqrt(count)
    if not math.isfinite(half):
        more = count_more_seeds(mean, sd, count, margin, error, critical)
        return Pair(*names, mean, None, None, sd, count, "undecided", None, more)
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
        more_seeds=count_more_seeds(mean, sd, count, margin, error, critical) if word == "undecided" else None,
    )


def _find_word(low: float, high: float, margin: float) -> Word:
    # The order is the rule: a difference that is certain and too small to matter is no reason to choose.
    if -margin <= low and high <= margin:
        return "no practical difference"
    return "better" if low > 0 or high < 0 else "undecided"


def count_more_seeds(
    mean: float, sd: float, seeds: int, margin: float, error: float, critical: Critical = critical_t
) -> int | None:
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
        critical: gives the critical value.

    Returns:
        Seeds beyond those there are, 1 to `MAX_MORE_SEEDS`; None where more would be needed.
    """
    distance = max(abs(mean), margin - abs(mean))
    wander = float(ndtri(DECISION_POWER))

    def decides(more: int, critical: Critical) -> bool:
        total = seeds + more
        return (critical(total, error) + wander) * sd <= distance * math.sqrt(total)

    # Student's critical value is the least there is: where it never does, none need be searched.
    if not distance > 0 or not decides(MAX_MORE_SEEDS, critical_t):
        return None
    return next((more for more in range(1, MAX_MORE_SEEDS + 1) if decides(more, critical)), None)


def find_chance(pair: Pair, more: int, margin: float, error: float, critical: Critical = critical_t) -> float:
    """Return the chance that further seeds decide an undecided pair, as far as the seeds so far let one predict.

    Only the last of the further seeds is looked at, and the spread is taken to stay what it is. The mean at the end is
    then Student's t around the mean so far: what is not known of the true mean, and the scatter of the seeds to come.

    Args:
        pair: the pair.
        more: further seeds, at least 1.
        margin: differences up to this size have no practical meaning.
        error: chance that this one interval may miss (0 to 1).
        critical: gives the critical value.

    Returns:
        The chance (0 to 1); 1 where there are too few seeds to predict anything.

    Source:
        The predictive distribution of a Gaussian mean under the usual flat prior, Gelman et al., Bayesian Data
        Analysis, section 3.2.
    """
    if pair.seeds < 2 or pair.sd is None:
        return 1.0
    total = pair.seeds + more
    half = critical(total, error) * pair.sd / math.sqrt(total)
    scale = pair.sd * math.sqrt(more / (pair.seeds * total))
    if not scale > 0:  # every difference is the same, and it was not decided
        return 0.0

    def below(mean: float) -> float:
        return float(stdtr(pair.seeds - 1, (mean - pair.difference) / scale))

    room = margin - half
    if room >= half:
        return 1.0
    return below(-half) + 1.0 - below(half) + (below(room) - below(-room) if room > 0 else 0.0)
