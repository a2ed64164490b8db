"""The committed run of the claims: its verdicts follow from the stored observations, and the documents from it."""

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from placenorm.article.registry import find_claims
from placenorm.article.running import scale_of
from placenorm.article.store import read_store
from placenorm.facts.claim import ClaimsReport, Factor, Observation, Question
from placenorm.facts.codec import loads
from placenorm.report.claims_markdown import write_claims_markdown
from placenorm.report.language import LANGUAGES, Language
from placenorm.verbs.claiming import read_claims

ROOT = Path(__file__).parents[2]
RUN = ROOT / "docs" / "runs" / "claims"
PAGES = {"en": ROOT / "docs" / "claims.md", "fa": ROOT / "docs" / "fa" / "claims.md"}


@pytest.fixture(scope="module")
def report() -> ClaimsReport:
    return read_claims(RUN)


def test_every_verdict_follows_from_the_stored_observations(report: ClaimsReport) -> None:
    stored = loads(ClaimsReport, (RUN / "claims.json").read_text(encoding="utf-8"), "claims.json")
    assert report.settings.full
    assert [result.number for result in report.results] == [f"A{number}" for number in range(1, 12)]
    assert [result.ruling for result in report.results] == [result.ruling for result in stored.results]


def test_the_store_holds_every_answer_once() -> None:
    lines = (RUN / "observations.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.dumps(json.loads(line)["fact"]["question"], sort_keys=True) for line in lines]
    assert len(asked) == len(set(asked)) > 1000


@pytest.mark.slow
@pytest.mark.parametrize("code", LANGUAGES)
def test_document_is_what_the_run_says(code: str, report: ClaimsReport, tmp_path: Path) -> None:
    page = tmp_path / "docs" / PAGES[code].relative_to(ROOT / "docs")
    page.parent.mkdir(parents=True, exist_ok=True)
    written = write_claims_markdown(report, page, tmp_path / "docs" / "images" / "claims", Language(code))
    assert page.read_text(encoding="utf-8") == PAGES[code].read_text(encoding="utf-8")
    pictures = {path.name for path in written} - {page.name}
    shown = set(re.findall(r"images/claims/([\w.-]+)", PAGES[code].read_text(encoding="utf-8")))
    assert shown == pictures
    assert all((ROOT / "docs" / "images" / "claims" / name).is_file() for name in pictures)


SHUFFLES = 20


@pytest.mark.parametrize("number", ["A4", "A5", "A6", "A7", "A8", "A9"])
def test_claim_does_not_hold_on_the_same_observations_with_placements_shuffled(number: str) -> None:
    (claim,) = find_claims([number])
    store = read_store(RUN)
    asked = [question for question in claim.ask(scale_of(store.head)) if question.key in store.observations]
    observations = [store.observations[question.key] for question in asked]
    held = 0
    for shuffle in range(SHUFFLES):
        outcome = claim.judge(shuffle_placements(observations, shuffle)).outcome
        assert outcome != "holds"
        held += outcome == "holds-only-if"
    assert held <= 1  # an error of 5 % a claim


def shuffle_placements(observations: list[Observation], shuffle: int) -> list[Observation]:
    """Return observations in which each seed's placements have changed places, all of its trials alike."""
    moved: dict[int, dict[Factor, Factor]] = {}
    for seed in {each.question.seed for each in observations}:
        arms = ["none", "before-activation", "after-activation"]
        moved[seed] = dict(zip(arms, random.Random(f"{shuffle} {seed}").sample(arms, len(arms)), strict=True))

    def move(question: Question) -> Question:
        arm = question.factors.get("placement")
        factors = question.factors if arm is None else {**question.factors, "placement": moved[question.seed][arm]}
        return replace(question, factors=factors)

    return [replace(each, question=move(each.question)) for each in observations]
