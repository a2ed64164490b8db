"""A2: gamma and beta, learned by back-propagation, let the network leave the normal form where it must.

Question: Can gamma and beta give a neuron's outputs any mean and variance, even those that they had before the norm;
does gamma set the variance, as the article says; and does back-propagation learn them?

Design: The outputs that A1 is put to, 100 neurons, 128 samples, float64, through torch's norm. Two targets: the
outputs as they were before the norm (to undo it), and others with means from -5 to 5 and variances from 0.1 to 10 that
are drawn anew. Three ways to reach them: gamma is the target's variance (the article), gamma is its standard
deviation, or both start at 1 and 0 and 40 steps of plain gradient descent on the squared distance learn them. Beside it
a network of 8 hidden layers with a norm before each activation is trained on the data themselves.

Measure: The largest distance of a neuron's variance from the target's, as a share of it; of its mean, in standard
deviations of the target; of any output, in the same unit. In the trained network: how far gammas are from 1 and betas
from 0, root mean square.

Rule: A way *arrives* if in every seed and for both targets all three distances are at most `TOLERANCE`.
Back-propagation *moves* them if in every seed both distances in the trained network are at least `MOVED`. Fewer than
three seeds: undecided. Learning does not arrive, or does not move them: does not hold. Else, gamma as the variance
arrives: holds. Else, gamma as the standard deviation arrives: holds only if gamma is that. Else: does not hold.

Published: Ioffe & Szegedy 2015, section 3: gamma = sqrt(var) and beta = mean recover the original activations.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn

from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments import training
from placenorm.article.experiments.laboratory import Laboratory, Measured
from placenorm.article.experiments.outputs import NEURONS, draw_outputs
from placenorm.article.experiments.trained import RATE, train_network
from placenorm.article.statistics import choose, estimate, largest, levels, seeds_of
from placenorm.facts.claim import (
    Chart,
    Effect,
    Factor,
    Number,
    Observation,
    Outcome,
    Point,
    Published,
    Question,
    Ruling,
)
from placenorm.facts.comparison import MIN_SEEDS
from placenorm.randomness import fix_seed

KIND: Final = "affine"
TRAINED: Final = "affine-trained"

VARIANCE, DEVIATION, LEARNED = "variance", "standard-deviation", "learned"
WAYS: Final = (VARIANCE, DEVIATION, LEARNED)

OWN, DRAWN = "own", "drawn"
TARGETS: Final = (OWN, DRAWN)

LARGEST_MEAN: Final = 5.0
LEAST_VARIANCE, MOST_VARIANCE = 0.1, 10.0
"""Of the targets that are drawn; variances are evenly spread on a logarithmic scale, so that 1 is in their middle."""

STEPS: Final = 40
STEP_SIZE: Final = 0.25
"""Half of the way to the target in each step: the loss is a parabola in gamma and beta, with second derivative 2."""

TOLERANCE: Final = 1e-3
"""As for A1: what eps does where a neuron's variance is 0.01."""

MOVED: Final = 0.01
"""A hundredth of the size that gamma starts with: below it, one might as well have left them alone."""


def ask(scale: Scale) -> list[Question]:
    """Return each way to each target, and the trained network, under every seed."""
    seeds = range(scale.seeds)
    asked = [
        Question(KIND, {"target": target, "gamma": way}, seed) for target in TARGETS for way in WAYS for seed in seeds
    ]
    return asked + [replace(training.ask(seed, "before-activation", RATE), kind=TRAINED) for seed in seeds]


def run(lab: Laboratory, question: Question) -> Measured:
    """Give a norm its gamma and beta one way and return how far its outputs are from the target.

    Values: ``var_error`` (largest, share of the target's variance), ``mean_error`` and ``error`` (largest, in standard
    deviations of the target).
    Series: ``wanted``, ``got`` (variance of each neuron, the narrowest target first); of what learns, ``step`` and
    ``error`` (after each step).
    """
    x = draw_outputs(lab, question.seed)
    norm = nn.BatchNorm1d(NEURONS, dtype=x.dtype, device=x.device)
    with torch.no_grad():
        target = x if question.factors["target"] == OWN else _draw_target(norm(x), question.seed)
    mean, var = target.mean(0), target.var(0, correction=0)
    errors: list[Number] = []
    if question.factors["gamma"] == LEARNED:
        errors = _learn(norm, x, target)
    else:
        with torch.no_grad():
            norm.weight.copy_(var if question.factors["gamma"] == VARIANCE else var.sqrt())
            norm.bias.copy_(mean)
    with torch.no_grad():
        y = norm(x)
    reached = y.var(0, correction=0)
    wanted, order = var.sort()
    return Measured(
        values={
            "var_error": float((reached / var - 1).abs().max()),
            "mean_error": float(((y.mean(0) - mean) / var.sqrt()).abs().max()),
            "error": _measure_error(y, target),
        },
        series={
            "wanted": tuple(wanted.tolist()),
            "got": tuple(reached[order].tolist()),
            "step": tuple(float(step) for step in range(len(errors))),
            "error": tuple(errors),
        },
    )


def _draw_target(z: Tensor, seed: int) -> Tensor:
    """Return normalised outputs with means and variances of their own, drawn under a seed."""
    with fix_seed(seed):
        mean = (2 * torch.rand(NEURONS, dtype=z.dtype) - 1) * LARGEST_MEAN
        var = LEAST_VARIANCE * (MOST_VARIANCE / LEAST_VARIANCE) ** torch.rand(NEURONS, dtype=z.dtype)
    return (z - z.mean(0)) / z.std(0, correction=0) * var.sqrt().to(z.device) + mean.to(z.device)


