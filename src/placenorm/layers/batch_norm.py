"""BatchNorm1d, 2d and 3d that take their neighbours with them; drop-in for torch's layers of the same names."""

from typing import Any, Self, final

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.kernels.activations import FUNCTIONS, IDENTITY, Activation
from placenorm.kernels.chain import BEHIND_ADDITION, Chain
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.dispatch import Fused
from placenorm.kernels.pool_chain import Pool, PoolChain
from placenorm.layers.chain_operators import describe_chain
from placenorm.layers.composing import compose
from placenorm.layers.known import Known, remember
from placenorm.layers.normalizing import normalize_batch, view_dense
from placenorm.layers.paths import Path, find_path
from placenorm.layers.pools import describe_chain_pool, describe_pool_chain, list_pool, read_pool
from placenorm.layers.refusals import check_alone, check_channels, check_input


class _OwnForward(_BatchNorm):
    """A torch batch norm with our forward and what users ask for beside; everything else stays torch's.

    Args:
        num_features: C.
        eps: what is added to the variance.
        momentum: weight of a batch in the running statistics; None for the average over all batches.
        affine: whether there are gamma and beta.
        track_running_stats: whether there are running statistics.
        device: of parameters and buffers.
        dtype: of parameters and buffers.
        before: activation in front of the norm, by name or with its parameter; None for none.
        after: activation behind the norm, and behind the residual where one is given; None for none.
        virtual_batch_size: samples that are normalised together when training (ghost batch norm, Hoffer et al. 2017);
            the running statistics take one such batch after the other. None for the whole batch.
        pool: a max or average pool between the activation in front and the norm, in `BatchNorm2d`: a layer of torch's,
            which is read and not kept, a `MaxPool` or an `AvgPool`; None for none.
        pool_after: the same behind the activation behind the norm; a layer has one of the two.
        more: what else torch's layer takes in this version.

    Raises:
        ValueError: an activation is unknown, both are given, or one on the other side of the norm than a pool; both
            pools are given, or one to another layer than `BatchNorm2d`; or the virtual batch size is not positive.
    """

    before: Activation = IDENTITY
    after: Activation = IDENTITY
    pool: Pool | None = None
    pool_after: Pool | None = None
    virtual_batch_size: int | None = None
    frozen: bool = False
    _known: Known | None = None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        before: str | Activation | None = None,
        after: str | Activation | None = None,
        pool: nn.MaxPool2d | nn.AvgPool2d | Pool | None = None,
        pool_after: nn.MaxPool2d | nn.AvgPool2d | Pool | None = None,
        virtual_batch_size: int | None = None,
        **more: Any,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, **more)
        self.fuse(before=before, after=after, pool=pool, pool_after=pool_after)
        if virtual_batch_size is not None and (not isinstance(virtual_batch_size, int) or virtual_batch_size < 1):
            raise ValueError(
                f"A virtual batch has a whole number of samples, at least one, not {virtual_batch_size!r}; give one."
            )
        self.virtual_batch_size = virtual_batch_size

    def fuse(
        self,
        *,
        before: str | Activation | None = None,
        after: str | Activation | None = None,
        pool: nn.MaxPool2d | nn.AvgPool2d | Pool | None = None,
        pool_after: nn.MaxPool2d | nn.AvgPool2d | Pool | None = None,
    ) -> Self:
        """Take what stands in front of this norm or behind it into the layer, and return the layer.

        Raises:
            ValueError: as the class.
        """
        chain = Chain(_name(before), _name(after))
        if pool is not None and chain.after != IDENTITY:
            raise ValueError(f"A norm with a pool in front has no {chain.after.name} behind it; leave that a layer.")
        if pool_after is not None and chain.before != IDENTITY:
            raise ValueError(f"A norm with a pool behind has no {chain.before.name} in front; leave that a layer.")
        if pool is not None and pool_after is not None:
            raise ValueError("A norm is fused with one pool, not with one in front and one behind; leave one a layer.")
        if (pool is not None or pool_after is not None) and not isinstance(self, nn.BatchNorm2d):
            raise ValueError(f"Only BatchNorm2d takes a pool, {type(self).__name__} does not; leave it a layer.")
        read, read_after = read_pool(pool), read_pool(pool_after)
        self.before, self.after, self.pool, self.pool_after = chain.before, chain.after, read, read_after
        self._forget()
        if read is not None:
            describe_pool_chain(chain.before.name, chain.parameter, list_pool(read))
        if read_after is not None:
            describe_chain_pool(chain.after.name, chain.parameter, list_pool(read_after))
        for adds in (False, True):
            if not adds or chain.after.name in BEHIND_ADDITION:
                describe_chain(chain.before.name, chain.after.name, chain.parameter, adds)
        return self

    def freeze(self) -> Self:
        """Keep the running statistics as they are, and use them, also after `train`; return the layer.

        Gamma and beta still learn; ``requires_grad_(False)`` stops them, as ever.

        Raises:
            RuntimeError: if there are no running statistics.
        """
        if self.running_mean is None:
            raise RuntimeError(
                "Cannot freeze a norm without running statistics: it has nothing but the batch's to use."
            )
        self.frozen = True
        return self.eval()

    def unfreeze(self) -> Self:
        """Undo `freeze` and return the layer, in evaluation mode until `train` is called."""
        self.frozen = False
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; a frozen norm stays in evaluation."""
        return super().train(mode and not self.frozen)

    def forward(
        self,
        input: Tensor,  # noqa: A002 - torch's name, which callers may use as a keyword
        residual: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return ``after(norm(before(input)) + residual)``.

        With a pool it is ``norm(pool(before(input)))`` or ``pool_after(after(norm(input)))``.

        In training mode the statistics are the batch's and the running ones are updated; in evaluation mode they
        are the running ones, or the batch's where none are kept. A forward that activation checkpointing runs for the
        second time, within a backward, leaves the running ones alone.

        Args:
            input: ``[N, C, *]``, float16, bfloat16, float32 or float64, any strides.
            residual: what is added behind the norm, of the input's shape and dtype; None for nothing.
            mask: boolean, True where a position counts, ``[N, *]`` or what expands to it; None where all do. Other
                positions add nothing to the statistics, and their output is 0.

        Returns:
            ``[N, C, *]`` in the dtype and the memory format of the input, pooled where there is a pool.

        Raises:
            ValueError: if the rank is not this layer's, if training sees one value per channel, if eps is out of
                range, or if the activation behind the addition is not the identity or a ReLU.
            RuntimeError: if a number of channels, a shape, a dtype or a device does not fit.
            NotImplementedError: if the input is not floating point.

        Source:
            torch.nn.modules.batchnorm._BatchNorm.forward, torch 2.14.
        """
        traced = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
        usual = not traced and mask is None and type(input) is Tensor and self._is_usual()
        known = self._known if usual else None
        if known is not None and known.fits(self, input, residual):
            return known.run(input, residual)
        if isinstance(input, fx.Proxy):
            path = input.tracer.path_of_module(self)
            if path:
                # A leaf, as torch's own norms are: traced through, the mode would be baked into the graph.
                given = {"residual": residual, "mask": mask}
                kwargs = {name: value for name, value in given.items() if value is not None}
                node: Tensor = input.tracer.create_proxy("call_module", path, (input,), kwargs)
                return node
        else:
            self._check_input_dim(input)  # type: ignore[no-untyped-call]
        buffers_in_use = self.track_running_stats or not self.training
        pool = self.pool_after if self.pool is None else self.pool
        y = normalize_batch(
            input,
            residual,
            mask,
            self.running_mean if buffers_in_use else None,
            self.running_var if buffers_in_use else None,
            self.num_batches_tracked if self.track_running_stats else None,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
            self.before.name,
            self.after.name,
            self.before.parameter or self.after.parameter,
            self.virtual_batch_size,
            None if pool is None else list_pool(pool),
            self.pool is None,
        )
        if usual:
            self.__dict__["_known"] = remember(self, input, self._describe(residual is not None))
        return y

    def _describe(self, adds: bool) -> Fused:
        """Return what is fused with the norm."""
        if self.pool is not None:
            return PoolChain(self.pool, self.before)
        if self.pool_after is not None:
            return ChainPool(self.pool_after, self.after)
        return Chain(self.before, self.after, adds)

    def _is_usual(self) -> bool:
        """Whether the layer is set to what `Known` speaks of."""
        return self.virtual_batch_size is None and self.track_running_stats

    def _forget(self) -> None:
        self.__dict__.pop("_known", None)

    def _apply(self, *arguments: Any, **settings: Any) -> Self:
        """Change the layer's tensors as torch does, perhaps in place, which nothing else tells of."""
        self._forget()
        return super()._apply(*arguments, **settings)  # type: ignore[no-untyped-call, no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and stored."""
        return {name: value for name, value in self.__dict__.items() if name != "_known"}

    def extra_repr(self) -> str:
        """Return the settings; those that torch's layer has not only where they are set."""
        fused = {"before": self.before, "after": self.after}
        extra = [f"{name}={each.name}" for name, each in fused.items() if each != IDENTITY]
        pools = {"pool": self.pool, "pool_after": self.pool_after}
        extra += [f"{name}={each!r}" for name, each in pools.items() if each is not None]
        if self.virtual_batch_size is not None:
            extra.append(f"virtual_batch_size={self.virtual_batch_size}")
        if self.frozen:
            extra.append("frozen=True")
        return ", ".join([super().extra_repr(), *extra])  # type: ignore[no-untyped-call]


