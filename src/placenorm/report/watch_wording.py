"""A training that was watched, as people read it: the same in the terminal and on the page."""

from collections.abc import Iterable
from typing import Final

from placenorm.facts.finding import Finding, Severity
from placenorm.facts.reading import GapCause, History, Mode, Moments, Reading, Watched
from placenorm.report.wording import ABSENT, count

NOUNS: Final[dict[Severity, str]] = {"error": "error", "warning": "warning", "info": "note"}

CAUSES: Final[dict[GapCause, str]] = {
    "": ABSENT,
    "small-batch": "small batch",
    "few-updates": "few updates",
    "slow-momentum": "slow momentum",
    "biased-variance": "biased variance",
    "frozen": "frozen",
    "data-shift": "other data",
}

SITE_HEADS: Final = (
    "site",
    "what",
    "mean in",
    "sd in",
    "mean out",
    "sd out",
    "active",
    "dead",
    "saturated",
    "drift",
    "gradient",
)
"""Heads of the columns of `list_sites`."""

NORM_HEADS: Final = ("norm", "mode", "values", "stays", "changes", "cause", "var ratio", "updates", "gamma", "beta")
"""Heads of the columns of `list_norms`."""

SHAPE_HEADS: Final = ("site", "what", "side", "skewness", "excess kurtosis", "exact zeros")
"""Heads of the columns of `list_shapes`."""

SITE_BASIS: Final = (
    "At the last look in training: mean and standard deviation over channels at the true input and output of each "
    "call; share of active values; units that none of the last looks made active; drift of the output since the look "
    "before, in its standard deviations, and in brackets what batches of this size drift by chance; norm of the "
    "gradient for the output."
)
NORM_BASIS: Final = (
    "Distance of batches from the running statistics, in running standard deviations, over the last looks: what stays "
    "from look to look, and what changes with the batch. The variance ratio is the batch's over the running variance."
)
SHAPE_BASIS: Final = (
    "Medians over channels at the last look in training. A norm moves and scales a distribution and keeps its shape: "
    "normalised does not mean normal, which would be 0 and 0."
)


def say_headline(watched: Watched) -> str:
    """Return how the training stands, in a few words."""
    if not watched.history.looks_made:
        return "No forward pass of the network was seen"
    counts = count_severities(watched.findings)
    if not counts:
        return "Nothing found while the network trained"
    return ", ".join(counts) + f" in {count(watched.history.steps, 'step')}"


def count_severities(findings: Iterable[Finding]) -> list[str]:
    """Return how many findings there are of each severity, the worst first: ``1 error``, ``2 warnings``."""
    found = list(findings)
    numbers = {noun: sum(finding.severity == severity for finding in found) for severity, noun in NOUNS.items()}
    return [count(number, noun) for noun, number in numbers.items() if number]


def say_watched(history: History) -> str:
    """Return what was looked at."""
    parts = [
        f"level {history.level}, every {history.every:,}"
        if history.every > 1
        else f"level {history.level}, every step",
        f"{count(history.steps, 'training forward')}",
        *([count(history.evaluations, "evaluation forward")] if history.evaluations else []),
        count(history.looks_made, "look"),
    ]
    if len(history.looks) < history.looks_made:
        parts.append(f"{len(history.looks):,} kept")
    if history.unread:
        parts.append(f"{count(history.unread, 'call')} not read, as there were too many")
    return ", ".join(parts)


def list_sites(history: History) -> list[tuple[str, ...]]:
    """Return a row for each site, from its last reading in training."""
    return [_site_row(reading) for reading in history.last_readings()]


def _site_row(reading: Reading) -> tuple[str, ...]:
    activity, after = reading.activity, reading.after
    dead = None if activity is None or activity.dead is None else f"{activity.dead:,} of {activity.units:,}"
    drift = ABSENT
    if after is not None and after.drift is not None:
        drift = f"{after.drift:.2g}" + ("" if after.drift_noise is None else f" ({after.drift_noise:.2g})")
    return (
        reading.site,
        reading.name,
        *_say_side(reading.before, reading.finite_before),
        *_say_side(after, reading.finite_after),
        ABSENT if activity is None else _say_share(activity.active_share),
        dead or ABSENT,
        ABSENT if activity is None else _say_share(activity.saturated_share),
        drift,
        _say_number(reading.gradient_norm),
    )


def list_norms(history: History) -> list[tuple[str, ...]]:
    """Return a row for each norm and mode, from its last reading."""
    modes: tuple[Mode, ...] = ("training", "evaluation")
    rows: list[tuple[str, ...]] = []
    for mode in modes:
        for reading in history.last_readings(mode):
            gap, affine = reading.gap, reading.affine
            if gap is None:
                continue
            rows.append(
                (
                    reading.site,
                    mode,
                    f"{gap.values:,}",
                    f"{gap.systematic:.2g}",
                    f"{gap.random:.2g}",
                    CAUSES[gap.cause],
                    _say_ratio(gap.log_var_ratio),
                    ABSENT if gap.updates is None else f"{gap.updates:,}",
                    ABSENT if affine is None else f"{affine.gamma_mean:.3g}",
                    ABSENT if affine is None else f"{affine.beta_mean:.3g}",
                )
            )
    return rows


def list_shapes(history: History) -> list[tuple[str, ...]]:
    """Return a row for each side of each site, from its last reading in training; none below level full."""
    rows: list[tuple[str, ...]] = []
    for reading in history.last_readings():
        for side, moments in (("in", reading.before), ("out", reading.after)):
            if moments is not None and moments.zero_share is not None:
                rows.append(
                    (
                        reading.site,
                        reading.name,
                        side,
                        _say_number(moments.skewness),
                        _say_number(moments.excess_kurtosis),
                        _say_share(moments.zero_share),
                    )
                )
    return rows


def _say_side(moments: Moments | None, finite: bool | None) -> tuple[str, str]:
    if moments is None:
        return ("no number", "no number") if finite is False else (ABSENT, ABSENT)
    return f"{moments.mean:.3g}", f"{moments.var**0.5:.3g}"


def _say_number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3g}"


def _say_share(share: float | None) -> str:
    return ABSENT if share is None else f"{100 * share:.3g} %"


def _say_ratio(log_ratio: float) -> str:
    return f"{2.718281828459045 ** max(min(log_ratio, 50.0), -50.0):.3g}"


def say_live(history: History, findings: tuple[Finding, ...]) -> str:
    """Return one line on how the training stands."""
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
