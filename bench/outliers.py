"""Measure how well `pn.outliers` finds corrupted samples, beside other ways, and write the tables of docs/outliers.md.

Run from the root of the repository:

    python bench/outliers.py
    python bench/outliers.py --choose  # the table that the settings were chosen by, on other corruptions and seeds
"""

import argparse
import platform
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from unittest.mock import patch

import torch
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from pages import write_between
from placenorm.data import count_samples, epoch_batches, fetch, load_data, split
from placenorm.facts.outliers import OutlierSample
from placenorm.probe import outlier_scores, outlier_sites
from placenorm.zoo import find_model

PAGE = Path("docs/outliers.md")

SHARE = 0.02
"""Share of the test samples that are corrupted."""

SALT = 0.05
"""Share of the pixels of a salted image that are white."""

RARE = 0.01
"""The surprise from which on a sample counts as found."""

EPOCHS, BATCH, RATE, MOMENTUM = 5, 64, 0.05, 0.9

Scores = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Case:
    """Data to measure on: their name, how many samples of each part, how many seeds."""

    data: str
    other: str
    limit: int | None
    seeds: int


CASES = (Case("digits", "fashion-mnist", None, 10), Case("fashion-mnist", "digits", 3000, 5))


@dataclass(frozen=True, slots=True)
class Part:
    """One seed's trained network and its samples, all standardised: ``[N, 1, H, W]``."""

    model: nn.Module
    train: Tensor
    clean: Tensor
    test: Tensor
    black: float
    white: float


def prepare(case: Case, seed: int) -> Part:
    """Return a network trained on a seed's training part, with the built-in ``cnn``'s norms before its activations."""
    source = load_data(case.data, limit=case.limit)
    parts = split(source, seed)
    torch.manual_seed(seed)
    plain = find_model("cnn", sample_shape=source.sample_shape, outputs=source.outputs)()
    model = pn.place(plain, torch.zeros(2, *source.sample_shape), "before-activation").model
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    for epoch in range(EPOCHS):
        for x, y in epoch_batches(parts.train, BATCH, seed, epoch):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    train, clean, test = (
        fetch(part, range(count_samples(part)))[0] for part in (parts.train, parts.validation, parts.test)
    )
    return Part(model, train, clean, test, float(train.min()), float(train.max()))


def read_others(case: Case, shape: tuple[int, ...], count: int, generator: torch.Generator) -> Tensor:
    """Return images of the other data set, 0 (black) to 1 (white), brought to the size of these."""
    source = load_data(case.other, limit=2000)
    order = torch.randperm(count_samples(source.train), generator=generator)[:count]
    images, _ = fetch(source.train, order)
    images = images / images.max()
    return F.interpolate(images, size=shape[1:], mode="area" if images.shape[-1] > shape[-1] else "bilinear")


def corrupt(kind: str, images: Tensor, others: Callable[[int], Tensor], generator: torch.Generator) -> Tensor:
    """Return images, 0 (black) to 1 (white), ``[N, 1, H, W]``, with an error of recording."""
    match kind:
        case "salt":
            return images.masked_fill(torch.rand(images.shape, generator=generator) < SALT, 1.0)
        case "ten times too bright":
            return images * 10
        case "ten times too dark":
            return images / 10
        case _:
            return others(len(images))


KINDS = ("salt", "ten times too bright", "ten times too dark", "another data set")


def spoil(case: Case, part: Part, kind: str, seed: int) -> tuple[Tensor, Tensor]:
    """Return the test samples with some of them corrupted, and which: the same ones for every kind."""
    generator = torch.Generator().manual_seed(seed)
    count = max(round(SHARE * len(part.test)), 1)
    chosen = torch.randperm(len(part.test), generator=generator)[:count]
    span = part.white - part.black

    def others(number: int) -> Tensor:
        return read_others(case, part.test.shape[1:], number, generator)

    images = (part.test[chosen] - part.black) / span
    x, bad = part.test.clone(), torch.zeros(len(part.test), dtype=torch.bool)
    x[chosen] = corrupt(kind, images, others, generator) * span + part.black
    bad[chosen] = True
    return x, bad


def rank(samples: tuple[OutlierSample, ...]) -> Tensor:
    """Return a score a sample, the highest for the most surprising."""
    scores = torch.zeros(len(samples))
    for place, sample in enumerate(samples):
        scores[sample.index] = -place
    return scores


