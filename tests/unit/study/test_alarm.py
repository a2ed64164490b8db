import pytest

from placenorm.errors import TrialError
from placenorm.facts.trial import Failure, TrialKey, make_failed_trial
from placenorm.study.alarm import FIRST, MOST, WINDOW, FailureWatcher
from support.results import make_trial

FAILED = make_failed_trial(TrialKey("none", 0, 0.03), Failure("line 2 of loop.py raises ValueError: boom"))


def test_watcher_stops_when_the_first_trials_all_fail() -> None:
    watcher = FailureWatcher(0)
    for _ in range(FIRST - 1):
        watcher.note(FAILED)
    with pytest.raises(
        TrialError,
        match=r"all 3 trials so far failed, the last one, none\|seed=0\|lr=0.03, since line 2 of loop.py raises Value",
    ):
        watcher.note(FAILED)


@pytest.mark.parametrize("earlier", [0, 1], ids=["in-this-run", "in-an-earlier-run"])
def test_watcher_lets_failures_pass_beside_a_success(earlier: int) -> None:
    watcher = FailureWatcher(earlier)
    if not earlier:
        watcher.note(make_trial())
    for _ in range(MOST - 1):
        watcher.note(FAILED)
    watcher.end()


def test_watcher_stops_when_nearly_all_of_the_last_trials_fail() -> None:
    watcher = FailureWatcher(0)
    for _ in range(100):
        watcher.note(make_trial())
    for _ in range(MOST - 1):
        watcher.note(FAILED)
    with pytest.raises(TrialError, match=f"{MOST} of the last {WINDOW} trials failed"):
        watcher.note(FAILED)


def test_watcher_expects_no_better_of_trials_that_failed_before() -> None:
    watcher = FailureWatcher(100)
    for _ in range(WINDOW):
        watcher.note(FAILED, again=True)
    watcher.end()


@pytest.mark.parametrize(("failed", "words"), [(1, "the only trial failed"), (2, "all 2 trials failed")], ids=str)
def test_watcher_of_a_small_study_without_any_result_says_so(failed: int, words: str) -> None:
    watcher = FailureWatcher(0)
    for _ in range(failed):
        watcher.note(FAILED)
    with pytest.raises(TrialError, match=words):
        watcher.end()
