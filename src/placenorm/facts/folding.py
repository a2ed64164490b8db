"""What was folded and what was written of it, as facts: for the terminal and for JSON."""

from dataclasses import dataclass, field
from typing import Final

from placenorm.facts.edits import Change, Skip

DOES_NOT_RUN: Final = "it does not run in evaluation on the example input"
"""Why a norm stays that costs nothing at inference."""

RANDOM: Final = "random"
"""Weights of a network of a name that nobody gave a checkpoint for."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often a folded network gives the top-1 answer of the network as it was.

    Attributes:
        answers: how many answers were compared: one a sample, or one a place where there are scores for each place.
        same: how many of them are the same.
    """

    answers: int
    same: int


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file of an export, or why it is not there.

    Attributes:
        name: of the file.
        bytes: its size; None where it could not be written.
        sha256: of its content, in hex; None where it could not be written.
        free: what may have another size than in the example: ``batch``, ``size`` (of the images, or the length). Empty
            for weights, which have no inputs.
        norms: how many calls of a batch norm it makes; None for weights.
        max_error: max|difference| / max|output| between what it gives, where it is run without placenorm, and what the
            folded model gives, the largest over the inputs; None where that was not done.
        checked: shapes of the inputs that it was run on.
        note: why it could not be written or was not run, or what else is to be known of it; empty where nothing is.
    """

    name: str
    bytes: int | None
    sha256: str | None
    free: tuple[str, ...] = ()
    norms: int | None = None
    max_error: float | None = None
    checked: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Folding:
    """A network whose norms were folded into its weights.

    Attributes:
        model: what the network is called.
        inputs: shapes of the example.
        dtype: type of the folded network's parameters.
        norms: number of norms in the network as it was.
        changes: the norms that are gone, each with where it went.
        skipped: the norms that stay, each with the reason.
        max_error: max|difference| / max|output| in float64, the largest over the inputs in `verified`; None where
            nothing was verified.
        max_error_float32: the same for both networks in float32, on the example.
        max_error_dtype: the same in `dtype`.
        verified: shapes of the inputs that it was proved on.
        bordered: paths of the convs that correct their output at the border.
        hooked: paths of the modules whose hooks see other values than before.
        agreement: how often the top-1 answers are the same; None without data.
        files: what was written, and what could not be.
        versions: of what they were written with.
        weights: where the weights are from: a file, or `RANDOM`; "" where the caller gave the network as it is.
    """

    model: str
    inputs: str
    dtype: str
    norms: int
    changes: tuple[Change, ...]
    skipped: tuple[Skip, ...]
    max_error: float | None
    max_error_float32: float | None
    max_error_dtype: float | None
    verified: tuple[str, ...] = ()
    bordered: tuple[str, ...] = ()
    hooked: tuple[str, ...] = ()
    agreement: Agreement | None = None
    files: tuple[ExportedFile, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    weights: str = ""

    def find_faults(self) -> tuple[str, ...]:
        """Return the norms that stay and run, and the files that could not be written, by path and name."""
        stay = (skip.site for skip in self.skipped if skip.reason != DOES_NOT_RUN)
        return (*stay, *(file.name for file in self.files if file.bytes is None))