def look(model: nn.Module, x: Tensor, clean: Tensor | None) -> tuple[OutlierSample, ...]:
    """Return what `pn.outliers` says of all samples."""
    return pn.outliers(model, x.split(500), None if clean is None else clean.split(500)).samples


WAYS = ("placenorm", "its input sites alone", "IsolationForest", "Mahalanobis")


def score(part: Part, x: Tensor, clean: Tensor | None, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the scores of every way but the first: with clean samples, or by the data alone.

    The two from scikit-learn are given the pixels, and as clean samples the training part too.
    """
    yield WAYS[1], rank(look(nn.Identity(), x, clean))
    known = (x if clean is None else torch.cat([part.train, clean])).flatten(1).numpy()
    pixels = x.flatten(1).numpy()
    forest = IsolationForest(random_state=seed).fit(known)
    yield WAYS[2], -torch.from_numpy(forest.score_samples(pixels))
    yield WAYS[3], torch.from_numpy(LedoitWolf().fit(known).mahalanobis(pixels))


def measure(case: Case) -> tuple[dict[tuple[str, str, str], list[float]], Scores]:
    """Return the areas under the curve by kind, way and whether clean samples were there; and what surprise says."""
    areas: dict[tuple[str, str, str], list[float]] = {}
    rates: Scores = {}
    for seed in range(case.seeds):
        part = prepare(case, seed)
        for kind in KINDS:
            x, bad = spoil(case, part, kind, seed)
            for clean, how in ((part.clean, "clean"), (None, "own")):
                found = look(part.model, x, clean)
                for way, scores in ((WAYS[0], rank(found)), *score(part, x, clean, seed)):
                    areas.setdefault((kind, way, how), []).append(float(roc_auc_score(bad, scores)))
                for sample in found if clean is not None else ():
                    name = f"found: {kind}" if bad[sample.index] else "false alarms"
                    rates.setdefault(name, []).append(float(sample.surprise <= RARE))
        print(case.data, seed, {key: f"{values[-1]:.3f}" for key, values in areas.items()}, flush=True)
    return areas, rates


def write_tables(cases: tuple[Case, ...]) -> str:
    """Return everything that stands between the markers."""
    lines = [
        f"`python bench/outliers.py` on torch {torch.__version__.split('+')[0]}, {platform.machine()} CPU, one thread.",
        "",
    ]
    titles = {"clean": "With clean samples", "own": "By the data alone, `clean=None`"}
    measured = {case: measure(case) for case in cases}
    for how, title in titles.items():
        lines += [
            f"{title}: area under the ROC curve, mean over seeds ± standard deviation (0.5 is chance), best in bold.",
            "",
            "| data | corruption | " + " | ".join(WAYS) + " |",
            "|---|---|" + "---|" * len(WAYS),
        ]
        for case, (areas, _) in measured.items():
            for kind in KINDS:
                best = max(round(fmean(areas[kind, way, how]), 3) for way in WAYS)
                cells = [_say(areas[kind, way, how], best) for way in WAYS]
                lines.append(f"| {case.data} | {kind} | " + " | ".join(cells) + " |")
            means = [
                [fmean(values) for values in zip(*(areas[kind, way, how] for kind in KINDS), strict=True)]
                for way in WAYS
            ]
            best = max(round(fmean(values), 3) for values in means)
            lines.append(f"| {case.data} | mean | " + " | ".join(_say(values, best) for values in means) + " |")
        lines.append("")
    lines += [
        f"Surprise of {RARE:g} or less, with clean samples: the share of good samples (it should be {100 * RARE:g} %), "
        "and of the corrupted ones.",
        "",
        "| data | clean samples | good, % | " + " | ".join(f"{kind}, %" for kind in KINDS) + " |",
        "|---|---|---|" + "---|" * len(KINDS),
    ]
    for case, (_, rates) in measured.items():
        shares = [fmean(rates[name]) for name in ("false alarms", *(f"found: {kind}" for kind in KINDS))]
        clean = count_samples(split(load_data(case.data, limit=case.limit), 0).validation)
        lines.append(f"| {case.data} | {clean} | " + " | ".join(f"{100 * share:.1f}" for share in shares) + " |")
    return "\n".join(lines)


def draw_trials(images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Return images, 0 to 1, ``[N, 1, H, W]``, with errors that the settings were chosen by; the tables hold others."""
    size, count = images.shape[-1], len(images)
    third, reach = size // 3, max(size // 9, 1)
    noise = torch.randn(images.shape, generator=generator)
    top, left = torch.randint(0, size - third + 1, (2, count, 1), generator=generator)
    places = torch.arange(size)
    rows, columns = (places >= top) & (places < top + third), (places >= left) & (places < left + third)
    stuck = torch.randint(0, size, (count, 1), generator=generator) == places
    orders = torch.rand(count, size * size, generator=generator).argsort(1)
    padded = F.pad(images, (reach, reach, reach, reach), mode="reflect")
    return {
        "noise 0.3": images + 0.3 * noise,
        "noise 0.1": images + 0.1 * noise,
        "inverted": 1 - images,
        "part missing": images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0),
        "blurred": F.avg_pool2d(padded, 2 * reach + 1, 1),
        "white row": images.masked_fill(stuck[:, None, :, None], 1.0),
        "shifted": images.roll((size // 4, size // 4), (2, 3)),
        "upside down": images.flip(2),
        "brighter by 0.25": images + 0.25,
        "faded to 0.4": images * 0.4,
        "cubed": images.clamp(0, 1) ** 3,
        "pixels shuffled": images.flatten(1).gather(1, orders).view_as(images),
    }


SETTINGS: dict[str, tuple[tuple[object, str, float], ...]] = {
    "as they are": (),
    "every feature for itself": ((outlier_sites, "JOINT_FEATURES", 0),),
    "least spread 0.01": ((outlier_scores, "FLOOR", 0.01),),
    "least spread 0.3": ((outlier_scores, "FLOOR", 0.3),),
    "shrinkage 0.1 or more": ((outlier_scores, "LEAST_SHRINKAGE", 0.1),),
    "excess by the 95 % quantile": ((outlier_scores, "HIGH", 0.95),),
}

TRIALS = (Case("digits", "", None, 3), Case("fashion-mnist", "", 3000, 1))
FIRST_TRIAL, TRIAL_SAMPLES = 100, 300


def write_choice() -> str:
    """Return the table of settings: the area under the curve, each corrupted set against the same samples unspoilt."""
    kinds = list(draw_trials(torch.zeros(1, 1, 8, 8), torch.Generator()))
    lines = ["| data | settings | mean | " + " | ".join(kinds) + " |", "|---|---|---|" + "---|" * len(kinds)]
    for case in TRIALS:
        areas: dict[tuple[str, str], list[float]] = {}
        for seed in range(FIRST_TRIAL, FIRST_TRIAL + case.seeds):
            part = prepare(case, seed)
            span, good = part.white - part.black, part.test[:TRIAL_SAMPLES]
            trials = draw_trials((good - part.black) / span, torch.Generator().manual_seed(seed))
            x = torch.cat([good, *(each * span + part.black for each in trials.values())])
            for name, changes in SETTINGS.items():
                with ExitStack() as stack:
                    for module, constant, value in changes:
                        stack.enter_context(patch.object(module, constant, value))
                    ranked = rank(look(part.model, x, part.clean))
                _note_areas(areas, name, kinds, ranked)
            for name, scores in score(part, x, part.clean, seed):
                _note_areas(areas, name, kinds, scores)
        for name in (*SETTINGS, *WAYS[1:]):
            means = [fmean(areas[name, kind]) for kind in kinds]
            lines.append(
                f"| {case.data} | {name} | {fmean(means):.3f} | " + " | ".join(f"{a:.2f}" for a in means) + " |"
            )
    return "\n".join(lines)


def _note_areas(areas: dict[tuple[str, str], list[float]], name: str, kinds: list[str], scores: Tensor) -> None:
    good, *spoilt = scores.split(TRIAL_SAMPLES)
    truth = torch.arange(2 * TRIAL_SAMPLES) >= TRIAL_SAMPLES
    for kind, bad in zip(kinds, spoilt, strict=True):
        areas.setdefault((name, kind), []).append(float(roc_auc_score(truth, torch.cat([good, bad]))))


def _say(values: list[float], best: float) -> str:
    mean = round(fmean(values), 3)
    text = f"{mean:.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{mean:.3f}"
    return f"**{text}**" if mean == best else text


def main() -> None:
    """Print the tables and write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choose", action="store_true", help="try settings on other corruptions instead")
    parser.add_argument("--print-only", action="store_true", help="leave the page as it is")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables = write_choice() if options.choose else write_tables(CASES)
    print(tables)
    if not options.print_only:
        write_between(PAGE, "outliers.py --choose" if options.choose else "outliers.py", tables)


if __name__ == "__main__":
    main()
