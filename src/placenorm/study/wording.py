"""The sentences of a verdict: from judged pairs to words that a user understands."""

from collections.abc import Mapping, Sequence

from placenorm.facts.comparison import Answer, Metric, Pair, Summary, Variant
from placenorm.facts.placement import POSITIONS
from placenorm.facts.trial import TrialResult
from placenorm.study.pairing import FAMILY_ERROR, MAX_MORE_SEEDS, MIN_SEEDS

SECOND_LOOK_PCT = 8
"""Chance of a false 'better' at 10 seeds or, with ten more, at 20: bench/calibration.py measures it."""


def advise(
    variants: Sequence[Variant],
    unbeaten: Sequence[Variant],
    pick: Variant,
    final: Answer,
    metric: Metric,
    rows: Mapping[str, Summary],
) -> str:
    """Return one sentence that names the placements that none beats, the pick among them, and the reason.

    Args:
        variants: every variant.
        unbeaten: those that none beats.
        pick: the one that is advised.
        final: the answer about the final metric.
        metric: the metric.
        rows: by variant, its summary.
    """
    if all(0 < rows[variant.name].seeds == rows[variant.name].diverged for variant in variants):
        return (
            "No placement trained: every one diverged at every seed; look at the learning rates, the loss and the data."
        )
    wish = _tell_to([pick])
    wish = wish[0].upper() + wish[1:]
    if len(variants) == 1:
        return f"{wish}: it is the only placement that was compared."
    if len(unbeaten) == 1:
        return f"{wish}: {_tell_win(pick.name, len(variants), final, metric)}."
    names = {variant.name for variant in unbeaten}
    among = [pair for pair in final.pairs if pair.first in names and pair.second in names]
    tie = _tell_tie(among, final.margin, metric)
    steady = [variant for variant in unbeaten if not rows[variant.name].diverged] or unbeaten
    cheap = _tell_cheap(pick, steady) + "".join(
        f" ({_call(variant)} diverged at {rows[variant.name].diverged} of {rows[variant.name].seeds} seeds)"
        for variant in unbeaten
        if variant not in steady
    )
    every = _join([_call(variant) for variant in unbeaten])
    if len(unbeaten) < len(variants):
        return (
            f"{wish}: of the {len(unbeaten)} placements that none beats in {final.measure} ({every}) it is {cheap}; "
            f"between them {tie}."
        )
    if all(pair.word == "no practical difference" for pair in among):
        return (
            f"{wish}: where the norm goes makes no practical difference here ({every}), as in {final.measure} {tie}; "
            f"of them it is {cheap}."
        )
    return (
        f"Undecided: no placement is shown to beat another in {final.measure} ({every}); {tie}; "
        f"until then {_tell_to([pick])}, {cheap}."
    )


def tell_speed(
    variants: Sequence[Variant], speed: Answer, summaries: Sequence[Summary], target: float | None, metric: Metric
) -> str:
    """Return one sentence on who trains faster, and by how much in height, steps and seconds."""
    if len(variants) == 1:
        return "Speed: there is nothing to compare it with."
    won = [pair for pair in speed.pairs if pair.winner in speed.unbeaten]
    if not won:
        tie = _tell_tie(speed.pairs, speed.margin, metric)
        return f"Speed: no placement is shown to train faster than another; {tie}."
    calls = {variant.name: _call(variant) for variant in variants}
    rows = {row.variant: row for row in summaries}
    slower: dict[tuple[str, ...], list[str]] = {}  # who is beaten -> by whom
    for name in speed.unbeaten:
        losers = tuple(_other(pair, name) for pair in won if pair.winner == name)
        if losers:
            slower.setdefault(losers, []).append(name)
    claims = [
        f"{_join([calls[name] for name in names])} {'trains' if len(names) == 1 else 'train'} faster than "
        f"{_join([calls[name] for name in losers])}"
        for losers, names in slower.items()
    ]
    widest = max(won, key=lambda pair: abs(pair.difference))
    assert widest.winner is not None  # it is among those that somebody won
    against = _other(widest, widest.winner)
    line = (
        f"Speed: step for step, {', '.join(claims)}; the widest lead is that of {calls[widest.winner]} over "
        f"{calls[against]}: its validation {metric.name} is better by {_size(abs(widest.difference), metric)} "
        "on average over training"
    )
    if target is not None:
        line += (
            f", and it reaches {_level(target, metric)} {_tell_arrival(rows[widest.winner])} "
            f"({calls[against]}: {_tell_arrival(rows[against])})"
        )
    if len(speed.unbeaten) > 1:
        line += f"; between {_join([calls[name] for name in speed.unbeaten])} nothing is shown"
    return line + "."


