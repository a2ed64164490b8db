"""Numbers and pairs as people read them, the same in the terminal, on the page and in pictures."""

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from placenorm.facts.comparison import Comparison, Metric, Pair, Spending
from placenorm.facts.trial import TrialResult
from placenorm.report.language import ENGLISH, Language

OWN_COMMAND = "placenorm compare path/to/my_net.py:Net --data path/to/my_data.py:datasets"
"""How the same is asked of somebody's own network."""

CLAIMS_FOLDER = "claims"
"""What the folder of a repeated run of the claims is named after, where the first run named none."""

ABSENT = "-"
"""What stands for a number that was not measured."""

SHOWN_KEYS = 3
"""More trials than this that failed in the same way are counted, not named."""

DECIMALS_MAX = 6
"""More decimals than this are noise in any metric that we know."""

_BUDGET = re.compile(r" --budget[ =]\S+")

_SIGNIFICANT = 2  # digits of an interval's half width that are worth reading


@dataclass(frozen=True, slots=True)
class Units:
    """How the numbers of one metric are written.

    Attributes:
        factor: what a number of the metric is multiplied by before it is shown.
        suffix: stands behind a level: `` %`` or nothing.
        difference: the unit of a difference: ``percentage points`` or the metric's name.
        decimals: digits behind the point.
        language: of the reader.
    """

    factor: float
    suffix: str
    difference: str
    decimals: int
    language: Language = ENGLISH

    def number(self, value: float | None) -> str:
        """Return a value of the metric, without its unit: ``97.31``."""
        return ABSENT if value is None else self.language.figures(f"{value * self.factor:.{self.decimals}f}")

    def level(self, value: float | None) -> str:
        """Return a value of the metric, with its unit: ``97.31 %``."""
        if value is None:
            return ABSENT
        number = self.number(value)
        return self.language.say("compare-share", value=number) if self.suffix else number

    def head(self, name: str) -> str:
        """Return a name with the unit of its levels: ``accuracy (%)``."""
        return self.language.say("compare-head", name=name) if self.suffix else name

    def gap(self, value: float | None) -> str:
        """Return a difference, signed, without its unit: ``+1.20``."""
        if value is None:
            return ABSENT
        text = f"{value * self.factor:+.{self.decimals}f}"
        return self.language.figures(text.replace("-", "+", 1) if float(text) == 0.0 else text)

    def bound_level(self, end: float | None) -> float | None:
        """Return an end of an interval of levels: a share lies between 0 and 1."""
        return min(max(end, 0.0), 1.0) if self.suffix and end is not None else end

    def bound_gap(self, end: float | None) -> float | None:
        """Return an end of an interval of differences: no two shares differ by more than 1."""
        return min(max(end, -1.0), 1.0) if self.suffix and end is not None else end

    def interval(self, low: float | None, high: float | None) -> str:
        """Return an interval of levels, without unit: ``96.80 to 97.82``; "" without one."""
        if low is None or high is None:
            return ""
        low, high = self.bound_level(low), self.bound_level(high)
        return self.language.say("compare-interval", low=self.number(low), high=self.number(high))

    def gap_interval(self, low: float | None, high: float | None) -> str:
        """Return an interval of differences, signed, without unit: ``-0.20 to +0.82``; "" without one."""
        if low is None or high is None:
            return ""
        low, high = self.bound_gap(low), self.bound_gap(high)
        return self.language.say("compare-interval", low=self.gap(low), high=self.gap(high))

    def margin(self, value: float) -> str:
        """Return a margin, with the unit of a difference: ``0.5 percentage points``, ``1.0 percentage points``."""
        number = f"{value * self.factor:.4g}"
        if self.suffix and number.isdigit():  # no plural has to be chosen by it
            number += ".0"
        return f"{self.language.figures(number)} {self.difference}"


def choose_units(metric: Metric, widths: Iterable[float | None], language: Language = ENGLISH) -> Units:
    """Return how to write a metric, with as many decimals as the narrowest interval deserves.

    Args:
        metric: the metric.
        widths: half widths of the intervals that will be shown, in the metric's own units; None is passed over.
        language: of the reader.
    """
    factor = 100.0 if metric.as_percent else 1.0
    known = [width * factor for width in widths if width]
    finest = min(known) if known else 0.1
    decimals = _SIGNIFICANT - 1 - math.floor(math.log10(finest))
    if metric.as_percent:
        decimals = min(decimals, 2)  # a hundredth of a percent is below one sample of most test sets
    return Units(
        factor=factor,
        suffix=" %" if metric.as_percent else "",
        difference=language.say("compare-unit-points") if metric.as_percent else metric.name,
        decimals=min(max(decimals, 1 if metric.as_percent else 0), DECIMALS_MAX),
        language=language,
    )


