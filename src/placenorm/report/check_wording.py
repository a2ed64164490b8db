"""What is said about a check, the same in the terminal and on the page."""

from placenorm.facts.check import Check
from placenorm.report.findings import count_findings
from placenorm.report.language import Language
from placenorm.report.wording import say_count


def say_headline(check: Check, language: Language) -> str:
    """Return how the network stands, in one sentence."""
    counts = count_findings(check.findings, language)
    if not counts:
        return language.say("check-headline-clean")
    return language.say("check-headline", counts=language.join(counts))


def say_counts(check: Check, language: Language) -> str:
    """Return how much was found, and how much comments silenced."""
    counts = language.chain(count_findings(check.findings, language)) or language.say("check-nothing")
    if not check.silenced:
        return language.say("check-found", counts=counts)
    return language.say("check-silenced", counts=counts, silenced=check.silenced)


def say_looked(check: Check, language: Language) -> list[str]:
    """Return what was looked at, in a few words each."""
    return [
        say_count("norms", check.norms, language),
        language.say("check-rules", rules=len(check.rules)),
        *([language.say("check-batches", batches=check.batches)] if check.batches else []),
    ]
