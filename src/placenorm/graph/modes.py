"""A mode that sees every call of torch's in a block, and every module that begins and ends there."""

from abc import abstractmethod
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from torch.nn.modules.module import _global_forward_hooks_with_kwargs
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle


class HookedMode(TorchFunctionMode):
    """A mode whose hooks live as long as its block."""

    def __init__(self) -> None:
        super().__init__()
        self._handles: list[RemovableHandle] = []

    @abstractmethod
    def add_hooks(self) -> Iterable[RemovableHandle]:
        """Hook into the modules, and yield the handles."""

    def __enter__(self) -> Self:
        self._handles.extend(self.add_hooks())
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()
            _global_forward_hooks_with_kwargs.pop(handle.id, None)  # torch forgets that, and torch.compile warns then
        self._handles.clear()
