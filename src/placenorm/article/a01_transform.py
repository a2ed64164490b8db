"""A1: batch norm takes a mean and a variance per neuron over the batch; each column then has mean 0 and variance 1.

Question: Does a batch of 128 samples and 100 neurons give 100 means and 100 variances, is each neuron treated with its
own alone, and does every column have mean 0 and variance 1 after subtracting the one and dividing by the other?

Design: The outputs of a fresh layer of 100 neurons for 128 training samples, in float64, the neurons' spreads up to
sixteen times apart. Three ways for the same outputs: the article's recipe (mean subtracted, divided by the variance),
the same with the standard deviation sqrt(var + eps), and torch's norm itself. New layer and new samples in each seed.

Measure: The number of means and variances; the largest distance of a column's mean from 0 and of its variance from 1;
the largest change of neuron 7's outputs when all other neurons' change; the largest distance from what the norm gives.

Rule: A way is *right* if in every seed means lie within `TOLERANCE` of 0 and variances within `TOLERANCE` of 1. A norm
*counts as said* if in every seed it has one mean and one variance per neuron and neuron 7's outputs do not change at
all. Fewer than three seeds: undecided. The norm not right, or not counting as said: does not hold. Else, division by
the variance right: holds. Else, division by the standard deviation right: holds only if that is what one divides by.
Else: does not hold.

Published: Ioffe & Szegedy 2015, Algorithm 1, which divides by sqrt(var + eps).
"""

from collections.abc import Sequence
from typing import Final

from torch import Tensor, nn

from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments.laboratory import Laboratory, Measured
from placenorm.article.experiments.outputs import NEURONS, SAMPLES, draw_outputs
from placenorm.article.statistics import choose, largest, levels, seeds_of
from placenorm.facts.claim import Chart, Effect, Factor, Observation, Outcome, Point, Published, Question, Ruling
from placenorm.facts.comparison import MIN_SEEDS

KIND: Final = "transform"

VARIANCE, DEVIATION, NORM = "variance", "standard-deviation", "norm"
DIVISORS: Final = (VARIANCE, DEVIATION, NORM)

NEURON: Final = 7
"""The article's example."""

TOLERANCE: Final = 1e-3
"""eps (1e-5) alone leaves a variance of var / (var + eps): a thousandth below 1 where a neuron's variance is 0.01."""


def ask(scale: Scale) -> list[Question]:
    """Return the three ways, each under every seed."""
    return [
        Question(KIND, {"divisor": divisor, "samples": SAMPLES, "neurons": NEURONS}, seed)
        for divisor in DIVISORS
        for seed in range(scale.seeds)
    ]


def run(lab: Laboratory, question: Question) -> Measured:
    """Transform the outputs one way and return how far they are from what the article says.

    Values: ``means``, ``variances`` (numbers of them), ``mean_error``, ``var_error`` (largest distances from 0 and 1),
    ``var_least``, ``var_most`` (of the columns after), ``others`` (largest change of neuron 7's outputs when the other
    neurons change), ``from_norm`` (largest distance from the norm's outputs).
    Series: ``var_before``, ``var_after`` of each neuron, the narrowest first.
    """
    x = draw_outputs(lab, question.seed)
    divisor = str(question.factors["divisor"])
    y, means, variances = _transform(x, divisor)
    var = y.var(0, correction=0)
    before, order = x.var(0, correction=0).sort()
    changed = 3 * x + 1
    changed[:, NEURON] = x[:, NEURON]
    return Measured(
        values={
            "means": float(means),
            "variances": float(variances),
            "mean_error": float(y.mean(0).abs().max()),
            "var_error": float((var - 1).abs().max()),
            "var_least": float(var.min()),
            "var_most": float(var.max()),
            "others": float((_transform(changed, divisor)[0] - y)[:, NEURON].abs().max()),
            "from_norm": float((y - _transform(x, NORM)[0]).abs().max()),
        },
        series={"var_before": tuple(before.tolist()), "var_after": tuple(var[order].tolist())},
    )


def _transform(x: Tensor, divisor: str) -> tuple[Tensor, int, int]:
    """Return transformed outputs, and by how many means and variances."""
    norm = nn.BatchNorm1d(x.shape[1], affine=False, dtype=x.dtype, device=x.device)
    if divisor == NORM:
        y: Tensor = norm(x)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        return y, norm.running_mean.numel(), norm.running_var.numel()
    mean, var = x.mean(0), x.var(0, correction=0)
    by = var if divisor == VARIANCE else (var + norm.eps).sqrt()
    return (x - mean) / by, mean.numel(), var.numel()


def judge(observations: Sequence[Observation]) -> Ruling:
    """Return what the rule in this file's first lines says."""
    ways = {divisor: choose(observations, KIND, divisor=divisor) for divisor in DIVISORS}
    seeds = min(len(seeds_of(way)) for way in ways.values())
    right = {
        divisor: max(largest(way, "mean_error"), largest(way, "var_error")) <= TOLERANCE
        for divisor, way in ways.items()
    }
    norm = ways[NORM]
    neurons = int(norm[0].question.factors["neurons"])
    counts = all(each.values[name] == neurons for each in norm for name in ("means", "variances"))
    outcome: Outcome
    variant = ""
    if seeds < MIN_SEEDS:
        outcome = "undecided"
    elif not right[NORM] or not counts or largest(norm, "others") > 0:
        outcome = "does-not-hold"
    elif right[VARIANCE]:
        outcome = "holds"
    elif right[DEVIATION]:
        outcome, variant = "holds-only-if", DEVIATION
    else:
        outcome = "does-not-hold"
    effects = [
        Effect("variance-error", largest(ways[divisor], "var_error"), None, None, seeds, factors={"divisor": divisor})
        for divisor in DIVISORS
    ]
    effects += [
        Effect("mean-error", max(largest(way, "mean_error") for way in ways.values()), None, None, seeds),
        Effect("others", largest(norm, "others"), None, None, seeds),
        Effect("from-norm", largest(ways[DEVIATION], "from_norm"), None, None, seeds, factors={"divisor": DEVIATION}),
        Effect("from-norm", largest(ways[VARIANCE], "from_norm"), None, None, seeds, factors={"divisor": VARIANCE}),
    ]
    facts: dict[str, Factor] = {
        "seeds": seeds,
        "samples": int(norm[0].question.factors["samples"]),
        "neurons": neurons,
        "neuron": NEURON,
        "tolerance": TOLERANCE,
        "least": round(min(each.values["var_least"] or 0.0 for each in ways[VARIANCE]), 3),
        "most": round(largest(ways[VARIANCE], "var_most"), 1),
    }
    return Ruling(outcome, tuple(effects), facts, variant)


def draw(observations: Sequence[Observation]) -> tuple[Chart, ...]:
    """Return each neuron's variance after against before, of the first seed."""
    first = seeds_of(observations)[0]
    points = []
    for divisor in levels(observations, "divisor"):
        for each in choose(observations, KIND, divisor=divisor):
            if each.question.seed == first:
                pairs = zip(each.series["var_before"], each.series["var_after"], strict=True)
                points += [Point(x, y, str(divisor)) for x, y in pairs if x is not None]
    return (Chart("A1-variance", "lines", tuple(points), log_x=True, log_y=True),)


CLAIM = Claim(
    "A1",
    "transform",
    ask,
    judge,
    draw,
    published=(
        Published(
            "A1-published-algorithm",
            "Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 1",
            "https://arxiv.org/abs/1502.03167",
        ),
    ),
)
