"""Simulate comparisons that stop early, and write the tables of docs/decisions/0014-stopping-early.md.

Run from the root of the repository; 20,000 comparisons a row take about three minutes on one core:

    python bench/sequential.py
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from pages import write_between
from placenorm.facts.comparison import MIN_SEEDS
from placenorm.study.pairing import FUTILE_CHANCE, critical_t
from placenorm.study.sequential import LATENESS, PLANNED_SHARE, Schedule, critical_repeated, find_critical
from placenorm.study.verdict import error_of_each

PAGE = Path("docs/decisions/0014-stopping-early.md")

START = 20261127
"""Seed of all randomness."""

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Values]


def _gaussian(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    return rng.standard_normal(shape)


def _heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Student's t with 3 degrees of freedom, scaled to a variance of 1."""
    return rng.standard_t(3, shape) / math.sqrt(3)


def _skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    return 1.0 - rng.standard_exponential(shape)


def _one_skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """The first arm has the skew of an exponential and the others are Gaussian: differences with mean 0 and a skew."""
    noise = rng.standard_normal(shape)
    noise[:, 0] = 1.0 - rng.standard_exponential(noise[:, 0].shape)
    return noise


def _quantised(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Metrics that move in steps of one standard deviation: samples of a small test set at an accuracy near 1."""
    return np.round(rng.standard_normal(shape))


@dataclass(frozen=True, slots=True)
class World:
    """How the final metrics of a simulated comparison come about, in standard deviations of one arm.

    Attributes:
        name: what is special about it.
        arms: number of arms.
        seeds: planned seeds.
        effect: by how much the first arm is worse than the others, which are equal, in standard deviations of a
            paired difference.
        noise: of every arm and seed, with variance 1.
        quantum: the smallest step of the metric.
    """

    name: str
    arms: int = 4
    seeds: int = 10
    effect: float = 0.0
    noise: Noise = _gaussian
    quantum: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of simulated comparisons, in shares (0 to 1).

    Attributes:
        false: comparisons in which an arm was called better that is not.
        missed: true differences, of the first arm to one of the others, that were not called; NaN without any.
        cost: trained arms and seeds over all arms and seeds.
        early: comparisons that ended before the planned seeds.
    """

    false: float
    missed: float
    cost: float
    early: float


def draw(world: World, count: int, rng: np.random.Generator) -> Values:
    """Return final metrics, ``[count, arms, seeds]``."""
    values = world.noise(rng, (count, world.arms, world.seeds))
    values[:, 0] -= world.effect * math.sqrt(2)
    return values


def run_fixed(values: Values, quantum: float) -> tuple[Values, Values, Flags]:
    """Run comparisons to their end and judge them once: signs of the pairs, cost, and that none ended early."""
    count, arms, seeds = values.shape
    error = error_of_each(math.comb(arms, 2))
    t = np.stack([_student(values[:, one] - values[:, other], quantum)[0] for one, other in _pairs(arms)], axis=1)
    return np.sign(t) * (np.abs(t) > critical_t(seeds, error)), np.ones(count), np.zeros(count, dtype=bool)


def run_early(values: Values, quantum: float, futile: float = FUTILE_CHANCE) -> tuple[Values, Values, Flags]:
    """Run comparisons that are looked at after every seed: signs of the pairs, cost, and which ended early.

    The rule of `placenorm.study.stopping`, for many comparisons at once; tests/unit/study/test_stopping.py holds the
    two against each other.

    Args:
        values: final metrics, ``[count, arms, seeds]``; a seed that is not trained is not looked at.
        quantum: smallest step of the metric.
        futile: chance below which an open difference is not worth further seeds.
    """
    count, arms, planned = values.shape
    pairs = _pairs(arms)
    error = error_of_each(len(pairs))
    living = np.ones((count, arms), dtype=bool)
    signs, cells = np.zeros((count, len(pairs))), np.zeros(count)
    early = np.zeros(count, dtype=bool)
    for seeds in range(1, planned + 1):
        cells += living.sum(axis=1)
        if seeds < MIN_SEEDS:
            continue
        critical = critical_repeated(seeds, error, planned)
        chances = np.zeros((count, len(pairs)))
        for place, (one, other) in enumerate(pairs):
            t, _ = _student(values[:, one, :seeds] - values[:, other, :seeds], quantum)
            seen = living[:, one] & living[:, other]
            signs[:, place] = np.where(seen, np.sign(t) * (np.abs(t) > critical), signs[:, place])
            chances[:, place] = _chance(t, seeds, planned, error)
        open_ = (signs == 0) & (chances >= futile)
        open_ &= np.stack([living[:, one] & living[:, other] for one, other in pairs], axis=1)
        living &= np.stack([_has_open(arm, open_, pairs) for arm in range(arms)], axis=1)
        if seeds < planned:
            early |= ~living.any(axis=1)
    return signs, cells / (arms * planned), early


def _pairs(arms: int) -> tuple[tuple[int, int], ...]:
    return tuple(combinations(range(arms), 2))


def _student(differences: Values, quantum: float) -> tuple[Values, Values]:
    """Student's t of differences ``[count, seeds]`` and their standard deviation, at least the quantum."""
    seeds = differences.shape[1]
    mean = differences.mean(axis=1)
    sd = np.maximum(differences.std(axis=1, ddof=1), max(quantum, 1e-300))
    return mean / sd * math.sqrt(seeds), sd


def _chance(t: Values, seeds: int, planned: int, error: float) -> Values:
    """`placenorm.study.pairing.find_chance` for many pairs at once, without a margin."""
    if seeds == planned:
        return np.zeros_like(t)
    critical = critical_repeated(planned, error, planned)
    scale, ahead = math.sqrt((planned - seeds) / seeds), math.sqrt(planned / seeds) * t
    chance: Values = stdtr(seeds - 1, (ahead - critical) / scale) + stdtr(seeds - 1, (-critical - ahead) / scale)
    return chance


def _has_open(arm: int, open_: Flags, pairs: tuple[tuple[int, int], ...]) -> Flags:
    return np.asarray(open_[:, [arm in pair for pair in pairs]].any(axis=1))


def measure(world: World, count: int, *, futile: float | None) -> Outcome:
    """Return what becomes of comparisons of a world, looked at after every seed, or once where `futile` is None."""
    values = draw(world, count, np.random.default_rng(START))
    run = run_fixed(values, world.quantum) if futile is None else run_early(values, world.quantum, futile)
    signs, cost, early = run
    with_worse = np.array([0 in pair for pair in _pairs(world.arms)]) & (world.effect > 0)
    false = (signs[:, ~with_worse] != 0).any(axis=1) | (signs[:, with_worse] > 0).any(axis=1)
    missed = float(np.mean(signs[:, with_worse] >= 0)) if world.effect > 0 else math.nan
    return Outcome(float(false.mean()), missed, float(cost.mean()), float(early.mean()))


def write_schedules(count: int) -> list[str]:
    """Return the table that the schedule was chosen by: one pair of a comparison of four arms."""
    error, effects = error_of_each(6), (1.0, 1.5, 2.0, 4.0)
    heads = ", ".join(f"{size:g} sd" for size in effects)
    lines = [
        f"| planned | share by then | power | c at the end | found, %: {heads} | mean seeds: {heads} |",
        "|---|---|---|---|---|---|",
    ]
    for planned in (5, 10, 20):
        sizes = [np.abs(_walk(effect, planned, count)) for effect in effects]
        one = critical_t(planned, error)
        found = ", ".join(_pct(float(np.mean(t[:, -1] > one))) for t in sizes)
        lines.append(f"| {planned} | one look | | {one:.2f} | {found} | {planned} |")
        for share, lateness in (
            (0.9, 1),
            (0.9, 2),
            (PLANNED_SHARE, LATENESS),
            (0.9, 3),
            (0.9, 4),
            (0.8, 2.5),
            (0.95, 2.5),
        ):
            schedule = Schedule(planned, share, lateness)
            criticals = [find_critical(seeds, error, schedule) for seeds in range(MIN_SEEDS, planned + 1)]
            crossed = [t > criticals for t in sizes]
            found = ", ".join(_pct(float(np.mean(each.any(axis=1)))) for each in crossed)
            seeds = ", ".join(f"{_mean_seeds(each):.1f}" for each in crossed)
            lines.append(f"| {planned} | {share:g} | {lateness} | {criticals[-1]:.2f} | {found} | {seeds} |")
    return lines


def _walk(effect: float, planned: int, count: int) -> Values:
    """Student's t of growing samples with this mean and a variance of 1, from `MIN_SEEDS` on: ``[count, looks]``."""
    sample = effect + np.random.default_rng(START).standard_normal((count, planned))
    return np.stack([_student(sample[:, :seeds], 0.0)[0] for seeds in range(MIN_SEEDS, planned + 1)], axis=1)


def _mean_seeds(crossed: Flags) -> float:
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1), crossed.shape[1] - 1)
    return float(np.mean(first)) + MIN_SEEDS


