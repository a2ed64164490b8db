"""Proof of what came out: norms stand where they should, and every other call reads what it read before."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from placenorm.errors import ModelError
from placenorm.facts.edits import Edit
from placenorm.facts.graph import Graph, Op
from placenorm.graph.placements import place_of

_ASIDE = frozenset({"norm", "identity", "constant"})
"""Kinds of ops that come and go with norms; others go on reading what these read."""


@dataclass(slots=True)
class _Call:
    """An op as far as it must stay: what runs, and which of the calls before it it reads."""

    what: str
    reads: tuple[int, ...]


def prove_outcome(
    before: Graph, after: Graph, edits: Iterable[Edit], foreign: Mapping[str, str], aside: Collection[str] = ()
) -> None:
    """Raise an error unless every edited block has its norm where the edit says, and nothing else has changed.

    Args:
        before: the network as it was.
        after: the network as it is.
        edits: what was to be changed.
        foreign: paths of the norms of other kinds, by block: that they run is what can be seen of them.
        aside: paths of such norms, and of modules that hold a norm for features that are last.

    Raises:
        ModelError: naming the block, or the call.
    """
    edits = list(edits)
    stands = Standing(after, foreign)
    for edit in edits:
        for key in (edit.block, *edit.also):
            fault = stands.find_misplaced(edit, key)
            if fault:
                raise ModelError(
                    f"Cannot place the norm of {key} at {edit.after}: after the change {fault}, so the change is not "
                    "what it should be; place the other blocks with a mapping, and please report this network."
                )
    _prove_rest(find_other_change(before, after, edits, aside, foreign), "")


def prove_training(
    evaluated: Graph,
    before: Graph,
    after: Graph,
    edits: Iterable[Edit],
    foreign: Mapping[str, str],
    aside: Collection[str] = (),
) -> None:
    """Do as `prove_outcome` for the calls in training mode, which may be others than in evaluation.

    A block that has not the place in training that its norm was to have is passed over.

    Args:
        evaluated: the network as it was in evaluation, which the edits speak of.
        before: the network as it was in training.
        after: the network as it is in training.
        edits: what was to be changed.
        foreign: paths of the norms of other kinds, by block.
        aside: paths of such norms, and of modules that hold a norm for features that are last.

    Raises:
        ModelError: naming the block, or the call.
    """
    edits = list(edits)
    blocks = {block.key: block for block in (*before.blocks, *before.joins)}
    stands = Standing(after, foreign)
    for edit in edits:
        for key in (edit.block, *edit.also):
            block = blocks.get(key)
            sites = {"none"} if block is None else {"none", *(site.position for site in block.sites)}
            if block is None or block.position != edit.before or edit.after not in sites:
                continue
            fault = stands.find_misplaced(edit, key)
            if fault:
                raise ModelError(
                    f"Cannot place the norm of {key} at {edit.after}: in training {fault}, where in evaluation it "
                    "stands right; its forward makes other calls in the two modes, so place the other blocks with a "
                    "mapping."
                )
    places = {op.key: index for index, op in enumerate(before.ops)}
    swaps = [
        replace(
            edit, swaps=places.get(evaluated.ops[edit.swaps].key), anchor=places.get(evaluated.ops[edit.anchor].key)
        )
        for edit in edits
        if edit.swaps is not None and edit.anchor is not None
    ]
    _prove_rest(find_other_change(before, after, swaps, aside, counts=False), " in training")


def _prove_rest(change: str, mode: str) -> None:
    if change:
        raise ModelError(
            f"Cannot place these norms: after the change {change}{mode}, so something else than norms has changed; "
            "place fewer blocks with filter, and please report this network."
        )


class Standing:
    """Where the norms of a network stand after a change.

    Args:
        placed: the network as it is.
        foreign: paths of the norms of other kinds, by block.
    """

    def __init__(self, placed: Graph, foreign: Mapping[str, str]) -> None:
        self._blocks = {block.key: block for block in (*placed.blocks, *placed.joins)}
        self._ran = {op.module for op in placed.ops} | {op.owner for op in placed.ops}
        self._foreign = foreign

    def find_misplaced(self, edit: Edit, key: str) -> str:
        """Return where the norm of an edited block stands, if that is not where the edit says; "" if it is."""
        if edit.block in self._foreign:
            return "" if self._foreign[edit.block] in self._ran else "it does not run"
        block = self._blocks.get(key)
        position, norms = ("none", 0) if block is None else (block.position, len(block.norms))
        if norms > 1:
            return f"{norms} norms run there"
        return "" if position == edit.after else f"it stands at {position}"


def find_other_change(
    before: Graph,
    after: Graph,
    edits: Iterable[Edit],
    aside: Collection[str] = (),
    foreign: Mapping[str, str] | None = None,
    *,
    counts: bool = True,
) -> str:
    """Return what else has changed in a network whose norms were moved; "" if nothing has.

    Both graphs are compared call by call, in the order in which they ran: what runs, in which module, and what it
    reads, with the norms taken out of both.

    Args:
        before: the network as it was.
        after: the network as it is.
        edits: what was to be changed; an activation and a pool that change places are expected there.
        aside: paths of norms that are no batch norms, and of modules that hold one: what is in them does not count.
        foreign: paths of the norms of other kinds, by block.
        counts: whether as many norms have to run as the edits leave.
    """
    edits = list(edits)
    old, new = _reduce(before, aside), _reduce(after, aside)
    for edit in edits:
        if edit.swaps is not None and edit.anchor is not None:
            _swap(before, old, edit.swaps, edit.anchor)
    for was, now in zip(_number(old), _number(new), strict=False):
        if was != now:
            return (
                f"where {was.what} ran, {now.what} runs" if was.what != now.what else f"{now.what} reads other values"
            )
    if len(old) != len(new):
        return f"{len(new)} calls run where {len(old)} did"
    return _find_other_count(before, after, edits, foreign or {}) if counts else ""


def _reduce(graph: Graph, aside: Collection[str]) -> dict[int, _Call]:
    """Return the calls that must stay by their index, each with the indices of the calls it reads."""
    through: dict[int, tuple[int, ...]] = {}
    kept: dict[int, _Call] = {}
    for index, op in enumerate(graph.ops):
        reads = tuple(source for each in op.inputs for source in through[each])
        if op.kind == "constant":
            through[index] = ()
        elif op.kind in _ASIDE or _stands_in(op, aside):
            through[index] = reads[:1]
        else:
            through[index] = (index,)
            kept[index] = _Call(f"{op.name} {op.module or ''}".strip(), reads)
    return kept


def _stands_in(op: Op, paths: Collection[str]) -> bool:
    return any(
        own is not None and (own == path or own.startswith(f"{path}."))
        for own in (op.module, op.owner)
        for path in paths
    )


def _swap(graph: Graph, calls: dict[int, _Call], one: int, other: int) -> None:
    """Let the calls of two lines change places: what runs, not what is read."""
    here, there = (
        [index for index, op in enumerate(graph.ops) if place_of(op) == place_of(graph.ops[each])]
        for each in (one, other)
    )
    for first, second in zip(here, there, strict=True):
        calls[first].what, calls[second].what = calls[second].what, calls[first].what


def _number(calls: dict[int, _Call]) -> list[_Call]:
    """Return calls with what they read by its place among them."""
    places = {index: place for place, index in enumerate(calls)}
    return [_Call(call.what, tuple(sorted({places[read] for read in call.reads}))) for call in calls.values()]


def _find_other_count(before: Graph, after: Graph, edits: Iterable[Edit], foreign: Mapping[str, str]) -> str:
    """Return how many norms run, if those are not as many as the edits leave; "" if they are."""
    blocks = {block.key: block for block in (*before.blocks, *before.joins)}
    wanted = {key: edit for edit in edits for key in (edit.block, *edit.also)}
    came = sum(edit.after != "none" and edit.block not in foreign for edit in wanted.values())
    expected = len(before.norms) - sum(len(blocks[key].norms) for key in wanted) + came
    found = sum(not _stands_in(norm, foreign.values()) for norm in after.norms)
    return "" if found == expected else f"{found} norms run where {expected} should"
