"""Work on ranges, shared among as many threads as torch uses.

Not numba's own threads: its workqueue layer aborts when two threads enter it, and its OpenMP layer after a fork. The
kernels here hold no lock of the interpreter, so that plain threads do.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import torch

_POOLS: Final[dict[tuple[int, int], ThreadPoolExecutor]] = {}
"""By process and number of helpers: after a fork, threads of the parent are not there."""


def count_shares(count: int) -> int:
    """Return into how many shares so much work is parted: one a thread of torch, and none that is empty."""
    return max(1, min(torch.get_num_threads(), count))


def share_out(work: Callable[[int, int, int], object], count: int) -> None:
    """Do work on the range from 0 to a count, in parallel.

    Args:
        work: is called as ``work(share, start, stop)`` with the number of the share, from 0, and its range; it must
            release the interpreter's lock to gain anything.
        count: length of the range.
    """
    shares = count_shares(count)
    bounds = [count * share // shares for share in range(shares + 1)]
    if shares == 1:
        work(0, 0, count)
        return
    pool = _find_pool(shares - 1)
    others = [pool.submit(work, share, bounds[share], bounds[share + 1]) for share in range(1, shares)]
    work(0, bounds[0], bounds[1])
    for other in others:
        other.result()


def _find_pool(helpers: int) -> ThreadPoolExecutor:
    key = (os.getpid(), helpers)
    if key not in _POOLS:
        _POOLS[key] = ThreadPoolExecutor(helpers, thread_name_prefix="placenorm")
    return _POOLS[key]
