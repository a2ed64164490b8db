"""A comparison as one HTML file that loads nothing from anywhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from altair.utils.schemapi import debug_mode

from placenorm.facts.comparison import Comparison, DataFacts, Summary, Variant, Verdict
from placenorm.facts.edits import Skip
from placenorm.report.charts import (
    draw_curves,
    draw_differences,
    draw_scores,
    draw_step_times,
)
from placenorm.report.claim_charts import LegendEntry
from placenorm.report.files import replace_file
from placenorm.report.language import ENGLISH, Language
from placenorm.report.pages import render_page
from placenorm.report.palette import MARK_PATHS, MARKS, PAGE, slots_of
from placenorm.report.search_wording import list_blocks, say_intro, say_search
from placenorm.report.share_charts import draw_shares
from placenorm.report.sheet import choose_font, read_part
from placenorm.report.strips import OPEN_BLOCKS, StripBlock, draw_strip
from placenorm.report.titles import tags_of
from placenorm.report.vega import Drawing, bundle_vega
from placenorm.report.verdict_wording import put_into_words
from placenorm.report.winner import python_lines
from placenorm.report.wording import (
    Units,
    count_planned,
    count_rates,
    count_seeds,
    find_baseline,
    format_seconds,
    format_steps,
    group_failed,
    resume_command,
    say_bytes,
    say_count,
    say_progress,
    say_share,
    split_advice,
    units_of,
)

COSTS = ("norms", "parameters", "training", "share", "inference")
"""Columns of the table of costs, behind the placement."""

SHOWN_REASONS = 10
"""More reasons for which trials failed are not shown."""

_HALF_HEIGHT = 230  # of the charts that stand side by side, in pixels


def write_comparison_page(comparison: Comparison, path: Path, language: Language = ENGLISH) -> None:
    """Write the report of a comparison as one file, of about 1 MB, that opens without any network access.

    Args:
        comparison: the comparison; one without a verdict gets a page that says what is there and how to go on.
        path: where to; an older report is replaced only by a whole new one.
        language: of the reader.

    Raises:
        StoreError: if it cannot be written.
    """
    replace_file(path, render_comparison_page(comparison, language).encode())


def render_comparison_page(comparison: Comparison, language: Language = ENGLISH) -> str:
    """Return the text of that page.

    Args:
        comparison: the comparison, finished or not.
        language: of the reader.
    """
    with debug_mode(False):  # Altair would hold every row against its schema: with 10,000 trials half of the time
        shown, specs = _describe(put_into_words(comparison, language), language)
    scripts = (bundle_vega(), read_part("page.js"))
    return render_page("comparison.html.jinja", language, shown, scripts=scripts, data={"charts": specs})


@dataclass(frozen=True, slots=True)
class _Cell:
    main: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class _TableRow:
    label: str
    slot: int
    mark: str
    tags: tuple[str, ...]
    pick: bool
    cells: tuple[_Cell, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    columns: tuple[str, ...]
    rows: tuple[_TableRow, ...]


@dataclass(frozen=True, slots=True)
class _Strip:
    label: str
    tags: tuple[str, ...]
    slot: int
    count: str
    open: bool
    blocks: tuple[StripBlock, ...]
    skipped: tuple[Skip, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    entries: tuple[tuple[str, str], ...]
    as_is: bool = False  # versions and names of machines: no words and no numbers of the language


def _describe(comparison: Comparison, language: Language) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return everything that the template shows, and the charts by name."""
    verdict, settings, say = comparison.verdict, comparison.settings, language.say
    units, theme = units_of(comparison, language), choose_font(PAGE, language)
    curves = _drawn(
        draw_curves(comparison, theme, language),
        draw_curves(comparison, theme, language, curve="val_loss", height=_HALF_HEIGHT),
        draw_curves(comparison, theme, language, clock="time_s", height=_HALF_HEIGHT),
    )
    inside = _drawn(*(draw_shares(comparison, kind, theme, language) for kind in ("dead", "active")))
    times = draw_step_times(comparison, theme, language)
    scores = draw_scores(comparison, verdict, theme, language) if verdict else None
    answers = (verdict.final, verdict.speed) if verdict else ()
    differences = _drawn(*(draw_differences(comparison, answer, theme, language) for answer in answers))
    drawings = _drawn(scores, *differences, *curves, *inside, times)
    slots = slots_of([variant.name for variant in comparison.variants])
    if verdict:
        headline, reason = split_advice(verdict.advice)
    else:
        headline = say("page-unfinished")
        done, planned = say_count("trials", len(comparison.trials), language), count_planned(comparison)
        reason = say("page-unfinished-reason", done=done, planned=planned)
    seeds = say_count("seeds", count_seeds(comparison), language)
    said = list(say_search(comparison, language))
    shown = {
        "headline": headline,
        "reason": reason,
        "facts": [settings.model, settings.data or say("page-own-data"), seeds, _say_length(comparison, language)],
        "seeds": seeds,
        "metric": comparison.metric.name,
        "target": units.level(verdict.target) if verdict and verdict.target is not None else "",
        "lines": [*said, *(line for line in (verdict.speed_line, verdict.cost_line) if line)] if verdict else said,
        "blocks": list_blocks(comparison, language) if comparison.search else None,
        "intro": say_intro(comparison.search, language) if comparison.search else "",
        "unfinished": "" if verdict else resume_command(comparison.environment.command),
        "progress": say_progress(comparison, language),
        "failed": group_failed(comparison, language)[:SHOWN_REASONS],
        "scores": scores,
        "table": _make_table(comparison, verdict, units, language) if verdict else None,
        "differences": differences,
        "curves": curves,
        "legend": [LegendEntry(each.name, each.label, slots[each.name]) for each in comparison.variants],
        "inside": inside,
        "times": times,
        "costs": _list_costs(comparison, language),
        "strips": _make_strips(comparison, language),
        "winner": python_lines(comparison) if verdict else "",
        "pick": _find(comparison, verdict.pick).label if verdict else "",
        "notes": verdict.notes if verdict else (),
        "groups": [_list_settings(comparison, units, language), _list_environment(comparison, language)],
        "command": comparison.environment.command,
    }
    return shown, {drawing.name: drawing.spec for drawing in drawings}


