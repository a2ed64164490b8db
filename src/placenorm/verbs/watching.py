"""The verb `watch`: what happens inside a network while somebody trains it."""

import warnings
from pathlib import Path
from types import TracebackType
from typing import Self

from torch import nn

from placenorm.errors import NoEffectWarning
from placenorm.facts.codec import dumps
from placenorm.facts.finding import Finding
from placenorm.facts.reading import History, Level, Look, Reading, Watched
from placenorm.probe.watching import WINDOW, Watcher
from placenorm.report.forms import print_to_html, print_to_text, write_form
from placenorm.report.language import ENGLISH, Language
from placenorm.report.looks_log import LooksLog
from placenorm.report.watch_page import render_watch_page
from placenorm.report.watching import LiveLine, print_watched
from placenorm.rules.rule import ask_rules
from placenorm.rules.training import TRAINING_RULES

TABLE_WIDTH = 160


class Probe:
    """A watch over a network; `watch` makes it. It watches while its block runs, and can be asked during and after.

    Args:
        model: the network.
        every: forwards from one look to the next.
        level: how much is read.
        window: looks that dead units and gaps rest on.
        live: whether a line in the terminal says how the training stands.
        log: a file for looks as JSON Lines; None without.
    """

    def __init__(
        self, model: nn.Module, *, every: int, level: Level, window: int, live: bool, log: Path | str | None
    ) -> None:
        self._watcher = Watcher(model, every=every, level=level, window=window, on_look=self._hear)
        self._line = LiveLine() if live else None
        self._log_path = None if log is None else Path(log)
        self._log: LooksLog | None = None
        self._name = type(model).__name__

    def __enter__(self) -> Self:
        self._watcher.__enter__()
        try:
            if self._log_path is not None:
                self._log = LooksLog(self._log_path)
            if self._line is not None:
                self._line.__enter__()
        except BaseException:
            self._watcher.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._watcher.__exit__(kind, error, trace)
        finally:
            if self._line is not None:
                self._say()
                self._line.__exit__(kind, error, trace)
            if self._log is not None:
                self._log.close()
        if error is None and not self._watcher.forwards:
            warnings.warn(
                f"No forward pass of {self._name} was seen while it was watched: watch the very module that the loop "
                "calls, before torch.compile.",
                NoEffectWarning,
                stacklevel=2,
            )

    def __str__(self) -> str:
        """Return what `table` returns."""
        return self.table()

    @property
    def history(self) -> History:
        """Everything that was seen so far, as facts."""
        return self._watcher.history()

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What was read at each site and look so far, in order; thinned where there is too much."""
        return tuple(reading for look in self.history.looks for reading in look.readings)

    def findings(self) -> tuple[Finding, ...]:
        """Return what the rules BN401 and on find in what was seen so far, the worst first."""
        return ask_rules(TRAINING_RULES, self.history)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return print_to_html(lambda console: print_watched(self._watched(), console, ENGLISH), TABLE_WIDTH)

    def table(self, lang: str = "en") -> str:
        """Return the findings and the last readings as text.

        Args:
            lang: language of its sentences, ``en`` or ``fa`` (Persian).
        """
        language = Language(lang)
        return print_to_text(lambda console: print_watched(self._watched(), console, language), TABLE_WIDTH)

    def report(self, path: Path | str, *, lang: str = "en") -> Path:
        """Write what was seen so far and return the path of the file.

        Args:
            path: a file that ends in .html (a page), .json (all facts) or .txt (the tables).
            lang: language of the reader, ``en`` or ``fa`` (Persian).

        Raises:
            UsageError: if the file has another ending, or there is no such language.
            StoreError: if it cannot be written.
        """
        language = Language(lang)
        forms = {
            ".html": lambda: render_watch_page(self._watched(), language),
            ".json": lambda: dumps(self._watched()) + "\n",
            ".txt": lambda: self.table(lang),
        }
        return write_form(path, "report", forms)

    def _watched(self) -> Watched:
        history = self.history
        return Watched(history, ask_rules(TRAINING_RULES, history))

    def _hear(self, look: Look) -> None:
        if self._log is not None:
            self._log.add(look)
        if self._line is not None and self._line.is_due():
            self._say()

    def _say(self) -> None:
        assert self._line is not None
        history = self._watcher.history()
        self._line.update(history, ask_rules(TRAINING_RULES, history))


def watch(
    model: nn.Module,
    every: int = 10,
    level: Level = "standard",
    *,
    window: int = WINDOW,
    live: bool = False,
    log: Path | str | None = None,
) -> Probe:
    """Return a watch over a network: a context manager to put around a training loop, whoever wrote it.

    It reads at the true input and output of each call of a norm, an activation or a pool, functional ones too, and
    keeps calls apart: the second call of a module in one forward pass is another site. The training stays what it is,
    to the last bit. On the forwards between two looks nearly nothing runs.

    Args:
        model: the network that the loop calls; of one in DistributedDataParallel, what is in it is watched.
        every: forwards from one look to the next, in training and in evaluation each. The gradient of a few parameters
            is read at every step.
        level: ``light`` reads norms against their running statistics, the gradient, and whether values are numbers;
            ``standard`` activity, dead and saturated units, and drift as well; ``full`` the shape of distributions too.
        window: looks that dead units and gaps rest on.
        live: whether a line in the terminal (the standard error) says how the training stands.
        log: a file for looks as JSON Lines, written as they come; None without.

    Returns:
        The watch, with ``.readings``, ``.findings()``, ``.table()`` and ``.report(path)``, during the loop and after.

    Raises:
        ModelError: if the network is compiled, scripted, quantised, or copied to several devices.
        UsageError: if an option cannot be used.

    Example:
        >>> import torch, placenorm as pn
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> with pn.watch(net, every=1) as probe:
        ...     for _ in range(3):
        ...         net(torch.ones(16, 4)).sum().backward()
        >>> [reading.site for reading in probe.readings][:3]
        ['input:input', '1', 'output']
    """
    return Probe(model, every=every, level=level, window=window, live=live, log=log)
