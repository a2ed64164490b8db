"""A search per block as it stands: which placements were tried, which trials come next, and what was found.

Named policies come first, at all learning rates of the grid; the best of them lends its rate of each seed to all other
placements. Then placements that are drawn at random, and then those that the sampler asks for, batch by batch.
All of it is a function of the stored trials.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from placenorm.facts.comparison import Comparison
from placenorm.facts.search import SEARCHED, Search, SearchEnding
from placenorm.facts.trial import TrialKey, TrialOrder, TrialResult
from placenorm.study.effects import judge_blocks
from placenorm.study.pairing import FAMILY_ERROR, floor_of
from placenorm.study.proposals import BATCH, Indices, ask_placements, draw_placements
from placenorm.study.rates import best_trial
from placenorm.study.search_space import Terrain

FIRST_SEED = 500_000
"""Seeds of a search are counted from here: the verdict's seeds, from 0 on, are fresh ones."""

SEEDS = 3
"""Seeds that every placement is tried at, the same for all."""

DRAWN_SHARE = 0.5
"""Share of the placements, named policies aside, that is drawn at random before the sampler is asked."""


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """A search that can be run.

    Attributes:
        head: the named policies as variants, the metric, the rates, the margin.
        terrain: the network and what its blocks choose from.
        trials: trials that it may take.
        policies: the named policies by name, as placements that may be tried; None where they are not among these.
        seeds: seeds that every placement is tried at.
    """

    head: Comparison
    terrain: Terrain
    trials: int
    policies: dict[str, Indices | None]
    seeds: int = SEEDS

    @property
    def seed_numbers(self) -> range:
        """The seeds themselves."""
        return range(FIRST_SEED, FIRST_SEED + self.seeds)

    def worth(self, result: TrialResult) -> float | None:
        """Return what a trial is worth, higher is better: its metric on validation data; None where it has none."""
        metric = result.val_metric  # of a loop of the user's own, the last value it reported
        if metric is None or result.failure is not None:
            return None
        return metric if self.head.metric.higher_is_better else -metric


