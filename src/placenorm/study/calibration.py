"""Simulated comparisons, judged by the real procedure: how often it says `better`, wrongly and rightly.

A trial is a draw from a model of training: a parabola in the logarithm of the learning rate, a shared effect of the
seed, noise of the run (Gaussian or heavy-tailed) that validation and test data both see, divergence above a rate,
and accuracy counted in whole samples. The choice of the learning rate, the growth of the grid and the verdict are not
modelled: they are `best_trial`, `grow_grid` and `judge`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from placenorm.facts.comparison import Answer, Metric, Variant, Verdict
from placenorm.facts.cost import Cost
from placenorm.facts.graph import Graph
from placenorm.facts.placement import Policy
from placenorm.facts.trial import EpochRecord, TrialKey, TrialResult
from placenorm.study.rates import MAX_STEPS, best_trial, default_rates, grow_grid
from placenorm.study.verdict import judge

ARMS: tuple[Policy, ...] = ("none", "before-activation", "after-activation", "after-pool")
"""Four placements, as a comparison has by default."""

VARIANTS = tuple(
    Variant(name, (), name == "none", {}, (), (), Graph((), ()), Cost((), train_bytes=1, macs=1, parameters=1))
    for name in ARMS
)
"""The arms as the verdict wants them. They cost the same: the price of a norm decides no test."""

EPOCHS = 4
STEPS_PER_EPOCH = 10
CHANCE = 0.1
"""Accuracy of a model that learned nothing: ten classes."""

Values = NDArray[np.float64]
Choice = Callable[["Draws"], list[TrialResult]]
"""How the trials that are judged are chosen from those that could be run."""


@dataclass(frozen=True, slots=True)
class World:
    """How the trials of a simulated comparison come about. Accuracies are shares (0 to 1).

    Attributes:
        name: what is special about it.
        test: samples in the test data.
        validation: samples in the validation data.
        accuracy: mean accuracy at the best learning rate.
        run_sd: standard deviation of a run's own noise in accuracy, seen by validation and test data alike.
        seed_sd: standard deviation of what all arms of a seed share.
        tails: degrees of freedom of the run's noise (Student's t, scaled to `run_sd`); None for Gaussian noise.
        rate_loss: accuracy lost one grid step away from the best rate; it grows with the square of the distance.
        best_rate: place of the best rate on the grid: 0 is the lowest of the default rates, 2 the highest.
        diverges_above: place on the grid above which a trial diverges, on average (it varies by half a step).
        worse: accuracy by which the first arm is truly worse than the others, which are equal.
    """

    name: str
    test: int = 360
    validation: int = 290
    accuracy: float = 0.95
    run_sd: float = 0.008
    seed_sd: float = 0.01
    tails: float | None = None
    rate_loss: float = 0.01
    best_rate: float = 1.4
    diverges_above: float = 4.0
    worse: float = 0.0


@dataclass(frozen=True, slots=True)
class Draws:
    """All trials that one simulated comparison could run; which of them it does run is the procedure's affair.

    Attributes:
        rates: [R] every rate that a grid could reach, ascending.
        val_loss: [arms, seeds, R] validation loss at the end; NaN where the trial diverged.
        test: [arms, seeds, R] accuracy on the test data.
        curve: [arms, seeds, R, EPOCHS] accuracy on the validation data.
    """

    rates: tuple[float, ...]
    val_loss: Values
    test: Values
    curve: Values

    def run(self, arm: int, seed: int, rate: float) -> TrialResult:
        """Return a trial, without its curve: the choice of the rate does not look at it."""
        index = self.rates.index(rate)
        loss = float(self.val_loss[arm, seed, index])
        lost = math.isnan(loss)
        return TrialResult(
            key=TrialKey(ARMS[arm], seed, rate),
            epochs=(),
            val_loss=None if lost else loss,
            val_metric=float(self.curve[arm, seed, index, -1]),
            test_metric=float(self.test[arm, seed, index]),
            diverged_at=1 if lost else None,
            steps=EPOCHS * STEPS_PER_EPOCH,
            step_time_ms=1.0,
        )

    def record(self, trial: TrialResult) -> TrialResult:
        """Return the trial with its curve."""
        curve = self.curve[ARMS.index(trial.key.variant), trial.key.seed, self.rates.index(trial.key.lr or 0.0)]
        records = (
            EpochRecord(STEPS_PER_EPOCH * epoch, 0.01 * epoch, None, None, None, height)
            for epoch, height in enumerate(curve.tolist(), start=1)
        )
        return replace(trial, epochs=tuple(records))


@dataclass(frozen=True, slots=True)
class FalseRates:
    """How often simulated comparisons called a placement better that is not.

    Attributes:
        comparisons: how many were simulated.
        final: share with such a verdict on the final metric (0 to 1).
        speed: share with such a verdict on the speed.
        anywhere: share with such a verdict on either.
    """

    comparisons: int
    final: float
    speed: float
    anywhere: float


def simulate(
    world: World, seeds: int, comparisons: int, start: int, choose: Choice | None = None
) -> Iterator[list[TrialResult]]:
    """Yield the chosen trials of simulated comparisons of four arms.

    Args:
        world: how trials come about.
        seeds: seeds of each comparison.
        comparisons: how many to simulate.
        start: seed of all randomness.
        choose: how trials are chosen; `choose_per_seed` unless given.
    """
    rng = np.random.default_rng(start)
    for _ in range(comparisons):
        yield (choose or choose_per_seed)(_draw(world, seeds, rng))


def measure_false_rates(
    world: World, seeds: int, comparisons: int, start: int, choose: Choice | None = None
) -> FalseRates:
    """Return how often `better` is said of arms that are equal, or of the worse one. Arguments as in `simulate`."""
    final = speed = anywhere = 0
    for chosen in simulate(world, seeds, comparisons, start, choose):
        verdict = judge_chosen(world, chosen)
        wrong = [errs(answer, world) for answer in (verdict.final, verdict.speed)]
        final += wrong[0]
        speed += wrong[1]
        anywhere += any(wrong)
    return FalseRates(comparisons, final / comparisons, speed / comparisons, anywhere / comparisons)


def errs(answer: Answer, world: World) -> bool:
    """Whether an answer calls an arm better that is not, in this world."""
    bad = ARMS[0] if world.worse > 0 else None
    return any(
        pair.winner is not None and (pair.winner == bad or bad not in (pair.first, pair.second))
        for pair in answer.pairs
    )


def _draw(world: World, seeds: int, rng: np.random.Generator) -> Draws:
    rates = reachable_rates()
    start = rates.index(default_rates("sgd")[0])
    shape = (len(ARMS), seeds, len(rates))
    places = np.arange(len(rates)) - start
    wish = world.best_rate + 0.3 * rng.standard_normal((1, seeds, 1)) + 0.3 * rng.standard_normal((len(ARMS), seeds, 1))
    shared = world.seed_sd * rng.standard_normal((1, seeds, 1))
    worse = np.zeros((len(ARMS), 1, 1))
    worse[0] = world.worse
    level = world.accuracy + shared - worse - world.rate_loss * (places - wish) ** 2
    level = level + world.run_sd * _noise(world.tails, shape, rng)
    lost = places > world.diverges_above + 0.5 * rng.standard_normal(shape)
    level = np.where(lost, CHANCE, np.clip(level, CHANCE, 0.999))
    # A higher rate is behind at first and catches up; each run has a pace of its own.
    pace = np.exp(0.2 * rng.standard_normal((*shape, 1)))
    epochs = np.arange(1, EPOCHS + 1)
    heights = CHANCE + (level[..., None] - CHANCE) * (1 - np.exp(-pace * epochs))
    heights[..., -1] = level
    val_loss = -np.log(level) + 0.1 * world.run_sd * rng.standard_normal(shape)
    # Validation samples are finite for the loss, too: about the spread of a mean over them.
    val_loss += 0.3 * np.sqrt(level * (1 - level) / world.validation) * rng.standard_normal(shape)
    return Draws(
        rates,
        np.where(lost, np.nan, val_loss),
        np.where(lost, CHANCE, rng.binomial(world.test, level) / world.test),
        np.where(lost[..., None], CHANCE, rng.binomial(world.validation, heights) / world.validation),
    )


def reachable_rates() -> tuple[float, ...]:
    """Return every rate that the default grid of SGD can reach by growing, ascending, as `grow_grid` rounds them."""
    start = default_rates("sgd")
    rates = list(start)
    for _ in range(MAX_STEPS):
        ends = {name: _at(rate) for name, rate in (("low", min(rates)), ("high", max(rates)))}
        rates += grow_grid(sorted(rates), ends, start)
    return tuple(sorted(rates))


def _at(rate: float) -> TrialResult:
    return TrialResult(TrialKey("any", 0, rate), (), 0.0, None, None, None, 1, 1.0)


def _noise(tails: float | None, shape: tuple[int, ...], rng: np.random.Generator) -> Values:
    """Noise with a standard deviation of 1."""
    if tails is None:
        return rng.standard_normal(shape)
    return rng.standard_t(tails, shape) * math.sqrt((tails - 2) / tails)


def choose_per_seed(draws: Draws) -> list[TrialResult]:
    """Return the trials that our procedure chooses: each variant and seed its own rate, one grid for a seed."""
    start = default_rates("sgd")
    chosen = []
    for seed in range(draws.test.shape[1]):
        grid: tuple[float, ...] = ()
        new = start
        trials: dict[str, list[TrialResult]] = {name: [] for name in ARMS}
        while new:
            grid = tuple(sorted((*grid, *new)))
            for arm, name in enumerate(ARMS):
                trials[name] += [draws.run(arm, seed, rate) for rate in new]
            best = {name: best_trial(tried) for name, tried in trials.items()}
            new = grow_grid(grid, best, start)
        chosen += [draws.record(trial) for trial in best.values()]
    return chosen


def choose_once(draws: Draws) -> list[TrialResult]:
    """Return the trials of the usual, wrong procedure: one rate per variant, chosen on the first seed alone."""
    start = default_rates("sgd")
    chosen = []
    for arm in range(len(ARMS)):
        rate = best_trial([draws.run(arm, 0, rate) for rate in start]).key.lr or 0.0
        chosen += [draws.record(draws.run(arm, seed, rate)) for seed in range(draws.test.shape[1])]
    return chosen


def judge_chosen(world: World, chosen: Sequence[TrialResult]) -> Verdict:
    """Return the real verdict on the chosen trials of a simulated comparison."""
    metric = Metric("accuracy", higher_is_better=True, quantum=1 / world.test, as_percent=True)
    return judge(VARIANTS, chosen, metric, 0.0, 1 / world.validation)
