"""Replay committed comparisons as if they had stopped early; write a table of docs/decisions/0014-stopping-early.md.

Run from the root of the repository; it trains nothing and takes some seconds:

    python bench/replay.py
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from pages import write_between
from placenorm.facts.comparison import Answer, Comparison
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.assembly import assemble
from placenorm.study.rate_search import SLACK, end_early, search_rate
from placenorm.study.replay import replay_early
from placenorm.study.store import read_store

PAGE = Path("docs/decisions/0014-stopping-early.md")
RUNS = Path("docs/runs")
ALL = 10**6
"""More records than any trial has: it ends early only where it is above all that the best one ever showed."""


def replay(folder: Path) -> tuple[Comparison, Comparison]:
    """Return a comparison that ran to its end, and the same with an early stop."""
    with TemporaryDirectory() as copy:  # reading a database may mend it
        store = read_store(shutil.copytree(folder, Path(copy) / folder.name))
        return assemble(store), replay_early(store.head, store.results)


def words_of(answer: Answer) -> list[str]:
    """Return the word of every pair: the winner where there is one."""
    return [pair.winner or pair.word for pair in answer.pairs]


@dataclass(frozen=True, slots=True)
class Searched:
    """What searching the rates of a whole run would have come to, beside the whole grid.

    Attributes:
        cost: training steps over those of the whole run (0 to 1).
        same: share of variants and seeds that choose the same rate.
        change: mean change of the chosen trials' test metric.
        missing: variants and seeds whose search would have gone where the run did not; they count as the whole grid.
    """

    cost: float
    same: float
    change: float
    missing: int


def search_rates(whole: Comparison, slack: int) -> Searched:
    """Return what becomes of the searches of a whole run where a trial may lag behind by so many records."""
    results = {trial.key: trial for trial in whole.trials}
    steps, same, changes, missing = 0, 0, [], 0
    for best in whole.chosen:
        variant, seed = best.key.variant, best.key.seed
        found: dict[TrialKey, TrialResult] = {}
        search = search_rate(variant, seed, whole.settings.learning_rates, found)
        while search.next in results:
            assert search.next is not None
            found[search.next] = end_early(results[search.next], search.bar, whole.settings.epochs, slack)
            search = search_rate(variant, seed, whole.settings.learning_rates, found)
        if search.chosen is None:
            missing += 1
            found = {key: trial for key, trial in results.items() if (key.variant, key.seed) == (variant, seed)}
        chosen = search.chosen or best
        steps += sum(trial.steps for trial in found.values())
        same += chosen.key == best.key
        changes.append((chosen.test_metric or 0.0) - (best.test_metric or 0.0))
    count = len(whole.chosen)
    return Searched(steps / sum(trial.steps for trial in whole.trials), same / count, fmean(changes), missing)


def write_searches(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the table of searches: how far a trial may lag behind, one column a comparison."""
    names = [each.environment.command.removeprefix("placenorm compare ").split(" --out")[0] for each in comparisons]
    lines = ["| records behind | " + " | ".join(f"`{name}`" for name in names) + " |", "|---|" + "---|" * len(names)]
    for slack in (0, 1, SLACK, 3, ALL):
        cells = []
        for each in comparisons:
            searched = search_rates(each, slack)
            cell = f"{100 * searched.cost:.0f} %, {100 * searched.same:.0f} %, {100 * searched.change:+.2f}"
            cells.append(cell + (f" ({searched.missing} not in the run)" if searched.missing else ""))
        lines.append(f"| {'all that there are' if slack == ALL else slack} | {' | '.join(cells)} |")
    return lines


def write_row(whole: Comparison, early: Comparison) -> str:
    """Return what an early stop would have changed, as a row."""
    assert whole.verdict is not None
    assert early.verdict is not None
    assert early.course is not None
    words = words_of(whole.verdict.final), words_of(early.verdict.final)
    same = sum(one == other for one, other in zip(*words, strict=True))
    steps = sum(trial.steps for trial in whole.trials)
    seeds = ", ".join(f"{row.variant} {row.seeds}" for row in early.verdict.summaries)
    ended = sum(trial.pruned_at is not None for trial in early.trials)
    trials = f"{len(early.trials)} of {len(whole.trials)}, {ended} ended early"
    picks = f"{whole.verdict.pick}, {early.verdict.pick}"
    command = whole.environment.command.removeprefix("placenorm ")
    cost = f"{100 * early.course.steps / steps:.1f}"
    return (
        f"| `{command}` | {same} of {len(words[0])} | {picks} | {seeds} | {early.course.ending or 'all seeds'} "
        f"| {trials} | {cost} |"
    )


def main() -> None:
    """Print the table and write it into the decision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="of comparisons; all that are committed by default")
    parser.add_argument("--print-only", action="store_true", help="leave the decision as it is")
    options = parser.parse_args()
    folders = options.folders or sorted(path.parent for path in RUNS.glob("*/comparison.json"))
    pairs = [replay(folder) for folder in folders]
    lines = [
        "| comparison | same words, final metric | pick, whole and early | seeds of each arm | end | trials "
        "| training steps, % of the whole run |",
        "|---|---|---|---|---|---|---|",
        *(write_row(*pair) for pair in pairs),
        "",
        "The searches alone: training steps in % of the whole run, variants and seeds that choose the same rate, and "
        "the mean change of their test accuracy in points:",
        "",
        *write_searches([whole for whole, _ in pairs]),
    ]
    table = "\n".join(lines)
    print(table)
    if not options.print_only:
        write_between(PAGE, "replay.py", table)


if __name__ == "__main__":
    main()
