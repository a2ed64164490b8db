"""Every claim and every experiment, by name."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Final

from placenorm.claims import training
from placenorm.claims.claim import Claim
from placenorm.claims.laboratory import Laboratory, Measured
from placenorm.errors import UsageError
from placenorm.facts.claim import Question

Experiment = Callable[[Laboratory, Question], Measured]

CLAIMS: Final[tuple[Claim, ...]] = ()
"""In the article's order."""

EXPERIMENTS: Final[dict[str, Experiment]] = {training.KIND: training.run}
"""What answers a question, by the question's kind."""


def find_claims(names: Iterable[str]) -> tuple[Claim, ...]:
    """Return the claims of some numbers or slugs, in the article's order; all of them for none.

    Raises:
        UsageError: if there is no such claim.
    """
    asked = list(names)
    if not asked:
        return CLAIMS
    known = {name.lower(): claim.number for claim in CLAIMS for name in (claim.number, claim.slug)}
    chosen = set()
    for name in asked:
        if name.lower() not in known:
            close = get_close_matches(name.lower(), known, n=1)
            offer = f"did you mean {close[0]}? They are" if close else "they are"
            listed = ", ".join(f"{claim.number} {claim.slug}" for claim in CLAIMS)
            raise UsageError(f"There is no claim {name!r}; {offer} {listed}.")
        chosen.add(known[name.lower()])
    return tuple(claim for claim in CLAIMS if claim.number in chosen)
