"""numba's compiler, whose files in its cache are forgotten when any file of this package changes.

What numba keeps of a function holds the machine code of all that the function calls, and is forgotten by numba when the
file of that one function changes. The loops are called from other files.
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return what compiles a function, as numba's decorator of this name.

    Args:
        options: numba's; cache among them, which is on.
    """

    def compile_function(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        dispatcher._cache = _Cache(function)  # what enable_caching does, with a cache of ours
        return dispatcher

    return compile_function


class _Cache(FunctionCache):
    """A cache on disk whose files bear the digest of this package beside the time of one file."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        locator = self._impl.locator
        self._cache_file = IndexDataCacheFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=(locator.get_source_stamp(), digest_sources()),
        )


@cache
def digest_sources() -> str:
    """Return a digest of all the sources that a compiled function may hold code of."""
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
