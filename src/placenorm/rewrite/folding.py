"""The weights of a network whose norms are folded: forms of its channels, written into weights.

The derivation is in docs/maths/folding.md.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from placenorm.graph.channel_rules import NormUse, WeightUse
from placenorm.layers.bordered import add_border
from placenorm.rewrite.absorbing import give_bias
from placenorm.rewrite.forms import Forms
from placenorm.rewrite.parallels import Parallel


def fold_weights(module: nn.Module, use: WeightUse, forms: Forms, beside: Sequence[Parallel] = ()) -> None:
    """Let a weight op read its input, and give its output, in other forms, in place.

    Args:
        module: a conv, a transposed conv or a linear layer.
        use: what it reads and gives.
        forms: the forms of the channels.
        beside: what it takes in of norms beside it.

    Source:
        derived in docs/maths/folding.md.
    """
    if is_plain(use, forms) and not beside:
        return
    opened, lifted = (torch.from_numpy(each) for each in forms.undo(use.reads))
    scale, shift = torch.from_numpy(forms.scale[use.gives]), torch.from_numpy(forms.shift[use.gives])
    held: Any = module
    groups = int(getattr(module, "groups", 1))
    transposed = isinstance(module, nn.modules.conv._ConvTransposeNd)
    weight = held.weight.detach().double().cpu()
    places = [1] * (weight.dim() - 2)
    # [groups, C_out / groups, C_in / groups, *kernel]
    if transposed:
        grouped = weight.view(groups, -1, *weight.shape[1:]).transpose(1, 2)
    else:
        grouped = weight.view(groups, -1, *weight.shape[1:])
    grouped = grouped * scale.view(groups, -1, 1, *places)
    taps = (grouped * lifted.view(groups, 1, -1, *places)).sum(2).flatten(0, 1)  # [C_out, *kernel]
    grouped = grouped * opened.view(groups, 1, -1, *places)
    added = taps.flatten(1).sum(1) if places else taps
    wide = grouped.shape[1]
    for each in beside:
        one, less = (float(values[0]) for values in forms.undo(np.array([each.source])))
        carried = float(forms.scale[each.label])
        grouped[(each.gives // wide, each.gives % wide, each.reads, *each.tap)] += carried * each.scale * one
        added[each.gives] += carried * (each.scale * less + each.shift)
    with torch.no_grad():
        changed = grouped.transpose(1, 2) if transposed else grouped
        held.weight.copy_(changed.reshape(held.weight.shape))
        before = 0.0 if held.bias is None else held.bias.detach().double().cpu() * scale
        bias = before + added + shift
        if held.bias is not None or bool((bias != 0).any()):
            give_bias(module, len(bias))
            held.bias.copy_(bias)
    if use.varies and bool((taps != 0).any()):
        add_border(module, taps)


def fold_norm(module: nn.Module, use: NormUse, forms: Forms) -> None:
    """Let a norm that stays read its input, and give its output, in other forms, in place.

    Args:
        module: a norm with gamma and beta.
        use: what it reads and gives.
        forms: the forms of the channels.
    """
    if is_plain(use, forms):
        return
    opened, lifted = forms.undo(use.reads)
    scale, shift = forms.scale[use.gives], forms.shift[use.gives]
    held: Any = module

    def fill(tensor: Tensor, values: Any) -> None:
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(values)))

    gamma = held.weight.detach().double().cpu().numpy()
    with torch.no_grad():
        fill(held.bias, scale * (use.scale * lifted + use.shift) + shift)
        fill(held.weight, gamma * opened * scale)
        held.running_mean.zero_()


def is_plain(use: WeightUse | NormUse, forms: Forms) -> bool:
    """Whether a call reads and gives its channels as they were."""
    opened, lifted = forms.undo(use.reads)
    scale, shift = forms.scale[use.gives], forms.shift[use.gives]
    return bool((opened == 1).all() and (lifted == 0).all() and (scale == 1).all() and (shift == 0).all())


def find_centre(module: nn.Module) -> tuple[int, ...] | None:
    """Return the tap with which a conv reads, at every place of its output, the same place of its input; else None.

    Args:
        module: a conv, a transposed conv or a linear layer; the last has one tap, without an index.
    """
    if isinstance(module, nn.Linear):
        return ()
    held: Any = module
    if held.transposed or any(step != 1 for step in held.stride) or any(size % 2 == 0 for size in held.kernel_size):
        return None
    reach = [step * (size // 2) for step, size in zip(held.dilation, held.kernel_size, strict=True)]
    padding = reach if held.padding == "same" else [0] * len(reach) if held.padding == "valid" else list(held.padding)
    return tuple(size // 2 for size in held.kernel_size) if padding == reach else None
