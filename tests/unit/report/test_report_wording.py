"""Numbers and pairs as people read them."""

import pytest

from placenorm.facts.comparison import Pair
from placenorm.report.wording import (
    choose_units,
    count,
    count_planned,
    count_rates,
    describe_word,
    format_seconds,
    format_share,
    orient_pairs,
    repeat_command,
    resume_command,
    split_advice,
)
from support.comparisons import ACCURACY, RATES, RMSE, make_unfinished


def make_pair(first: str, second: str, difference: float, **more: object) -> Pair:
    values = {"low": None, "high": None, "sd": None, "seeds": 5, "word": "undecided", "winner": None}
    return Pair(first=first, second=second, difference=difference, **{**values, "more_seeds": None, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metric", "width", "level", "gap"),
    [
        pytest.param(ACCURACY, 0.02, "97.3 %", "+1.2", id="two percent"),
        pytest.param(ACCURACY, 0.0004, "97.31 %", "+1.23", id="a fraction of a percent"),
        pytest.param(RMSE, 0.02, "0.973", "+0.012", id="rmse"),
        pytest.param(RMSE, 400.0, "1", "+0", id="rmse in thousands"),
    ],
)
def test_units_have_the_decimals_that_the_interval_deserves(metric, width, level, gap) -> None:
    units = choose_units(metric, [width, 10 * width, None])
    assert units.level(0.9731) == level
    assert units.gap(0.0123) == gap


def test_units_write_a_difference_that_rounds_to_nothing_without_a_minus() -> None:
    assert choose_units(ACCURACY, [0.01]).gap(-0.0001) == "+0.0"


def test_margin_of_one_point_needs_no_plural() -> None:
    assert choose_units(ACCURACY, []).margin(0.01) == "1.0 percentage points"
    assert choose_units(ACCURACY, []).margin(0.005) == "0.5 percentage points"
    assert choose_units(RMSE, []).margin(1.0) == "1 rmse"


def test_units_show_what_was_not_measured_as_absent() -> None:
    units = choose_units(ACCURACY, [])
    assert (units.level(None), units.gap(None), units.interval(None, 0.5)) == ("-", "-", "")


def test_orient_pairs_sets_the_others_beside_the_baseline_and_the_better_one_first() -> None:
    pairs = [make_pair("a", "b", -0.2, low=-0.3, high=-0.1), make_pair("none", "a", 0.1), make_pair("b", "none", 0.3)]
    turned = orient_pairs(pairs, "none")
    assert [(pair.first, pair.second, pair.difference) for pair in turned] == [
        ("a", "none", -0.1),
        ("b", "none", 0.3),
        ("b", "a", 0.2),
    ]
    assert (turned[2].low, turned[2].high) == (0.1, 0.3)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        pytest.param(make_pair("a", "b", 1.0, word="better", winner="a"), "better", id="first wins"),
        pytest.param(make_pair("a", "b", -1.0, word="better", winner="b"), "b better", id="second wins"),
        pytest.param(make_pair("a", "b", 0.1, more_seeds=1), "undecided (+1 seed)", id="one more seed"),
        pytest.param(make_pair("a", "b", 0.1), "undecided", id="no number would do"),
        pytest.param(
            make_pair("a", "b", 0.0, word="no practical difference"), "no practical difference", id="no difference"
        ),
    ],
)
def test_describe_word_reads_from_the_first(pair: Pair, words: str) -> None:
    assert describe_word(pair) == words


def test_count_rates_counts_and_sorts() -> None:
    assert count_rates((0.3, 0.1, 0.3)) == "0.1 x1, 0.3 x2"
    assert count_rates((None, None)) == "-"


def test_count_planned_counts_a_grid_that_grew() -> None:
    comparison = make_unfinished()
    assert count_planned(comparison) == 4 * 10 * len(RATES)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param("placenorm compare cnn", "placenorm compare cnn --resume", id="command line"),
        pytest.param("placenorm compare cnn --resume", "placenorm compare cnn --resume", id="resumed already"),
        pytest.param("pn.compare(Net, 'digits')", "pn.compare(Net, 'digits')", id="from Python"),
    ],
)
def test_resume_command_asks_to_go_on(command: str, expected: str) -> None:
    assert resume_command(command) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param("placenorm claims A4", "placenorm claims A4 --out claims-again", id="folder by default"),
        pytest.param(
            "placenorm claims --full --seeds 5 --out docs/runs/claims --resume",
            "placenorm claims --full --seeds 5 --out docs/runs/claims-again",
            id="resumed",
        ),
        pytest.param(
            "placenorm claims --out='my runs/' A4", "placenorm claims A4 --out 'my runs-again'", id="quoted folder"
        ),
        pytest.param("pn.claims(...) in run.py", "pn.claims(...) in run.py", id="from Python"),
        pytest.param("placenorm claims --data it's", "placenorm claims --data it's", id="no command line"),
        pytest.param("", "", id="empty"),
    ],
)
def test_repeat_command_writes_into_a_new_folder(command: str, expected: str) -> None:
    assert repeat_command(command) == expected


@pytest.mark.parametrize(
    ("advice", "parts"),
    [
        pytest.param("Use a: it is best.", ("Use a", "It is best."), id="with a reason"),
        pytest.param("Use a.", ("Use a.", ""), id="without"),
        pytest.param("Use a: b: c.", ("Use a", "B: c."), id="two colons"),
    ],
)
def test_split_advice_parts_what_from_why(advice: str, parts: tuple[str, str]) -> None:
    assert split_advice(advice) == parts


def test_small_numbers_keep_three_digits() -> None:
    assert (format_seconds(0.05314), format_seconds(12.345), format_seconds(1234.5)) == ("0.0531", "12.3", "1,234")
    assert (format_share(0.5), format_share(12.4), count(1, "seed"), count(2000, "step")) == (
        "0.5 %",
        "12 %",
        "1 seed",
        "2,000 steps",
    )