def write_bounds(count: int) -> list[str]:
    """Return the table that the bound of futility was chosen by: four arms, ten seeds."""
    effects = (0.0, 1.0, 1.5, 3.0)
    lines = [
        "| chance below which a pair is not open | " + " | ".join(f"worse by {each:g} sd" for each in effects) + " |",
        "|---|" + "---|" * len(effects),
    ]
    for futile in (0.0, 0.01, 0.05, FUTILE_CHANCE, 0.2, 0.3):
        found = [measure(World("bound", effect=effect), count, futile=futile) for effect in effects]
        lines.append(f"| {futile:g} | " + " | ".join(_say(each) for each in found) + " |")
    return lines


def write_outcomes(worlds: Sequence[World], count: int) -> list[str]:
    """Return a table of comparisons that stop early beside those that do not, one row a world."""
    lines = [
        "| differences | arms | seeds | first arm worse by, sd | one look: false, % | missed, % "
        "| early: false, % | missed, % | cost, % | ended early, % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for world in worlds:
        fixed, early = (measure(world, count, futile=futile) for futile in (None, FUTILE_CHANCE))
        what = f"| {world.name} | {world.arms} | {world.seeds} | {world.effect:g} "
        shares = (fixed.false, fixed.missed, early.false, early.missed)
        told = " | ".join("" if math.isnan(share) else f"{100 * share:.1f}" for share in shares)
        lines.append(f"{what}| {told} | {_pct(early.cost)} | {_pct(early.early)} |")
    return lines


def _say(outcome: Outcome) -> str:
    missed = "" if math.isnan(outcome.missed) else f", missed {_pct(outcome.missed)} %"
    return f"false {100 * outcome.false:.1f} %{missed}, cost {_pct(outcome.cost)} %"


def _pct(share: float) -> str:
    return f"{100 * share:.0f}"


GRID = [
    World("Gaussian", arms, seeds, effect)
    for arms, seeds in ((2, 10), (4, 10), (8, 10), (4, 5), (4, 20))
    for effect in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0)
]

