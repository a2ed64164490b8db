"""Where a study is kept: what a folder and a database have in common."""

from collections.abc import Iterator
from typing import Protocol

from optuna.trial import FrozenTrial

from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import TrialResult


class Home(Protocol):
    """Keeps the head of one study and its trials. One process writes at a time."""

    @property
    def place(self) -> str:
        """Where it is, as people read it, without any password."""

    @property
    def elsewhere(self) -> str:
        """How to keep a study somewhere else: ``choose another --out``."""

    def read_head(self) -> Comparison | None:
        """Return the comparison without its trials; None where there is none yet."""

    def write_head(self, head: Comparison) -> None:
        """Write the head, whole or not at all."""

    def open(self, head: Comparison, *, make: bool) -> None:
        """Make the trials ready to be read and, with `make`, added."""

    def count(self) -> int:
        """Return how many finished trials there are, before it is opened."""

    def read(self) -> list[TrialResult]:
        """Return the trials, from the first that was kept to the last."""

    def add(self, trial: FrozenTrial) -> None:
        """Add a finished trial in one transaction; raises one of `rows.TROUBLE` where that fails."""

    def wait(self, error: BaseException) -> Iterator[None]:
        """Yield whenever it is worth another try after an error, for as long as there is patience."""

    def close(self) -> None:
        """Let other processes write."""
