"""What was timed: norms with their neighbours, and steps of training; our layers beside torch's."""

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
        clock: ``wall``: each pass from its call to its end. ``events``: what a GPU took for it, by marks in its queue.
            ``loop``: by the wall clock over many calls, what a loop sees that waits for launches more than for the GPU.
        copy_bytes_per_s: bandwidth of the copy behind the floor, bytes read and written; None where it was not kept.
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
    clock: str = "wall"
    copy_bytes_per_s: float | None = None


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


@dataclass(frozen=True, slots=True)
class ModelTiming:
    """One candidate's step of training: forward, cross-entropy, backward and a step of SGD with momentum.

    Attributes:
        model: its name, such as ``torchvision:resnet50``.
        placement: where its norms stand; all names of it, if several placements are the same network.
        candidate: ``eager``, ``compile``, ``placenorm``, or ``eager-graph`` and ``placenorm-graph``, whose forward and
            backward are each started as one graph of CUDA.
        shape: of the input, ``[N, C, H, W]``.
        autocast: dtype of autocast; empty where all is in float32.
        layout: of input and weights, ``nchw`` or ``channels_last``.
        step_ms: every sample of a step, in milliseconds.
        saved_bytes: what the forward keeps for the backward, parameters and buffers aside.
        peak_bytes: the most memory of the device that a step had in use beside parameters and momentum; None on the
            processor, and of graphs, which keep what they were given.
        norms: norms of the network as torch has it.
        taken: norms that ours took the place of; 0 for the others.
        fused: of them, those whose fused kernels ran on these inputs; the others ran torch's operators.
        skipped: norms that were left, each with its reason.
    """

    model: str
    placement: str
    candidate: str
    shape: tuple[int, ...]
    autocast: str
    layout: str
    step_ms: tuple[float, ...]
    saved_bytes: int
    peak_bytes: int | None
    norms: int
    taken: int
    fused: int
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelTimings:
    """A run of the bench of models.

    Attributes:
        environment: where it ran.
        threads: threads of torch.
        cudnn_benchmark: whether cuDNN tried its algorithms and took the fastest.
        rows: candidates, those of one model together; the first is the model as it is, by torch.
    """

    environment: Environment
    threads: int
    cudnn_benchmark: bool
    rows: tuple[ModelTiming, ...]
