"""`pn.compare` and its result, with workers."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import placenorm as pn
from placenorm.cli.main import app
from placenorm.verbs.comparing import ComparisonResult
from support.trials import write_data


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ComparisonResult:
    folder = tmp_path_factory.mktemp("compare")
    seen: list[tuple[int, int]] = []
    done = pn.compare(
        "mlp:2",
        write_data(folder),
        seeds=3,
        epochs=2,
        batch_size=16,
        jobs=2,
        out=folder / "out",
        on_progress=lambda finished, total: seen.append((finished, total)),
        command="placenorm compare mlp:2",
    )
    assert seen[0][0] == 0
    assert seen[-1] == (len(done.comparison.trials), len(done.comparison.trials))
    assert [finished for finished, _ in seen] == sorted(finished for finished, _ in seen)
    return done


def test_compare_has_a_verdict_on_every_seed(result: ComparisonResult) -> None:
    assert [row.seeds for row in result.verdict.summaries] == [3, 3, 3]
    assert result.verdict.pick in {variant.name for variant in result.comparison.variants}
    assert all(pair.seeds == 3 for pair in result.verdict.final.pairs)


def test_compare_every_variant_of_a_seed_tried_the_same_rates(result: ComparisonResult) -> None:
    for seed, grid in enumerate(result.comparison.grids):
        for variant in result.comparison.variants:
            tried = {
                trial.key.lr
                for trial in result.comparison.trials
                if (trial.key.variant, trial.key.seed) == (variant.name, seed)
            }
            assert tried == set(grid)


def test_compare_chose_by_validation_loss(result: ComparisonResult) -> None:
    for chosen in result.comparison.chosen:
        rivals = [
            trial.val_loss
            for trial in result.comparison.trials
            if (trial.key.variant, trial.key.seed) == (chosen.key.variant, chosen.key.seed)
            if trial.val_loss is not None
        ]
        assert chosen.val_loss == min(rivals)


def test_compare_table_and_report_are_written(result: ComparisonResult, tmp_path: Path) -> None:
    assert "Verdict" in result.table()
    assert "<html" in result.report(tmp_path / "r.html").read_text()[:500]
    assert result.report(tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_report_reads_the_same_comparison_back(result: ComparisonResult, tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["report", str(result.folder), "--out", str(tmp_path / "r.html"), "--json"])
    assert run.exit_code == 0
    fact = json.loads(run.stdout)["fact"]
    assert fact["verdict"]["advice"] == result.verdict.advice
    assert len(fact["trials"]) == len(result.comparison.trials)
    assert (tmp_path / "r.html").exists()
