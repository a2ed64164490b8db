"""What a user asks of a comparison, checked."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from placenorm.data import is_loader
from placenorm.errors import DataError, UsageError
from placenorm.facts.comparison import DEFAULT_BATCH_SIZE, DEFAULT_EPOCHS, DEFAULT_SEARCH_TRIALS, DEFAULT_SEEDS
from placenorm.facts.placement import POLICIES, Placement
from placenorm.graph.placements import check_placement
from placenorm.graph.tracing import ExampleInputs
from placenorm.study.metrics import MetricFunction
from placenorm.study.own_loops import OwnTrain
from placenorm.study.rates import default_rates
from placenorm.study.searching import FIRST_SEED
from placenorm.study.stepping import PRECISIONS

DEFAULT_PLACEMENTS = ("none", "before-activation", "after-activation", "after-pool")

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("constant", "cosine")
NORMS = ("torch", "placenorm")
SEARCHES = ("per-block",)
STOPS = ("never", "early")

MIN_BATCH_SIZE = 2
"""A norm needs a spread, and one value has none."""

RATE_LIMITS = (1e-8, 1e3)
"""Learning rates to start with; with wider ones a grid that grows could leave the numbers of float32."""

ModelMaker = Callable[[], nn.Module]
Datasets = tuple[Dataset[Any], Dataset[Any] | None]
Loaders = tuple[Iterable[Any], Iterable[Any]] | tuple[Iterable[Any], Iterable[Any], Iterable[Any]]
"""For training and for what is held out; or for training, validation and test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of a comparison, as `placenorm.compare` explains them.

    Raises:
        UsageError: if an option cannot be used, whatever the model and the data are.
        DataError: if the data are neither a name nor a pair of datasets.
    """

    model: str | ModelMaker = "cnn"
    data: str | Datasets | Loaders = "digits"
    placements: str | Sequence[str] | Mapping[str, Placement] | None = None
    seeds: int = DEFAULT_SEEDS
    epochs: int = DEFAULT_EPOCHS
    batch_size: int = DEFAULT_BATCH_SIZE
    lr: float | Sequence[float] | None = None
    optimizer: str = "sgd"
    schedule: str = "constant"
    metric: str | MetricFunction | None = None
    margin: float | None = None
    limit: int | None = None
    data_dir: Path | None = None
    weights: Path | None = None
    norm: str = "torch"
    train: str | OwnTrain | None = None
    example_inputs: ExampleInputs | None = None
    device: str = "cpu"
    stop: str = "never"
    precision: str = "float32"
    compile: bool = False
    processes_per_trial: int = 1
    checkpoint: bool = False
    search: str | None = None
    search_trials: int | None = None
    elsewhere: bool = False  # trials run on other machines, so that their device need not be on this one

    def __post_init__(self) -> None:
        _at_least("seeds", self.seeds, 1, "one seed is the least that can be trained")
        _at_least("epochs", self.epochs, 1, "nothing would be trained")
        _at_least("batch-size", self.batch_size, MIN_BATCH_SIZE, "a norm needs at least two samples")
        if not isinstance(self.data, str) and not self._are_data():
            raise DataError(
                f"Cannot use a {type(self.data).__name__} as data: give a name, or a pair of torch datasets "
                "(train, test), or (train, None) to have the test set split off; or two or three loaders."
            )
        if self.margin is not None and not 0 <= self.margin < math.inf:
            raise UsageError(f"Cannot use a margin of {self.margin}: it is a size; give 0 or more, and no infinity.")
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("norm", self.norm, NORMS)
        _one_of("stop", self.stop, STOPS)
        if self.seeds > FIRST_SEED:
            raise UsageError(f"Cannot compare with --seeds {self.seeds}: give {FIRST_SEED} or fewer.")
        if self.search is not None:
            _one_of("search", self.search, SEARCHES)
            _at_least("search-trials", self.most_search_trials, 1, "nothing would be tried")
        elif self.search_trials is not None:
            raise UsageError(
                f"Cannot use --search-trials {self.search_trials}: nothing is searched; add --search per-block, or "
                "leave it out."
            )
        _one_of("precision", self.precision, tuple(PRECISIONS))
        _at_least("processes-per-trial", self.processes_per_trial, 1, "a trial needs a process")
        if not self.elsewhere:
            check_device(self.device)
        self._check_work()
        self.named_placements()
        self.rates()

    def _are_data(self) -> bool:
        """Whether the data are a pair, or three loaders."""
        if not isinstance(self.data, tuple | list):
            return False
        return len(self.data) == 2 or (len(self.data) == 3 and is_loader(self.data[0]))

    def _check_work(self) -> None:
        """Refuse what cannot be computed as asked."""
        if self.train is not None and (self.precision != "float32" or self.compile):
            raise UsageError(
                "Cannot use --precision or --compile with --train: your training loop computes as it likes; use "
                "torch.autocast and torch.compile in it, and leave the options out."
            )
        if self.processes_per_trial == 1:
            return
        if self.train is None and isinstance(self.data, str) and self.batch_size < self.processes_per_trial:
            raise UsageError(
                f"Cannot share batches of {self.batch_size} out to {self.processes_per_trial} processes: each needs a "
                "sample; give a larger --batch-size or fewer --processes-per-trial."
            )
        device = torch.device(self.device)
        gpus = 1 if device.index is not None else torch.cuda.device_count()
        if not self.elsewhere and device.type == "cuda" and self.processes_per_trial > gpus:
            raise UsageError(
                f"Cannot train a trial in {self.processes_per_trial} processes on {gpus} GPU: each process of a trial "
                "needs a GPU of its own; give fewer --processes-per-trial, or --device cuda on a machine with more."
            )

    @property
    def most_search_trials(self) -> int:
        """How many trials a search may take."""
        return DEFAULT_SEARCH_TRIALS if self.search_trials is None else self.search_trials

    def named_placements(self) -> dict[str, Placement]:
        """Return the placements by name, in the order in which they were asked for."""
        asked = DEFAULT_PLACEMENTS if self.placements is None else self.placements
        if isinstance(asked, str):
            asked = (asked,)
        if isinstance(asked, Mapping):
            named = dict(asked)
        else:
            named = {}
            for name in asked:
                if not isinstance(name, str):
                    raise UsageError(
                        f"Cannot compare a list that holds {name!r}: name policies in it, or give placements of your "
                        "own by name in a dictionary, such as {'mine': {'conv1': 'after-pool'}}."
                    )
                check_placement(name)  # type: ignore[arg-type]  # it refuses whatever is no policy
                named[name] = next(policy for policy in POLICIES if policy == name)
        for placement in named.values():
            check_placement(placement)
        if not named:
            raise UsageError(f"There is no placement to compare: name at least one of {', '.join(POLICIES)}.")
        return named

    def rates(self) -> tuple[float | None, ...]:
        """Return the learning rates that every variant and seed starts with, in ascending order."""
        if self.train is not None:
            if self.lr is not None:
                raise UsageError("Cannot use --lr with --train: your training loop sets its own rate; leave --lr out.")
            return (None,)
        if self.lr is None:
            return default_rates(self.optimizer)
        rates = [self.lr] if isinstance(self.lr, (int, float)) else list(self.lr)
        lowest, highest = RATE_LIMITS
        if not rates or not all(lowest <= rate <= highest for rate in rates):
            raise UsageError(
                f"Cannot train at the learning rates {rates}: give numbers from {lowest:g} to {highest:g}, "
                "such as 0.01,0.03,0.1."
            )
        return tuple(sorted({float(f"{rate:.6g}") for rate in rates}))


def _at_least(name: str, value: int, least: int, why: str) -> None:
    if value < least:
        raise UsageError(f"Cannot compare with --{name} {value}: {why}; give {least} or more.")


def _one_of(name: str, value: str, words: Sequence[str]) -> None:
    if value not in words:
        raise UsageError(f"Unknown {name} {value!r}: use {' or '.join(words)}.")


def check_device(device: str) -> None:
    """Refuse a device that torch does not find.

    Raises:
        UsageError: if there is no such device here.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(
            f"Cannot use the device {device!r}: {reason}; use cpu, or a device that torch finds."
        ) from error