def make_search(head: Comparison, terrain: Terrain, trials: int, seeds: int = SEEDS) -> SearchPlan:
    """Return a search that can be run.

    Args:
        head: the named policies as variants.
        terrain: the network and what its blocks choose from.
        trials: trials that it may take.
        seeds: seeds that every placement is tried at.
    """
    policies: dict[str, Indices | None] = {}
    for variant in head.variants:
        code = terrain.space.find(variant.placement)
        indices = None if code is None else terrain.space.indices(code)
        fits = indices is not None and terrain.placement(indices) == variant.placement
        policies[variant.name] = indices if fits else None
    return SearchPlan(head, terrain, trials, policies, seeds)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A placement that is tried.

    Attributes:
        name: what its trials are called.
        indices: the place of each choice's position; None for a named policy that also touches other blocks.
        cost: bytes that its norms move in a training step.
        worth: mean over the seeds of what its trials are worth, higher is better; None where one of them failed.
    """

    name: str
    indices: Indices | None
    cost: int
    worth: float | None


@dataclass(frozen=True, slots=True)
class SearchStanding:
    """Where a search stands.

    Attributes:
        rates: learning rate of each seed, lent by the best named policy; None while these are being trained.
        policy: name of the best named policy; "" while these are being trained.
        spent: trials of the named policies.
        asked: placements that were asked for so far, in order, without the named policies.
        drawn: how many of these were drawn at random: the first ones.
        missing: trials that are wanted now and not finished.
        over: whether nothing further is wanted.
    """

    rates: tuple[float | None, ...] | None = None
    policy: str = ""
    spent: int = 0
    asked: tuple[Indices, ...] = ()
    drawn: int = 0
    missing: tuple[TrialKey, ...] = ()
    over: bool = False


def advance_search(
    standing: SearchStanding, plan: SearchPlan, results: Mapping[TrialKey, TrialResult]
) -> SearchStanding:
    """Return where a search stands when everything that is finished by now was looked at, in turn.

    Args:
        standing: where it stood, with fewer results or none.
        plan: the search.
        results: finished trials, failed ones among them: they are not tried again.
    """
    if standing.rates is None:
        standing = _lend_rates(standing, plan, results)
        if standing.rates is None:
            return standing
    while True:
        names = [plan.terrain.space.name(indices) for indices in standing.asked]
        missing = tuple(key for name in names for key in _keys(plan, standing, name) if key not in results)
        if missing:
            return replace(standing, missing=missing)
        more = _ask(standing, plan, results)
        if not more.asked[len(standing.asked) :]:
            return replace(standing, missing=(), over=True)
        standing = more


def _lend_rates(standing: SearchStanding, plan: SearchPlan, results: Mapping[TrialKey, TrialResult]) -> SearchStanding:
    """Return the standing with the rates that the best named policy lends, once all named policies are trained."""
    settings, names = plan.head.settings, [variant.name for variant in plan.head.variants]
    keys = [
        TrialKey(name, seed, rate) for seed in plan.seed_numbers for rate in settings.learning_rates for name in names
    ]
    missing = tuple(key for key in keys if key not in results)
    if missing:
        return replace(standing, missing=missing)
    chosen = {name: [_choose(plan, name, seed, results) for seed in plan.seed_numbers] for name in names}
    best = max(names, key=lambda name: _mean_worth(plan, chosen[name]))  # the first of several equal ones
    middle = settings.learning_rates[(len(settings.learning_rates) - 1) // 2]
    rates = tuple(middle if result is None else result.key.lr for result in chosen[best])
    return replace(standing, rates=rates, policy=best, spent=len(keys), missing=())


def _choose(plan: SearchPlan, name: str, seed: int, results: Mapping[TrialKey, TrialResult]) -> TrialResult | None:
    """Return the trial of a named policy and seed at its best rate; None where one of them failed."""
    tried = [results[TrialKey(name, seed, rate)] for rate in plan.head.settings.learning_rates]
    return best_trial(tried) if all(each.failure is None for each in tried) else None


def _mean_worth(plan: SearchPlan, chosen: list[TrialResult | None]) -> float:
    """The mean over seeds of what a named policy is worth, each seed at its own rate; nothing where a trial failed."""
    worths = [None if result is None else plan.worth(result) for result in chosen]
    whole = [worth for worth in worths if worth is not None]
    return fmean(whole) if len(whole) == len(worths) else float("-inf")


def _ask(standing: SearchStanding, plan: SearchPlan, results: Mapping[TrialKey, TrialResult]) -> SearchStanding:
    """Return the standing with further placements asked for, if the trials allow any."""
    terrain, left = plan.terrain, _count_left(plan, standing)
    if left < 1:
        return standing
    known = [indices for indices in (*plan.policies.values(), *standing.asked) if indices is not None]
    if not standing.asked:
        count = max(round(DRAWN_SHARE * left), 1)
        drawn = draw_placements(terrain.space, count, known, terrain.allows)
        if drawn:
            return replace(standing, asked=tuple(drawn), drawn=len(drawn))
    found = _find_candidates(standing, plan, results)
    worst = min((each.worth for each in found if each.worth is not None), default=0.0)
    told = [
        (each.indices, worst if each.worth is None else each.worth - _price(plan, each))
        for each in found
        if each.indices is not None
    ]
    asked = ask_placements(terrain.space, told, min(BATCH, left), known, terrain.allows)
    return replace(standing, asked=(*standing.asked, *asked))


def _price(plan: SearchPlan, candidate: Candidate) -> float:
    """What the norms of a placement cost, as a part of the margin: all of it for those of the dearest named policy."""
    dearest = max((variant.cost.norm_train_bytes for variant in plan.head.variants), default=0)
    return plan.head.settings.margin * candidate.cost / dearest if dearest else 0.0


def _keys(plan: SearchPlan, standing: SearchStanding, name: str) -> list[TrialKey]:
    """Return the trials of a placement at the rates that are lent to all."""
    assert standing.rates is not None
    return [TrialKey(name, seed, rate) for seed, rate in zip(plan.seed_numbers, standing.rates, strict=True)]


def _find_candidates(
    standing: SearchStanding, plan: SearchPlan, results: Mapping[TrialKey, TrialResult]
) -> list[Candidate]:
    """Return every placement that is finished, named policies first, in the order in which they were asked for."""
    costs = {variant.name: variant.cost.norm_train_bytes for variant in plan.head.variants}
    placements = [(name, indices, costs[name]) for name, indices in plan.policies.items()]
    terrain = plan.terrain
    placements += [(terrain.space.name(each), each, terrain.cost(each)) for each in standing.asked]
    found = []
    for name, indices, cost in placements:
        keys = _keys(plan, standing, name)
        if all(key in results for key in keys):
            worths = [plan.worth(results[key]) for key in keys]
            whole = [worth for worth in worths if worth is not None]
            found.append(Candidate(name, indices, cost, fmean(whole) if len(whole) == len(worths) else None))
    return found


# -- what was found


def conclude_search(plan: SearchPlan, results: Mapping[TrialKey, TrialResult]) -> Search | None:
    """Return what a search found, finished or not; None while its named policies are being trained.

    The best mean metric on validation data wins; of the placements that are within the margin of it, the one whose
    norms move the fewest bytes.

    Args:
        plan: the search.
        results: finished trials.
    """
    standing = advance_search(SearchStanding(), plan, results)
    if standing.rates is None:
        return None
    found = [each for each in _find_candidates(standing, plan, results) if each.worth is not None]
    if not found:
        return None
    margin, space = plan.head.settings.margin, plan.terrain.space
    worths = {each.name: each.worth for each in found if each.worth is not None}
    best = max(worths.values())
    near = [each for each in found if worths[each.name] >= best - margin]
    winner = min(near, key=lambda each: (each.cost, -worths[each.name]))
    drawn = set(standing.asked[: standing.drawn])
    known = [each for each in found if each.indices in drawn]
    values = [worths[each.name] for each in known]
    sign = 1.0 if plan.head.metric.higher_is_better else -1.0
    named = {variant.name: variant.placement for variant in plan.head.variants}
    chosen = named.get(winner.name)
    failures = [
        (result.key.variant, result.failure.reason) for result in results.values() if result.failure is not None
    ]
    failed = {name for name, _ in failures}
    return Search(
        kind="per-block",
        size=space.size,
        tried=len(found),
        drawn=len(known),
        seeds=plan.seeds,
        trials=len(results),
        ending=_find_ending(plan, standing),
        wall_s=math.fsum(result.wall_s for result in results.values()),
        found=SEARCHED if chosen is None else winner.name,
        placement=space.placement(winner.name) if chosen is None else chosen,
        metric=sign * worths[winner.name],
        policy=standing.policy,
        policy_metric=sign * worths[standing.policy] if standing.policy in worths else None,
        confidence=1.0 - FAMILY_ERROR,
        margin=margin,
        blocks=judge_blocks(
            space,
            [each.indices for each in known if each.indices is not None],
            values,
            space.placement(winner.name) if chosen is None else chosen,
            margin,
            floor_of(values, _quantum(plan) / plan.seeds),
        ),
        failed=len(failures),
        failed_of=tuple(name for name in named if name in failed),
        failure=failures[-1][1] if failures else "",
    )


def _find_ending(plan: SearchPlan, standing: SearchStanding) -> SearchEnding:
    if not standing.over:
        return "budget"
    return "all" if _count_left(plan, standing) >= 1 else "trials"


def _count_left(plan: SearchPlan, standing: SearchStanding) -> int:
    """Return how many further placements the trials allow."""
    return (plan.trials - standing.spent) // plan.seeds - len(standing.asked)


def _quantum(plan: SearchPlan) -> float:
    """The smallest step of the metric on validation data; 0 where it is continuous or not known."""
    data = plan.head.data
    return 1.0 / data.validation if plan.head.metric.quantum and data is not None and data.validation else 0.0


# -- which trial is next


class SearchAgenda:
    """The trials of a search that are still to come, as far as is known.

    Args:
        plan: the search.
        results: the trials that are finished.
    """

    ahead = 2

    def __init__(self, plan: SearchPlan, results: Mapping[TrialKey, TrialResult]) -> None:
        self._plan, self._results = plan, dict(results)
        self._out: set[TrialKey] = set()
        self._standing = advance_search(SearchStanding(), plan, self._results)
        self._waiting = list(self._standing.missing)

    @property
    def running(self) -> int:
        """How many trials were handed out and are not finished."""
        return len(self._out)

    def __len__(self) -> int:
        """How many trials are running or still to come: as many as the search may take, while it is not over."""
        if self._standing.over:
            return 0
        if self._standing.rates is None:
            return max(self._plan.trials - len(self._results), len(self._waiting) + self.running)
        left = _count_left(self._plan, self._standing) * self._plan.seeds
        return left + len(self._waiting) + self.running

    def take(self) -> TrialOrder | None:
        """Return the next trial of the placements that are tried now; None until all of them are finished."""
        if not self._waiting:
            return None
        key = self._waiting.pop(0)
        self._out.add(key)
        return TrialOrder(key)

    def note(self, result: TrialResult) -> None:
        """Ask for further placements when the last of these is finished."""
        self._results[result.key] = result
        self._out.discard(result.key)
        if not self._waiting and not self._out:
            self._standing = advance_search(self._standing, self._plan, self._results)
            self._waiting = list(self._standing.missing)
