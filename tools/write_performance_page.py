"""Write docs/performance.md from the committed runs of `placenorm bench layers`.

Run from the root of the repository:

    python tools/write_performance_page.py
"""

from pathlib import Path

from placenorm.facts.codec import loads
from placenorm.facts.timing import LayerTimings
from placenorm.report.bench_markdown import write_performance_markdown

RUNS = Path("docs/runs/bench")


def main() -> None:
    """Write the page."""
    runs = [loads(LayerTimings, path.read_text(encoding="utf-8"), str(path)) for path in sorted(RUNS.glob("*.json"))]
    Path("docs/performance.md").write_text(write_performance_markdown(runs), encoding="utf-8")


if __name__ == "__main__":
    main()
