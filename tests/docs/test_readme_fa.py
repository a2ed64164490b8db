"""README.fa.md is README.md in Persian: the same commands, files and numbers, in correct Persian, right to left."""

import re
import unicodedata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
PERSIAN = (ROOT / "README.fa.md").read_text(encoding="utf-8")

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE_CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
NUMBER = re.compile(r"(?<![A-Za-z\d])\d+(?:[.,]\d+)*")
COMMENT = re.compile(r"(?:^|\s+)#.*$|\s+$", re.MULTILINE)
LEFT_TO_RIGHT = '<span dir="ltr">{}</span>'
RIGHT_TO_LEFT = '<div dir="rtl">'

ARABIC_FORMS = {"yeh": "\u064a", "kaf": "\u0643", "heh with hamza": "\u06c0", "hamza above": "\u0654"}
# Standing alone between spaces, each has lost the half-space that ties it to its word: «می شود», «لایه ها», «شبکه ی».
AFFIXES = ("می", "نمی", "ها", "های", "هایی", "ی", "ای", "تر", "ترین", "اند")
# Two whole words that a half-space ties together.
COMPOUNDS = ("نرمال سازی", "شبیه سازی", "فعال ساز", "بهینه ساز", "مجموعه داده", "کم عمق", "هم ارز", "تک رشته", "دست کم")
TO_LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹٫٬", "0123456789.,")


def _commands(text: str) -> list[tuple[str, list[str]]]:
    """Return language and lines of every fenced block, without comments, trailing and empty lines."""
    blocks = [(language, COMMENT.sub("", code).split("\n")) for language, code in FENCE.findall(text)]
    return [(language, [line for line in lines if line]) for language, lines in blocks]


def _inline_code(text: str) -> set[str]:
    return set(INLINE_CODE.findall(FENCE.sub("", text)))


def _links(text: str) -> set[str]:
    """Return the targets of links and pictures; the page in the other language counts as one and the same."""
    return {"README" if link in {"README.md", "README.fa.md"} else link for link in LINK.findall(FENCE.sub("", text))}


def _prose(text: str) -> str:
    """Return what is read as text: no code, no link targets, no tags."""
    for pattern, kept in ((FENCE, ""), (INLINE_CODE, "x"), (LINK, "]"), (re.compile(r"<[^>]+>"), "")):
        text = pattern.sub(kept, text)
    return text


def test_commands_are_those_of_the_english_page() -> None:
    assert _commands(PERSIAN) == _commands(ENGLISH)
    assert _commands(ENGLISH), "No fenced block was found in README.md, so nothing was compared."


def test_code_in_the_text_is_that_of_the_english_page() -> None:
    assert _inline_code(PERSIAN) == _inline_code(ENGLISH)


def test_numbers_are_those_of_the_english_page() -> None:
    found = [set(NUMBER.findall(_prose(text).translate(TO_LATIN))) for text in (PERSIAN, ENGLISH)]
    in_words = {"0"}  # «صفر»
    assert found[0] - in_words == found[1] - in_words


def test_links_are_those_of_the_english_page() -> None:
    assert _links(PERSIAN) == _links(ENGLISH)


def test_linked_files_exist() -> None:
    files = [link.partition("#")[0] for link in LINK.findall(PERSIAN) if "://" not in link]
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_headings_and_table_rows_are_as_many_as_on_the_english_page() -> None:
    for start in (r"#+ ", r"\| ", r"- "):
        found = [len(re.findall(rf"^{start}", FENCE.sub("", text), re.MULTILINE)) for text in (PERSIAN, ENGLISH)]
        assert found[0] == found[1], f"lines that start with {start}"


@pytest.mark.parametrize("letter", ARABIC_FORMS.values(), ids=ARABIC_FORMS)
def test_no_arabic_form_stands_for_a_persian_letter(letter: str) -> None:
    assert letter not in PERSIAN


@pytest.mark.parametrize("affix", AFFIXES, ids=str)
def test_no_affix_stands_alone(affix: str) -> None:
    assert re.findall(rf"\S*\s{affix}(?![\w\u200c])", _prose(PERSIAN)) == []


@pytest.mark.parametrize("compound", COMPOUNDS, ids=str)
def test_no_compound_is_written_with_a_plain_space(compound: str) -> None:
    assert compound not in PERSIAN


def test_digits_and_punctuation_of_the_text_are_persian() -> None:
    prose = _prose(PERSIAN)
    # Digits of a Latin name (python3, A1, Apache-2.0) are part of the name; \u0660-\u0669 are Arabic digits.
    assert re.findall(r"(?<![A-Za-z0-9.-])[0-9]+|[\u0660-\u0669]+", prose) == []
    assert re.findall(r"\S*[\u0600-\u06ff)»][,;?]", prose) == []


def test_text_is_right_to_left_and_code_blocks_are_not() -> None:
    outside = re.sub(rf"^{RIGHT_TO_LEFT}\n\n(.*?)\n\n</div>$", "", PERSIAN, flags=re.DOTALL | re.MULTILINE)
    assert FENCE.sub("", outside).strip() == "", "text outside of a right-to-left block"
    assert len(FENCE.findall(outside)) == len(FENCE.findall(PERSIAN)), "code inside of a right-to-left block"


def test_paragraphs_begin_with_a_right_to_left_letter() -> None:
    # GitHub gives a paragraph, heading or list the direction of its first letter, whatever the block around it says.
    prose = _prose(PERSIAN.replace("&rlm;", "\u200f"))
    for paragraph in re.split(r"\n\s*\n", prose):
        if paragraph.strip() and not paragraph.startswith("|"):
            strong = [way for way in map(unicodedata.bidirectional, paragraph) if way in {"L", "R", "AL"}]
            assert strong[0] != "L", paragraph


def test_code_with_a_sign_at_its_end_is_kept_left_to_right() -> None:
    # In right-to-left text the dashes of `--data` would move behind the word, and the last bracket of `f(x)` before it.
    for code in _inline_code(PERSIAN):
        if not (code[0].isalnum() and code[-1].isalnum()):
            bare = PERSIAN.replace(LEFT_TO_RIGHT.format(f"`{code}`"), "")
            assert f"`{code}`" not in bare
