"""The sentences of a verdict: from judged pairs to words that a user understands, in the reader's language."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from placenorm.facts.comparison import (
    MAX_MORE_SEEDS,
    MIN_SEEDS,
    Answer,
    Comparison,
    Metric,
    Pair,
    Remark,
    Summary,
    Variant,
    Verdict,
)
from placenorm.facts.placement import POSITIONS
from placenorm.report.language import Language
from placenorm.report.wording import say_bytes, say_spending

AS_WRITTEN: Final = frozenset({"name", "first_name", "second_name", "label", "site", "reason", "text", "torch"})
"""Facts of a remark that are names, or sentences of somebody else: their digits stay as they are."""


def put_into_words(comparison: Comparison, language: Language) -> Comparison:
    """Return a comparison whose metric, measures and sentences are in a language.

    Args:
        comparison: the comparison, finished or not.
        language: of the reader.
    """
    metric = replace(comparison.metric, name=name_metric(comparison.metric, language))
    if comparison.verdict is None:
        return replace(comparison, metric=metric)
    verdict = word_verdict(comparison.variants, metric, comparison.verdict, language)
    if comparison.spending is not None:
        verdict = replace(verdict, notes=(say_spending(comparison.spending, language), *verdict.notes))
    unknown = say_unknown(comparison, language)
    return replace(comparison, metric=metric, verdict=replace(verdict, advice=unknown) if unknown else verdict)


def name_metric(metric: Metric, language: Language) -> str:
    """Return the name of a metric: from the catalogue, or a user's own as it is."""
    return _name(metric.name, language)


def word_verdict(variants: Sequence[Variant], metric: Metric, verdict: Verdict, language: Language) -> Verdict:
    """Return a verdict with its measures and all its sentences, made of its numbers.

    Args:
        variants: every variant.
        metric: the metric, its name as it is to be read.
        verdict: its answers, summaries and remarks; its words are made anew.
        language: of the reader.
    """
    final, speed = (
        replace(answer, measure=language.say(f"compare-measure-{answer.question}", metric=metric.name))
        for answer in (verdict.final, verdict.speed)
    )
    verdict = replace(verdict, final=final, speed=speed)
    speaker = _Speaker(variants, metric, verdict, language)
    notes = [say_remark(remark, language) for remark in verdict.remarks]
    return replace(
        verdict,
        advice=speaker.advise(),
        speed_line=speaker.tell_speed(),
        cost_line=speaker.tell_cost(),
        notes=tuple(filter(None, (speaker.tell_idle(), *notes))),
    )


def say_unknown(comparison: Comparison, language: Language) -> str:
    """Return why nothing can be said, where the metric of no trial is a number though some were trained; else ""."""
    trained = [result for result in comparison.chosen if result.diverged_at is None]
    if not trained or any(result.test_metric is not None for result in comparison.chosen):
        return ""
    counts = {"trained": len(trained), "trials": len(comparison.chosen)}
    return language.say("compare-unknown", metric=name_metric(comparison.metric, language), **counts)


def say_remark(remark: Remark, language: Language) -> str:
    """Return a remark in words."""
    facts = _read_facts(remark.facts, language)
    if remark.parts:
        parts = [language.say(f"{remark.key}-part", **_read_facts(part, language)) for part in remark.parts]
        facts["parts"] = _list_with_commas(parts, language)
    if "measure" in facts:
        facts["measure"] = language.say(f"compare-measure-{facts['measure']}", metric=facts["metric"])
    return language.say(remark.key, **facts)


def _read_facts(facts: Mapping[str, str | int], language: Language) -> dict[str, object]:
    """Return facts as they are read: numerals of the language, and the metric by its name in it."""
    read: dict[str, object] = {
        name: language.figures(fact) if isinstance(fact, str) and name not in AS_WRITTEN else fact
        for name, fact in facts.items()
    }
    if "metric" in facts:
        read["metric"] = _name(str(facts["metric"]), language)
    return read


def _name(metric: str, language: Language) -> str:
    return language.say(f"metric-{metric}") if language.has(f"metric-{metric}") else metric


def join_words(words: Sequence[str], language: Language, last: str = "compare-and") -> str:
    """Return words as a list whose last two stand with an "and".

    Args:
        words: the words, at least one.
        language: of the reader.
        last: the message for the last two: ``compare-and`` or ``compare-or``.
    """
    if len(words) == 1:
        return words[0]
    return language.say(last, first=_list_with_commas(words[:-1], language), last=words[-1])


def _list_with_commas(parts: Sequence[str], language: Language) -> str:
    listed = parts[0]
    for part in parts[1:]:
        listed = language.say("compare-comma", first=listed, last=part)
    return listed


