"""What a norm does in one call: it goes the fused way or torch's, and brings the running statistics up to date."""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from placenorm.kernels import reference
from placenorm.kernels.activations import activate
from placenorm.kernels.chain import Chain
from placenorm.kernels.dispatch import Fused
from placenorm.kernels.pool_chain import PoolChain
from placenorm.kernels.running import Running
from placenorm.layers.chain_operators import describe_chain
from placenorm.layers.composing import compose
from placenorm.layers.direct import is_eager
from placenorm.layers.fused import run_fused
from placenorm.layers.paths import find_gap
from placenorm.layers.pools import describe_chain_pool, describe_pool_chain
from placenorm.layers.refusals import check_alone, check_input, check_marks, check_residual, check_values, view_mask


def normalize_batch(
    x: Tensor,
    residual: Tensor | None,
    mask: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    num_batches_tracked: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float | None,
    eps: float,
    before: str = "identity",
    after: str = "identity",
    parameter: float = 0.0,
    virtual_batch_size: int | None = None,
    pool: list[int] | None = None,
    pools_behind: bool = False,
) -> Tensor:
    """Return ``after(norm(before(x)) + residual)``; when training, bring the running statistics up to date in place.

    A pool stands between the activation in front and the norm, or behind the activation behind it.

    Args:
        x: ``[N, C, *]``.
        residual: of the shape of x; None for nothing.
        mask: True where a position counts, ``[N, *]`` or what expands to it; None where all do.
        running_mean: ``[C]``; None where none is kept.
        running_var: ``[C]``; None where none is kept.
        num_batches_tracked: number of training batches so far, an integer tensor without axes.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.
        training: whether the batch's statistics are used and the running ones are updated.
        momentum: weight of this batch in the running statistics; None for the average over all batches.
        eps: what is added to the variance.
        before: name of the activation in front of the norm.
        after: name of the activation behind it, or behind the addition.
        parameter: the activation's parameter.
        virtual_batch_size: samples that are normalised together when training; None for all of them.
        pool: as `list_pool` gives it; None for none.
        pools_behind: whether it stands behind the norm.

    Returns:
        ``[N, C, *]`` in the dtype and the memory format of x, pooled where there is a pool; 0 where the mask is False.

    Raises:
        ValueError: if training sees one value per channel, or less by a mask, in all or in a virtual batch;
            if eps is out of range, if the chain is none (`Chain`), or if there is more beside a pool than an activation
            in front of it.
        RuntimeError: if a number of channels, a shape, a dtype or a device does not fit.
        NotImplementedError: if x is not floating point.
    """
    chain: Fused = describe_chain(before, after, parameter, residual is not None)
    if pool is not None and pools_behind:
        chain = describe_chain_pool(after, parameter, pool)
    elif pool is not None:
        chain = describe_pool_chain(before, parameter, pool)
    positions = prod(x.shape[2:])
    if not isinstance(chain, Chain):
        check_alone(residual, mask)
        left = prod(chain.pool.find_size(x.shape[2], x.shape[3]))
        positions = left if isinstance(chain, PoolChain) else positions
    norm = _Norm(running_mean, running_var, num_batches_tracked, weight, bias, training, momentum, eps, chain)
    size = virtual_batch_size if training and virtual_batch_size is not None else max(x.shape[0], 1)
    owned = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    check_input(x, owned, eps)
    if norm.uses_batch:
        check_values(x, eps, size, positions)
    if residual is not None:
        check_residual(residual, x)
    marks = None if mask is None else view_mask(mask, x)
    if marks is not None and norm.uses_batch:
        check_marks(marks, size)
    if x.shape[0] <= size:
        return norm(x, residual, marks)
    ghosts = range(0, x.shape[0], size)
    cut = [[None if each is None else each[at : at + size] for each in (x, residual, marks)] for at in ghosts]
    return torch.cat([norm(part, added, counted) for part, added, counted in cut if part is not None])


