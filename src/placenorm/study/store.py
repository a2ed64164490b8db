"""A comparison's folder: its head in JSON, its finished trials in an Optuna study in SQLite."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Self

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from placenorm.errors import StoreError
from placenorm.facts.codec import dumps, loads
from placenorm.facts.comparison import Comparison, Spending
from placenorm.facts.environment import Environment
from placenorm.facts.trial import TrialKey, TrialResult

HEAD = "comparison.json"
TRIALS = "trials.db"
LOCK = ".lock"
STUDY = "placenorm"

PATIENCE_S = 60.0
"""How long a process waits for another that has the database locked."""

RATES = (1e-300, 1e300)
"""Wider than any learning rate: Optuna keeps no parameter that lies outside."""

THEN = ", then "
"""Between the versions or platforms of a run that was continued under another one."""

NOT_COMPARED = ("seeds", "planned")
"""Settings in which two runs of one comparison may differ."""

_RESULT = "result"
_PLAN_KEY = "plan_key"


class LockedFolder:
    """A folder that one process writes at a time, for the length of a block.

    Args:
        folder: where it lies.
        lock: the open lock file; None for reading.
    """

    def __init__(self, folder: Path, lock: IO[str] | None) -> None:
        self.folder = folder
        self._lock = lock

    def close(self) -> None:
        """Let other processes write."""
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class TrialStore(LockedFolder):
    """The folder of one comparison.

    A trial is added once, when it is finished, in one transaction: a killed run loses at most the trials that were
    running. One process writes at a time.

    Args:
        folder: where it lies.
        head: the comparison without its trials.
        study: the Optuna study.
        lock: the open lock file; None for reading.
    """

    def __init__(self, folder: Path, head: Comparison, study: optuna.Study, lock: IO[str] | None) -> None:
        super().__init__(folder, lock)
        self.head = head
        self._study = study
        self._results = keep_last(_read_results(study, folder))

    @property
    def results(self) -> Mapping[TrialKey, TrialResult]:
        """Every finished trial, also those that failed, by its key; not to be changed, and not a copy."""
        return MappingProxyType(self._results)

    def add(self, result: TrialResult) -> None:
        """Keep a finished trial. It replaces one that failed.

        Raises:
            StoreError: if it cannot be written, or is there already.
        """
        held = self._results.get(result.key)
        if held is not None and held.failure is None:
            raise StoreError(f"Trial {result.key} is in {self.folder} already; a trial is kept once.")
        try:
            self._study.add_trial(_frozen(result, self.head))
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError) as error:
            raise StoreError(
                f"Cannot write to {self.folder / TRIALS}: {_cause(error)}; the {len(self._results)} trials before are "
                "safe, so make room or mend the folder and go on with --resume."
            ) from error
        self._results[result.key] = result

    def keep_spending(self, spending: Spending | None) -> None:
        """Keep what was spent when the budget ended a run, or that none did.

        Raises:
            StoreError: if it cannot be written.
        """
        if self.head.spending != spending:
            self.head = replace(self.head, spending=spending)
            _write_head(self.folder, self.head)


def keep_last(results: Iterable[TrialResult]) -> dict[TrialKey, TrialResult]:
    """Return trials by their key, from the first that was kept to the last: a later one replaces one that failed."""
    kept: dict[TrialKey, TrialResult] = {}
    for result in results:
        held = kept.get(result.key)
        if held is None or held.failure is not None:
            kept[result.key] = result
    return kept


def open_store(folder: Path, head: Comparison, *, resume: bool) -> TrialStore:
    """Return the store of a comparison, made anew or continued.

    Args:
        folder: where it lies; made if it is not there.
        head: the comparison that is to be run, without trials.
        resume: go on with what the folder holds.

    Raises:
        StoreError: if the folder cannot be written, is in use, or holds another comparison or, without `resume`, this.
    """
    lock = lock_folder(folder)
    try:
        held = _read_head(folder) if (folder / HEAD).exists() else None
        if held is None and (folder / TRIALS).exists():
            raise StoreError(f"Cannot use {folder}: it has {TRIALS} but no {HEAD}; choose another --out.")
        if held is not None:
            difference = _difference(held, head)
            if difference:
                raise StoreError(
                    f"Cannot use {folder}: it holds another comparison ({difference}); choose another --out, or repeat "
                    "the command that made it with --resume."
                )
            if not resume:
                made = (folder / TRIALS).exists() and (folder / TRIALS).stat().st_size
                count = len(_read_results(_open_study(folder, held), folder)) if made else 0
                raise StoreError(
                    f"{folder} holds this comparison already, with {count} finished trials: "
                    "add --resume to go on with it, or choose another --out to run it afresh."
                )
            head = _merge(held, head)
        else:
            _write_head(folder, head)  # first, so that a run that is killed while it makes the database can go on
        study = _open_study(folder, head, make=True)
        if held is not None and held != head:
            _write_head(folder, head)
        return TrialStore(folder, head, study, lock)
    except BaseException:
        lock.close()
        raise


def read_store(folder: Path) -> TrialStore:
    """Return the store in a folder, for reading: nothing is made and nothing written.

    Raises:
        StoreError: if there is none, if it has no trial yet, or if it cannot be read.
    """
    if not (folder / HEAD).is_file():
        raise StoreError(
            f"There is no comparison in {folder}: it has no {HEAD}; give a folder that placenorm compare or "
            "placenorm claims wrote."
        )
    if not (folder / TRIALS).is_file() or not (folder / TRIALS).stat().st_size:
        raise StoreError(
            f"The comparison in {folder} has no trial: {TRIALS} is missing or empty; run the command that made it with "
            "--resume, or restore the file."
        )
    head = _read_head(folder)
    return TrialStore(folder, head, _open_study(folder, head), None)


def lock_folder(folder: Path) -> IO[str]:
    """Return the open lock file of a folder, made if need be.

    Raises:
        StoreError: if the folder cannot be written, or another process writes to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise StoreError(
            f"Cannot write results to {folder}: {error.strerror or error}; choose a folder you may write to with --out."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StoreError(
            f"Another run of placenorm is writing to {folder}; wait for it, or choose another --out."
        ) from error
    return lock


def _open_study(folder: Path, head: Comparison, *, make: bool = False) -> optuna.Study:
    """Return the study in a folder; `make` makes what is missing of it, else nothing is written."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it greets every study it opens
    try:
        storage = _open_database(folder / TRIALS, make=make)
        if not make:
            return optuna.load_study(study_name=STUDY, storage=storage)
        return optuna.create_study(
            study_name=STUDY,
            storage=storage,
            direction="maximize" if head.metric.higher_is_better else "minimize",
            load_if_exists=True,
        )
    except (SQLAlchemyError, optuna.exceptions.OptunaError, OSError, KeyError) as error:  # KeyError: no such study
        raise StoreError(
            f"Cannot open {folder / TRIALS}: {_cause(error)}; restore the file, or choose another --out."
        ) from error


def _open_database(file: Path, *, make: bool) -> optuna.storages.RDBStorage:
    """Return Optuna's storage in a file.

    The connection is made here and not from a URL, in which a ``?`` or a ``%`` of the folder's name would mean
    something else. For reading, ``rw`` makes no file, yet mends what a killed writer left half done, as ``ro`` cannot;
    ``query_only`` keeps Optuna from completing tables that another process is making.
    """
    address = f"{file.resolve().as_uri()}?mode={'rwc' if make else 'rw'}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True, check_same_thread=False, timeout=PATIENCE_S)
        if not make:
            connection.execute("PRAGMA query_only = ON")
        return connection

    return optuna.storages.RDBStorage(
        "sqlite://",
        engine_kwargs={"creator": connect, "poolclass": QueuePool},
        skip_table_creation=not make,
    )


def _read_results(study: optuna.Study, folder: Path) -> list[TrialResult]:
    try:
        trials = study.get_trials(deepcopy=False)
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise StoreError(f"Cannot read {folder / TRIALS}: {_cause(error)}; restore the file.") from error
    where = str(folder / TRIALS)
    return [loads(TrialResult, trial.user_attrs[_RESULT], where) for trial in trials if _RESULT in trial.user_attrs]


def _frozen(result: TrialResult, head: Comparison) -> optuna.trial.FrozenTrial:
    """Return a finished trial in Optuna's form: parameters, curve and final metric for its tools, the fact for us."""
    distributions: dict[str, BaseDistribution] = {
        "variant": CategoricalDistribution([variant.name for variant in head.variants]),
        "seed": IntDistribution(0, 2**31 - 1),
    }
    parameters: dict[str, object] = {"variant": result.key.variant, "seed": result.key.seed}
    if result.key.lr is not None:
        distributions["lr"] = FloatDistribution(*RATES)
        parameters["lr"] = result.key.lr
    return create_trial(
        state=_state_of(result),
        value=result.test_metric,
        params=parameters,
        distributions=distributions,
        user_attrs={_PLAN_KEY: str(result.key), _RESULT: dumps(result)},
        intermediate_values={
            record.step: record.val_metric for record in result.epochs if record.val_metric is not None
        },
    )


def _state_of(result: TrialResult) -> TrialState:
    if result.pruned_at is not None:
        return TrialState.PRUNED
    return TrialState.FAIL if result.test_metric is None else TrialState.COMPLETE


def _read_head(folder: Path) -> Comparison:
    try:
        text = (folder / HEAD).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"Cannot read {folder / HEAD}: {error}; restore the file, or choose another --out.") from error
    return loads(Comparison, text, str(folder / HEAD))


