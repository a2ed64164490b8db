"""Made-up observations of the claims, and what every claim's tests ask of its words and its questions."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import resources

from placenorm.article.claim import Claim, Scale
from placenorm.facts.claim import Factor, Observation, Question
from placenorm.report.language import LANGUAGES, Language

QUICK = Scale(seeds=3, full=False, images=True)


def make_up(
    claim: Claim,
    answer: Callable[[Question], Mapping[str, float | None]],
    series: Callable[[Question], Mapping[str, tuple[float | None, ...]]] = lambda question: {},
    scale: Scale = QUICK,
) -> list[Observation]:
    """Return an observation for every question of a claim, with values of one's own."""
    return [Observation(question, dict(answer(question)), dict(series(question))) for question in claim.ask(scale)]


def shuffle_arms(observations: Sequence[Observation], factor: str) -> list[Observation]:
    """Return observations whose levels of a factor change places, in each seed differently: round by the seed."""
    levels = list(
        dict.fromkeys(each.question.factors[factor] for each in observations if factor in each.question.factors)
    )

    def move(question: Question) -> Question:
        if factor not in question.factors:
            return question
        place = (levels.index(question.factors[factor]) + question.seed) % len(levels)
        return replace(question, factors=question.factors | {factor: levels[place]})

    return [replace(each, question=move(each.question)) for each in observations]


def arms_by_pair(claim: Claim, factor: str, scale: Scale = QUICK) -> dict[tuple[object, ...], set[Factor]]:
    """Return the levels of a factor that are asked for, by seed and all other factors: paired arms are equal sets."""
    found: dict[tuple[object, ...], set[Factor]] = {}
    for question in claim.ask(scale):
        if factor in question.factors:
            rest = tuple(item for item in question.factors.items() if item[0] != factor)
            found.setdefault((question.kind, question.seed, rest), set()).add(question.factors[factor])
    return found


def say_everything(claim: Claim, observations: Sequence[Observation]) -> dict[str, list[str]]:
    """Return by language all that a page says of a claim with these observations.

    Raises:
        KeyError: if a message, or an argument that it needs, is missing.
    """
    ruling, charts = claim.judge(observations), claim.draw(observations)
    fixed = ("title", "article", "question", "design", "measure", "rule", "advice")
    verdict = "-".join(part for part in (claim.number, ruling.outcome, ruling.variant) if part)
    said: dict[str, list[str]] = {}
    for code in LANGUAGES:
        language = Language(code)
        texts = [language.say(f"{claim.number}-{name}", **ruling.facts) for name in fixed]
        texts.append(language.say(verdict, **ruling.facts))
        texts += [language.say(f"{claim.number}-effect-{each.name}", **each.factors) for each in ruling.effects]
        texts += [language.say(each.key) for each in claim.published]
        for chart in charts:
            texts += [language.say(f"{chart.name}-{part}") for part in ("title", "caption", "x", "y")]
            names = itertools.chain.from_iterable(
                (each.group, each.panel, *(end for end in (each.x, each.y) if isinstance(end, str)))
                for each in chart.points
            )
            for name in dict.fromkeys(names):
                shared = f"placement-{name}"
                if name:
                    texts.append(language.say(shared if language.has(shared) else f"{claim.number}-group-{name}"))
        said[code] = texts
    return said


def find_keys(claim: Claim, code: str) -> set[str]:
    """Return the keys of a claim's own file of words."""
    file = resources.files("placenorm.report").joinpath("words", code, f"{claim.number}.ftl")
    return set(re.findall(r"^([A-Za-z][\w-]*) =", file.read_text(encoding="utf-8"), re.MULTILINE))
