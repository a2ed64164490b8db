"""Chains as data: what is fused, and the inputs that break careless kernels."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from placenorm.kernels.activations import FUNCTIONS, Activation
from placenorm.kernels.chain import Chain

PARAMETERS = {"leaky_relu": 0.1, "elu": 1.3}


def find_activation(name: str) -> Activation:
    return Activation(name, PARAMETERS.get(name, 0.0))


RELU = find_activation("relu")
COMMON = [Chain(), Chain(before=RELU), Chain(after=RELU), Chain(adds=True), Chain(after=RELU, adds=True)]
RARE = [
    chain
    for name in FUNCTIONS
    if name not in ("identity", "relu")
    for chain in (Chain(before=find_activation(name)), Chain(after=find_activation(name)))
]


@dataclass(frozen=True, slots=True)
class ChainInput:
    """An input of a chain.

    Attributes:
        name: id of the case.
        shape: ``[N, C, S]``.
        mean: of the data.
        std: of the data.
        gamma: weights, repeated over the channels.
    """

    name: str
    shape: tuple[int, int, int]
    mean: float = 0.3
    std: float = 1.7
    gamma: tuple[float, ...] = (1.5, -0.7, 0.0)

    @property
    def condition(self) -> float:
        """How many times the rounding of the mean is magnified in the standardised value."""
        return max(1.0, abs(self.mean) / self.std)

    def make(self, chain: Chain, lay_out: Callable[[Tensor], Tensor], seed: int = 0) -> dict[str, Tensor | None]:
        """Return x, the residual, an upstream gradient, gamma and beta, in float32."""
        source = torch.Generator().manual_seed(seed)
        channels = self.shape[1]

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=source)

        return {
            "x": lay_out(self.mean + self.std * draw(*self.shape)),
            "residual": lay_out(draw(*self.shape)) if chain.adds else None,
            "dy": lay_out(draw(*self.shape)),
            "weight": torch.tensor(self.gamma).repeat(channels)[:channels],
            "bias": draw(channels),
        }


INPUTS = [
    ChainInput("usual", (4, 6, 35)),
    ChainInput("primes", (5, 7, 11)),
    ChainInput("one-channel", (3, 1, 4)),
    ChainInput("one-position", (9, 5, 1)),
    ChainInput("one-sample", (1, 3, 17)),
    ChainInput("large-plane", (2, 3, 9001)),
    ChainInput("many-channels", (2, 130, 6)),
    ChainInput("far-mean", (8, 3, 50), mean=1e3, std=0.1),
    ChainInput("tiny", (6, 3, 20), mean=0.0, std=1e-6),
]

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "planes": lambda x: x.contiguous(),
    "rows": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
}
