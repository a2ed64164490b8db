"""What all commands share: errors in words, the progress of trials, and the command as it was typed."""

import gc
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from placenorm.errors import ComparisonInterrupted, PlacenormError, hide_passwords

BAD_USAGE = 2
LINES = 20
"""So many lines of progress are written where there is no terminal."""

PAUSE_S = 600.0
"""And one more with the first trial that is finished so long after the last line."""

INTERRUPTED = 130
"""What shells expect of a program that Ctrl-C ended."""


@contextmanager
def warnings_in_words() -> Iterator[None]:
    """Print the warnings of placenorm as sentences, without the line of code that they come from."""
    from placenorm.errors import PlacenormWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PlacenormWarning)
        yield
    for warning in caught:
        typer.echo(f"placenorm: {warning.message}", err=True)


@contextmanager
def errors_in_words(stopped: str) -> Iterator[None]:
    """End with one sentence where the user can mend what is wrong, or with `stopped` on Ctrl-C."""
    try:
        yield
    except ComparisonInterrupted as stop:
        typer.echo(f"\n{stop}", err=True)
        raise typer.Exit(INTERRUPTED) from stop
    except PlacenormError as error:
        typer.echo(f"placenorm: {error}", err=True)
        raise typer.Exit(BAD_USAGE) from error
    except KeyboardInterrupt as stop:
        typer.echo(f"\n{stopped}", err=True)
        raise typer.Exit(INTERRUPTED) from stop


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Let Python not look for garbage in the body: facts have no cycles, and 10,000 trials take a second to look at."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Meter:
    """Shows how many trials are finished and how long the rest will take, in a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("building the networks", total=None)

    def __call__(self, finished: int, total: int) -> None:
        self._progress.update(self._task, description="training", completed=finished, total=total)


class _Lines:
    """Writes the same as a line now and then, for a file or a pipe."""

    def __init__(self, note: str) -> None:
        self._note = note
        self._first: int | None = None
        self._last = self._written = 0

    def __call__(self, finished: int, total: int) -> None:
        now = time.monotonic()
        if self._first is None or finished < self._last:  # behind a search its verdict begins at 0 again
            self._first = self._last = self._written = finished
            self._started = self._told = now
            if finished < total:
                typer.echo(f"{finished} of {total} trials{self._note} are finished; the next ones begin", err=True)
            return
        self._last = finished
        if finished == self._written:
            return
        if finished - self._written < total / LINES and finished < total and now - self._told < PAUSE_S:
            return
        self._written, self._told = finished, now
        gone = now - self._started
        left = gone / (finished - self._first) * (total - finished)
        typer.echo(f"{finished} of {total} trials, {gone:.0f} s gone, about {left:.0f} s left", err=True)


@contextmanager
def show_progress(*, quiet: bool, note: str = "") -> Iterator[Callable[[int, int], None]]:
    """Give what is told after every trial how many are finished, and of how many.

    Args:
        quiet: whether nothing is shown.
        note: what is to be known about their number.
    """
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield (lambda finished, total: None) if quiet else _Lines(note)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"trials{note},"),
        TimeElapsedColumn(),
        TextColumn("gone,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Meter(progress)


def command_line() -> str:
    """Return the command as it was typed, fit to be pasted; but for passwords, as it goes into reports."""
    return hide_passwords(shlex.join(["placenorm", *sys.argv[1:]]))


def say_aside(sentence: str) -> None:
    """Print a sentence above the progress of trials."""
    typer.echo(f"placenorm: {sentence}", err=True)
