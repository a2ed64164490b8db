"""What a search found, in words and as a table, the same in the terminal and on the page."""

from placenorm.facts.comparison import Comparison
from placenorm.facts.search import SEARCHED, BlockEffect, BlockWord, Search
from placenorm.report.language import Language
from placenorm.report.verdict_wording import join_words
from placenorm.report.wording import ABSENT, Units, units_of

COLUMNS = ("block", "position", "effect", "interval", "word")
"""Columns of the table of blocks."""

_KEYS: dict[BlockWord, str] = {
    "matters": "search-word-matters",
    "does not matter": "search-word-not",
    "not known": "search-word-unknown",
}


def say_search(comparison: Comparison, language: Language) -> tuple[str, ...]:
    """Return what the search before a comparison found, in sentences; none where there was none.

    Args:
        comparison: the comparison.
        language: of the reader.
    """
    search = comparison.search
    if search is None:
        return ()
    units, say = units_of(comparison, language), language.say
    counts = {"tried": search.tried, "size": search.size, "seeds": search.seeds, "trials": search.trials}
    ended = {"ended": say(f"search-ended-{search.ending}")}
    metric, reached = comparison.metric.name, units.level(search.metric)
    if search.found == SEARCHED:
        beside = units.level(search.policy_metric)
        found = say(
            "search-found", metric=metric, reached=reached, policy=search.policy, beside=beside, **ended, **counts
        )
    else:
        found = say("search-named", metric=metric, reached=reached, name=search.found, **ended, **counts)
    failed = (_say_failed(search, language),) if search.failed else ()
    return found, *failed, _say_blocks(search, language)


def say_intro(search: Search, language: Language) -> str:
    """Return what the table of blocks shows."""
    confidence = language.figures(f"{100 * search.confidence:g}")
    return language.say("search-intro", confidence=confidence, seeds=search.seeds)


def _say_failed(search: Search, language: Language) -> str:
    names = [*search.failed_of, *([] if search.failed_of else [language.say("search-failed-others")])]
    return language.say("search-failed", failed=search.failed, names=join_words(names, language), reason=search.failure)


def _say_blocks(search: Search, language: Language) -> str:
    named = {word: [_name(block) for block in search.blocks if block.word == word] for word in _KEYS}
    counts = {
        "choices": len(search.blocks),
        "drawn": search.drawn,
        "idle": len(named["does not matter"]),
        "open": len(named["not known"]),
    }
    if not named["matters"]:
        return language.say("search-blocks-none", **counts)
    names = join_words(named["matters"], language)
    return language.say("search-blocks", matters=len(named["matters"]), names=names, **counts)


def list_blocks(comparison: Comparison, language: Language) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the heads and the rows of the table of blocks: where each stands in what was found, and what it matters.

    Args:
        comparison: a comparison with a search.
        language: of the reader.
    """
    assert comparison.search is not None
    units = units_of(comparison, language)
    heads = tuple(language.say(f"search-head-{name}") for name in COLUMNS)
    return heads, [_row(block, units, language) for block in comparison.search.blocks]


def _row(block: BlockEffect, units: Units, language: Language) -> tuple[str, ...]:
    widest = block.effects[0]
    known = widest.low is not None
    pair = language.say("search-effect", first=widest.first, second=widest.second, gap=units.gap(widest.difference))
    return (
        _name(block),
        block.position,
        pair if known else ABSENT,
        units.gap_interval(widest.low, widest.high) if known else ABSENT,
        language.say(_KEYS[block.word]),
    )


def _name(block: BlockEffect) -> str:
    return " + ".join(block.blocks)
