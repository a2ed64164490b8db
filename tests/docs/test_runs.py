"""Runs that are committed: they still read, and the documents say what they say."""

import re
import shutil
from pathlib import Path

import pytest

from placenorm.verbs.reporting import read_comparison

ROOT = Path(__file__).parents[2]
RUNS = sorted(path.parent for path in (ROOT / "docs" / "runs").glob("*/comparison.json"))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_committed_run_is_whole_and_judged(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / run.name)
    comparison = read_comparison(folder)
    assert comparison.verdict is not None
    assert [row.seeds for row in comparison.verdict.summaries] == [comparison.settings.seeds] * len(comparison.variants)


@pytest.mark.parametrize("page", ["README.md", "README.fa.md"])
def test_picture_in_the_readme_is_of_a_committed_run(page: str, tmp_path: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    (name,) = set(re.findall(r"docs/images/([\w-]+)\.png", text))
    comparison = read_comparison(shutil.copytree(ROOT / "docs" / "runs" / name, tmp_path / name))
    assert f"`{comparison.environment.command}`" in text or f">{comparison.environment.command}<" in text
