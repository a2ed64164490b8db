"""Titles that say what a chart shows, and the tags beside a placement."""

from collections.abc import Sequence
from typing import Literal

from placenorm.facts.comparison import Answer, Comparison, Verdict
from placenorm.report.wording import find_baseline, format_steps, units_of

Curve = Literal["val_metric", "val_loss"]
Clock = Literal["step", "time_s"]


def tags_of(comparison: Comparison, verdict: Verdict, name: str) -> tuple[str, ...]:
    """Return what is to be said about a variant beside its name: ``advised``, ``unbeaten``, ``baseline``, diverged.

    Args:
        comparison: the comparison.
        verdict: its verdict.
        name: the variant.
    """
    row = next(row for row in verdict.summaries if row.variant == name)
    tags = {
        "advised": name == verdict.pick,
        "unbeaten": name in verdict.final.unbeaten and name != verdict.pick,
        "baseline": name == find_baseline(comparison),
        f"{row.diverged} of {row.seeds} diverged": bool(row.diverged),
    }
    return tuple(tag for tag, holds in tags.items() if holds)


def title_curve(comparison: Comparison, curve: Curve, clock: Clock) -> str:
    """Return who trains fastest, where the verdict says that somebody does; else what is drawn.

    Args:
        comparison: the comparison.
        curve: what is drawn over the clock.
        clock: training steps, or seconds spent in them.
    """
    if curve == "val_loss":
        return "The loss that chose the learning rates"
    verdict = comparison.verdict
    if verdict is not None and verdict.target is not None and len(verdict.speed.unbeaten) == 1:
        row = next(row for row in verdict.summaries if row.variant == verdict.speed.unbeaten[0])
        level = units_of(comparison).level(verdict.target)
        if clock == "step" and row.steps_to_target is not None:
            return f"{row.variant} trains fastest: {level} after {format_steps(row.steps_to_target)} steps"
    return f"Validation {comparison.metric.name} over {'training steps' if clock == 'step' else 'seconds of training'}"


def caption_curve(what: str, curve: Curve, clock: Clock) -> str:
    """Return what one sees in a learning curve.

    Args:
        what: what is drawn, with its unit.
        curve: the same as a field.
        clock: training steps, or seconds spent in them.
    """
    if curve == "val_loss":
        return "Mean and range over the seeds. Each seed of a placement uses the rate with the lowest loss at the end."
    if clock == "time_s":
        return "The same, over the seconds spent in training steps."
    return (
        f"Mean {what} over the seeds, each at its own learning rate; the band reaches from the lowest to the highest "
        "seed. A seed that diverged ends its part of the curve there."
    )


def title_differences(comparison: Comparison, answer: Answer) -> str:
    """Return what all pairs of a question say together.

    Args:
        comparison: the comparison.
        answer: the answer to one question.
    """
    what = f"test {comparison.metric.name}" if answer.question == "final" else "speed of training"
    if all(pair.word == "no practical difference" for pair in answer.pairs):
        return f"No practical difference in {what}"
    if len(answer.unbeaten) == len(comparison.variants):
        return f"No placement is shown to be better in {what}"
    return f"Nothing beats {_either(answer.unbeaten)} in {what}"


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
