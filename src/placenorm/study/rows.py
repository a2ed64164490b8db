"""Finished trials in Optuna's tables: written through Optuna, for its tools; read with one query, for us."""

import json
from collections.abc import Iterator

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from placenorm.errors import hide_passwords
from placenorm.facts.codec import dumps, loads
from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import TrialResult

RATES = (1e-300, 1e300)
"""Wider than any learning rate: Optuna keeps no parameter that lies outside."""

TROUBLE = (SQLAlchemyError, optuna.exceptions.OptunaError, OSError)
"""What Optuna raises where a database cannot be read or written."""

_RESULT = "result"
_PLAN_KEY = "plan_key"

# Optuna's own reader makes a FrozenTrial of every row of five tables: 10,000 trials take it over ten times as long.
# tests/unit/study/test_rows.py holds this against it. docs/scale.md has the figures.
_QUERY = text(
    "SELECT trial_user_attributes.value_json FROM trial_user_attributes"
    " JOIN trials ON trials.trial_id = trial_user_attributes.trial_id"
    " JOIN studies ON studies.study_id = trials.study_id"
    " WHERE studies.study_name = :study AND trial_user_attributes.key = :key ORDER BY trials.trial_id"
)


def freeze(result: TrialResult, head: Comparison) -> FrozenTrial:
    """Return a finished trial in Optuna's form: parameters, curve and final metric for its tools, the fact for us."""
    distributions: dict[str, BaseDistribution] = {
        "seed": IntDistribution(0, 2**31 - 1),
    }
    parameters: dict[str, object] = {"seed": result.key.seed}
    names = [variant.name for variant in head.variants]
    if head.space is not None and result.key.variant not in names:  # of a search: a parameter for each block
        distributions |= {choice.blocks[0]: CategoricalDistribution(choice.positions) for choice in head.space.choices}
        placement = head.space.placement(result.key.variant)
        parameters |= {choice.blocks[0]: placement[choice.blocks[0]] for choice in head.space.choices}
    else:
        distributions["variant"] = CategoricalDistribution(names)
        parameters["variant"] = result.key.variant
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


def read_rows(storage: optuna.storages.RDBStorage, study: str, where: str) -> Iterator[TrialResult]:
    """Yield the trials of a study, from the first that was kept to the last.

    Args:
        storage: Optuna's storage.
        study: the name of the study.
        where: what it is read from, for an error.

    Raises:
        StoreError: if a row is damaged.
        SQLAlchemyError: if the database cannot be read.
    """
    with storage.engine.connect() as connection:
        rows = connection.execute(_QUERY, {"study": study, "key": _RESULT}).scalars().all()
    for row in rows:
        yield loads(TrialResult, json.loads(row), where)


def describe_cause(error: BaseException) -> str:
    """Return the first line of what is at the bottom of a database's error, without passwords."""
    deepest: BaseException = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    lines = str(getattr(deepest, "orig", deepest)).strip().splitlines()
    return hide_passwords(lines[0]).rstrip(".") if lines else type(deepest).__name__
