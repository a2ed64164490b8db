"""What becomes of the cost of norms when they move, in words."""

from placenorm.facts.cost import CostChange
from placenorm.report.language import Language

LEAST_FACTOR = 1.1
"""From here on a change is told as a factor, below it in percent: "1.0x less" would say nothing."""


def say_change(change: CostChange, language: Language) -> str:
    """Return the change of work and parameters: ``4.0x less work for the norm, same parameters``."""
    return language.chain([_say_work(*change.elements, language), _say_parameters(*change.parameters, language)])


def say_factor(before: int, after: int, language: Language) -> str:
    """Return by how much work becomes less or more: ``4.0x less``, ``5.4 % less``.

    Args:
        before: values normalised per step now, not 0.
        after: values normalised per step then, another number, and not 0.
        language: of the reader.
    """
    word, factor = ("less", before / after) if after < before else ("more", after / before)
    if factor >= LEAST_FACTOR:
        return language.say(f"cost-times-{word}", factor=language.figures(f"{factor:.1f}"))
    share = language.figures(f"{100 * abs(after - before) / before:.2g}")
    return language.say(f"cost-percent-{word}", share=share)


def _say_work(before: int, after: int, language: Language) -> str:
    if before == after:
        return language.say("cost-work-same" if after else "cost-work-none")
    if not before:
        return language.say("cost-work-new", values=after)
    if not after:
        return language.say("cost-work-gone", values=before)
    return language.say("cost-work", change=say_factor(before, after, language))


def _say_parameters(before: int, after: int, language: Language) -> str:
    if before == after:
        return language.say("cost-parameters-same")
    word = "more" if after > before else "less"
    return language.say(f"cost-parameters-{word}", parameters=abs(after - before))
