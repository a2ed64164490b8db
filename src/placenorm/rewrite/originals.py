"""What a module was before it was accelerated: noted on the module itself, so that copies and files carry the way back.

A module is accelerated by another class: it stays the same object under the same paths, with the same parameters,
buffers, hooks and mode.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from placenorm.errors import ModelError
from placenorm.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from placenorm.rewrite.retracing import GeneratedForward, OwnerGraphs, find_generated
from placenorm.rewrite.surroundings import Taking

_ORIGINAL = "_placenorm_original"
"""Attribute of a module: its `Original`."""

HELD = ("before", "after", "pool", "pool_after", "_known")
"""Attributes of our layers that torch's do not have: what they hold, and the input that they remember."""

OUR_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d)

OURS: dict[type[nn.Module], type[BatchNorm1d | BatchNorm2d | BatchNorm3d]] = {
    nn.BatchNorm1d: BatchNorm1d,
    nn.BatchNorm2d: BatchNorm2d,
    nn.BatchNorm3d: BatchNorm3d,
    **{each: each for each in OUR_NORMS},
}
"""Our layer for each of torch's, and for our own."""


@dataclass(frozen=True, slots=True)
class Original:
    """What a module was.

    Attributes:
        kind: its class; of a module whose forward was made anew, the class of the user's.
        before: the forward that had been made for it already; None where it had its own.
        made: the forward that was made for it; None where that stayed. If it was rewritten by others since, it is no
            longer the one that the module has.
    """

    kind: type[nn.Module]
    before: GeneratedForward | None = None
    made: GeneratedForward | None = None


def become_fused(norm: nn.Module, taking: Taking) -> None:
    """Make a norm our layer, with what it takes in."""
    layer: Any = norm
    kind = type(norm)
    ours = OURS.get(kind, BatchNorm2d)  # of timm's norm with an activation there is nothing but the 2d one
    _note(norm, Original(kind))
    layer.__class__ = ours
    layer.fuse(before=taking.before, after=taking.after, pool=taking.pool, pool_after=taking.pool_after)


def become_identity(module: nn.Module) -> None:
    """Make a module that was taken into a norm an identity."""
    if type(module) is not nn.Identity:
        _note(module, Original(type(module)))
        module.__class__ = nn.Identity


def change_forward(owner: nn.Module, graphs: OwnerGraphs) -> None:
    """Make edited graphs the forward of a module."""
    before = find_generated(owner)
    first: Original | None = owner.__dict__.get(_ORIGINAL)
    is_foreign = first is not None and first.made is not None and not first.made.is_of(owner)
    graphs.install(owner)
    if is_foreign:
        return  # the note stays, so that the way back goes on to be refused
    kind: type[nn.Module] = type(owner)._placenorm_base  # type: ignore[attr-defined]
    owner.__dict__[_ORIGINAL] = Original(kind, before if first is None else first.before, find_generated(owner))


def is_accelerated(module: nn.Module) -> bool:
    """Whether a module has become another one."""
    return _ORIGINAL in module.__dict__


def check_restorable(path: str, module: nn.Module) -> None:
    """Raise an error if a module was changed again since it was accelerated.

    Raises:
        ModelError: naming it.
    """
    original: Original = module.__dict__[_ORIGINAL]
    is_ours = type(module) in (*OUR_NORMS, nn.Identity) if original.made is None else original.made.is_of(module)
    if not is_ours:
        rewritten = find_generated(module) is not None
        what = "its forward was rewritten again" if rewritten else f"it was made a {type(module).__name__}"
        raise ModelError(
            f"Cannot restore {path or type(module).__name__}: {what} after pn.accelerate, and what that did would be "
            "lost; restore the accelerated model first, and do it to the result."
        )


def put_back(module: nn.Module) -> None:
    """Make a module again what it was, with the values that it has now."""
    original: Original = module.__dict__.pop(_ORIGINAL)
    if isinstance(module, OUR_NORMS):
        for name in HELD:
            module.__dict__.pop(name, None)
    module.__class__ = original.kind
    if original.before is not None:
        original.before.install(module)


def _note(module: nn.Module, original: Original) -> None:
    module.__dict__.setdefault(_ORIGINAL, original)
