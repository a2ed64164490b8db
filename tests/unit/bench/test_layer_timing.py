"""The bench of layers: what it times is right, its rows are whole, and bad requests are refused in a sentence."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from placenorm.bench import layer_timing
from placenorm.bench.layer_cases import LAYOUTS, OPS, Op
from placenorm.bench.sampling import Rounds, Timed
from placenorm.cli.main import app
from placenorm.errors import BenchError, UsageError
from placenorm.facts.codec import loads
from placenorm.facts.timing import LayerTiming, LayerTimings
from placenorm.layers import BatchNorm2d
from placenorm.report.bench_terminal import LAYER_COLUMNS, find_median, list_layers
from placenorm.verbs.benching import bench_layers

SMALL = "4x3x6x8"


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("cpu", "cuda"):
        monkeypatch.setitem(layer_timing.ROUNDS, kind, Rounds(seconds=0.0, least=3, most=3, warm_up=1))


def test_every_op_is_timed_in_both_layouts_beside_eager() -> None:
    facts = bench_layers(shapes=[SMALL], threads=1).facts
    assert {(row.op, row.layout, row.candidate) for row in facts.rows} == {
        (op, layout, candidate) for op in OPS for layout in LAYOUTS for candidate in ("eager", "placenorm")
    }
    for row in facts.rows:
        assert len(row.forward_ms) == len(row.backward_ms) == 3
        assert min(row.forward_ms + row.backward_ms) > 0
        assert row.shape == (4, 3, 6, 8)
        assert row.peak_bytes is None
        assert (row.way == "") == (row.candidate == "eager")
        assert row.clock == "wall"
    assert facts.threads == 1
    heads, cells = list_layers(facts.rows)
    assert set(LAYER_COLUMNS) - set(heads) == {"compile", "peak", "clock"}
    assert len(cells) == len(OPS) * len(LAYOUTS)
    assert all(len(each) == len(heads) for each in cells)


def test_saved_bytes_are_those_of_what_the_backward_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("placenorm.layers.paths.LEAST_VALUES", 0)
    rows = bench_layers(["relu-maxpool-norm", "norm-relu"], shapes=["8x4x16x16"], layouts=["nchw"]).facts.rows
    saved = {(row.op, row.candidate): row.saved_bytes for row in rows}
    values = 8 * 4 * 16 * 16
    assert saved["relu-maxpool-norm", "placenorm"] == 5 * values // 4
    assert saved["norm-relu", "placenorm"] == 4 * values
    assert saved["norm-relu", "eager"] == 2 * 4 * values


def test_floor_is_the_least_traffic_at_the_speed_of_a_copy() -> None:
    op = OPS["relu-maxpool-norm"]
    assert op.forward_units(2) + op.backward_units(2) == pytest.approx(1 + 3.5 / 4 + 1 + 4.5 / 4)
    (eager, ours) = bench_layers(["norm"], shapes=[SMALL], layouts=["nchw"]).facts.rows
    assert eager.copy_bytes_per_s is not None
    assert eager.both_floor_ms == ours.both_floor_ms
    assert eager.both_floor_ms == pytest.approx(1e3 * 8 * 4 * (4 * 3 * 6 * 8) / eager.copy_bytes_per_s)


class Wrong(nn.Module):
    """Our norm, with one channel that is off in one direction."""

    def __init__(self, channels: int, direction: str, channel: int) -> None:
        super().__init__()
        self.norm = BatchNorm2d(channels)
        self.direction = direction
        self.channel = channel

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x)
        off = torch.zeros_like(y)
        off[:, self.channel] = 0.1
        return y + off if self.direction == "forward" else y + off * (y - y.detach())


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("channel", [0, 2])
@pytest.mark.parametrize("values", [1 << 26, 1], ids=["at once", "by channels"])
def test_what_computes_something_else_is_not_timed(
    monkeypatch: pytest.MonkeyPatch, values: int, channel: int, direction: str
) -> None:
    monkeypatch.setattr(layer_timing, "TRUTH_VALUES", values)
    monkeypatch.setattr(layer_timing, "explain", lambda *arguments: "fused")
    norm = OPS["norm"]
    monkeypatch.setitem(OPS, "norm", Op("norm", lambda c: Wrong(c, direction, channel), norm.compose))
    with pytest.raises(BenchError, match=r"Cannot time norm on .* placenorm differs from torch in float64.*kernels"):
        bench_layers(["norm"], shapes=[SMALL])


def test_truth_by_channels_is_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_timing, "TRUTH_VALUES", 2 * 4 * 6 * 8)
    assert {row.op for row in bench_layers(shapes=["4x5x6x8"]).facts.rows} == set(OPS)


@pytest.mark.parametrize("most", [1, 4 * 6 * 8 * 2, 1 << 26])
def test_channels_are_split_into_all_of_them(most: int) -> None:
    parts = list(layer_timing.split_channels((4, 5, 6, 8), most))
    assert [channel for part in parts for channel in range(part.start, part.stop)] == list(range(5))
    assert all(4 * 6 * 8 * (part.stop - part.start) <= most or part.stop - part.start == 1 for part in parts)


def test_gradients_of_weight_and_bias_are_part_of_a_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    plain = torch.autograd.grad

    def count(outputs: Any, inputs: Any, *others: Any) -> Any:
        asked.append(len(inputs))
        return plain(outputs, inputs, *others)

    monkeypatch.setattr(torch.autograd, "grad", count)
    bench_layers(["norm"], shapes=[SMALL], layouts=["nchw"])
    assert sum(each == 3 for each in asked) >= 2 * 4  # two candidates, a round to warm up and three that count


def compile_what_fails(*arguments: object, **options: object) -> Any:
    def fail(*inputs: Tensor) -> Tensor:
        raise ArithmeticError("no compiler here")

    return fail


def test_others_are_timed_where_torch_compile_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", compile_what_fails)
    result = bench_layers(["norm"], shapes=[SMALL], layouts=["nchw"], compiled=True)
    assert [row.candidate for row in result.facts.rows] == ["eager", "placenorm"]
    assert "no compiler here" in result.troubles[0]


def compile_to_something_else(run: Any, **options: object) -> Any:
    return lambda *inputs: 2.0 * run(*inputs)


def test_compiled_op_that_computes_something_else_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", compile_to_something_else)
    result = bench_layers(["norm"], shapes=[SMALL], layouts=["nchw"], compiled=True)
    assert [row.candidate for row in result.facts.rows] == ["eager", "placenorm"]
    assert "compile differs from torch in float64" in result.troubles[0]
    assert "an error in torch.compile" in result.troubles[0]


def test_compiled_op_is_timed_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda run, **options: run)
    result = bench_layers(["norm-add"], shapes=[SMALL], layouts=["nchw"], compiled=True)
    assert [row.candidate for row in result.facts.rows] == ["eager", "compile", "placenorm"]
    assert result.troubles == ()
    assert "compile" in list_layers(result.facts.rows)[0]


def test_case_that_cannot_be_timed_leaves_the_others() -> None:
    result = bench_layers(["norm", "relu-maxpool-norm"], shapes=["4x3x1x1"], layouts=["nchw"])
    assert {row.op for row in result.facts.rows} == {"norm"}
    assert len(result.troubles) == 1
    assert "Cannot time relu-maxpool-norm on (4, 3, 1, 1)" in result.troubles[0]
    printed = CliRunner().invoke(
        app, ["bench", "layers", "norm", "relu-maxpool-norm", "--shape", "4x3x1x1", "--layout", "nchw"]
    )
    assert printed.exit_code == 1
    assert "Cannot time relu-maxpool-norm" in printed.stderr
    assert "norm" in printed.stdout


@pytest.mark.parametrize("end", [KeyboardInterrupt, MemoryError])
def test_cases_before_an_end_are_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    def end_early(*arguments: Any, **options: Any) -> Iterator[Timed[LayerTiming]]:
        cases = layer_timing.time_ops(*arguments, **options)
        yield next(cases)
        yield next(cases)
        raise end

    monkeypatch.setattr("placenorm.verbs.benching.time_ops", end_early)
    out = tmp_path / "rows.json"
    stopped = CliRunner().invoke(app, ["bench", "layers", "--shape", SMALL, "--layout", "nchw", "--out", str(out)])
    assert stopped.exit_code == (130 if end is KeyboardInterrupt else 1)
    facts = loads(LayerTimings, out.read_text(encoding="utf-8"), str(out))
    assert [row.op for row in facts.rows] == ["norm", "norm", "relu-norm", "relu-norm"]
    assert facts.environment.device == "cpu"


@pytest.mark.parametrize(("least", "most", "counted"), [(3, 5, 3), (0, 5, 0)])
def test_rounds_are_taken_until_there_are_enough(least: int, most: int, counted: int) -> None:
    taken = iter(range(100))
    assert Rounds(seconds=0.0, least=least, most=most, warm_up=2).take(lambda: next(taken)) == list(
        range(2, 2 + counted)
    )


def test_rounds_end_at_the_most() -> None:
    assert len(Rounds(seconds=1e9, least=1, most=4, warm_up=0).take(lambda: None)) == 4


def test_seconds_are_asked_for_or_the_devices() -> None:
    assert layer_timing.choose_rounds("cpu", 0.5) == Rounds(seconds=0.5, least=3, most=3, warm_up=1)
    assert layer_timing.choose_rounds("cpu", None) is layer_timing.ROUNDS["cpu"]


@pytest.mark.parametrize(("op", "shape"), [("norm", "1x3x1x1"), ("relu-maxpool-norm", "4x3x1x1")])
def test_shape_that_an_op_cannot_run_on_is_refused(op: str, shape: str) -> None:
    with pytest.raises(BenchError, match=rf"Cannot time {op} on .*; give another --shape"):
        bench_layers([op], shapes=[shape])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ops": ["norm-pool"]}, "There is no op 'norm-pool' to time; there are norm, relu-norm"),
        ({"layouts": ["nhwc"]}, "There is no layout 'nhwc'"),
        ({"dtype": "int8"}, "There is no dtype 'int8'"),
        ({"shapes": ["4x3x6"]}, "'4x3x6' is no shape to time"),
        ({"threads": 0}, "Cannot time with --threads 0"),
        ({"seconds": -1.0}, "Cannot time for --seconds -1.0"),
        ({"device": "tpu"}, "Cannot use the device 'tpu'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_requests_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        bench_layers(**options)


def test_command_prints_a_table_and_writes_every_sample(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    arguments = ["bench", "layers", "norm-relu", "--shape", SMALL, "--layout", "nchw", "--threads", "1"]
    printed = CliRunner(env={"COLUMNS": "160"}).invoke(app, [*arguments, "--out", str(out)])
    assert printed.exit_code == 0, printed.output
    assert "norm-relu" in printed.output
    facts = loads(LayerTimings, out.read_text(encoding="utf-8"), str(out))
    assert [row.candidate for row in facts.rows] == ["eager", "placenorm"]
    assert find_median(facts.rows[0]) > 0
    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(as_json.stdout)["fact"]["threads"] == 1
    refused = CliRunner().invoke(app, ["bench", "layers", "nothing"])
    assert refused.exit_code == 2
    assert "There is no op 'nothing' to time" in refused.output


@pytest.mark.gpu
@pytest.mark.parametrize(("shape", "clock"), [("8x16x32x32", "loop"), ("64x64x56x56", "events")])
def test_a_gpu_is_timed_by_the_clock_for_the_size(shape: str, clock: str) -> None:
    rows = bench_layers(["norm-relu", "norm-add"], device="cuda", shapes=[shape], compiled=True).facts.rows
    assert {row.candidate for row in rows} == {"eager", "compile", "placenorm"}
    for row in rows:
        values = int(torch.Size(row.shape).numel())
        assert row.clock == clock
        assert row.peak_bytes is not None
        assert row.peak_bytes >= 2 * values * (2 if row.op == "norm-add" else 1)
        assert row.copy_bytes_per_s is not None
        assert 1e11 < row.copy_bytes_per_s < 1e13
        assert min(row.forward_ms + row.backward_ms) > 0
