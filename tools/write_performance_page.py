"""Write docs/performance.md from the committed runs of `placenorm bench`.

Run from the root of the repository:

    python tools/write_performance_page.py

Runs of `placenorm bench models` lie in files whose names begin with ``models-``, those of `placenorm bench layers` in
the others.
"""

from pathlib import Path

from placenorm.facts.codec import loads
from placenorm.facts.timing import LayerTimings, ModelTimings
from placenorm.report.bench_markdown import write_performance_markdown

RUNS = Path("docs/runs/bench")
MODELS = "models-"


def write_page(folder: Path) -> str:
    """Return the page of the runs in a folder."""
    files = sorted(folder.glob("*.json"))
    layers = [path for path in files if not path.name.startswith(MODELS)]
    models = [path for path in files if path.name.startswith(MODELS)]
    return write_performance_markdown(
        [loads(LayerTimings, path.read_text(encoding="utf-8"), str(path)) for path in layers],
        [loads(ModelTimings, path.read_text(encoding="utf-8"), str(path)) for path in models],
    )


def main() -> None:
    """Write the page."""
    Path("docs/performance.md").write_text(write_page(RUNS), encoding="utf-8")


if __name__ == "__main__":
    main()
