"""A norm that evaluates is a scale and a shift per channel: taken into the weights before it, or into those behind.

Both are exact up to rounding; the derivation is in docs/maths/absorbing.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.errors import ModelError


@dataclass(frozen=True, slots=True)
class Affine:
    """What a norm does in evaluation: ``scale * x + shift``.

    Attributes:
        scale: ``[C]``, float64.
        shift: ``[C]``, float64.
    """

    scale: Tensor
    shift: Tensor

    def repeat(self, times: int) -> "Affine":
        """Return it for features that are the channels' places, flattened: each channel stands for several."""
        return Affine(self.scale.repeat_interleave(times), self.shift.repeat_interleave(times))


def affine_of(norm: _BatchNorm) -> Affine:
    """Return the scale and the shift that a norm applies in evaluation.

    Args:
        norm: a norm that keeps running statistics.

    Source:
        torch.nn.functional.batch_norm, torch 2.14, with training=False.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, var = norm.running_mean.detach().double(), norm.running_var.detach().double()
    scale = (var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return Affine(scale, shift)


def absorb_output(module: nn.Module, affine: Affine) -> None:
    """Make a weight op's output what a norm straight behind it made of it.

    Args:
        module: a conv, a transposed conv or a linear layer; it has a bias.
        affine: the norm, over the output's channels.

    Source:
        derived in docs/maths/absorbing.md.
    """
    weight: Any = module.weight
    bias: Any = module.bias
    scale, shift = affine.scale.to(weight), affine.shift.to(weight)
    with torch.no_grad():
        if isinstance(module, nn.modules.conv._ConvTransposeNd):  # [C_in, C_out / groups, *k]
            groups = module.groups
            grouped = weight.view(groups, -1, *weight.shape[1:])
            grouped.mul_(scale.view(groups, 1, -1, *(1 for _ in weight.shape[2:])))
        else:
            weight.mul_(scale.view(-1, *(1 for _ in weight.shape[1:])))
        bias.mul_(scale).add_(shift)


def absorb_input(module: nn.Module, affine: Affine) -> None:
    """Make a weight op read what a norm straight before it read.

    Args:
        module: a conv that does not pad with zeros, or a linear layer; it has a bias, unless the shift is zero.
        affine: the norm, over the input's channels.

    Source:
        derived in docs/maths/absorbing.md.
    """
    weight: Any = module.weight
    bias: Any = module.bias
    groups = int(getattr(module, "groups", 1))
    scale, shift = affine.scale.to(weight), affine.shift.to(weight)
    places = [1 for _ in weight.shape[2:]]
    with torch.no_grad():
        grouped = weight.view(groups, -1, *weight.shape[1:])  # [groups, C_out / groups, C_in / groups, *k]
        if bias is not None:
            moved = grouped * shift.view(groups, 1, -1, *places)
            bias.add_(moved.flatten(2).sum(2).flatten())
        grouped.mul_(scale.view(groups, 1, -1, *places))


def lacks_bias(model: nn.Module, path: str) -> bool:
    """Whether the weight op at a path has no bias."""
    return getattr(model.get_submodule(path), "bias", None) is None


def check_weight_ops(model: nn.Module, paths: Iterable[str]) -> None:
    """Raise an error unless there is a weight op at every path.

    Raises:
        ModelError: naming the first path at which there is none.
    """
    modules = dict(model.named_modules())
    for path in paths:
        module = modules.get(path)
        if not isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
            raise ModelError(
                f"Cannot give {path} a bias: the model has no conv and no linear layer of that path; use the placement "
                "file with the model that it was written for."
            )


def give_biases(model: nn.Module, paths: Iterable[str]) -> None:
    """Give weight ops of a model a bias of zero, by their paths, where they have none.

    Raises:
        ModelError: if there is no weight op at a path.
    """
    paths = list(paths)
    check_weight_ops(model, paths)
    for path in paths:
        module: Any = model.get_submodule(path)
        give_bias(module, module.out_features if isinstance(module, nn.Linear) else module.out_channels)


def give_bias(module: nn.Module, channels: int) -> None:
    """Give a weight op a bias of zero where it has none."""
    given: Any = module
    if given.bias is None:
        weight: Tensor = given.weight
        zeros = torch.zeros(channels, dtype=weight.dtype, device=weight.device)
        given.bias = nn.Parameter(zeros, requires_grad=weight.requires_grad)
