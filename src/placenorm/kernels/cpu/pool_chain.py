"""The pooled chains on the processor: tensors in, tensors out, as `pool_chain_reference` has them.

Pooling writes the winners and their places, and what follows is the chain ``norm(before(winner))``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from placenorm.kernels.chain import Chain
from placenorm.kernels.cpu import chain as cpu_chain
from placenorm.kernels.cpu import pool_chain_kernels as kernels
from placenorm.kernels.cpu import pool_chain_loops as loops
from placenorm.kernels.cpu.lending import find_address, lay_out
from placenorm.kernels.cpu.memory import empty
from placenorm.kernels.pool_chain import Pool, PoolChain
from placenorm.kernels.running import Running
from placenorm.kernels.threads import find_team, raise_caught


def pool_chain_fwd(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    chain: PoolChain,
    running: Running | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return ``(y, winner, place, mean, var, rstd)`` as `pool_chain_reference.pool_chain_fwd`.

    Args:
        x: ``[N, C, H, W]``, float32, contiguous or with the channels last.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: what is added to the variance.
        chain: what is fused with the norm.
        running: brought up to date in place.
    """
    samples, channels, height, width = x.shape
    pool, window = chain.pool, find_window(chain.pool)
    shape = (samples, channels, *pool.find_size(height, width))
    layout = find_layout(x)
    winner, place = empty(shape, x.dtype, layout), empty(shape, torch.uint8, layout)
    tensors = find_address(x), winner.data_ptr(), place.data_ptr()
    given = find_team(), list_shape(x.shape, layout), list_shape(shape, layout), tensors
    if layout == torch.channels_last:
        kernels.pool_rows(*given, window, pool.kernel_size, pool.stride, pool.padding)
    else:
        down, right = pool.stride
        kernels.pool_planes(*given, window, (0,) * right, pool.kernel_size, down, pool.padding)
    y, _, mean, var, rstd = cpu_chain.chain_fwd(winner, None, weight, bias, eps, Chain(chain.before), running)
    return y, winner, place, mean, var, rstd


def pool_chain_bwd(
    dy: Tensor,
    winner: Tensor,
    place: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    size: tuple[int, int],
    chain: PoolChain,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(dx, dweight, dbias)`` as `pool_chain_reference.pool_chain_bwd`.

    Args:
        dy: ``[N, C, OH, OW]`` in any layout.
        winner: from `pool_chain_fwd`.
        place: from `pool_chain_fwd`.
        mean: from `pool_chain_fwd`.
        rstd: from `pool_chain_fwd`.
        weight: ``[C]``.
        size: height and width of the input.
        chain: as in `pool_chain_fwd`.
    """
    samples, channels = winner.shape[:2]
    pool, layout = chain.pool, find_layout(winner)
    passed, _, dweight, dbias = cpu_chain.chain_bwd(dy, winner, None, mean, rstd, weight, None, Chain(chain.before))
    dx = empty((samples, channels, *size), winner.dtype, layout)
    spot = lay_out(place, winner.shape, passed.stride(), torch.uint8)
    tensors = passed.data_ptr(), find_address(spot), dx.data_ptr()
    given = find_team(), list_shape(winner.shape, layout), list_shape(dx.shape, layout), tensors
    sizes = pool.kernel_size, pool.stride, pool.padding
    if layout == torch.channels_last:
        kernels.unpool_rows(*given, find_tiles(pool, size), *sizes)
    else:
        kernels.unpool_planes(*given, *sizes)
    raise_caught()
    return dx, dweight, dbias


def find_layout(x: Tensor) -> torch.memory_format:
    """Return the layout of ``[N, C, H, W]``, which is one of the two."""
    return torch.contiguous_format if x.is_contiguous() else torch.channels_last


def list_shape(shape: Sequence[int], layout: torch.memory_format) -> tuple[int, ...]:
    """Return ``[N, C, H, W]`` as kernels go through it: planes, ``[N * C, H, W]``, or rows, ``[N, H, W, C]``."""
    samples, channels, height, width = shape
    is_planar = layout == torch.contiguous_format
    return (samples * channels, height, width) if is_planar else (samples, height, width, channels)


def find_window(pool: Pool) -> tuple[int, ...]:
    """Return as many elements as a square window that has a loop of its own is wide; none for other windows."""
    height, width = pool.kernel_size
    return (0,) * width if height == width and width in (loops.TWO, loops.THREE) else ()


def find_tiles(pool: Pool, size: tuple[int, int]) -> tuple[int, ...]:
    """Return one element where windows of 2x2 tile an input of this size without an edge outside, else none."""
    tiled = pool.kernel_size == pool.stride == (2, 2) and pool.padding == (0, 0)
    inside = not pool.ceil_mode or (size[0] % 2 == size[1] % 2 == 0)
    return (0,) if tiled and inside else ()
