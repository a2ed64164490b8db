"""Which placements are not shown to have learned anything: no better than one and the same answer to every sample."""

from collections.abc import Mapping

from placenorm.facts.comparison import MIN_SEEDS, Metric, Pair
from placenorm.facts.trial import TrialResult
from placenorm.study.pairing import FAMILY_ERROR, Critical, floor_of, judge_pair

IDLE = "one answer to every sample"


def find_idle(
    trials: Mapping[str, Mapping[int, TrialResult]], metric: Metric, critical: Critical
) -> tuple[tuple[str, ...], float | None]:
    """Return the variants that are not shown to be better than an answer that does not look at the sample.

    The difference is paired by seed, as the test data may be split anew for each; the intervals of all variants hold
    together. Below `MIN_SEEDS` seeds only a mean that is no better counts.

    Args:
        trials: by variant and seed, the chosen trial.
        metric: the metric.
        critical: as in `judge_pair`.

    Returns:
        Their names, in order, and the mean metric of that answer; none and None where it is not known.
    """
    known = {
        name: {seed: trial for seed, trial in arm.items() if None not in (trial.test_metric, trial.idle_metric)}
        for name, arm in trials.items()
    }
    idle = {seed: trial.idle_metric or 0.0 for arm in known.values() for seed, trial in arm.items()}
    if not all(known.values()):
        return (), None
    reached = {name: {seed: trial.test_metric or 0.0 for seed, trial in arm.items()} for name, arm in known.items()}
    floor = floor_of((value for arm in (*reached.values(), idle) for value in arm.values()), metric.quantum)
    lazy = [
        name
        for name, arm in reached.items()
        if not _is_above(
            judge_pair(
                (name, IDLE),
                (arm, idle),
                higher_is_better=metric.higher_is_better,
                floor=floor,
                margin=0.0,
                error=FAMILY_ERROR / len(reached),
                critical=critical,
            )
        )
    ]
    return tuple(lazy), sum(idle.values()) / len(idle)


def _is_above(pair: Pair) -> bool:
    return pair.difference > 0 and (pair.seeds < MIN_SEEDS or (pair.low is not None and pair.low > 0))
