"""The bench of layers: what it times is right, its rows are whole, and bad requests are refused in a sentence."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from placenorm.bench import layer_timing
from placenorm.bench.layer_cases import LAYOUTS, OPS, Op
from placenorm.cli.main import app
from placenorm.errors import BenchError, UsageError
from placenorm.facts.codec import loads
from placenorm.facts.timing import LayerTimings
from placenorm.layers import BatchNorm2d
from placenorm.report.bench_terminal import HEADS, find_median, list_cells
from placenorm.verbs.benching import bench_layers

SMALL = "4x3x6x8"


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LEAST_SECONDS", 0.0), ("LEAST_ROUNDS", 3), ("WARM_UP", 1)):
        monkeypatch.setattr(layer_timing, name, value)


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
    assert facts.threads == 1
    cells = list(list_cells(facts.rows))
    assert len(cells) == len(OPS) * len(LAYOUTS)
    assert all(len(each) == len(HEADS) for each in cells)


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
    (eager, _) = bench_layers(["norm"], shapes=[SMALL], layouts=["nchw"]).facts.rows
    assert eager.both_floor_ms > 0


def test_what_computes_something_else_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(norm: BatchNorm2d, x: Tensor, residual: Tensor) -> Tensor:
        y: Tensor = 2 * norm(x)
        return y

    wrong = Op("norm", BatchNorm2d, doubled, lambda size: 3, lambda size: 5)
    monkeypatch.setitem(OPS, "norm", wrong)
    with pytest.raises(BenchError, match=r"Cannot time norm on .* placenorm differs from torch in float64"):
        bench_layers(["norm"], shapes=[SMALL])


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
        ({"device": "tpu"}, "Cannot train on the device 'tpu'"),
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
    assert json.loads(as_json.output)["fact"]["threads"] == 1
    refused = CliRunner().invoke(app, ["bench", "layers", "nothing"])
    assert refused.exit_code == 2
    assert "There is no op 'nothing' to time" in refused.output


@pytest.mark.gpu
def test_peak_memory_is_told_on_a_gpu() -> None:
    rows = bench_layers(["norm-relu"], device="cuda", shapes=["8x16x32x32"], compiled=True).facts.rows
    assert {row.candidate for row in rows} == {"eager", "compile", "placenorm"}
    assert all(row.peak_bytes is not None and row.peak_bytes > 0 for row in rows)
    assert torch.cuda.is_available()
