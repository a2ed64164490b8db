"""What the charts are drawn from, and how the pictures are written."""

import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from placenorm.errors import UsageError
from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import DeadShare, EpochRecord
from placenorm.report.charts import (
    MAX_DOTS,
    MAX_POINTS,
    draw_curves,
    draw_differences,
    draw_scores,
    draw_step_times,
)
from placenorm.report.language import END_ISOLATE, ISOLATE_RTL, Language
from placenorm.report.palette import DARK, LIGHT, MARKS, PAGE, slots_of
from placenorm.report.picture import compose_picture, write_picture
from placenorm.report.share_charts import draw_shares
from placenorm.report.vega import Drawing, bundle_vega
from support.comparisons import make_comparison, make_diverged, make_regression, make_unfinished

COMPARISONS = {"four placements": make_comparison, "regression": make_regression, "diverged": make_diverged}
CONTRAST = 3.0  # WCAG 2.2, 1.4.11: marks that carry meaning


def rows_of(drawing: Drawing | None, layer: int = 0) -> list[dict[str, Any]]:
    assert drawing is not None
    data = drawing.spec["layer"][layer].get("data", drawing.spec.get("data"))
    return drawing.spec["datasets"][data["name"]] if "name" in data else data["values"]


def draw_all(comparison: Comparison) -> list[Drawing]:
    verdict = comparison.verdict
    assert verdict is not None
    drawn = [
        draw_scores(comparison, verdict, LIGHT),
        draw_curves(comparison, LIGHT),
        draw_curves(comparison, LIGHT, curve="val_loss"),
        draw_curves(comparison, LIGHT, clock="time_s", legend=True),
        draw_differences(comparison, verdict.final, LIGHT),
        draw_differences(comparison, verdict.speed, LIGHT),
        draw_shares(comparison, "dead", LIGHT),
        draw_shares(comparison, "active", LIGHT),
        draw_step_times(comparison, LIGHT),
    ]
    return [drawing for drawing in drawn if drawing is not None]


