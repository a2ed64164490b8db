"""A norm with an activation and a max pool behind it, and the way back: the loops shared out among a team."""

from typing import Any, Final

from placenorm.kernels.cpu import chain_pool_loops as loops
from placenorm.kernels.cpu.compiling import njit
from placenorm.kernels.cpu.team import share_out

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True}


@njit(**_OPTIONS)
def forward_planes(team: Any, *given: Any) -> None:
    """Write the outputs, the winners and the statistics; given what `chain_pool_loops.forward_planes` takes."""
    share_out(team, loops.forward_planes, given, given[0].shape[1])


@njit(**_OPTIONS)
def backward_planes(team: Any, *given: Any) -> None:
    """Write the gradients; given what `chain_pool_loops.backward_planes` takes."""
    share_out(team, loops.backward_planes, given, given[0].shape[1])


@njit(**_OPTIONS)
def pool_rows(team: Any, *given: Any) -> None:
    """Write the winners where they are known, and add up the input; given what `chain_pool_loops.pool_rows` takes."""
    share_out(team, loops.pool_rows, given, given[0].shape[0])


@njit(**_OPTIONS)
def rank_rows(team: Any, *given: Any) -> None:
    """Write the winners by what the activation makes of every value; given what `chain_pool_loops.rank_rows` takes."""
    share_out(team, loops.rank_rows, given, given[0].shape[0])


@njit(**_OPTIONS)
def apply_rows(team: Any, *given: Any) -> None:
    """Write the outputs; given what `chain_pool_loops.apply_rows` takes."""
    share_out(team, loops.apply_rows, given, given[0].shape[0])


@njit(**_OPTIONS)
def sum_gradients_rows(team: Any, *given: Any) -> None:
    """Add up the gradients of beta and gamma; given what `chain_pool_loops.sum_gradients_rows` takes."""
    share_out(team, loops.sum_gradients_rows, given, given[0].shape[0])


@njit(**_OPTIONS)
def spread_rows(team: Any, *given: Any) -> None:
    """Write the gradients of the input; given what `chain_pool_loops.spread_rows` takes."""
    share_out(team, loops.spread_rows, given, given[0].shape[0])
