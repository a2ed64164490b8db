"""What every executor does: it takes trials by their keys and gives back what came of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from placenorm.errors import TrialError
from placenorm.facts.trial import Failure

ATTEMPTS = 3
"""How often a trial is begun whose worker dies under it, before it counts as failed."""

K = TypeVar("K")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[K, R]):
    """What came of one trial: its result, or why it failed.

    Attributes:
        key: which trial it was.
        result: what it gave; None where it failed.
        failure: why there is no result; None where there is one.
        wall_s: seconds that its worker spent on it; 0 where that is not known, as where the worker died.
    """

    key: K
    result: R | None
    failure: Failure | None = None
    wall_s: float = 0.0


class Executor(Protocol[K, R]):
    """Runs trials, each of them to one outcome: none is lost, and none comes twice.

    A trial that raises, or that keeps killing its worker, comes back as failed. Leaving the block ends what still
    runs. The numbers of a trial do not depend on the executor: every trial runs on one thread.
    """

    @property
    def slots(self) -> int:
        """How many trials it can run at a time, just now."""

    def submit(self, key: K) -> None:
        """Queue a trial."""

    def finished(self) -> Iterator[Outcome[K, R]]:
        """Yield outcomes as they come in; trials may be submitted meanwhile. Ends when none is left.

        Raises:
            PlacenormError: if no worker can be made ready, or the machines are lost; what had finished by then was
                yielded before.
        """

    def take_finished(self) -> Iterator[Outcome[K, R]]:
        """Yield the outcomes that are there by now, without waiting."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs."""


def expect_result(outcome: Outcome[K, R]) -> R:
    """Return the result of a trial that may not fail.

    Raises:
        TrialError: if it failed.
    """
    if outcome.failure is not None:
        raise TrialError(
            f"Trial {outcome.key} failed: {outcome.failure.reason}; mend the model or the data, then go on with "
            "--resume."
        )
    assert outcome.result is not None
    return outcome.result
