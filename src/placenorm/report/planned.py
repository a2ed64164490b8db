"""A comparison that was planned and not run, in the terminal or in a pipe: what would be trained."""

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from placenorm.facts.comparison import Comparison
from placenorm.report.language import Language
from placenorm.report.wording import describe_run

COLUMNS = ("placement", "norms", "bytes of a step", "blocks changed")

JUDGED = 3
"""Placements that are judged after a search, at most: the baseline, the best named one, and what was found."""


def print_planned(comparison: Comparison, console: Console, language: Language, budget: str | None = None) -> None:
    """Print the placements that would be compared, what stays as it is, and how many trials that takes.

    Args:
        comparison: the comparison, without trials; with the space of its search, where there is one.
        console: where to print; the table is Latin, as all tables in a terminal are.
        language: of the sentences.
        budget: what it may spend, as it was given; None for no limit.
    """
    console.print(Text(describe_run(comparison), style="bold"))
    console.print()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == COLUMNS[0] else "right", overflow="fold")
    for variant in comparison.variants:
        label = variant.label + (" (baseline)" if variant.baseline else "")
        share = f"{variant.cost.norm_share_pct:.1f} %"
        table.add_row(*map(Text, (label, str(len(variant.cost.norms)), share, str(len(variant.changes)))))
    console.print(table)
    console.print()
    for line in say_planned(comparison, language, budget):
        console.print(Padding(Text(line), (0, 0, 0, 2)))


def say_planned(comparison: Comparison, language: Language, budget: str | None = None) -> tuple[str, ...]:
    """Return what stays as it is and how many trials the plan has, in sentences.

    Args:
        comparison: as in `print_planned`.
        language: of the reader.
        budget: as in `print_planned`.
    """
    settings, say = comparison.settings, language.say
    skipped = [
        say("note-skipped", label=variant.label, site=skip.site, reason=skip.reason)
        for variant in comparison.variants
        for skip in variant.skipped
    ]
    arms, rates, seeds = len(comparison.variants), len(settings.learning_rates), settings.seeds
    fixed = "-fixed" if rates == 1 else ""  # a rate that is alone stays alone
    found = []
    if comparison.space is not None:
        sizes = {"choices": len(comparison.space.choices), "size": comparison.space.size}
        found.append(say("planned-search", trials=settings.search_trials, **sizes))
        arms, key = min(arms, JUDGED), "planned-judged"
    else:
        key = "planned-early" if settings.stop == "early" else "planned-grid"
    found.append(say(f"{key}{fixed}", arms=arms, trials=arms * rates * seeds, rates=rates, seeds=seeds))
    if budget is not None:
        found.append(say("planned-budget" if comparison.space is None else "planned-budget-search", budget=budget))
    return (*skipped, *found)
