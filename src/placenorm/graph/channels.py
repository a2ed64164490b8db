"""What a network does with each of its channels: which values belong to one channel, and what happens to them.

A model runs once on its example, and every tensor gets a label for every value: two values have one label if they are
the same channel of the same tensor, or become so where a call only moves, picks or averages them. What calls compute
is written down as rules for labels. A label stands for a channel that may be carried in another form,
``scale * value + shift``, as long as every rule about it holds; `rewrite.forms` finds out which forms there are.
"""

import gc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from placenorm.graph.channel_calls import (
    ADDING,
    CONVS,
    DROPPING,
    HOMOGENEOUS,
    JOINING,
    LIKE,
    MOVING,
    MOVING_LIKE,
    MULTIPLYING,
    OF_WEIGHTS,
    PLAIN_CONVS,
    REDUCING,
    RESIZING,
    SAME,
    TELLING,
    TRANSPOSED,
    WEIGHT_OPS,
    name_call,
    read_argument,
)
from placenorm.graph.channel_labels import (
    find_shared_memory,
    is_open,
    list_labels,
    memory_of,
    read_channels,
    starts_alike,
    thin,
)
from placenorm.graph.channel_rules import GROUND, ChannelRules, Labels, NormUse, WeightUse
from placenorm.graph.modes import HookedMode
from placenorm.graph.tracing import ExampleInputs, bind_inputs, map_tensors, undisturbed
from placenorm.graph.values import list_contents, tensors_in
from placenorm.graph.vocabulary import call_means_only, kind_of_call


def follow_channels(model: nn.Module, example_inputs: ExampleInputs) -> ChannelRules:
    """Return the rules that a model's calls in evaluation set for its channels; the model stays as it is.

    Args:
        model: a model that runs on the example.
        example_inputs: what it is called with.

    Raises:
        ModelError: if the example inputs do not fit the forward.
    """
    with undisturbed(model):
        bound = bind_inputs(model, map_tensors(lambda x: x.detach().clone(), example_inputs))
        recorder = _ChannelRecorder(model)
        recorder.note_inputs(bound.arguments)
        with recorder:
            output = model(*bound.args, **bound.kwargs)
        return recorder.finish(output)


