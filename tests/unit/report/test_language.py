"""The reader's language: digits, signs, plurals, and Latin runs in their own order."""

import re

import pytest

from placenorm.errors import UsageError
from placenorm.report.language import Language

LRM = "\u200e"


@pytest.fixture(params=["en", "fa"])
def language(request: pytest.FixtureRequest) -> Language:
    return Language(request.param)


def test_unknown_language_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="There is no language 'de' here; use en or fa"):
        Language("de")


@pytest.mark.parametrize(
    ("value", "digits", "english", "persian"),
    [
        (0.0, 1, "0", "۰"),
        (1234.56, 1, "1,234.6", "۱٬۲۳۴٫۶"),
        (-2.5, 1, "−2.5", f"{LRM}−۲٫۵"),
        (-0.01, 1, "0", "۰"),
        (3.0, 2, "3", "۳"),
    ],
    ids=["zero", "thousands", "minus", "no-minus-zero", "no-empty-digits"],
)
def test_number_is_in_the_readers_digits(value: float, digits: int, english: str, persian: str) -> None:
    assert Language("en").number(value, digits) == english
    assert Language("fa").number(value, digits) == persian


def test_signed_number_has_its_sign_on_the_left() -> None:
    assert Language("en").number(1.5, 1, signed=True) == "+1.5"
    assert Language("fa").number(1.5, 1, signed=True) == f"{LRM}+۱٫۵"
    assert Language("en").number(0.0, 1, signed=True) == "0"


def test_digits_behind_the_point_are_kept_where_they_are_asked_for() -> None:
    assert [Language("en").number(value, 2, least=1) for value in (1.0, 0.25, 0.0)] == ["1.0", "0.25", "0.0"]
    assert [Language("en").scientific(value, least=1) for value in (1.0, 4.25, 120.0)] == ["1.0", "4.25", "120"]
    assert Language("fa").number(1.0, 1, least=1, signed=True) == f"{LRM}+۱٫۰"


@pytest.mark.parametrize(
    ("value", "english"),
    [
        (0.0, "0"),
        (96.6666, "96.7"),
        (0.001234, "0.00123"),
        (123456.0, "123,456"),
        (1e6, "10⁶"),
        (3.1e-16, "3.1\u00a0×\u00a010⁻¹⁶"),
        (-8.24e-5, "−8.24\u00a0×\u00a010⁻⁵"),
        (float("inf"), "∞"),
    ],
    ids=["zero", "three-digits", "small", "large", "power", "tiny", "negative", "infinite"],
)
def test_scientific_number_has_three_digits_that_count(value: float, english: str) -> None:
    assert Language("en").scientific(value) == english


def test_scientific_number_reads_from_the_left_in_persian() -> None:
    assert Language("fa").scientific(3.1e-16) == "\u2066۳٫۱\u00a0×\u00a0۱۰⁻¹⁶\u2069"


def test_power_of_ten_in_a_text_becomes_a_raised_one() -> None:
    text = "0.03, 3.47e-05 and 1e+06"
    assert Language("en").figures(text) == text
    assert Language("fa").figures(text) == ("۰٫۰۳، \u2066۳٫۴۷\u00a0×\u00a0۱۰⁻⁵\u2069 and \u2066۱\u00a0×\u00a0۱۰⁶\u2069")


def test_whole_numbers_choose_the_plural() -> None:
    english = Language("en")
    assert english.say("claims-fact-seeds", seeds=1) == "one seed"
    assert english.say("claims-fact-seeds", seeds=5) == "5 paired seeds"
    assert "۵" in Language("fa").say("claims-fact-seeds", seeds=5)


def test_measured_numbers_choose_no_plural(language: Language) -> None:
    one = {"en": "1.0 points", "fa": "۱٫۰ واحد درصد"}[language.code]
    assert language.say("unit-points", value=1.0) == one


def test_missing_message_is_named(language: Language) -> None:
    with pytest.raises(KeyError, match="no message 'nothing-like-it'"):
        language.say("nothing-like-it")


def test_missing_argument_is_named(language: Language) -> None:
    with pytest.raises(KeyError, match="claims-fact-data"):
        language.say("claims-fact-data")


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("تابع زیان (loss) است.", ["loss"]),
        ("لایه‌ی BN. و seedها", ["BN", "seed"]),
        ("(batch normalization یا BN)", ["batch normalization", "BN"]),
        ("کران √(n − 1) است", ["√(n − 1)"]),
        ("f(x) و Conv2d(3, 8)", ["f(x)", "Conv2d"]),
        ("اجرای بلند (--full)", ["--full"]),
        ("کرنل 3x3 و C++", ["3x3", "C++"]),
        ("Ioffe & Szegedy 2015، الگوریتم", ["Ioffe & Szegedy 2015"]),
        ("تنها فارسی، ۱۲٫۵ درصد", []),
    ],
    ids=["brackets", "full-stop", "two", "formula", "call", "option", "digits-first", "ampersand", "none"],
)
def test_latin_runs_are_isolated_without_what_belongs_to_the_sentence(text: str, runs: list[str]) -> None:
    shown = str(Language("fa").isolate(text))
    found = [run.replace("&amp;", "&") for run in re.findall("<bdi>(.*?)</bdi>", shown)]
    assert [run for run in found if run in runs] == runs
    assert re.sub("</?bdi>", "", shown).replace("&amp;", "&") == text


def test_isolated_text_is_escaped(language: Language) -> None:
    assert "<script" not in language.isolate("مدل <script>alert(1)</script> است")


def test_english_needs_no_isolation() -> None:
    assert str(Language("en").isolate("BN & co")) == "BN &amp; co"


def test_text_of_a_chart_is_a_run_of_its_own_in_persian() -> None:
    assert Language("fa").embed("بدون BN") == "\u2067بدون \u2066BN\u2069\u2069"
    assert Language("fa").embed("") == ""
    assert Language("en").embed("no norm") == "no norm"


def test_charts_have_persian_digits() -> None:
    assert Language("fa").numerals["numerals"] == [*"۰۱۲۳۴۵۶۷۸۹"]
    assert "numerals" not in Language("en").numerals
