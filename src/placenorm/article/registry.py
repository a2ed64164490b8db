"""Every claim and every experiment, by name."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Final

from placenorm.article import (
    a01_transform,
    a02_affine,
    a03_outliers,
    a04_convergence,
    a05_shift,
    a06_dead_units,
    a07_recovery,
    a08_depth,
    a09_before_after,
    a10_pooling,
    a11_shape,
)
from placenorm.article.claim import Claim
from placenorm.article.experiments import (
    changes,
    drifting,
    explosions,
    pool_costs,
    pool_trainings,
    rare_feature,
    training,
    waking,
)
from placenorm.article.experiments.laboratory import Laboratory, Measured
from placenorm.errors import UsageError
from placenorm.facts.claim import Question

Experiment = Callable[[Laboratory, Question], Measured]

CLAIMS: Final[tuple[Claim, ...]] = (
    a01_transform.CLAIM,
    a02_affine.CLAIM,
    a03_outliers.CLAIM,
    a04_convergence.CLAIM,
    a05_shift.CLAIM,
    a06_dead_units.CLAIM,
    a07_recovery.CLAIM,
    a08_depth.CLAIM,
    a09_before_after.CLAIM,
    a10_pooling.CLAIM,
    a11_shape.CLAIM,
)
"""In the article's order."""

EXPERIMENTS: Final[dict[str, Experiment]] = {
    training.KIND: training.run,
    rare_feature.KIND: rare_feature.run,
    a01_transform.KIND: a01_transform.run,
    a02_affine.KIND: a02_affine.run,
    a02_affine.TRAINED: a02_affine.run_trained,
    a03_outliers.KIND: a03_outliers.run,
    a03_outliers.LIMIT: a03_outliers.run_limit,
    a11_shape.KIND: a11_shape.run,
    changes.KIND: changes.run,
    drifting.KIND: drifting.run,
    waking.KIND: waking.run,
    explosions.SPIKE: explosions.run,
    explosions.SINGULAR: explosions.run,
    pool_costs.KIND: pool_costs.run,
    pool_trainings.KIND: pool_trainings.run,
}
"""What answers a question, by the question's kind."""


def find_claims(names: Iterable[str]) -> tuple[Claim, ...]:
    """Return the claims of some numbers or slugs, in the article's order; all of them for none.

    Raises:
        UsageError: if there is no such claim.
    """
    asked = list(names)
    if not asked:
        return CLAIMS
    known = {name.lower(): claim for claim in CLAIMS for name in (claim.number, claim.slug)}
    chosen = set()
    for name in asked:
        if name.lower() not in known:
            close = get_close_matches(name.lower(), known, n=1)
            offer = f"did you mean {known[close[0]].number} {known[close[0]].slug}? They are" if close else "they are"
            listed = ", ".join(f"{claim.number} {claim.slug}" for claim in CLAIMS)
            raise UsageError(f"There is no claim {name!r}; {offer} {listed}.")
        chosen.add(known[name.lower()].number)
    return tuple(claim for claim in CLAIMS if claim.number in chosen)
