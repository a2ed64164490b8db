"""Why a norm cannot be folded, and what would make it possible."""

from typing import Final

BESIDE_WEIGHTS: Final = "beside a weight op it could (pn.place moves it there)"
NEVER_NEGATIVE: Final = "with a gamma that is nowhere negative, or beside a weight op (pn.place), it could"
ONE_OF_TWO: Final = "of norms whose outputs meet in a sum one can go, unless it stands beside a weight op"
NEVER_ZERO: Final = "with a gamma that is nowhere exactly zero it could"
"""What would make it possible to fold a norm; behind a reason."""


class StuckError(Exception):
    """A norm cannot be folded, with the reason and what would make it possible."""
