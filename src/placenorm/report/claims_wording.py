"""What is said about claims: sentences and labels put together from the catalogues, for the page and the terminal."""

import re
from typing import Final

from placenorm.facts.claim import Chart, ClaimResult, ClaimsReport, Effect, Factor, Outcome
from placenorm.report.language import Language

OUTCOMES: Final[tuple[Outcome, ...]] = ("holds", "holds-only-if", "does-not-hold", "undecided")

COLUMNS: Final[tuple[Outcome, ...]] = ("does-not-hold", "undecided", "holds-only-if", "holds")
"""Outcomes from the worst to the best, as they stand side by side."""

SIGNED: Final = frozenset({"points"})
"""Units of differences: their numbers show a plus."""

DIGITS: Final = 3
"""Digits of a number that count; more say nothing, as no interval is that narrow."""

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")

_MINUTE = 60


def say_headline(report: ClaimsReport, language: Language) -> str:
    """Return the one sentence that sums a run up."""
    outcomes = [result.ruling.outcome for result in report.results]
    if not outcomes:
        return language.say("claims-headline-none")
    parts = [
        language.say(f"claims-part-{outcome}", number=outcomes.count(outcome))
        for outcome in OUTCOMES
        if outcome in outcomes
    ]
    return language.say("claims-headline", total=len(outcomes), parts=language.join(parts))


def say_missing(report: ClaimsReport, language: Language) -> str:
    """Return which claims have no verdict yet, or one of fewer seeds than were asked for; "" where there is none."""
    found = {result.number: int(result.ruling.facts["seeds"]) for result in report.results}
    missing = [number for number in report.settings.claims if found.get(number, 0) < report.settings.seeds]
    return language.say("claims-missing", claims=language.join(missing)) if missing else ""


def say_left_out(report: ClaimsReport, language: Language) -> str:
    """Return which claims were not asked, as they need images; "" where all were."""
    left_out = report.settings.left_out
    return language.say("claims-left-out", claims=language.join(left_out)) if left_out else ""


def say_facts(report: ClaimsReport, language: Language) -> list[str]:
    """Return on what the run stands, in a few words each."""
    trials = len({key for result in report.results for key in result.questions})
    return [
        language.say("claims-fact-data", data=report.settings.data),
        language.say("claims-fact-samples", train=report.data.train, test=report.data.test),
        language.say("claims-fact-seeds", seeds=report.settings.seeds),
        language.say("claims-fact-trials", trials=trials),
        language.say("claims-fact-time", minutes=round(report.seconds / _MINUTE), seconds=round(report.seconds)),
    ]


def say_verdict(result: ClaimResult, language: Language) -> str:
    """Return the verdict of a claim in words."""
    ruling = result.ruling
    key = "-".join(part for part in (result.number, ruling.outcome, ruling.variant) if part)
    return language.say(key, **ruling.facts)


def say_part(result: ClaimResult, part: str, language: Language) -> str:
    """Return a sentence that a claim always has: ``title``, ``article``, ``rule``, ..."""
    return language.say(f"{result.number}-{part}", **result.ruling.facts)


def name_effect(result: ClaimResult, effect: Effect, language: Language) -> str:
    """Return what an effect is."""
    return language.say(f"{result.number}-effect-{effect.name}", **effect.factors)


def show_number(value: float, language: Language, unit: str = "") -> str:
    """Return a number that was measured in a unit, without naming the unit.

    Before a unit at least one digit stands behind the point, so that no plural has to be chosen by it: ``1.0 points``.
    """
    if unit in SIGNED:
        return language.number(value, 1, least=1, signed=True)
    return language.scientific(value, DIGITS, least=1 if unit else 0)


def show_value(effect: Effect, language: Language) -> str:
    """Return the estimate of an effect with its unit."""
    value = show_number(effect.estimate, language, effect.unit)
    key = f"unit-{effect.unit}"
    return language.say(key, value=value) if effect.unit and language.has(key) else value


def show_interval(effect: Effect, language: Language) -> str:
    """Return the interval of an effect; "" where it has none."""
    if effect.low is None or effect.high is None:
        return ""
    low, high = (show_number(end, language, effect.unit) for end in (effect.low, effect.high))
    return language.say("claims-interval", low=low, high=high)


def show_effect(effect: Effect, language: Language) -> str:
    """Return the estimate of an effect with its unit and, where it has one, its interval."""
    value = show_value(effect, language)
    if effect.low is None or effect.high is None:
        return value
    low, high = (show_number(end, language, effect.unit) for end in (effect.low, effect.high))
    return language.say("claims-with-interval", value=value, low=low, high=high)


def name_group(number: str, name: Factor, language: Language) -> str:
    """Return the name of a group, a panel, a column or a row of a chart: from the catalogues, or as it is."""
    if not isinstance(name, str):
        return language.scientific(name, DIGITS)
    for key in (f"{number}-group-{name}", f"placement-{name}"):
        if name and language.has(key):
            return language.say(key)
    return language.scientific(float(name), DIGITS) if _NUMBER.fullmatch(name) else name


def claim_of(chart: Chart) -> str:
    """Return the number of the claim that a chart belongs to."""
    return chart.name.split("-", 1)[0]


def list_settings(report: ClaimsReport, language: Language) -> list[tuple[str, str]]:
    """Return what was asked for, by name."""
    settings, data, say = report.settings, report.data, language.say
    kind = "fixed" if data.fixed_test else "split"
    entries = {
        "data": settings.data,
        "samples": say("claims-set-samples-value", train=data.train, validation=data.validation, test=data.test),
        "sample": " × ".join(language.number(size, 0) for size in data.sample_shape),
        "classes": "" if data.classes is None else language.number(data.classes, 0),
        "hash": data.fingerprint,
        "limit": "" if settings.limit is None else say(f"claims-set-limit-{kind}", limit=settings.limit),
        "run": say("claims-set-full" if settings.full else "claims-set-quick"),
        "seeds": language.number(settings.seeds, 0),
        "claims": language.join(settings.claims),
        "time": say("claims-set-time-value", seconds=round(report.seconds)),
    }
    return [(say(f"claims-set-{name}"), value) for name, value in entries.items() if value]


def list_environment(report: ClaimsReport, language: Language) -> list[tuple[str, str]]:
    """Return where it was measured, by name."""
    where = report.environment
    entries = {
        "date": where.date,
        "placenorm": where.placenorm,
        "torch": where.torch,
        "python": where.python,
        "platform": where.platform,
        "cores": language.number(where.cores, 0),
        "device": where.device,
    }
    return [(language.say(f"claims-env-{name}"), value) for name, value in entries.items()]
