"""Searches whose truth is known: what a placement is worth is a formula, and no network is trained."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import nn

from placenorm.facts.graph import Graph
from placenorm.facts.placement import Position
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.search_space import find_terrain
from placenorm.study.searching import SearchAgenda, SearchPlan, make_search
from support.results import make_trial
from support.trials import make_small_plan

Truth = Callable[[Mapping[str, Position]], float]


class Chain(nn.Sequential):
    """Five linear layers with activations: four blocks with a choice, and the logits."""

    def __init__(self) -> None:
        super().__init__(
            *(layer for _ in range(4) for layer in (nn.Linear(6, 6), nn.ReLU())),
            nn.Linear(6, 3),
        )


BLOCKS = ("0", "2", "4", "6")
"""Keys of the blocks of `Chain` that have a choice."""


def make_search_plan(
    folder: Path, *, trials: int = 120, margin: float = 0.01, metric: str | None = None, model: object = Chain
) -> SearchPlan:
    """Return a search on a small network, with the named policies as variants."""
    head = make_small_plan(folder, model=model, margin=margin, metric=metric, lr=[0.01, 0.1]).head
    head = replace(head, metric=replace(head.metric, quantum=0.0))  # the worth of its trials does not move in samples
    return make_search(head, find_terrain(base_of(head.variants), lambda placement: ()), trials)


def base_of(variants: object) -> Graph:
    """Return the graph of the network as it is: that of the variant that changes nothing."""
    return next(variant.graph for variant in variants if not variant.changes)  # type: ignore[attr-defined]


def run_trial(plan: SearchPlan, key: TrialKey, truth: Truth, noise: float = 0.0) -> TrialResult:
    """Return what a trial gives: the truth, what its seed adds, and noise that belongs to the trial."""
    variants = {variant.name: variant.placement for variant in plan.head.variants}
    terrain = plan.terrain
    placement = variants.get(key.variant) or terrain.placement(terrain.space.indices(key.variant))
    rng = random.Random(str(key))
    value = truth(placement) + 0.001 * (key.seed % 7) + rng.gauss(0.0, noise)
    return make_trial(key.variant, key.seed, key.lr, curve=(value,), test=None, val_loss=1.0 + abs((key.lr or 0) - 0.1))


def run_search(
    plan: SearchPlan,
    truth: Truth,
    noise: float = 0.0,
    *,
    results: Mapping[TrialKey, TrialResult] | None = None,
    workers: int = 1,
    most: int = 10_000,
) -> dict[TrialKey, TrialResult]:
    """Return the trials of a search that so many workers run, finishing in another order than they began."""
    found = dict(results or {})
    agenda = SearchAgenda(plan, found)
    running: list[TrialKey] = []
    while len(found) < most:
        while len(running) < workers and (order := agenda.take()) is not None:
            running.append(order.key)
        if not running:
            break
        result = run_trial(plan, running.pop(), truth, noise)
        found[result.key] = result
        agenda.note(result)
    return found


def in_metric(result: TrialResult, metric: float) -> TrialResult:
    """Return a result with another metric on validation data."""
    return replace(result, val_metric=metric)
