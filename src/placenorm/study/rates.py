"""Learning rates: the grid that a comparison starts with, the choice, and the growth of the grid at its ends."""

from collections.abc import Mapping, Sequence

from placenorm.errors import UsageError
from placenorm.facts.trial import TrialResult

STEP = 3.0
"""Factor between neighbouring rates. Three keeps the best rate within a factor of 1.8 of a grid point."""

MAX_STEPS = 3
"""Steps that a grid may grow on either side: a factor of 27, after which a longer search is the user's decision."""

SIGNIFICANT_DIGITS = 6
"""Grown rates are rounded to this, so that a rate and its printed form name the same trial."""

# SGD stands for momentum 0.9, where 0.1 is the customary rate of normed networks; AdamW's customary rate is 1e-3.
_DEFAULT_RATES = {"sgd": (0.01, 0.03, 0.09), "adamw": (0.001, 0.003, 0.009)}


def default_rates(optimizer: str) -> tuple[float, ...]:
    """Return the learning rates that every variant and seed starts with.

    Args:
        optimizer: ``sgd`` (momentum 0.9) or ``adamw``.

    Returns:
        A geometric grid with the factor `STEP`, in ascending order.

    Raises:
        UsageError: if there is no grid for such an optimizer.
    """
    if optimizer not in _DEFAULT_RATES:
        raise UsageError(
            f"No learning rates are known for the optimizer {optimizer!r}; "
            f"use one of {', '.join(_DEFAULT_RATES)}, or give the rates with --lr."
        )
    return _DEFAULT_RATES[optimizer]


def best_trial(trials: Sequence[TrialResult]) -> TrialResult:
    """Return the trial of one variant and seed at its best learning rate: the lowest validation loss at the end.

    A trial without a validation loss (it diverged) comes after all others. Ties go to the lower rate, and so does
    the choice among trials that all diverged.

    Raises:
        ValueError: if there is no trial.
    """
    if not trials:
        raise ValueError("best_trial needs at least one trial to choose from; got none.")
    return min(trials, key=lambda trial: (trial.val_loss is None, trial.val_loss or 0.0, trial.key.lr or 0.0))


def grow_grid(
    grid: Sequence[float | None], chosen: Mapping[str, TrialResult], start: Sequence[float | None]
) -> tuple[float, ...]:
    """Return the rates that all variants of one seed must still try, because a chosen rate lies at an end of the grid.

    Where any variant's chosen rate is the lowest or the highest of the grid, the grid grows by one step on that side,
    at most `MAX_STEPS` beyond the rates it started with. The step is the ratio of the last two rates on that side.
    Every variant of the seed gets the new rates, so that all of them choose from the same grid; other seeds do not,
    so that seeds stay independent of each other.

    Args:
        grid: the rates that every variant of the seed has tried.
        chosen: by variant, the trial that `best_trial` chose from that grid.
        start: the rates that the seed started with.

    Returns:
        New rates in ascending order, at most one a side; empty when the search is over. A single rate does not grow:
        there was no choice; nor does ``(None,)``, where the user's own training loop sets the rate.
    """
    first = sorted({rate for rate in start if rate is not None})
    rates = sorted({rate for rate in grid if rate is not None})
    if len(first) < 2:
        return ()
    taken = {trial.key.lr for trial in chosen.values()}
    grown = []
    if rates[0] in taken and sum(rate < first[0] for rate in rates) < MAX_STEPS:
        grown.append(_round(rates[0] * rates[0] / rates[1]))
    if rates[-1] in taken and sum(rate > first[-1] for rate in rates) < MAX_STEPS:
        grown.append(_round(rates[-1] * rates[-1] / rates[-2]))
    return tuple(grown)


def _round(rate: float) -> float:
    return float(f"{rate:.{SIGNIFICANT_DIGITS}g}")
