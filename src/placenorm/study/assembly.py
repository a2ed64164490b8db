"""A store in, a comparison out: its trials, the chosen rates and the verdict. Takes no torch."""

from collections import Counter
from dataclasses import replace

from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import TrialKey
from placenorm.study.plan import SeedPlan, plan_seed
from placenorm.study.rates import MAX_STEPS
from placenorm.study.store import THEN, TrialStore
from placenorm.study.verdict import judge


def plan_of(store: TrialStore, seed: int) -> SeedPlan:
    """Return where one seed of a stored comparison stands."""
    head = store.head
    return plan_seed(seed, [variant.name for variant in head.variants], head.settings.learning_rates, store.results)


def assemble(store: TrialStore) -> Comparison:
    """Return the comparison in a store with its trials, and with its verdict on the seeds that are finished."""
    head = store.head
    plans = [plan_of(store, seed) for seed in range(head.settings.seeds)]
    finished = [seed_plan for seed_plan in plans if not seed_plan.missing]
    chosen = tuple(result for seed_plan in finished for result in seed_plan.chosen.values())
    comparison = replace(
        head,
        trials=tuple(sorted(store.results.values(), key=lambda result: _order(head, result.key))),
        chosen=tuple(sorted(chosen, key=lambda result: _order(head, result.key))),
        grids=tuple(seed_plan.grid for seed_plan in finished),
    )
    if not chosen:
        return comparison
    quantum = 1.0 / head.data.validation if head.metric.quantum and head.data is not None else 0.0
    verdict = judge(
        head.variants,
        comparison.chosen,
        head.metric,
        head.settings.margin,
        quantum,
        _notes(comparison, len(finished)),
        comparison.trials,
    )
    unknown = _tell_unknown(comparison)
    return replace(comparison, verdict=replace(verdict, advice=unknown) if unknown else verdict)


def _tell_unknown(comparison: Comparison) -> str:
    """Return why nothing can be said, where the metric of no trial is a number though some were trained; else ""."""
    trained = [result for result in comparison.chosen if result.diverged_at is None]
    if not trained or any(result.test_metric is not None for result in comparison.chosen):
        return ""
    return (
        f"Nothing can be said: {comparison.metric.name} is NaN or infinite on the test data of every trial, though "
        f"{len(trained)} of {len(comparison.chosen)} trained to the end; give another --metric, or correct this one."
    )


def _order(head: Comparison, key: TrialKey) -> tuple[int, int, float]:
    return [variant.name for variant in head.variants].index(key.variant), key.seed, key.lr or 0.0


def _notes(comparison: Comparison, finished: int) -> tuple[str, ...]:
    """Return what a reader must know to judge a verdict, in whole sentences."""
    settings = comparison.settings
    notes = []
    if finished < settings.seeds:
        notes.append(f"Not finished: the verdict stands on {finished} of {settings.seeds} seeds.")
    notes.append(
        "Every placement of a seed starts from the same weights wherever shapes agree"
        + ("." if settings.train else " and sees the same batches in the same order.")
    )
    notes.extend([_rates_note(comparison)] if settings.train is None else [])
    if comparison.data is not None:
        notes.append(
            "The test set is fixed, so the intervals cover seeds only, not the choice of test samples."
            if comparison.data.fixed_test
            else "The data are split anew for each seed, so the intervals cover seeds and splits."
        )
        notes.extend(comparison.data.notes)
        if comparison.metric.quantum > settings.margin > 0:
            notes.append(
                f"There are {comparison.data.test} test samples: one of them is worth more than the margin, so "
                "more test data would say more."
            )
    if THEN in comparison.environment.torch:
        notes.append(
            f"Trials ran under torch {comparison.environment.torch}: part of the differences between trials of one "
            "seed may be due to that."
        )
    for variant in comparison.variants:
        notes.extend(f"{variant.label}: {skip.site} stays as it is, because {skip.reason}." for skip in variant.skipped)
    diverged = Counter(result.key.variant for result in comparison.trials if result.diverged_at is not None)
    trials = Counter(result.key.variant for result in comparison.trials)
    notes.extend(
        f"{name}: {count} of {trials[name]} trials diverged; such a rate is chosen only where every rate diverged."
        for name, count in diverged.items()
    )
    return tuple(notes)


def _rates_note(comparison: Comparison) -> str:
    """Return how learning rates were chosen, and what came of it."""
    start = [rate for rate in comparison.settings.learning_rates if rate is not None]
    words = ", ".join(f"{rate:g}" for rate in start)
    if len(start) < 2:
        return (
            f"Every trial ran at the learning rate {words}, which was given; another rate may favour another placement."
        )
    grown = [grid for grid in comparison.grids if len(grid) > len(start)]
    note = f"Each placement and seed chose its own learning rate from {words} by its validation loss"
    if not grown:
        return f"{note}; no choice lay at an end of the grid."
    ends = sum(len(grid) - len(start) >= MAX_STEPS for grid in grown)
    tried = sorted({rate for grid in grown for rate in grid if rate is not None})
    note += (
        f"; at {len(grown)} of {len(comparison.grids)} seeds a choice lay at an end, so all placements of that seed "
        f"also tried further rates (down to {tried[0]:.3g}, up to {tried[-1]:.3g})"
    )
    return f"{note}; at {ends} of them the search went as far as it goes." if ends else f"{note}."