def _write_head(folder: Path, head: Comparison) -> None:
    """Write the head so that a reader sees the old one or the new one, never half of it."""
    target, draft = folder / HEAD, folder / f"{HEAD}.new"
    try:
        draft.write_text(json.dumps(json.loads(dumps(head)), indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(draft, target)
    except OSError as error:
        raise StoreError(
            f"Cannot write {target}: {error.strerror or error}; make room or choose another --out, then go on."
        ) from error


def _difference(held: Comparison, asked: Comparison) -> str:
    """Return in what two comparisons differ, seeds aside; "" if they are one."""
    before, now = asdict(held.settings), asdict(asked.settings)
    for name, value in before.items():
        if name not in NOT_COMPARED and value != now[name]:
            if name == "source_hash":
                return "your source files, the weights or the example input have changed since"
            return f"{name.replace('_', ' ')} {_in_words(value)} there, {_in_words(now[name])} here"
    fingerprints = [c.data.fingerprint if c.data is not None else "" for c in (held, asked)]
    if fingerprints[0] != fingerprints[1]:
        return "the data have changed since"
    if [(v.name, v.placement) for v in held.variants] != [(v.name, v.placement) for v in asked.variants]:
        return "the placements give other networks than there"
    return ""


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _merge(held: Comparison, asked: Comparison) -> Comparison:
    """Return the head of a continued comparison: begun and planned as it was, with the larger number of seeds."""
    seeds = max(held.settings.seeds, asked.settings.seeds)
    return replace(
        asked,
        settings=replace(asked.settings, seeds=seeds, planned=held.settings.planned),
        environment=merge_environments(held.environment, asked.environment),
    )


def merge_environments(held: Environment, asked: Environment) -> Environment:
    """Return the environment of a continued run: begun when it was begun, with every version and platform in turn."""
    return replace(
        asked,
        date=held.date,
        torch=_in_turn(held.torch, asked.torch),
        python=_in_turn(held.python, asked.python),
        platform=_in_turn(held.platform, asked.platform),
    )


def _in_turn(before: str, now: str) -> str:
    return before if before.split(THEN)[-1] == now else before + THEN + now


def _cause(error: BaseException) -> str:
    deepest: BaseException = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    lines = str(getattr(deepest, "orig", deepest)).strip().splitlines()
    return lines[0] if lines else type(deepest).__name__
