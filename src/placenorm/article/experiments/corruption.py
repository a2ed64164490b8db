"""Corrupted samples, and how well they are told from good ones by what a trained network makes of them."""

from statistics import fmean
from typing import Final

import torch
from torch import Tensor, nn

from placenorm.article.experiments.tails import measure_tails
from placenorm.facts.claim import Number
from placenorm.probe.outlier_scores import SiteDistances, count_as_far, measure_clean, measure_distances, measure_excess
from placenorm.probe.outlier_sites import OutlierReader
from placenorm.randomness import fix_seed

FAR: Final = 5.0
"""The article's "probably a recording error"."""

SALT: Final = 0.05
"""Share of the values that are at the largest, as in docs/outliers.md."""

TIMES: Final = 10.0
"""What is recorded too bright or too dark, or as one value, as there."""

CORRUPTIONS: Final = ("one-value", "salt", "bright", "dark")

RARE: Final = 0.01
"""Surprise at which a counted distance flags: at most half as many good samples as there are corrupted ones."""

BATCH: Final = 500
"""Samples at a time, for memory."""

BY_NORMS, BY_INPUT, BY_COUNT = "norms", "input", "counted"
WAYS: Final = (BY_NORMS, BY_INPUT, BY_COUNT)

VALUES: Final = "values"
"""Single values at norms, instead of samples."""


def find_corrupted(model: nn.Module, train: Tensor, clean: Tensor, test: Tensor, seed: int) -> dict[str, Number]:
    """Return how corrupted copies of the test samples stand beside the samples themselves, in every way.

    Args:
        model: a trained network in evaluation mode.
        train: samples by which the input's values are normalised.
        clean: samples that counted distances are calibrated on.
        test: samples that are copied and corrupted.
        seed: decides where they are.

    Returns:
        ``alarm_<way>`` (share of good samples, or of their values, that a way flags), and for each corruption
        ``hit_<way>_<corruption>`` (share of corrupted ones) and, but for ``values``, ``area_<way>_<corruption>``.
    """

    def count_values(x: Tensor) -> float:
        """Return the share of values at norms that are far."""
        return fmean(measure_tails(model, train, x, (FAR,), BATCH)[FAR][1])

    values: dict[str, Number] = {"alarm_values": count_values(test)}
    low, high = float(train.min()), float(train.max())
    copies = {}
    for place, corruption in enumerate(CORRUPTIONS):
        with fix_seed(seed * len(CORRUPTIONS) + place):
            copies[corruption] = corrupt(corruption, test, low, high)
        values[f"hit_values_{corruption}"] = count_values(copies[corruption])
    reader = OutlierReader(model)
    with reader.attached():
        sites = measure_clean(reader, clean.split(BATCH), "validation data", strict=True)
        # At the input a value is far by the training data, as at a norm; the counted distance keeps to the clean ones.
        input_only = OutlierReader(nn.Identity())
        with input_only.attached():
            by_training = {
                "input": measure_clean(input_only, train.split(BATCH), "training data", strict=True)["input"]
            }
        usual = measure_distances(reader, clean.split(BATCH), sites, "validation data", among=True)
        common = _find_worst(usual, usual)

        def look(x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
            """Return by way how far samples are, and which of them it flags."""
            found = measure_distances(reader, x.split(BATCH), sites, "test data", among=False)
            with input_only.attached():
                inputs = measure_distances(input_only, x.split(BATCH), by_training, "test data", among=False)["input"]
            peaks = torch.stack([each.peaks for key, each in found.items() if sites[key].layer != "input"]).amax(0)
            worst = _find_worst(found, usual)
            surprise = (count_as_far(worst, common) + 1) / (len(common) + 1)
            return {
                BY_INPUT: (inputs.peaks, inputs.peaks >= FAR),
                BY_NORMS: (peaks, peaks >= FAR),
                BY_COUNT: (worst, surprise <= RARE),
            }

        good = look(test)
        for way, (_, flagged) in good.items():
            values[f"alarm_{way}"] = float(flagged.double().mean())
        for corruption, copy in copies.items():
            for way, (distance, flagged) in look(copy).items():
                values[f"area_{way}_{corruption}"] = measure_area(good[way][0], distance)
                values[f"hit_{way}_{corruption}"] = float(flagged.double().mean())
    return values


def corrupt(corruption: str, x: Tensor, low: float, high: float) -> Tensor:
    """Return samples with an error of recording, drawn from the global random state; ``[N, *]``.

    Args:
        corruption: one of `CORRUPTIONS`.
        x: samples.
        low: the value that stands for nothing recorded.
        high: the largest value.
    """
    recorded = (x - low) / (high - low)
    match corruption:
        case "one-value":
            flat = recorded.flatten(1).clone()
            place = torch.randint(flat.shape[1], (len(flat), 1)).to(x.device)
            recorded = flat.scatter(1, place, TIMES).view_as(x)
        case "salt":
            recorded = recorded.masked_fill((torch.rand(x.shape) < SALT).to(x.device), 1.0)
        case "bright":
            recorded = recorded * TIMES
        case _:
            recorded = recorded / TIMES
    return recorded * (high - low) + low


def measure_area(good: Tensor, bad: Tensor) -> float:
    """Return the chance that a corrupted sample is further than a good one, ties counting half: the area."""
    ordered = good.sort().values
    below = torch.searchsorted(ordered, bad.contiguous(), right=False)
    upto = torch.searchsorted(ordered, bad.contiguous(), right=True)
    return float((below + upto).double().mean() / (2 * len(ordered)))


def _find_worst(found: dict[str, SiteDistances], usual: dict[str, SiteDistances]) -> Tensor:
    return torch.stack([measure_excess(found[key].distances, usual[key].distances) for key in found]).amax(0)
