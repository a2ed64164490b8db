"""Advice as one HTML file that loads nothing from anywhere, in the reader's language."""

from markupsafe import Markup

from placenorm.facts.advice import Advice, BlockAdvice
from placenorm.facts.graph import Graph
from placenorm.report.advice_wording import (
    NONE,
    STANCES,
    WHOLE,
    Group,
    group_blocks,
    list_cost_heads,
    list_costs,
    list_findings,
    name_keys,
    name_position,
    say_headline,
    say_network,
    say_pools,
    say_rules,
    say_work,
)
from placenorm.report.language import Language
from placenorm.report.pages import PageWriter, as_written, render_page
from placenorm.report.sheet import read_part
from placenorm.report.strips import OPEN_BLOCKS, draw_moved, draw_strip
from placenorm.report.wording import say_count

_GROUP_HEADS = ("blocks", "now", "advised", "by", "work", "which")
_BLOCK_HEADS = ("block", "channels", "now", "advised", "by", "values-now", "values-then", "why")

Cells = tuple[str, ...]


def render_advice_page(advice: Advice, graph: Graph, language: Language) -> str:
    """Return the text of that page: the same as in the terminal, every block, and the network as it is and would be.

    Args:
        advice: the advice.
        graph: the network that it is for.
        language: of the reader; what the rules say themselves is in English.
    """
    say = language.say
    moved = {block.key: block.advised for block in advice.blocks if block.advised != block.position}
    strips = [(say("advice-strip-now"), draw_strip(graph))]
    if moved:
        strips.append((say("advice-strip-then"), draw_moved(graph, moved)))
    context = {
        "advice": advice,
        "headline": say_headline(advice, language),
        "facts": [as_written(advice.model), as_written(advice.inputs), say_network(advice, language)],
        "rules": say_rules(advice, language),
        "group_heads": [say(f"advice-head-{head}") for head in _GROUP_HEADS],
        "groups": [_describe_group(group, language) for group in group_blocks(advice.blocks)],
        "strips": strips,
        "open": len(advice.blocks) <= OPEN_BLOCKS,
        "costs": list_costs(advice, language),
        "cost_heads": [head.replace("\n", " ") for head in list_cost_heads(language)],
        "findings": [(say(f"advice-{stance}"), list_findings(advice, stance)) for stance in STANCES],
        "block_heads": [say(f"advice-head-{head}") for head in _BLOCK_HEADS],
        "blocks": [_describe_block(block, language) for block in advice.blocks],
        "count": say_count("blocks", len(advice.blocks), language),
    }
    scripts = (read_part("page.js"),)
    return render_page("advice.html.jinja", language, context, scripts=scripts, data={"charts": {}})


def _describe_group(group: Group, language: Language) -> Cells:
    """Return a group as cells under `_GROUP_HEADS`."""
    keys, pools = name_keys(group), say_pools(group, language)
    which = as_written(f"{keys}: {group.reason}" if group.reason else keys)
    return (
        language.number(len(group.keys), 0),
        name_position(group.position, language),
        name_position(group.advised, language),
        " ".join(group.rules) or NONE,
        say_work(group, language),
        Markup("{}: {}").format(which, PageWriter(language)(pools)) if pools else which,
    )


def _describe_block(block: BlockAdvice, language: Language) -> Cells:
    """Return a block as cells under `_BLOCK_HEADS`."""
    return (
        as_written(block.key or WHOLE),
        language.number(block.channels, 0),
        name_position(block.position, language),
        name_position(block.advised, language),
        " ".join(block.rules) or NONE,
        *(language.number(elements, 0) for elements in block.elements),
        as_written(block.reason) if block.reason else "",
    )
