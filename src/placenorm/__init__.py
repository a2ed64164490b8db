"""placenorm: where exactly should batch normalisation go in this network, on this data?

Names load when they are used: importing the package takes no torch.
"""

import random
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from placenorm import layers as layers
    from placenorm.errors import NoEffectWarning as NoEffectWarning
    from placenorm.errors import PlacenormError as PlacenormError
    from placenorm.verbs.accelerating import accelerate as accelerate
    from placenorm.verbs.accelerating import accelerate_ as accelerate_
    from placenorm.verbs.advising import advise as advise
    from placenorm.verbs.checking import check as check
    from placenorm.verbs.claiming import claims as claims
    from placenorm.verbs.comparing import compare as compare
    from placenorm.verbs.exporting import export as export
    from placenorm.verbs.folding import fold as fold
    from placenorm.verbs.folding import fold_ as fold_
    from placenorm.verbs.outlying import outliers as outliers
    from placenorm.verbs.placing import place as place
    from placenorm.verbs.placing import place_ as place_
    from placenorm.verbs.recalibrating import recalibrate as recalibrate
    from placenorm.verbs.recalibrating import recalibrate_ as recalibrate_
    from placenorm.verbs.restoring import restore as restore
    from placenorm.verbs.restoring import restore_ as restore_
    from placenorm.verbs.tracing import trace as trace
    from placenorm.verbs.watching import watch as watch

_HOME = {
    "NoEffectWarning": "placenorm.errors",
    "PlacenormError": "placenorm.errors",
    "accelerate": "placenorm.verbs.accelerating",
    "accelerate_": "placenorm.verbs.accelerating",
    "advise": "placenorm.verbs.advising",
    "check": "placenorm.verbs.checking",
    "claims": "placenorm.verbs.claiming",
    "compare": "placenorm.verbs.comparing",
    "export": "placenorm.verbs.exporting",
    "fold": "placenorm.verbs.folding",
    "fold_": "placenorm.verbs.folding",
    "outliers": "placenorm.verbs.outlying",
    "place": "placenorm.verbs.placing",
    "place_": "placenorm.verbs.placing",
    "recalibrate": "placenorm.verbs.recalibrating",
    "recalibrate_": "placenorm.verbs.recalibrating",
    "restore": "placenorm.verbs.restoring",
    "restore_": "placenorm.verbs.restoring",
    "trace": "placenorm.verbs.tracing",
    "watch": "placenorm.verbs.watching",
}
_MODULES = ("layers",)

__all__ = [
    "NoEffectWarning",
    "PlacenormError",
    "accelerate",
    "accelerate_",
    "advise",
    "check",
    "claims",
    "compare",
    "export",
    "fold",
    "fold_",
    "layers",
    "outliers",
    "place",
    "place_",
    "recalibrate",
    "recalibrate_",
    "restore",
    "restore_",
    "trace",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used; what it loads may draw random numbers, and the user's stay theirs."""
    state = random.getstate()
    try:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        if name in _MODULES:
            return import_module(f"placenorm.{name}")
    finally:
        random.setstate(state)
    raise AttributeError(f"module 'placenorm' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
