"""Which trial is next: all of a plan, seed by seed, or as long as a comparison that may stop early wants more."""

from collections import Counter
from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import TrialKey, TrialOrder, TrialResult
from placenorm.study.plan import SeedPlan, plan_seed
from placenorm.study.stopping import advance, begin, plan_next


class Agenda(Protocol):
    """The trials of a comparison that are still to come, as far as is known.

    Attributes:
        ahead: trials that a worker has at hand, the one that it runs among them.
    """

    ahead: int

    @property
    def running(self) -> int:
        """How many trials were handed out and are not finished."""
        ...

    def __len__(self) -> int:
        """How many trials are wanted and not finished; 0 where those that still run are not wanted any more."""
        ...

    def take(self) -> TrialOrder | None:
        """Return the trial that is to be handed out next; None where none is wanted until another one is finished."""
        ...

    def note(self, result: TrialResult) -> None:
        """Take note of a trial that was handed out and is finished."""
        ...


def make_agenda(head: Comparison, results: Mapping[TrialKey, TrialResult]) -> Agenda:
    """Return the agenda of a comparison.

    Args:
        head: the comparison.
        results: the trials that are finished.
    """
    return WholeAgenda(head, results) if head.settings.stop == "never" else StoppingAgenda(head, results)


class WholeAgenda:
    """All trials, seed by seed, so that a run that is stopped has whole seeds to judge.

    When all variants of a seed have tried its learning rates, its grid grows if it must, and the new trials follow.

    Args:
        head: the comparison.
        results: the trials that are finished.
    """

    ahead = 2

    def __init__(self, head: Comparison, results: Mapping[TrialKey, TrialResult]) -> None:
        self._rates = head.settings.learning_rates
        self._names = [variant.name for variant in head.variants]
        self._results = dict(results)
        self._waiting: list[tuple[int, int, TrialKey]] = []
        self.running = 0
        self._open: Counter[int] = Counter()
        self._count = count()
        for seed in range(head.settings.seeds):
            self._add(seed)

    def __len__(self) -> int:
        return len(self._waiting) + self.running

    def take(self) -> TrialOrder | None:
        """Return the first trial of the lowest seed that has one."""
        if not self._waiting:
            return None
        self.running += 1
        return TrialOrder(heappop(self._waiting)[-1])

    def note(self, result: TrialResult) -> None:
        """Let the grid of a seed grow when its last trial is finished."""
        self._results[result.key] = result
        self.running -= 1
        seed = result.key.seed
        self._open[seed] -= 1
        if not self._open[seed]:
            self._add(seed)

    def _add(self, seed: int) -> None:
        for key in plan_seed(seed, self._names, self._rates, self._results).missing:
            heappush(self._waiting, (seed, next(self._count), key))
            self._open[seed] += 1


class StoppingAgenda:
    """The trials of the first seed that is not complete, and of those behind it while workers would idle.

    The comparison is looked at as soon as a seed is complete: what it does not want any more is not handed out.

    Args:
        head: the comparison.
        results: the trials that are finished.
    """

    ahead = 1

    def __init__(self, head: Comparison, results: Mapping[TrialKey, TrialResult]) -> None:
        self._head = head
        self._results = dict(results)
        self._stored = Counter(key.seed for key in results)
        self._out: set[TrialKey] = set()
        self._standing = advance(begin(head), head, self._results)

    @property
    def running(self) -> int:
        """How many trials were handed out and are not finished."""
        return len(self._out)

    def __len__(self) -> int:
        if self._standing.ending is not None:
            return 0
        return max(sum(map(self._count_left, self._seeds())), self.running)

    def take(self) -> TrialOrder | None:
        """Return the first trial of the lowest seed that wants one."""
        for seed in self._seeds():
            for key, bar in self._plan(seed).bars.items():
                if key not in self._out:
                    self._out.add(key)
                    return TrialOrder(key, bar)
        return None

    def note(self, result: TrialResult) -> None:
        """Look at the comparison when the trial completes its seed."""
        self._results[result.key] = result
        self._stored[result.key.seed] += 1
        self._out.discard(result.key)
        if result.key.seed == len(self._standing.plans):
            self._standing = advance(self._standing, self._head, self._results)

    def _seeds(self) -> range:
        """The seeds that are not complete and are wanted, as far as is known."""
        ended = self._standing.ending is not None
        return range(0) if ended else range(len(self._standing.plans), self._head.settings.seeds)

    def _plan(self, seed: int) -> SeedPlan:
        return plan_next(self._standing, seed, self._head, self._results)

    def _count_left(self, seed: int) -> int:
        """How many trials a seed probably still wants: one a rate, where its searches are not longer or shorter."""
        usual = len(self._standing.living) * len(self._head.settings.learning_rates) - self._stored[seed]
        missing = len(self._plan(seed).missing) if self._stored[seed] else usual
        return max(usual, missing) if missing else 0
