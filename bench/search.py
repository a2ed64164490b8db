"""Simulate searches per block whose truth is known, and write the tables of docs/decisions/0016-search.md.

Run from the root of the repository; with the default counts it takes some minutes on one core:

    python bench/search.py
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pages import write_between
from placenorm.facts.comparison import Comparison
from placenorm.facts.placement import Position
from placenorm.facts.search import BlockEffect, Choice, SearchSpace
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.effects import judge_blocks
from placenorm.study.planning import make_plan
from placenorm.study.proposals import draw_placements
from placenorm.study.request import Request
from placenorm.study.search_space import Terrain, find_terrain
from placenorm.study.searching import SearchAgenda, SearchPlan, conclude_search, make_search

PAGE = Path("docs/decisions/0016-search.md")

START = 20261127
"""Seed of all randomness."""

BLOCKS = 8
MARGIN = 0.01
NOISE = 0.01
"""Standard deviation of one trial's metric; a placement is the mean over three."""


@dataclass(frozen=True, slots=True)
class World:
    """What placements are worth.

    Attributes:
        name: what is special about it.
        gains: by block, what having its norm behind the activation is worth, over any other place.
        pair: what it is worth, beside that, that the first two blocks both have it there.
        noise: standard deviation of one trial.
        tails: degrees of freedom of the noise (Student's t); None for Gaussian noise.
    """

    name: str
    gains: Mapping[int, float]
    pair: float = 0.0
    noise: float = NOISE
    tails: float | None = None

    def worth(self, after: Mapping[int, bool]) -> float:
        """Return what a placement is worth, of which blocks have their norm behind the activation."""
        both = self.pair if after[0] and after[1] else 0.0
        return 0.8 + both + sum(gain for block, gain in self.gains.items() if after[block])

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Return the noise of so many trials."""
        if self.tails is None:
            return rng.normal(0.0, self.noise, size)
        drawn: NDArray[np.float64] = rng.standard_t(self.tails, size) / np.sqrt(self.tails / (self.tails - 2))
        return self.noise * drawn


WORLDS = (
    World("no block matters", {}),
    World("no block matters, heavy tails (t with 3 degrees of freedom)", {}, tails=3),
    World("one block is worth 4 points", {3: 0.04}),
    World("three blocks are worth 4, 2 and -3 points", {1: 0.04, 4: 0.02, 6: -0.03}),
    World("two blocks are worth 1 point each and 3 together", {0: 0.01, 1: 0.01}, pair=0.01),
)

MANY = World(
    "every block is worth 1 to 3 points, every other one the other way",
    {0: 0.03, 1: -0.03, 2: 0.02, 3: -0.02, 4: 0.015, 5: -0.015, 6: 0.01, 7: -0.01},
)

THREE: tuple[Position, ...] = ("before-activation", "after-activation", "none")
SPACE = SearchSpace(tuple(Choice((str(2 * index),), THREE) for index in range(BLOCKS)))


def write_effects(count: int) -> list[str]:
    """Return the table of intervals and words of blocks: over all that is simulated, and how often they are wrong."""
    lines = [
        "| world | placements drawn | all 24 intervals hold, % | a block without effect 'matters', % | "
        "blocks with an effect found, % | without effect 'does not matter', % |",
        "|---|---|---|---|---|---|",
    ]
    rows = [(world, drawn) for world in WORLDS for drawn in (12, 24, 48)]
    return lines + [f"| {world.name} | {drawn} | {_simulate_effects(world, drawn, count)} |" for world, drawn in rows]


def _simulate_effects(world: World, drawn: int, count: int) -> str:
    rng = np.random.default_rng([START, drawn])
    design = np.array(draw_placements(SPACE, drawn, (), lambda indices: True))
    effects = _true_effects(world)
    found = {str(2 * block): THREE[0] for block in range(BLOCKS)}
    held = wrong = idle = seen = 0
    for _ in range(count):
        # A search draws the same table for every network with as many choices: which block is which is the network's.
        placements = [tuple(map(int, row)) for row in design[:, rng.permutation(BLOCKS)]]
        true = [world.worth({block: row[block] == 1 for block in range(BLOCKS)}) for row in placements]
        values = [each + float(world.draw(rng, 3).mean()) for each in true]
        blocks = judge_blocks(SPACE, placements, values, found, MARGIN, 0.0)
        held += all(_holds(block, effects[place]) for place, block in enumerate(blocks))
        words = [block.word for block in blocks]
        wrong += any(word == "matters" for place, word in enumerate(words) if not effects[place])
        seen += sum(word == "matters" for place, word in enumerate(words) if effects[place])
        idle += sum(word == "does not matter" for place, word in enumerate(words) if not effects[place])
    mattering = sum(bool(effect) for effect in effects)
    power = f"{100 * seen / (count * mattering):.0f}" if mattering else "-"
    quiet = f"{100 * idle / (count * (BLOCKS - mattering)):.0f}"
    return f"{100 * held / count:.1f} | {100 * wrong / count:.1f} | {power} | {quiet}"


def _true_effects(world: World) -> list[float]:
    """Return what each block's place behind the activation is worth, on average over where the others stand."""
    return [
        world.gains.get(block, 0.0) + (world.pair / len(THREE) if block in {0, 1} else 0.0) for block in range(BLOCKS)
    ]


