"""Words for where a norm stands: positions, named policies, placements, and the file that holds one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from placenorm.errors import StoreError

Position = Literal["before-activation", "after-activation", "after-pool", "after-pool-before-activation", "none"]
"""Where the norm of one block stands."""

Policy = Literal["none", "before-activation", "after-activation", "after-pool", "as-is"]
"""A placement with a name: one rule for every block."""

Placement = Policy | Mapping[str, Position]
"""A named policy, or a position for each block key that is to change."""

POSITIONS: tuple[Position, ...] = get_args(Position)
POLICIES: tuple[Policy, ...] = get_args(Policy)

PLACEMENT_FORMAT = 1
"""Raised by one whenever an older reader would misread a newer placement file."""


@dataclass(frozen=True, slots=True)
class PlacementFile:
    """What a placement file holds.

    Attributes:
        placement: positions by block key.
        biases: paths of weight ops that are given a bias where they have none: they took norms in, and the weights that
            were saved with the file have it.
    """

    placement: dict[str, Position]
    biases: tuple[str, ...] = ()


def write_placement(placement: Mapping[str, Position], path: Path | str, biases: Sequence[str] = ()) -> None:
    """Write a placement as JSON that a person can read, commit and edit.

    Args:
        placement: positions by block key.
        path: the file.
        biases: paths of weight ops that are given a bias.

    Raises:
        StoreError: if the file cannot be written.
    """
    held = {"format": PLACEMENT_FORMAT, "placement": dict(placement), **({"biases": list(biases)} if biases else {})}
    text = json.dumps(held, indent=2, ensure_ascii=False)
    try:
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"Cannot write {path}: {error.strerror}; give a path that can be written to.") from error


def read_placement(path: Path | str) -> PlacementFile:
    """Return what a placement file holds.

    Raises:
        StoreError: if there is no such file, or it holds no placement of this format.
    """
    form = '{"format": 1, "placement": {"conv1": "after-activation"}}'
    try:
        held = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"Cannot read the placement {path}: there is no such file; check the path.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoreError(f"Cannot read the placement {path}: it is no JSON ({error}); write it as {form}.") from error
    if not isinstance(held, dict) or not isinstance(held.get("placement"), dict):
        raise StoreError(f"Cannot read the placement {path}: it holds no placement; write it as {form}.")
    if held.get("format") != PLACEMENT_FORMAT:
        raise StoreError(
            f"Cannot read the placement {path}: it is in format {held.get('format')}, this placenorm reads format "
            f"{PLACEMENT_FORMAT}; read it with the version that wrote it, or write it as {form}."
        )
    placement: dict[str, Position] = held["placement"]
    for key, position in placement.items():
        if position not in POSITIONS:
            raise StoreError(
                f"Cannot use the placement {path}: {key!r} is to stand at {position!r}; use one of "
                f"{', '.join(POSITIONS)}."
            )
    biases = held.get("biases", [])
    if not isinstance(biases, list) or not all(isinstance(each, str) for each in biases):
        raise StoreError(f"Cannot use the placement {path}: its biases are no list of paths; write it as {form}.")
    return PlacementFile(placement, tuple(biases))
