"""What a check found, as one HTML file that loads nothing from anywhere, in the reader's language."""

from typing import Final

from placenorm.facts.check import Check
from placenorm.facts.finding import SEVERITIES, Finding, Severity
from placenorm.facts.graph import Block, Graph
from placenorm.report.findings import SHOWN_SITES
from placenorm.report.language import Language
from placenorm.report.pages import render_page
from placenorm.report.sheet import read_part
from placenorm.report.strips import OPEN_BLOCKS, draw_strip

WHOLE: Final = "(the network)"
"""What a part is called whose path is empty."""


def render_check_page(check: Check, graph: Graph, language: Language) -> str:
    """Return the text of that page: the headline, the network coloured by health, the findings with their fixes.

    Args:
        check: what was found.
        graph: the network that was looked at.
        language: of the reader; what the rules say themselves is in English.
    """
    health = {key: (found, language.say(f"check-{found}")) for key, found in judge_blocks(check, graph).items()}
    context = {
        "check": check,
        "headline": say_headline(check, language),
        "facts": [
            check.model,
            check.inputs,
            language.say("check-norms", norms=check.norms),
            language.say("check-rules", rules=len(check.rules)),
            *([language.say("check-batches", batches=check.batches)] if check.batches else []),
        ],
        "strip": draw_strip(graph, health),
        "open": len(graph.blocks) <= OPEN_BLOCKS,
        "count": language.say("check-blocks", blocks=len(graph.blocks), ill=len(health)),
        "shown_sites": SHOWN_SITES,
        "unseen": [(part.where or WHOLE, part.reason) for part in check.unseen],
        "silenced": language.say("check-silenced", silenced=check.silenced) if check.silenced else "",
    }
    scripts = (read_part("page.js"),)
    return render_page("check.html.jinja", language, context, scripts=scripts, data={"charts": {}})


def say_headline(check: Check, language: Language) -> str:
    """Return how the network stands, in a few words."""
    counts = [
        language.say(f"check-count-{severity}", number=number) for severity, number in check.count().items() if number
    ]
    return language.join(counts) if counts else language.say("check-nothing")


def judge_blocks(check: Check, graph: Graph) -> dict[str, Severity]:
    """Return the worst that was found in each block, by its key; blocks with nothing are left out."""
    found: dict[str, Severity] = {}
    for block in graph.blocks:
        severities = {finding.severity for finding in check.findings if _concerns(finding, block, graph)}
        worst = next((severity for severity in SEVERITIES if severity in severities), None)
        if worst is not None:
            found[block.key] = worst
    return found


def _concerns(finding: Finding, block: Block, graph: Graph) -> bool:
    """Whether a finding names a block, or an op or a module in it."""
    ops = [graph.ops[index] for index in (block.weight, *block.chain)]
    names = {block.key, *(op.key for op in ops), *(op.module for op in ops if op.module is not None)}
    return not names.isdisjoint(finding.sites)