def _holds(block: BlockEffect, effect: float) -> bool:
    for each in block.effects:
        true = effect * ((each.first == THREE[1]) - (each.second == THREE[1]))
        if each.low is not None and each.high is not None and not each.low <= true <= each.high:
            return False
    return True


def write_searches(count: int) -> list[str]:
    """Return the table of what searches find, beside the best of as many placements that are drawn at random."""
    head, terrain = _make_network()
    lines = [
        "| world | trials | placements tried | found, points below the best there is | "
        "the best named one, points below | at random, points below |",
        "|---|---|---|---|---|---|",
    ]
    for world in (WORLDS[3], MANY):
        for trials in (100, 200, 400):
            plan = make_search(head, terrain, trials)
            runs = [_simulate_search(world, plan, run) for run in range(count)]
            tried, *gaps = (fmean(column) for column in zip(*runs, strict=True))
            shown = " | ".join(f"{100 * gap:.2f}" for gap in gaps)
            lines.append(f"| {world.name} | {trials} | {tried:.0f} | {shown} |")
    return lines


def _simulate_search(world: World, plan: SearchPlan, run: int) -> tuple[float, float, float, float]:
    """Return how many placements a search tried, and by how much what it found is worse than the best there is."""
    named = {variant.name: variant.placement for variant in plan.head.variants}
    terrain = plan.terrain

    def true(placement: Mapping[str, Position]) -> float:
        return world.worth({block: placement[str(2 * block)] == "after-activation" for block in range(BLOCKS)})

    def run_trial(key: TrialKey) -> TrialResult:
        placement = named.get(key.variant) or terrain.placement(terrain.space.indices(key.variant))
        rng = np.random.default_rng([START, run, *str(key).encode()])
        value = true(placement) + 0.01 * np.sin(key.seed) + float(world.draw(rng, 1)[0])
        return TrialResult(key, (), 0.5, value, None, None, 1, 1.0)

    results: dict[TrialKey, TrialResult] = {}
    agenda = SearchAgenda(plan, results)
    while (order := agenda.take()) is not None:
        results[order.key] = run_trial(order.key)
        agenda.note(results[order.key])
    search = conclude_search(plan, results)
    assert search is not None
    best = max(world.worth(_corner(bits)) for bits in range(2**BLOCKS))
    rng = np.random.default_rng([START, run])
    drawn = [terrain.placement(tuple(rng.integers(0, 3, BLOCKS).tolist())) for _ in range(search.tried)]
    seen = [true(each) + float(world.draw(rng, plan.seeds).mean()) for each in drawn]
    lucky = drawn[int(np.argmax(seen))]
    policy = max(map(true, named.values()))
    return (
        float(search.tried),
        best - true({**terrain.graph.placement(), **search.placement}),
        best - policy,
        best - true(lucky),
    )


def _corner(bits: int) -> dict[int, bool]:
    return {block: bool(bits >> block & 1) for block in range(BLOCKS)}


def _make_network() -> tuple[Comparison, Terrain]:
    """Return a network of as many blocks with a choice, and its named placements."""
    layers = [layer for _ in range(BLOCKS) for layer in (nn.Linear(64, 64), nn.ReLU())]
    request = Request(model=lambda: nn.Sequential(*layers, nn.Linear(64, 10)), data=_tensors(), lr=[0.01, 0.1])
    head = make_plan(request, "").head
    head = replace(head, metric=replace(head.metric, quantum=0.0), settings=replace(head.settings, margin=MARGIN))
    base = next(variant.graph for variant in head.variants if not variant.changes)
    return head, find_terrain(base, lambda placement: ())


def _tensors() -> tuple[torch.utils.data.TensorDataset, None]:
    return torch.utils.data.TensorDataset(torch.randn(50, 64), torch.arange(50) % 10), None


def main() -> None:
    """Simulate, and write the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--effects", type=int, default=1000, help="draws a row of the first table")
    parser.add_argument("--searches", type=int, default=20, help="searches a row of the second table")
    options = parser.parse_args()
    lines = [
        f"{options.effects} draws a row: {BLOCKS} blocks with {len(THREE)} positions each, 24 differences; a placement "
        "is the mean of three trials "
        f"with a standard deviation of {100 * NOISE:g} point; margin {100 * MARGIN:g} point.",
        "",
        *write_effects(options.effects),
        "",
        f"{options.searches} searches a row, through the real agenda and sampler; means.",
        "",
        *write_searches(options.searches),
    ]
    write_between(PAGE, "search.py", "\n".join(lines))


if __name__ == "__main__":
    main()
