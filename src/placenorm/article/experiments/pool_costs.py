"""The experiment ``pool-cost``: what the norm costs at a position, counted, and timed beside the place after the
activation.

The two are timed in turn, A B A B, in one trial: what else the machine does disturbs both alike.
"""  # noqa: D205 - one sentence

import time
from collections.abc import Callable
from statistics import median
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.article.experiments.laboratory import Laboratory, Measured, seeded
from placenorm.article.experiments.pool_networks import AFTER, build_network, find_placement
from placenorm.cost import count_cost
from placenorm.facts.claim import Question
from placenorm.randomness import fix_seed
from placenorm.rewrite.placing import Placed, place_model

KIND: Final = "pool-cost"

SAMPLES: Final = 64

CLASSES: Final = 10

WARM_UP: Final = 2
ROUNDS: Final = 15
"""Times that each is timed; the median of 15 does not mind a few that were disturbed."""

NORM_RUNS: Final = 3
"""Runs of all norms in one timing: alone they are too short for the clock's own time to vanish."""


def ask(seed: int, position: str, side: int, pool: str = "max") -> Question:
    """Return the question of one position.

    Args:
        seed: the seed.
        position: where the norms stand.
        side: height and width of the images in pixels.
        pool: ``max`` or ``average``.
    """
    return Question(KIND, {"position": position, "side": side, "pool": pool}, seed)


def run(lab: Laboratory, question: Question) -> Measured:
    """Count and time, and return both.

    Values: ``elements`` (values that the norms take in a step), ``norm_bytes`` (that they move in a training step),
    ``norm_parameters``; ``elements_ratio`` (those of the norms after the activation over these), ``time_ratio`` (the
    same of the time of the norms' forward and backward pass), ``step_ratio`` (of a whole training step), and
    ``norm_share`` (time of the norms over that of the step, 0 to 1).
    """
    side = int(question.factors["side"])
    shape = (lab.source.sample_shape[0], side, side)
    with fix_seed(seeded(question)):
        x = torch.randn(SAMPLES, *shape, device=lab.device)
        y = torch.randint(CLASSES, (SAMPLES,), device=lab.device)
        first, second = (_place(shape, question, name, x) for name in (AFTER, str(question.factors["position"])))
        base, cost = count_cost(first.graph), count_cost(second.graph)
        norms = _time_in_turn(*(_make_norm_run(placed.model, x) for placed in (first, second)))
        steps = _time_in_turn(*(_make_step(placed.model, x, y) for placed in (first, second)))
    return Measured(
        {
            "elements": float(cost.norm_elements),
            "norm_bytes": float(cost.norm_train_bytes),
            "norm_parameters": float(cost.norm_parameters),
            "elements_ratio": base.norm_elements / cost.norm_elements,
            "time_ratio": norms[0] / norms[1],
            "step_ratio": steps[0] / steps[1],
            "norm_share": norms[1] / NORM_RUNS / steps[1],
        }
    )


def _place(shape: tuple[int, ...], question: Question, position: str, x: Tensor) -> Placed:
    model = build_network(shape, CLASSES, question)
    placed = place_model(model, x[:2].cpu(), find_placement(model, position), prove=False)
    placed.model.train().to(x.device)
    return placed


def _make_norm_run(model: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return what runs all norms of a network, forward and backward, on tensors as they meet them."""
    seen: list[tuple[nn.Module, Tensor]] = []
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    handles = [norm.register_forward_pre_hook(lambda module, args: seen.append((module, args[0]))) for norm in norms]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    work = [(norm, held.detach().requires_grad_(), torch.randn_like(held)) for norm, held in seen]

    def run_norms() -> None:
        for _ in range(NORM_RUNS):
            for norm, held, gradient in work:
                norm(held).backward(gradient)

    return run_norms


def _make_step(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    """Return what runs one training step, without an update."""

    def run_step() -> None:
        F.cross_entropy(model(x), y).backward()

    return run_step


def _time_in_turn(*runs: Callable[[], None]) -> list[float]:
    """Return the median time of each in seconds."""
    times: list[list[float]] = [[] for _ in runs]
    for number in range(WARM_UP + ROUNDS):
        for run_it, kept in zip(runs, times, strict=True):
            _wait()
            started = time.perf_counter()
            run_it()
            _wait()
            if number >= WARM_UP:
                kept.append(time.perf_counter() - started)
    return [median(kept) for kept in times]


def _wait() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