class _Speaker:
    """Says what a verdict says."""

    def __init__(self, variants: Sequence[Variant], metric: Metric, verdict: Verdict, language: Language) -> None:
        self._rows = {row.variant: row for row in verdict.summaries}
        self._variants = [variant for variant in variants if self._rows[variant.name].seeds] or variants
        self._metric, self._verdict, self._language, self._say = metric, verdict, language, language.say
        self._calls = {variant.name: self._call(variant) for variant in variants}
        self._pick = next(variant for variant in variants if variant.name == verdict.pick)

    def advise(self) -> str:
        """One sentence that names the placements that none beats, the pick among them, and the reason."""
        rows, final, variants = self._rows, self._verdict.final, self._variants
        if all(0 < rows[variant.name].seeds == rows[variant.name].diverged for variant in variants):
            return self._say("compare-diverged-all")
        if not self._verdict.advises:
            return self._say(
                "compare-idle-all", measure=final.measure, level=self._level(self._verdict.idle_metric or 0.0)
            )
        wish = self._tell_to(self._pick)
        high = wish[0].upper() + wish[1:]
        if len(variants) == 1:
            return self._say("compare-only", wish=high)
        unbeaten = [variant for variant in variants if variant.name in final.unbeaten]
        if len(unbeaten) == 1:
            return self._say("compare-won", wish=high, win=self._tell_win())
        names = {variant.name for variant in unbeaten}
        among = [pair for pair in final.pairs if pair.first in names and pair.second in names]
        told = {
            "measure": final.measure,
            "every": self._join([self._calls[variant.name] for variant in unbeaten]),
            "cheap": self._tell_cheap_of(unbeaten),
            "tie": self._tell_tie(among, final.margin),
        }
        if len(unbeaten) < len(variants):
            return self._say("compare-tied-some", wish=high, number=len(unbeaten), **told)
        if all(pair.word == "no practical difference" for pair in among):
            return self._say("compare-tied-all", wish=high, **told)
        return self._say("compare-undecided", wish=wish, **told)

    def tell_idle(self) -> str:
        """One sentence on placements that are not shown to have learned anything; "" where all or none are such."""
        idle = self._verdict.idle
        if not idle or not self._verdict.advises:
            return ""
        return self._say(
            "compare-idle",
            names=self._join([self._calls[name] for name in idle]),
            measure=self._verdict.final.measure,
            level=self._level(self._verdict.idle_metric or 0.0),
        )

    def tell_speed(self) -> str:
        """One sentence on who trains faster, and by how much in height, steps and seconds."""
        speed, calls, rows = self._verdict.speed, self._calls, self._rows
        if len(self._variants) == 1:
            return self._say("compare-speed-alone")
        won = [pair for pair in speed.pairs if pair.winner in speed.unbeaten]
        if not won:
            return self._say("compare-speed-tied", tie=self._tell_tie(speed.pairs, speed.margin))
        widest = max(won, key=lambda pair: abs(pair.difference))
        assert widest.winner is not None  # it is among those that somebody won
        against = _other(widest, widest.winner)
        arrival = rest = ""
        if self._verdict.target is not None:
            arrival = self._say(
                "compare-speed-arrival",
                target=self._level(self._verdict.target),
                first=self._tell_arrival(rows[widest.winner]),
                second=self._tell_arrival(rows[against]),
                loser=calls[against],
            )
        if len(speed.unbeaten) > 1:
            rest = self._say("compare-speed-rest", names=self._join([calls[name] for name in speed.unbeaten]))
        return self._say(
            "compare-speed",
            claims=self._list(self._claim_speed(won, speed)),
            winner=calls[widest.winner],
            loser=calls[against],
            metric=self._metric.name,
            size=self._size(abs(widest.difference)),
            arrival=arrival,
            rest=rest,
        )

    def _claim_speed(self, won: Sequence[Pair], speed: Answer) -> list[str]:
        slower: dict[tuple[str, ...], list[str]] = {}  # who is beaten -> by whom
        for name in speed.unbeaten:
            losers = tuple(_other(pair, name) for pair in won if pair.winner == name)
            if losers:
                slower.setdefault(losers, []).append(name)
        return [
            self._say(
                "compare-speed-claim",
                winners=self._join([self._calls[name] for name in names]),
                losers=self._join([self._calls[name] for name in losers]),
                number=len(names),
            )
            for losers, names in slower.items()
        ]

    def tell_cost(self) -> str:
        """One sentence on what the norms cost: their share of a training step in bytes, and by the clock."""
        normed = [variant for variant in self._variants if variant.cost.norms]
        if not normed:
            return self._say("compare-cost-none")
        bare = next((variant for variant in self._variants if not variant.cost.norms), None)
        base = self._rows[bare.name].step_time_ms if bare else None
        parts = [self._tell_share(variant, base) for variant in normed]
        if base:
            return self._say("compare-cost-beside", parts=self._list(parts), time=self._write(f"{base:.2f}"))
        return self._say("compare-cost", parts=self._list(parts))

    def _tell_share(self, variant: Variant, base: float | None) -> str:
        share = self._write(f"{variant.cost.norm_share_pct:.1f}")
        part = self._say("compare-cost-part", label=variant.label, share=share)
        time = self._rows[variant.name].step_time_ms
        if time is not None and base:
            return self._say("compare-cost-clock", part=part, time=self._write(f"{100 * (time / base - 1):+.0f}"))
        return part if time is None else self._say("compare-cost-step", part=part, time=self._write(f"{time:.2f}"))

    def _call(self, variant: Variant) -> str:
        """What a variant is called in a sentence, where "take none" would say the opposite of what it means."""
        if variant.name != "none":
            return variant.label
        return self._say("compare-no-norm", more=variant.label.removeprefix("none"))

    def _tell_to(self, variant: Variant) -> str:
        """What to do to have a variant: "put the norm after-activation"."""
        if variant.name == "none":
            return self._say("compare-use-none", call=self._calls[variant.name])
        if variant.name == "as-is":
            return self._say("compare-leave", more=variant.label.removeprefix("as-is"))
        if variant.name in POSITIONS:
            return self._say("compare-put", places=variant.label)
        return self._say("compare-use-placement", label=variant.label)

    def _tell_win(self) -> str:
        final, name = self._verdict.final, self._pick.name
        won = [abs(pair.difference) for pair in final.pairs if pair.winner == name]
        if len(won) < len(self._variants) - 1:
            return self._say("compare-win-unbeaten", measure=final.measure)
        key = "compare-win-other" if len(self._variants) == 2 else "compare-win-others"
        return self._say(key, measure=final.measure, size=self._size(min(won)))

    def _tell_tie(self, pairs: Sequence[Pair], margin: float) -> str:
        """Why none of these pairs says "better", and what would decide them."""
        undecided = [pair for pair in pairs if pair.word == "undecided"]
        if not undecided:
            return self._say("compare-tie-margin", size=self._size(margin))
        counts = {"open": len(undecided), "pairs": len(pairs)}
        kind = "one" if len(pairs) == 1 else "every" if len(undecided) == len(pairs) else "part"
        stand = self._say(f"compare-tie-{kind}", **counts)
        if min(pair.seeds for pair in undecided) < MIN_SEEDS:
            return self._say("compare-tie-few", stand=stand, least=MIN_SEEDS)
        wanted = [pair.more_seeds for pair in undecided if pair.more_seeds is not None]
        if not wanted:
            return self._say("compare-tie-never", stand=stand, most=self._write(str(MAX_MORE_SEEDS)))
        if len(wanted) < len(undecided):
            return self._say("compare-tie-clearest", stand=stand, more=self._write(str(min(wanted))))
        key = "compare-tie-decide-it" if len(pairs) == 1 else "compare-tie-decide-them"
        return self._say(key, stand=stand, more=self._write(str(max(wanted))))

    def _tell_cheap_of(self, unbeaten: Sequence[Variant]) -> str:
        """What speaks for the pick, and which of its rivals diverged somewhere."""
        rows = self._rows
        steady = [variant for variant in unbeaten if not rows[variant.name].diverged] or unbeaten
        told = self._tell_cheap(steady)
        for variant in unbeaten:
            if variant not in steady:
                row = rows[variant.name]
                told = self._say(
                    "compare-unsteady",
                    cheap=told,
                    call=self._calls[variant.name],
                    diverged=row.diverged,
                    seeds=row.seeds,
                )
        return told

    def _tell_cheap(self, rivals: Sequence[Variant]) -> str:
        """What speaks for the pick among placements that none beats."""
        if len(rivals) == 1:
            return self._say("compare-cheap-steady")
        least, following = sorted(variant.cost.norm_train_bytes for variant in rivals)[:2]
        if least == following:
            return self._say("compare-cheap-equal")
        if not self._pick.cost.norms:
            return self._say("compare-cheap-none")
        return self._say(
            "compare-cheap-least", least=say_bytes(least, self._language), next=say_bytes(following, self._language)
        )

    def _tell_arrival(self, row: Summary) -> str:
        if row.steps_to_target is None or row.seconds_to_target is None:
            return self._say("compare-arrives-in", reached=row.reached, seeds=row.seeds)
        steps, seconds = f"{row.steps_to_target:.0f}", f"{row.seconds_to_target:.2g}"
        return self._say("compare-arrives", steps=self._write(steps), seconds=self._write(seconds))

    def _size(self, difference: float) -> str:
        if self._metric.as_percent:
            return self._say("compare-points", value=self._write(f"{100 * difference:.2f}"))
        return self._write(f"{difference:.3g}")

    def _level(self, value: float) -> str:
        if self._metric.as_percent:
            return self._say("compare-percent", value=self._write(f"{100 * value:.1f}"))
        return self._say("compare-level", metric=self._metric.name, value=self._write(f"{value:.4g}"))

    def _write(self, numeral: str) -> str:
        return self._language.figures(numeral)

    def _list(self, parts: Sequence[str]) -> str:
        return _list_with_commas(parts, self._language)

    def _join(self, words: Sequence[str]) -> str:
        return join_words(words, self._language)


def _other(pair: Pair, name: str) -> str:
    return pair.second if pair.first == name else pair.first
