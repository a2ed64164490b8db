"""The page on performance says what the committed rows say."""

import shutil
from dataclasses import replace
from pathlib import Path

from placenorm.facts.codec import dumps, loads
from placenorm.facts.timing import LayerTimings, ModelTiming, ModelTimings
from placenorm.report.bench_markdown import MODELS, write_performance_markdown
from placenorm.report.bench_terminal import find_median
from support.scripts import load_script

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "runs" / "bench"


RUNS = [
    loads(LayerTimings, path.read_text(encoding="utf-8"), str(path))
    for path in sorted(FOLDER.glob("*.json"))
    if not path.name.startswith("models-")
]


def test_page_is_what_the_committed_runs_say() -> None:
    assert len(RUNS) > 1
    assert (ROOT / "docs" / "performance.md").read_text(encoding="utf-8") == load_script(
        "tools/write_performance_page.py"
    ).write_page(FOLDER)


def test_every_fused_row_has_eager_beside_it() -> None:
    for run in RUNS:
        rows = {(row.op, row.shape, row.layout, row.candidate): row for row in run.rows}
        fused = [row for row in run.rows if row.way.startswith("fused")]
        assert fused
        assert all(find_median(rows[row.op, row.shape, row.layout, "eager"]) > 0 for row in fused)


def make_models() -> ModelTimings:
    eager = ModelTiming(
        model="torchvision:resnet50",
        placement="as-is",
        candidate="eager",
        shape=(128, 3, 224, 224),
        autocast="bfloat16",
        layout="channels_last",
        step_ms=(60.0, 61.0, 62.0),
        saved_bytes=11_000_000_000,
        peak_bytes=12_000_000_000,
        norms=53,
        taken=0,
        fused=0,
        skipped=(),
    )
    ours = replace(
        eager, candidate="placenorm", step_ms=(50.0,), taken=52, fused=50, skipped=("layer1.0.bn1: it is read twice",)
    )
    place = replace(RUNS[0].environment, device="NVIDIA H100 80GB HBM3", command="placenorm bench models")
    return ModelTimings(environment=place, threads=8, cudnn_benchmark=True, rows=(eager, ours))


def test_page_shows_models_where_there_are_runs_of_them(tmp_path: Path) -> None:
    assert MODELS not in write_performance_markdown(RUNS)
    shutil.copy(FOLDER / "cpu-1-thread.json", tmp_path)
    (tmp_path / "models-h100.json").write_text(dumps(make_models()), encoding="utf-8")
    page = load_script("tools/write_performance_page.py").write_page(tmp_path)
    assert MODELS in page
    assert "### NVIDIA H100 80GB HBM3, cudnn.benchmark\n" in page
    assert "128x3x224x224, autocast bfloat16, channels_last; `placenorm bench models`" in page
    assert "| resnet50 | as-is | placenorm | 50.00 | 50.00, 50.00 | 1.22x | 11000 | 12000 | 53 | 52 | 50 | 1 |" in page
    assert "## cpu, float32, 1 thread" in page


def test_page_says_how_fast_a_processor_copies() -> None:
    (run, *_) = RUNS
    rows = tuple(replace(row, copy_bytes_per_s=1e10) for row in run.rows)
    assert "copies at 10 GB/s in the median;" in write_performance_markdown([replace(run, rows=rows)])


def test_page_shows_what_only_a_gpu_tells() -> None:
    (run, *_) = RUNS
    rows = tuple(replace(row, peak_bytes=8, clock="events", copy_bytes_per_s=3e12) for row in run.rows)
    page = write_performance_markdown([replace(run, rows=rows)])
    assert "copy 3.00 TB/s" in page
    assert "| peak | clock |" in page
    assert "| peak |" not in write_performance_markdown([run])
