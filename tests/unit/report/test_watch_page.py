"""The page of a training that was watched, in both languages, and what its charts are drawn from."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from placenorm.facts.reading import History, Look, Watched
from placenorm.report.forms import print_to_text
from placenorm.report.language import ENGLISH, LANGUAGES, Language
from placenorm.report.palette import PAGE
from placenorm.report.watch_courses import FLOOR, draw_drift, draw_gradient
from placenorm.report.watch_maps import draw_activity, draw_signal
from placenorm.report.watch_page import render_watch_page
from placenorm.report.watching import print_watched
from support.histories import PEAK_DRIFT, PEAK_STEP, WINDOW, make_watched
from support.readable import read_own_words

HOSTILE = "<script>alert(1)</script>"
MOST_BYTES = 5_000_000
CHARTS = ("gradient", "drift", "dead", "active", "mean", "var")


def read_charts(page: str) -> dict[str, Any]:
    found = re.search('<script type="application/json" id="charts">(.*?)</script>', page, re.DOTALL)
    assert found
    charts: dict[str, Any] = json.loads(found[1], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return charts


def rows_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that a chart is drawn from, each once; data stand once in it, at the top or in some layers."""
    found = [part["data"]["values"] for part in (spec, *spec["layer"]) if "data" in part]
    return [row for place, rows in enumerate(found) if rows not in found[:place] for row in rows]


def change_looks(watched: Watched, **changes: object) -> History:
    """Return a history whose readings are changed."""
    looks = tuple(
        replace(look, readings=tuple(replace(reading, **changes) for reading in look.readings))  # type: ignore[arg-type]
        for look in watched.history.looks
    )
    return replace(watched.history, looks=looks)


@pytest.mark.parametrize("code", LANGUAGES)
def test_watch_page_speaks_the_language(code: str) -> None:
    page = render_watch_page(make_watched(), Language(code))
    words = read_own_words(page)
    assert f'<html lang="{code}" dir="{"rtl" if code == "fa" else "ltr"}"' in page
    assert {"en": "1 warning in 400 steps", "fa": "۱ هشدار در ۴۰۰ گام"}[code] in words
    assert {"en": "Dead units", "fa": "نورون‌های مرده"}[code] in words
    assert {"en": "slow momentum", "fa": "تکانه‌ی کند"}[code] in words
    assert ("جمله‌های قاعده‌ها به انگلیسی است." in words) == (code == "fa")
    assert bool(re.search("[0-9]", words)) == (code == "en")
    assert sorted(read_charts(page)) == sorted(CHARTS)
    assert all(f'id="chart-{name}" role="img" aria-label="' in page for name in CHARTS)


@pytest.mark.parametrize("code", LANGUAGES)
def test_watch_page_shows_hostile_names_as_text(code: str) -> None:
    page = render_watch_page(make_watched(name=HOSTILE), Language(code))
    assert "<script>alert" not in page
    assert f"&lt;script&gt;alert(1)&lt;/script&gt;{0}" in page
    assert all(row["site"].startswith(HOSTILE) for row in rows_of(read_charts(page)["dead"]))


@pytest.mark.parametrize("code", LANGUAGES)
def test_watch_page_of_a_long_training_of_many_sites_is_bounded(code: str) -> None:
    page = render_watch_page(
        make_watched(sites=100, looks=500, every=20, name="stages.3.blocks.11.mlp.act"), Language(code)
    )
    assert len(page.encode()) < MOST_BYTES


@pytest.mark.parametrize(
    "history",
    [
        replace(make_watched().history, looks=(), looks_made=0, gradients=(), spikes=(), sites=()),
        change_looks(make_watched(), before=None, after=None, activity=None),
    ],
    ids=["nothing seen", "light"],
)
@pytest.mark.parametrize("code", LANGUAGES)
def test_watch_page_without_readings_has_no_chart_of_sites(history: History, code: str) -> None:
    charts = read_charts(render_watch_page(Watched(history, ()), Language(code)))
    assert set(charts) <= {"gradient"}


def test_thinned_drift_keeps_every_peak() -> None:
    history = make_watched(sites=100, looks=500).history
    (drawing,) = draw_drift(history, ENGLISH, PAGE).drawings
    rows = rows_of(drawing.spec)
    assert len(rows) < 5000
    (peak,) = [row for row in rows if row["drift"] == PEAK_DRIFT]
    assert (peak["site"], peak["step"]) == ("layer1", PEAK_STEP)


