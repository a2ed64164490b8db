"""A folder of claims: what was asked for in ``claims.json``, every observation as a line of ``observations.jsonl``."""

from dataclasses import replace
from pathlib import Path
from typing import IO

from placenorm.errors import StoreError
from placenorm.facts.claim import CLAIMS_FILE, ClaimsReport, Observation
from placenorm.facts.codec import dumps, loads
from placenorm.report.files import replace_file
from placenorm.study.folders import LockedFolder, lock_folder
from placenorm.study.heads import merge_environments

OBSERVATIONS = "observations.jsonl"


class ObservationStore(LockedFolder):
    """The folder of one run.

    An observation is a line that is written when its trial is over: a killed run loses at most the trials that were
    running. A last line that is half written is no observation: a reader passes over it, as its writer may be about to
    end it, and the next writer drops it. One process writes at a time.

    Args:
        folder: where it lies.
        head: what was asked for; its results are made anew from the observations whenever they are read.
        lock: the open lock file; None for reading.

    Raises:
        StoreError: if the observations cannot be read.
    """

    def __init__(self, folder: Path, head: ClaimsReport, lock: IO[str] | None) -> None:
        super().__init__(folder, lock)
        self.head = head
        self._found = _read_observations(folder / OBSERVATIONS, repair=lock is not None)

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
    """Return the store of a run, made anew or continued.

    A run that is continued may be asked for other claims. It keeps the versions that it was run under before.

    Raises:
        StoreError: if the folder cannot be written or read, is in use, has observations and no head, or holds claims on
            other data, of another device or version of placenorm, or, without `resume`, any.
    """
    lock = lock_folder(folder)
    try:
        if (folder / CLAIMS_FILE).exists():
            held = _read_head(folder)
            difference = _difference(held, head)
            if difference:
                raise StoreError(f"Cannot use {folder}: {difference}; choose another --out.")
            if not resume:
                raise StoreError(
                    f"Cannot use {folder}: it holds claims already; go on with --resume, or choose another --out."
                )
            head = replace(head, environment=merge_environments(held.environment, head.environment))
        elif (folder / OBSERVATIONS).exists():
            raise StoreError(
                f"Cannot use {folder}: it has {OBSERVATIONS} but no {CLAIMS_FILE}, which says on what they were "
                "measured; restore that file, or choose another --out."
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


def _difference(held: ClaimsReport, asked: ClaimsReport) -> str:
    """Return why two runs cannot share a folder, what is asked and the versions of torch aside; "" if they can."""
    if held.data != asked.data:
        return (
            f"its claims were put to {held.data.name} ({held.data.train} training samples), and these are to be put to "
            f"{asked.data.name} ({asked.data.train})"
        )
    before, now = held.environment, asked.environment
    if before.device != now.device:
        return f"its trials ran on {before.device}, these are to run on {now.device}, and times would mix machines"
    if before.placenorm != now.placenorm:
        return f"its trials ran under placenorm {before.placenorm}, and those of {now.placenorm} may differ"
    return ""


def _read_observations(path: Path, *, repair: bool) -> dict[str, Observation]:
    """Return the observations in a file, by key; `repair` drops a last line that is half written from the file."""
    if not path.exists():
        return {}
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"Cannot read {path}: {error.strerror or error}; mend the folder, or run the claims again into a new one."
        ) from error
    whole, end, half = content.rpartition(b"\n")
    if repair and half:  # the run was killed while it wrote
        replace_file(path, whole + end)
    lines = whole.split(b"\n") if end else []
    found = [_read_observation(line, f"line {place} of {path}") for place, line in enumerate(lines, start=1)]
    return {observation.question.key: observation for observation in found}


def _read_observation(line: bytes, where: str) -> Observation:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise StoreError(
            f"Cannot read {where}: it is not UTF-8 ({error.reason} at byte {error.start}); "
            "restore the file, or run the claims again into a new folder."
        ) from error
    return loads(Observation, text, where)
