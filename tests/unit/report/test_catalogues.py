"""The catalogues: the same keys in both languages, all that a claim can need, and Persian as it is written."""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fluent.syntax import FluentParser, ast
from fluent.syntax.visitor import Visitor

import placenorm.report
from placenorm.article.claim import Claim
from placenorm.article.registry import CLAIMS
from placenorm.report.claims_wording import OUTCOMES
from placenorm.report.language import Language

FOLDER = Path(placenorm.report.__file__).parent / "words"
FILES = sorted(path.name for path in (FOLDER / "en").glob("*.ftl"))
PARTS = ("title", "article", "question", "design", "measure", "rule", "advice")


def read_messages(code: str, name: str) -> dict[str, ast.Message]:
    resource = FluentParser().parse((FOLDER / code / name).read_text(encoding="utf-8"))
    junk = [entry.content for entry in resource.body if isinstance(entry, ast.Junk)]
    assert junk == []
    messages = [entry for entry in resource.body if isinstance(entry, ast.Message)]
    names = [message.id.name for message in messages]
    assert len(names) == len(set(names)), "a key stands twice"
    return dict(zip(names, messages, strict=True))


class Texts(Visitor):
    """The literal text of a message, each selection of it apart."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def visit_TextElement(self, node: ast.TextElement) -> None:  # noqa: N802, the library's name
        self.texts.append(node.value)


def read_texts(name: str) -> Iterator[tuple[str, str]]:
    for key, message in read_messages("fa", name).items():
        found = Texts()
        found.visit(message)
        yield from ((key, text) for text in found.texts)


def test_both_languages_have_the_same_files() -> None:
    assert sorted(path.name for path in (FOLDER / "fa").glob("*.ftl")) == FILES


@pytest.mark.parametrize("name", FILES)
def test_both_languages_have_the_same_keys(name: str) -> None:
    english, persian = (set(read_messages(code, name)) for code in ("en", "fa"))
    assert english - persian == set(), "missing in Persian"
    assert persian - english == set(), "missing in English"


def test_no_key_stands_in_two_files() -> None:
    keys = [key for name in FILES for key in read_messages("en", name)]
    assert sorted(key for key in set(keys) if keys.count(key) > 1) == []


@pytest.mark.parametrize("code", ["en", "fa"])
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.number)
def test_claim_has_all_its_words(claim: Claim, code: str) -> None:
    language = Language(code)
    keys = [f"{claim.number}-{part}" for part in PARTS]
    keys += [figure.key for figure in claim.published]
    source = inspect.getsource(sys.modules[claim.draw.__module__])
    charts = re.findall(rf'"({claim.number}-[a-z0-9-]+)",\s*"(?:lines|bars|dots)"', source)
    assert charts
    keys += [f"{chart}-{part}" for chart in charts for part in ("title", "caption", "x", "y")]
    assert [key for key in keys if not language.has(key)] == []


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.number)
def test_claim_has_a_sentence_for_every_outcome(claim: Claim) -> None:
    keys = read_messages("en", f"{claim.number}.ftl")
    for outcome in OUTCOMES:
        if outcome in inspect.getsource(sys.modules[claim.judge.__module__]):
            assert any(key.startswith(f"{claim.number}-{outcome}") for key in keys), outcome


LETTER = "[\u0621-\u064a\u067e-\u06d3]"
MISTAKES = {
    "an Arabic yeh or kaf": "[\u064a\u0643\u0649]",
    "a heh with a small yeh; write «ه‌ی»": "\u0647\u0654|\u06c0",
    "Arabic digits": "[\u0660-\u0669]",
    "a space for the half-space before the ezafe": "ه ی(?![\u0621-\u06ff])",
    "a space for the half-space before a plural": f"{LETTER} (?:ها|های|هایی|هایش|هایشان)(?!{LETTER})",
    "a space for the half-space after «می»": f"(?<!{LETTER})ن?می {LETTER}",
    "a space for the half-space before «تر»": f"{LETTER} (?:تر|ترین)(?!{LETTER})",
    "a space for the half-space before «ام، ای، اند»": f"ه (?:ام|ای|اند|ایم|اید)(?!{LETTER})",
    "a half-space in «آنچه»": "آن\u200cچه",
    "a half-space beside a space": "\u200c\\s|\\s\u200c|\u200c$|^\u200c",
    "two spaces": "(?<!^)  ",
    "a Latin comma, semicolon or question mark": f"{LETTER}[,;?]",
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", FILES)
def test_persian_is_without(name: str, mistake: str) -> None:
    found = [f"{key}: {text}" for key, text in read_texts(name) if re.search(MISTAKES[mistake], text)]
    assert found == []


@pytest.mark.parametrize("name", FILES)
def test_persian_has_persian_digits_outside_of_latin_terms(name: str) -> None:
    persian = Language("fa")
    wrong = []
    for key, text in read_texts(name):
        bare = re.sub("`[^`]*`", "", text)  # code
        outside = re.sub("<bdi>.*?</bdi>", "", str(persian.isolate(bare)))
        if re.search("(?<!&#)[0-9]", outside):
            wrong.append(f"{key}: {text}")
    assert wrong == []


@pytest.mark.parametrize(
    ("mistake", "wrong"),
    [
        ("an Arabic yeh or kaf", "لايه"),
        ("a space for the half-space before the ezafe", "لایه ی نخست"),
        ("a space for the half-space before a plural", "لایه های ژرف"),
        ("a space for the half-space after «می»", "و می شود"),
        ("a space for the half-space before «تر»", "بزرگ تر است"),
        ("a space for the half-space before «ام، ای، اند»", "نوشته اند"),
        ("a half-space in «آنچه»", "آن\u200cچه لایه می‌بیند"),
        ("a half-space beside a space", "لایه\u200c ها"),
        ("a Latin comma, semicolon or question mark", "میانگین, واریانس"),
    ],
    ids=["arabic", "ezafe", "plural", "verb", "comparative", "perfect", "that-which", "beside", "comma"],
)
def test_mistake_would_be_found(mistake: str, wrong: str) -> None:
    assert re.search(MISTAKES[mistake], wrong)