@dataclass(slots=True, eq=False)
class _Norm:
    """A norm's state and settings in one call; the fields are those of `normalize_batch`."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    weight: Tensor | None
    bias: Tensor | None
    training: bool
    momentum: float | None
    eps: float
    chain: Fused

    @property
    def uses_batch(self) -> bool:
        """Whether the batch's statistics are used."""
        return self.training or (self.running_mean is None and self.running_var is None)

    def __call__(self, x: Tensor, residual: Tensor | None, marks: Tensor | None) -> Tensor:
        """Return the output for samples that are normalised together."""
        running = self._running
        updates = self.training and not is_recomputing()
        if marks is not None:
            self._count(updates)
            return self._run_masked(x, residual, marks, updates)
        if not self.uses_batch:
            return self._compose(x, residual, running=running, of_batch=False)
        view = view_dense(x)
        if not find_gap(view, self.chain, of_batch=True):
            return self._run_fused(view, residual, updates)
        self._count(updates)
        if running is None or not self.training:
            return self._compose(x, residual)
        if not updates:  # a recomputation saves as many tensors as the first run did
            running = running[0].clone(), running[1].clone()
        if self.momentum is not None:
            return self._compose(x, residual, running=running, momentum=self.momentum)
        # The share of this batch is a tensor, which torch's own norm does not take: it is given buffers of its own.
        fresh = torch.zeros_like(running[0]), torch.zeros_like(running[1])
        y = self._compose(x, residual, running=fresh, momentum=1.0)
        if y.numel() and updates:
            self._mix(*fresh)
        return y

    @property
    def _running(self) -> tuple[Tensor, Tensor] | None:
        return None if self.running_mean is None or self.running_var is None else (self.running_mean, self.running_var)

    def _run_fused(self, x: Tensor, residual: Tensor | None, updates: bool) -> Tensor:
        """Return the output of a dense x by our kernels."""
        offered = self._offer(x) if updates else None
        if offered is None:
            self._count(updates)
        y, mean, var = run_fused(x, residual, self.weight, self.bias, self.eps, self.chain, offered)
        if updates and mean is not None and var is not None:
            seen = y if isinstance(self.chain, PoolChain) else x
            self._take(mean, var, seen.numel() // x.shape[1])
        return y

    def _offer(self, x: Tensor) -> Running | None:
        """Return the running statistics if kernels can bring them up to date on their way."""
        mean, var, momentum = self.running_mean, self.running_var, self.momentum
        if mean is None or var is None or momentum is None or not is_eager(x):
            return None
        if not mean.dtype == var.dtype == torch.float32:
            return None
        return Running(mean, var, momentum, self.num_batches_tracked)

    def _compose(self, x: Tensor, residual: Tensor | None, **settings: Any) -> Tensor:
        """Return the output by torch's operators; the settings are those of `compose`."""
        return compose(x, residual, self.weight, self.bias, self.eps, self.chain, **settings)

    def _run_masked(self, x: Tensor, residual: Tensor | None, marks: Tensor, updates: bool) -> Tensor:
        """Return the output where some positions do not count: what stands there reaches nothing, and becomes 0."""
        assert isinstance(self.chain, Chain)
        axes = (0, *range(2, x.dim()))
        shape = [1, -1] + [1] * (x.dim() - 2)
        u = torch.where(marks, activate(torch.where(marks, reference.widen(x), 0.0), self.chain.before), 0.0)
        if self.uses_batch:
            values = marks.sum(dtype=u.dtype)
            mean = u.sum(axes) / values
            var = torch.where(marks, u - mean.view(shape), 0.0).square().sum(axes) / values
            if updates:
                self._take(mean, var, values)
        else:
            assert self.running_mean is not None
            assert self.running_var is not None
            mean, var = self.running_mean, self.running_var
        z = (u - mean.view(shape)) * (reference.widen(var) + self.eps).rsqrt().view(shape)
        z = z if self.weight is None else z * self.weight.view(shape)
        z = z if self.bias is None else z + self.bias.view(shape)
        z = z if residual is None else z + residual
        return torch.where(marks, activate(z, self.chain.after), 0.0).to(x.dtype)

    def _count(self, updates: bool) -> None:
        if updates and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)

    def _take(self, mean: Tensor, var: Tensor, values: int | Tensor) -> None:
        """Bring the running statistics up to date with a batch's mean and biased variance."""
        self._mix(mean.detach(), reference.unbias(var.detach(), values))

    def _mix(self, mean: Tensor, var: Tensor) -> None:
        """Bring the running statistics up to date with a batch's mean and unbiased variance."""
        mix_running(self._running, self.num_batches_tracked, self.momentum, mean, var)


def mix_running(
    running: tuple[Tensor, Tensor] | None,
    num_batches_tracked: Tensor | None,
    momentum: float | None,
    mean: Tensor,
    var: Tensor,
) -> None:
    """Bring running statistics up to date in place.

    Args:
        running: running mean and variance, ``[C]`` each; None where none are kept.
        num_batches_tracked: number of batches, this one among them; None where they are not counted.
        momentum: weight of this batch; None for the average over all batches, which stays as it is without a count.
        mean: the batch's, ``[C]``.
        var: the batch's unbiased variance, ``[C]``.
    """
    if running is None:
        return
    share: float | Tensor = 0.0
    if momentum is not None:
        share = momentum
    elif num_batches_tracked is not None:
        share = reference.cumulative_momentum(num_batches_tracked, mean.dtype)
    if mean.dtype == running[0].dtype and var.dtype == running[1].dtype:
        for held, new in zip(running, (mean, var), strict=True):  # the same in two calls, where there are many
            held.lerp_(new, share)
        return
    for held, new in zip(running, reference.update_running_stats(*running, mean, var, share), strict=True):
        held.copy_(new)


def is_recomputing() -> bool:
    """Whether this forward runs within a backward: activation checkpointing calls it a second time there."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1


def view_dense(x: Tensor) -> Tensor:
    """Return x in one of the layouts that torch's norms keep; any other is copied to a contiguous one."""
    channels_last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim())
    kept = channels_last is not None and x.is_contiguous(memory_format=channels_last)
    return x if kept else x.contiguous()


def view_ncs(x: Tensor) -> Tensor:
    """View x as ``[N, C, S]``, in a layout of `view_dense`."""
    x = view_dense(x)
    return x.flatten(2) if x.dim() > 2 else x.unsqueeze(2)
