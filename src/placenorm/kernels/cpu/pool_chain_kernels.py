"""A max pool that keeps what won and where, and its backward, in both layouts: the loops shared out among a team."""

from typing import Any, Final

from placenorm.kernels.cpu import pool_chain_loops as loops
from placenorm.kernels.cpu.compiling import njit
from placenorm.kernels.cpu.lending import lend, lend_bytes
from placenorm.kernels.cpu.team import share_out

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True}


# Tensors are addresses: of the input, the winners and their places, or of the winners' gradients, the places and the
# input's gradient. Shapes are [P, H, W], or [N, H, W, C] with the channels last.


@njit(**_OPTIONS)
def pool_planes(team: Any, shape: Any, pooled: Any, tensors: Any, *ways: Any) -> None:
    """Write the winners; the ways of the window are those of `pool_chain_loops.pool_planes`."""
    given = lend(tensors[0], shape), lend(tensors[1], pooled), lend_bytes(tensors[2], pooled), *ways
    share_out(team, loops.pool_planes, given, shape[0])


@njit(**_OPTIONS)
def unpool_planes(team: Any, pooled: Any, shape: Any, tensors: Any, *ways: Any) -> None:
    """Write the gradients; the ways of the window are those of `pool_chain_loops.unpool_planes`."""
    given = lend(tensors[0], pooled), lend_bytes(tensors[1], pooled), lend(tensors[2], shape), *ways
    share_out(team, loops.unpool_planes, given, shape[0])


@njit(**_OPTIONS)
def pool_rows(team: Any, shape: Any, pooled: Any, tensors: Any, *ways: Any) -> None:
    """Write the winners; the ways of the window are those of `pool_chain_loops.pool_rows`."""
    given = lend(tensors[0], shape), lend(tensors[1], pooled), lend_bytes(tensors[2], pooled), *ways
    share_out(team, loops.pool_rows, given, shape[0])


@njit(**_OPTIONS)
def unpool_rows(team: Any, pooled: Any, shape: Any, tensors: Any, *ways: Any) -> None:
    """Write the gradients; the ways of the window are those of `pool_chain_loops.unpool_rows`."""
    given = lend(tensors[0], pooled), lend_bytes(tensors[1], pooled), lend(tensors[2], shape), *ways
    share_out(team, loops.unpool_rows, given, shape[0])
