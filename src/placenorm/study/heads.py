"""What a stored comparison says of itself, beside what is asked for now."""

import hashlib
from dataclasses import asdict, replace

from placenorm.facts.comparison import Comparison
from placenorm.facts.environment import Environment

THEN = ", then "
"""Between the versions or platforms of a run that was continued under another one."""


CHANGED = "have changed since"
"""Ends a difference that no command makes good."""

NOT_COMPARED = ("seeds", "planned")
"""Settings in which two runs of one comparison may differ."""


def find_difference(held: Comparison, asked: Comparison) -> str:
    """Return in what two comparisons differ, seeds aside; "" if they are one."""
    before, now = asdict(held.settings), asdict(asked.settings)
    for name in ("search", *before):  # with a search come other placements, which do not tell of it
        value = before[name]
        if name not in NOT_COMPARED and value != now[name]:
            if name == "source_hash":
                return f"your source files, the weights or the example input {CHANGED}"
            return f"{name.replace('_', ' ')} {_in_words(value)} there, {_in_words(now[name])} here"
    fingerprints = [c.data.fingerprint if c.data is not None else "" for c in (held, asked)]
    if fingerprints[0] != fingerprints[1]:
        return f"the data {CHANGED}"
    if [(v.name, v.placement) for v in held.variants] != [(v.name, v.placement) for v in asked.variants]:
        return "the placements give other networks than there"
    return ""


def identify_work(head: Comparison) -> str:
    """Return what the trials of a comparison train on, how, and by which code, as one word: what must not differ."""
    settings = {name: value for name, value in asdict(head.settings).items() if name not in NOT_COMPARED}
    data = "" if head.data is None else head.data.fingerprint
    return hashlib.sha256(f"{settings} {data}".encode()).hexdigest()


def merge_heads(held: Comparison, asked: Comparison) -> Comparison:
    """Return the head of a continued comparison: begun and planned as it was, with the larger number of seeds."""
    seeds = max(held.settings.seeds, asked.settings.seeds)
    return replace(
        asked,
        settings=replace(asked.settings, seeds=seeds, planned=held.settings.planned),
        environment=merge_environments(held.environment, asked.environment),
    )


def merge_environments(held: Environment, asked: Environment) -> Environment:
    """Return the environment of a continued run: begun when it was begun, with every version and platform in turn."""
    return replace(
        asked,
        date=held.date,
        torch=_in_turn(held.torch, asked.torch),
        python=_in_turn(held.python, asked.python),
        platform=_in_turn(held.platform, asked.platform),
    )


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value) or "none"


def _in_turn(before: str, now: str) -> str:
    return before if before.split(THEN)[-1] == now else before + THEN + now
