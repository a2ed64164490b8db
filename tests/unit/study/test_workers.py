"""The pool in the driver, with futures that are finished by hand."""

from concurrent.futures import Future

import pytest

from placenorm.errors import TrialError
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study import workers
from placenorm.study.workers import WorkerPool
from support.results import make_trial


class ByHand:
    """Stands in for loky's pool: every trial gets a future that the test finishes."""

    def __init__(self, **options: object) -> None:
        self.futures: dict[TrialKey, Future[TrialResult]] = {}

    def submit(self, function: object, key: TrialKey) -> Future[TrialResult]:
        self.futures[key] = Future()
        return self.futures[key]


@pytest.fixture
def futures(monkeypatch: pytest.MonkeyPatch) -> list[ByHand]:
    made: list[ByHand] = []

    def make(**options: object) -> ByHand:
        made.append(ByHand())
        return made[-1]

    monkeypatch.setattr(workers, "ProcessPoolExecutor", make)
    return made


TRIALS = [make_trial(seed=seed) for seed in range(4)]


def start(made: list[ByHand]) -> tuple[WorkerPool[TrialKey, TrialResult], list[Future[TrialResult]]]:
    pool = WorkerPool[TrialKey, TrialResult](None, 1)  # type: ignore[arg-type]  # no worker makes its work
    for trial in TRIALS:
        pool.submit(trial.key)
    return pool, list(made[0].futures.values())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("boom"), r"Trial none\|seed=1\|lr=0.03 failed: ValueError: boom; mend"),
        (SystemExit(3), r"Trial none\|seed=1\|lr=0.03 failed: SystemExit: 3; mend"),
        (TrialError("As it was raised."), "As it was raised."),
    ],
    ids=["error", "exit", "own-error"],
)
def test_finished_yields_every_result_before_it_raises(futures: list[ByHand], error: BaseException, words: str) -> None:
    pool, promised = start(futures)
    for trial, future in zip(TRIALS, promised, strict=True):
        if trial.key.seed == 1:
            future.set_exception(error)
        else:
            future.set_result(trial)
    results = pool.finished()
    assert {next(results).key.seed for _ in range(3)} == {0, 2, 3}
    with pytest.raises(TrialError, match=words):
        next(results)


def test_take_finished_waits_for_nothing_and_leaves_what_failed(futures: list[ByHand]) -> None:
    pool, promised = start(futures)
    promised[0].set_exception(ValueError("boom"))
    promised[2].set_result(TRIALS[2])
    assert list(pool.take_finished()) == [TRIALS[2]]
    assert list(pool.take_finished()) == []
