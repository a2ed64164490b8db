"""A comparison as one HTML file that loads nothing from anywhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from placenorm.facts.comparison import Comparison, Summary, Variant, Verdict
from placenorm.facts.edits import Skip
from placenorm.report.charts import (
    draw_curves,
    draw_dead_shares,
    draw_differences,
    draw_scores,
    draw_step_times,
)
from placenorm.report.files import replace_file
from placenorm.report.language import Language
from placenorm.report.pages import render_page
from placenorm.report.palette import MARK_PATHS, MARKS, PAGE, slots_of
from placenorm.report.sheet import read_part
from placenorm.report.strips import StripBlock, draw_strip
from placenorm.report.titles import tags_of
from placenorm.report.vega import Drawing, bundle_vega
from placenorm.report.winner import python_lines
from placenorm.report.wording import (
    Units,
    count,
    count_planned,
    count_rates,
    find_baseline,
    format_seconds,
    format_share,
    format_steps,
    resume_command,
    split_advice,
    units_of,
)

OPEN_BLOCKS: Final = 40
"""A network of more blocks than this starts folded away: it would push the rest off the page."""

_HALF_HEIGHT = 230  # of the charts that stand side by side, in pixels


def write_comparison_page(comparison: Comparison, path: Path) -> None:
    """Write the report of a comparison as one file, of about 1 MB, that opens without any network access.

    Args:
        comparison: the comparison; one without a verdict gets a page that says what is there and how to go on.
        path: where to; an older report is replaced only by a whole new one.

    Raises:
        StoreError: if it cannot be written.
    """
    replace_file(path, render_comparison_page(comparison).encode())


def render_comparison_page(comparison: Comparison) -> str:
    """Return the text of that page.

    Args:
        comparison: the comparison, finished or not.
    """
    shown, specs = _describe(comparison)
    scripts = (bundle_vega(), read_part("page.js"))
    return render_page("comparison.html.jinja", Language("en"), shown, scripts=scripts, data={"charts": specs})


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


@dataclass(frozen=True, slots=True)
class _LegendEntry:
    label: str
    slot: int
    mark: str


def _describe(comparison: Comparison) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return everything that the template shows, and the charts by name."""
    verdict, settings = comparison.verdict, comparison.settings
    units = units_of(comparison)
    curves = _drawn(
        draw_curves(comparison, PAGE),
        draw_curves(comparison, PAGE, curve="val_loss", height=_HALF_HEIGHT),
        draw_curves(comparison, PAGE, clock="time_s", height=_HALF_HEIGHT),
    )
    inside = _drawn(draw_dead_shares(comparison, PAGE), draw_step_times(comparison, PAGE))
    scores = draw_scores(comparison, verdict, PAGE) if verdict else None
    answers = (verdict.final, verdict.speed) if verdict else ()
    differences = _drawn(*(draw_differences(comparison, answer, PAGE) for answer in answers))
    drawings = _drawn(scores, *differences, *curves, *inside)
    slots = slots_of([variant.name for variant in comparison.variants])
    if verdict:
        headline, reason = split_advice(verdict.advice)
    else:
        headline = "Not finished yet"
        done, planned = count(len(comparison.trials), "trial"), f"{count_planned(comparison):,}"
        reason = f"{done} of at least {planned} are in the store, too few for a verdict. To go on, run the line below."
    data = settings.data or "data of your own loop"
    shown = {
        "headline": headline,
        "reason": reason,
        "facts": [settings.model, data, count(settings.seeds, "seed"), _say_length(comparison)],
        "seeds": count(settings.seeds, "seed"),
        "metric": comparison.metric.name,
        "target": units.level(verdict.target) if verdict and verdict.target is not None else "",
        "lines": [line for line in (verdict.speed_line, verdict.cost_line) if line] if verdict else [],
        "unfinished": "" if verdict else resume_command(comparison.environment.command),
        "progress": _list_progress(comparison),
        "scores": scores,
        "table": _make_table(comparison, verdict, units) if verdict else None,
        "differences": differences,
        "curves": curves,
        "legend": [_legend_entry(variant, slots[variant.name]) for variant in comparison.variants],
        "inside": inside,
        "strips": _make_strips(comparison),
        "winner": python_lines(comparison) if verdict else "",
        "pick": _find(comparison, verdict.pick).label if verdict else "",
        "notes": verdict.notes if verdict else (),
        "groups": [_list_settings(comparison, units), _list_environment(comparison)],
        "command": comparison.environment.command,
    }
    return shown, {drawing.name: drawing.spec for drawing in drawings}


def _drawn(*drawings: Drawing | None) -> list[Drawing]:
    return [drawing for drawing in drawings if drawing is not None]