SHAPES = [
    World(name, effect=effect, seeds=seeds, noise=noise, quantum=quantum)
    for seeds in (10, 20)
    for name, noise, quantum in (
        ("heavy tails (t with 3 degrees of freedom)", _heavy, 0.0),
        ("every arm skewed (exponential)", _skewed, 0.0),
        ("the first arm skewed, the others Gaussian", _one_skewed, 0.0),
        ("steps as large as the scatter of an arm", _quantised, 1.0),
    )
    for effect in (0.0, 1.5)
]


def write_tables(count: int) -> str:
    """Return everything that stands between the markers."""
    error = 100 * math.sqrt(0.02 * 0.98 / count)
    return "\n".join(
        [
            f"{count:,} simulated comparisons a row; a share near 2 % has a standard error of {error:.1f}. "
            "Sizes are in standard deviations of a paired difference.",
            "",
            "Schedules, for one pair of four arms:",
            "",
            *write_schedules(count),
            "",
            "Bounds of futility, four arms and ten seeds:",
            "",
            *write_bounds(count),
            "",
            "The whole rule, beside all seeds and one look:",
            "",
            *write_outcomes(GRID, count),
            "",
            "The same where differences are not Gaussian:",
            "",
            *write_outcomes(SHAPES, count),
        ]
    )


def main() -> None:
    """Print the tables and write them into the decision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="simulated comparisons a row")
    parser.add_argument("--print-only", action="store_true", help="leave the decision as it is")
    options = parser.parse_args()
    tables = write_tables(options.count)
    print(tables)
    if not options.print_only:
        write_between(PAGE, "sequential.py", tables)


if __name__ == "__main__":
    main()
