"""The committed run of the claims: its verdicts follow from the stored observations, and the documents from it."""

import json
import re
from pathlib import Path

import pytest

from placenorm.facts.claim import ClaimsReport
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