def _find(comparison: Comparison, name: str) -> Variant:
    return next(variant for variant in comparison.variants if variant.name == name)


def _legend_entry(variant: Variant, slot: int) -> _LegendEntry:
    return _LegendEntry(variant.label, slot, MARK_PATHS[MARKS[slot]])


def _say_length(comparison: Comparison) -> str:
    steps = max((trial.steps for trial in comparison.chosen), default=0)
    epochs = count(comparison.settings.epochs, "epoch")
    return f"{epochs}, {count(steps, 'step')}" if steps else epochs


def _list_progress(comparison: Comparison) -> list[str]:
    done = [trial.key.variant for trial in comparison.trials]
    return [f"{variant.label}: {count(done.count(variant.name), 'trial')}" for variant in comparison.variants]


def _make_table(comparison: Comparison, verdict: Verdict, units: Units) -> _Table:
    slots = slots_of([variant.name for variant in comparison.variants])
    rows = [
        _TableRow(
            label=_find(comparison, row.variant).label,
            slot=slots[row.variant],
            mark=MARK_PATHS[MARKS[slots[row.variant]]],
            tags=tags_of(comparison, verdict, row.variant),
            pick=row.variant == verdict.pick,
            cells=_make_cells(row, units),
        )
        for row in verdict.summaries
    ]
    columns = ("Placement", units.head(f"Test {comparison.metric.name}"), "Steps to target", "Seconds to target")
    more = (units.head("Area under the curve"), "Dead units", "Time per step (ms)", "Learning rates")
    return _Table(columns=(*columns, *more), rows=tuple(rows))


def _make_cells(row: Summary, units: Units) -> tuple[_Cell, ...]:
    reached = "" if row.reached == row.seeds else f"{row.reached} of {count(row.seeds, 'seed')}"
    return (
        _Cell(units.number(row.metric), units.interval(row.metric_low, row.metric_high)),
        _Cell(format_steps(row.steps_to_target), reached),
        _Cell(format_seconds(row.seconds_to_target)),
        _Cell(units.number(row.area)),
        _Cell(format_share(row.dead_share_pct)),
        _Cell(format_seconds(row.step_time_ms)),
        _Cell("", count_rates(row.learning_rates)),
    )


def _make_strips(comparison: Comparison) -> list[_Strip]:
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
                tags=tags_of(comparison, verdict, name) if verdict else ("baseline",),
                slot=slots[name],
                count=f"{count(len(variant.graph.blocks), 'block')}, {count(len(variant.graph.norms), 'norm')}",
                open=len(variant.graph.blocks) <= OPEN_BLOCKS,
                blocks=draw_strip(variant.graph),
                skipped=variant.skipped,
            )
        )
    return strips


def _list_settings(comparison: Comparison, units: Units) -> _Group:
    settings, data = comparison.settings, comparison.data
    grids = {grid for grid in comparison.grids if grid != settings.learning_rates}
    rates = ", ".join(f"{rate:g}" for rate in settings.learning_rates if rate is not None)
    grown = sorted({rate for grid in grids for rate in grid if rate is not None} - set(settings.learning_rates))
    entries = {
        "Model": settings.model,
        "Weights": settings.weights or "",
        "Data": settings.data or "",
        "Samples": f"{data.train:,} train, {data.validation:,} validation, {data.test:,} test" if data else "",
        "Sample": "×".join(str(size) for size in data.sample_shape) if data else "",
        "Test set": ("the same for every seed" if data.fixed_test else "split again for each seed") if data else "",
        "Data hash": data.fingerprint if data else "",
        "Training loop": settings.train or "",
        "Placements": ", ".join(settings.placements),
        "Seeds": str(settings.seeds),
        "Epochs": str(settings.epochs),
        "Batch size": str(settings.batch_size),
        "Learning rates": rates,
        "Grid grew by": ", ".join(f"{rate:.3g}" for rate in grown),
        "Optimizer": f"{settings.optimizer}, {settings.schedule} schedule",
        "Metric": f"{settings.metric}, {'higher' if comparison.metric.higher_is_better else 'lower'} is better",
        "Margin": units.margin(settings.margin),
        "Norms": "torch.nn" if settings.norm == "torch" else settings.norm,
        "Trials": f"{len(comparison.trials):,}",
    }
    return _Group("Settings", tuple((name, value) for name, value in entries.items() if value))


def _list_environment(comparison: Comparison) -> _Group:
    where = comparison.environment
    entries = {
        "Date": where.date,
        "placenorm": where.placenorm,
        "torch": where.torch,
        "Python": where.python,
        "Platform": where.platform,
        "Cores": str(where.cores),
        "Device": where.device,
    }
    return _Group("Environment", tuple(entries.items()))
