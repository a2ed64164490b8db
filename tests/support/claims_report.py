"""Claims as a run would leave them, made up: facts for everything that reads them.

The numbers mean nothing. Words come from the real catalogues, so that only keys stand here that these have.
"""

from dataclasses import replace
from typing import Final

from placenorm.facts.claim import (
    Chart,
    ClaimResult,
    ClaimSettings,
    ClaimsReport,
    Effect,
    Point,
    Published,
    Ruling,
)
from placenorm.facts.comparison import DataFacts
from placenorm.facts.environment import Environment

PLACEMENTS: Final = ("none", "before-activation", "after-activation")
SEEDS: Final = 5
NUMBERS: Final = ("A1", "A3", "A11")


def make_claims_report() -> ClaimsReport:
    """Return three claims with one chart of every kind."""
    return ClaimsReport(
        settings=ClaimSettings("digits", full=False, seeds=SEEDS, claims=NUMBERS),
        data=DataFacts(
            name="digits",
            train=1078,
            validation=359,
            test=360,
            sample_shape=(1, 8, 8),
            classes=10,
            fixed_test=False,
            fingerprint="0a1b2c3d",
        ),
        environment=Environment(
            placenorm="0.1.0",
            torch="2.9.0",
            python="3.11.0",
            platform="Linux x86_64",
            cores=2,
            device="cpu",
            date="2025-01-01",
            command="placenorm claims A1 A3 A11",
        ),
        results=(make_transform(), make_outliers(), make_shape()),
        seconds=312.0,
    )


def make_transform() -> ClaimResult:
    """Return a claim that holds only if, without intervals, with a long line on two logarithmic axes."""
    ways = {"variance": -1.0, "standard-deviation": 0.0, "norm": 0.0}
    spreads = [10 ** (-2 + 3 * place / 99) for place in range(100)]
    points = [Point(spread, spread**power, way) for way, power in ways.items() for spread in spreads]
    return ClaimResult(
        number="A1",
        slug="transform",
        ruling=Ruling(
            "holds-only-if",
            (
                Effect("variance-error", 98.3, None, None, SEEDS, factors={"divisor": "variance"}),
                Effect("variance-error", 8.2e-5, None, None, SEEDS, factors={"divisor": "standard-deviation"}),
                Effect("mean-error", 3.1e-16, None, None, SEEDS),
                Effect("others", 0.0, None, None, SEEDS),
            ),
            {
                "seeds": SEEDS,
                "samples": 128,
                "neurons": 100,
                "neuron": 7,
                "tolerance": 0.001,
                "least": 0.101,
                "most": 99.3,
            },
            "standard-deviation",
        ),
        charts=(Chart("A1-variance", "lines", tuple(points), log_x=True, log_y=True),),
        published=(Published("A1-published-algorithm", "Ioffe & Szegedy 2015", "https://arxiv.org/abs/1502.03167"),),
        questions=("transform()/0", "transform()/1"),
    )


def make_outliers() -> ClaimResult:
    """Return a claim that is undecided, with bars, and a chart of shares on a logarithmic axis."""
    table = {1: 0.3173, 2: 0.0455, 3: 0.0027, 5: 5.7e-7}
    tails = [Point(far, share, "normal") for far, share in table.items()]
    for place, site in enumerate(("input", *PLACEMENTS[1:])):
        tails += [
            Point(far, share * (1.4 + place), site, share * (1.1 + place), share * (1.7 + place))
            for far, share in table.items()
        ]
    errors = ("one-value", "salt", "bright", "dark")
    found = [
        Point(error, 0.5 + 0.09 * place + 0.04 * at, way, 0.45 + 0.09 * place + 0.04 * at, 0.56 + 0.09 * place)
        for at, error in enumerate(errors)
        for place, way in enumerate(("input", "norms", "counted"))
    ]
    return ClaimResult(
        number="A3",
        slug="outliers",
        ruling=Ruling(
            "undecided",
            (
                Effect("area", 0.712, 0.642, 0.781, SEEDS, factors={"way": "norms"}),
                Effect("precision", 12.4, -1.2, 25.1, SEEDS, "percent", {"way": "norms"}),
            ),
            {"seeds": SEEDS, "area": 0.712, "precision": 12.4, "least_values": 26},
        ),
        charts=(
            Chart("A3-tails", "lines", tuple(tails), log_y=True, as_percent=True),
            Chart("A3-found", "bars", tuple(found)),
        ),
        published=(Published("A3-published-table", "a table without an address"),),
        questions=("outliers()/0",),
    )


def make_shape() -> ClaimResult:
    """Return a claim that does not hold, with panels, a gap in a line, and dots with intervals."""
    skewness = [
        Point(
            layer,
            None if (layer, placement) == (3, "none") else 0.2 + 0.1 * layer + at,
            placement,
            0.1 + 0.1 * layer + at,
            0.3 + 0.12 * layer + at,
            panel=panel,
        )
        for panel in ("mlp-8", "cnn-4")
        for at, placement in enumerate(PLACEMENTS)
        for layer in range(1, 9)
    ]
    dots = [
        Point(-0.5 + 0.7 * place, row, "", -1.1 + 0.7 * place, 0.2 + 0.7 * place)
        for place, row in enumerate(("norm-in", "norm-out", "activation"))
    ]
    zeros = [Point(layer, 0.0, "norm-in") for layer in range(1, 5)]
    return ClaimResult(
        number="A11",
        slug="shape",
        ruling=Ruling(
            "does-not-hold",
            (Effect("change", -2.34, -3.0, 1.7, SEEDS, "points"),),
            {
                "seeds": SEEDS,
                "skewness_margin": 0.5,
                "kurtosis_margin": 1.0,
                "skewness_before": 0.7,
                "skewness_after": 1.4,
                "kurtosis_before": 1.3,
                "kurtosis_after": 5.2,
                "zeros_before": 0,
                "zeros_after": 52,
                "levels": 17,
            },
        ),
        charts=(
            Chart("A11-skewness", "lines", tuple(skewness)),
            Chart("A11-kurtosis", "dots", tuple(dots)),
            Chart("A11-zeros", "lines", tuple(zeros), as_percent=True),
        ),
        published=(Published("A11-published-before", "a source", "https://example.org"),),
        questions=("shape()/0", "shape()/1"),
    )


def make_unfinished_report() -> ClaimsReport:
    """Return a run that was stopped before any claim had all its trials."""
    return replace(make_claims_report(), results=(), seconds=0.0)


def make_hostile_report(name: str) -> ClaimsReport:
    """Return claims in which everything that a user, a file or a network may have named has this name."""
    report = make_claims_report()
    settings = replace(report.settings, data=name)
    environment = replace(report.environment, platform=name, device=name, command=f"placenorm claims --data '{name}'")
    first = report.results[0]
    chart = Chart("A1-variance", "bars", (Point(name, 1.0, name, panel=name), Point(name, 2.0, f"{name} 2")))
    published = (Published("A1-published-algorithm", name, f"javascript:{name}"),)
    results = (replace(first, charts=(chart,), published=published), *report.results[1:])
    data = replace(report.data, name=name, notes=(name,))
    return replace(report, settings=settings, environment=environment, results=results, data=data)
