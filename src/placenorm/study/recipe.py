"""What all trials of a comparison share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from placenorm.data import DataSource, LoaderSource
from placenorm.facts.placement import Position
from placenorm.graph.tracing import ExampleInputs
from placenorm.rewrite.norms import NormChoice
from placenorm.study.metrics import Scorer
from placenorm.study.own_loops import OwnTrain


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all trials of a comparison share. It can be pickled.

    Attributes:
        make_model: builds the user's model; called under the trial's seed.
        placements: where the norm of every block stands, by the variant's name; every trial is held against it.
        example_inputs: what the model is traced with.
        norm: whose norms are placed.
        weights: checkpoint that every trial starts from.
        open_data: gives the data; None with the user's own loop.
        scorer: the metric.
        epochs: passes over the training data.
        batch_size: samples a step; loaders have their own.
        optimizer: ``sgd`` or ``adamw``.
        schedule: ``constant`` or ``cosine``.
        device: where the trials run; ``cuda`` deals the GPUs round to the processes.
        own_train: gives the user's own loop; None for ours.
        own_train_name: what the user calls it.
        precision: what autocast computes in: ``float32`` (no autocast), ``bfloat16`` or ``float16``.
        compiled: whether the placed model is compiled.
        processes: processes that train one trial together.
        references: the user's own code by reference, for further processes to load.
        work: says what all trials train on, how, and by which code: a checkpoint of other work is not taken.
        checkpoints: folder of the checkpoints of running trials; None for none.
        checkpoint_always: whether every epoch is kept, and not only what took long.
        must_report: whether a loop of the user's own has to report values on validation data, as a search goes by them.
    """

    make_model: Callable[[], nn.Module]
    placements: dict[str, dict[str, Position]]
    example_inputs: ExampleInputs
    norm: NormChoice
    weights: str | None
    open_data: Callable[[], DataSource | LoaderSource] | None
    scorer: Scorer
    epochs: int
    batch_size: int
    optimizer: str
    schedule: str
    device: str
    own_train: Callable[[], OwnTrain] | None = None
    own_train_name: str = ""
    precision: str = "float32"
    compiled: bool = False
    processes: int = 1
    references: tuple[str, ...] = ()
    work: str = ""
    checkpoints: Path | None = None
    checkpoint_always: bool = False
    must_report: bool = False