def _drawn(*drawings: Drawing | None) -> list[Drawing]:
    return [drawing for drawing in drawings if drawing is not None]


def _find(comparison: Comparison, name: str) -> Variant:
    return next(variant for variant in comparison.variants if variant.name == name)


def _say_length(comparison: Comparison, language: Language) -> str:
    steps = max((trial.steps for trial in comparison.chosen), default=0)
    epochs = say_count("epochs", comparison.settings.epochs, language)
    return language.say("page-length", epochs=epochs, steps=say_count("steps", steps, language)) if steps else epochs


def _make_table(comparison: Comparison, verdict: Verdict, units: Units, language: Language) -> _Table:
    slots, say = slots_of([variant.name for variant in comparison.variants]), language.say
    rows = [
        _TableRow(
            label=_find(comparison, row.variant).label,
            slot=slots[row.variant],
            mark=MARK_PATHS[MARKS[slots[row.variant]]],
            tags=tags_of(comparison, verdict, row.variant, language),
            pick=row.variant == verdict.pick,
            cells=_make_cells(row, units, language),
        )
        for row in verdict.summaries
    ]
    test = units.head(say("page-head-test", metric=comparison.metric.name))
    columns = (say("page-head-placement"), test, say("page-head-steps"), say("page-head-seconds"))
    more = (units.head(say("page-head-area")), *(say(f"page-head-{name}") for name in ("dead", "time", "rates")))
    return _Table(columns=(*columns, *more), rows=tuple(rows))


def _make_cells(row: Summary, units: Units, language: Language) -> tuple[_Cell, ...]:
    reached, figures = "", language.figures
    if row.reached != row.seeds:
        reached = language.say("page-reached", reached=row.reached, seeds=say_count("seeds", row.seeds, language))
    return (
        _Cell(units.number(row.metric), units.interval(row.metric_low, row.metric_high)),
        _Cell(figures(format_steps(row.steps_to_target)), reached),
        _Cell(figures(format_seconds(row.seconds_to_target))),
        _Cell(units.number(row.area)),
        _Cell(say_share(row.dead_share_pct, language)),
        _Cell(figures(format_seconds(row.step_time_ms))),
        _Cell("", figures(count_rates(row.learning_rates, " ×" if language.direction == "rtl" else " x"))),
    )


