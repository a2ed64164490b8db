"""Which placements a search tries: drawn at random first, then where Optuna's sampler expects better ones.

Everything here is a function of what was found so far and of a fixed seed, so that a search that is stopped goes on as
the first would have, and neither workers nor the order in which they finish change it.
"""

import warnings
from collections.abc import Callable, Collection, Sequence

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState, create_trial

from placenorm.facts.search import SearchSpace

Indices = tuple[int, ...]
Allows = Callable[[Indices], bool]
"""Whether the network can have a placement: some positions of two blocks exclude each other."""

SEED = 0x5EA2C4
"""All randomness of a search comes from it."""

BATCH = 4
"""Placements that are asked for at a time, from all that is known before: their trials may run side by side."""

PATIENCE = 50
"""Proposals in a row that were tried before or that the network cannot have, until new ones are drawn at random."""


def draw_placements(space: SearchSpace, count: int, known: Collection[Indices], allows: Allows) -> list[Indices]:
    """Return placements drawn at random, none of them known and none twice; fewer where there are no more.

    Over all that are drawn, every position of a block is drawn about equally often, and blocks independently of each
    other: the columns of a table are shuffled, each for itself.

    Args:
        space: where from.
        count: how many.
        known: those that were tried.
        allows: whether the network can have one.
    """
    rng = np.random.default_rng(SEED)
    seen, drawn = set(known), list[Indices]()
    for _ in range(PATIENCE):
        if len(drawn) >= count or len(seen) >= space.size:
            break
        columns = [_draw_column(rng, len(choice.positions), count) for choice in space.choices]
        for row in zip(*columns, strict=True):
            indices = tuple(int(index) for index in row)
            if indices not in seen and len(drawn) < count:
                seen.add(indices)
                if allows(indices):
                    drawn.append(indices)
    return drawn


def _draw_column(rng: np.random.Generator, positions: int, count: int) -> NDArray[np.int64]:
    """Return a position for each of so many placements, at random, all positions equally often or once more."""
    turns = [rng.permutation(positions) for _ in range(-(-count // positions))]
    return rng.permutation(np.concatenate(turns)[:count])


def ask_placements(
    space: SearchSpace, found: Sequence[tuple[Indices, float]], count: int, known: Collection[Indices], allows: Allows
) -> list[Indices]:
    """Return placements that Optuna's sampler (TPE, multivariate) expects to be good, as `draw_placements` does.

    Args:
        space: where from.
        found: every placement that was tried and what it is worth, higher is better, in the order of the search.
        count: how many.
        known: those that were tried, or cannot be.
        allows: whether the network can have one.
    """
    distributions: dict[str, BaseDistribution] = {
        choice.blocks[0]: CategoricalDistribution(choice.positions) for choice in space.choices
    }
    seen, asked = set(known), list[Indices]()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it greets every study it makes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # multivariate, and the liar
        sampler = optuna.samplers.TPESampler(
            seed=SEED + len(found), multivariate=True, constant_liar=True, n_startup_trials=0
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([_as_trial(space, indices, value, distributions) for indices, value in found])
        misses = 0
        while len(asked) < count and misses < PATIENCE and len(seen) < space.size:
            trial = study.ask(distributions)
            chosen = zip(space.choices, (trial.params[choice.blocks[0]] for choice in space.choices), strict=True)
            indices = tuple(choice.positions.index(position) for choice, position in chosen)
            if indices in seen or not allows(indices):
                seen.add(indices)
                misses += 1
                study.tell(trial, state=TrialState.FAIL)
                continue
            seen.add(indices)
            asked.append(indices)
    return asked + draw_placements(space, count - len(asked), seen, allows)


def _as_trial(
    space: SearchSpace, indices: Indices, value: float, distributions: dict[str, BaseDistribution]
) -> optuna.trial.FrozenTrial:
    chosen = zip(space.choices, indices, strict=True)
    parameters = {choice.blocks[0]: choice.positions[index] for choice, index in chosen}
    return create_trial(value=value, params=parameters, distributions=distributions)
