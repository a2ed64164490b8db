"""Builders of variants and trial results, for tests that need no training."""

from collections.abc import Mapping, Sequence

from placenorm.facts.comparison import Metric, Variant
from placenorm.facts.cost import Cost, NormCost
from placenorm.facts.graph import Graph
from placenorm.facts.trial import DeadShare, EpochRecord, TrialKey, TrialResult

ACCURACY = Metric("accuracy", higher_is_better=True, quantum=1 / 360, as_percent=True)
R2 = Metric("r2", higher_is_better=True)
RMSE = Metric("rmse", higher_is_better=False)

STEPS_PER_EPOCH = 10
STEP_TIME_MS = 20.0


def make_variant(name: str, *, norm_bytes: int = 0, aliases: tuple[str, ...] = (), baseline: bool = False) -> Variant:
    """A variant whose norms move `norm_bytes` of the 10 MB that a training step moves; 0 means that it has no norm."""
    norms = (NormCost("norm", norm_bytes // 32, norm_bytes, norm_bytes // 4, 16),) if norm_bytes else ()
    cost = Cost(norms, train_bytes=10_000_000 + norm_bytes, macs=1000, parameters=100)
    return Variant(name, aliases, baseline, {}, (), (), Graph((), ()), cost)


def make_trial(
    variant: str = "none",
    seed: int = 0,
    lr: float | None = 0.03,
    *,
    test: float | None = 0.9,
    val_loss: float | None = 0.5,
    curve: Sequence[float | None] = (0.5, 0.8, 0.9),
    val_metric: float | None = None,
    diverged_at: int | None = None,
    step_time_ms: float = STEP_TIME_MS,
    dead: Mapping[str, tuple[int, int]] | None = None,
) -> TrialResult:
    """A trial with one validation record an epoch of ten steps; `val_metric` is the curve's end unless given.

    `dead` gives (units, dead units) by activation.
    """
    records = tuple(
        EpochRecord(
            step=STEPS_PER_EPOCH * epoch,
            time_s=STEPS_PER_EPOCH * epoch * step_time_ms / 1e3,
            train_loss=None,
            train_metric=None,
            val_loss=None,
            val_metric=height,
        )
        for epoch, height in enumerate(curve, start=1)
    )
    return TrialResult(
        key=TrialKey(variant, seed, lr),
        epochs=records,
        val_loss=None if diverged_at is not None else val_loss,
        val_metric=val_metric if val_metric is not None else (curve[-1] if curve else None),
        test_metric=test,
        diverged_at=diverged_at,
        steps=STEPS_PER_EPOCH * len(curve),
        step_time_ms=step_time_ms,
        dead=tuple(DeadShare(key, units, off) for key, (units, off) in (dead or {}).items()),
    )


def make_arms(values: Mapping[str, Sequence[float]]) -> list[TrialResult]:
    """One trial for each variant and seed with this test metric, and a validation curve that stays there."""
    return [
        make_trial(name, seed, test=value, curve=(value, value))
        for name, arm in values.items()
        for seed, value in enumerate(arm)
    ]


NONE = make_variant("none", baseline=True)
BEFORE = make_variant("before-activation", norm_bytes=4_800_000)
AFTER = make_variant("after-activation", norm_bytes=4_800_000)
POOL = make_variant("after-pool", norm_bytes=1_200_000)
FOUR = (NONE, BEFORE, AFTER, POOL)

SPREAD = (0.0, 0.01, -0.01, 0.005, -0.005, 0.008, -0.008, 0.002, -0.002, 0.0)
"""Ten seeds around a mean of zero."""

LOW = [0.80 + gap for gap in SPREAD]
MIDDLE = [0.85 - gap for gap in SPREAD]
HIGH = [0.95 + gap / 2 for gap in SPREAD]
