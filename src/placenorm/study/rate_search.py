"""The search for the learning rate of one variant and seed, where a comparison may stop early.

It starts at the middle rate and goes to the neighbours of the best rate so far, the one above first, until both were
tried; beyond the ends of the rates that it starts with it goes on by their steps. A trial that is clearly behind the
best so far ends before its time.

All of it looks at trials of that variant and seed alone, and in one order: equal arms stay exchangeable within a seed,
and seeds independent of each other, so that the verdict holds for arms "as this search trains them".
Why: docs/decisions/0014-stopping-early.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from placenorm.facts.trial import Curve, EpochRecord, TrialKey, TrialResult
from placenorm.study.plan import SeedPlan
from placenorm.study.rates import best_trial, grow_grid

SLACK = 2
"""Records by which a trial may lag behind the best one so far. Curves cross, and single records jump.

A row of the table of searches in docs/decisions/0014-stopping-early.md.
"""

QUARTER = 4
"""No trial ends before a quarter of its training."""


@dataclass(frozen=True, slots=True)
class RateSearch:
    """Where the search of one variant and seed stands.

    Attributes:
        tried: the rates that were tried, in ascending order.
        next: the trial that is wanted next; None when the search is over.
        bar: validation losses that it has to keep up with, by training step; empty where there are none.
        chosen: the trial at the best rate; None while the search goes on, and where one of its trials failed.
    """

    tried: tuple[float | None, ...]
    next: TrialKey | None
    bar: Curve
    chosen: TrialResult | None


def search_rate(
    variant: str, seed: int, start: Sequence[float | None], results: Mapping[TrialKey, TrialResult]
) -> RateSearch:
    """Return where the search for the learning rate of one variant and seed stands.

    Args:
        variant: name of the variant.
        seed: the seed.
        start: the learning rates to start with, in ascending order; one rate, or (None,), is all there is to try.
        results: finished trials, of any variant and seed.
    """
    grid = list(start)
    tried: list[TrialResult] = []
    rate = grid[(len(grid) - 1) // 2]
    while True:
        key = TrialKey(variant, seed, rate)
        if key not in results:
            return RateSearch(_rates_of(tried), key, _bar_of(tried), None)
        tried.append(results[key])
        if results[key].failure is not None:
            return RateSearch(_rates_of(tried), None, (), None)
        best = _best_of(tried)
        grid = sorted((*grid, *grow_grid(grid, {variant: best}, start)), key=_as_number)
        place = grid.index(best.key.lr)
        near = (*grid[place + 1 : place + 2], *grid[max(place - 1, 0) : place])
        untried = [neighbour for neighbour in near if all(trial.key.lr != neighbour for trial in tried)]
        if not untried:
            return RateSearch(_rates_of(tried), None, (), best)
        rate = untried[0]


def plan_searches(
    seed: int, variants: Sequence[str], start: Sequence[float | None], results: Mapping[TrialKey, TrialResult]
) -> SeedPlan:
    """Return where the searches of all variants of one seed stand; arguments as in `search_rate`."""
    searches = {variant: search_rate(variant, seed, start, results) for variant in variants}
    wanted = {search.next: search.bar for search in searches.values() if search.next is not None}
    chosen = {variant: search.chosen for variant, search in searches.items() if search.chosen is not None}
    tried = {rate for search in searches.values() for rate in search.tried}
    return SeedPlan(seed, tuple(sorted(tried, key=_as_number)), tuple(wanted), {} if wanted else chosen, wanted)


def is_behind(records: Sequence[EpochRecord], bar: Curve, epochs: int, slack: int = SLACK) -> bool:
    """Return whether a trial is so far behind that it ends here.

    It is, where the lowest validation loss that it has reached is above everything that the best trial so far showed
    from `slack` records ago to its end. The first record and the first quarter of the training end nothing.

    Args:
        records: of the trial, so far.
        bar: validation losses of the best trial so far, one a record.
        epochs: records that a whole trial has.
        slack: records by which a trial may lag behind.
    """
    count = len(records)
    if not bar or count < max(2, epochs / QUARTER) or count >= epochs:
        return False
    reached = [record.val_loss for record in records if record.val_loss is not None]
    return bool(reached) and min(reached) > max(loss for _, loss in bar[max(count - 1 - slack, 0) :])


def end_early(trial: TrialResult, bar: Curve, epochs: int, slack: int = SLACK) -> TrialResult:
    """Return what a trial that ran to its end would have been, had it had to keep up with these losses.

    Args:
        trial: the trial.
        bar: validation losses of the best trial so far.
        epochs: records that a whole trial has.
        slack: records by which a trial may lag behind.
    """
    for count in range(1, len(trial.epochs)):
        if is_behind(trial.epochs[:count], bar, epochs, slack):
            return cut_short(trial.key, trial.epochs[:count], trial.step_time_ms)
    return trial


def cut_short(key: TrialKey, records: Sequence[EpochRecord], step_time_ms: float) -> TrialResult:
    """Return the result of a trial that ended at its last record because it was behind."""
    last = records[-1]
    return TrialResult(
        key=key,
        epochs=tuple(records),
        val_loss=last.val_loss,
        val_metric=last.val_metric,
        test_metric=None,
        diverged_at=None,
        steps=last.step,
        step_time_ms=step_time_ms,
        pruned_at=last.step,
    )


def _best_of(tried: Sequence[TrialResult]) -> TrialResult:
    """The best of the trials that were not ended early; the first never is."""
    return best_trial([trial for trial in tried if trial.pruned_at is None])


def _bar_of(tried: Sequence[TrialResult]) -> Curve:
    if not tried or _best_of(tried).val_loss is None:
        return ()
    return tuple((record.step, record.val_loss) for record in _best_of(tried).epochs if record.val_loss is not None)


def _rates_of(tried: Sequence[TrialResult]) -> tuple[float | None, ...]:
    return tuple(sorted((trial.key.lr for trial in tried), key=_as_number))


def _as_number(rate: float | None) -> float:
    return 0.0 if rate is None else rate
