"""The verb `check`: what is wrong with the norms of a network, where, and how to mend it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn
from torch.optim import Optimizer

from placenorm.facts.check import Check
from placenorm.facts.codec import dumps
from placenorm.facts.finding import Finding
from placenorm.facts.graph import Graph, Unseen
from placenorm.facts.placement import Position, write_placement
from placenorm.graph.comments import IgnoreComments
from placenorm.graph.tracing import ExampleInputs, describe_inputs, trace_lightly
from placenorm.probe.states import find_idle_dropouts, read_state
from placenorm.report.check_page import render_check_page
from placenorm.report.checking import print_check
from placenorm.report.forms import print_to_html, print_to_text, write_form
from placenorm.report.language import ENGLISH, Language
from placenorm.rules.advising import drop_idle_dropouts
from placenorm.rules.checking import choose_rules
from placenorm.rules.layout import Layout
from placenorm.rules.rule import ask_rules

TABLE_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found; a sequence of findings, the worst first.

    Attributes:
        check: all of it, as facts.
        graph: the network that was looked at.
        command: what repeats the check.
    """

    check: Check
    graph: Graph
    command: str

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found, the worst first."""
        return self.check.findings

    @property
    def placement(self) -> dict[str, Position]:
        """The safe fixes as positions by block key: for `pn.place` with ``preserve=``."""
        return self.check.placement()

    def __iter__(self) -> Iterator[Finding]:
        """Go through the findings."""
        return iter(self.check.findings)

    def __len__(self) -> int:
        """Return how many findings there are."""
        return len(self.check.findings)

    def __getitem__(self, index: int) -> Finding:
        """Return one finding."""
        return self.check.findings[index]

    def __str__(self) -> str:
        """Return what `table` returns."""
        return self.table()

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return print_to_html(lambda console: print_check(self.check, console, ENGLISH), TABLE_WIDTH)

    def table(self, lang: str = "en") -> str:
        """Return the findings as text, for 120 columns.

        Args:
            lang: language of its sentences, ``en`` or ``fa`` (Persian).
        """
        language = Language(lang)
        return print_to_text(lambda console: print_check(self.check, console, language), TABLE_WIDTH)

    def report(self, path: Path | str, *, lang: str = "en") -> Path:
        """Write the findings and return the path of the file.

        Args:
            path: a file that ends in .html (a page, the network coloured by health), .json (all facts) or .txt (the
                table).
            lang: language of the reader, ``en`` or ``fa`` (Persian).

        Raises:
            UsageError: if the file has another ending, or there is no such language.
            StoreError: if it cannot be written.
        """
        language = Language(lang)
        forms = {
            ".html": lambda: render_check_page(self.check, self.graph, self.command, language),
            ".json": lambda: dumps(self.check) + "\n",
            ".txt": lambda: self.table(lang),
        }
        return write_form(path, "findings", forms)

    def write_fixes(self, path: Path | str) -> Path | None:
        """Write the safe fixes as a placement file for `pn.place`, and return its path; None where there are none.

        Raises:
            StoreError: if it cannot be written.
        """
        if not self.placement:
            return None
        write_placement(self.placement, path)
        return Path(path)


def check(
    model: nn.Module,
    example_inputs: ExampleInputs,
    data: object = None,
    optimizer: Optimizer | None = None,
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    name: str | None = None,
    command: str | None = None,
) -> Checked:
    """Return what is wrong with the norms of a model, with codes, numbers and fixes.

    `check` says what is wrong; where a norm should go by the article's rules, `advise` says. The rules are in
    ``docs/rules``; a line of the model's source with ``# placenorm: ignore[BN101]`` silences one there. The model stays
    as it is, and so do the random states.

    Args:
        model: any model that runs on the example; one in DataParallel or DistributedDataParallel is looked at inside.
        example_inputs: a tensor, a tuple of arguments or a dict of keyword arguments.
        data: a tensor, or an iterable of batches, the input first in each: what the norms read is compared with their
            running statistics. Some hundreds of samples are enough.
        optimizer: what trains the model, for weight decay and for norms that it forgets.
        select: codes (``BN102``), families (``BN1``) or names (``norm-twice``) of the rules to ask; empty for all.
        ignore: the same, of the rules not to ask.
        name: what to call the model; its class where there is none.
        command: what repeats the check, for its page; the call where it is None.

    Returns:
        The findings, the worst first, with ``.table()``, ``.report(path)`` and ``.placement``, the safe fixes.

    Raises:
        ModelError: if the model cannot be looked into or does not run on the inputs.
        DataError: if the data have no batch that the model takes.
        UsageError: if a code is unknown, or the optimizer is none.

    Example:
        >>> import torch, placenorm as pn
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.BatchNorm1d(8))
        >>> for finding in pn.check(net, torch.zeros(2, 4), select=["BN104"]):
        ...     print(finding.code, finding.sites, finding.text)
        BN104 ('2',) 2 normalises what 1 has just normalised, and undoes its gamma and beta.
    """
    rules = choose_rules(select, ignore)
    inner, wrapped = _unwrap(model)
    graph = drop_idle_dropouts(trace_lightly(inner, example_inputs), find_idle_dropouts(inner))
    state = replace(read_state(inner, optimizer, data), wrapped=wrapped)
    found = ask_rules(rules, Layout(graph, graph.placement(), state))
    comments = IgnoreComments(inner)
    kept = tuple(finding for each in found if (finding := _without_silenced(each, comments)) is not None)
    return Checked(
        Check(
            model=name or type(inner).__name__,
            inputs=describe_inputs(example_inputs),
            norms=len({norm.module or norm.key for norm in graph.norms}),
            rules=tuple(rule.code for rule in rules),
            findings=kept,
            silenced=len(found) - len(kept),
            unseen=(*graph.unseen, *_name_functions(graph)),
            batches=state.batches,
        ),
        graph,
        command or "pn.check(model, example_inputs)",
    )


def _name_functions(graph: Graph) -> list[Unseen]:
    """Name the norms that are called as functions: what they hold cannot be told from what else is there."""
    reason = "a norm called as a function: its place is looked at, and not its statistics, parameters and data"
    return [Unseen(norm.key, reason) for norm in graph.norms if norm.module is None]


def _unwrap(model: nn.Module) -> tuple[nn.Module, str]:
    """Return a model without its wrapper for several devices, and the wrapper's name; "" where there is none."""
    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        inner: nn.Module = model.module
        return inner, type(model).__name__
    return model, ""


def _without_silenced(finding: Finding, comments: IgnoreComments) -> Finding | None:
    """Return a finding without the sites at which a comment silences it; None if none is left."""
    if not finding.sites:
        return None if comments.silences("", finding.code, finding.rule) else finding
    sites = tuple(site for site in finding.sites if not comments.silences(site, finding.code, finding.rule))
    return replace(finding, sites=sites) if sites else None
