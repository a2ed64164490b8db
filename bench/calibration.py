"""Calibrate the verdict on simulated comparisons, and write the tables of docs/decisions/0003-the-verdict.md.

Run from the root of the repository; 10,000 comparisons a row take about nine minutes on one core:

    python bench/calibration.py
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy.special import stdtr

from pages import write_between
from placenorm.facts.comparison import Verdict
from placenorm.study.calibration import ARMS, World, choose_once, errs, judge_chosen, measure_false_rates, simulate
from placenorm.study.pairing import FAMILY_ERROR, critical_t

PAGE = Path("docs/decisions/0003-the-verdict.md")

START = 20240607
"""Seed of all randomness."""

PLAIN = World("360 test samples, Gaussian noise")
LARGE = World("10,000 test samples", test=10_000, validation=5000, accuracy=0.9, run_sd=0.003)
TAILS = World("heavy tails (t with 3 degrees of freedom)", tails=3)
COARSE = World("99 % accuracy: differences of one or two samples", accuracy=0.99, run_sd=0.004, seed_sd=0.003)
EDGE = World("best rate beyond the grid, so that it grows", best_rate=3.0)
BRINK = World("rates near the best one diverge", diverges_above=1.8)
WORSE = World("one arm truly worse by 8 points, three equal", worse=0.08)


def write_false_rates(count: int) -> list[str]:
    """Return the table of false verdicts, one row a world and number of seeds, with the usual wrong way beside ours."""
    rows = [(world, 10) for world in (PLAIN, LARGE, TAILS, COARSE, EDGE, BRINK, WORSE)]
    rows += [(PLAIN, 3), (PLAIN, 5), (TAILS, 5), (PLAIN, 20)]
    lines = [
        "| world | seeds | final, % | speed, % | anywhere, % | anywhere, the wrong way, % |",
        "|---|---|---|---|---|---|",
    ]
    for world, seeds in rows:
        rates = measure_false_rates(world, seeds, count, START)
        wrong_way = measure_false_rates(world, seeds, count, START, choose_once).anywhere
        shares = " | ".join(f"{100 * share:.1f}" for share in (rates.final, rates.speed, rates.anywhere, wrong_way))
        lines.append(f"| {world.name} | {seeds} | {shares} |")
    return lines


def measure_second_look(count: int) -> float:
    """Return the share of comparisons that err when undecided pairs are judged at 10 seeds and again at 20."""
    wrong = 0
    for chosen in simulate(PLAIN, 20, count, START):
        looks = judge_chosen(PLAIN, [trial for trial in chosen if trial.key.seed < 10]), judge_chosen(PLAIN, chosen)
        wrong += any(errs(answer, PLAIN) for look in looks for answer in (look.final, look.speed))
    return wrong / count


def measure_skewed(seeds: int, count: int) -> float:
    """Return how often one interval of the twelve misses 0 where differences are exponential with mean 0."""
    rng = np.random.default_rng(START)
    sample = rng.standard_exponential((count, seeds)) - 1
    t = sample.mean(axis=1) / sample.std(axis=1, ddof=1) * math.sqrt(seeds)
    return float(np.mean(np.abs(t) > critical_t(seeds, FAMILY_ERROR / 12)))


def write_power(count: int) -> list[str]:
    """Return the table of power, ours beside two refinements, when one arm is worse by one standard deviation.

    Power is the chance to see one given true difference in the final metric. The standard deviation is that of the
    paired differences, measured with equal arms.
    """
    lines = [
        "| seeds | true difference, standard deviations | Bonferroni: one given pair, % "
        "| any of the three true pairs, % | Holm: one given pair, % | max-t: one given pair, % |",
        "|---|---|---|---|---|---|",
    ]
    for seeds in (5, 10, 20):
        world = replace(PLAIN, worse=_spread_of_differences(seeds))
        given = some = holm = maximum = 0
        gaps = []
        for chosen in simulate(world, seeds, count, START):
            verdict = judge_chosen(world, chosen)
            true = [pair for pair in verdict.final.pairs if pair.first == ARMS[0]]
            gaps.append(-true[0].difference)
            given += true[0].winner == ARMS[1]
            some += any(pair.winner not in (None, ARMS[0]) for pair in true)
            sizes = _sizes(verdict)
            holm += _holm_rejects_first(sizes, seeds)
            maximum += sizes[0] > _max_t(seeds)
        shares = " | ".join(f"{100 * hits / count:.1f}" for hits in (given, some, holm, maximum))
        lines.append(f"| {seeds} | {fmean(gaps) / world.worse:.2f} | {shares} |")
    return lines


def _spread_of_differences(seeds: int) -> float:
    """Root mean square over comparisons of equal arms of the standard deviation of a pair's differences."""
    squares = []
    for chosen in simulate(PLAIN, seeds, 1000, START):
        squares += [(pair.sd or 0.0) ** 2 for pair in judge_chosen(PLAIN, chosen).final.pairs]
    return math.sqrt(fmean(squares))


