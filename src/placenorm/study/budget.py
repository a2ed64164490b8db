"""What a comparison may spend: a time, a number of trials, or GPU hours, and when that is spent."""

import math
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean

from placenorm.errors import UsageError
from placenorm.facts.comparison import BudgetKind, Spending
from placenorm.facts.trial import TrialResult

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_FORM = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|-trials?|-gpu-hours?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent.

    Attributes:
        kind: what is counted: ``time``, ``trials`` or ``gpu-hours``.
        limit: how much of it: seconds, trials or hours.
        text: as the user wrote it.
    """

    kind: BudgetKind
    limit: float
    text: str


def parse_budget(text: str) -> Budget:
    """Return a budget from its words: ``30m``, ``2h``, ``200-trials`` or ``3-gpu-hours``.

    Raises:
        UsageError: if it is no budget, or nothing could be done with it.
    """
    form = _FORM.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    number, unit = (float(form[1]), form[2]) if form else (0.0, "")
    if not number or (unit.startswith("-trial") and number % 1):
        raise UsageError(
            f"Cannot spend --budget {text!r}: give a time such as 30m or 2h, whole trials such as 200-trials, or GPU "
            "hours such as 3-gpu-hours, and more than 0."
        )
    if unit in SECONDS:
        return Budget("time", number * SECONDS[unit], text.strip())
    return Budget("trials" if unit.startswith("-trial") else "gpu-hours", number, text.strip())


class BudgetMeter:
    """Says whether another trial may be handed out.

    A time is that of this run, from here on; trials and GPU hours are all that the comparison has taken, in earlier
    runs too. Trials that are running count as trials, and in GPU hours as much as those that are finished took on
    average.

    Args:
        budget: what may be spent; None for no limit.
        results: the trials that are finished.
        gpus: GPUs that a trial holds (0 to 1 where trials share one).
        clock: gives seconds.
    """

    def __init__(
        self,
        budget: Budget | None,
        results: Iterable[TrialResult],
        gpus: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget, self._gpus, self._clock = budget, gpus, clock
        self._started = clock()
        self._walls = [result.wall_s for result in results]

    @property
    def limited(self) -> bool:
        """Whether there is a budget."""
        return self._budget is not None

    def note(self, result: TrialResult) -> None:
        """Count a trial that is finished."""
        self._walls.append(result.wall_s)

    def allows(self, running: int) -> bool:
        """Whether another trial may be handed out, beside those that are running."""
        if self._budget is None:
            return True
        if self._budget.kind == "trials":
            return len(self._walls) + running < self._budget.limit
        if self._budget.kind == "time":
            return self._clock() - self._started < self._budget.limit
        usual = fmean(self._walls) if self._walls else 0.0
        return self._gpu_hours(math.fsum(self._walls) + running * usual) < self._budget.limit

    def read(self) -> Spending | None:
        """Return what was spent; None without a budget."""
        if self._budget is None:
            return None
        return Spending(
            budget=self._budget.text,
            kind=self._budget.kind,
            trials=len(self._walls),
            time_s=self._clock() - self._started,
            gpu_hours=self._gpu_hours(math.fsum(self._walls)),
        )

    def _gpu_hours(self, walls: float) -> float:
        return walls * self._gpus / SECONDS["h"]
