"""The quick reader of trials beside its slow twin, Optuna's own."""

from dataclasses import replace
from pathlib import Path

import optuna

from placenorm.facts.codec import loads
from placenorm.facts.trial import Failure, TrialKey, TrialResult, make_failed_trial
from placenorm.study.folders import STUDY, TRIALS
from placenorm.study.rows import describe_cause, freeze, read_rows
from placenorm.study.store import open_store
from support.comparisons import make_comparison
from support.results import make_trial


def test_read_rows_gives_what_optuna_reads(tmp_path: Path) -> None:
    head = replace(make_comparison(), trials=(), chosen=(), grids=(), verdict=None)
    failed = make_failed_trial(TrialKey("none", 9, 0.03), Failure('it "broke"', "Traceback:\n  'ü'\\n"))
    kept = [*(make_trial("none", seed, dead={"relu": (4, 1)}) for seed in range(3)), failed]
    with open_store(tmp_path, head, resume=False) as store:
        for result in kept:
            store.add(result)
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / TRIALS}")
    other = optuna.create_study(storage=storage, study_name="another")
    other.add_trial(freeze(make_trial("none", 7), head))
    slow = optuna.load_study(study_name=STUDY, storage=storage).get_trials()
    assert list(read_rows(storage, STUDY, "here")) == kept
    assert [loads(TrialResult, trial.user_attrs["result"], "here") for trial in slow] == kept
    storage.engine.dispose()


def test_describe_cause_hides_passwords() -> None:
    error = ValueError("cannot reach postgresql://me:secret@host/db.\nmore")
    assert describe_cause(error) == "cannot reach postgresql://me:***@host/db"