def _sizes(verdict: Verdict) -> list[float]:
    """Absolute t of every pair, the final metric first."""
    pairs = (*verdict.final.pairs, *verdict.speed.pairs)
    return [abs(pair.difference) / (pair.sd or math.inf) * math.sqrt(pair.seeds) for pair in pairs]


def _holm_rejects_first(sizes: Sequence[float], seeds: int) -> bool:
    """Whether Holm's step-down procedure, at the same error, rejects the first of these hypotheses."""
    tests = sorted((2 * float(stdtr(seeds - 1, -size)), index) for index, size in enumerate(sizes))
    for step, (p, index) in enumerate(tests):
        if p > FAMILY_ERROR / (len(tests) - step):
            return False
        if index == 0:
            return True
    return False


@cache
def _max_t(seeds: int) -> float:
    """The critical value for the largest of six |t| of four exchangeable Gaussian arms, at half of the error."""
    arms = np.random.default_rng(START).standard_normal((200_000, seeds, len(ARMS)))
    largest = np.zeros(len(arms))
    for one, other in combinations(range(len(ARMS)), 2):
        gap = arms[..., one] - arms[..., other]
        np.maximum(largest, np.abs(gap.mean(axis=1)) / gap.std(axis=1, ddof=1) * math.sqrt(seeds), out=largest)
    return float(np.quantile(largest, 1 - FAMILY_ERROR / 2))


def write_tables(count: int) -> str:
    """Return everything that stands between the markers."""
    error = 100 * math.sqrt(FAMILY_ERROR * (1 - FAMILY_ERROR) / count)
    return "\n".join(
        [
            f"{count:,} simulated comparisons a row, four arms; a share near 5 % has a standard error of {error:.1f}.",
            "",
            "Comparisons with a false `better` (the wrong way: one rate per variant, chosen on the first seed alone):",
            "",
            *write_false_rates(count),
            "",
            f"Judged at 10 seeds and again at 20: {100 * measure_second_look(count):.1f} % have a false `better` at "
            "one of the two looks.",
            "",
            "One interval of the twelve (nominal error 0.42 %) on differences that have mean 0 and the skew of an "
            f"exponential: it misses in {100 * measure_skewed(5, 20 * count):.1f} % at 5 seeds, "
            f"{100 * measure_skewed(10, 20 * count):.1f} % at 10, {100 * measure_skewed(20, 20 * count):.1f} % at 20.",
            "",
            "Power on the final metric, one arm worse by one standard deviation of the paired differences:",
            "",
            *write_power(count),
        ]
    )


def main() -> None:
    """Print the tables and write them into the decision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="simulated comparisons a row")
    parser.add_argument("--print-only", action="store_true", help="leave the decision as it is")
    options = parser.parse_args()
    tables = write_tables(options.count)
    print(tables)
    if not options.print_only:
        write_between(PAGE, "calibration.py", tables)


if __name__ == "__main__":
    main()
