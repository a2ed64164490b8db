"""Batch norm cases as data: shapes, layouts and data that break careless implementations."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class NormCase:
    """One input of a norm and how it lies in memory.

    Attributes:
        name: id of the case.
        shape: ``[N, C, *]``.
        lay_out: changes strides, not values.
        mean: of the data.
        std: of the data.
        gamma: weights, repeated over the channels.
        dead_channel: whether channel 0 is constant.
    """

    name: str
    shape: tuple[int, ...]
    lay_out: Callable[[Tensor], Tensor] = torch.Tensor.contiguous
    mean: float = 0.5
    std: float = 2.0
    gamma: tuple[float, ...] = (1.5, 0.7)
    dead_channel: bool = False

    @property
    def condition(self) -> float:
        """How many times the rounding of the mean is magnified in the standardised value."""
        return max(1.0, abs(self.mean) / self.std)

    def make(self, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return x, a random upstream gradient, weight and bias (float32 or wider)."""
        source = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=source, dtype=torch.float64)

        x = self.mean + self.std * draw(*self.shape)
        if self.dead_channel:
            x[:, 0] = self.mean
        channels = self.shape[1]
        weight = torch.tensor(self.gamma, dtype=torch.float64).repeat(channels)[:channels]
        parameters = torch.promote_types(dtype, torch.float32)
        return (
            self.lay_out(x.to(dtype)),
            self.lay_out(draw(*self.shape).to(dtype)),
            weight.to(parameters),
            draw(channels).to(parameters),
        )


def _every_second(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=-1)[..., ::2]


def _transposed(x: Tensor) -> Tensor:
    return x.transpose(0, -1).contiguous().transpose(0, -1)


def _channels_last(x: Tensor) -> Tensor:
    return x.to(memory_format=torch.channels_last)


def _channels_last_3d(x: Tensor) -> Tensor:
    return x.to(memory_format=torch.channels_last_3d)


CASES = (
    NormCase("features", (32, 10)),
    NormCase("primes", (7, 5, 11, 13)),
    NormCase("one-channel", (8, 1, 6, 6)),
    NormCase("one-position", (9, 4, 1, 1)),
    NormCase("one-sample", (1, 3, 5, 4)),
    NormCase("two-values", (2, 3)),
    NormCase("sequence", (6, 4, 17)),
    NormCase("volume", (3, 4, 2, 5, 3)),
    NormCase("empty-batch", (0, 4, 3, 3)),
    NormCase("empty-map", (2, 4, 0, 3)),
    NormCase("every-second-column", (4, 3, 6, 5), _every_second),
    NormCase("transposed", (4, 3, 6, 5), _transposed),
    NormCase("transposed-features", (12, 5), _transposed),
    NormCase("channels-last", (4, 6, 5, 7), _channels_last),
    NormCase("channels-last-3d", (2, 6, 3, 2, 5), _channels_last_3d),
    NormCase("far-mean", (16, 4, 8, 8), mean=1e3, std=0.1),
    NormCase("far-mean-features", (64, 5), mean=-1e3, std=0.1),
    NormCase("gamma-zero-and-negative", (8, 6, 5, 5), gamma=(0.0, -1.3, 0.9)),
    NormCase("dead-channel", (8, 4, 5, 5), dead_channel=True),
    NormCase("tiny-spread", (16, 3, 4, 4), std=1e-4),
    NormCase("long", (64, 2, 32, 32)),
)
