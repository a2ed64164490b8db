"""How many rounds are taken, and what a case hands back."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Row = TypeVar("Row")
Sample = TypeVar("Sample")


@dataclass(frozen=True, slots=True)
class Timed(Generic[Row]):
    """One case.

    Attributes:
        rows: its candidates.
        troubles: what could not be timed and why, a sentence each.
    """

    rows: list[Row] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rounds:
    """How long a case goes on: until both are reached, and no further than the last.

    Attributes:
        seconds: of timing.
        least: number of rounds.
        most: number of rounds.
        warm_up: rounds before them that are not counted: kernels are compiled, caches filled.
    """

    seconds: float
    least: int
    most: int
    warm_up: int

    def take(self, take_round: Callable[[], Sample]) -> list[Sample]:
        """Return what the rounds gave."""
        for _ in range(self.warm_up):
            take_round()
        started = time.perf_counter()
        samples: list[Sample] = []
        while len(samples) < self.least or (len(samples) < self.most and time.perf_counter() - started < self.seconds):
            samples.append(take_round())
        return samples
