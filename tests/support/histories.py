"""Histories of trainings that nobody ran: of any length, with any names."""

import math

from placenorm.facts.finding import Finding, Fix
from placenorm.facts.reading import (
    Activity,
    Affine,
    GradientSpike,
    GradientStep,
    History,
    Look,
    Moments,
    Reading,
    SiteSummary,
    StatisticsGap,
    Watched,
)

WINDOW = 10

PEAK_STEP, PEAK_DRIFT = 30, 7.5
"""Where the site of place 1 drifts most."""


def make_reading(site: str, place: int, look: int, every: int) -> Reading:
    """Return a reading of a site: every third is a norm, every third an activation, every third a pool."""
    step = look * every
    drift = PEAK_DRIFT if (place, step) == (1, PEAK_STEP) else 0.05 + 0.04 * math.sin(place + look)
    after = Moments(0.1 * place, 1.0 + place, drift if look else None, 0.02, 0.5, -0.3, 0.25)
    kind = ("norm", "activation", "pool")[place % 3]
    activity = Activity(64, 640, 0.5, 2 + place, place % 7, min(look + 1, WINDOW), 0.01) if place % 3 == 1 else None
    gap = StatisticsGap(640, 64, 0.1, 0.2, 0.05, 0.3, 0.1, 10, step, 0.1, 0.1, True, "slow-momentum")
    return Reading(
        step=step,
        mode="training",
        site=site,
        kind=kind,  # type: ignore[arg-type]
        name={"norm": "BatchNorm2d", "activation": "ReLU", "pool": "MaxPool2d"}[kind],
        before=Moments(0.2, 2.0, None, None, 1.5, 4.0, 0.0),
        after=after,
        activity=activity,
        gap=gap if kind == "norm" else None,
        affine=Affine(1.0, 0.5, 1.5, -0.1, 0.4) if kind == "norm" else None,
        gradient_norm=0.01 * (place + 1),
    )


def make_watched(sites: int = 6, looks: int = 40, every: int = 10, name: str = "layer") -> Watched:
    """Return a training of ``looks * every`` steps with a spike and a finding.

    Args:
        sites: number of sites.
        looks: number of looks, all kept.
        every: steps from one to the next.
        name: what the network and its sites are called, each site with its place behind it.
    """
    keys = [f"{name}{place}" for place in range(sites)]
    kept = tuple(
        Look(
            look * every,
            "training",
            64,
            0.5,
            0.5,
            1.0,
            True,
            tuple(make_reading(key, place, look, every) for place, key in enumerate(keys)),
        )
        for look in range(looks)
    )
    steps = looks * every
    stride = -(-steps // 1000)
    gradients = tuple(GradientStep(step, 1.0 + math.sin(step)) for step in range(0, steps, stride))
    finding = Finding(
        "dying-units",
        (keys[0],),
        f"Units are dead in {keys[0]}.",
        "against",
        code="BN401",
        severity="warning",
        fix=Fix("Start anew with a lower learning rate."),
    )
    history = History(
        model=name,
        level="full",
        every=every,
        window=WINDOW,
        steps=steps,
        evaluations=0,
        looks=kept,
        looks_made=looks,
        sites=tuple(SiteSummary(key, "training", "norm", "BatchNorm2d", key, looks, 0, steps - every) for key in keys),
        gradients=gradients,
        gradient_of=8,
        spikes=(GradientSpike(20, 22, 1000.0, 1.0), GradientSpike(50, 50, None, 1.0)),
        spikes_seen=2,
    )
    return Watched(history, (finding,))
