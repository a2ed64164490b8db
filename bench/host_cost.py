"""What Python costs a layer of ours on a GPU, without one: the kernels do nothing, and torch's inputs are tiny.

Prints microseconds a layer of a chain of them, forward and backward, on inputs that are swept over twice and on those
that a program holds, beside torch's norm and its activation: ``python bench/host_cost.py``. On a GPU a launch costs a
few more on either side, and so do the questions that are left out here: for the device, the stream, its kept memory,
and whether a graph is captured.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import torch
from torch import Tensor, nn

import placenorm as pn
from placenorm.kernels import dispatch
from placenorm.kernels.triton import chain as gpu
from placenorm.kernels.triton import chain_kernels, held_kernels, launch
from placenorm.layers import paths

LAYERS: Final = 50
ROUNDS: Final = 200
SHAPE: Final = (2, 32, 1, 2)
"""Of the inputs: what torch computes of them takes next to nothing."""

NOTHING_HELD: Final = (launch.Launch(1, 1, 4),)


class _Idle:
    """A kernel of Triton that is compiled to nothing."""

    arg_names = ()

    def __getitem__(self, grid: tuple[int, int]) -> Callable[..., Any]:
        compiled = SimpleNamespace(run=lambda *_: None, function=0, packed_metadata=())
        return lambda *_, **__: compiled


@contextmanager
def idle_kernels() -> Iterator[None]:
    """Send inputs of the processor the way of a GPU, to kernels that do nothing."""
    modules = chain_kernels, held_kernels
    kernels = {each for module in modules for each in vars(module).values() if isinstance(each, launch.Kernel)}
    with ExitStack() as patched:
        for each in kernels:
            patched.enter_context(patch.object(each, "_function", _Idle()))
        room = launch.Room(torch.zeros(launch.LEAST_COUNTERS, dtype=torch.int32), torch.zeros(1 << 16))
        patched.enter_context(patch.object(launch, "find_room", lambda *_: room))
        patched.enter_context(patch.object(torch._C, "_cuda_getCurrentRawStream", lambda _: 0))
        patched.enter_context(patch.object(dispatch, "choose", lambda *_: gpu))
        patched.enter_context(patch.object(paths, "_find_least", lambda *_: 0))
        patched.enter_context(patch.object(paths, "LEAST_PLAIN", 0))
        yield


@contextmanager
def hold(held: bool) -> Iterator[None]:
    """Take every input for one that a program can hold, or for one that is too large."""
    with patch.object(launch, "HELD", launch.HELD if held else NOTHING_HELD):
        yield


def time_layers(layer: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """Return the microseconds of a layer's forward and of its backward, over a chain of them."""
    x = torch.randn(SHAPE).contiguous(memory_format=torch.channels_last).requires_grad_()
    started = time.perf_counter()
    y = x
    for _ in range(LAYERS):
        y = layer(y)
    middle = time.perf_counter()
    y.backward(x.detach())
    ended = time.perf_counter()
    return (middle - started) * 1e6 / LAYERS, (ended - middle) * 1e6 / LAYERS


def main() -> None:
    """Print a line for each layer, ours and torch's in turn."""
    torch.set_num_threads(1)
    channels = SHAPE[1]
    norm, front, behind, adding = (
        pn.layers.BatchNorm2d(channels, **fused)  # type: ignore[arg-type]
        for fused in ({}, {"before": "relu"}, {"after": "relu"}, {"after": "relu"})
    )
    plain, relu = nn.BatchNorm2d(channels), nn.ReLU()
    calls: list[tuple[str, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = [
        ("norm", norm, plain),
        ("norm-relu", behind, nn.Sequential(plain, relu)),
        ("relu-norm", front, nn.Sequential(relu, plain)),
        ("norm-add-relu", lambda x: adding(x, x), lambda x: relu(plain(x) + x)),
    ]
    for name, ours, torchs in calls:
        samples: dict[str, list[tuple[float, float]]] = {"swept": [], "held": [], "torch": []}
        with idle_kernels():
            for _ in range(ROUNDS):
                for way in ("swept", "held"):
                    with hold(way == "held"):
                        samples[way].append(time_layers(ours))
                samples["torch"].append(time_layers(torchs))
        for whose, times in samples.items():
            forward, backward = (statistics.median(each) for each in zip(*times, strict=True))
            print(f"{name:14} {whose:6} forward {forward:6.1f} backward {backward:6.1f} microseconds")


if __name__ == "__main__":
    main()
