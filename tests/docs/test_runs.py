"""Runs that are committed: they still read, and the documents say what they say."""

import re
import shutil
from pathlib import Path

import pytest

from placenorm.study.assembly import assemble
from placenorm.study.replay import replay_early
from placenorm.study.store import read_store
from placenorm.verbs.reporting import read_comparison

ROOT = Path(__file__).parents[2]
RUNS = sorted(path.parent for path in (ROOT / "docs" / "runs").glob("*/comparison.json"))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_committed_run_is_whole_and_judged(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / run.name)
    comparison = read_comparison(folder)
    assert comparison.verdict is not None
    assert [row.seeds for row in comparison.verdict.summaries] == [comparison.settings.seeds] * len(comparison.variants)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_committed_run_had_it_stopped_early_says_the_same_for_at_most_half_of_its_steps(
    run: Path, tmp_path: Path
) -> None:
    store = read_store(shutil.copytree(run, tmp_path / run.name))
    whole, early = assemble(store), replay_early(store.head, store.results)
    assert whole.verdict is not None
    assert early.verdict is not None
    assert early.course is not None
    words = [[pair.winner or pair.word for pair in each.verdict.final.pairs] for each in (whole, early) if each.verdict]
    assert words[0] == words[1]
    assert (early.verdict.pick, early.verdict.final.unbeaten) == (whole.verdict.pick, whole.verdict.final.unbeaten)
    assert early.course.steps <= 0.5 * sum(trial.steps for trial in whole.trials)


@pytest.mark.parametrize("page", ["README.md", "README.fa.md"])
def test_picture_in_the_readme_is_of_a_committed_run(page: str, tmp_path: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    (name,) = set(re.findall(r"docs/images/([\w-]+)\.png", text))
    comparison = read_comparison(shutil.copytree(ROOT / "docs" / "runs" / name, tmp_path / name))
    assert f"`{comparison.environment.command}`" in text or f">{comparison.environment.command}<" in text
