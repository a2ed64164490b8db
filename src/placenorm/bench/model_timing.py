"""Times steps of training: a network by torch, compiled, and on our layers, interleaved in one run."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenorm.bench.layer_cases import LAYOUTS
from placenorm.bench.model_cases import CHANNELS, CLASSES, Setting
from placenorm.bench.sampling import Rounds, Timed
from placenorm.errors import BenchError, PlacenormError, first_line
from placenorm.facts.edits import Change, Skip
from placenorm.facts.placement import Policy
from placenorm.facts.timing import ModelTiming
from placenorm.graph.tracing import trace_model, undisturbed
from placenorm.layers import explain
from placenorm.rewrite.placing import place_model
from placenorm.zoo import find_model

ROUNDS: Final = {
    "cpu": Rounds(seconds=6.0, least=7, most=30, warm_up=2),
    "cuda": Rounds(seconds=4.0, least=7, most=30, warm_up=2),
}
"""By the kind of device, for all candidates of a model together."""

STEPS: Final = {"cpu": 1, "cuda": 3}
"""In a sample, by the kind of device: so that waiting for the GPU at its end hardly counts."""

MOMENTUM: Final = 0.9

LEARNING_RATE: Final = 1e-6
"""Small: a step costs the same, and a network without norms does not run away while it is timed."""

EXAMPLES: Final = 2
"""Images that a model is traced on."""

LOSS_ROOM: Final = 1e-2
GRADIENT_ROOM: Final = 5e-2
"""How far, as a share, the loss in float32 and the norm of each gradient may be from torch's: a gate. Signs of values
near 0 flip under rounding, and GPUs convolve float32 with 10 bits of the fraction."""

LEAST_GRADIENT: Final = 1e-3
"""Share of the whole gradient's norm below which a parameter's is noise, such as that of a bias before a norm."""

GRAPH: Final = "-graph"
"""What the name of a candidate ends with whose forward and backward are each started as one graph of CUDA."""

COMPILED_ROOM: Final = 0.1
"""The same for the loss of a compiled model in the first step, which drops out other units."""


class Accelerated(Protocol):
    """What `pn.accelerate` gives."""

    @property
    def model(self) -> nn.Module:
        """The model on our layers."""

    @property
    def changes(self) -> Sequence[Change]:
        """What was changed."""

    @property
    def skipped(self) -> Sequence[Skip]:
        """What was left."""


Accelerate = Callable[[nn.Module, Tensor], Accelerated]


@dataclass(frozen=True, slots=True)
class _Candidate:
    placement: str
    name: str
    model: nn.Module
    call: Callable[[Tensor], Tensor]
    norms: int
    taken: int = 0
    skipped: tuple[str, ...] = ()

    @property
    def is_graphed(self) -> bool:
        return self.name.endswith(GRAPH)


@dataclass(frozen=True, slots=True)
class _Ready:
    candidate: _Candidate
    step: "Step"
    saved_bytes: int
    fused: int


@dataclass(frozen=True, slots=True)
class _Batch:
    x: Tensor
    target: Tensor
    autocast: torch.dtype | None

    def measure_loss(self, call: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.autocast(self.x.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            return F.cross_entropy(call(self.x), self.target)


def time_models(models: Sequence[str], setting: Setting, accelerate: Accelerate) -> Iterator[Timed[ModelTiming]]:
    """Yield the timings of one model after the other; what cannot be timed is told with its reason.

    Args:
        models: as for `complete_name`.
        setting: how they are timed.
        accelerate: puts our layers into a copy of a model.
    """
    for name in models:
        try:
            timed = _time_model(complete_name(name), setting, accelerate)
        except BenchError as error:
            timed = Timed(troubles=[str(error)])
        yield timed


def complete_name(name: str) -> str:
    """Return a model's name as `find_model` takes it: one without a colon is of torchvision."""
    return name if ":" in name else f"torchvision:{name}"


