"""The experiments ``spike`` and ``singular-loss``: one wild step in the middle of a training, then training goes on.

``spike`` multiplies the gradient of one step; in ``singular-loss`` that step has a loss that is singular.
"""

import math
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from placenorm.article.experiments.laboratory import Laboratory, Measured, make_sgd, seeded, take_step
from placenorm.article.experiments.scenes import SAMPLES, build_scene, is_finite, look, measure_accuracy
from placenorm.facts.claim import Factor, Number, Question
from placenorm.randomness import fix_seed

SPIKE: Final = "spike"
SINGULAR: Final = "singular-loss"

Loss = Literal["log-near-zero", "root-near-zero", "root-at-zero", "empty-mask", "nan-batch", "nan-batch-skipped"]

DEPTH: Final = 4
RATE: Final = 0.03
"""All arms train well at this rate and depth before the wild step."""

EPOCHS_BEFORE: Final = 4
EPOCHS_AFTER: Final = 8
"""Twice as long as it took to get there: who is not back by then is slower than a fresh start."""

FULL_EPOCHS_AFTER: Final = 32

NEAR_ZERO: Final = 1e-6
"""A probability of one in a million: its -log has the slope 1e6, and nothing overflows."""

ROOT_NEAR_ZERO: Final = 1e-12
"""A squared distance whose root has the slope 5e5."""

BACK: Final = 0.9
"""Share of what had been learned, above chance, that counts as recovered."""


def ask_spike(seed: int, placement: str, times: float, *, epochs: int = EPOCHS_AFTER) -> Question:
    """Return the question of a gradient that is so many times its usual size in one step, and epochs after it."""
    return _ask(SPIKE, "times", times, seed, placement, epochs)


def ask_singular(seed: int, placement: str, loss: Loss, *, epochs: int = EPOCHS_AFTER) -> Question:
    """Return the question of a singular loss in one step, and epochs after it."""
    return _ask(SINGULAR, "loss", loss, seed, placement, epochs)


def _ask(kind: str, name: str, event: float | str, seed: int, placement: str, epochs: int) -> Question:
    factors: dict[str, Factor] = {"depth": DEPTH, "placement": placement, name: event, "lr": RATE, "epochs": epochs}
    return Question(kind, factors, seed)


def run(lab: Laboratory, question: Question) -> Measured:
    """Train, take the wild step, train on, and return what came back.

    Values: ``before`` (validation accuracy before the step, 0 to 1), ``back`` (of what had been learned above chance,
    the share that the network has again at the end, in evaluation mode, 0 to 1), ``back_batch`` (the same with the
    statistics of the batch in place of the running ones, on training data), ``recovery_steps`` (first step looked at
    with `BACK` of it; None if never), ``gradient_ratio`` (the wild gradient's length over the usual one; None if it is
    no number), ``finite`` (whether all parameters are numbers at the end, 0 or 1), ``output_spread`` (spread of the
    logits over samples straight after the step, relative to their size; 0: they do not depend on the input).
    Series: ``step`` (steps since) and ``accuracy``.
    """
    model = build_scene(lab, question)
    chance = lab.chance
    with fix_seed(seeded(question)):
        optimizer = make_sgd(model, float(question.factors["lr"]))
        for _ in lab.train(model, optimizer, question.seed, EPOCHS_BEFORE):
            pass
        x, y = lab.samples(question.seed, SAMPLES)
        _, before = lab.evaluate(model, question.seed)
        before_batch = measure_accuracy(look(model, x), y)
        usual = _measure_usual(model, optimizer, lab, question.seed)
        wild = _explode(model, optimizer, *next(iter(lab.batches(question.seed, EPOCHS_BEFORE))), question)
        spread = _measure_spread(look(model, x))
        steps, reached = _train_on(lab, model, optimizer, question)
    alive = is_finite(model)
    on_batch = measure_accuracy(look(model, x), y) if alive else chance
    back = [_share_back(height, before, chance) for height in reached]
    values: dict[str, Number] = {
        "before": before,
        "back": back[-1],
        "back_batch": _share_back(on_batch, before_batch, chance),
        "recovery_steps": next((step for step, share in zip(steps, back, strict=True) if share >= BACK), None),
        "gradient_ratio": wild / usual if math.isfinite(wild) and usual > 0 else None,
        "finite": float(alive),
        "output_spread": spread,
    }
    return Measured(values, {"step": tuple(steps), "accuracy": tuple(reached)})


