"""A comparison of placements: its settings, its variants, its trials and its verdict."""

from dataclasses import dataclass, field
from typing import Literal

from placenorm.facts.cost import Cost
from placenorm.facts.edits import Change, Skip
from placenorm.facts.environment import Environment
from placenorm.facts.graph import Graph
from placenorm.facts.placement import Position
from placenorm.facts.search import Search, SearchSpace
from placenorm.facts.trial import TrialResult

DEFAULT_SEEDS = 10
DEFAULT_EPOCHS = 8
MIN_SEEDS = 3
"""Fewer paired seeds never decide anything: two differences say next to nothing about their spread."""

MAX_MORE_SEEDS = 1000
"""Above this, more seeds are no advice."""

DEFAULT_BATCH_SIZE = 64
DEFAULT_SEARCH_TRIALS = 200

Stop = Literal["never", "early"]
Ending = Literal["decided", "futile"]
BudgetKind = Literal["time", "trials", "gpu-hours"]
Task = Literal["classification", "regression", "own"]
Word = Literal["better", "no practical difference", "undecided"]
Question = Literal["final", "speed"]


@dataclass(frozen=True, slots=True)
class Metric:
    """How good a model is, in one number.

    Attributes:
        name: ``accuracy``, ``r2``, ``rmse``, ``mae``, or the user's own function.
        higher_is_better: which way is good.
        quantum: the smallest step it can take on the test data (one sample), 0 where it is continuous.
        as_percent: whether it is a share that people read in percent.
    """

    name: str
    higher_is_better: bool
    quantum: float = 0.0
    as_percent: bool = False


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What is known about the data of a comparison.

    Attributes:
        name: as the user named it.
        train: samples for training; validation data are taken off these. 0 where a loader does not say how many.
        validation: samples that choose the learning rate and draw the curves; or 0.
        test: samples that the verdict stands on; or 0.
        sample_shape: shape of one input.
        classes: number of classes; None for regression.
        fixed_test: whether the source brings its own test set, the same for every seed.
        fingerprint: a hash of the data.
        notes: what a reader must know about how the data were read, in whole sentences.
        paired: whether one seed gives the same training batches each time: a loader may draw where no seed reaches.
    """

    name: str
    train: int
    validation: int
    test: int
    sample_shape: tuple[int, ...]
    classes: int | None
    fixed_test: bool
    fingerprint: str
    notes: tuple[str, ...] = ()
    paired: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """What was compared and how. Two runs with equal settings (seeds aside) are one comparison.

    Attributes:
        model: as the user named it.
        weights: checkpoint that every trial starts from; None for fresh weights.
        data: as the user named it; None where the user's own loop brings its data.
        limit: at most this many samples; None for all.
        placements: names of the placements, as asked for.
        seeds: number of seeds, counted from 0.
        epochs: passes over the training data.
        batch_size: samples a step.
        learning_rates: the grid that every variant and seed starts with; (None,) with the user's own loop.
        optimizer: ``sgd`` (momentum 0.9) or ``adamw``.
        schedule: ``constant`` or ``cosine``.
        metric: name of the metric.
        margin: differences up to this size have no practical meaning, in the metric's own units.
        norm: whose norms are placed: ``torch`` or ``placenorm``.
        train: the user's own training loop, ``file.py:function``; None for ours.
        device: where trials run.
        source_hash: hash of the user's own source files; "" without any.
        stop: ``never``, or ``early``: it is looked at after every seed and stops where more would not be worth it.
        planned: seeds that a comparison that may stop early was first planned with: most of its error is spent by
            then, and more seeds do not change that; None where it does not stop.
        precision: what autocast computed in: ``float32`` (no autocast), ``bfloat16`` or ``float16``.
        compiled: whether the placed models were compiled.
        processes: processes that trained one trial together.
        search: what was searched: ``per-block``; "" where named placements were compared.
        search_trials: trials that the search might take; 0 without one.
    """

    model: str
    weights: str | None
    data: str | None
    limit: int | None
    placements: tuple[str, ...]
    seeds: int
    epochs: int
    batch_size: int
    learning_rates: tuple[float | None, ...]
    optimizer: str
    schedule: str
    metric: str
    margin: float
    norm: str
    train: str | None
    device: str
    source_hash: str
    stop: Stop = "never"
    planned: int | None = None
    precision: str = "float32"
    compiled: bool = False
    processes: int = 1
    search: str = ""
    search_trials: int = 0


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm of a comparison.

    Attributes:
        name: the first of its names.
        aliases: further placements that give the same network.
        baseline: whether the other variants are set beside this one.
        placement: position of the norm in every block.
        changes: what was done to the user's model.
        skipped: what was asked for and not done.
        graph: the network as it was trained.
        cost: what its norms cost.
    """

    name: str
    aliases: tuple[str, ...]
    baseline: bool
    placement: dict[str, Position]
    changes: tuple[Change, ...]
    skipped: tuple[Skip, ...]
    graph: Graph
    cost: Cost

    @property
    def label(self) -> str:
        """Its names, as people read them: ``after-activation = after-pool``."""
        return " = ".join((self.name, *self.aliases))