@final
class BatchNorm1d(_OwnForward, nn.BatchNorm1d):
    """Batch norm over ``[N, C]`` or ``[N, C, S]``; arguments, buffers and errors are those of torch.nn.BatchNorm1d."""


@final
class BatchNorm2d(_OwnForward, nn.BatchNorm2d):
    """Batch norm over ``[N, C, H, W]``; arguments, buffers and errors are those of torch.nn.BatchNorm2d."""


@final
class BatchNorm3d(_OwnForward, nn.BatchNorm3d):
    """Batch norm over ``[N, C, D, H, W]``; arguments, buffers and errors are those of torch.nn.BatchNorm3d."""


def takes_neighbours(module: nn.Module) -> bool:
    """Whether a module is one of our norms with an activation or a pool of its own."""
    return isinstance(module, _OwnForward) and (
        module.before != IDENTITY
        or module.after != IDENTITY
        or module.pool is not None
        or module.pool_after is not None
    )


def explain(layer: _BatchNorm, x: Tensor, residual: Tensor | None = None) -> Path:
    """Return which way an input takes through a norm in its present mode, and why; nothing is computed.

    Args:
        layer: one of our norms, or one of torch's, which always goes torch's way.
        x: ``[N, C, *]``; where virtual batches are used, the first of them is asked for.
        residual: what would be added behind the norm.

    Raises:
        ValueError: if the rank is not this layer's, or a residual is given to a norm with a pool.
        RuntimeError: if the number of channels does not fit, or nothing is left of a pool.
        TypeError: if it is no batch norm, or x is no tensor.
    """
    _check_norm(layer)
    if not isinstance(x, Tensor):
        raise TypeError(f"A norm is asked about an input, not about {type(x).__name__}; give a tensor of its shape.")
    if not isinstance(layer, _OwnForward):
        return Path("torch", "this is torch's own layer; put one of pn.layers in its place to gain.")
    layer._check_input_dim(x)  # type: ignore[no-untyped-call]
    uses_batch = layer.training or layer.running_mean is None
    chain = layer._describe(residual is not None)
    check_channels(x, {"running_mean": layer.running_mean, "weight": layer.weight})
    if not isinstance(chain, Chain):
        check_alone(residual, None)
        chain.pool.find_size(x.shape[2], x.shape[3])
    if layer.training and layer.virtual_batch_size is not None:
        x = x[: layer.virtual_batch_size]
    return find_path(view_dense(x), chain, of_batch=uses_batch)


