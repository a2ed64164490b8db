"""`pn.compare` and its result, with workers."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import placenorm as pn
from placenorm.cli.main import app
from placenorm.errors import UsageError
from placenorm.facts.codec import loads
from placenorm.facts.comparison import Comparison
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
    for name in ("advice", "speed_line", "cost_line"):
        assert fact["verdict"][name] == getattr(result.verdict, name)
        assert fact["verdict"][name].endswith(".")
    assert fact["verdict"]["notes"] == list(result.verdict.notes)
    assert len(result.verdict.notes) == len(result.verdict.remarks) > 3
    assert fact["verdict"]["final"]["measure"] == "test accuracy"
    assert fact["verdict"]["speed"]["measure"] == "mean validation accuracy over training"
    assert len(fact["trials"]) == len(result.comparison.trials)
    assert (tmp_path / "r.html").exists()


def test_compare_speaks_persian_where_it_is_asked_to(result: ComparisonResult, tmp_path: Path) -> None:
    assert "نتیجه" in result.table(lang="fa").splitlines()
    assert 'lang="fa"' in result.report(tmp_path / "r.html", lang="fa").read_text(encoding="utf-8")[:500]
    for refused in (lambda: result.table(lang="xx"), lambda: result.report(tmp_path / "x.html", lang="xx")):
        with pytest.raises(UsageError, match="There is no language 'xx' here; use en or fa"):
            refused()
    assert not (tmp_path / "x.html").exists()


def test_json_is_english_whatever_the_language_of_the_page(result: ComparisonResult, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    said = [
        CliRunner().invoke(app, ["report", str(result.folder), "--out", str(page), "--json", "--lang", code]).stdout
        for code in ("en", "fa")
    ]
    assert json.loads(said[0]) == json.loads(said[1])
    assert 'lang="fa"' in page.read_text(encoding="utf-8")


def test_trials_say_how_much_was_on(result: ComparisonResult) -> None:
    shares = [entry for trial in result.comparison.chosen for entry in trial.dead]
    assert shares
    assert all(entry.active is not None and 0.0 < entry.active < 1.0 for entry in shares)


# -- what would be trained


def plan(folder: Path, *arguments: str) -> tuple[str, int]:
    command = ["compare", "mlp:2", "--data", write_data(folder), "--seeds", "4", "--dry-run", *arguments]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    return done.stdout, len(list(folder.iterdir()))


def test_dry_run_says_how_many_trials_there_are_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown, files = plan(tmp_path)
    assert "3 placements, 4 seeds" in shown
    assert "36 trials, or more: 3 placements, 4 seeds and 3 learning rates" in " ".join(shown.split())
    assert [line.split()[:2] for line in shown.splitlines() if line.startswith(("none", "before"))] == [
        ["none", "(baseline)"],
        ["before-activation", "2"],
    ]
    assert "Nothing was trained or written" in shown
    assert files == 1


def test_dry_run_of_a_comparison_that_may_stop_early_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "36 trials in the whole grid" in plan(tmp_path, "--stop", "early")[0]
    assert "۳۶ اجرا" in plan(tmp_path, "--stop", "early", "--lang", "fa")[0]


def test_dry_run_as_json_is_the_plan_without_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = loads(Comparison, plan(tmp_path, "--json")[0], "here")
    assert (told.trials, told.verdict) == ((), None)
    assert len(told.variants) == 3


def test_dry_run_has_no_verdict(tmp_path: Path) -> None:
    done = pn.compare("mlp:2", write_data(tmp_path), out=tmp_path / "out", dry_run=True)
    with pytest.raises(UsageError, match="nothing was trained; leave dry_run out"):
        done.verdict  # noqa: B018 - it raises


def test_dry_run_refuses_what_a_run_would_refuse(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Unknown metric 'speed'"):
        pn.compare("mlp:2", write_data(tmp_path), metric="speed", dry_run=True)
