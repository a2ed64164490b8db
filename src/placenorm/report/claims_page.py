"""A run of the claims as one HTML file that loads nothing from anywhere, in the reader's language."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from placenorm.facts.claim import ClaimResult, ClaimsReport, Effect, Outcome
from placenorm.report.claim_charts import ClaimDrawing, draw_chart
from placenorm.report.claims_wording import (
    COLUMNS,
    list_environment,
    list_settings,
    name_effect,
    say_facts,
    say_headline,
    say_left_out,
    say_missing,
    say_part,
    say_verdict,
    show_effect,
    show_interval,
    show_value,
)
from placenorm.report.files import replace_file
from placenorm.report.language import Language
from placenorm.report.pages import render_page
from placenorm.report.palette import BADGES, PAGE, Theme
from placenorm.report.sheet import choose_font, read_part
from placenorm.report.stepper import NEURON, NEURONS, SAMPLES, Step, encode_example, make_example, say_steps
from placenorm.report.vega import bundle_vega
from placenorm.report.wording import repeat_command, resume_command

STEPPED: Final = "A1"
"""The claim whose section has the article's example, step by step."""

SHOWN_EFFECTS: Final = 8
"""So many effects are shown at once; the others are folded away below them."""

HOW: Final = ("question", "design", "measure", "rule")

_WEB: Final = ("https://", "http://")


def write_claims_page(report: ClaimsReport, path: Path, language: Language) -> None:
    """Write the claims as one file, of about 1 to 2 MB, that opens without any network access.

    Args:
        report: the claims; those whose trials are missing are named, with the command that goes on.
        path: where to; an older report is replaced only by a whole new one.
        language: of the reader.

    Raises:
        StoreError: if it cannot be written.
    """
    replace_file(path, render_claims_page(report, language).encode())


def render_claims_page(report: ClaimsReport, language: Language) -> str:
    """Return the text of that page."""
    shown, data = _describe(report, language)
    scripts = (bundle_vega(), read_part("page.js"), read_part("claims.js"))
    return render_page("claims.html.jinja", language, shown, styles=("claims.css",), scripts=scripts, data=data)


@dataclass(frozen=True, slots=True)
class _EffectRow:
    label: str
    value: str
    interval: str
    seeds: str


@dataclass(frozen=True, slots=True)
class _Figure:
    says: str
    source: str
    url: str


@dataclass(frozen=True, slots=True)
class _ClaimSection:
    number: str
    slug: str
    title: str
    outcome: Outcome
    deciding: str
    article: str
    verdict: str
    advice: str
    trials: str
    how: tuple[tuple[str, str], ...]
    effects: tuple[_EffectRow, ...]
    drawings: tuple[ClaimDrawing, ...]
    published: tuple[_Figure, ...]
    stepper: bool


def _describe(report: ClaimsReport, language: Language) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return everything that the template shows, and what the scripts read."""
    theme = choose_font(PAGE, language)
    claims = [_describe_claim(result, language, theme) for result in report.results]
    stepped = any(claim.stepper for claim in claims)
    example = make_example() if stepped else None
    steps: list[Step] = say_steps(example, language) if example else []
    sizes = {"samples": SAMPLES, "neurons": NEURONS, "neuron": NEURON}
    say = language.say
    missing = say_missing(report, language)
    shown = {
        "headline": say_headline(report, language),
        "facts": say_facts(report, language),
        "left_out": say_left_out(report, language),
        "missing": missing,
        "resume": resume_command(report.environment.command) if missing else "",
        "claims": claims,
        "columns": COLUMNS,
        "badges": BADGES,
        "shown_effects": SHOWN_EFFECTS,
        "heads": [say(f"claims-head-{name}") for name in ("effect", "value", "interval", "seeds")],
        "steps": steps,
        "step_intro": say("step-intro", **sizes),
        "step_matrix": say("step-matrix-alt", **sizes),
        "step_histogram": say("step-histogram", **sizes),
        "step_histogram_alt": say("step-histogram-alt", **sizes),
        "groups": [
            (say("claims-settings"), list_settings(report, language), False),
            (say("claims-environment"), list_environment(report, language), True),
        ],
        "notes": report.data.notes,
        "command": repeat_command(report.environment.command),
    }
    data = {
        "charts": {
            panel.name: panel.spec for claim in claims for drawing in claim.drawings for panel in drawing.panels
        },
        "example": encode_example(example, language) if example else {},
    }
    return shown, data


def _describe_claim(result: ClaimResult, language: Language, theme: Theme) -> _ClaimSection:
    effects = result.ruling.effects
    deciding = ""
    if effects:
        label, value = name_effect(result, effects[0], language), show_effect(effects[0], language)
        deciding = language.say("claims-board-effect", label=label, value=value)
    return _ClaimSection(
        number=result.number,
        slug=result.slug,
        title=say_part(result, "title", language),
        outcome=result.ruling.outcome,
        deciding=deciding,
        article=say_part(result, "article", language),
        verdict=say_verdict(result, language),
        advice=say_part(result, "advice", language),
        trials=language.say("claims-trials", trials=len(result.questions)),
        how=tuple((language.say(f"claims-{part}"), say_part(result, part, language)) for part in HOW),
        effects=tuple(_describe_effect(result, effect, language) for effect in effects),
        drawings=tuple(draw_chart(chart, language, theme) for chart in result.charts),
        published=tuple(
            _Figure(
                language.say(each.key, **result.ruling.facts),
                each.source,
                each.url if each.url.startswith(_WEB) else "",
            )
            for each in result.published
        ),
        stepper=result.number == STEPPED,
    )


def _describe_effect(result: ClaimResult, effect: Effect, language: Language) -> _EffectRow:
    return _EffectRow(
        label=name_effect(result, effect, language),
        value=show_value(effect, language),
        interval=show_interval(effect, language),
        seeds=language.number(effect.seeds, 0),
    )
