"""The verb `advise`: what the article's rules say about a network, at once and without data."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from placenorm.facts.advice import Advice
from placenorm.facts.codec import dumps
from placenorm.facts.graph import Graph
from placenorm.graph.tracing import ExampleInputs, describe_inputs, trace_lightly
from placenorm.probe.states import find_idle_dropouts
from placenorm.report.advice import print_advice
from placenorm.report.advice_page import render_advice_page
from placenorm.report.forms import print_to_html, print_to_text, write_form
from placenorm.report.language import ENGLISH, Language
from placenorm.rules.advising import drop_idle_dropouts, make_advice

TABLE_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Advised:
    """Advice for a network, ready to be read.

    Attributes:
        advice: all of it, as facts.
        graph: the network that it is for.
    """

    advice: Advice
    graph: Graph

    def __str__(self) -> str:
        """Return what `table` returns."""
        return self.table()

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return print_to_html(lambda console: print_advice(self.advice, console, ENGLISH), TABLE_WIDTH)

    def table(self, lang: str = "en") -> str:
        """Return the advice as text, for 120 columns.

        Args:
            lang: language of its sentences, ``en`` or ``fa`` (Persian).
        """
        language = Language(lang)
        return print_to_text(lambda console: print_advice(self.advice, console, language), TABLE_WIDTH)

    def report(self, path: Path | str, *, lang: str = "en") -> Path:
        """Write the advice and return the path of the file.

        Args:
            path: a file that ends in .html (a page), .json (all facts) or .txt (the table).
            lang: language of the reader, ``en`` or ``fa`` (Persian).

        Raises:
            UsageError: if the file has another ending, or there is no such language.
            StoreError: if it cannot be written.
        """
        language = Language(lang)
        forms = {
            ".html": lambda: render_advice_page(self.advice, self.graph, language),
            ".json": lambda: dumps(self.advice) + "\n",
            ".txt": lambda: self.table(lang),
        }
        return write_form(path, "advice", forms)


def advise(
    model: nn.Module,
    example_inputs: ExampleInputs,
    *,
    name: str | None = None,
    weights: Path | str | None = None,
    command: str | None = None,
) -> Advised:
    """Return where the article's rules would have the norms of a model, at what price, and what speaks against it.

    The rules are A8 (a norm from 6 weight ops on the longest path), A9 (after the activation) and A10 (after the pool).
    They are rules and no measurements: the advice ends with the command that would settle it. The model stays as it
    is: what runs is a copy without values, which takes no time, or where its forward needs values the model itself, in
    evaluation mode.

    Args:
        model: any model that runs on the example.
        example_inputs: a tensor, a tuple of arguments or a dict of keyword arguments.
        name: the model's name on the command line (``torchvision:vgg11``); its class where there is none.
        weights: the file that its weights are from, for the command; None without.
        command: the command that would settle it; made from the name where it is None.

    Returns:
        The advice as facts, with ``.table()`` and ``.report(path)``.

    Raises:
        ModelError: if the model cannot be looked into or does not run on the inputs.

    Example:
        >>> import torch, placenorm as pn
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> advice = pn.advise(net, torch.zeros(2, 4)).advice
        >>> advice.depth, advice.shallow, [finding.rule for finding in advice.findings]
        (2, True, ['shallow-network'])
    """
    graph = drop_idle_dropouts(trace_lightly(model, example_inputs), find_idle_dropouts(model))
    return Advised(
        make_advice(
            graph,
            name or type(model).__name__,
            describe_inputs(example_inputs),
            command,
            named=name,
            weights=None if weights is None else str(weights),
        ),
        graph,
    )