def units_of(comparison: Comparison, language: Language = ENGLISH) -> Units:
    """Return how to write the metric of a comparison in a language."""
    verdict = comparison.verdict
    widths = [
        row.metric - row.metric_low
        for row in (verdict.summaries if verdict else ())
        if row.metric is not None and row.metric_low is not None
    ]
    return choose_units(comparison.metric, [comparison.settings.margin, *widths], language)


def orient_pairs(pairs: Sequence[Pair], baseline: str) -> tuple[Pair, ...]:
    """Return the pairs so that each reads as "first beside second".

    Beside the baseline the other variant comes first; elsewhere the one with the higher mean does. Pairs with the
    baseline lead, and pairs with the same second stand together.

    Args:
        pairs: as the verdict has them.
        baseline: name of the baseline.
    """
    turned = [
        _turn(pair) if baseline == pair.first or (baseline != pair.second and pair.difference < 0) else pair
        for pair in pairs
    ]
    seconds = [pair.second for pair in turned]
    return tuple(sorted(turned, key=lambda pair: (pair.second != baseline, seconds.index(pair.second))))


def _turn(pair: Pair) -> Pair:
    return replace(
        pair,
        first=pair.second,
        second=pair.first,
        difference=-pair.difference,
        low=None if pair.high is None else -pair.high,
        high=None if pair.low is None else -pair.low,
    )


def describe_word(pair: Pair, language: Language = ENGLISH) -> str:
    """Return the word of a pair, read from its first variant: ``better``, ``none better``, ``undecided (+12 seeds)``.

    The winner is named where it is the second one; behind "undecided" stands how many more seeds would probably decide.
    """
    if pair.word == "better" and pair.winner != pair.first:
        return language.say("word-winner", winner=pair.winner)
    if pair.word == "undecided" and pair.more_seeds is not None:
        return language.say("word-more", seeds=say_count("seeds", pair.more_seeds, language))
    return language.say(f"word-{pair.word.replace(' ', '-')}")


def say_count(nouns: str, number: int, language: Language) -> str:
    """Return a number with its noun in a language; the nouns are those of its messages ``count-...``."""
    return language.say(f"count-{nouns}", number=number)


def describe_run(comparison: Comparison) -> str:
    """Return what was compared, in one line: model, data, seeds and length of training."""
    settings = comparison.settings
    learned = settings.train or f"{settings.data}, {count(settings.epochs, 'epoch')}"
    arms = f"{count(len(comparison.variants), 'placement')}, {count(count_seeds(comparison), 'seed')}"
    return f"{settings.model} on {learned}: {arms}"


def count_seeds(comparison: Comparison) -> int:
    """Return how many seeds a comparison has: those that were asked for, or those before it stopped early."""
    course = comparison.course
    return comparison.settings.seeds if course is None or course.ending is None else course.seeds


def find_baseline(comparison: Comparison) -> str:
    """Return the name of the variant that the others are set beside; the first one where none is marked."""
    return next((variant.name for variant in comparison.variants if variant.baseline), comparison.variants[0].name)


def count_rates(rates: Sequence[float | None], times_sign: str = " x") -> str:
    """Return how often each learning rate was chosen: ``0.1 x7, 0.3 x3``; the absent mark for a user's own loop."""
    known = Counter(rate for rate in rates if rate is not None)
    return ", ".join(f"{rate:.3g}{times_sign}{times}" for rate, times in sorted(known.items())) or ABSENT


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 seed``, ``3 seeds``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_steps(value: float | None) -> str:
    """Return a number of steps."""
    return ABSENT if value is None else f"{value:,.0f}"


