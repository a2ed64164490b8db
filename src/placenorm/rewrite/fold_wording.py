"""Where folded norms went, in words: the weight ops before them and behind them, by what the channels hang together."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

from placenorm.graph.channel_rules import GROUND, ChannelRules, Labels, NormUse
from placenorm.rewrite.forms import Forms


class FoldWording:
    """Says of norms where they went.

    Args:
        rules: what the network's calls ask of the forms of its channels.
    """

    def __init__(self, rules: ChannelRules) -> None:
        self._rules = rules

    def tell_where(self, use: NormUse, forms: Forms) -> str:
        """Return what took a norm in.

        Args:
            use: a call of the norm.
            forms: the forms of the channels.
        """
        before, behind = (", ".join(paths) or "the weights" for paths in self._find_beside(use))
        if bool((forms.scale[use.gives] == 1).all() and (forms.shift[use.gives] == 0).all()):
            return f"into {before} before it"
        if bool((forms.scale[use.reads] == 1).all() and (forms.shift[use.reads] == 0).all()):
            return f"into {behind} behind it"
        return f"in part into {before} before it, in part into {behind} behind it"

    def tell_hooks(self, use: NormUse, hooked: Sequence[str]) -> str:
        """Return that hooks on a norm, or on the weights beside it, see other values now; "" if none do.

        Args:
            use: a call of the norm.
            hooked: paths of the modules whose hooks see other values.
        """
        if not hooked:
            return ""
        before, behind = self._find_beside(use)
        seen = ", ".join(path for path in hooked if path in (use.path, *before, *behind))
        return f"; hooks on {seen} see other values now" if seen else ""

    def _find_beside(self, use: NormUse) -> tuple[list[str], list[str]]:
        """Return the paths of the weight ops before a norm, and of those behind it, through sums and other norms."""
        return _walk(use.reads, self._makers, self._sources), _walk(use.gives, self._readers, self._targets)

    @cached_property
    def _makers(self) -> dict[int, list[str]]:
        """The weight ops that give a channel, by its label."""
        return _index((use.path, use.gives) for use in self._rules.weights)

    @cached_property
    def _readers(self) -> dict[int, list[str]]:
        """The weight ops that read a channel, by its label."""
        return _index((use.path, use.reads) for use in self._rules.weights)

    @cached_property
    def _sources(self) -> dict[int, list[int]]:
        """What a sum or a norm makes a channel of, by its label."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for made, read in self._links():
            found[made].append(read)
        return found

    @cached_property
    def _targets(self) -> dict[int, list[int]]:
        """What sums and norms make of a channel, by its label."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for made, read in self._links():
            found[read].append(made)
        return found

    def _links(self) -> Iterable[tuple[int, int]]:
        """Yield (made, read) labels of sums and of norms."""
        for made, first, other, _, _ in self._rules.sums:
            for read in (first, other):
                yield from zip(made.tolist(), read.tolist(), strict=True)
        for norm in self._rules.norms:
            yield from zip(norm.gives.tolist(), norm.reads.tolist(), strict=True)


def _index(uses: Iterable[tuple[str, Labels]]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for path, labels in uses:
        for label in labels.tolist():
            found.setdefault(label, []).append(path)
    return found


def _walk(labels: Labels, known: dict[int, list[str]], links: dict[int, list[int]]) -> list[str]:
    """Return the nearest weight ops that channels are known to have, each once, in the order in which they are met."""
    found: dict[str, None] = {}
    seen: set[int] = {GROUND}
    front = labels.tolist()
    while front:
        seen.update(front)
        found.update(dict.fromkeys(path for label in front for path in known.get(label, ())))
        further = (far for label in front if label not in known for far in links.get(label, ()))
        front = [far for far in dict.fromkeys(further) if far not in seen]
    return list(found)
