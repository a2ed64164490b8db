from dataclasses import replace
from pathlib import Path

import pytest

from placenorm.facts.comparison import Comparison
from placenorm.report.language import ENGLISH
from placenorm.report.verdict_wording import put_into_words
from placenorm.study.assembly import assemble
from placenorm.study.store import open_store
from support.comparisons import make_comparison

UNKNOWN = "Nothing can be said: accuracy is NaN or infinite on the test data of every trial, though 8 of 8"


def assemble_stored(folder: Path, comparison: Comparison) -> Comparison:
    """Store the trials at the rates that the comparison starts with, then assemble what is stored, in words."""
    rates = comparison.settings.learning_rates
    head = replace(comparison, trials=(), chosen=(), grids=(), verdict=None)
    with open_store(folder, head, resume=False) as store:
        for trial in comparison.trials:
            if trial.key.lr in rates:
                store.add(trial)
        return put_into_words(assemble(store), ENGLISH)


@pytest.fixture
def comparison() -> Comparison:
    """Two seeds at one rate, so that no grid grows."""
    whole = make_comparison(seeds=2)
    return replace(whole, settings=replace(whole.settings, learning_rates=whole.settings.learning_rates[:1]))


def test_assemble_metric_that_is_never_finite_says_so(tmp_path: Path, comparison: Comparison) -> None:
    trials = tuple(replace(trial, test_metric=None) for trial in comparison.trials)
    verdict = assemble_stored(tmp_path, replace(comparison, trials=trials)).verdict
    assert verdict is not None
    assert verdict.advice.startswith(UNKNOWN)


def test_assemble_metric_that_is_finite_somewhere_is_judged(tmp_path: Path, comparison: Comparison) -> None:
    verdict = assemble_stored(tmp_path, comparison).verdict
    assert verdict is not None
    assert not verdict.advice.startswith("Nothing can be said")


@pytest.mark.parametrize(
    ("torch", "noted"), [("2.9.0", False), ("2.9.0, then 2.10.0", True)], ids=["one-version", "two-versions"]
)
def test_assemble_two_versions_of_torch_are_noted(
    tmp_path: Path, comparison: Comparison, torch: str, noted: bool
) -> None:
    other = replace(comparison, environment=replace(comparison.environment, torch=torch))
    verdict = assemble_stored(tmp_path, other).verdict
    assert verdict is not None
    assert any("under torch 2.9.0, then 2.10.0" in note for note in verdict.notes) is noted
