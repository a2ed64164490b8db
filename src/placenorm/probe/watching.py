"""A network is watched while somebody trains it: on some forwards everything is read, on the others next to nothing.

A step is one forward pass in training mode; with gradient accumulation an optimizer's step has several. At every step
four hooks on the network count, and one on a parameter reads a gradient's norm. All other hooks are there during a look
only. Nothing of the user's is written to, no random number is drawn, and no graph is kept.
"""

import inspect
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from placenorm.errors import ModelError, UsageError
from placenorm.facts.graph import OpKind
from placenorm.facts.reading import LEVELS, History, Level, Look, Mode
from placenorm.graph.tracing import check_model
from placenorm.probe.calls import CallListener
from placenorm.probe.ledger import Ledger
from placenorm.probe.looking import OpenLook, fetch_tensors, measure_length

WINDOW: Final = 10
"""Looks that dead units rest on: a unit that none of ten batches woke is not waiting for a rare one."""

SMALL_PARAMETER: Final = 2048
"""Values of a parameter up to which its gradient is read at every step: gammas, betas, biases, few weights."""

MOST_PARAMETERS: Final = 8
"""Such parameters that are read, evenly spread over the network: about 30 us a step on a CPU, torch 2.14."""

_MOST_WAITING = 256
"""Gradient norms that wait on the device before they are moved, however far apart the looks are."""


class Watcher:
    """Watches a network while the block runs.

    Hooks are gone when the block ends, also after an exception.

    Args:
        model: the network; of one wrapped in DistributedDataParallel, what is in it is watched.
        every: forwards from one look to the next, in training and in evaluation each; the first one is looked at.
        level: how much is read at a look.
        window: looks that dead units and gaps rest on.
        on_look: called with each look when it is over.

    Raises:
        UsageError: if `every` or `window` is below 1, or there is no such level.
        ModelError: if the model is compiled, scripted, quantised, or copied to several devices.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        every: int = 10,
        level: Level = "standard",
        window: int = WINDOW,
        on_look: Callable[[Look], None] | None = None,
    ) -> None:
        _check_options(every, level, window)
        self._model = _unwrap(model)
        self._every = every
        self._level: Level = level
        self._on_look = on_look
        self._ledger = Ledger(window)
        self._counts: dict[Mode, int] = {"training": 0, "evaluation": 0}
        self._handles: list[RemovableHandle] = []
        self._over = False
        self._returned = False
        self._look: OpenLook | None = None
        self._listener: CallListener | None = None
        self._known: dict[nn.Module, tuple[OpKind, bool]] = {}
        self._trigger: tuple[weakref.ref[nn.Parameter], RemovableHandle] | None = None
        self._checked: list[nn.Parameter] = []
        self._gradient_of = 0
        self._waiting: list[tuple[int, Tensor]] = []
        self._input_name = next(iter(inspect.signature(self._model.forward).parameters), "x")

    # -- a life

    def __enter__(self) -> Self:
        if self._handles:
            raise UsageError("This watch is on already: enter it once, or call pn.watch again.")
        if self._over:
            raise UsageError("This watch is over: call pn.watch again for another.")
        self._handles = [
            self._model.register_forward_pre_hook(_Hook(self, "_before"), with_kwargs=True),
            self._model.register_forward_hook(_Hook(self, "_leave"), prepend=True, always_call=True),
            self._model.register_forward_hook(_Hook(self, "_note_return")),
            self._model.register_forward_hook(_Hook(self, "_after"), always_call=True),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._drop_unfinished()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._trigger is not None:
            self._trigger[1].remove()
            self._trigger = None
        self._checked.clear()
        self._known.clear()
        self._settle()

    @property
    def forwards(self) -> int:
        """How many forward passes were seen, in either mode."""
        return sum(self._counts.values())

    def history(self) -> History:
        """Return everything that was seen so far; a look whose backward pass may still come is closed."""
        self._settle()
        return self._ledger.close(
            model=type(self._model).__name__,
            level=self._level,
            every=self._every,
            steps=self._counts["training"],
            evaluations=self._counts["evaluation"],
            gradient_of=self._gradient_of,
        )

    # -- at every forward

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._drop_unfinished()
        mode: Mode = "training" if module.training else "evaluation"
        step = self._counts["training"]
        count = self._counts[mode]
        self._counts[mode] += 1
        if count % self._every and len(self._waiting) < _MOST_WAITING:
            return
        self._settle()
        if count % self._every:
            return
        look = OpenLook(step, mode, self._level)
        with torch.no_grad(), torch._C.DisableTorchFunction():
            look.read_input(self._input_name, (args, kwargs))
        self._look = look
        self._returned = False
        self._listener = CallListener(self._model, look, self._known)
        self._listener.start()
        self._listener.enter(module, args, kwargs)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self._listener is not None:
            self._listener.leave(module, args, output)

    def _note_return(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._returned = True

    def _after(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self._listener is None or self._look is None:
            return
        self._stop_listening()
        if not self._returned:  # the forward raised
            self._look = None
            return
        with torch.no_grad(), torch._C.DisableTorchFunction():
            self._look.read_output(output)
            self._look.end_forward()
        if self._look.mode == "training":
            self._choose_trigger(self._look)

    def _drop_unfinished(self) -> None:
        """Drop the look of a forward that never ended: somebody interrupted it from outside."""
        if self._listener is not None:
            self._stop_listening()
            self._look = None

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    # -- at every backward

    def _choose_trigger(self, look: OpenLook) -> None:
        """Hang the hook on the parameter whose gradient comes last: the one that the first weight op uses."""
        old = None if self._trigger is None else self._trigger[0]()
        if old is not None and old.requires_grad:
            return
        first = None if look.weights is None else look.weights()
        trainable = [p for p in self._model.parameters() if p.requires_grad]
        chosen = first if first is not None else next(iter(trainable), None)
        if self._trigger is not None:
            self._trigger[1].remove()
            self._trigger = None
        if chosen is None or not chosen.is_leaf:
            return
        self._trigger = weakref.ref(chosen), chosen.register_post_accumulate_grad_hook(_Hook(self, "_read_gradient"))
        small = [p for p in trainable if p is not chosen and p.numel() <= SMALL_PARAMETER]
        spread = small[:: -(-len(small) // MOST_PARAMETERS)] if small else []
        self._checked = [chosen] if self._level == "light" else [chosen, *spread]
        self._gradient_of = len(self._checked)

    def _read_gradient(self, parameter: Tensor) -> None:
        """Read the gradient of the few parameters; at a look, that of all."""
        step = self._counts["training"] - 1
        norm = _measure_gradient(self._checked)
        if norm is None:
            return
        if self._waiting and self._waiting[-1][0] == step:
            self._waiting[-1] = step, torch.maximum(self._waiting[-1][1], norm)
        else:
            self._waiting.append((step, norm))
        look = self._look
        open_for_it = look is not None and look.mode == "training" and look.gradient is None and self._listener is None
        if look is not None and open_for_it and self._level != "light":  # two forwards may share a backward pass
            look.gradient = _measure_gradient([p for p in self._model.parameters() if p.device == norm.device])

    # -- now and then

    def _settle(self) -> None:
        """Move what waits on the device to the host, and close the look, unless its forward still runs."""
        waiting, self._waiting = self._waiting, []
        for (step, _), norm in zip(waiting, fetch_tensors(norm for _, norm in waiting), strict=True):
            self._ledger.gradients.add(step, float(norm))
        if self._listener is not None:
            return
        look, self._look = self._look, None
        if look is not None:
            closed = self._ledger.add(look)
            if self._on_look is not None:
                self._on_look(closed)


class _Hook:
    """A hook of a watch. In a copy of the network, or one that is saved and loaded, it does nothing.

    Args:
        watcher: whose hook it is.
        name: name of the method that it calls.
    """

    def __init__(self, watcher: Watcher, name: str) -> None:
        self._watcher = weakref.ref(watcher)
        self._name = name

    def __call__(self, *args: Any) -> None:
        watcher = self._watcher()
        if watcher is not None:
            getattr(watcher, self._name)(*args)

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., None]:
        return do_nothing

    def __reduce__(self) -> tuple[Callable[[], Callable[..., None]], tuple[()]]:
        return give_nothing, ()


def do_nothing(*args: Any) -> None:
    """Stand in for the hook of a watch in a copy of the network that was watched."""


def give_nothing() -> Callable[..., None]:
    """Return `do_nothing`, for pickle."""
    return do_nothing


def _measure_gradient(parameters: list[nn.Parameter]) -> Tensor | None:
    """Return the Euclidean norm of the gradient of parameters; None without one."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return None
    if len(gradients) == 1:
        return measure_length(gradients[0])
    with torch.no_grad(), torch._C.DisableTorchFunction():
        if any(gradient.is_sparse for gradient in gradients):
            lengths = [measure_length(gradient) for gradient in gradients]
        else:
            lengths = list(torch._foreach_norm(gradients))
        return measure_length(torch.stack(lengths))