def test_drift_colours_the_sites_that_drift_most_and_gathers_the_others() -> None:
    found = draw_drift(make_watched(sites=9).history, ENGLISH, PAGE)
    assert found.legend[0].label == '<bdi lang="en" dir="ltr">layer1</bdi>'
    assert (found.legend[-1].group, found.legend[-1].label) == ("", "3 other sites")
    groups = {row["group"] for drawing in found.drawings for row in rows_of(drawing.spec)}
    assert groups == {entry.group for entry in found.legend}


def test_small_drift_stands_at_the_foot_and_says_what_it_is() -> None:
    history = make_watched().history
    look = history.looks[-1]
    small = replace(look.readings[0], after=replace(look.readings[0].after, drift=1e-6))  # type: ignore[type-var]
    changed = replace(history, looks=(*history.looks[:-1], replace(look, readings=(small, *look.readings[1:]))))
    (drawing,) = draw_drift(changed, ENGLISH, PAGE).drawings
    row = next(row for row in rows_of(drawing.spec) if (row["site"], row["step"]) == ("layer0", look.step))
    assert (row["drift"], row["shown"]) == (FLOOR, "10⁻⁶")


def test_dead_units_are_shown_from_the_first_full_window_on() -> None:
    dead, active = draw_activity(make_watched().history, ENGLISH, PAGE)
    assert min(row["step"] for row in rows_of(dead.spec)) == 10 * (WINDOW - 1)
    assert min(row["step"] for row in rows_of(active.spec)) == 0
    cell = next(row for row in rows_of(dead.spec) if row["site"] == "layer4")
    assert (cell["share"], cell["shown"]) == (4 / 64, "4 of 64 units")
    assert dead.alt == "Dead units at the last look: layer4 4 of 64 units, layer1 1 of 64 units."


def test_signal_is_that_of_the_first_look_and_the_last_in_the_order_of_the_network() -> None:
    mean, var = draw_signal(make_watched(sites=4, looks=12).history, ENGLISH, PAGE).drawings
    rows = rows_of(var.spec)
    assert [(row["site"], row["step"], row["value"]) for row in rows[:4]] == [
        (f"layer{place}", 0, 1.0 + place) for place in range(4)
    ]
    assert {row["step"] for row in rows_of(mean.spec)} == {0, 110}


def test_signal_leaves_out_what_has_no_place_on_its_axis() -> None:
    history = make_watched(sites=2, looks=2).history

    def silence(look: Look) -> Look:
        readings = tuple(replace(each, after=replace(each.after, var=0.0, mean=float("nan"))) for each in look.readings)  # type: ignore[type-var]
        return replace(look, readings=readings)

    last_is_silent = replace(history, looks=(history.looks[0], silence(history.looks[1])))
    drawings = draw_signal(last_is_silent, ENGLISH, PAGE).drawings
    assert [{row["step"] for row in rows_of(drawing.spec)} for drawing in drawings] == [{0}, {0}]
    all_silent = replace(history, looks=tuple(map(silence, history.looks)))
    assert draw_signal(all_silent, ENGLISH, PAGE).drawings == ()


def test_gradient_marks_its_spikes_and_keeps_its_highest_points() -> None:
    history = make_watched(looks=400).history
    drawing = draw_gradient(history, ENGLISH, PAGE)
    assert drawing is not None
    rows = rows_of(drawing.spec)
    spikes = [row for row in rows if "peak" in row]
    assert [(row["step"], row["steps"], row["peak"]) for row in spikes] == [
        (20, "20 to 22", "1,000"),
        (50, "50 to 50", "no number"),
    ]
    norms = [row["norm"] for row in rows if "norm" in row]
    assert len(norms) <= 300
    assert max(norms) == max(step.norm for step in history.gradients if step.norm is not None)
    assert min(norms) > 0


@pytest.mark.parametrize("width", [100, 160], ids=str)
def test_terminal_in_persian_has_latin_tables_and_sentences_of_their_own(width: int) -> None:
    english, persian = (
        print_to_text(lambda console: print_watched(make_watched(), console, Language(code)), width).splitlines()  # noqa: B023
        for code in LANGUAGES
    )
    assert "۱ هشدار در ۴۰۰ گام." in persian
    assert "1 warning in 400 steps." in english
    told = {line for line in persian if re.search("[\u0600-\u06ff]", line)}
    assert told == {"۱ هشدار در ۴۰۰ گام.", "جمله‌های قاعده‌ها به انگلیسی است."}
    assert [line for line in english if line not in persian] == ["1 warning in 400 steps."]
