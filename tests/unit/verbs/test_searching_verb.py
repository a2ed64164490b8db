"""`pn.compare(search="per-block")`: a search that really trains, and the verdict on what it found."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import placenorm as pn
from placenorm.cli.main import app
from placenorm.errors import StoreError, TrialError, UsageError
from placenorm.facts.search import PREFIX, SEARCHED
from placenorm.report.language import ENGLISH
from placenorm.report.planned import say_planned
from placenorm.study.searching import FIRST_SEED
from placenorm.study.store import read_store
from placenorm.verbs.comparing import ComparisonResult
from support.trials import without_clock, write_data


def make() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def search(folder: Path, out: str, **options: object) -> ComparisonResult:
    chosen: dict[str, object] = {
        "seeds": 2,
        "epochs": 1,
        "batch_size": 16,
        "lr": 0.1,
        "jobs": 0,
        "search": "per-block",
        "search_trials": 24,
        "margin": 0.0,
        **options,
    }
    return pn.compare(make, write_data(folder), out=folder / out, **chosen)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def result(folder: Path) -> ComparisonResult:
    return search(folder, "out")


def test_search_is_judged_on_seeds_that_it_never_saw(result: ComparisonResult) -> None:
    searched = read_store(result.folder / "search").results
    assert {key.seed for key in searched} == {FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2}
    assert len(searched) <= 24
    assert {trial.key.seed for trial in result.comparison.trials} == {0, 1}
    names = [variant.name for variant in result.comparison.variants]
    found = result.comparison.search
    assert found is not None
    assert set(names) >= {found.policy, found.found}
    assert 2 <= len(names) <= 3
    assert result.comparison.settings.search == "per-block"


def test_placement_that_is_advised_is_a_file_for_place(result: ComparisonResult) -> None:
    file = result.folder / "placement.json"
    pick = next(each for each in result.comparison.variants if each.name == result.verdict.pick)
    done = pn.place(make(), torch.zeros(2, 6), str(file))
    assert done.graph.placement() == pick.placement
    assert result.placement == file


def test_dry_run_of_a_search_says_what_it_may_try_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    done = pn.compare(make, write_data(folder), search="per-block", lr=0.1, out=tmp_path / "out", dry_run=True)
    space = done.comparison.space
    assert space is not None
    assert len(space.choices) == 2
    lines = say_planned(done.comparison, ENGLISH)
    assert f"2 blocks have a choice, which makes {space.size} placements; it may take 200 trials" in lines[-2]
    assert lines[-1] == "Then 3 placements at most are judged on fresh seeds: 30 trials for 10 seeds."
    assert say_planned(done.comparison, ENGLISH, "3h")[-1] == (
        "With --budget 3h it ends where that is spent, if it comes first; the search may take half of it."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_search_that_is_repeated_finds_the_same_whatever_the_jobs(folder: Path, result: ComparisonResult) -> None:
    again = search(folder, "again", jobs=2)
    first, second = (read_store(each.folder / "search").results for each in (result, again))
    assert {key: without_clock(each) for key, each in second.items()} == {
        key: without_clock(each) for key, each in first.items()
    }
    assert again.comparison.variants == result.comparison.variants


def test_more_seeds_judge_the_same_find(folder: Path, result: ComparisonResult) -> None:
    before = (result.folder / "search" / "trials.db").read_bytes()
    more = search(folder, "out", seeds=3, resume=True)
    assert more.comparison.search == result.comparison.search
    assert [row.seeds for row in more.verdict.summaries] == [3] * len(more.comparison.variants)
    assert (result.folder / "search" / "trials.db").read_bytes() == before


def test_folder_of_another_comparison_is_refused(folder: Path, result: ComparisonResult) -> None:
    with pytest.raises(StoreError, match="search trials 24 there, 30 here"):
        search(folder, "out", search_trials=30, resume=True)
    with pytest.raises(StoreError, match=r"holds another comparison \(search per-block there, none here\)"):
        search(folder, "out", search=None, search_trials=None, resume=True)
    plain = pn.compare(make, write_data(folder), seeds=1, epochs=1, lr=0.1, jobs=0, out=folder / "plain")
    with pytest.raises(StoreError, match="holds another comparison"):
        search(folder, "plain", resume=True)
    assert not (plain.folder / "search").exists()


def test_search_without_resume_is_refused_where_there_is_one(folder: Path, result: ComparisonResult) -> None:
    with pytest.raises(StoreError, match="add --resume"):
        search(folder, "out")


def test_report_of_the_search_alone_is_refused(result: ComparisonResult) -> None:
    run = CliRunner().invoke(app, ["report", str(result.folder / "search")])
    assert run.exit_code == 2
    assert "it holds the trials of a search, which has no verdict of its own" in run.output


def test_report_says_what_was_found(result: ComparisonResult, tmp_path: Path) -> None:
    text = " ".join(result.table().split())
    assert "What the search found" in text
    assert "Search: " in text
    persian = result.report(tmp_path / "fa.html", lang="fa").read_text(encoding="utf-8")
    assert "جست‌وجو چه یافت" in persian
    run = CliRunner().invoke(app, ["report", str(result.folder), "--out", str(tmp_path / "r.html"), "--json"])
    assert json.loads(run.stdout)["fact"]["search"]["kind"] == "per-block"
    assert "What the search found" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_trials_of_a_search_have_a_parameter_for_each_block(result: ComparisonResult) -> None:
    import optuna

    address = f"sqlite:///{result.folder / 'search' / 'trials.db'}"
    study = optuna.load_study(study_name="placenorm", storage=address)
    tried = [trial.params for trial in study.get_trials() if trial.user_attrs["plan_key"].startswith(PREFIX)]
    assert tried
    assert all(set(params) == {"0", "2", "seed", "lr"} for params in tried)


def test_budget_is_shared_between_the_search_and_the_verdict(tmp_path: Path) -> None:
    done = search(tmp_path, "out", budget="30-trials", seeds=20)
    trials = read_store(done.folder / "search").results
    assert len(trials) == 15
    assert len(trials) + len(done.comparison.trials) == 30
    assert done.comparison.spending is not None


def test_budget_too_small_for_the_named_placements_is_one_sentence(tmp_path: Path) -> None:
    for dry_run in (True, False):
        with pytest.raises(UsageError, match=r"Cannot search within 4 trials, .* the named placements alone take 9"):
            search(tmp_path, "out", budget="8-trials", dry_run=dry_run)
    with pytest.raises(TrialError, match=r"The search in .* has found nothing: its \d trials .* a larger --budget"):
        search(tmp_path, "out", budget="0.01s")
    done = search(tmp_path, "out", budget="40-trials", resume=True)
    assert done.comparison.search is not None


def test_placement_with_the_name_of_the_find_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"Cannot search with a placement named '{SEARCHED}'"):
        search(tmp_path, "out", placements={"none": "none", SEARCHED: "after-activation"})


def test_trials_for_a_search_that_nobody_asked_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot use --search-trials 20: nothing is searched; add --search per-block"):
        search(tmp_path, "out", search=None, search_trials=20)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"search": "per-layer"}, "Unknown search 'per-layer'"),
        ({"search_trials": 0}, "--search-trials 0"),
        ({"search_trials": 5}, r"--search-trials 5: the named placements alone take \d+ .*; give \d+ or more"),
    ],
    ids=["kind", "trials", "too-few"],
)
def test_search_that_cannot_be_is_one_sentence(tmp_path: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        search(tmp_path, "out", **options)


def test_search_with_a_loop_of_the_users_own(tmp_path: Path) -> None:
    def train(model: nn.Module, seed: int, report: Callable[[int, float], None]) -> float:
        norms = sum(isinstance(module, nn.BatchNorm1d) for module in model.modules())
        report(1, 0.5 + 0.1 * (norms == 1) + 0.001 * (seed % 5))
        return 0.5

    done = search(tmp_path, "out", train=train, lr=None, batch_size=64)
    found = done.comparison.search
    assert found is not None
    assert sum(position != "none" for position in found.placement.values()) == 1


def test_search_does_not_look_at_test_data_where_a_loop_reports_nothing(tmp_path: Path) -> None:
    def train(model: nn.Module, seed: int, report: object) -> float:
        return 0.5

    with pytest.raises(TrialError, match=r"all 3 trials so far failed, .* reported nothing in trial"):
        search(tmp_path, "out", train=train, lr=None, batch_size=64, search_trials=18)


def test_resumed_search_tries_failed_trials_again(tmp_path: Path) -> None:
    mark = tmp_path / "mended"

    def train(model: nn.Module, seed: int, report: Callable[[int, float], None]) -> float:
        if not mark.exists():
            raise KeyError("a slip of the pen")
        report(1, 0.5)
        return 0.5

    with pytest.raises(TrialError, match="slip of the pen"):
        search(tmp_path, "out", train=train, lr=None, batch_size=64, search_trials=18)
    mark.touch()
    search(tmp_path, "out", train=train, lr=None, batch_size=64, search_trials=18, resume=True)
    assert all(result.failure is None for result in read_store(tmp_path / "out" / "search").results.values())
