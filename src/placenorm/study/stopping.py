"""When a comparison that may stop early stops: a look at its complete seeds, one after the other.

A pair of arms is open while its difference in the final metric is undecided, and the seeds that are asked for may still
decide it. An arm is trained while one of its pairs is open; where none is left, the comparison has come to its end.

Everything here is a function of the stored trials, so that neither the order in which they finished nor trials that ran
ahead of a stop change the verdict. The rule and its simulation: docs/decisions/0014-stopping-early.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from placenorm.facts.comparison import MIN_SEEDS, Comparison, Course, Ending, Pair
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.pairing import FUTILE_CHANCE, find_chance
from placenorm.study.plan import SeedPlan
from placenorm.study.rate_search import plan_searches
from placenorm.study.verdict import critical_of, error_of_each, judge_final


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a comparison that may stop early stands after its complete seeds.

    Attributes:
        plans: the complete seeds, from 0 on.
        living: arms that are still trained, in the order of the plan.
        stopped: arms that are not trained on, by name: after how many seeds.
        ending: why it stopped; None while it goes on, or where it has run all its seeds.
    """

    plans: tuple[SeedPlan, ...]
    living: tuple[str, ...]
    stopped: dict[str, int]
    ending: Ending | None

    @property
    def chosen(self) -> tuple[TrialResult, ...]:
        """For every complete seed and arm, the trial at its best rate."""
        return tuple(result for plan in self.plans for result in plan.chosen.values())


def begin(head: Comparison) -> Standing:
    """Return where a comparison stands before its first seed."""
    return Standing((), tuple(variant.name for variant in head.variants), {}, None)


def plan_next(standing: Standing, seed: int, head: Comparison, results: Mapping[TrialKey, TrialResult]) -> SeedPlan:
    """Return where a seed that is not complete stands, if no further arm stops before it.

    Args:
        standing: where the comparison stands.
        seed: the seed.
        head: the comparison.
        results: finished trials.
    """
    return plan_searches(seed, standing.living, head.settings.learning_rates, results)


def advance(standing: Standing, head: Comparison, results: Mapping[TrialKey, TrialResult]) -> Standing:
    """Return where a comparison stands when every seed that is complete by now was looked at, in turn.

    Args:
        standing: where it stood, with fewer results or none.
        head: the comparison.
        results: finished trials, of any seed.
    """
    while standing.ending is None and len(standing.plans) < head.settings.seeds:
        plan = plan_next(standing, len(standing.plans), head, results)
        if plan.missing:
            break
        standing = _look(replace(standing, plans=(*standing.plans, plan)), head)
    return standing


def course_of(standing: Standing, head: Comparison, results: Mapping[TrialKey, TrialResult]) -> Course:
    """Return how far a comparison has come, as a fact; arguments as in `advance`."""
    longest = max((result.steps for result in results.values()), default=0)
    start = head.settings.learning_rates
    rates = fmean(len({*start, *plan.grid}) for plan in standing.plans) if standing.plans else len(start)
    return Course(
        seeds=len(standing.plans),
        stopped=standing.stopped,
        ending=standing.ending,
        steps=sum(result.steps for result in results.values()),
        whole_steps=round(len(head.variants) * head.settings.seeds * rates * longest),
    )


def _look(standing: Standing, head: Comparison) -> Standing:
    """Look at a comparison that has one seed more: which arms go on, and whether any does."""
    settings, seeds = head.settings, len(standing.plans)
    if len(head.variants) < 2 or not MIN_SEEDS <= seeds < settings.seeds:
        return standing
    answer = judge_final(head.variants, standing.chosen, head.metric, settings.margin, settings.planned)
    if not answer.pairs:  # all trials of all arms but one have failed so far
        return standing
    undecided = [pair for pair in answer.pairs if pair.word == "undecided"]
    error = error_of_each(math.comb(len(head.variants), 2))
    wanted = {name for pair in undecided if _is_open(pair, standing, error, head) for name in (pair.first, pair.second)}
    living = tuple(name for name in standing.living if name in wanted)
    stopped = standing.stopped | {name: seeds for name in standing.living if name not in wanted}
    ending: Ending = "futile" if undecided else "decided"
    return Standing(standing.plans, living, stopped, None if living else ending)


def _is_open(pair: Pair, standing: Standing, error: float, head: Comparison) -> bool:
    """Whether an undecided pair may still be decided by the seeds that are asked for, and both its arms are trained."""
    if pair.first not in standing.living or pair.second not in standing.living:
        return False
    more = head.settings.seeds - len(standing.plans)
    critical = critical_of(head.settings.planned)
    return find_chance(pair, more, head.settings.margin, error, critical) >= FUTILE_CHANCE
