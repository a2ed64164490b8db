"""The experiment ``rare-feature``: one unit that must be on for a tenth of the inputs, with its norm here and there.

The scene is the article's: a feature is there in 10 % of the data, and the unit that stands for it must be off for the
other 90 %. Inputs are drawn, not read: how often the feature is there must be known.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from placenorm.article.experiments.laboratory import Laboratory, Measured, build_plain_norm, make_sgd, seeded
from placenorm.facts.claim import Question
from placenorm.facts.placement import Placement
from placenorm.randomness import fix_seed
from placenorm.rewrite.norms import NormChoice
from placenorm.rewrite.placing import place_model

KIND: Final = "rare-feature"

SHARE: Final = 0.1
"""Of the inputs that have the feature: the article's number."""

INPUTS: Final = 16
"""Numbers in an input: the unit must find the feature's direction among some others."""

NOISES: Final = {"clean": 0.05, "noisy": 0.35}
"""Standard deviation of the noise on every number, where the feature adds a vector of length 1.

Clean, present and absent lie 20 deviations apart; noisy, not quite 3, so that the unit's inputs are nearly symmetric.
"""

BATCH: Final = 256
"""In a batch of 64 the feature is there 6 times, give or take 2: running statistics would follow that accident."""

STEPS: Final = 500
LR: Final = 0.03
"""Long enough: of three pilot seeds, shares after ten times the steps were the same within 4 points in every arm."""

FRESH_INPUTS: Final = 10_000
"""Inputs that shares are measured on: a share of 10 % is then known to 0.3 points."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the inputs of a seed come from.

    Attributes:
        direction: what the feature adds, ``[INPUTS]``, of length 1.
        noise: standard deviation of the noise on every number.
    """

    direction: Tensor
    noise: float

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Return inputs ``[count, INPUTS]``, and ``[count, 1]`` where the feature is there (1.0) and where not."""
        present = (torch.rand(count, 1) < SHARE).float()
        return present * self.direction + self.noise * torch.randn(count, INPUTS), present


def ask(seed: int, scene: str, placement: str, *, affine: bool = True) -> Question:
    """Return the question of one unit.

    Args:
        seed: the seed.
        scene: ``clean`` or ``noisy``.
        placement: name of a policy.
        affine: whether the norm has gamma and beta.
    """
    return Question(KIND, {"scene": scene, "placement": placement, "affine": affine}, seed)


def run(lab: Laboratory, question: Question) -> Measured:
    """Train the unit and what reads it to say how much of the feature is there, and return how often the unit is on.

    Values, on fresh inputs in evaluation mode: ``on`` (share of inputs at which the unit's activation is above 0),
    ``on_present`` and ``on_absent`` (the same of the inputs with and without the feature), ``unexplained`` (mean
    squared error over the variance of the target: 1 is as good as a constant).
    """
    factors = question.factors
    with fix_seed(question.seed):
        scene = Scene(F.normalize(torch.randn(INPUTS), dim=0), NOISES[str(factors["scene"])])
        activation = nn.ReLU()
        unit = _make_unit(scene, activation)
        placement: Placement = str(factors["placement"])  # type: ignore[assignment]  # checked by `place`
        norm: NormChoice = "torch" if factors["affine"] else build_plain_norm
        model = place_model(unit, scene.draw(2)[0], placement, norm=norm, prove=False).model.train().to(lab.device)
    with fix_seed(seeded(question)):
        optimizer = make_sgd(model, LR)
        for _ in range(STEPS):
            x, present = (each.to(lab.device) for each in scene.draw(BATCH))
            optimizer.zero_grad(set_to_none=True)
            F.mse_loss(model(x), present).backward()
            optimizer.step()
        x, present = (each.to(lab.device) for each in scene.draw(FRESH_INPUTS))
    model.eval()
    on, outputs = _read(model, activation, x)
    there = present[:, 0] > 0
    return Measured(
        {
            "on": float(on.double().mean()),
            "on_present": float(on[there].double().mean()),
            "on_absent": float(on[~there].double().mean()),
            "unexplained": float(F.mse_loss(outputs, present) / present.var(correction=0)),
        }
    )


def _make_unit(scene: Scene, activation: nn.ReLU) -> nn.Sequential:
    """Return one unit that rises with the feature, however little at first, and what reads it."""
    unit, reader = nn.Linear(INPUTS, 1), nn.Linear(1, 1)
    with torch.no_grad():
        nn.init.zeros_(unit.bias)
        unit.weight *= torch.sign(unit.weight @ scene.direction)
        nn.init.ones_(reader.weight)
        nn.init.zeros_(reader.bias)
    return nn.Sequential(unit, activation, reader)


@torch.no_grad()
def _read(model: nn.Module, activation: nn.ReLU, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the unit is on, ``[N]``, and what is said, ``[N, 1]``."""
    seen: list[Tensor] = []
    # Before the hook by which a norm behind the activation changes what it returns.
    with activation.register_forward_hook(lambda module, args, output: seen.append(output), prepend=True):
        outputs: Tensor = model(x)
    return seen[0][:, 0] > 0, outputs