def format_seconds(value: float | None) -> str:
    """Return seconds, without their unit, to about three digits."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def format_share(value_pct: float | None) -> str:
    """Return a share in percent, with its unit."""
    if value_pct is None:
        return ABSENT
    return f"{value_pct:.1f} %" if value_pct < 10 else f"{value_pct:.0f} %"


def say_share(value_pct: float | None, language: Language) -> str:
    """Return a share in percent with its unit, in a language."""
    if value_pct is None:
        return ABSENT
    number = format_share(value_pct).removesuffix(" %")
    return language.say("compare-share", value=language.figures(number))


def say_bytes(size: int, language: Language) -> str:
    """Return a number of bytes with its unit, in the numerals of a language: ``1.20 MB``; 0 without one."""
    if not size:
        return language.number(0, 0)
    return language.figures(f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB")


def count_planned(comparison: Comparison) -> int:
    """Return how many trials the plan has so far; a grid that grows adds to it."""
    grids = comparison.grids
    usual, seeds = len(comparison.settings.learning_rates), comparison.settings.seeds
    if comparison.course is not None:  # one seed at least, and a search that has tried three rates at least
        usual, seeds = min(usual, 3), max(comparison.course.seeds, 1)
    rates = sum(len(grids[seed]) if seed < len(grids) else usual for seed in range(seeds))
    return rates * len(comparison.variants)


def say_spending(spending: Spending, language: Language) -> str:
    """Return what was spent when the budget ended a run, and how to go on."""
    return language.say(
        f"budget-{spending.kind}",
        budget=spending.budget,
        trials=spending.trials,
        minutes=language.figures(f"{spending.time_s / 60:.1f}"),
        hours=language.figures(f"{spending.gpu_hours:.2f}"),
    )


def say_progress(comparison: Comparison, language: Language) -> list[str]:
    """Return how many trials of each variant are done: ``none: 6 trials``."""
    done = Counter(trial.key.variant for trial in comparison.trials)
    return [
        language.say("compare-progress", label=variant.label, trials=say_count("trials", done[variant.name], language))
        for variant in comparison.variants
    ]


@dataclass(frozen=True, slots=True)
class FailedGroup:
    """Trials that failed for the same reason.

    Attributes:
        line: how many, which, and why, in one line.
        traceback: of one of them; "" without any.
    """

    line: str
    traceback: str


def group_failed(comparison: Comparison, language: Language) -> list[FailedGroup]:
    """Return the trials that failed, those with the same reason together, the most frequent reason first."""
    groups: dict[str, list[TrialResult]] = {}
    for trial in comparison.failed:
        groups.setdefault("" if trial.failure is None else trial.failure.reason, []).append(trial)
    found = []
    for reason, trials in sorted(groups.items(), key=lambda group: -len(group[1])):
        keys = ", ".join(str(trial.key) for trial in trials[:SHOWN_KEYS])
        if len(trials) > SHOWN_KEYS:
            keys = language.say("compare-failed-more", keys=keys, more=len(trials) - SHOWN_KEYS)
        line = language.say("compare-failed", number=len(trials), keys=keys, reason=reason)
        found.append(FailedGroup(line, trials[-1].failure.traceback if trials[-1].failure else ""))
    return found


def resume_command(command: str) -> str:
    """Return the command that goes on where a run stopped, without the budget that it stopped at.

    Args:
        command: the command that repeats the run; of a run from Python it stays as it is.
    """
    if not command.startswith("placenorm "):
        return command
    command = _BUDGET.sub("", command)
    return command if "--resume" in command.split() else f"{command} --resume"


def repeat_command(command: str) -> str:
    """Return the command that makes a run of the claims anew, in a folder of its own beside the first.

    Args:
        command: as it was typed; of a run from Python it stays as it is.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # written by hand, and no command line
        return command
    if words[:1] != ["placenorm"]:
        return command
    kept: list[str] = []
    folder = CLAIMS_FOLDER
    rest = iter(words)
    for word in rest:
        if word == "--out":
            folder = next(rest, folder)
        elif word.startswith("--out="):
            folder = word.removeprefix("--out=")
        elif word != "--resume":
            kept.append(word)
    return shlex.join([*kept, "--out", f"{folder.rstrip('/')}-again"])


def split_advice(advice: str) -> tuple[str, str]:
    """Return what to do, as a headline, and why, as a sentence: the advice, parted at its first colon.

    Args:
        advice: the sentence of the verdict.
    """
    head, colon, reason = advice.partition(": ")
    return (head, reason[:1].upper() + reason[1:]) if colon else (advice, "")
