"""What a study costs beside its training: trials that return at once, from 100 to 10,000, with 8 workers.

    python bench/scale.py [--trials 100 1000 10000] [--jobs 8] [--out docs/runs/bench/scale.jsonl]

A trial builds and places a small network and calls a training loop that reports eight epochs and returns, so that a
run's time is the engine's. Each run goes through `placenorm.compare` into a folder of its own; then a fresh process
writes the report of that folder. Rows are appended as they come; docs/scale.md has the table.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

import placenorm as pn

ARMS: Final = 4
EPOCHS: Final = 8


def train(model: nn.Module, seed: int, report: Callable[[int, float], None]) -> float:
    """Return a number at once, in place of a trained network's accuracy."""
    share = (seed * 37 % 101) / 1010
    for epoch in range(1, EPOCHS + 1):
        report(epoch, 0.8 * epoch / EPOCHS + share)
    return 0.8 + share + sum(parameter.numel() for parameter in model.parameters()) % 7 / 1000


def measure(trials: int, jobs: int, folder: Path) -> dict[str, Any]:
    """Return what a study of so many trials takes, and the report of its folder."""
    started = time.perf_counter()
    stamps: list[tuple[float, int]] = []
    pn.compare(
        "mlp:2",
        "digits",
        train=train,
        seeds=trials // ARMS,
        jobs=jobs,
        out=folder,
        on_progress=lambda finished, total: stamps.append((time.perf_counter(), finished)),
    )
    ended = time.perf_counter()
    first, last = stamps[0][0], stamps[-1][0]
    tenth = max(1, trials // 10)
    report_s = measure_report(folder)
    return {
        "trials": trials,
        "jobs": jobs,
        "begin_s": round(first - started, 3),
        "trials_s": round(last - first, 3),
        "per_trial_ms": round(1e3 * (last - first) / trials, 3),
        "last_tenth_per_trial_ms": round(1e3 * (last - stamps[-tenth - 1][0]) / tenth, 3),
        "verdict_s": round(ended - last, 3),
        "report_s": round(report_s, 3),
        "stored_bytes": sum(file.stat().st_size for file in folder.rglob("*.db")),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
    }


def measure_report(folder: Path) -> float:
    """Return how long a fresh process takes to write the report of a folder, all imports included."""
    command = [sys.executable, "-m", "placenorm", "report", str(folder), "--out", str(folder / "report.html")]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr)
    return taken


def main() -> None:
    """Measure studies of several sizes and append a row for each."""
    parser = argparse.ArgumentParser(description="Measure what a study costs beside its training.")
    parser.add_argument("--trials", nargs="*", type=int, default=[100, 1000, 10_000])
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("docs/runs/bench/scale.jsonl"))
    options = parser.parse_args()
    for trials in options.trials:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(trials, options.jobs, Path(folder) / "study")
        print(row, flush=True)
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
