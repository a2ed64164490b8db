"""A folder of claims: what was asked for in ``claims.json``, every observation as a line of ``observations.jsonl``."""

from pathlib import Path
from typing import IO

from placenorm.errors import StoreError
from placenorm.facts.claim import CLAIMS_FILE, ClaimsReport, Observation
from placenorm.facts.codec import dumps, loads
from placenorm.report.files import replace_file
from placenorm.study.store import LockedFolder, lock_folder

OBSERVATIONS = "observations.jsonl"


class ObservationStore(LockedFolder):
    """The folder of one run.

    An observation is a line that is written when its trial is over: a killed run loses at most the trials that were
    running, and a last line that is half written is dropped. One process writes at a time.

    Args:
        folder: where it lies.
        head: what was asked for; its results are made anew from the observations whenever they are read.
        lock: the open lock file; None for reading.
    """

    def __init__(self, folder: Path, head: ClaimsReport, lock: IO[str] | None) -> None:
        super().__init__(folder, lock)
        self.head = head
        self._found = _read_observations(folder / OBSERVATIONS)

    @property
    def observations(self) -> dict[str, Observation]:
        """Every observation, by the key of its question."""
        return dict(self._found)

    def add(self, observation: Observation) -> None:
        """Keep an observation.

        Raises:
            StoreError: if it cannot be written.
        """
        self._found[observation.question.key] = observation
        try:
            with (self.folder / OBSERVATIONS).open("a", encoding="utf-8") as file:
                file.write(dumps(observation) + "\n")
        except OSError as error:
            raise StoreError(
                f"Cannot write to {self.folder / OBSERVATIONS}: {error.strerror or error}; what was observed before is "
                "safe, so make room or mend the folder and go on with --resume."
            ) from error

    def finish(self, report: ClaimsReport) -> None:
        """Write what the observations come to."""
        self.head = report
        replace_file(self.folder / CLAIMS_FILE, (dumps(report) + "\n").encode())


def open_store(folder: Path, head: ClaimsReport, *, resume: bool) -> ObservationStore:
    """Return the store of a run, made anew or continued; one that is continued may be asked for other claims.

    Raises:
        StoreError: if the folder cannot be written, is in use, holds claims on other data, or, without `resume`, any.
    """
    lock = lock_folder(folder)
    try:
        if (folder / CLAIMS_FILE).exists():
            held = _read_head(folder)
            if held.data != head.data:
                raise StoreError(
                    f"Cannot use {folder}: its claims were put to {held.data.name} ({held.data.train} training "
                    f"samples), and these are to be put to {head.data.name} ({head.data.train}); choose another --out."
                )
            if not resume:
                raise StoreError(
                    f"Cannot use {folder}: it holds claims already; go on with --resume, or choose another --out."
                )
        store = ObservationStore(folder, head, lock)
        store.finish(head)
    except BaseException:
        lock.close()
        raise
    return store


def read_store(folder: Path) -> ObservationStore:
    """Return the store of a run for reading.

    Raises:
        StoreError: if there is none, or it cannot be read.
    """
    return ObservationStore(folder, _read_head(folder), None)


def _read_head(folder: Path) -> ClaimsReport:
    path = folder / CLAIMS_FILE
    try:
        return loads(ClaimsReport, path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"Cannot read {path}: {error}; name a folder that `placenorm claims` wrote.") from error


def _read_observations(path: Path) -> dict[str, Observation]:
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):  # the run was killed while it wrote
        lines.pop()
        replace_file(path, "".join(lines).encode())
    found = [loads(Observation, line, f"line {place} of {path}") for place, line in enumerate(lines, start=1)]
    return {observation.question.key: observation for observation in found}