def _make_strips(comparison: Comparison, language: Language) -> list[_Strip]:
    """Return the networks of the baseline and of the variant that is advised; once, if they are the same."""
    verdict = comparison.verdict
    names = [find_baseline(comparison), *([verdict.pick] if verdict else [])]
    slots = slots_of([variant.name for variant in comparison.variants])
    strips = []
    for name in dict.fromkeys(names):
        variant = _find(comparison, name)
        strips.append(
            _Strip(
                label=variant.label,
                tags=tags_of(comparison, verdict, name, language) if verdict else (language.say("tag-baseline"),),
                slot=slots[name],
                count=language.say(
                    "page-network-count",
                    blocks=say_count("blocks", len(variant.graph.blocks), language),
                    norms=say_count("norms", len(variant.graph.norms), language),
                ),
                open=len(variant.graph.blocks) <= OPEN_BLOCKS,
                blocks=draw_strip(variant.graph),
                skipped=variant.skipped,
            )
        )
    return strips


def _list_costs(comparison: Comparison, language: Language) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the heads and the rows of the table of what the norms of each variant cost, counted without a clock."""
    heads = tuple(language.say(f"page-cost-{name}") for name in ("placement", *COSTS))
    rows: list[tuple[str, ...]] = [
        (
            variant.label,
            language.number(len(variant.graph.norms), 0),
            language.number(variant.cost.norm_parameters, 0),
            say_bytes(variant.cost.norm_train_bytes, language),
            say_share(variant.cost.norm_share_pct, language),
            say_bytes(variant.cost.norm_eval_bytes, language),
        )
        for variant in comparison.variants
    ]
    return heads, rows


def _list_settings(comparison: Comparison, units: Units, language: Language) -> _Group:
    settings, data, say, figures = comparison.settings, comparison.data, language.say, language.figures
    grids = {grid for grid in comparison.grids if grid != settings.learning_rates}
    rates = ", ".join(f"{rate:g}" for rate in settings.learning_rates if rate is not None)
    grown = sorted({rate for grid in grids for rate in grid if rate is not None} - set(settings.learning_rates))
    optimizer = say("page-set-optimizer-value", optimizer=settings.optimizer, schedule=settings.schedule)
    direction = "higher" if comparison.metric.higher_is_better else "lower"
    entries = {
        "model": settings.model,
        "weights": settings.weights or "",
        "data": settings.data or "",
        "samples": _say_samples(data, language) if data else "",
        "sample": figures("×".join(str(size) for size in data.sample_shape)) if data else "",
        "test": say(f"page-set-test-{'fixed' if data.fixed_test else 'split'}") if data else "",
        "hash": data.fingerprint if data else "",
        "loop": settings.train or "",
        "placements": ", ".join(settings.placements),
        "seeds": figures(str(settings.seeds)),
        "stop": say(f"page-set-stop-{settings.stop}") if settings.stop != "never" else "",
        "epochs": figures(str(settings.epochs)),
        "batch": figures(str(settings.batch_size)),
        "rates": figures(rates),
        "grown": figures(", ".join(f"{rate:.3g}" for rate in grown)),
        "optimizer": optimizer,
        "metric": say(f"page-set-metric-{direction}", metric=settings.metric),
        "margin": units.margin(settings.margin),
        "norms": "torch.nn" if settings.norm == "torch" else settings.norm,
        "precision": settings.precision if settings.precision != "float32" else "",
        "compiled": say("page-set-compiled-yes") if settings.compiled else "",
        "search": figures(f"{settings.search}, {settings.search_trials}") if settings.search else "",
        "processes": figures(str(settings.processes)) if settings.processes > 1 else "",
        "trials": language.number(len(comparison.trials), 0),
    }
    named = tuple((say(f"page-set-{name}"), value) for name, value in entries.items() if value)
    return _Group(say("page-settings"), named)


def _say_samples(data: DataFacts, language: Language) -> str:
    if not data.train or not data.test:
        return language.say("page-set-samples-unknown")
    counts = {"train": data.train, "validation": data.validation, "test": data.test}
    return language.say("page-set-samples-value", **counts)


def _list_environment(comparison: Comparison, language: Language) -> _Group:
    where, say = comparison.environment, language.say
    entries = {
        "date": where.date,
        "placenorm": where.placenorm,
        "torch": where.torch,
        "python": where.python,
        "platform": where.platform,
        "cores": str(where.cores),
        "device": where.device,
    }
    named = tuple((say(f"page-env-{name}"), value) for name, value in entries.items())
    return _Group(say("page-environment"), named, as_is=True)