def _share_back(reached: float, before: float, chance: float) -> float:
    """Return the share of what had been learned above chance, 0 to 1."""
    return min(max((reached - chance) / (before - chance), 0.0), 1.0) if before > chance else 0.0


def _train_on(
    lab: Laboratory, model: nn.Module, optimizer: torch.optim.Optimizer, question: Question
) -> tuple[list[int], list[float]]:
    """Train on and return the validation accuracy after 0, 1, 2, 4, ... steps and at the end.

    A network whose weights are no numbers can never learn again: it stays at chance without being trained.
    """
    seed = question.seed
    steps, reached = [0], [_evaluate(lab, model, seed)]
    number, following = 0, 1
    for epoch in range(EPOCHS_BEFORE + 1, EPOCHS_BEFORE + 1 + int(question.factors["epochs"])):
        for batch in lab.batches(seed, epoch):
            if is_finite(model):
                take_step(model, optimizer, *batch)
            number += 1
            if number == following:
                steps.append(number)
                reached.append(_evaluate(lab, model, seed))
                following *= 2
    if steps[-1] != number:
        steps.append(number)
        reached.append(_evaluate(lab, model, seed))
    return steps, reached


def _evaluate(lab: Laboratory, model: nn.Module, seed: int) -> float:
    """Return the validation accuracy; chance for a network that gives no numbers."""
    if not is_finite(model):
        return lab.chance
    loss, accuracy = lab.evaluate(model, seed)
    return lab.chance if math.isnan(loss) else accuracy


def _measure_usual(model: nn.Module, optimizer: torch.optim.Optimizer, lab: Laboratory, seed: int) -> float:
    """Return the median length of the gradient over the last epoch's batches."""
    lengths = []
    for x, y in lab.batches(seed, EPOCHS_BEFORE - 1):
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        lengths.append(_measure_length(model))
    optimizer.zero_grad(set_to_none=True)
    return sorted(lengths)[len(lengths) // 2]


def _measure_length(model: nn.Module) -> float:
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return float(nn.utils.get_total_norm(gradients))


def _measure_spread(outputs: Tensor) -> float:
    """Return how much the outputs differ between samples, relative to their size, 0 to 1; 0 for no numbers."""
    wide = outputs.double()
    if not bool(wide.isfinite().all()):
        return 0.0
    size = float(torch.linalg.vector_norm(wide))
    return float(torch.linalg.vector_norm(wide - wide.mean(0))) / size if size else 0.0


def _explode(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, question: Question) -> float:
    """Take the wild step and return the length of its gradient."""
    name = str(question.factors.get("loss", ""))
    if name.startswith("nan-batch"):
        x = x.clone()
        x[0] = math.nan
    optimizer.zero_grad(set_to_none=True)
    _wild_loss(model(x), y, name).backward()
    if not name:
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad *= float(question.factors["times"])
    length = _measure_length(model)
    if name != "nan-batch-skipped":
        optimizer.step()
    return length


def _wild_loss(outputs: Tensor, y: Tensor, name: str) -> Tensor:
    """Return a loss of the batch. In those near zero one sample has the value that is named, the slope is the true one.

    The logarithm is that of a probability that no softmax made: softmax divides its own slope by as much.
    """
    usual = F.cross_entropy(outputs, y)
    chosen = outputs[0, y[0]]
    match name:
        case "log-near-zero":
            return usual - (chosen - chosen.detach() + NEAR_ZERO).log() / len(y)
        case "root-near-zero":
            return usual + (chosen - chosen.detach() + ROOT_NEAR_ZERO).sqrt() / len(y)
        case "root-at-zero":  # the distance of a sample from itself
            return usual + (outputs[0] - outputs[0]).square().sum().sqrt() / len(y)
        case "empty-mask":
            mask = torch.zeros_like(y, dtype=outputs.dtype)
            return (F.cross_entropy(outputs, y, reduction="none") * mask).sum() / mask.sum()
        case _:
            return usual
