"""A training that was watched, in the terminal: a live line, and all of it in the end."""

import time
from types import TracebackType
from typing import Final, Self

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from placenorm.facts.finding import Finding
from placenorm.facts.reading import History, Watched
from placenorm.report.findings import print_findings
from placenorm.report.language import ENGLISH, Language
from placenorm.report.watch_wording import list_tables, say_headline, say_live, say_watched

PAUSE_S: Final = 0.5
"""Seconds between two sayings of the live line."""


def print_watched(watched: Watched, console: Console, language: Language) -> None:
    """Print the findings, then the last reading of each site.

    Args:
        watched: what was seen.
        console: where to print; plain text without markup.
        language: of the sentences; tables stay Latin, as most terminals do not put Persian into its order beside it.
    """
    history = watched.history
    console.print(Text(f"{history.model}: {say_watched(history, ENGLISH)}", style="bold"))
    console.print(Text(f"{say_headline(watched, language)}."))
    print_findings(watched.findings, console, language)
    for _, heads, rows in list_tables(history, ENGLISH):
        _print_table(console, heads, rows)


def _print_table(console: Console, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(*heads, box=box.SIMPLE, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


class LiveLine:
    """One line in the terminal that says how the training stands, while the block runs.

    Args:
        console: where it stands; the standard error by default, so that the output of a program stays its own.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._said = 0.0
        self._live = Live(
            Text("placenorm watches"), console=console or Console(stderr=True), auto_refresh=False, transient=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def is_due(self) -> bool:
        """Whether it is time to say something new: rules take time, and nobody reads a line ten times a second."""
        return time.monotonic() - self._said > PAUSE_S

    def update(self, history: History, findings: tuple[Finding, ...]) -> None:
        """Say it anew."""
        self._said = time.monotonic()
        line = Text(say_live(history, findings), overflow="ellipsis", no_wrap=True)
        self._live.update(line, refresh=True)
