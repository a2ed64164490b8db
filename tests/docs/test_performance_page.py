"""The page on performance says what the committed rows say."""

from pathlib import Path

from placenorm.facts.codec import loads
from placenorm.facts.timing import LayerTimings
from placenorm.report.bench_markdown import write_performance_markdown
from placenorm.report.bench_terminal import find_median

ROOT = Path(__file__).parents[2]
RUNS = [
    loads(LayerTimings, path.read_text(encoding="utf-8"), str(path))
    for path in sorted((ROOT / "docs" / "runs" / "bench").glob("*.json"))
]


def test_page_is_what_the_committed_runs_say() -> None:
    assert len(RUNS) > 1
    assert (ROOT / "docs" / "performance.md").read_text(encoding="utf-8") == write_performance_markdown(RUNS)


def test_every_fused_row_has_eager_beside_it() -> None:
    for run in RUNS:
        rows = {(row.op, row.shape, row.layout, row.candidate): row for row in run.rows}
        fused = [row for row in run.rows if row.way.startswith("fused")]
        assert fused
        assert all(find_median(rows[row.op, row.shape, row.layout, "eager"]) > 0 for row in fused)
