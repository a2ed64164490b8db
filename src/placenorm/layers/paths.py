"""Which way a norm takes: our fused kernels, or torch's operators one after the other; and why."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.autograd import forward_ad

from placenorm.kernels import dispatch
from placenorm.kernels.activations import IDENTITY
from placenorm.kernels.chain import Chain
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.dispatch import Fused

LEAST_VALUES: Final = 1 << 17
"""Smaller inputs go to torch: calling a kernel of one's own costs more than fusing saves (docs/performance.md)."""

LEAST_SHARE: Final = 1 << 16
"""Values a thread: calling our kernel costs the same whatever their number, while torch's norm becomes shorter."""

POOLED_SHARE: Final = 2
"""Of planes with a pool, which torch takes longer for: this part of the values does."""

CHANNELS_LAST_TIMES: Final = 3
"""With the channels last, torch's norm is faster and our kernel has more to prepare: so many times more values."""

POOLED_BEHIND_TIMES: Final = 2
"""The same of a norm with a pool behind it, which costs torch more."""

THREADED_TIMES: Final = 2
"""The same again of a chain without a pool, in several threads."""

PLAIN_TIMES: Final = 4
"""Of a norm alone in planes, in several threads: there is nothing to fuse, and torch has threads too."""

LEAST_PLAIN: Final = 1 << 23
"""Of a norm without an activation, with the channels last: torch's is as fast, but takes memory of 32 MB and more fresh
at each call."""


@dataclass(frozen=True, slots=True)
class Path:
    """The way that a norm takes.

    Attributes:
        name: ``fused`` or ``torch``.
        reason: why, in one sentence.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def find_path(x: Tensor, chain: Fused, *, of_batch: bool) -> Path:
    """Return the way of an input through a norm.

    Args:
        x: ``[N, C, *]`` in a layout that torch's norms keep.
        chain: what is fused with the norm.
        of_batch: whether the batch's statistics are used.
    """
    gap = find_gap(x, chain, of_batch=of_batch)
    return (
        Path("torch", f"{gap}.") if gap else Path("fused", f"kernels of {x.device.type} cover {chain} on this input.")
    )


LEAST_ON_GPU: Final = 1 << 20
"""Values below which a GPU waits for Python, whose part of our kernels is the larger (docs/performance.md)."""

COMPILED_THREADS: Final = 2
"""What torch.compile, which cannot ask for their number, takes for the threads."""


def _find_least(x: Tensor, chain: Fused) -> int:
    """Return how many values an input must have."""
    if x.is_cuda:
        return LEAST_ON_GPU
    threads = COMPILED_THREADS if torch.compiler.is_compiling() else torch.get_num_threads()
    alone = threads == 1 or not LEAST_VALUES
    least = LEAST_VALUES if alone else max(LEAST_VALUES, LEAST_SHARE * threads)
    if x.is_contiguous():
        if not isinstance(chain, Chain):
            return least // POOLED_SHARE
        return least if alone or not chain.is_plain else PLAIN_TIMES * least
    if isinstance(chain, ChainPool):
        return POOLED_BEHIND_TIMES * least
    return CHANNELS_LAST_TIMES * (THREADED_TIMES if isinstance(chain, Chain) and not alone else 1) * least


def find_gap(x: Tensor, chain: Fused, *, of_batch: bool) -> str:
    """Return why an input goes the way of torch; "" where it goes ours. The arguments are those of `find_path`."""
    if not of_batch:
        return "with running statistics a norm is a scale and a shift, which torch's own operators do and export"
    if x.numel() < _find_least(x, chain):
        return f"an input of {x.numel()} values is too small to gain"
    gap = dispatch.find_any_gap(x, chain)
    if gap:
        return gap
    bare = isinstance(chain, Chain) and chain.before.name == chain.after.name == IDENTITY.name
    if bare and not x.is_cuda and not x.is_contiguous() and x.numel() < LEAST_PLAIN:
        return "with the channels last, torch's own norm is as fast"
    # While torch.compile traces, the stack is not empty, transforms or not.
    if not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None:
        return "the kernels take no part in the transforms of torch.func"
    if forward_ad._current_level >= 0:
        return "the kernels have no forward-mode derivative"
    return ""