def tell_cost(variants: Sequence[Variant], summaries: Sequence[Summary]) -> str:
    """Return one sentence on what the norms cost: their share of a training step in bytes, and by the clock."""
    rows = {row.variant: row for row in summaries}
    normed = [variant for variant in variants if variant.cost.norms]
    if not normed:
        return "Cost: no network here has a norm, so none is paid for."
    bare = next((variant for variant in variants if not variant.cost.norms), None)
    base = rows[bare.name].step_time_ms if bare else None
    parts = []
    for variant in normed:
        part = f"{variant.label} {variant.cost.norm_share_pct:.1f} % of the bytes"
        time = rows[variant.name].step_time_ms
        if time is not None and base:
            part += f" and {100 * (time / base - 1):+.0f} % time by the clock"
        elif time is not None:
            part += f" (a step takes {time:.2f} ms)"
        parts.append(part)
    line = f"Cost: what the norm takes of a training step: {', '.join(parts)}"
    if base:
        line += f" (median over trials that ran side by side); a step without norms takes {base:.2f} ms"
    return line + "."


def note(
    trials: Mapping[str, Mapping[int, TrialResult]],
    answers: Sequence[Answer],
    values: Sequence[Mapping[str, Mapping[int, float | None]]],
    metric: Metric,
) -> list[str]:
    """Return what a reader must know to judge a verdict: the confidence, what diverged, what was left out.

    Args:
        trials: by variant and seed, the chosen trial.
        answers: the answers to the questions.
        values: for each answer, by variant and seed, what the differences are taken of.
        metric: the metric.
    """
    notes = []
    count = sum(len(answer.pairs) for answer in answers)
    if count:
        each = 100 * (1 - FAMILY_ERROR / count)
        notes.append(
            f"The {count} intervals of both questions hold together with {100 * (1 - FAMILY_ERROR):.0f} % confidence; "
            f"each one alone stands at {each:.2f} %."
        )
    if any(pair.seeds < MIN_SEEDS for answer in answers for pair in answer.pairs):
        notes.append(f"Nothing is decided from fewer than {MIN_SEEDS} seeds.")
    if any(pair.more_seeds is not None for answer in answers for pair in answer.pairs):
        notes.append(
            "Seeds that are added because of this verdict make a second look: with it, the chance of a false 'better' "
            f"is about {SECOND_LOOK_PCT} % and not {100 * FAMILY_ERROR:.0f} %."
        )
    for name, arm in trials.items():
        lost = [trial for trial in arm.values() if trial.diverged_at is not None]
        if lost:
            steps = ", ".join(f"seed {trial.key.seed} at step {trial.diverged_at}" for trial in lost)
            notes.append(
                f"{name} diverged at every learning rate in {len(lost)} of {len(arm)} seeds ({steps}); "
                f"such a trial counts with the {metric.name} of a model that learned nothing."
            )
    for answer, reached in zip(answers, values, strict=True):
        for name, seeds in reached.items():
            empty = [str(seed) for seed, value in seeds.items() if value is None]
            if empty:
                notes.append(
                    f"{name} has no {answer.measure} at {'seed' if len(empty) == 1 else 'seeds'} {', '.join(empty)}; "
                    "its pairs leave that out."
                )
    return notes


