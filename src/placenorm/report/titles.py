"""Titles that say what a chart shows, and the tags beside a placement."""

from typing import Literal

from placenorm.facts.comparison import Answer, Comparison, Verdict
from placenorm.report.language import Language
from placenorm.report.verdict_wording import join_words
from placenorm.report.wording import find_baseline, format_steps, units_of

Curve = Literal["val_metric", "val_loss"]
Clock = Literal["step", "time_s"]


def tags_of(comparison: Comparison, verdict: Verdict, name: str, language: Language) -> tuple[str, ...]:
    """Return what is to be said about a variant beside its name: ``advised``, ``unbeaten``, ``baseline``, diverged.

    Args:
        comparison: the comparison.
        verdict: its verdict.
        name: the variant.
        language: of the reader.
    """
    row = next(row for row in verdict.summaries if row.variant == name)
    tags = {
        "advised": name == verdict.pick,
        "unbeaten": name in verdict.final.unbeaten and name != verdict.pick,
        "baseline": name == find_baseline(comparison),
    }
    said = [language.say(f"tag-{tag}") for tag, holds in tags.items() if holds]
    if row.diverged:
        said.append(language.say("tag-diverged", diverged=row.diverged, seeds=row.seeds))
    return tuple(said)


def title_curve(comparison: Comparison, curve: Curve, clock: Clock, language: Language) -> str:
    """Return who trains fastest, where the verdict says that somebody does; else what is drawn.

    Args:
        comparison: the comparison, its metric named in the language.
        curve: what is drawn over the clock.
        clock: training steps, or seconds spent in them.
        language: of the reader.
    """
    if curve == "val_loss":
        return language.say("draw-curve-loss")
    verdict = comparison.verdict
    if verdict is not None and verdict.target is not None and len(verdict.speed.unbeaten) == 1:
        row = next(row for row in verdict.summaries if row.variant == verdict.speed.unbeaten[0])
        level = units_of(comparison, language).level(verdict.target)
        if clock == "step" and row.steps_to_target is not None:
            steps = language.figures(format_steps(row.steps_to_target))
            return language.say("draw-curve-fastest", variant=row.variant, level=level, steps=steps)
    return language.say("draw-curve-title", metric=comparison.metric.name, clock=language.say(f"draw-{clock}"))


def caption_curve(what: str, curve: Curve, clock: Clock, language: Language) -> str:
    """Return what one sees in a learning curve.

    Args:
        what: what is drawn, with its unit.
        curve: the same as a field.
        clock: training steps, or seconds spent in them.
        language: of the reader.
    """
    if curve == "val_loss":
        return language.say("draw-curve-caption-loss")
    if clock == "time_s":
        return language.say("draw-curve-caption-seconds")
    return language.say("draw-curve-caption", what=what)


def title_differences(comparison: Comparison, answer: Answer, language: Language) -> str:
    """Return what all pairs of a question say together.

    Args:
        comparison: the comparison.
        answer: the answer to one question, its measure named in the language.
        language: of the reader.
    """
    what = answer.measure if answer.question == "final" else language.say("draw-speed")
    if all(pair.word == "no practical difference" for pair in answer.pairs):
        return language.say("draw-differences-none", what=what)
    if len(answer.unbeaten) == len(comparison.variants):
        return language.say("draw-differences-open", what=what)
    return language.say(
        "draw-differences-unbeaten", what=what, names=join_words(answer.unbeaten, language, "compare-or")
    )
