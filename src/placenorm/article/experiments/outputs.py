"""Outputs of neurons that are as large as real data make them, and far apart in spread: what a norm is put to."""

from typing import Final

import torch
from torch import Tensor, nn

from placenorm.article.experiments.laboratory import Laboratory
from placenorm.randomness import fix_seed

SAMPLES: Final = 128
NEURONS: Final = 100
"""The article's own matrix: 128 samples, 100 neurons."""

LEAST_SPREAD, MOST_SPREAD = 0.5, 8.0
"""What the neurons' outputs are multiplied by: sixteenfold from the narrowest to the widest, as trained layers have
it, and never so narrow that eps (1e-5) is more than a thousandth of a variance."""


def draw_outputs(lab: Laboratory, seed: int) -> Tensor:
    """Return the outputs of a fresh layer of 100 neurons for 128 training samples of a seed.

    The layer is PyTorch's, drawn under the seed. Its outputs are divided by their root mean square, so that the scale
    of the data does not matter, and each neuron's are then multiplied by a spread of its own.

    Returns:
        ``[N, C]``, float64.
    """
    x, _ = lab.samples(seed, SAMPLES)
    x = x.detach().flatten(1).double()
    with fix_seed(seed), torch.no_grad():
        layer = nn.Linear(x.shape[1], NEURONS, dtype=torch.float64).to(x.device)
        spread = torch.logspace(0, 1, NEURONS, base=MOST_SPREAD / LEAST_SPREAD, dtype=torch.float64)
        outputs: Tensor = layer(x)
        return outputs / outputs.square().mean().sqrt() * LEAST_SPREAD * spread[torch.randperm(NEURONS)].to(x.device)