@dataclass(frozen=True, slots=True)
class Pair:
    """One paired difference with its interval and its verdict.

    Attributes:
        first: name of one variant.
        second: name of the other.
        difference: mean of (first - second) over the seeds, signed so that positive means that `first` is better.
        low: lower end of the corrected interval; None where there are too few seeds for one.
        high: upper end.
        sd: standard deviation of the paired differences, after the floor; None below two seeds.
        seeds: number of paired seeds.
        word: the verdict.
        winner: name of the better variant where the word is ``better``.
        more_seeds: further seeds that would probably decide an undecided pair; None where it is decided,
            or where no affordable number would do (over 1000).
    """

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    sd: float | None
    seeds: int
    word: Word
    winner: str | None
    more_seeds: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one of the two questions.

    Attributes:
        question: ``final`` (how good at the end) or ``speed`` (how fast it gets there).
        margin: differences up to this size have no practical meaning.
        confidence: joint confidence of all intervals of both questions (0 to 1).
        pairs: every pair of variants.
        unbeaten: the variants that none is better than, in the order of the plan.
        measure: what the differences are taken of, in words; "" until `report.verdict_wording` finds them.
    """

    question: Question
    margin: float
    confidence: float
    pairs: tuple[Pair, ...]
    unbeaten: tuple[str, ...]
    measure: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of the table: a variant over its seeds, each seed at its own learning rate.

    Attributes:
        variant: name of the variant.
        seeds: seeds with a result.
        metric: mean test metric.
        metric_low: lower end of its 95 % interval over seeds; None below two seeds.
        metric_high: upper end.
        area: mean over seeds of the validation metric's mean height over training.
        steps_to_target: median steps until the validation metric reached the target; None unless more than half did.
        seconds_to_target: so many steps in seconds of training, at `step_time_ms` each.
        reached: seeds that reached the target.
        dead_share_pct: mean share of dead units over activations and seeds (0 to 100); None without ReLU-like ones.
        step_time_ms: wall time of one training step: the median of the variant without norms (or the first), times
            the median ratio to it over all trials of the same seed and rate.
        learning_rates: the chosen rate of each seed, in order of seeds.
        diverged: (variant, seed) pairs whose every learning rate diverged.
    """

    variant: str
    seeds: int
    metric: float | None
    metric_low: float | None
    metric_high: float | None
    area: float | None
    steps_to_target: float | None
    seconds_to_target: float | None
    reached: int
    dead_share_pct: float | None
    step_time_ms: float | None
    learning_rates: tuple[float | None, ...]
    diverged: int


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reader must know to judge a verdict, without the words for it.

    Attributes:
        key: what is remarked: a message of the catalogues.
        facts: names, counts and numbers that stand in it; a number as text stands as it is written.
        parts: facts of what stands in it as a list, each of the message ``<key>-part``.
    """

    key: str
    facts: dict[str, str | int] = field(default_factory=dict)
    parts: tuple[dict[str, str | int], ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison concludes, with its evidence.

    Its sentences are made of its numbers by `report.verdict_wording`; until then they are empty.

    Attributes:
        final: the answer about the final metric.
        speed: the answer about the speed.
        target: the validation metric that steps and seconds are counted to; None if nothing survived.
        summaries: one row a variant.
        pick: name of the variant that is advised.
        remarks: what a reader must know to judge it: how rates were chosen, what diverged, what an interval covers.
        idle: variants that are not shown to be better than one and the same answer to every sample.
        idle_metric: mean test metric of that answer; None where it is not known.
        advice: one sentence that names the set of placements that none beats, and the pick.
        speed_line: one sentence on the speed.
        cost_line: one sentence on what the norm costs.
        notes: the remarks in words.
    """

    final: Answer
    speed: Answer
    target: float | None
    summaries: tuple[Summary, ...]
    pick: str
    remarks: tuple[Remark, ...]
    idle: tuple[str, ...] = ()
    idle_metric: float | None = None
    advice: str = ""
    speed_line: str = ""
    cost_line: str = ""
    notes: tuple[str, ...] = ()

    @property
    def advises(self) -> bool:
        """Whether a placement is advised: one at least that has trials is shown to have learned something."""
        return {row.variant for row in self.summaries if row.seeds} > set(self.idle) or not self.idle


