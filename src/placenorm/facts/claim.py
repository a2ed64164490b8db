"""The article's claims as facts: what was asked, what was observed, and what the written rule makes of it.

Nothing here holds a sentence: what a reader sees is put together from keys by the catalogue of their language.
"""

from dataclasses import dataclass, field
from typing import Literal

from placenorm.facts.comparison import DataFacts
from placenorm.facts.environment import Environment

Outcome = Literal["holds", "holds-only-if", "does-not-hold", "undecided"]
"""What a claim's rule may say."""

CLAIMS_FILE = "claims.json"
"""The file of a folder that says that claims are in it, and which."""

Factor = str | int | float | bool
Number = float | None


@dataclass(frozen=True, slots=True)
class Question:
    """One trial that can be asked for: the same question always has the same answer.

    Attributes:
        kind: the experiment that answers it, such as ``training``.
        factors: what is varied, by name, in the order of the experiment.
        seed: the seed; trials of one seed are paired.
    """

    kind: str
    factors: dict[str, Factor]
    seed: int

    @property
    def key(self) -> str:
        """A name that no other question has."""
        return f"{self.kind}({', '.join(f'{name}={value}' for name, value in self.factors.items())})/{self.seed}"


@dataclass(frozen=True, slots=True)
class Observation:
    """A question with its answer.

    Attributes:
        question: what was asked.
        values: what was measured, by name; a unit is in the name where it is not obvious. None: could not be measured.
        series: what was measured again and again, by name, such as a learning curve.
    """

    question: Question
    values: dict[str, Number]
    series: dict[str, tuple[Number, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference, or another number that a rule rests on, with its interval.

    Attributes:
        name: key of its label in the catalogue, ``<claim>-effect-<name>``.
        estimate: mean over seeds.
        low: lower end of its interval; None with one seed, or where it was proved and not estimated.
        high: upper end.
        seeds: how many seeds it stands on.
        unit: ``points`` (of accuracy, in percent), ``percent``, ``ratio``, ``steps``, ``sd`` or "" for a plain number.
        factors: where it was measured, such as a depth, for the label.
        confidence: read and written as files of format 1 have it; it says nothing.
    """

    name: str
    estimate: float
    low: Number
    high: Number
    seeds: int
    unit: str = ""
    factors: dict[str, Factor] = field(default_factory=dict)
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Point:
    """One mark of a chart.

    Attributes:
        x: where, or the name of a column.
        y: how high, or the name of a row; None leaves a gap.
        group: name of its line, bar or panel colour; a placement, mostly.
        low: lower end of its band.
        high: upper end.
        value: read and written as files of format 1 have it; no chart draws it.
        panel: name of the panel that it stands in; "" where there is one.
    """

    x: float | str
    y: float | str | None
    group: str = ""
    low: Number = None
    high: Number = None
    value: Number = None
    panel: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of what was observed; its words are in the catalogue under its name.

    Attributes:
        name: keys ``<name>-title``, ``<name>-caption``, ``<name>-x`` and ``<name>-y`` of the catalogue.
        kind: ``lines`` (with bands where points have them), ``bars`` or ``dots`` (with intervals, a row for each y).
        points: what is drawn.
        log_x: whether the x axis is logarithmic.
        log_y: whether the y axis is.
        as_percent: whether y is a share that people read in percent.
    """

    name: str
    kind: Literal["lines", "bars", "dots"]
    points: tuple[Point, ...]
    log_x: bool = False
    log_y: bool = False
    as_percent: bool = False


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a claim's rule makes of its observations.

    Attributes:
        outcome: the word.
        effects: what it rests on, the deciding one first.
        facts: numbers and names that the sentence of the verdict needs, by the names that it calls them.
        variant: which sentence says it, where the outcome has several: key ``<claim>-<outcome>[-<variant>]``.
    """

    outcome: Outcome
    effects: tuple[Effect, ...]
    facts: dict[str, Factor] = field(default_factory=dict)
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """A published figure beside ours; its sentence is in the catalogue.

    Attributes:
        key: key of the sentence, ``<claim>-published-<name>``.
        source: where it stands, in the source's own words.
        url: address of the source.
    """

    key: str
    source: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """One claim, put to the test.

    Attributes:
        number: ``A1`` to ``A11``.
        slug: its short name.
        ruling: what the rule says.
        charts: what was observed, as pictures; the one that carries the verdict first.
        published: figures beside it.
        questions: keys of the trials that it stands on.
    """

    number: str
    slug: str
    ruling: Ruling
    charts: tuple[Chart, ...]
    published: tuple[Published, ...]
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """What a run of the claims was asked for.

    Attributes:
        data: name of the data.
        full: whether it is the long run: more seeds, depths and sizes.
        seeds: number of seeds.
        claims: numbers of the claims.
        limit: at most so many training samples; None for all.
        left_out: numbers of the claims that cannot be put to these data, as they need images.
    """

    data: str
    full: bool
    seeds: int
    claims: tuple[str, ...]
    limit: int | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimsReport:
    """A run of the claims as it stands in its folder.

    Attributes:
        settings: what was asked for.
        data: what the data are.
        environment: where it was measured.
        results: the claims, by number.
        seconds: time of all trials together, on one core each.
    """

    settings: ClaimSettings
    data: DataFacts
    environment: Environment
    results: tuple[ClaimResult, ...]
    seconds: float