@pytest.mark.parametrize("make", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_charts_compile_and_say_what_they_show(make) -> None:
    drawings = draw_all(make())
    assert len({drawing.name for drawing in drawings}) == len(drawings) == 9
    for drawing in drawings:
        svg = vl_convert.vegalite_to_svg({**drawing.spec, "width": 400})
        assert "NaN" not in svg
        assert drawing.title
        assert drawing.caption.endswith(".")
        assert drawing.alt.endswith(".")


def test_curves_are_means_with_the_range_over_seeds() -> None:
    comparison = make_comparison()
    row = next(row for row in rows_of(draw_curves(comparison, LIGHT)) if row["variant"] == "after-pool")
    values = [
        100 * record.val_metric
        for trial in comparison.chosen
        if trial.key.variant == "after-pool"
        for record in trial.epochs
        if record.step == row["step"] and record.val_metric is not None
    ]
    assert (row["low"], row["high"], row["seeds"]) == (min(values), max(values), 10)
    assert row["mean"] == pytest.approx(sum(values) / len(values))


def test_curves_leave_out_the_steps_at_which_a_seed_had_diverged() -> None:
    rows = [row for row in rows_of(draw_curves(make_diverged(), LIGHT)) if row["variant"] == "none"]
    assert rows[0]["seeds"] == 10
    assert rows[-1]["seeds"] == 7


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    comparison = make_comparison(seeds=2)
    records = tuple(EpochRecord(step, step / 100, 1.0, 0.5, 1.0, 0.5) for step in range(1, 1001))
    long = replace(comparison, chosen=tuple(replace(trial, epochs=records) for trial in comparison.chosen))
    steps = [row["step"] for row in rows_of(draw_curves(long, LIGHT)) if row["variant"] == "none"]
    assert len(steps) <= MAX_POINTS
    assert steps[-1] == 1000


def test_interval_of_a_share_is_drawn_no_further_than_a_share_goes() -> None:
    comparison = make_comparison()
    verdict = comparison.verdict
    assert verdict is not None
    wide = replace(
        verdict,
        summaries=tuple(replace(row, metric_low=-0.4, metric_high=1.2) for row in verdict.summaries),
        final=replace(verdict.final, pairs=tuple(replace(each, low=-1.5, high=2.0) for each in verdict.final.pairs)),
    )
    scores = rows_of(draw_scores(comparison, wide, LIGHT), 0)
    assert {(row["low"], row["high"]) for row in scores} == {(0.0, 100.0)}
    gaps = rows_of(draw_differences(comparison, wide.final, LIGHT))
    assert {(row["low"], row["high"]) for row in gaps} == {(-100.0, 100.0)}


def test_forest_plot_holds_every_pair_with_its_word_and_the_margin() -> None:
    comparison = make_comparison()
    assert comparison.verdict is not None
    rows = rows_of(draw_differences(comparison, comparison.verdict.final, LIGHT))
    assert len(rows) == 6
    assert {row["line"] for row in rows[:3]} == {
        f"{name} vs none" for name in ("before-activation", "after-activation", "after-pool")
    }
    assert all((row["margin_low"], row["margin_high"]) == (-0.5, 0.5) for row in rows)
    assert {row["words"].split(":")[0].split(" (")[0] for row in rows} == {
        "better",
        "undecided",
        "no practical difference",
    }


def test_dead_shares_stand_in_the_order_of_the_network() -> None:
    comparison = make_comparison()
    names = [op.key for op in comparison.variants[0].graph.ops if op.kind == "activation"]
    drawing = draw_shares(comparison, "dead", LIGHT)
    cells = rows_of(drawing, layer=2)
    assert list(dict.fromkeys(cell["activation"] for cell in cells)) == names
    assert len(cells) == len(names) * len(comparison.variants)
    worst = max(cells, key=lambda cell: cell["share"])
    assert worst["variant"] == "none"
    assert drawing is not None
    assert drawing.title == f"Most dead units: none, {worst['shown']} at {worst['activation']}"


def test_active_shares_are_means_over_the_seeds() -> None:
    comparison = make_comparison(seeds=3)
    uneven = tuple(
        replace(trial, dead=(DeadShare("features.1", 16, 0, active=0.2 + 0.1 * trial.key.seed),))
        for trial in comparison.chosen
    )
    (cell, *rest) = rows_of(draw_shares(replace(comparison, chosen=uneven), "active", LIGHT), layer=2)
    assert len(rest) == 3
    assert cell["share"] == pytest.approx(30.0)
    assert (cell["text"], cell["least"], cell["most"], cell["seeds"]) == ("30", "20 %", "40 %", "3")


def test_active_shares_that_an_older_placenorm_did_not_measure_are_not_drawn() -> None:
    comparison = make_comparison(seeds=2)
    old = tuple(
        replace(trial, dead=tuple(replace(entry, active=None) for entry in trial.dead)) for trial in comparison.chosen
    )
    assert draw_shares(replace(comparison, chosen=old), "active", LIGHT) is None
    assert draw_shares(replace(comparison, chosen=old), "dead", LIGHT) is not None


def test_shares_of_many_layers_name_only_some() -> None:
    comparison = make_comparison(seeds=2)
    deep = tuple(
        replace(trial, dead=tuple(DeadShare(f"layer{place}", 4, 1, 0.5) for place in range(50)))
        for trial in comparison.chosen
    )
    drawing = draw_shares(replace(comparison, chosen=deep), "dead", LIGHT)
    assert len(rows_of(drawing, layer=2)) == 200
    assert drawing is not None
    assert len(drawing.spec["layer"][2]["encoding"]["x"]["axis"]["values"]) == 10


@pytest.mark.parametrize("make", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_hovering_over_a_chart_shows_its_values(make) -> None:
    for drawing in draw_all(make()):
        marks = [layer for layer in drawing.spec["layer"] if layer["mark"]["type"] in ("point", "rect")]
        assert marks
        assert all(len(layer["encoding"]["tooltip"]) >= 2 for layer in marks), drawing.name


def test_charts_of_nothing_are_none() -> None:
    empty = replace(make_unfinished(), chosen=(), trials=())
    assert draw_curves(empty, LIGHT) is None
    assert draw_shares(empty, "dead", LIGHT) is None
    assert draw_shares(empty, "active", LIGHT) is None
    assert draw_step_times(empty, LIGHT) is None


def test_a_placement_has_one_colour_in_every_chart_and_in_every_report() -> None:
    for drawing in draw_all(make_comparison()):
        if "variant" in str(drawing.spec["layer"]):
            assert f"'{LIGHT.swatches[slots_of(['after-pool'])['after-pool']]}'" in str(drawing.spec)
    alone = slots_of(["after-pool"])["after-pool"]
    assert slots_of(["as-is", "x.json", "after-pool"])["after-pool"] == alone
    many = slots_of([f"{number}.json" for number in range(20)])
    assert set(many.values()) <= set(range(len(MARKS)))


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_colour_stands_out_from_its_surface(theme) -> None:
    assert len(theme.swatches) == len(PAGE.swatches) == len(MARKS)
    for colour in (*theme.swatches, theme.muted):
        bright, dim = sorted((luminance(colour), luminance(theme.surface)), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= CONTRAST, colour


@pytest.mark.parametrize("make", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_picture_is_about_900_pixels_wide(make, tmp_path: Path) -> None:
    write_picture(make(), tmp_path / "result.png")
    content = (tmp_path / "result.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert 850 <= width / 2 <= 980
    assert height < width


def test_picture_as_svg_says_the_advice(tmp_path: Path) -> None:
    write_picture(make_comparison(), tmp_path / "result.svg")
    assert "Put the norm after-pool" in (tmp_path / "result.svg").read_text(encoding="utf-8")


def test_persian_picture_says_the_advice_from_right_to_left(tmp_path: Path) -> None:
    comparison, persian = make_comparison(), Language("fa")
    head = compose_picture(comparison, persian)["title"]
    assert head["anchor"] == "end"
    assert head["text"] == [persian.embed("BN را در محل after-pool بگذارید")]
    parts = "cnn:8", "digits", "۱۰ seed", "۸ دوره"
    assert head["subtitle"][-1] == f"{ISOLATE_RTL}{' · '.join(map(persian.embed, parts))}{END_ISOLATE}"
    write_picture(comparison, tmp_path / "result.svg", persian)
    picture = (tmp_path / "result.svg").read_text(encoding="utf-8")
    assert "@font-face{font-family:Vazirmatn" in picture
    assert not re.search(r"<text[^>]*>[^<]*[0-9]", re.sub("cnn:8", "", picture))


def test_picture_refuses_other_endings_and_unfinished_comparisons(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"neither a \.png nor a \.svg"):
        write_picture(make_comparison(), tmp_path / "result.gif")
    with pytest.raises(UsageError, match="no verdict yet"):
        write_picture(make_unfinished(), tmp_path / "result.png")


def test_report_imports_neither_torch_nor_numpy() -> None:
    modules = "terminal", "charts", "share_charts", "comparison_page", "claims_page", "picture", "winner"
    code = f"import sys\nfor name in {modules}:\n    __import__('placenorm.report.' + name)\nprint(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'altair'" in loaded
    assert "'torch'" not in loaded
    assert "'numpy'" not in loaded


@pytest.mark.parametrize("kind", ["times", "scores"])
def test_dots_of_a_large_study_are_thinned_and_the_caption_says_so(kind: str) -> None:
    """A thousand seeds: as many dots as can be told apart, from the first seed to near the last."""

    def draw(comparison: Comparison) -> Drawing:
        assert comparison.verdict is not None
        drawing = draw_step_times(comparison, PAGE) if kind == "times" else None
        return drawing or draw_scores(comparison, comparison.verdict, PAGE)

    large = make_comparison(seeds=1000)
    drawing = draw(large)
    layers = [rows_of(drawing, place) for place in range(len(drawing.spec["layer"]))]
    (dots,) = [rows for rows in layers if "seed" in rows[0]]
    for variant in large.variants:
        seeds = [dot["seed"] for dot in dots if dot["variant"] == variant.name]
        assert MAX_DOTS / 2 < len(seeds) <= MAX_DOTS
        assert min(seeds) == 0
        assert max(seeds) > 900
    assert f"Of more than {MAX_DOTS} dots of a placement" in drawing.caption
    assert "Of more than" not in draw(make_comparison(seeds=10)).caption


def test_script_of_the_pages_is_kept_and_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = bundle_vega.__wrapped__()
    (kept,) = (tmp_path / "placenorm").iterdir()
    assert vl_convert.__version__ in kept.name
    with monkeypatch.context() as patch:
        patch.setattr(vl_convert, "javascript_bundle", None)
        assert bundle_vega.__wrapped__() == made
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # a folder that cannot be made
    assert bundle_vega.__wrapped__() == made
