"""Where the verbs put their results, and what they say of them when they are stopped."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from placenorm.errors import ComparisonInterrupted

RESULTS = Path("placenorm-results")


def name_folder(*parts: str) -> str:
    """Return the name of a folder for a result: its parts, such as model and data, in plain characters."""
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.") for part in parts)


@contextmanager
def told_when_stopped(count: Callable[[], int], place: object) -> Iterator[None]:
    """Run the body; on Ctrl-C say what is kept.

    Args:
        count: how many trials are finished.
        place: where they are.

    Raises:
        ComparisonInterrupted: on Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise ComparisonInterrupted(
            f"Stopped: {count()} finished trials are kept in {place}; the same command with --resume goes on."
        ) from error