def _learn(norm: nn.BatchNorm1d, x: Tensor, target: Tensor) -> list[Number]:
    """Teach a norm to return the target and return its error before the first step and after each."""
    optimizer = torch.optim.SGD(norm.parameters(), lr=STEP_SIZE)
    errors: list[Number] = []
    for _ in range(STEPS):
        y = norm(x)
        errors.append(_measure_error(y.detach(), target))
        optimizer.zero_grad()
        (y - target).square().mean(0).sum().backward()
        optimizer.step()
    return [*errors, _measure_error(norm(x).detach(), target)]


def _measure_error(y: Tensor, target: Tensor) -> float:
    return float(((y - target) / target.std(0, correction=0)).abs().max())


def run_trained(lab: Laboratory, question: Question) -> Measured:
    """Train a network and return where its gammas and betas ended.

    Values: ``gamma_moved``, ``beta_moved`` (root mean square of gamma - 1 and of beta), ``gamma_least``,
    ``gamma_most``, ``beta_least``, ``beta_most``.
    Series: ``gamma``, ``beta``, mean over each norm's neurons.
    """
    model = train_network(lab, question)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    values: dict[str, Number] = {}
    series: dict[str, tuple[Number, ...]] = {}
    for name, start, parameters in (
        ("gamma", 1.0, [norm.weight.detach().double() for norm in norms]),
        ("beta", 0.0, [norm.bias.detach().double() for norm in norms]),
    ):
        every = torch.cat(parameters)
        values[f"{name}_moved"] = float((every - start).square().mean().sqrt())
        values[f"{name}_least"], values[f"{name}_most"] = float(every.min()), float(every.max())
        series[name] = tuple(float(each.mean()) for each in parameters)
    return Measured(values, series)


def judge(observations: Sequence[Observation]) -> Ruling:
    """Return what the rule in this file's first lines says."""
    ways = {way: choose(observations, KIND, gamma=way) for way in WAYS}
    trained = choose(observations, TRAINED)
    seeds = min(len(seeds_of(each)) for each in (*ways.values(), trained))
    arrives = {
        way: max(largest(found, name) for name in ("var_error", "mean_error", "error")) <= TOLERANCE
        for way, found in ways.items()
    }
    moves = all((each.values[f"{name}_moved"] or 0.0) >= MOVED for each in trained for name in ("gamma", "beta"))
    outcome: Outcome
    variant = ""
    if seeds < MIN_SEEDS:
        outcome = "undecided"
    elif not arrives[LEARNED] or not moves:
        outcome = "does-not-hold"
    elif arrives[VARIANCE]:
        outcome = "holds"
    elif arrives[DEVIATION]:
        outcome, variant = "holds-only-if", DEVIATION
    else:
        outcome = "does-not-hold"
    effects = [
        Effect("variance-error", 100 * largest(ways[way], "var_error"), None, None, seeds, "percent", {"gamma": way})
        for way in WAYS
    ]
    effects += [
        Effect("undone", largest(choose(ways[way], target=OWN), "error"), None, None, seeds, "sd", {"gamma": way})
        for way in WAYS
    ]
    moved = {name: estimate([each.values[f"{name}_moved"] or 0.0 for each in trained], 2) for name in ("gamma", "beta")}
    effects += [Effect("moved", *ends, seeds, factors={"parameter": name}) for name, ends in moved.items()]
    facts: dict[str, Factor] = {
        "seeds": seeds,
        "wanted": round(_last(ways[VARIANCE], "wanted"), 1),
        "got": round(_last(ways[VARIANCE], "got"), 1),
        "steps": STEPS,
        "gamma_moved": round(moved["gamma"][0], 2),
        "beta_moved": round(moved["beta"][0], 2),
    }
    return Ruling(outcome, tuple(effects), facts, variant)


def _last(found: Sequence[Observation], name: str) -> float:
    """Return the variance of the neuron that was to have the largest of all drawn ones, under the first seed."""
    first = min(choose(found, target=DRAWN), key=lambda each: each.question.seed)
    return first.series[name][-1] or 0.0


def draw(observations: Sequence[Observation]) -> tuple[Chart, ...]:
    """Return the variance got against wanted (first seed), learning (all seeds), and the trained network's norms."""
    first = seeds_of(observations)[0]
    variances, errors, affine = [], [], []
    for way in levels(observations, "gamma"):
        for each in choose(observations, KIND, target=DRAWN, gamma=way):
            if each.question.seed == first:
                pairs = zip(each.series["wanted"], each.series["got"], strict=True)
                variances += [Point(x, y, str(way)) for x, y in pairs if x is not None]
    for target in levels(observations, "target"):
        curves = [each.series["error"] for each in choose(observations, KIND, target=target, gamma=LEARNED)]
        for step, found in enumerate(zip(*curves, strict=True)):
            # An error of exactly 0 has no place on a logarithmic axis.
            errors.append(Point(step, max((error for error in found if error), default=None), str(target)))
    trained = choose(observations, TRAINED)
    for name in ("gamma", "beta"):
        for layer, found in enumerate(zip(*(each.series[name] for each in trained), strict=True), start=1):
            mean, low, high = estimate([value for value in found if value is not None])
            affine.append(Point(layer, mean, name, low, high))
    return (
        Chart("A2-variance", "lines", tuple(variances), log_x=True, log_y=True),
        Chart("A2-learning", "lines", tuple(errors), log_y=True),
        Chart("A2-trained", "lines", tuple(affine)),
    )


CLAIM = Claim(
    "A2",
    "affine",
    ask,
    judge,
    draw,
    published=(
        Published(
            "A2-published-recover",
            "Ioffe & Szegedy 2015, arXiv:1502.03167, section 3",
            "https://arxiv.org/abs/1502.03167",
        ),
    ),
)
