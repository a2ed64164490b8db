"""The order in which a plain `nn.Sequential` runs its children, ready to be edited.

`nn.Sequential` runs its children in the order in which it holds them, whatever their names are. So a norm moves by
moving its entry: it keeps its name, and the container stays the plain `nn.Sequential` that can be sliced and extended.
"""

from torch import nn


class ChildOrder:
    """Names of the children of a plain `nn.Sequential` in the order they run.

    Args:
        owner: the container; it is changed by `install` only.
    """

    def __init__(self, owner: nn.Sequential) -> None:
        self._calls = list(owner._modules)
        self._order = list(owner._modules)

    def call_behind(self, ordinal: int, target: str) -> None:
        """Run a child straight behind the call that had a place in the forward."""
        self._order.insert(self._order.index(self._calls[ordinal]) + 1, target)

    def move_call(self, ordinal: int, behind: int) -> None:
        """Run a child, known by its place in the forward, behind another one."""
        self._order.remove(self._calls[ordinal])
        self.call_behind(behind, self._calls[ordinal])

    def swap_calls(self, first: int, second: int) -> None:
        """Let two children, known by their places in the forward, change places."""
        one, other = (self._order.index(self._calls[ordinal]) for ordinal in (first, second))
        self._order[one], self._order[other] = self._order[other], self._order[one]

    def call_before(self, ordinal: int, target: str) -> None:
        """Run a child straight before the call that has a place in the forward."""
        self._order.insert(self._order.index(self._calls[ordinal]), target)

    def has(self, ordinal: int) -> bool:
        """Whether a child has a place in the forward."""
        return ordinal < len(self._calls)

    def take_call(self, ordinal: int) -> str:
        """Raise an error: a Sequential runs children and no function that could be taken out."""
        raise AssertionError(f"call {ordinal} of a Sequential is a child")

    def install(self, owner: nn.Module) -> None:
        """Make the edited order the one in which a container runs its children, those that came meanwhile last."""
        children = dict(owner._modules)
        owner._modules.clear()
        order = dict.fromkeys((*self._order, *children))  # some came meanwhile, and some went
        owner._modules.update({name: children[name] for name in order if name in children})
