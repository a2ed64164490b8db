"""Which trials a comparison needs next, from those that are finished."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from placenorm.facts.trial import Curve, TrialKey, TrialResult
from placenorm.study.rates import best_trial, grow_grid


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """Where the search for the learning rates of one seed stands.

    Attributes:
        seed: the seed.
        grid: the rates that every variant has tried or must try, in ascending order.
        missing: the trials that are not finished.
        chosen: by variant, the trial at its best rate; empty while trials are missing. A variant with a failed trial is
            left out: it could not choose from the same rates as the others.
        bars: by missing trial, the validation losses that it has to keep up with, or it ends early.
    """

    seed: int
    grid: tuple[float | None, ...]
    missing: tuple[TrialKey, ...]
    chosen: dict[str, TrialResult]
    bars: Mapping[TrialKey, Curve] = field(default_factory=dict)


def plan_seed(
    seed: int, variants: Sequence[str], start: Sequence[float | None], results: Mapping[TrialKey, TrialResult]
) -> SeedPlan:
    """Return where one seed stands, from the finished trials alone, so that a resumed run goes on as the first would.

    Args:
        seed: the seed.
        variants: names of the variants.
        start: the learning rates that every seed starts with.
        results: finished trials, failed ones too, of any seed.
    """
    grid = tuple(start)
    while True:
        keys = [TrialKey(variant, seed, rate) for rate in grid for variant in variants]
        missing = tuple(key for key in keys if key not in results)
        if missing:
            return SeedPlan(seed, grid, missing, {})
        tried = {variant: [results[TrialKey(variant, seed, rate)] for rate in grid] for variant in variants}
        chosen = {
            variant: best_trial(trials)
            for variant, trials in tried.items()
            if all(trial.failure is None for trial in trials)
        }
        grown = grow_grid(grid, chosen, start)
        if not grown:
            return SeedPlan(seed, grid, (), chosen)
        grid = tuple(sorted((*grid, *grown), key=float))  # type: ignore[arg-type]  # a grid that grows has no None