@dataclass(frozen=True, slots=True)
class Course:
    """How far a comparison that may stop early has come.

    Attributes:
        seeds: complete seeds that it is judged on.
        stopped: arms that were not trained on to the last seed, by name: after how many seeds.
        ending: why it stopped before the seeds that were asked for: every difference was ``decided``, or to go on was
            ``futile``, as those seeds would hardly decide what was open; None where it did not stop.
        steps: training steps of all stored trials.
        whole_steps: training steps of the whole grid, which has every arm, every seed that was asked for, and every
            rate that any arm tried at a seed: the mean of the seeds so far, and the longest trial, stand for all.
    """

    seeds: int
    stopped: dict[str, int]
    ending: Ending | None
    steps: int
    whole_steps: int


@dataclass(frozen=True, slots=True)
class Spending:
    """What a comparison had taken when its budget ended it.

    Attributes:
        budget: as the user wrote it.
        kind: what it counts.
        trials: finished trials, those of earlier runs too.
        time_s: seconds of the run that ended.
        gpu_hours: hours that all these trials held a GPU; 0 where none did.
    """

    budget: str
    kind: BudgetKind
    trials: int
    time_s: float
    gpu_hours: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison as it stands in its folder, finished or not.

    Attributes:
        settings: what was compared and how.
        metric: the metric.
        task: what the model learns.
        data: what the data are; None where the user's own loop brings them.
        environment: where it was measured.
        variants: the arms, in the order of the plan.
        trials: every finished trial that has a result.
        chosen: for every variant and seed that has all its trials, none failed: the one at its own best learning rate.
        grids: the learning rates tried at every seed, in order of seeds.
        verdict: what it concludes; None while there is too little.
        course: how far it has come, where it may stop early; None where it may not.
        failed: the trials that failed and were not made good by a later one.
        spending: what was spent when the budget of the last run ended it; None where none did.
        search: what the search found whose find is judged here; None where there was none.
        space: of a search itself: what it searches; None elsewhere.
    """

    settings: Settings
    metric: Metric
    task: Task
    data: DataFacts | None
    environment: Environment
    variants: tuple[Variant, ...]
    trials: tuple[TrialResult, ...]
    chosen: tuple[TrialResult, ...]
    grids: tuple[tuple[float | None, ...], ...]
    verdict: Verdict | None
    course: Course | None = None
    failed: tuple[TrialResult, ...] = ()
    spending: Spending | None = None
    search: Search | None = None
    space: SearchSpace | None = None