def zscores(layer: _BatchNorm, x: Tensor) -> Tensor:
    """Return what a norm makes of its input before gamma and beta; nothing in the layer changes.

    Args:
        layer: a batch norm, ours or torch's; in training mode the statistics are the batch's, in evaluation mode the
            running ones, or the batch's where none are kept.
        x: ``[N, C, *]``.

    Returns:
        Distances from the mean in standard deviations of a channel, ``[N, C, *]``, pooled where a pool is in front.

    Raises:
        ValueError: if the rank is not the layer's, or if there is one value per channel.
        RuntimeError: if the number of channels, the dtype or the device does not fit.
        NotImplementedError: if x is not floating point.
        TypeError: if it is no batch norm.
    """
    _check_norm(layer)
    layer._check_input_dim(x)
    check_input(x, {"running_mean": layer.running_mean, "weight": layer.weight}, layer.eps)
    before = layer.before if isinstance(layer, _OwnForward) else IDENTITY
    mean, var = layer.running_mean, layer.running_var
    running = None if layer.training or mean is None or var is None else (mean, var)
    pool = layer.pool if isinstance(layer, _OwnForward) else None
    chain = Chain(before) if pool is None else PoolChain(pool, before)
    with torch.no_grad():
        return compose(x, None, None, None, layer.eps, chain, running=running, of_batch=running is None)


def _check_norm(layer: nn.Module) -> None:
    if not isinstance(layer, _BatchNorm):
        raise TypeError(
            f"This is about batch norms, and {type(layer).__name__} is none; give one of pn.layers or torch.nn."
        )


def _name(activation: str | Activation | None) -> Activation:
    if activation is None:
        return IDENTITY
    if isinstance(activation, str):
        activation = Activation(activation, _USUAL.get(activation, 0.0))
    if not isinstance(activation, Activation):
        raise ValueError(
            f"Name the activation, such as 'relu', or give a pn.layers.Activation; this is {activation!r}."
        )
    if activation.name not in FUNCTIONS:
        raise ValueError(f"There is no activation {activation.name!r} here; use one of {', '.join(FUNCTIONS)}.")
    return activation


_USUAL = {"leaky_relu": 0.01, "elu": 1.0}
"""Parameters where none is given: torch's."""


# In a trace of a layer alone, which has no path to be a leaf under, this call is one node.
fx.wrap("normalize_batch")
