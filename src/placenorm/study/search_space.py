"""A network in, what its blocks may choose from out."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from placenorm.cost import predict_cost
from placenorm.errors import UsageError
from placenorm.facts.graph import Block, Graph
from placenorm.facts.placement import POSITIONS, Position
from placenorm.facts.search import Choice, SearchSpace
from placenorm.graph.placements import place_of, plan_edits

Refuses = Callable[[dict[str, Position]], Collection[str]]
"""Tries a placement on the network itself; gives the blocks that it does not bring where they should be."""


@dataclass(frozen=True, slots=True)
class Terrain:
    """A network and every placement of it that a search may try.

    Attributes:
        graph: the network as it is.
        space: what its blocks choose from.
    """

    graph: Graph
    space: SearchSpace

    def placement(self, indices: tuple[int, ...]) -> dict[str, Position]:
        """Return a placement for every block of the network: those without a choice stay as they are."""
        return {**self.graph.placement(), **self.space.placement(self.space.name(indices))}

    def allows(self, indices: tuple[int, ...]) -> bool:
        """Return whether the network can have a placement: positions of two blocks may exclude each other."""
        wanted = self.placement(indices)
        planned = plan_edits(self.graph, wanted)
        return not planned.skipped and planned.placement == wanted

    def cost(self, indices: tuple[int, ...]) -> int:
        """Return the bytes that the norms move in a training step at a placement."""
        return predict_cost(self.graph, self.placement(indices)).norm_train_bytes


class Placements(dict[str, dict[str, Position]]):
    """Placements by name: those of named variants, and every one that a search may try.

    Args:
        named: those of the variants.
        terrain: of the search.
    """

    def __init__(self, named: Mapping[str, dict[str, Position]], terrain: Terrain) -> None:
        super().__init__(named)
        self._terrain = terrain

    def __missing__(self, name: str) -> dict[str, Position]:
        return self._terrain.placement(self._terrain.space.indices(name))


def find_terrain(graph: Graph, refuses: Refuses) -> Terrain:
    """Return the placements that a search may try on a network.

    A block may choose where its own sites are, and to have no norm. Blocks that no named policy gives a norm (the
    logits, gates) and joins stay as they are, and so does one whose norm cannot be moved.

    Args:
        graph: the network as it is.
        refuses: what the network itself says of a placement; what tracing alone cannot see.

    Raises:
        UsageError: if no block has a choice.
    """
    lines: dict[object, list[Block]] = {}
    for block in graph.blocks:
        if not block.joined and not block.exempt:
            lines.setdefault(place_of(graph.ops[block.weight]), []).append(block)
    offered = {tuple(block.key for block in blocks): _positions(graph, blocks) for blocks in lines.values()}
    for position in POSITIONS:
        asked = {key: position for keys, positions in offered.items() if position in positions for key in keys}
        refused = set(refuses({**graph.placement(), **asked})) if asked else set()
        for keys, positions in offered.items():
            if position in positions and refused.intersection(keys):
                positions.remove(position)
    choices = tuple(Choice(keys, tuple(positions)) for keys, positions in offered.items() if len(positions) > 1)
    if not choices:
        raise UsageError(
            "Cannot search per block: no block of this network has a choice where its norm stands; compare named "
            "placements instead, and see print(pn.trace(model, example_inputs))."
        )
    return Terrain(graph, SearchSpace(choices))


def _positions(graph: Graph, blocks: list[Block]) -> list[Position]:
    """Return the positions that blocks on one line of the source can all take, in the order of `POSITIONS`."""
    found: list[Position] = []
    for position in POSITIONS:
        wanted = {block.key: position for block in blocks}
        planned = plan_edits(graph, wanted)
        if not planned.skipped and all(planned.placement[key] == position for key in wanted):
            found.append(position)
    return found
