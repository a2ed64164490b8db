"""What was timed: norms with their neighbours, our layers beside torch's."""

from dataclasses import dataclass

from placenorm.facts.environment import Environment


@dataclass(frozen=True, slots=True)
class LayerTiming:
    """One candidate at one op and shape.

    Attributes:
        op: what is computed, such as ``relu-norm``; a key of the bench's ops.
        layer: the layer of a known network that the shape is from.
        shape: of the input, ``[N, C, H, W]``.
        dtype: of the input.
        layout: ``nchw`` or ``channels_last``.
        candidate: ``eager``, ``compile`` or ``placenorm``.
        forward_ms: every sample of the forward pass, in milliseconds.
        backward_ms: every sample of the backward pass.
        both_floor_ms: what the least traffic of both passes takes at the bandwidth of a copy in the same run.
        saved_bytes: what the forward keeps for the backward, parameters aside.
        peak_bytes: the most memory of the device that was in use beside the input; None on the processor.
        way: ``fused`` or ``torch`` for ours, with the reason; empty for the others.
    """

    op: str
    layer: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    candidate: str
    forward_ms: tuple[float, ...]
    backward_ms: tuple[float, ...]
    both_floor_ms: float
    saved_bytes: int
    peak_bytes: int | None
    way: str


@dataclass(frozen=True, slots=True)
class LayerTimings:
    """A run of the bench of layers.

    Attributes:
        environment: where it ran.
        threads: threads of torch.
        rows: candidates, those of one op and shape together.
    """

    environment: Environment
    threads: int
    rows: tuple[LayerTiming, ...]
