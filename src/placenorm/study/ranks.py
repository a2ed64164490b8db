"""The processes that train one trial together, as one of them sees the others."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from placenorm import layers
from placenorm.errors import ModelError
from placenorm.graph.tracing import ExampleInputs, map_tensors, split_inputs
from placenorm.layers.batch_norm import takes_neighbours
from placenorm.randomness import fix_seed

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others before it gives up: longer than any evaluation that only one of them does."""

SYNCHRONISED = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(layers.BatchNorm1d, layers.BatchNorm2d, layers.BatchNorm3d, layers.SyncBatchNorm),
)
"""Norms whose statistics can be those of all processes; subclasses of them may do more than a norm does."""

_PARAMETERS = inspect.signature(DistributedDataParallel).parameters
_SYNC_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _PARAMETERS else "broadcast_buffers"
"""Whether buffers are sent round at each step, as torch calls it, since 2.14 by the first of these names. They need not
be: statistics are joined, so they are the same in every process."""

T = TypeVar("T")


class Ranks(Protocol):
    """The processes of one trial, of which this is one."""

    @property
    def rank(self) -> int:
        """Which one this is, counted from 0; 0 is the one that keeps records."""

    @property
    def size(self) -> int:
        """How many there are."""

    def wrap(self, model: nn.Module, example_inputs: ExampleInputs) -> nn.Module:
        """Return a model that trains as one with those of the other processes; its parameters stay the same objects."""

    def total(self, value: float) -> float:
        """Return the sum of a number over the processes."""

    def gather(self, item: T) -> list[T]:
        """Return what every process has, in their order; in all but the first an empty list."""

    def agree(self, item: T | None) -> T:
        """Return what the first process has."""


class Alone:
    """A trial that one process trains."""

    rank = 0
    size = 1

    def wrap(self, model: nn.Module, example_inputs: ExampleInputs) -> nn.Module:
        """Return the model itself."""
        return model

    def total(self, value: float) -> float:
        """Return the number itself."""
        return value

    def gather(self, item: T) -> list[T]:
        """Return a list of the one thing there is."""
        return [item]

    def agree(self, item: T | None) -> T:
        """Return the thing itself."""
        return item  # type: ignore[return-value]  # alone, a process has what it agrees on


class Together:
    """A process among others of the same trial.

    Args:
        rank: which one this is.
        size: how many there are.
        device: where it trains.
        ours: whether norms are synchronised by our layer; torch's own runs on GPUs only.
    """

    def __init__(self, rank: int, size: int, device: str, *, ours: bool) -> None:
        self.rank, self.size = rank, size
        self._device = torch.device(device)
        self._ours = ours or self._device.type != "cuda"
        # Objects and losses go over gloo: with NCCL they would need a place on the GPU.
        self._plain: Any = dist.new_group(backend="gloo") if dist.get_backend() != "gloo" else None

    def wrap(self, model: nn.Module, example_inputs: ExampleInputs) -> nn.Module:
        """Return the model with synchronised norms, in torch's DistributedDataParallel.

        Raises:
            ModelError: if it holds a norm that cannot be synchronised.
        """
        check_norms(model)
        unused = _has_unused(model, example_inputs, self._device)
        devices = [self._device] if self._device.type == "cuda" else None
        quiet: Any = {_SYNC_BUFFERS: False}
        wrapped = DistributedDataParallel(model, device_ids=devices, find_unused_parameters=unused, **quiet)
        synchronise_norms(model, ours=self._ours)  # afterwards: on a processor it takes none that are synchronised
        return wrapped

    def total(self, value: float) -> float:
        """Return the sum of a number over the processes."""
        sums = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(sums, group=self._plain)
        return sums.item()

    def gather(self, item: T) -> list[T]:
        """Return what every process has; in all but the first an empty list."""
        found: list[Any] | None = [None] * self.size if self.rank == 0 else None
        dist.gather_object(item, found, group=self._plain)
        return found or []

    def agree(self, item: T | None) -> T:
        """Return what the first process has."""
        held: list[Any] = [item]
        dist.broadcast_object_list(held, group=self._plain)
        agreed: T = held[0]
        return agreed


@contextmanager
def meet(meeting: Path, rank: int, size: int, device: str, *, ours: bool) -> Iterator[Together]:
    """Run the body as one of the processes of a trial; it begins when all of them are there.

    Args:
        meeting: a file that all of them can write, and that none has used before.
        rank: which one this is.
        size: how many there are.
        device: where it trains.
        ours: as for `Together`.
    """
    backend = "nccl" if torch.device(device).type == "cuda" else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(device)
    dist.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield Together(rank, size, device, ours=ours)
    finally:
        dist.destroy_process_group()


def synchronise_norms(model: nn.Module, *, ours: bool) -> None:
    """Let every norm of a model take the statistics of all processes, in place; its parameters stay the same objects.

    Args:
        model: the model.
        ours: whether by our layer, which runs anywhere; torch's runs on GPUs.

    Raises:
        ModelError: if a norm cannot be.
    """
    check_norms(model)
    kind = layers.SyncBatchNorm if ours else nn.SyncBatchNorm
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and type(child) is not kind:
                setattr(parent, name, kind.convert_sync_batchnorm(child))


def check_norms(model: nn.Module) -> None:
    """Raise an error where the norms of a model cannot be synchronised.

    Raises:
        ModelError: naming the norm.
    """
    for path, module in model.named_modules():
        if not isinstance(module, _BatchNorm):
            continue
        more = type(module) not in SYNCHRONISED or takes_neighbours(module)
        if more or getattr(module, "virtual_batch_size", None) is not None or not path:
            raise ModelError(
                f"Cannot train {type(model).__name__} in several processes: its norm {path or 'itself'} is a "
                f"{type(module).__name__}, which does more than a norm does and would lose that when its statistics "
                "are synchronised; leave --processes-per-trial out, or use plain norms."
            )


def _has_unused(model: nn.Module, example_inputs: ExampleInputs, device: torch.device) -> bool:
    """Whether some parameter of a model gets no gradient; True where that cannot be seen."""
    args, kwargs = split_inputs(map_tensors(lambda tensor: tensor.to(device), example_inputs))
    training = model.training
    try:
        with fix_seed():
            outputs: list[Tensor] = []

            def note(tensor: Tensor) -> Tensor:
                outputs.append(tensor)
                return tensor

            map_tensors(note, model.eval()(*args, **kwargs))
            torch.stack([output.float().sum() for output in outputs if output.requires_grad]).sum().backward()
        return any(each.grad is None for each in model.parameters() if each.requires_grad)
    except Exception:  # an example that the model does not go backwards on; its training will say why
        return True
    finally:
        model.train(training)
        model.zero_grad(set_to_none=True)
