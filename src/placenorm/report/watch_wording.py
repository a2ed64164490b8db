"""A training that was watched, as people read it: the same in the terminal and on the page."""

import math
from collections.abc import Callable
from typing import Final

from placenorm.facts.finding import Finding
from placenorm.facts.reading import History, Mode, Moments, Reading, Watched
from placenorm.report.findings import count_findings
from placenorm.report.language import Language
from placenorm.report.wording import ABSENT, say_count

SITE_HEADS: Final = (
    "site",
    "what",
    "mean-in",
    "sd-in",
    "mean-out",
    "sd-out",
    "active",
    "dead",
    "saturated",
    "drift",
    "gradient",
)
"""Columns of `list_sites`."""

NORM_HEADS: Final = ("norm", "mode", "values", "stays", "changes", "cause", "ratio", "updates", "gamma", "beta")
"""Columns of `list_norms`."""

SHAPE_HEADS: Final = ("site", "what", "side", "skewness", "kurtosis", "zeros")
"""Columns of `list_shapes`."""

Rows = list[tuple[str, ...]]


def say_headline(watched: Watched, language: Language) -> str:
    """Return how the training stands, in a few words."""
    if not watched.history.looks_made:
        return language.say("watch-headline-unseen")
    counts = count_findings(watched.findings, language)
    if not counts:
        return language.say("watch-headline-clean")
    steps = say_count("steps", watched.history.steps, language)
    return language.say("watch-headline", counts=language.chain(counts), steps=steps)


def say_watched(history: History, language: Language) -> str:
    """Return what was looked at."""
    say = language.say
    level = say("watch-level" if history.every > 1 else "watch-level-all", level=history.level, every=history.every)
    parts = [level, say("watch-trainings", forwards=history.steps)]
    if history.evaluations:
        parts.append(say("watch-evaluations", forwards=history.evaluations))
    parts.append(say("watch-looks", looks=history.looks_made))
    if len(history.looks) < history.looks_made:
        parts.append(say("watch-kept", looks=len(history.looks)))
    if history.unread:
        parts.append(say("watch-unread", calls=history.unread))
    return language.chain(parts)


def list_tables(history: History, language: Language) -> list[tuple[str, tuple[str, ...], Rows]]:
    """Return the tables that have rows: key of the title, heads, and rows."""
    tables: list[tuple[str, tuple[str, ...], Callable[[History, Language], Rows]]] = [
        ("watch-sites", SITE_HEADS, list_sites),
        ("watch-norms", NORM_HEADS, list_norms),
        ("watch-shapes", SHAPE_HEADS, list_shapes),
    ]
    found = [
        (key, tuple(language.say(f"watch-head-{head}") for head in heads), list_rows(history, language))
        for key, heads, list_rows in tables
    ]
    return [table for table in found if table[2]]


def list_sites(history: History, language: Language) -> Rows:
    """Return a row for each site, from its last reading in training."""
    return [_site_row(reading, language) for reading in history.last_readings()]


def _site_row(reading: Reading, language: Language) -> tuple[str, ...]:
    activity, after, figures = reading.activity, reading.after, language.figures
    dead = drift = ABSENT
    if activity is not None and activity.dead is not None:
        dead = language.say("watch-of", part=activity.dead, whole=activity.units)
    if after is not None and after.drift is not None:
        drift = figures(f"{after.drift:.2g}")
        if after.drift_noise is not None:
            drift = language.say("watch-with-noise", drift=drift, noise=figures(f"{after.drift_noise:.2g}"))
    return (
        reading.site,
        reading.name,
        *_say_side(reading.before, reading.finite_before, language),
        *_say_side(after, reading.finite_after, language),
        say_share(None if activity is None else activity.active_share, language),
        dead,
        say_share(None if activity is None else activity.saturated_share, language),
        drift,
        say_number(reading.gradient_norm, language),
    )


def list_norms(history: History, language: Language) -> Rows:
    """Return a row for each norm and mode, from its last reading."""
    modes: tuple[Mode, ...] = ("training", "evaluation")
    say, figures = language.say, language.figures
    rows: Rows = []
    for mode in modes:
        for reading in history.last_readings(mode):
            gap, affine = reading.gap, reading.affine
            if gap is None:
                continue
            rows.append(
                (
                    reading.site,
                    say(f"watch-mode-{mode}"),
                    figures(f"{gap.values:,}"),
                    figures(f"{gap.systematic:.2g}"),
                    figures(f"{gap.random:.2g}"),
                    say(f"watch-cause-{gap.cause}") if gap.cause else ABSENT,
                    figures(_say_ratio(gap.log_var_ratio)),
                    ABSENT if gap.updates is None else figures(f"{gap.updates:,}"),
                    say_number(None if affine is None else affine.gamma_mean, language),
                    say_number(None if affine is None else affine.beta_mean, language),
                )
            )
    return rows


def list_shapes(history: History, language: Language) -> Rows:
    """Return a row for each side of each site, from its last reading in training; none below level full."""
    rows: Rows = []
    for reading in history.last_readings():
        for side, moments in (("in", reading.before), ("out", reading.after)):
            if moments is not None and moments.zero_share is not None:
                rows.append(
                    (
                        reading.site,
                        reading.name,
                        language.say(f"watch-side-{side}"),
                        say_number(moments.skewness, language),
                        say_number(moments.excess_kurtosis, language),
                        say_share(moments.zero_share, language),
                    )
                )
    return rows


def _say_side(moments: Moments | None, finite: bool | None, language: Language) -> tuple[str, str]:
    if moments is None:
        cell = language.say("watch-no-number") if finite is False else ABSENT
        return cell, cell
    return say_number(moments.mean, language), say_number(math.sqrt(moments.var), language)


def say_number(value: float | None, language: Language) -> str:
    """Return a number with three digits that count."""
    return ABSENT if value is None else language.figures(f"{value:.3g}")


def say_share(share: float | None, language: Language) -> str:
    """Return a share from 0 to 1 in percent."""
    return ABSENT if share is None else language.say("watch-share", share=language.figures(f"{100 * share:.3g}"))


def _say_ratio(log_ratio: float) -> str:
    return f"{math.exp(max(min(log_ratio, 50.0), -50.0)):.3g}"


def say_live(history: History, findings: tuple[Finding, ...]) -> str:
    """Return one line on how the training stands, in English, as most terminals want it."""
    parts = [f"step {history.steps:,}"]
    if history.gradient_last is not None:
        parts.append(f"gradient {history.gradient_last:.2g}")
    readings = history.last_readings()
    units = sum(r.activity.units for r in readings if r.activity is not None and r.activity.dead is not None)
    if units:
        dead = sum(r.activity.dead or 0 for r in readings if r.activity is not None)
        parts.append(f"dead {dead:,} of {units:,}")
    inner = [r for r in readings if r.kind not in ("input", "output")]
    drifts = [(r.after.drift, r.site) for r in inner if r.after is not None and r.after.drift is not None]
    if drifts:
        most, site = max(drifts)
        parts.append(f"drift {most:.2g} at {site}")
    found = [f"{finding.code} {finding.rule}" for finding in findings if finding.severity != "info"]
    parts.append(", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "") or "nothing found")
    return " | ".join(parts)
