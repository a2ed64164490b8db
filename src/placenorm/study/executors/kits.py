"""What a worker needs for all its trials, packed to be sent; and one trial, run so that nothing escapes it."""

import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import cloudpickle

from placenorm.errors import PlacenormError, TrialError, hide_passwords
from placenorm.facts.trial import Failure
from placenorm.lookup import describe_error, load_object
from placenorm.study.executors.executor import K, Outcome, R

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Set before a worker imports torch: sums in another order of threads give other weights."""

TRACEBACK_LIMIT = 12_000
"""Characters of a traceback that are kept, from its end: the innermost calls and the error stand there."""

_OURS = Path(__file__).parents[2]
"""The folder of placenorm: its own lines are not where a user's mistake is."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What a worker needs, once for all its trials.

    Attributes:
        references: the user's own code by reference, loaded first.
        make_work: pickled; called once in each worker, gives what runs one trial, from its key to its result.
    """

    references: tuple[str, ...]
    make_work: bytes


class Unfit(Exception):  # noqa: N818 - no error of a trial: what a worker sends that cannot be made ready
    """A worker cannot be made ready: why, as our own error or in words."""


def pack_kit(make_work: Callable[[], Callable[[K], R]], references: Iterable[str] = ()) -> Kit:
    """Return the kit of a worker."""
    return Kit(tuple(references), cloudpickle.dumps(make_work))


def unpack_kit(kit: Kit) -> Callable[[Any], Any]:
    """Return what runs one trial in this process, on one thread."""
    for reference in kit.references:
        load_object(reference)
    work: Callable[[Any], Any] = cloudpickle.loads(kit.make_work)()
    hold_to_one_thread()
    return work


def make_ready(kit: Kit) -> Callable[[Any], Any] | Unfit:
    """Return what runs one trial in this process, or why there is nothing."""
    try:
        return unpack_kit(kit)
    except (Exception, SystemExit) as error:
        return Unfit(error if isinstance(error, PlacenormError) else describe_fault(error).reason)


def refuse_worker(unfit: Unfit) -> NoReturn:
    """Raise what kept a worker from being made ready."""
    error = unfit.args[0]
    if isinstance(error, PlacenormError):
        raise error
    raise TrialError(
        f"A worker process cannot be made ready: {error}; mend the model or the data, then go on with --resume."
    )


def hold_to_one_thread() -> None:
    """Let torch compute on one thread, if it is loaded."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def run_trial(work: Callable[[K], R], key: K) -> Outcome[K, R]:
    """Return what comes of a trial; what it raises, ``SystemExit`` too, makes it a failed one."""
    started = time.perf_counter()
    try:
        return Outcome(key, work(key), None, time.perf_counter() - started)
    except (Exception, SystemExit) as error:
        return Outcome(key, None, describe_fault(error), time.perf_counter() - started)


def describe_fault(error: BaseException) -> Failure:
    """Return an error that ended a trial, in words that can be stored: its essence, and its traceback."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    place = _find_line(root)
    if isinstance(root, PlacenormError) or not place:
        reason = describe_error(root) if not isinstance(root, PlacenormError) else str(root).rstrip(".")
    else:
        reason = f"{place} raises {describe_error(root)}"
    return Failure(_clean(reason), _clean("".join(traceback.format_exception(error)))[-TRACEBACK_LIMIT:])


def _find_line(error: BaseException) -> str:
    """Return ``line 3 of net.py``: the innermost line outside of placenorm and of installed packages, or of any."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_installed(Path(frame.filename))]
    innermost = (own or frames)[-1:]
    return f"line {innermost[0].lineno} of {Path(innermost[0].filename).name}" if innermost else ""


def _is_installed(file: Path) -> bool:
    return _OURS in file.parents or any(part in {"site-packages", "dist-packages"} for part in file.parts)


def _clean(text: str) -> str:
    """Return a text that any storage takes: no password, nothing that is not UTF-8."""
    return hide_passwords(text.encode("utf-8", "replace").decode())
