"""A max pool that keeps what won and where, and its backward, in both layouts: the loops shared out among a team."""

from typing import Any, Final

from placenorm.kernels.cpu import pool_chain_loops as loops
from placenorm.kernels.cpu.compiling import njit
from placenorm.kernels.cpu.team import share_out

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True}


@njit(**_OPTIONS)
def pool_planes(team: Any, *given: Any) -> None:
    """Write the winners; given what `pool_chain_loops.pool_planes` takes."""
    share_out(team, loops.pool_planes, given, given[0].shape[0])


@njit(**_OPTIONS)
def unpool_planes(team: Any, *given: Any) -> None:
    """Write the gradients; given what `pool_chain_loops.unpool_planes` takes."""
    share_out(team, loops.unpool_planes, given, given[0].shape[0])


@njit(**_OPTIONS)
def pool_rows(team: Any, *given: Any) -> None:
    """Write the winners; given what `pool_chain_loops.pool_rows` takes."""
    share_out(team, loops.pool_rows, given, given[0].shape[0])


@njit(**_OPTIONS)
def unpool_rows(team: Any, *given: Any) -> None:
    """Write the gradients; given what `pool_chain_loops.unpool_rows` takes."""
    share_out(team, loops.unpool_rows, given, given[0].shape[0])