def _check_options(every: int, level: str, window: int) -> None:
    for name, value in (("every", every), ("window", window)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"Cannot watch with {name}={value!r}: give a whole number from 1 up.")
    if level not in LEVELS:
        raise UsageError(f"Cannot watch at level {level!r}: the levels are {', '.join(LEVELS)}.")


def _unwrap(model: nn.Module) -> nn.Module:
    """Return the network in its wrapper, if it has one that still runs it as it is.

    Raises:
        ModelError: if its forward cannot be seen.
    """
    if isinstance(model, nn.parallel.DistributedDataParallel):
        model = model.module
    elif isinstance(model, nn.DataParallel):
        if len(model.device_ids) > 1:
            raise ModelError(
                f"Cannot watch a DataParallel on {len(model.device_ids)} devices: each step runs on copies that are "
                "thrown away; use DistributedDataParallel, or watch a run on one device."
            )
        model = model.module
    if not isinstance(model, nn.Module):
        raise ModelError(f"Cannot watch a {type(model).__name__}: give a torch.nn.Module.")
    for path, module in model.named_modules():
        if hasattr(module, "_orig_mod") or module._compiled_call_impl is not None:
            name = type(getattr(model, "_orig_mod", model)).__name__
            where = f"whose {path} is" if path and module is not model else "which is"
            raise ModelError(
                f"Cannot watch {name}, {where} compiled: its calls can no longer be seen; watch a run of the model as "
                "it was before torch.compile."
            )
    check_model(model)
    return model
