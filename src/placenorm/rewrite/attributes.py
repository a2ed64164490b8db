"""Plain attributes that a forward reads while it is traced: a traced forward holds their values fixed."""

from typing import Any

from torch import nn

Reads = tuple[tuple[str, str, object], ...]
"""Plain attributes that a forward reads: path of the module from the owner, name, value."""

_PLAIN = (type(None), bool, int, float, str)


class HeldArgumentError(ValueError):
    """An argument or an attribute that has another value than the one a forward was rewritten for."""


class AttributeWatch:
    """Notes which plain attributes of a module, and of modules in it, are read between `begin` and `end`.

    Meanwhile the modules are of subclasses of their classes; what starts with an underscore and the mode do not count.

    Args:
        owner: the module.
    """

    def __init__(self, owner: nn.Module) -> None:
        self._owner = owner
        self._found: dict[tuple[str, str], object] = {}
        self._classes: dict[str, type[nn.Module]] = {}

    def begin(self) -> None:
        """Begin to note."""
        for path, module in self._owner.named_modules():
            kind = type(module)
            try:
                module.__class__ = _noting(kind, path, self._found)
            except TypeError:  # a script has a layout of its own
                continue
            self._classes[path] = kind

    def end(self) -> None:
        """Give the modules their classes back."""
        for path, module in self._owner.named_modules():
            if path in self._classes:
                module.__class__ = self._classes[path]

    def reads(self) -> Reads:
        """Return what was read."""
        return tuple((path, name, _freeze(value)) for (path, name), value in self._found.items())


def compare_reads(owner: nn.Module, reads: Reads) -> None:
    """Raise an error unless attributes have the values at which a forward was traced.

    Raises:
        HeldArgumentError: naming the first that has another.
    """
    for path, name, held in reads:
        module = owner.get_submodule(path) if path else owner
        value = _freeze(getattr(module, name, None))
        if value != held:
            where = f"{path}.{name}" if path else name
            raise HeldArgumentError(
                f"This network was rewritten while {where} was {held!r}, and now it is {value!r}, which the rewritten "
                "forward does not heed; set it back, or set it on the network as it was and rewrite that again."
            )


def _noting(kind: type[nn.Module], path: str, found: dict[tuple[str, str], object]) -> type[nn.Module]:
    """Return a subclass that notes what plain attributes are read."""

    def __getattribute__(self: nn.Module, name: str) -> Any:  # noqa: N807 - Python asks for this name
        value = kind.__getattribute__(self, name)
        if not name.startswith("_") and name != "training" and _is_plain(value):
            found.setdefault((path, name), value)
        return value

    return type(kind.__name__, (kind,), {"__getattribute__": __getattribute__, "__module__": kind.__module__})


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(isinstance(each, _PLAIN) for each in value)
    return isinstance(value, _PLAIN) and value == value  # a NaN equals nothing, so it cannot be compared


def _freeze(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
