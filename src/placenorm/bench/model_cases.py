"""What the bench of models times: networks as torchvision makes them, and what a device is given by default."""

from dataclasses import dataclass
from typing import Final

import torch

from placenorm.facts.placement import Policy

MODELS: Final = ("resnet50", "mobilenet_v3_large", "vgg11_bn")
"""Of torchvision: norms before an addition, behind depthwise convolutions, and on huge images."""

PLACEMENTS: Final[tuple[Policy, ...]] = ("none", "before-activation", "after-activation", "after-pool")
"""Each is timed against the others, on demand."""

CLASSES: Final = 1000
"""Of networks that are made for any number of them."""

CHANNELS: Final = 3


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is timed on a kind of device where nothing is said.

    Attributes:
        batch: images.
        batches: images of the models that differ.
        size: height and width of an image.
        autocast: dtype of autocast; None for float32 without.
        layout: of input and weights.
    """

    batch: int
    batches: dict[str, int]
    size: int
    autocast: torch.dtype | None
    layout: str


DEFAULTS: Final = {
    "cpu": Defaults(16, {}, 64, None, "nchw"),
    "cuda": Defaults(128, {"mobilenet_v3_large": 256}, 224, torch.bfloat16, "channels_last"),
}
"""By the kind of device: on a processor, what ends in a few minutes; on a GPU, what fills it as training does."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How models are timed.

    Attributes:
        device: where they run.
        batch: images; None for the default of the model.
        size: height and width of an image.
        autocast: dtype of autocast; None for float32 without.
        layout: of input and weights, a key of `LAYOUTS`.
        compiled: whether torch.compile is a candidate.
        graphs: whether graphs of CUDA are candidates, of torch's network and of ours.
        placements: named placements that are timed beside the model as it is.
        seconds: of timing for each model; None for the default of the device.
    """

    device: str
    batch: int | None
    size: int
    autocast: torch.dtype | None
    layout: str
    compiled: bool
    graphs: bool
    placements: tuple[Policy, ...]
    seconds: float | None

    @property
    def kind(self) -> str:
        """Kind of the device."""
        return self.device.partition(":")[0]

    def choose_batch(self, model: str) -> int:
        """Return how many images a model is given."""
        usual = DEFAULTS[self.kind]
        return self.batch or usual.batches.get(model.rpartition(":")[2], usual.batch)