class _ChannelRecorder(HookedMode):
    """Labels the values of a model while it runs, and writes down the rules."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._rules = ChannelRules()
        self._labels: Any = WeakTensorKeyDictionary()
        self._live: Any = WeakTensorKeyDictionary()  # what hangs on the network's input
        self._modules = dict(model.named_modules())
        self._paths: dict[int, str] = {}
        self._owned: dict[int, tuple[str, str]] = {}
        for path, module in self._modules.items():
            self._paths.setdefault(id(module), path)
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None:
                    self._owned.setdefault(id(tensor), (path, name))
        contents = [value for module in model.modules() for _, value in list_contents(module)]
        self._held = list(tensors_in(contents))
        self._constants = {id(tensor) for tensor in self._held}
        self._running: list[tuple[str, int]] = []
        self._counts: dict[tuple[str, bool], int] = {}
        self._touched = find_shared_memory(self._modules)

    def add_hooks(self) -> Iterable[RemovableHandle]:
        """See modules begin and end."""
        yield register_module_forward_pre_hook(self._enter_module)
        yield register_module_forward_hook(self._leave_module, with_kwargs=True, always_call=True)

    def finish(self, output: object) -> ChannelRules:
        """Return the rules, closed by what the network returns, and by what its parameters are read for beside."""
        rules = self._rules
        for tensor in tensors_in(output):
            self._fix(tensor, "the network's output")
        if not all(self._knows(tensor) for tensor in tensors_in(output)) or not is_open(output):
            rules.fix(range(rules.count), "an output that cannot be looked into")
        given = {id(tensor) for tensor in tensors_in(output)}
        if any(id(tensor) not in given and self._carries(tensor) for tensor in list(self._labels)):
            gc.collect()  # what a forward is done with may wait for it in a circle
            for tensor in list(self._labels):
                self._fix(tensor, "a tensor that the network keeps")
        uses: list[WeightUse | NormUse] = [*rules.weights, *rules.norms]
        for use in uses:
            cause = self._touched.get(use.path)
            if cause is not None and not (isinstance(use, NormUse) and use.functional):  # its values stay
                rules.fix((*use.reads, *use.gives), cause)
        for path in {use.path for use in rules.weights}:
            self._identify([use for use in rules.weights if use.path == path])
        for path in {use.path for use in rules.norms if not use.functional}:
            self._identify([use for use in rules.norms if use.path == path and not use.functional])
        return rules

    def _identify(self, uses: Sequence[WeightUse | NormUse]) -> None:
        """Let every call of one module take in, and give, the same forms."""
        for use in uses[1:]:
            self._rules.alike.append((uses[0].reads, use.reads))
            self._rules.alike.append((uses[0].gives, use.gives))

    # -- modules

    def _enter_module(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._running.append((self._paths.get(id(module), type(module).__name__), self._rules.count))

    def _leave_module(self, module: nn.Module, *given: Any) -> None:
        *given_in, output = given  # torch leaves the arguments by name out where the module failed
        _, first = self._running.pop()
        unseen = [tensor for tensor in tensors_in(output) if not self._knows(tensor)]
        if unseen:  # compiled code made it, say, of what the module was given or made before
            cause = f"{type(module).__name__} {self._paths.get(id(module), '')}"
            with torch._C.DisableTorchFunction():  # what is done with labels is no call of the network
                for tensor in tensors_in(given_in):
                    self._fix(tensor, cause)
                self._rules.fix(range(first, self._rules.count), cause)
                for tensor in unseen:
                    self._set_ground(tensor)

    def _knows(self, tensor: Tensor) -> bool:
        """Whether somebody saw who made a tensor, or it was there before."""
        return tensor in self._labels or id(tensor) in self._constants

    def _is_running(self, path: str) -> bool:
        """Whether a call stands in the forward of the module at a path itself."""
        return bool(self._running) and self._running[-1][0] == path

    # -- calls

    def note_inputs(self, inputs: Any) -> None:
        """Note that what the network is given stays as it is."""
        for tensor in tensors_in(inputs):
            self._set_ground(tensor)
            self._live[tensor] = True

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not args and "input" in kwargs:
            args, kwargs = (kwargs["input"],), {key: held for key, held in kwargs.items() if key != "input"}
        name = name_call(func)
        if name == "iter":
            return iter(self.__torch_function__(Tensor.unbind, types, args, kwargs))
        given = list(tensors_in((args, kwargs)))
        for tensor in given:
            if not self._knows(tensor):
                self._note_unseen(tensor, name)
        source = args[0] if args else kwargs.get("input")
        result = func(*args, **kwargs)
        if any(tensor in self._live for tensor in given):
            for tensor in tensors_in(result):
                self._live[tensor] = True
        if name in TELLING and not (isinstance(result, Tensor) and name == "type"):
            if name == "attribute" and isinstance(result, Tensor):
                self._note_attribute(source, result)
            return result
        if name in ("set", "delete"):
            if len(given) > 1:  # x.data = y
                self._note_other(args, kwargs, given[:1], name)
            return result
        if name not in WEIGHT_OPS and name != "batch_norm":
            self._note_owned((args, kwargs), name)
            if name in LIKE or not any(self._carries(tensor) for tensor in given):
                for tensor in tensors_in(result):
                    self._set_ground(tensor)
                return result
        self._note(func, name, args, kwargs, result)
        return result

    def _note_unseen(self, tensor: Tensor, name: str) -> None:
        """Note that somebody made a tensor of something, and nobody saw of what."""
        self._rules.fix(range(self._rules.count), f"{self._where(name)}, which reads what cannot be looked into")
        self._set_ground(tensor)
        self._live[tensor] = True

    def _carries(self, tensor: Tensor) -> bool:
        """Whether anything of a tensor may have another form."""
        return tensor in self._labels and bool(thin(self._labels[tensor]).any())

    def _note(
        self,
        func: Callable[..., Any],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
    ) -> None:
        made = list(tensors_in(result))
        source = args[0] if args else kwargs.get("input")
        if name in WEIGHT_OPS and isinstance(result, Tensor):
            self._note_weight_op(name, args, kwargs, result)
        elif name == "batch_norm" and isinstance(result, Tensor):
            self._note_norm(args, kwargs, result)
        elif name in MOVING or name in MOVING_LIKE:
            self._note_moving(func, name, args, kwargs, made)
        elif len(made) != 1 or not isinstance(source, Tensor) or kwargs.get("out") is not None:
            self._note_other(args, kwargs, made, name)
        elif name in SAME or (name in DROPPING and not self._drops(args, kwargs)):
            self._carry(source, result, name)
        elif name in HOMOGENEOUS:
            for slope in tensors_in((args[1:], {key: held for key, held in kwargs.items() if key != "input"})):
                self._fix(slope, self._where(name))
            self._carry(source, result, name, positive=True, centred=True)
        elif (name in ADDING or name == "neg") and result is source and self._is_shared(result):
            self._note_other(args, kwargs, made, f"{name} in memory that others read")
        elif kind_of_call(func) == "activation":
            self._note_activation(source, result, name)
        elif name in ADDING:
            self._note_sum(args, kwargs, result, name)
        elif name in MULTIPLYING:
            self._note_product(args, kwargs, result, name)
        elif name == "neg":
            self._note_negation(source, result)
        else:
            self._note_spatial(func, name, args, kwargs, result, source)

    def _note_spatial(
        self,
        func: Callable[..., Any],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Tensor,
        source: Tensor,
    ) -> None:
        """Note pools and what else makes places of other places, channel by channel."""
        labels = self._find(source)
        if "max_pool" in name:
            self._spread(source, labels, result, name, args, kwargs, positive=True)
        elif "avg_pool" in name or (name in REDUCING and "dtype" not in kwargs):
            means = name == "mean" or call_means_only(func, args, kwargs, result)
            if name in REDUCING:
                self._reduce(source, labels, result, name, args, kwargs, centred=not means)
            else:
                self._spread(source, labels, result, name, args, kwargs, centred=not means)
        elif name in RESIZING:
            self._spread(source, labels, result, name, args, kwargs)
        elif name == "pad":
            self._note_pad(source, labels, result, args, kwargs)
        else:
            self._note_other(args, kwargs, [result], name)

    # -- labels of tensors

    def _find(self, tensor: Tensor) -> Tensor:
        """Return the label of every value of a tensor, in its shape; whoever nobody labelled stays as it is."""
        labels: Tensor | None = self._labels.get(tensor)
        if labels is None or labels.shape != tensor.shape:
            return torch.zeros((), dtype=torch.int64).expand(tensor.shape)
        return labels

    def _where(self, name: str) -> str:
        owner = self._running[-1][0] if self._running else ""
        return f"{name} ({owner})" if owner else name

    def _fix(self, tensor: Tensor, cause: str) -> None:
        if tensor in self._labels:
            self._rules.fix(list_labels(self._labels[tensor]), cause)

    def _set(self, tensor: Tensor, labels: Tensor) -> None:
        self._labels[tensor] = labels

    def _set_ground(self, tensor: Tensor) -> None:
        self._set(tensor, torch.zeros((), dtype=torch.int64).expand(tensor.shape))

    def _set_channels(self, tensor: Tensor, labels: Labels, axis: int) -> None:
        shape = [1] * tensor.dim()
        shape[axis] = -1
        self._set(tensor, torch.from_numpy(labels).view(shape).expand(tensor.shape))

    def _note_other(self, args: Any, kwargs: Any, made: list[Tensor], name: str) -> None:
        """Note a call that lets no other form pass."""
        for tensor in tensors_in((args, kwargs)):
            self._fix(tensor, self._where(name))
        for tensor in made:
            self._set_ground(tensor)

    def _note_owned(self, nest: Any, name: str) -> None:
        """Note that a call reads parameters or buffers by itself."""
        for tensor in tensors_in(nest):
            path, held = self._owned.get(id(tensor), ("", ""))
            if held in OF_WEIGHTS or (held and name not in MULTIPLYING and name not in HOMOGENEOUS):
                self._touched.setdefault(path, f"a forward that reads {path}.{held} by itself")

    def _note_attribute(self, source: Any, result: Tensor) -> None:
        self._note_owned(source, "attribute")
        if not isinstance(source, Tensor) or source not in self._labels:
            self._set_ground(result)
        elif result.shape == source.shape and result.stride() == source.stride() and starts_alike(result, source):
            self._set(result, self._labels[source])  # x.data
        else:
            self._note_other((source,), {}, [result], "attribute")

    def _is_shared(self, tensor: Tensor) -> bool:
        """Whether another tensor reads a tensor's memory."""
        memory = memory_of(tensor)
        return any(other is not tensor and memory_of(other) == memory for other in self._labels)

    # -- what lets forms pass

    def _carry(
        self, source: Tensor, result: Tensor, name: str, *, positive: bool = False, centred: bool = False
    ) -> None:
        """Note a call that works value by value and keeps the form."""
        labels = self._find(source)
        if labels.shape != result.shape or not result.is_floating_point():
            self._note_other((source,), {}, [result], name)
            return
        self._demand(labels, name, positive=positive, centred=centred)
        self._set(result, labels)

    def _note_activation(self, source: Tensor, result: Tensor, name: str) -> None:
        """Note an activation that lets no other form pass: its channels stay channels, as they are."""
        labels = self._find(source)
        if labels.shape != result.shape:
            self._note_other((source,), {}, [result], name)
            return
        cause = self._where(name)
        held, where = torch.unique(thin(labels), return_inverse=True)
        self._rules.fix(held.tolist(), cause)
        made = self._rules.add_labels(len(held))
        made[held.numpy() == GROUND] = GROUND
        self._rules.fix(made.tolist(), cause)
        self._set(result, torch.from_numpy(made)[where].view(thin(labels).shape).expand(result.shape))

    def _demand(self, labels: Tensor, name: str, *, positive: bool = False, centred: bool = False) -> None:
        if positive or centred:
            found, cause = list_labels(labels), self._where(name)
            if positive:
                self._rules.keep_sign(found, cause)
            if centred:
                self._rules.centre(found, cause)

    def _spread(
        self,
        source: Tensor,
        labels: Tensor,
        result: Tensor,
        name: str,
        args: Any,
        kwargs: Any,
        *,
        positive: bool = False,
        centred: bool = False,
    ) -> None:
        """Note a call that makes each place of a channel of places of that channel."""
        axis = min(1, source.dim() - 1)
        channels = read_channels(labels, axis)
        if channels is None or result.dim() != source.dim() or result.shape[: axis + 1] != source.shape[: axis + 1]:
            self._note_other(args, kwargs, [result], name)
            return
        self._demand(labels, name, positive=positive, centred=centred)
        self._set_channels(result, channels, axis)

    def _reduce(
        self, source: Tensor, labels: Tensor, result: Tensor, name: str, args: Any, kwargs: Any, *, centred: bool
    ) -> None:
        """Note a mean or a sum over axes along which the channel is the same."""
        axes = read_argument(args, kwargs, 1, "dim", "axis")
        if axes is None or isinstance(axes, str) or axes in ((), []):
            self._note_other(args, kwargs, [result], name)
            return
        places = [axis % source.dim() for axis in (axes if isinstance(axes, (tuple, list)) else (axes,))]
        kept = labels
        for axis in places:
            if source.shape[axis] == 0 or not bool((labels == labels.narrow(axis, 0, 1)).all()):
                self._note_other(args, kwargs, [result], name)
                return
            kept = kept.narrow(axis, 0, 1)
        self._demand(labels, name, centred=centred)
        self._set(result, kept.reshape(result.shape))

    def _note_pad(self, source: Tensor, labels: Tensor, result: Tensor, args: Any, kwargs: Any) -> None:
        mode = read_argument(args, kwargs, 2, "mode", default="constant")
        value = read_argument(args, kwargs, 3, "value")
        if mode == "constant" and value not in (None, 0):
            self._note_other(args, kwargs, [result], "pad")
        else:
            self._spread(source, labels, result, "zero padding", args, kwargs, centred=mode == "constant")

    def _note_moving(
        self, func: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: list[Tensor]
    ) -> None:
        """Note a call that moves values: what it does to them it does to their labels."""
        if name in MOVING_LIKE:
            source = args[0]
            try:
                moved: Any = self._find(source).expand(made[0].shape) if name == "expand_as" else None
                moved = self._find(source).reshape(made[0].shape) if moved is None else moved
            except RuntimeError:
                self._note_other(args, kwargs, made, name)
                return
        elif name not in JOINING and any(
            tensor in self._live and not tensor.is_floating_point() for tensor in tensors_in((args, kwargs))
        ):
            self._note_other(args, kwargs, made, f"{name} by an index that is computed")
            return
        else:
            moved = self._move(func, args, kwargs, joins=name in JOINING, dense=False)
        found = list(tensors_in(moved))
        fits = len(found) == len(made) and all(a.shape == b.shape for a, b in zip(found, made, strict=True))
        if not fits or not all(tensor.is_floating_point() for tensor in made):
            self._note_other(args, kwargs, made, name)
            return
        for tensor, labels in zip(made, found, strict=True):
            self._set(tensor, labels)

    def _move(self, func: Callable[..., Any], args: Any, kwargs: Any, *, joins: bool, dense: bool) -> Any:
        """Return what a call makes of the labels of what it reads; None if it takes none."""

        def read(tensor: Tensor) -> Tensor:
            if not tensor.is_floating_point() and not joins:
                return tensor.cpu()  # an index
            labels = self._find(tensor)
            return torch.empty_like(tensor, dtype=torch.int64, device="cpu").copy_(labels) if dense else labels

        try:
            return func(*map_tensors(read, args), **map_tensors(read, kwargs))
        except Exception:  # labels lie otherwise in memory than values, or the call takes no whole numbers
            return None if dense else self._move(func, args, kwargs, joins=joins, dense=True)

    def _note_sum(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor, name: str) -> None:
        other = read_argument(args, kwargs, 1, "other")
        first = args[0]
        if not isinstance(other, Tensor) or kwargs.get("alpha", 1) != 1 or len(args) > 2:
            if isinstance(other, (int, float)) and other == 0:
                self._carry(first, result, name)
                return
            self._note_other(args, kwargs, [result], name)
            return
        self._note_total(self._find(first), self._find(other), ADDING[name], result, name)

    def _note_total(self, first: Tensor, other: Tensor, sign: int, result: Tensor, name: str) -> None:
        """Note a sum or a difference of two tensors, by their labels."""
        rules = self._rules
        one, two = (thin(each.expand(result.shape)) for each in (first, other))
        one, two = torch.broadcast_tensors(one, two)
        pairs, where = torch.unique(torch.stack([one.reshape(-1), two.reshape(-1)]), dim=1, return_inverse=True)
        mine, others = pairs.numpy()
        if not mine.any() and not others.any():
            self._set_ground(result)
            return
        made = rules.add_labels(len(mine))
        rules.scaled_alike.extend([(made, mine), (made, others)])
        rules.sums.append((made, mine, others, sign, self._where(name)))
        self._set(result, torch.from_numpy(made)[where].view(one.shape).expand(result.shape))

    def _note_negation(self, source: Tensor, result: Tensor) -> None:
        """Note what is 0 minus a channel: its scale is the channel's, and its shift the opposite."""
        labels = thin(self._find(source))
        held, where = torch.unique(labels, return_inverse=True)
        made = self._rules.add_labels(len(held))
        self._rules.scaled_alike.append((made, held.numpy()))
        self._rules.sums.append((made, np.full_like(made, GROUND), held.numpy(), -1, self._where("neg")))
        self._set(result, torch.from_numpy(made)[where].view(labels.shape).expand(result.shape))

    def _note_product(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor, name: str) -> None:
        """Note a product: what is multiplied with something that stays as it is keeps its scale, and has no shift."""
        other = read_argument(args, kwargs, 1, "other")
        first = args[0]
        if len(args) > 2 or kwargs.get("rounding_mode") is not None:
            self._note_other(args, kwargs, [result], name)
        elif not isinstance(other, Tensor):
            if name in ("div", "truediv", "itruediv", "true_divide") and not other:
                self._note_other(args, kwargs, [result], name)
            else:
                self._carry(first, result, name, centred=True)
        else:
            one, two = self._find(first), self._find(other)
            still = [not bool(thin(each).any()) for each in (one, two)]
            if still[0] and "div" in name and not still[1]:
                self._note_other(args, kwargs, [result], name)
            elif not any(still):
                self._note_meeting(args, kwargs, result, name, one, two)
            else:
                labels = two if still[0] else one
                self._demand(labels, name, centred=True)
                self._set(result, labels.expand(result.shape))

    def _note_meeting(self, args: Any, kwargs: Any, result: Tensor, name: str, one: Tensor, two: Tensor) -> None:
        """Note a product of two channels that could both have other forms: the second stays as it is."""
        if "div" in name or one.shape != result.shape:
            self._note_other(args, kwargs, [result], name)
            return
        self._rules.fix(list_labels(two), self._where(name))
        self._demand(one, name, centred=True)
        self._set(result, one)

    @staticmethod
    def _drops(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        return bool(read_argument(args, kwargs, 2, "training", default=True))

    # -- weight ops and norms

    def _note_weight_op(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> None:
        named = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
        source, weight, bias = named["input"], named["weight"], named.get("bias")
        path, held = self._owned.get(id(weight), ("", ""))
        module = self._modules.get(path)
        rank = 0 if name == "linear" else {**CONVS, **TRANSPOSED}[name]
        axis = source.dim() - 1 - rank
        reads = read_channels(self._find(source), axis)
        own = (
            isinstance(module, (nn.Linear, _ConvNd))
            and held == "weight"
            and self._is_running(path)
            and bias is module.bias
            and (bias is None or self._owned.get(id(bias)) == (path, "bias"))
        )
        if not own or reads is None or weight.dim() != rank + 2 or not weight.is_floating_point():
            self._note_owned((weight, bias), name)
            for tensor in tensors_in((args, kwargs)):
                self._fix(tensor, self._where(name))
            self._set_ground(result)
            return
        padding = read_argument(args, kwargs, 4, "padding", default=0) if rank else 0
        padded = padding != "valid" and (any(padding) if isinstance(padding, (tuple, list)) else bool(padding))
        varies = bool(rank) and (padded or isinstance(module, _ConvTransposeNd))
        if varies and type(module) not in PLAIN_CONVS:
            self._rules.centre(reads, f"zero padding ({path})")
        gives = self._rules.add_labels(result.shape[axis])
        self._set_channels(result, gives, axis)
        self._rules.weights.append(WeightUse(path, reads, gives, varies))

    def _note_norm(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> None:
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        named: dict[str, Any] = dict(zip(names, args, strict=False)) | kwargs
        source, mean, var = named["input"], named.get("running_mean"), named.get("running_var")
        path, held = self._owned.get(id(mean), ("", ""))
        module = self._modules.get(path)
        weight, bias = named.get("weight"), named.get("bias")
        is_module = isinstance(module, _BatchNorm) and held == "running_mean" and self._is_running(path)
        where = path if is_module else (self._running[-1][0] if self._running else "")
        if not is_module:
            self._note_owned((mean, var, weight, bias), "batch_norm")
        number = self._counts[where, not is_module] = self._counts.get((where, not is_module), -1) + 1
        reads = read_channels(self._find(source), 1)
        reason = ""
        if named.get("training", False) or mean is None or var is None:
            reason = "it normalises by the batch in evaluation too"
        elif any(tensor is not None and id(tensor) not in self._constants for tensor in (mean, var, weight, bias)):
            reason = "its statistics, its gamma or its beta are computed in the forward"
        elif reads is None:
            reason = "what it reads as one channel comes from several"
        if reason or reads is None or mean is None or var is None:
            self._rules.odd[where] = reason
            self._note_other(args, kwargs, [result], "norm")
            return
        scale = (var.detach().double() + float(named.get("eps", 1e-5))).rsqrt()
        if weight is not None:
            scale = scale * weight.detach().double()
        shift = -mean.detach().double() * scale
        if bias is not None:
            shift = shift + bias.detach().double()
        gives = self._rules.add_labels(len(scale))
        self._set_channels(result, gives, 1)
        adjustable = (
            is_module
            and weight is not None
            and weight is getattr(module, "weight", None)
            and bias is not None
            and bias is getattr(module, "bias", None)
        )
        self._rules.norms.append(
            NormUse(
                path=where,
                number=number,
                functional=not is_module,
                reads=reads,
                gives=gives,
                scale=scale.cpu().numpy(),
                shift=shift.cpu().numpy(),
                adjustable=adjustable,
                size=source.numel(),
            )
        )