def find_builder(name: str, size: int) -> Callable[[], nn.Module]:
    """Return a function that builds the model of a name; it draws weights from torch's random state.

    Args:
        name: as `complete_name` gives it.
        size: height and width of an image.

    Raises:
        ModelError: there is no such model.
        UsageError: the user's file or name cannot be loaded.
    """
    return find_model(name, sample_shape=(CHANNELS, size, size), outputs=CLASSES)


def _time_model(name: str, setting: Setting, accelerate: Accelerate) -> Timed[ModelTiming]:
    torch.manual_seed(0)
    model = find_builder(name, setting.size)().to(setting.device)
    model = model.to(memory_format=LAYOUTS[setting.layout]).train()
    images = torch.randn(setting.choose_batch(name), CHANNELS, setting.size, setting.size, device=setting.device)
    images = images.contiguous(memory_format=LAYOUTS[setting.layout])
    troubles: list[str] = []
    try:
        batch = _Batch(images, _draw_targets(model, images), setting.autocast)
        candidates = _list_candidates(model, batch, setting, accelerate, troubles)
        rows = _take_samples(name, candidates, batch, setting, troubles)
    except BenchError:
        raise
    except (
        Exception
    ) as error:  # images too small for the model, or too many for the memory; models raise what they like
        raise BenchError(
            f"Cannot time {name} on {len(images)} images of {setting.size}x{setting.size}: {first_line(error)}; give "
            "another --batch or --size."
        ) from error
    return Timed(rows, troubles)


def _draw_targets(model: nn.Module, images: Tensor) -> Tensor:
    """Return a class for everything that a model scores: for each image, or for each of its positions."""
    with undisturbed(model):
        scores = model(images[:EXAMPLES])
    if not isinstance(scores, Tensor) or scores.dim() < 2:
        raise TypeError("it gives no scores [N, classes, ...], which the loss of a step needs")
    return torch.randint(scores.shape[1], (len(images), *scores.shape[2:]), device=images.device)


# -- candidates


def _list_candidates(
    model: nn.Module, batch: _Batch, setting: Setting, accelerate: Accelerate, troubles: list[str]
) -> list[_Candidate]:
    """Return all that train as torch's network does, each placement's eager before the others of that placement."""
    example = batch.x[:EXAMPLES]
    torch.compiler.reset()
    candidates: list[_Candidate] = []
    for placement, placed in _place(model, example, setting.placements).items():
        norms = len(find_norms(placed))
        eager = _Candidate(placement, "eager", placed, placed, norms)
        candidates.append(eager)
        if setting.compiled and placed is model:
            compiled = copy.deepcopy(model)
            candidates.append(_Candidate(placement, "compile", compiled, torch.compile(compiled), norms))
        if setting.graphs:
            graphed = copy.deepcopy(placed)
            candidates.append(_Candidate(placement, "eager" + GRAPH, graphed, graphed, norms))
        if not norms:
            continue
        try:
            done = accelerate(placed, example)
            skipped = tuple(f"{each.site}: {each.reason}" for each in done.skipped)
            ours = done.model.train()
            fast = _Candidate(placement, "placenorm", ours, ours, norms, len(done.changes), skipped)
            _check(eager, fast, batch)
        except PlacenormError as error:
            troubles.append(str(error))
            continue
        candidates.append(fast)
        if setting.graphs:
            graphed = copy.deepcopy(ours)
            candidates.append(replace(fast, name=fast.name + GRAPH, model=graphed, call=graphed))
    return candidates


def _place(model: nn.Module, example: Tensor, placements: Sequence[Policy]) -> dict[str, nn.Module]:
    """Return the model as it is, and copies at each placement; those that are the same network are one."""
    named: dict[tuple[object, ...], tuple[list[str], nn.Module]] = {}
    if placements:
        graph = trace_model(model, example)
        where = sorted((norm.key, norm.owner) for norm in graph.norms)
        named[*sorted(graph.placement().items()), *where] = (["as-is"], model)
    for name in placements:
        placed = place_model(copy.deepcopy(model), example, name)
        where = sorted((norm.key, norm.owner) for norm in placed.graph.norms)
        key = (*sorted(placed.graph.placement().items()), *where)
        named.setdefault(key, ([], placed.model.train()))[0].append(name)
    return {", ".join(names): found for names, found in named.values()} or {"as-is": model}


