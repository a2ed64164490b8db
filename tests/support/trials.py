"""Small comparisons that really train, and results without their clock."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from placenorm.facts.trial import TrialResult
from placenorm.study.driver import StudyPlan
from placenorm.study.planning import make_plan
from placenorm.study.request import Request


def write_data(folder: Path, *, regression: bool = False) -> str:
    """Write a small learnable npz and return its name as data: 120 samples of 6 features, 3 classes."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(120, 6)).astype(np.float32)
    score = x @ generator.normal(size=(6, 3))
    y = score[:, 0].astype(np.float32) if regression else score.argmax(1)
    np.savez(folder / "data.npz", x=x, y=y)
    return f"npz:{folder / 'data.npz'}"


def make_small_plan(folder: Path, **options: object) -> StudyPlan:
    """Return the plan of a comparison whose trials take some milliseconds."""
    chosen: dict[str, object] = {"model": "mlp:2", "seeds": 2, "epochs": 2, "batch_size": 16, **options}
    if "data" not in chosen:
        chosen["data"] = write_data(folder)
    return make_plan(Request(**chosen), "a test")  # type: ignore[arg-type]


def without_clock(result: TrialResult) -> TrialResult:
    """Return a result without what a clock measured, to compare runs by."""
    epochs = tuple(replace(record, time_s=0.0) for record in result.epochs)
    return replace(result, epochs=epochs, step_time_ms=0.0, wall_s=0.0)
