"""Networks in which every convolution is followed by a pool, with the norm at any of its positions."""

from typing import Final

from torch import nn

from placenorm.article.experiments.laboratory import Laboratory
from placenorm.article.experiments.networks import Pool, make_cnn
from placenorm.facts.claim import Question
from placenorm.facts.placement import Placement, Position
from placenorm.randomness import fix_seed

BEFORE: Final[Position] = "before-activation"
AFTER: Final[Position] = "after-activation"
POOLED: Final[Position] = "after-pool"
SWAPPED: Final[Position] = "after-pool-before-activation"
"""Pool, norm, activation: it exists where pool and activation commute, as a max pool and a ReLU do."""

POSITIONS: Final[tuple[Position, ...]] = (BEFORE, AFTER, POOLED, SWAPPED)

DEPTH: Final = 2
"""Conv layers: two 2x2 pools leave something of the smallest maps, 8x8."""


def build_network(sample_shape: tuple[int, ...], outputs: int, question: Question) -> nn.Sequential:
    """Return the network of a question with the factor ``pool``, without norms; the same for every position."""
    pool: Pool = "average" if question.factors["pool"] == "average" else "max"
    with fix_seed(question.seed):
        return make_cnn(sample_shape, outputs, DEPTH, pool=pool, pools=DEPTH)


def find_placement(model: nn.Module, position: str) -> Placement:
    """Return the placement with the norm of every convolution at a position."""
    chosen = next(known for known in POSITIONS if known == position)
    return {name: chosen for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}


def build_placed(lab: Laboratory, question: Question) -> nn.Module:
    """Return the network of a question with the factors ``pool`` and ``position``, on the data's own samples."""
    model = build_network(lab.source.sample_shape, lab.source.outputs, question)
    with fix_seed(question.seed):
        return lab.place(model, find_placement(model, str(question.factors["position"])), question.seed)
