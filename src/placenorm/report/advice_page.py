"""Advice as one HTML file that loads nothing from anywhere."""

from placenorm.facts.advice import Advice
from placenorm.facts.graph import Graph
from placenorm.report.advice_wording import (
    COST_BASIS,
    COST_HEADS,
    HONEST,
    NONE,
    NOTHING_TO_SETTLE,
    STANCES,
    WHOLE,
    group_blocks,
    list_costs,
    list_findings,
    say_headline,
    say_network,
    say_rules,
    say_which,
    say_work,
)
from placenorm.report.language import Language
from placenorm.report.pages import render_page
from placenorm.report.sheet import read_part
from placenorm.report.strips import OPEN_BLOCKS, draw_moved, draw_strip


def render_advice_page(advice: Advice, graph: Graph) -> str:
    """Return the text of that page: the same as in the terminal, every block, and the network as it is and would be.

    Args:
        advice: the advice.
        graph: the network that it is for.
    """
    moved = {block.key: block.advised for block in advice.blocks if block.advised != block.position}
    strips = [("As it is", draw_strip(graph))]
    if moved:
        strips.append(("As the article would have it", draw_moved(graph, moved)))
    groups = [
        (
            f"{len(group.keys):,}",
            group.position,
            group.advised,
            " ".join(group.rules) or NONE,
            say_work(group),
            say_which(group),
        )
        for group in group_blocks(advice.blocks)
    ]
    blocks = [
        (
            block.key or WHOLE,
            f"{block.channels:,}",
            block.position,
            block.advised,
            " ".join(block.rules) or NONE,
            f"{block.elements[0]:,}",
            f"{block.elements[1]:,}",
            block.reason,
        )
        for block in advice.blocks
    ]
    context = {
        "advice": advice,
        "headline": say_headline(advice),
        "network": say_network(advice),
        "rules": say_rules(advice),
        "groups": groups,
        "blocks": blocks,
        "strips": strips,
        "open": len(graph.blocks) <= OPEN_BLOCKS,
        "costs": list_costs(advice),
        "cost_heads": [head.replace("\n", " ") for head in COST_HEADS],
        "findings": [(head, list_findings(advice, stance)) for stance, head in STANCES.items()],
        "basis": COST_BASIS,
        "honest": HONEST,
        "nothing": NOTHING_TO_SETTLE,
    }
    scripts = (read_part("page.js"),)
    return render_page("advice.html.jinja", Language("en"), context, scripts=scripts, data={"charts": {}})