def _check(eager: _Candidate, ours: _Candidate, batch: _Batch) -> None:
    """Refuse to time what does not train as torch's network does: loss and gradients of a batch in float32."""
    narrow = _Batch(batch.x, batch.target, None)
    (loss, wanted), (other, found) = (_measure_gradients(each, narrow) for each in (eager, ours))
    where = f"{ours.name} on {type(eager.model).__name__}, norms {ours.placement}"
    advice = "that is an error in placenorm, please report it."
    if wanted.keys() != found.keys():
        raise BenchError(f"Cannot time {where}: its parameters have other names than torch's; {advice}")
    if not abs(loss - other) <= LOSS_ROOM * abs(loss):  # so that NaN is refused
        raise BenchError(f"Cannot time {where}: its loss is {other:.4g}, torch's {loss:.4g}; {advice}")
    noise = LEAST_GRADIENT * sum(norm**2 for norm in wanted.values()) ** 0.5
    for name, norm in wanted.items():
        if not abs(norm - found[name]) <= GRADIENT_ROOM * norm + noise:
            raise BenchError(
                f"Cannot time {where}: the gradient of {name} has the norm {found[name]:.4g}, torch's {norm:.4g}; "
                f"{advice}"
            )


def _measure_gradients(candidate: _Candidate, batch: _Batch) -> tuple[float, dict[str, float]]:
    torch.manual_seed(0)  # the same units drop out
    loss = batch.measure_loss(candidate.call)
    loss.backward()
    norms = {
        name: float(parameter.grad.norm()) if parameter.grad is not None else 0.0
        for name, parameter in candidate.model.named_parameters()
    }
    candidate.model.zero_grad()
    return float(loss.detach()), norms


# -- timing


def _take_samples(
    name: str, candidates: list[_Candidate], batch: _Batch, setting: Setting, troubles: list[str]
) -> list[ModelTiming]:
    rounds = choose_rounds(setting.kind, setting.seconds)
    steps = STEPS[setting.kind]
    with try_algorithms(setting.kind):
        ready = _start(name, candidates, batch, troubles)
        samples = rounds.take(lambda: [_time_steps(each.step, batch.x.device, steps) for each in ready])
        return [
            ModelTiming(
                model=name,
                placement=each.candidate.placement,
                candidate=each.candidate.name,
                shape=tuple(batch.x.shape),
                autocast="" if setting.autocast is None else str(setting.autocast).removeprefix("torch."),
                layout=setting.layout,
                step_ms=tuple(sample[place] for sample in samples),
                saved_bytes=each.saved_bytes,
                peak_bytes=None if each.candidate.is_graphed else _measure_peak(each.step, batch.x.device),
                norms=each.candidate.norms,
                taken=each.candidate.taken,
                fused=each.fused,
                skipped=each.candidate.skipped,
            )
            for place, each in enumerate(ready)
        ]


def choose_rounds(kind: str, seconds: float | None) -> Rounds:
    """Return how long a model on a kind of device goes on."""
    usual = ROUNDS[kind]
    return usual if seconds is None else Rounds(seconds, usual.least, usual.most, usual.warm_up)


@contextmanager
def try_algorithms(kind: str) -> Iterator[None]:
    """Let cuDNN try its algorithms and take the fastest, as who trains on images of one size lets it."""
    before = torch.backends.cudnn.benchmark
    # What `torch.backends.cudnn.flags` calls, which sets everything else too; to set the flag itself may be forbidden.
    torch._C._set_cudnn_benchmark(kind == "cuda")
    try:
        yield
    finally:
        torch._C._set_cudnn_benchmark(before)


