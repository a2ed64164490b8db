"""Lists that stay short however much is put into them."""

from typing import Generic, TypeVar

T = TypeVar("T")


class ThinnedList(Generic[T]):
    """Keeps some of what was added, evenly spread, and always the first and the last.

    When it is full every second item is dropped, and from then on only every second, fourth, ... one is taken.

    Args:
        limit: the most items that are kept, at least 2, beside the last.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: list[T] = []
        self._stride = 1
        self._last: T | None = None
        self.added = 0

    def add(self, item: T) -> None:
        """Add an item."""
        if self.added % self._stride == 0:
            self._items.append(item)
            self._last = None
        else:
            self._last = item
        self.added += 1
        while len(self._items) > self._limit:
            self._thin()

    def shrink(self, limit: int) -> None:
        """Keep at most so many from now on; a larger limit than before changes nothing."""
        self._limit = max(2, min(limit, self._limit))
        while len(self._items) > self._limit:
            self._thin()

    def _thin(self) -> None:
        if self._last is None:
            self._last = self._items[-1]
        kept = self._items[::2]
        if kept[-1] is self._last:
            self._last = None
        self._items = kept
        self._stride *= 2

    def items(self) -> list[T]:
        """Return what is kept, in order."""
        return self._items + ([] if self._last is None else [self._last])
