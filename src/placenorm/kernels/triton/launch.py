"""How kernels are started: with tiles of some size, so many programs and warps, and without being looked up anew."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Launch:
    """The size of a kernel's tiles and of its grid.

    Attributes:
        values: of a tile.
        programs: for each multiprocessor.
        warps: of a program.
    """

    values: int
    programs: int
    warps: int


SUM_VALUES: Final = Launch(4096, 4, 8)
APPLY_NORM: Final = Launch(4096, 4, 4)
SUM_GRADIENTS: Final = Launch(4096, 4, 4)
APPLY_GRADIENTS: Final = Launch(2048, 4, 4)
POOL: Final = Launch(4096, 4, 4)
UNPOOL: Final = Launch(2048, 16, 8)
"""The fastest of those that `bench/gpu_launches.py` tried on an H100."""

FEW_WARPS: Final = 4
"""Of kernels that have little to do."""

LARGEST_INT: Final = 2**31 - 1
"""That a compiled kernel takes for one of 32 bits."""

PROCESSORS_WITHOUT_GPU: Final = 1
"""Under Triton's interpreter, which runs one program after the other."""


class Kernel:
    """A kernel of Triton that is looked up by what it is compiled for and no more, which takes a third of the time.

    Its parameters are tensors, then numbers of which none is specialised, then constants.

    Args:
        function: what ``triton.jit`` made.
    """

    def __init__(self, function: Any) -> None:
        self._function = function
        self._compiled: dict[tuple[object, ...], tuple[Any, tuple[object, ...]]] = {}
        self.__doc__ = function.__doc__

    def start(
        self,
        grid: tuple[int, int],
        warps: int,
        tensors: Sequence[Tensor | None],
        numbers: Sequence[float],
        constants: dict[str, Any],
    ) -> None:
        """Start the kernel on the present device and stream.

        Args:
            grid: programs, and blocks.
            warps: of a program.
            tensors: the first parameters; the first of them is on the device.
            numbers: the parameters behind them.
            constants: the rest, by name.
        """
        first = tensors[0]
        assert first is not None
        key = (
            first.device.index,
            warps,
            max(numbers) > LARGEST_INT,
            *constants.values(),
            *[None if each is None else (each.dtype, each.data_ptr() % 16) for each in tensors],
        )
        found = self._compiled.get(key)
        if found is not None:
            compiled, held = found
            compiled[(*grid, 1)](*tensors, *numbers, *held)
            return
        compiled = self._function[grid](*tensors, *numbers, **constants, num_warps=warps)
        if compiled is not None:  # the interpreter compiles nothing
            held = tuple(constants[name] for name in self._function.arg_names if name in constants)
            self._compiled[key] = compiled, held


@lru_cache
def _count_processors(index: int | None) -> int:
    return torch.cuda.get_device_properties(index).multi_processor_count


def count_programs(device: torch.device, launch: Launch) -> int:
    """Return how many programs fill a device."""
    return launch.programs * (_count_processors(device.index) if device.type == "cuda" else PROCESSORS_WITHOUT_GPU)


@contextmanager
def _on(device: torch.device) -> Iterator[None]:
    with torch.cuda.device(device):
        yield


class _Here:
    """Nothing to enter; made once, as every norm asks for it."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


_HERE = _Here()


def on_device_of(x: Tensor) -> Any:
    """Return a context in which kernels start on a tensor's device."""
    return _HERE if not x.is_cuda or x.device.index == torch.cuda.current_device() else _on(x.device)