def _call(variant: Variant) -> str:
    """What a variant is called in a sentence, where "take none" would say the opposite of what it means."""
    return "no norm" + variant.label.removeprefix("none") if variant.name == "none" else variant.label


def _other(pair: Pair, name: str) -> str:
    return pair.second if pair.first == name else pair.first


def _join(words: Sequence[str], word: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {word} {words[-1]}"


def _tell_to(variants: Sequence[Variant]) -> str:
    """What to do to have one of these: "put the norm after-activation or after-pool, or use no norm"."""
    places = [variant.label for variant in variants if variant.name in POSITIONS and variant.name != "none"]
    wishes = [f"put the norm {_join(places, 'or')}"] if places else []
    for variant in variants:
        if variant.name == "none":
            wishes.append(f"use {_call(variant)}")
        elif variant.name == "as-is":
            wishes.append("leave the norms as they are" + variant.label.removeprefix("as-is"))
        elif variant.name not in POSITIONS:
            wishes.append(f"use the placement {variant.label}")
    return ", or ".join(wishes)


def _tell_win(name: str, variants: int, final: Answer, metric: Metric) -> str:
    won = [abs(pair.difference) for pair in final.pairs if pair.winner == name]
    if len(won) < variants - 1:
        return f"it is the only placement that no other beats in {final.measure}"
    rivals = "the other placement, by" if variants == 2 else "every other placement, on average by at least"
    return f"its {final.measure} is better than that of {rivals} {_size(min(won), metric)}"


def _tell_tie(pairs: Sequence[Pair], margin: float, metric: Metric) -> str:
    """Why none of these pairs says "better", and what would decide them."""
    undecided = [pair for pair in pairs if pair.word == "undecided"]
    if not undecided:
        return f"every difference lies within the margin of {_size(margin, metric)}"
    count = f"all {len(pairs)}" if len(undecided) == len(pairs) else f"{len(undecided)} of the {len(pairs)}"
    stand = "the difference is undecided" if len(pairs) == 1 else f"{count} differences are undecided"
    if min(pair.seeds for pair in undecided) < MIN_SEEDS:
        return f"{stand}, and fewer than {MIN_SEEDS} seeds decide nothing"
    wanted = [pair.more_seeds for pair in undecided if pair.more_seeds is not None]
    if not wanted:
        return f"{stand}, and even {MAX_MORE_SEEDS} more seeds would probably not change that"
    if len(wanted) < len(undecided):
        return f"{stand}, and about {min(wanted)} more seeds would probably decide the clearest"
    return f"{stand}, and about {max(wanted)} more seeds would probably decide {'it' if len(pairs) == 1 else 'them'}"


def _tell_cheap(pick: Variant, rivals: Sequence[Variant]) -> str:
    """What speaks for the pick among placements that none beats."""
    if len(rivals) == 1:
        return "the only one that never diverged"
    least, following = sorted(variant.cost.norm_train_bytes for variant in rivals)[:2]
    if least == following:
        return "no dearer than any other"
    if not pick.cost.norms:
        return "the cheapest, as it has no norms to run"
    return f"the cheapest, as its norms move {_bytes(least)} in a training step, the next {_bytes(following)}"


def _tell_arrival(row: Summary) -> str:
    if row.steps_to_target is None or row.seconds_to_target is None:
        return f"in {row.reached} of {row.seeds} seeds"
    return f"after {row.steps_to_target:.0f} steps and {row.seconds_to_target:.2g} s"


def _size(difference: float, metric: Metric) -> str:
    return f"{100 * difference:.2f} percentage points" if metric.as_percent else f"{difference:.3g}"


def _level(value: float, metric: Metric) -> str:
    return f"{100 * value:.1f} %" if metric.as_percent else f"{metric.name} {value:.4g}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
