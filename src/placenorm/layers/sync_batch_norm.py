"""SyncBatchNorm over any device and backend: every process normalises by the statistics of all of them."""

from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.kernels import reference
from placenorm.layers.batch_norm import takes_neighbours
from placenorm.layers.normalizing import is_recomputing, mix_running, normalize_batch, view_ncs
from placenorm.layers.refusals import check_input


class SyncBatchNorm(nn.SyncBatchNorm):
    """torch.nn.SyncBatchNorm that also runs on the CPU and over gloo; arguments, buffers and keys are torch's.

    Processes may have batches of different sizes, also empty ones. In one process alone it is a batch norm.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Return the normalised activations.

        Args:
            input: ``[N, C, *]``, float16, bfloat16, float32 or float64; N may differ from process to process.

        Returns:
            ``[N, C, *]`` in the dtype of the input.

        Raises:
            ValueError: if the rank is below 2, or all processes together have one value per channel.
            RuntimeError: if the number of channels, the dtype or the device does not fit.

        Source:
            torch.nn.SyncBatchNorm, torch 2.14; the statistics are joined as in Chan, Golub & LeVeque 1983.
        """
        self._check_input_dim(input)
        self._check_non_zero_input_channels(input)
        in_use = self.track_running_stats or not self.training
        mean, var = (self.running_mean, self.running_var) if in_use else (None, None)
        count = self.num_batches_tracked if self.track_running_stats else None
        group = self.process_group
        together = dist.is_available() and dist.is_initialized() and dist.get_world_size(group) > 1
        if not self.training or not together:  # as torch's: evaluation waits for no other process
            return normalize_batch(
                input, None, None, mean, var, count, self.weight, self.bias, self.training, self.momentum, self.eps
            )
        owned = {"running_mean": mean, "running_var": var, "weight": self.weight, "bias": self.bias}
        check_input(input, owned, self.eps)
        y, batch_mean, batch_var, values = _Synchronised.apply(view_ncs(input), self.weight, self.bias, self.eps, group)
        if not is_recomputing():
            self._update(batch_mean, batch_var, values)
        output: Tensor = y.view(input.shape)
        return output

    def _update(self, mean: Tensor, var: Tensor, values: Tensor) -> None:
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        held = self.running_mean, self.running_var
        running = None if held[0] is None or held[1] is None else (held[0], held[1])
        mix_running(running, self.num_batches_tracked, self.momentum, mean, reference.unbias(var, values))

    @classmethod
    def convert_sync_batchnorm(cls, module: nn.Module, process_group: Any = None) -> nn.Module:
        """Return a model with a layer of this class in the place of every batch norm; parameters stay the same objects.

        A frozen norm uses no batch's statistics and stays.

        Args:
            module: the model; it is changed, and only returned anew where it is a batch norm itself.
            process_group: processes that share their statistics; None for all.

        Raises:
            ValueError: if a norm of ours holds an activation, a pool or virtual batches, which would be lost; the model
                is as it was then.

        Source:
            torch.nn.SyncBatchNorm.convert_sync_batchnorm, torch 2.14.
        """
        for path, norm in module.named_modules():
            held = takes_neighbours(norm) or getattr(norm, "virtual_batch_size", None) is not None
            if held and not getattr(norm, "frozen", False):
                raise ValueError(
                    f"Cannot convert {path or 'this norm'}, which is {norm}: what it holds beside the norm would be "
                    "lost; make it layers of their own, or convert what pn.restore gives where pn.accelerate put it."
                )
        return cls._convert(module, process_group)

    @classmethod
    def _convert(cls, module: nn.Module, process_group: Any) -> nn.Module:
        if isinstance(module, _BatchNorm):
            return module if getattr(module, "frozen", False) else cls._take(module, process_group)
        for name, child in module.named_children():
            setattr(module, name, cls._convert(child, process_group))
        return module

    @classmethod
    def _take(cls, norm: _BatchNorm, process_group: Any) -> Self:
        layer = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats, process_group)
        layer.weight, layer.bias = norm.weight, norm.bias
        layer.running_mean, layer.running_var = norm.running_mean, norm.running_var
        layer.num_batches_tracked = norm.num_batches_tracked
        return layer.train(norm.training)


class _Synchronised(torch.autograd.Function):
    """A norm by the statistics of all processes of a group, and its gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, group: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, var, values = _join(x, group)
        if eps <= 0.0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
        rstd = (var + eps).rsqrt()
        ctx.group = group
        ctx.save_for_backward(x, weight, bias, mean, rstd, values)
        y = reference.normalize(reference.widen(x), mean, rstd, weight, bias).to(x.dtype)
        ctx.mark_non_differentiable(mean, var, values)
        return y, mean, var, values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, rstd, values = ctx.saved_tensors
        wide = reference.widen(dy)
        x_hat = reference.normalize(reference.widen(x), mean, rstd, None, None)
        mine = torch.stack([(wide * x_hat).sum((0, 2)), wide.sum((0, 2))])
        sums = mine.clone()
        dist.all_reduce(sums, group=ctx.group)
        slope, shared = sums / values
        scale = rstd if weight is None else rstd * weight
        dx = scale[:, None] * (wide - shared[:, None] - x_hat * slope[:, None])
        return (
            dx.to(x.dtype),
            None if weight is None else mine[0].to(weight.dtype),
            None if bias is None else mine[1].to(bias.dtype),
            None,
            None,
        )


def _join(x: Tensor, group: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean and the biased variance of every channel over all processes, and how many values it has.

    Args:
        x: this process's share, ``[N, C, S]``; it may be empty.
        group: the processes.

    Returns:
        Mean and variance, each ``[C]``, and the count as a tensor without axes, float32 or wider.

    Raises:
        ValueError: if there is one value per channel, or none.
    """
    dtype, channels = reference.widened(x.dtype), x.shape[1]
    own = x.new_zeros(2 * channels + 1, dtype=dtype)
    own[-1] = x.shape[0] * x.shape[2]
    if x.shape[0] * x.shape[2]:
        own[:channels], own[channels:-1] = reference.batch_stats(reference.widen(x))
    gathered = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
    dist.all_gather(gathered, own, group=group)
    table = torch.stack(gathered)
    means, variances, counts = table[:, :channels], table[:, channels:-1], table[:, -1:]
    values = counts.sum()
    if float(values) <= 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got {int(values)} over {len(table)} processes."
        )
    shares = counts / values
    mean = (shares * means).sum(0)
    var = (shares * (variances + (means - mean).square())).sum(0)
    return mean, var, values
