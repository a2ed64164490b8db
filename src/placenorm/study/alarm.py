"""Says when a study is not worth going on with, because (nearly) all of its trials fail."""

from collections import deque

from placenorm.errors import TrialError
from placenorm.facts.trial import TrialResult

FIRST = 3
"""So many trials that fail, and none that does not: a mistake that every trial makes is told at once."""

WINDOW = 20
MOST = 16
"""So many of the last `WINDOW` trials: something has broken on the way, such as a full disk or a lost data server."""


class FailureWatcher:
    """Watches the trials of a run as they finish.

    Args:
        succeeded: how many trials of the study have a result already.
    """

    def __init__(self, succeeded: int) -> None:
        self._succeeded = succeeded
        self._failed = 0
        self._last: deque[bool] = deque(maxlen=WINDOW)
        self._latest: TrialResult | None = None

    def note(self, result: TrialResult, *, again: bool = False) -> None:
        """Take note of a trial.

        Args:
            result: what came of it.
            again: whether it failed before and was tried again: then it is no news that it does.

        Raises:
            TrialError: if it makes no sense to go on.
        """
        if result.failure is None:
            self._succeeded += 1
        else:
            self._failed, self._latest = self._failed + 1, result
        if not again:
            self._last.append(result.failure is not None)
        if self._failed >= FIRST and not self._succeeded:
            raise self._give_up(f"all {self._failed} trials so far failed")
        if len(self._last) == WINDOW and sum(self._last) >= MOST:
            raise self._give_up(f"{sum(self._last)} of the last {WINDOW} trials failed")

    def end(self) -> None:
        """Take note that there are no more trials.

        Raises:
            TrialError: if all of them failed.
        """
        if self._failed and not self._succeeded:
            raise self._give_up("the only trial failed" if self._failed == 1 else f"all {self._failed} trials failed")

    def _give_up(self, what: str) -> TrialError:
        assert self._latest is not None
        assert self._latest.failure is not None
        return TrialError(
            f"Stopped, because {what}, the last one, {self._latest.key}, since {self._latest.failure.reason}; mend "
            "that, then go on with --resume, which tries failed trials again (placenorm report shows their tracebacks)."
        )