Step = Callable[[], Tensor]


def _start(name: str, candidates: list[_Candidate], batch: _Batch, troubles: list[str]) -> list[_Ready]:
    """Return every candidate after its first step; what is compiled or captured is left out where that fails."""
    ready: list[_Ready] = []
    losses: dict[str, float] = {}
    for each in candidates:
        step = _make_step(each, batch)
        # Of a graph neither what it keeps nor its norms can be asked: its memory is its own, and no module is called.
        saved = _count_saved(each, batch) if each.is_graphed else None
        fused = _count_fused(each, batch) if each.taken else 0
        if each.name == "compile" or each.is_graphed:
            what = "torch.compile" if each.name == "compile" else each.name
            try:
                if each.is_graphed:
                    _capture(each.model, batch)
                loss = float(step())
            except Exception as error:  # the compiler's own, or CUDA's: anything can come out of it
                troubles.append(
                    f"Cannot time {what} for {name}: {first_line(error)}; the others were timed without it."
                )
                continue
            if not abs(loss - losses["eager"]) <= COMPILED_ROOM * abs(losses["eager"]):
                whose = "placenorm, please report it" if each.taken else "torch, please report it there"
                troubles.append(
                    f"Cannot time {what} for {name}: its loss is {loss:.4g}, eager's {losses['eager']:.4g}; that is "
                    f"an error in {whose}."
                )
                continue
        else:
            losses[each.name] = float(step())
        ready.append(_Ready(each, step, _count_saved(each, batch) if saved is None else saved, fused))
    return ready


def _capture(model: nn.Module, batch: _Batch) -> None:
    """Let a model's forward and its backward each be started as one graph of CUDA, from now on.

    A graph reads its inputs where they lay when it was captured; each batch is copied to there, as in training.
    """
    # What autocast keeps of weights would be kept for longer than a replay.
    with torch.autocast(
        batch.x.device.type, dtype=batch.autocast, enabled=batch.autocast is not None, cache_enabled=False
    ):
        torch.cuda.make_graphed_callables(model, (batch.x.clone(),))


def _make_step(each: _Candidate, batch: _Batch) -> Step:
    optimizer = torch.optim.SGD(each.model.parameters(), LEARNING_RATE, MOMENTUM)

    def step() -> Tensor:
        loss = batch.measure_loss(each.call)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


def _time_steps(step: Step, device: torch.device, steps: int) -> float:
    """Return the milliseconds of a step, by the wall clock over several."""
    _wait(device)
    started = time.perf_counter()
    for _ in range(steps):
        step()
    _wait(device)
    return 1e3 * (time.perf_counter() - started) / steps


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _count_saved(each: _Candidate, batch: _Batch) -> int:
    """Return the bytes of what the forward keeps: each storage once, parameters and buffers aside."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*each.model.parameters(), *each.model.buffers())}
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = batch.measure_loss(each.call)
    del loss
    return sum(storages.values())


def _count_fused(each: _Candidate, batch: _Batch) -> int:
    """Return how many of the norms that are ours go the way of fused kernels on the inputs that they get."""
    fused = set[nn.Module]()

    def ask(norm: nn.Module, inputs: tuple[Tensor, ...], options: dict[str, Tensor]) -> None:
        if explain(norm, *inputs, **options).name == "fused":  # type: ignore[arg-type]  # these are norms
            fused.add(norm)

    hooks = [norm.register_forward_pre_hook(ask, with_kwargs=True) for norm in find_norms(each.model)]
    try:
        batch.measure_loss(each.call)
    finally:
        for hook in hooks:
            hook.remove()
    return len(fused)


def find_norms(model: nn.Module) -> list[nn.Module]:
    """Return the batch norms of a model, torch's and ours."""
    return [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]


def _measure_peak(step: Step, device: torch.device) -> int | None:
    """Return the most bytes that a step has in use beside parameters and momentum."""
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
