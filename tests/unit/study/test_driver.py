"""The driver, with trials that need no training: what is kept, what is tried again, what is judged."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from placenorm.errors import TrialError
from placenorm.facts.comparison import Comparison, Spending
from placenorm.facts.trial import TrialKey, TrialOrder, TrialResult
from placenorm.report.language import ENGLISH, Language
from placenorm.report.verdict_wording import put_into_words
from placenorm.study import driver
from placenorm.study.assembly import assemble
from placenorm.study.budget import BudgetMeter, parse_budget
from placenorm.study.driver import StudyPlan, run_study
from placenorm.study.executors.machines import Machines
from placenorm.study.store import open_store, read_store
from placenorm.verbs.reporting import write_report
from support.comparisons import make_comparison

INLINE = Machines(jobs=0)
SEEDS = 5


@pytest.fixture
def plan() -> StudyPlan:
    """Five seeds at one rate."""
    whole = make_comparison(seeds=SEEDS)
    head = replace(whole, trials=(), chosen=(), grids=(), verdict=None)
    settings = replace(head.settings, learning_rates=head.settings.learning_rates[:1])
    return StudyPlan(replace(head, settings=settings), NoRecipe())  # type: ignore[arg-type]  # no trial is trained


@dataclass(frozen=True)
class NoRecipe:
    weights: str | None = None
    checkpoints: Path | None = None
    work: str = ""


class Stub:
    """Gives the trials of a made-up comparison; fails where it is told to."""

    def __init__(self, fails: Callable[[TrialKey], bool]) -> None:
        self._fails = fails
        self._trials = {trial.key: trial for trial in make_comparison(seeds=SEEDS).trials}
        self.ran: list[TrialKey] = []

    def __call__(self, order: TrialOrder) -> TrialResult:
        key = order.key
        self.ran.append(key)
        if self._fails(key):
            raise ValueError("no luck")
        return self._trials[key]


def run(
    folder: Path,
    plan: StudyPlan,
    fails: Callable[[TrialKey], bool],
    monkeypatch: pytest.MonkeyPatch,
    *,
    resume: bool = False,
    budget: str | None = None,
) -> tuple[Comparison, Stub]:
    stub = Stub(fails)
    monkeypatch.setattr(driver, "_make_trainer", lambda recipe: stub)
    with open_store(folder, plan.head, resume=resume) as store:
        meter = BudgetMeter(None if budget is None else parse_budget(budget), store.results.values())
        return run_study(plan, store, INLINE, lambda finished, total: None, meter), stub


def untimed(result: TrialResult) -> TrialResult:
    return replace(result, wall_s=0.0)


def timeless(comparison: Comparison) -> Comparison:
    """Return a comparison without the time that its workers took, which no two runs share."""
    trials, chosen = (tuple(map(untimed, each)) for each in (comparison.trials, comparison.chosen))
    return replace(comparison, trials=trials, chosen=chosen)


def test_trial_that_fails_leaves_its_seed_out_of_its_pairs_alone(
    tmp_path: Path, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = TrialKey("after-pool", 2, plan.head.settings.learning_rates[0])
    comparison, _ = run(tmp_path, plan, lambda key: key == bad, monkeypatch)
    (failed,) = comparison.failed
    assert failed.key == bad
    assert failed.wall_s > 0
    assert failed.failure is not None
    assert failed.failure.reason.endswith("raises ValueError: no luck")
    assert "Traceback" in failed.failure.traceback
    assert bad not in {trial.key for trial in comparison.trials}
    assert comparison.verdict is not None
    for pair in comparison.verdict.final.pairs:
        assert pair.seeds == (SEEDS - 1 if "after-pool" in (pair.first, pair.second) else SEEDS)


def test_placement_whose_trials_all_fail_stands_in_no_pair_and_is_not_advised(
    tmp_path: Path, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison, _ = run(tmp_path / "results", plan, lambda key: key.variant == "none", monkeypatch)
    comparison = put_into_words(comparison, ENGLISH)
    verdict = comparison.verdict
    assert verdict is not None
    assert verdict.final.pairs
    assert not any("none" in (pair.first, pair.second) for pair in (*verdict.final.pairs, *verdict.speed.pairs))
    assert verdict.pick != "none"
    assert not any("0 B" in sentence for sentence in (verdict.advice, verdict.cost_line))
    said = f"none: all its trials failed ({SEEDS}), so nothing is said of it"
    assert any(note.startswith(said) for note in verdict.notes)
    for name in ("report.html", "report.png"):
        write_report(comparison, tmp_path / name)
    assert "so nothing is said of it" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("lang", "first", "second"),
    [
        (
            "en",
            "after-pool: 1 of 5 trials failed, at seed 2, which its pairs leave out, as if by chance: "
            "`better` may be an effect of that; the last: line",
            "Trials failed, so these pairs stand on fewer than the 5 finished seeds: none and after-pool on 4",
        ),
        (
            "fa",
            "after-pool: ۱ اجرا از ۵ اجرا ناموفق ماند، در seed ۲",
            "بر کمتر از ۵ seed پایان‌یافته استوارند: none و after-pool بر ۴",
        ),
    ],
    ids=["en", "fa"],
)
def test_verdict_says_on_how_many_seeds_it_stands(
    tmp_path: Path, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch, lang: str, first: str, second: str
) -> None:
    comparison, _ = run(tmp_path, plan, lambda key: (key.variant, key.seed) == ("after-pool", 2), monkeypatch)
    verdict = put_into_words(comparison, Language(lang)).verdict
    assert verdict is not None
    notes = "\n".join(verdict.notes)
    assert first in notes
    assert second in notes


def test_failed_trial_is_tried_again_with_resume_and_then_counts(
    tmp_path: Path, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run(tmp_path / "whole", plan, lambda key: False, monkeypatch)
    broken, _ = run(tmp_path / "broken", plan, lambda key: key.seed == 1 and key.variant != "none", monkeypatch)
    mended, stub = run(tmp_path / "broken", plan, lambda key: False, monkeypatch, resume=True)
    assert {key.seed for key in stub.ran} == {1}
    assert len(stub.ran) == len(broken.failed) > 0
    assert timeless(mended) == timeless(whole)
    first, second = (read_store(tmp_path / each).results for each in ("broken", "whole"))
    assert set(map(untimed, first.values())) == set(map(untimed, second.values()))


def test_trial_that_fails_again_is_kept_once_and_the_verdict_stands(
    tmp_path: Path, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(key: TrialKey) -> bool:
        return key.variant == "after-pool"

    before, _ = run(tmp_path, plan, fails, monkeypatch)
    after, stub = run(tmp_path, plan, fails, monkeypatch, resume=True)
    assert len(stub.ran) == SEEDS
    assert [trial.key for trial in after.failed] == [trial.key for trial in before.failed]
    assert after.verdict == before.verdict
    assert after.verdict is not None
    assert after.verdict.pick != "after-pool"


def never(key: TrialKey) -> bool:
    return False


def test_budget_of_trials_ends_a_run_with_its_complete_seeds_judged(
    tmp_path: Path, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run(tmp_path / "whole", plan, never, monkeypatch)
    part, stub = run(tmp_path / "part", plan, never, monkeypatch, budget="14-trials")
    assert len(stub.ran) == len(part.trials) == 14
    assert part.verdict is not None
    assert {row.seeds for row in part.verdict.summaries} == {3}
    assert part.spending is not None
    assert (part.spending.budget, part.spending.trials) == ("14-trials", 14)
    assert read_store(tmp_path / "part").head.spending == part.spending
    again, stub = run(tmp_path / "part", plan, never, monkeypatch, resume=True, budget="14-trials")
    assert (stub.ran, again.spending is None) == ([], False)
    gone_on, stub = run(tmp_path / "part", plan, never, monkeypatch, resume=True, budget="200-trials")
    assert len(stub.ran) == 6
    assert timeless(gone_on) == timeless(whole)
    assert gone_on.spending is None


def test_budget_below_the_first_seed_leaves_no_verdict(
    tmp_path: Path, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, _ = run(tmp_path, plan, never, monkeypatch, budget="2-trials")
    assert part.verdict is None
    assert part.spending is not None


@pytest.mark.parametrize("code", ["en", "fa"])
@pytest.mark.parametrize("budget", ["14-trials", "30m", "0.1-gpu-hours"])
def test_notes_begin_with_the_budget_that_ended_a_run(code: str, budget: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = parse_budget(budget)
    spending = Spending(budget, limit.kind, trials=14, time_s=1830.0, gpu_hours=0.104)
    spoken = put_into_words(replace(make_comparison(), spending=spending), Language(code))
    assert spoken.verdict is not None
    assert budget in spoken.verdict.notes[0]
    assert "--resume" in spoken.verdict.notes[0]


def test_early_stop_runs_fewer_trials_to_the_same_verdict_as_its_store(
    tmp_path: Path, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(plan.head.settings, stop="early", planned=SEEDS)
    early = replace(plan, head=replace(plan.head, settings=settings))
    comparison, stub = run(tmp_path, early, never, monkeypatch)
    assert len(stub.ran) < 4 * SEEDS
    assert comparison.course is not None
    assert comparison.course.ending is not None
    assert assemble(read_store(tmp_path)) == comparison
    keys = {remark.key for remark in comparison.verdict.remarks} if comparison.verdict else set()
    assert {"note-every-look", "note-share", f"note-stopped-{comparison.course.ending}"} <= keys
    assert "note-second-look" not in keys


def test_arm_whose_trial_failed_is_left_out_of_its_seed_where_a_comparison_may_stop(
    tmp_path: Path, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(plan.head.settings, stop="early", planned=SEEDS)
    early = replace(plan, head=replace(plan.head, settings=settings))
    comparison, _ = run(tmp_path, early, lambda key: key.seed == 1 and key.variant == "none", monkeypatch)
    assert comparison.verdict is not None
    seeds = {row.variant: row.seeds for row in comparison.verdict.summaries}
    assert seeds["none"] == seeds["after-pool"] - 1


def test_study_whose_trials_all_fail_stops_early_in_one_sentence(
    tmp_path: Path, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrialError, match=r"all 3 trials so far failed.* raises ValueError: no luck; mend that"):
        run(tmp_path, plan, lambda key: True, monkeypatch)
    assert len(read_store(tmp_path).results) == 3
