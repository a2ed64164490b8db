"""The bench of models: what is timed trains as torch's network does, and its rows say what was timed."""

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from placenorm.bench import model_timing
from placenorm.bench.model_cases import CLASSES, DEFAULTS, PLACEMENTS, Setting
from placenorm.bench.sampling import Rounds
from placenorm.cli.main import app
from placenorm.errors import BenchError, ModelError, UsageError
from placenorm.facts.codec import dumps, loads
from placenorm.facts.edits import Change, Skip
from placenorm.facts.timing import ModelTimings
from placenorm.layers import BatchNorm2d
from placenorm.report.bench_terminal import MODEL_HEADS, list_models, print_model_timings
from placenorm.report.forms import print_to_text
from placenorm.verbs.benching import bench_models

CHANNELS, BATCH, SIZE = 4, 3, 8


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(3, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU()),
        )
        self.head = nn.Linear(CHANNELS * (SIZE // 2) ** 2, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.body(x).flatten(1))
        return y


@dataclass(frozen=True, slots=True)
class Done:
    model: nn.Module
    changes: tuple[Change, ...] = (Change("body.1", "taken"),)
    skipped: tuple[Skip, ...] = (Skip("body.5", "left as it is"),)


def accelerate(model: nn.Module, example_inputs: Tensor) -> Done:
    return Done(copy.deepcopy(model))


@pytest.fixture(autouse=True)
def small_and_few(monkeypatch: pytest.MonkeyPatch) -> None:
    find = model_timing.find_builder
    monkeypatch.setattr(model_timing, "find_builder", lambda name, size: find(name, size) if ".py" in name else Net)
    monkeypatch.setitem(model_timing.ROUNDS, "cpu", Rounds(seconds=0.0, least=3, most=3, warm_up=1))
    monkeypatch.setattr("placenorm.verbs.benching._find_accelerate", lambda: accelerate)


def bench(*models: str, **options: Any) -> Any:
    return bench_models(models or ("resnet18",), batch=BATCH, size=SIZE, threads=1, **options)


def test_eager_and_ours_are_timed_in_one_run() -> None:
    facts = bench("resnet18", "vgg11").facts
    assert [(row.model, row.candidate) for row in facts.rows] == [
        (f"torchvision:{model}", candidate) for model in ("resnet18", "vgg11") for candidate in ("eager", "placenorm")
    ]
    for row in facts.rows:
        assert len(row.step_ms) == 3
        assert min(row.step_ms) > 0
        assert row.shape == (BATCH, 3, SIZE, SIZE)
        assert (row.autocast, row.layout, row.placement, row.norms) == ("", "nchw", "as-is", 2)
        assert row.peak_bytes is None
    eager, ours, *_ = facts.rows
    assert (eager.taken, eager.fused, eager.skipped) == (0, 0, ())
    assert (ours.taken, ours.fused, ours.skipped) == (1, 0, ("body.5: left as it is",))
    assert (facts.threads, facts.cudnn_benchmark) == (1, False)
    assert loads(ModelTimings, dumps(facts), "here") == facts


@pytest.mark.parametrize(("least", "fused"), [(0, 2), (BATCH * CHANNELS * SIZE**2, 1), (1 << 30, 0)])
def test_norms_are_counted_whose_kernels_run(least: int, fused: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def take(model: nn.Module, example_inputs: Tensor) -> Done:
        ours = copy.deepcopy(model)
        for place in ("1", "5"):
            ours.body.register_module(place, BatchNorm2d(CHANNELS, after="relu"))
        return Done(ours, (Change("body.1", "taken"), Change("body.5", "taken")), ())

    monkeypatch.setattr("placenorm.layers.paths.LEAST_VALUES", least)
    monkeypatch.setattr("placenorm.verbs.benching._find_accelerate", lambda: take)
    (_, ours) = bench().facts.rows
    assert (ours.taken, ours.fused) == (2, fused)


def test_saved_bytes_leave_parameters_out() -> None:
    (eager, _) = bench().facts.rows
    values = {"image": 3 * SIZE**2, "maps": CHANNELS * SIZE**2, "pooled": CHANNELS * (SIZE // 2) ** 2}
    images = values["image"] + 2 * values["maps"] + 4 * values["pooled"]  # input, conv, relu; pool, conv, relu
    places = 2 * values["pooled"]  # of the pool's winners, in 8 bytes each
    floats = BATCH * (images - values["pooled"] + places + CLASSES)  # log-probabilities
    statistics = 4 * CHANNELS + 1  # mean and rstd of two norms; the total weight of the loss
    assert eager.saved_bytes == 4 * (floats + statistics) + 8 * BATCH  # the labels


def test_model_trains_while_it_is_timed() -> None:
    setting = Setting("cpu", BATCH, SIZE, None, "nchw", False, False, (), None)
    batch = model_timing._Batch(torch.randn(BATCH, 3, SIZE, SIZE), torch.randint(CLASSES, (BATCH,)), setting.autocast)
    net = Net()
    before = [parameter.detach().clone() for parameter in net.parameters()]
    step = model_timing._make_step(model_timing._Candidate("as-is", "eager", net, net, 2), batch)
    assert step() > 0
    moved = [not torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True)]
    assert all(moved[-2:])
    assert all(parameter.grad is None for parameter in net.parameters())


def test_each_placement_is_timed_once_by_torch_and_ours() -> None:
    rows = bench(placements=True).facts.rows
    assert [(row.placement, row.candidate, row.norms) for row in rows] == [
        ("as-is, before-activation", "eager", 2),
        ("as-is, before-activation", "placenorm", 2),
        ("none", "eager", 0),
        ("after-activation", "eager", 2),
        ("after-activation", "placenorm", 2),
        ("after-pool", "eager", 2),
        ("after-pool", "placenorm", 2),
    ]
    saved = {(row.placement, row.candidate): row.saved_bytes for row in rows}
    assert saved["none", "eager"] < saved["after-pool", "eager"] < saved["after-activation", "eager"]
    assert set(PLACEMENTS) == {name for row in rows for name in row.placement.split(", ")} - {"as-is"}


def time_graphs(capture: Any) -> Any:
    """Time a network with graphs, which a processor has none of, made by something else."""
    setting = Setting("cpu", BATCH, SIZE, torch.bfloat16, "nchw", False, True, (), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "make_graphed_callables", capture)
        (timed,) = model_timing.time_models(("resnet18",), setting, accelerate)
    return timed


def test_graphs_of_torchs_network_and_ours_are_timed_as_asked() -> None:
    captured: list[tuple[nn.Module, bool, bool, Tensor]] = []

    def capture(model: nn.Module, args: tuple[Tensor]) -> None:
        autocast = torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()
        captured.append((model, *autocast, args[0]))
        forward = model.forward
        model.forward = lambda x: forward(x.clone())  # a new one on the object, as torch sets it

    timed = time_graphs(capture)
    assert not timed.troubles
    assert [row.candidate for row in timed.rows] == ["eager", "eager-graph", "placenorm", "placenorm-graph"]
    eager, graphed, ours, ours_graphed = timed.rows
    assert (graphed.saved_bytes, graphed.taken) == (eager.saved_bytes, 0)
    assert (ours_graphed.saved_bytes, ours_graphed.taken, ours_graphed.skipped) == (ours.saved_bytes, 1, ours.skipped)
    assert [(cast, cache) for _, cast, cache, _ in captured] == [(True, False)] * 2
    (first, _, _, held), (second, _, _, other) = captured
    assert first is not second
    assert held.data_ptr() != other.data_ptr()
    heads, cells = list_models(timed.rows)
    assert [row[heads.index("taken")] for row in cells] == ["", "", "1", "1"]


def test_graph_that_cannot_be_captured_or_computes_something_else_is_left_out() -> None:
    def refuse(model: nn.Module, args: tuple[Tensor]) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    timed = time_graphs(refuse)
    assert [row.candidate for row in timed.rows] == ["eager", "placenorm"]
    assert [each.split(":")[0] for each in timed.troubles] == [
        f"Cannot time {candidate}-graph for torchvision" for candidate in ("eager", "placenorm")
    ]
    assert "not permitted" in timed.troubles[0]

    def spoil(model: nn.Module, args: tuple[Tensor]) -> None:
        forward = model.forward
        model.forward = lambda x: 100 * forward(x)

    timed = time_graphs(spoil)
    assert [row.candidate for row in timed.rows] == ["eager", "placenorm"]
    assert [each.rpartition("error in ")[2] for each in timed.troubles] == [
        "torch, please report it there.",
        "placenorm, please report it.",
    ]


def test_graphs_are_refused_on_a_processor() -> None:
    with pytest.raises(UsageError, match="Cannot time graphs of CUDA on cpu"):
        bench(graphs=True)


@pytest.mark.parametrize("autocast", ["bfloat16", "none"])
def test_autocast_and_layout_are_those_asked_for(autocast: str) -> None:
    seen: list[tuple[torch.dtype, bool]] = []

    class Spy(Net):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            seen.append((y.dtype, x.is_contiguous(memory_format=torch.channels_last)))
            return y

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_timing, "find_builder", lambda name, size: Spy)
        (eager, _) = bench(autocast=autocast, layout="channels_last").facts.rows
    assert eager.autocast == autocast.replace("none", "")
    assert eager.layout == "channels_last"
    assert seen[-1] == (torch.bfloat16 if autocast == "bfloat16" else torch.float32, True)
    assert seen[0] == (torch.float32, True)  # the check before


class Scaled(Net):
    def forward(self, x: Tensor) -> Tensor:
        return 20.0 * super().forward(x)


class NotANumber(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.nan


class Deaf(Net):
    """Computes the same forwards; nothing below its body learns."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.body(x).detach().flatten(1))
        return y


class Renamed(Net):
    def __init__(self) -> None:
        super().__init__()
        self.extra = nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Scaled, "its loss is"),
        (NotANumber, "its loss is nan"),
        (Deaf, "the gradient of body"),
        (Renamed, "its parameters have other names than torch's"),
    ],
)
def test_what_trains_differently_is_not_timed(kind: type[Net], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def accelerate_wrongly(model: nn.Module, example_inputs: Tensor) -> Done:
        wrong = kind()
        wrong.load_state_dict(model.state_dict(), strict=False)
        return Done(wrong)

    monkeypatch.setattr("placenorm.verbs.benching._find_accelerate", lambda: accelerate_wrongly)
    result = bench()
    assert [row.candidate for row in result.facts.rows] == ["eager"]
    (trouble,) = result.troubles
    assert trouble.startswith("Cannot time placenorm on Net, norms as-is: ")
    assert said in trouble


def test_compiled_model_is_timed_or_its_trouble_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda model: model)
    rows = bench(compiled=True).facts.rows
    assert [row.candidate for row in rows] == ["eager", "compile", "placenorm"]

    def fail(x: Tensor) -> Tensor:
        raise ArithmeticError("no compiler here")

    monkeypatch.setattr(torch, "compile", lambda model: fail)
    result = bench(compiled=True)
    assert [row.candidate for row in result.facts.rows] == ["eager", "placenorm"]
    assert "Cannot time torch.compile for torchvision:resnet18: no compiler here" in result.troubles[0]
    monkeypatch.setattr(torch, "compile", lambda model: lambda x: 20.0 * model(x))
    result = bench(compiled=True)
    assert [row.candidate for row in result.facts.rows] == ["eager", "placenorm"]
    assert "its loss is" in result.troubles[0]


def test_images_that_a_model_cannot_take_are_told() -> None:
    with pytest.raises(
        BenchError, match=r"Cannot time torchvision:resnet18 on 3 images of 4x4: .*give another --batch or --size"
    ):
        bench_models(["resnet18"], batch=BATCH, size=4)


def test_whatever_a_model_raises_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("Wrong image height! Expected 224")

    monkeypatch.setattr(model_timing, "_list_candidates", refuse)
    with pytest.raises(BenchError, match="Wrong image height! Expected 224; give another"):
        bench_models(["resnet18"], batch=BATCH, size=8)


OWN_MODELS = """
from torch import nn

def positions():
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1))

def pairs():
    class Pairs(nn.Module):
        def forward(self, x):
            return x, x
    return Pairs()
"""


def test_network_of_ones_own_that_scores_every_position_is_timed(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_MODELS, encoding="utf-8")
    name = f"{tmp_path / 'own.py'}:positions"
    rows = bench_models([name], batch=BATCH, size=8, seconds=0.0).facts.rows
    assert [(row.model, row.candidate, row.norms) for row in rows] == [(name, "eager", 1), (name, "placenorm", 1)]


def test_network_that_gives_no_scores_is_told(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_MODELS, encoding="utf-8")
    with pytest.raises(BenchError, match=r"own\.py:pairs on 4 images .*: it gives no scores \[N, classes, \.\.\.\]"):
        bench_models([f"{tmp_path / 'own.py'}:pairs"], batch=4, size=8)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"models": ["resnet5"]}, ModelError, "torchvision has no model called 'resnet5'"),
        ({"models": ["keras:resnet50"]}, UsageError, "there is no module 'keras'"),
        ({"batch": 1}, UsageError, "Cannot time with --batch 1"),
        ({"size": 0}, UsageError, "Cannot time with --size 0"),
        ({"autocast": "float8"}, UsageError, "There is no autocast to 'float8'"),
        ({"layout": "nhwc"}, UsageError, "There is no layout 'nhwc'"),
        ({"threads": 0}, UsageError, "Cannot time with --threads 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_requests_are_refused(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        bench_models(**options)


@pytest.mark.parametrize(
    ("device", "batch", "model", "images"),
    [
        ("cuda", None, "resnet50", 128),
        ("cuda:1", None, "mobilenet_v3_large", 256),
        ("cuda", None, "torchvision:mobilenet_v3_large", 256),
        ("cuda", 64, "mobilenet_v3_large", 64),
        ("cpu", None, "mobilenet_v3_large", DEFAULTS["cpu"].batch),
    ],
)
def test_batch_is_the_one_asked_for_or_the_models(device: str, batch: int | None, model: str, images: int) -> None:
    assert Setting(device, batch, SIZE, None, "nchw", False, False, (), None).choose_batch(model) == images


def test_cudnn_tries_its_algorithms_on_a_gpu_and_only_while_models_are_timed() -> None:
    before = torch.backends.cudnn.benchmark
    with model_timing.try_algorithms("cuda"):
        assert torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.benchmark == before
    with model_timing.try_algorithms("cpu"):
        assert not torch.backends.cudnn.benchmark


def test_ratios_are_to_the_model_as_it_is_and_to_its_own_placement() -> None:
    (eager, ours) = bench().facts.rows
    rows = [
        replace(eager, step_ms=(8.0,)),
        replace(ours, step_ms=(4.0,)),
        replace(eager, placement="none", step_ms=(5.0,)),
        replace(eager, placement="after-pool", step_ms=(6.0,)),
        replace(ours, placement="after-pool", step_ms=(2.0,), peak_bytes=3_000_000),
    ]
    heads, cells = list_models(rows)
    assert heads == MODEL_HEADS
    over = [each[heads.index("over eager")] for each in cells]
    assert over == ["", "2.00x", "1.60x", "1.33x", "4.00x; 3.00x"]
    assert cells[-1][heads.index("peak, MB")] == "3"


@pytest.mark.parametrize(("width", "left_out"), [(80, True), (200, False)])
def test_narrow_terminal_goes_without_what_is_missed_least(width: int, left_out: bool) -> None:
    facts = bench().facts
    text = print_to_text(lambda console: print_model_timings(facts, console), width)
    table = text.partition("A step:")[0]
    assert "over eager" in table
    assert "\N{HORIZONTAL ELLIPSIS}" not in table
    assert ("Left out for want of room: from, to" in text) is left_out


def test_command_prints_a_table_and_writes_each_model_as_it_comes(tmp_path: Path) -> None:
    out = tmp_path / "models.json"
    arguments = ["bench", "models", "resnet18", "--batch", "3", "--size", "8", "--threads", "1", "--seconds", "0"]
    printed = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*arguments, "--out", str(out)])
    assert printed.exit_code == 0, printed.output
    assert "resnet18" in printed.stdout
    assert "Skipped in torchvision:resnet18, norms as-is: body.5: left as it is" in printed.stdout
    assert [row.candidate for row in loads(ModelTimings, out.read_text(encoding="utf-8"), str(out)).rows] == [
        "eager",
        "placenorm",
    ]
    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert len(json.loads(as_json.stdout)["fact"]["rows"]) == 2


@pytest.mark.gpu
def test_step_on_a_gpu_is_timed_with_its_peak_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(model_timing.ROUNDS, "cuda", Rounds(seconds=0.0, least=3, most=3, warm_up=1))
    facts = bench_models(["resnet18"], device="cuda", batch=8, size=SIZE).facts
    assert facts.cudnn_benchmark
    for row in facts.rows:
        assert (row.autocast, row.layout) == ("bfloat16", "channels_last")
        assert row.peak_bytes is not None
        assert row.peak_bytes > 0
