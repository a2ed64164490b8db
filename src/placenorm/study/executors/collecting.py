"""How outcomes that come in from elsewhere are handed on."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import Generic

from placenorm.study.executors.children import WATCH_S
from placenorm.study.executors.executor import K, Outcome, R


class Collector(ABC, Generic[K, R]):
    """Takes in outcomes as they come, and yields each once."""

    def __init__(self) -> None:
        self._outcomes: deque[Outcome[K, R]] = deque()

    @property
    @abstractmethod
    def _is_busy(self) -> bool:
        """Whether there are trials without an outcome."""

    @abstractmethod
    def _listen(self, patience_s: float) -> None:
        """Take in the outcomes that come within some seconds, all that are there by then."""

    def finished(self) -> Iterator[Outcome[K, R]]:
        """Yield outcomes as they come in; trials may be submitted meanwhile. Ends when none is left.

        Raises:
            PlacenormError: if a worker cannot be made ready, as it was raised there, or if the machines are lost.
            TrialError: the first, where it was another error.
        """
        while self._outcomes or self._is_busy:
            if not self._outcomes:
                self._listen(WATCH_S)
            yield from self.take_finished()

    def take_finished(self) -> Iterator[Outcome[K, R]]:
        """Yield the outcomes that are there by now, without waiting."""
        self._listen(0.0)
        while self._outcomes:
            yield self._outcomes.popleft()
