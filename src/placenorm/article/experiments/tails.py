"""How often normalised values are far from 0: at a network's input and at every norm."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.probe.outlier_scores import NORM_EPS
from placenorm.probe.outlier_sites import normalise


def measure_tails(
    model: nn.Module, train: Tensor, x: Tensor, distances: Sequence[float], batch_size: int
) -> dict[float, tuple[float, list[float]]]:
    """Return by distance the share of values further from 0: at the input, and at each norm in the order they run.

    Args:
        model: a network in evaluation mode, whose norms run once each.
        train: samples by which each value of the input is normalised, ``[M, *]``.
        x: samples, ``[N, *]``.
        distances: in standard deviations.
        batch_size: samples at a time.
    """
    mean, var = (moment.double() for moment in (train.double().mean(0), train.double().var(0, correction=0)))
    counts: dict[str, Tensor] = {}
    totals: dict[str, int] = {}

    def count(site: str, z: Tensor) -> None:
        beyond = torch.stack([(z.abs() > distance).sum() for distance in distances]).cpu()
        counts[site] = counts.get(site, torch.zeros_like(beyond)) + beyond
        totals[site] = totals.get(site, 0) + z.numel()

    def hook(site: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def note(module: nn.Module, args: tuple[Any, ...]) -> None:
            assert isinstance(module, _BatchNorm)
            count(site, normalise(args[0], module)[0])

        return note

    norms = {path: module for path, module in model.named_modules() if isinstance(module, _BatchNorm)}
    handles = [module.register_forward_pre_hook(hook(path)) for path, module in norms.items()]
    try:
        with torch.no_grad():
            for batch in x.split(batch_size):
                count("", (batch.double() - mean) / (var + NORM_EPS).sqrt())
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    shares = {site: (beyond.double() / totals[site]).tolist() for site, beyond in counts.items()}
    at_input = shares.pop("")
    return {
        distance: (at_input[place], [each[place] for each in shares.values()])
        for place, distance in enumerate(distances)
    }
