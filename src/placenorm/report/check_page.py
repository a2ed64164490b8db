"""What a check found, as one HTML file that loads nothing from anywhere, in the reader's language."""

import json

from placenorm.facts.check import Check
from placenorm.facts.finding import SEVERITIES, Finding, Severity
from placenorm.facts.graph import Block, Graph
from placenorm.report.check_wording import say_headline, say_looked
from placenorm.report.findings import SHOWN_SITES
from placenorm.report.language import Language
from placenorm.report.pages import as_written, render_page
from placenorm.report.sheet import read_part
from placenorm.report.strips import OPEN_BLOCKS, draw_moved, draw_strip
from placenorm.report.wording import say_count


def render_check_page(check: Check, graph: Graph, command: str, language: Language) -> str:
    """Return the text of that page: the headline, the network coloured by health, the findings with their fixes.

    Args:
        check: what was found.
        graph: the network that was looked at.
        command: what repeats the check.
        language: of the reader; what the rules say themselves is in English.
    """
    say = language.say
    health = {key: (found, say(f"check-block-{found}")) for key, found in judge_blocks(check, graph).items()}
    blocks = say_count("blocks", len(graph.blocks), language)
    mended = check.placement()
    strips = [(say("check-strip-now"), say("check-blocks", blocks=blocks, ill=len(health)), draw_strip(graph, health))]
    if mended:
        strips.append((say("check-strip-mended"), blocks, draw_moved(graph, mended)))
    context = {
        "check": check,
        "headline": say_headline(check, language),
        "facts": [as_written(check.model), as_written(check.inputs), *say_looked(check, language)],
        "strips": strips,
        "open": len(graph.blocks) <= OPEN_BLOCKS,
        "shown_sites": SHOWN_SITES,
        "mend": f"model = pn.place(model, example_inputs, {json.dumps(mended)}, preserve=batches).model",
        "mended": bool(mended),
        "silenced": say("check-silenced-lead", silenced=check.silenced) if check.silenced else "",
        "command": command,
    }
    scripts = (read_part("page.js"),)
    return render_page("check.html.jinja", language, context, scripts=scripts, data={"charts": {}})


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
