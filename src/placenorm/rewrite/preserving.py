"""What a trained network has learned, kept while its norms move: what each edit does to the values, and why it may.

In evaluation a norm is a scale and a shift per channel. One that goes is taken into the weights before it, or into all
the weights behind it. One that comes starts as the identity: its statistics are the data's, and gamma and beta undo
them. One that crosses a pool which lets a scale and a shift pass keeps its values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.facts.edits import Edit
from placenorm.facts.graph import Graph, Op
from placenorm.graph.flow import Flow
from placenorm.probe.measuring import ChannelMoments
from placenorm.probe.states import MEASURED
from placenorm.rewrite.absorbing import Affine, absorb_input, absorb_output, affine_of, give_bias

_PASSING = frozenset({"identity", "dropout"})


class CannotPreserveError(Exception):
    """An edit that would change what the network computes, with the reason."""


@dataclass(frozen=True, slots=True)
class ValueChange:
    """What an edit does to the values of a network.

    Attributes:
        carries: whether the norm keeps its values where it goes.
        before: path of the weight op that takes the norm in on its output; None without one.
        behind: paths of the weight ops that take it in on their inputs, with the places that each channel is flattened
            to on the way.
    """

    carries: bool = False
    before: str | None = None
    behind: tuple[tuple[str, int], ...] = ()

    @property
    def weights(self) -> tuple[str, ...]:
        """The paths of the weight ops that take the norm in."""
        return (*(() if self.before is None else (self.before,)), *(path for path, _ in self.behind))


@dataclass(slots=True)
class ValueKeeper:
    """Finds out what edits do to the values of a network that is to compute the same afterwards.

    Args:
        model: the network, in float64 or not; only its norms' values are looked at.
        graph: its graph.
        gone: indices of the norms that earlier edits have taken in already.
        planned: what edits do to the values, by the path of their norm.
    """

    model: nn.Module
    graph: Graph
    flow: Flow = field(init=False)
    gone: set[int] = field(default_factory=set)
    planned: dict[str, ValueChange] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.flow = Flow(self.graph.ops)

    def plan(self, edit: Edit) -> ValueChange:
        """Return what an edit does to the values.

        Raises:
            CannotPreserveError: if the network would compute something else afterwards.
        """
        if edit.norm is None:
            return ValueChange()
        norm = self.graph.ops[edit.norm]
        affine = self._affine(norm)
        if norm.module in self.planned:  # a norm that stands on several lines is taken in once
            return replace(self.planned[norm.module], before=None, behind=())
        change = self._plan(edit, norm, affine)
        self.planned[str(norm.module)] = change
        return change

    def _plan(self, edit: Edit, norm: Op, affine: Affine) -> ValueChange:
        if edit.anchor is not None and not self._between(edit, affine):
            return ValueChange(carries=True)
        if edit.anchor is not None and getattr(self.model.get_submodule(str(norm.module)), "weight", None) is None:
            raise CannotPreserveError(f"its norm {norm.key} has no gamma and beta with which to begin as the identity")
        calls = [index for index, op in enumerate(self.graph.ops) if op.module == norm.module and op.kind == "norm"]
        try:
            change = ValueChange(before=self._weights_before(calls, affine))
        except CannotPreserveError as error:
            try:
                change = ValueChange(behind=self._weights_behind(calls, affine))
            except CannotPreserveError as other:
                raise CannotPreserveError(
                    f"its norm {norm.key} cannot be taken into the weights before it ({error}), nor into those behind "
                    f"it ({other})"
                ) from other
        self.gone.update(calls)
        return change

    def apply(self, edit: Edit, change: ValueChange) -> None:
        """Change the weights that take a norm in."""
        if edit.norm is None or change.carries:
            return
        affine = self._affine(self.graph.ops[edit.norm])
        if change.before is not None:
            absorb_output(self.model.get_submodule(change.before), affine)
        for path, times in change.behind:
            absorb_input(self.model.get_submodule(path), affine.repeat(times))

    def give_biases(self, model: nn.Module, change: ValueChange) -> None:
        """Give the weight ops that take a norm in a bias, in this model or in its twin."""
        for path in change.weights:
            op = next(op for op in self.graph.ops if op.module == path)
            give_bias(model.get_submodule(path), op.out_shape[op.channel_axis])

    def _affine(self, norm: Op) -> Affine:
        if norm.module is None:
            raise CannotPreserveError(f"its norm {norm.key} is a functional call, whose values stand in your forward")
        module = self.model.get_submodule(norm.module)
        if not isinstance(module, _BatchNorm) or module.running_mean is None or module.running_var is None:
            raise CannotPreserveError(f"its norm {norm.key} keeps no running statistics, so it never evaluates")
        return affine_of(module)

    # -- what stands in a norm's way

    def _between(self, edit: Edit, affine: Affine) -> str:
        """Return why a norm cannot keep its values where it goes; "" if it can."""
        block = next(b for b in (*self.graph.blocks, *self.graph.joins) if b.key == edit.block)
        assert edit.norm is not None
        start = block.chain.index(edit.norm)
        anchor = -1 if edit.anchor == block.weight else block.chain.index(edit.anchor or 0)
        crossed = block.chain[start + 1 : anchor + 1] if anchor > start else block.chain[anchor + 1 : start]
        for index in crossed:
            if index == edit.swaps:  # it stays behind the norm: the pool goes before both
                continue
            reason = self._barrier(index, affine)
            if reason or self.graph.ops[index].kind == "reshape":
                return reason or "its channels are others behind a reshape"
        return ""

    def _barrier(self, index: int, affine: Affine) -> str:
        """Return why a scale and a shift per channel cannot pass an op; "" if they can."""
        op = self.graph.ops[index]
        if op.kind in _PASSING or (op.kind == "norm" and index in self.gone) or op.means_only:
            return ""
        if op.kind == "pool" and "max" in op.name.lower():
            falling = int((affine.scale < 0).sum())
            reason = f"gamma is negative in {falling} channels, of which the max pool {op.key} would take minima"
            return reason if falling else ""
        if op.kind == "pool":
            return f"the pool {op.key} counts padding, or does more than take the mean"
        if op.kind == "reshape":
            return ""
        if op.kind == "activation":
            return f"the activation {op.key} stands between"
        if op.kind == "output":
            return "it gives the network's output"
        return f"{op.name} ({op.key}) stands between"

    def _weights_before(self, calls: Sequence[int], affine: Affine) -> str:
        """Return the weight op whose output a norm can be taken into."""
        found: set[int] = set()
        for call in calls:
            here = self.flow.source(call)
            while here is not None and self.graph.ops[here].kind != "weight":
                reason = self._barrier(here, affine)
                if reason:
                    raise CannotPreserveError(reason)
                if len(self.flow.readers[here]) != 1:
                    raise CannotPreserveError(f"others read {self.graph.ops[here].key} too")
                here = self.flow.source(here)
            if here is None:
                raise CannotPreserveError("no weight op stands before it")
            op, norm = self.graph.ops[here], self.graph.ops[call]
            if len(self.flow.readers[here]) != 1:
                raise CannotPreserveError(f"others read {op.key} too")
            if op.out_shape[op.channel_axis] != norm.in_shape[1]:
                raise CannotPreserveError(f"it normalises other channels than {op.key} gives")
            if op.channel_axis != 1 and len(norm.in_shape) != 2:
                raise CannotPreserveError(f"it normalises another axis than {op.key} has its features on")
            found.add(here)
        return self._one_module(found)[0]

    def _weights_behind(self, calls: Sequence[int], affine: Affine) -> tuple[tuple[str, int], ...]:
        """Return the weight ops whose inputs a norm can be taken into."""
        found: dict[int, int] = {}
        for call in calls:
            pending = [(reader, 1) for reader in self.flow.readers[call]]
            if not pending:
                raise CannotPreserveError("nothing reads it")
            while pending:
                here, times = pending.pop()
                op = self.graph.ops[here]
                if op.kind == "weight":
                    self._check_reader(op, times, affine)
                    found[here] = times
                    continue
                reason = self._barrier(here, affine)
                if reason:
                    raise CannotPreserveError(reason)
                if op.kind == "reshape":
                    times = _flattened(op, times)
                pending.extend((reader, times) for reader in self.flow.readers[here])
        paths = self._one_module(set(found), several=True)
        times_of = {str(self.graph.ops[index].module): times for index, times in found.items()}
        return tuple((path, times_of[path]) for path in paths)

    def _check_reader(self, op: Op, times: int, affine: Affine) -> None:
        """Raise an error unless a weight op can take a norm in on its input."""
        if op.module is None:
            raise CannotPreserveError(f"the weights of {op.key} stand in a forward of your own")
        module: Any = self.model.get_submodule(op.module)
        if isinstance(module, nn.Linear):
            if module.in_features != len(affine.scale) * times or (times == 1 and len(op.in_shape) != 2):
                raise CannotPreserveError(f"{op.key} reads the channels in another order")
            return
        if isinstance(module, nn.modules.conv._ConvTransposeNd):
            raise CannotPreserveError(f"{op.key} is a transposed conv, whose borders would miss the shift")
        plain = type(module)._conv_forward is getattr(nn, f"Conv{len(op.out_shape) - 2}d")._conv_forward
        own = type(module).forward is not getattr(nn, f"Conv{len(op.out_shape) - 2}d").forward
        padded = any(module.padding) if not isinstance(module.padding, str) else module.padding != "valid"
        if times != 1:
            raise CannotPreserveError(f"{op.key} reads the channels in another order")
        if not plain or own:
            raise CannotPreserveError(f"{op.key} has a forward of its own")
        if padded and module.padding_mode == "zeros" and bool((affine.shift != 0).any()):
            raise CannotPreserveError(f"{op.key} pads with zeros, where the norm's shift would be missing")

    def _one_module(self, found: set[int], *, several: bool = False) -> list[str]:
        """Return the modules of weight ops, which must run nowhere else and hold weights of their own."""
        paths = {self.graph.ops[index].module for index in found}
        if None in paths:
            key = next(self.graph.ops[index].key for index in found if self.graph.ops[index].module is None)
            raise CannotPreserveError(f"the weights of {key} stand in a forward of your own")
        if len(paths) > 1 and not several:
            raise CannotPreserveError(f"it stands behind several weight ops ({', '.join(sorted(map(str, paths)))})")
        for path in sorted(map(str, paths)):
            runs = [index for index, op in enumerate(self.graph.ops) if op.module == path]
            elsewhere = [self.graph.ops[index].key for index in runs if index not in found]
            if elsewhere:
                raise CannotPreserveError(f"{path} also runs as {', '.join(elsewhere)}")
            if not all(self.graph.ops[index].plain_weights for index in runs):
                raise CannotPreserveError(f"{path} does not compute with its weights just as they are")
            self._check_own(path)
        return sorted(map(str, paths))

    def _check_own(self, path: str) -> None:
        """Raise an error if another module holds the same weights or bias."""
        own = {id(parameter) for parameter in self.model.get_submodule(path).parameters(recurse=False)}
        module = self.model.get_submodule(path)
        for other_path, other in self.model.named_modules():
            if other is not module and own & {id(parameter) for parameter in other._parameters.values()}:
                raise CannotPreserveError(f"{path} shares its weights with {other_path}")
        if self.flow.parameters_read_by_others & {f"{path}.weight", f"{path}.bias"}:
            raise CannotPreserveError(f"a forward reads the weights of {path} by itself")


def make_identity(norm: _BatchNorm, shift: Tensor | None) -> None:
    """Let a fresh norm evaluate to the identity, plus a shift per channel.

    Args:
        norm: a norm with gamma, beta and running statistics.
        shift: ``[C]``, the bias that its weight op has lost; None for none.
    """
    with torch.no_grad():
        norm.running_mean.zero_()  # type: ignore[union-attr]
        norm.running_var.fill_(1.0)  # type: ignore[union-attr]
        norm.weight.fill_((1.0 + norm.eps) ** 0.5)
        norm.bias.zero_()
        if shift is not None:
            norm.bias.add_(shift)


def set_measured(norm: _BatchNorm, moments: ChannelMoments) -> None:
    """Give a norm the statistics that were measured, and a gamma and beta that undo them; its shift stays."""
    if moments.mean is None:
        return  # it never saw a value: it stays the identity that it is
    with torch.no_grad():
        norm.running_mean.copy_(moments.mean)  # type: ignore[union-attr]
        norm.running_var.copy_(moments.var_unbiased)  # type: ignore[union-attr]
        norm.weight.copy_((norm.running_var.double() + norm.eps).sqrt())  # type: ignore[union-attr]
        norm.bias.add_(norm.running_mean)  # type: ignore[arg-type]
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.fill_(moments.batches)
            norm.__dict__[MEASURED] = moments.batches


def _flattened(op: Op, times: int) -> int:
    """Return to how many features each channel is flattened behind a reshape.

    Raises:
        CannotPreserveError: if the channels do not stay together, in order.
    """
    before, after = op.in_shape, op.out_shape
    if before[:2] == after[:2]:
        return times
    flat = 1
    for size in before[2:]:
        flat *= size
    if times == 1 and len(after) == 2 and after == (before[0], before[1] * flat):
        return flat
    raise CannotPreserveError(f"{op.name} ({op.key}) takes the channels apart")
