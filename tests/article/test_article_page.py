"""docs/article.md names every statement, and nothing it names is missing."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from placenorm.cli.main import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "article.md").read_text(encoding="utf-8")
STATEMENTS = {
    "A1": "transform",
    "A2": "affine",
    "A3": "outliers",
    "A4": "convergence",
    "A5": "shift",
    "A6": "dead-units",
    "A7": "recovery",
    "A8": "depth",
    "A9": "before-after",
    "A10": "pooling",
    "A11": "shape",
}
SECTIONS = dict(re.findall(r"^## (A\d+) [^\n]*\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(("statement", "slug"), STATEMENTS.items(), ids=STATEMENTS.values())
def test_page_names_the_statement_with_its_slug(statement: str, slug: str) -> None:
    assert f"## {statement} `{slug}`" in PAGE


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("part", ["The article", "Our reading", "What is known", "Command", "Test"])
def test_statement_has_every_part(statement: str, part: str) -> None:
    assert f"**{part}.**" in SECTIONS[statement]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statement_names_a_test_that_exists(statement: str) -> None:
    paths = re.findall(r"tests/[\w/]+\.py", SECTIONS[statement])
    assert paths
    for path in paths:
        assert (ROOT / path).is_file(), path


def test_every_test_of_the_article_is_named() -> None:
    files = {path.name for path in Path(__file__).parent.glob("test_a[0-9]*.py")}
    named = set(re.findall(r"tests/article/(\w+\.py)", PAGE))
    assert files <= named


def test_every_command_on_the_page_exists() -> None:
    verbs = set(re.findall(r"`placenorm ([a-z]+)", PAGE))
    command = get_command(app)
    existing = set(getattr(command, "commands", {}))
    assert "compare" in verbs
    assert verbs <= existing


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statement_names_the_command_that_puts_it_to_the_test(statement: str) -> None:
    assert f"`placenorm claims {STATEMENTS[statement]}`" in SECTIONS[statement]


def test_links_to_other_pages_lead_somewhere() -> None:
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)", PAGE):
        assert (ROOT / "docs" / target).resolve().is_file(), target
