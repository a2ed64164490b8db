"""The pages of the rules are their docstrings, and the table is what was measured."""

import json
from pathlib import Path

import pytest

from placenorm.rules.checking import CHECK_RULES
from placenorm.rules.rule import Rule, TrainingRule
from placenorm.rules.training import TRAINING_RULES
from support.rule_pages import SECTIONS
from support.scripts import load_script

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "rules"


BENCH = load_script("bench/rules.py")


@pytest.mark.parametrize("rule", [*CHECK_RULES, *TRAINING_RULES], ids=lambda rule: rule.code)
def test_page_of_a_rule_is_its_docstring(rule: Rule | TrainingRule) -> None:
    sections = dict(BENCH.read_sections(rule))
    assert tuple(sections) == ("", *SECTIONS)
    assert all(sections.values())
    assert (PAGES / f"{rule.code}.md").read_text() == BENCH.make_page(rule)


def test_index_is_what_was_measured() -> None:
    measured = json.loads((PAGES / "findings.json").read_text())
    assert (PAGES / "index.md").read_text() == BENCH.make_index(measured)


def test_what_fires_on_more_than_half_of_the_networks_is_information() -> None:
    rows = json.loads((PAGES / "findings.json").read_text())["models"]
    assert len(rows) == 80
    for rule in CHECK_RULES:
        hit = [row for row in rows if rule.code in row["findings"]]
        if 2 * len(hit) > len(rows):
            assert {grade for row in hit for code, grade in row["severities"] if code == rule.code} == {"info"}
