"""Comparisons as a run would leave them, made up from a formula: facts for everything that reads them."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from placenorm.facts.comparison import Comparison, DataFacts, Metric, Remark, Settings, Variant
from placenorm.facts.cost import Cost, NormCost
from placenorm.facts.edits import Change
from placenorm.facts.environment import Environment
from placenorm.facts.graph import Block, Graph, Op, OpKind, Site
from placenorm.facts.placement import Position
from placenorm.facts.trial import DeadShare, EpochRecord, TrialKey, TrialResult
from placenorm.report.language import ENGLISH
from placenorm.report.verdict_wording import put_into_words
from placenorm.study.verdict import judge

ACCURACY: Final = Metric(name="accuracy", higher_is_better=True, quantum=1 / 360, as_percent=True)
RMSE: Final = Metric(name="rmse", higher_is_better=False)

RATES: Final = (0.03, 0.1, 0.3)
EPOCHS: Final = 8
STEPS_PER_EPOCH: Final = 18
TEN_SEEDS: Final = 10
CHANCE: Final = 0.1

CHANNELS: Final = (16, 16, 32, 32, 32, 64, 64, 64)
POOLED: Final = (1, 4)  # convs whose activation feeds a max-pool

_FINAL_ACCURACY: Final = {
    "none": 0.948,
    "before-activation": 0.967,
    "after-activation": 0.971,
    "after-pool": 0.9705,
    "as-is": 0.9625,
}
_SPEED: Final = {"none": 0.35, "before-activation": 0.75, "after-activation": 1.0, "after-pool": 0.95, "as-is": 0.75}
_DEAD: Final = {"none": 0.035, "before-activation": 0.0, "after-activation": 0.006, "after-pool": 0.005, "as-is": 0.0}
_ACTIVE: Final = {
    "none": 0.42,
    "before-activation": 0.55,
    "after-activation": 0.6,
    "after-pool": 0.58,
    "as-is": 0.55,
}
_STEP_MS: Final = {
    "none": 9.1,
    "before-activation": 11.8,
    "after-activation": 11.7,
    "after-pool": 10.6,
    "as-is": 11.8,
}


def make_graph(policy: str) -> Graph:
    """Return the graph of eight convs with two max-pools and a linear layer, its norms placed by a policy."""
    ops: list[Op] = []
    blocks: list[Block] = []

    def add(key: str, kind: OpKind, name: str, shape: tuple[int, ...], **more: int | bool) -> int:
        source = (len(ops) - 1,) if ops else ()
        in_shape = ops[-1].out_shape if ops else shape
        known = bool(key) and kind not in ("input", "output")
        ops.append(
            Op(
                key=key,
                kind=kind,
                name=name,
                module=key if known else None,
                owner=key.rpartition(".")[0] if known else "",
                ordinal=len(ops),
                inputs=source,
                in_shape=in_shape,
                out_shape=shape,
                **more,  # type: ignore[arg-type]
            )
        )
        return len(ops) - 1

    side = 8
    add("x", "input", "x", (2, 1, side, side))
    place = 0
    for conv, channels in enumerate(CHANNELS):
        key = f"features.{place}"
        before = ops[-1].out_shape[1]
        macs = 9 * before * channels * side * side * 2
        weight = add(key, "weight", "Conv2d", (2, channels, side, side), parameters=9 * before * channels, macs=macs)
        place += 1
        chain: list[int] = []
        norms: list[int] = []
        pooled = conv in POOLED
        at: Position = "none" if policy == "none" else "before-activation"
        if policy in ("after-activation", "after-pool"):
            at = "after-pool" if policy == "after-pool" and pooled else "after-activation"

        def add_norm(name: str, channels: int = channels, norms: list[int] = norms, chain: list[int] = chain) -> None:
            norms.append(add(name, "norm", "BatchNorm2d", ops[-1].out_shape, parameters=2 * channels))
            chain.append(norms[-1])

        if at == "before-activation":
            add_norm(f"{key}.norm")
        relu = add(f"features.{place}", "activation", "ReLU", ops[-1].out_shape, relu_like=True)
        chain.append(relu)
        place += 1
        if at == "after-activation":
            add_norm(f"features.{place - 1}.norm")
        sites = [Site("before-activation", weight), Site("after-activation", relu)]
        if pooled:
            side //= 2
            chain.append(add(f"features.{place}", "pool", "MaxPool2d", (2, channels, side, side), reduction=4))
            sites.append(Site("after-pool", chain[-1]))
            place += 1
            if at == "after-pool":
                add_norm(f"features.{place - 1}.norm")
        blocks.append(Block(key, weight, tuple(chain), at, tuple(norms), tuple(sites), channels, "", "a weight op"))
    add("pool", "pool", "AdaptiveAvgPool2d", (2, CHANNELS[-1], 1, 1), reduction=4)
    add("flatten", "reshape", "Flatten", (2, CHANNELS[-1]))
    blocks[-1] = replace(blocks[-1], chain=(*blocks[-1].chain, len(ops) - 2, len(ops) - 1))
    head = add("classifier", "weight", "Linear", (2, 10), parameters=650, macs=1280)
    blocks.append(Block("classifier", head, (), "none", (), (), 10, "it gives the network's output", "the output"))
    add("output", "output", "output", (2, 10))
    return Graph(ops=tuple(ops), blocks=tuple(blocks))


def make_variant(name: str, *, aliases: Sequence[str] = (), baseline: bool = False) -> Variant:
    """Return one arm, its graph and its cost."""
    graph = make_graph(name)
    norms = tuple(
        NormCost(
            norm=op.key,
            elements=math.prod(op.out_shape),
            train_bytes=8 * 4 * math.prod(op.out_shape),
            eval_bytes=2 * 4 * math.prod(op.out_shape),
            parameters=op.parameters,
        )
        for op in graph.norms
    )
    total = sum(3 * op.item_bytes * math.prod(op.out_shape) for op in graph.ops)
    changes = tuple(
        Change(block.key, f"inserted BatchNorm2d {block.position}") for block in graph.blocks if block.norms
    )
    return Variant(
        name=name,
        aliases=tuple(aliases),
        baseline=baseline,
        placement=graph.placement(),
        changes=() if name == "as-is" else changes,
        skipped=(),
        graph=graph,
        cost=Cost(
            norms=norms,
            train_bytes=total + sum(norm.train_bytes for norm in norms),
            macs=sum(op.macs for op in graph.ops),
            parameters=sum(op.parameters for op in graph.ops),
        ),
    )


def _make_trial(variant: Variant, seed: int, lr: float | None, metric: Metric) -> TrialResult:
    name = variant.name if variant.name in _FINAL_ACCURACY else "after-activation"
    shared = random.Random(seed).gauss(0.0, 0.006)  # what a seed does to every variant
    own = random.Random(f"{variant.name} {seed} {lr}")
    off = 0.0 if lr is None else 0.008 * abs(math.log10(lr / 0.1))
    final = min(0.999, _FINAL_ACCURACY[name] + shared + own.gauss(0.0, 0.0012) - off)
    epochs = []
    for epoch in range(1, EPOCHS + 1):
        missing = (final - CHANCE) * math.exp(-_SPEED[name] * epoch * (1 + 0.05 * own.gauss(0, 1)))
        accuracy = min(1.0, max(0.0, final - missing + own.gauss(0.0, 0.002)))
        loss = 0.09 + 2.2 * (1.0 - accuracy)
        shown = accuracy if metric.higher_is_better else 3.0 * (1.0 - accuracy)
        epochs.append(
            EpochRecord(
                step=epoch * STEPS_PER_EPOCH,
                time_s=epoch * STEPS_PER_EPOCH * _STEP_MS[name] / 1000,
                train_loss=0.8 * loss,
                train_metric=shown,
                val_loss=loss,
                val_metric=shown,
            )
        )
    test = round(final * 360) / 360 if metric.higher_is_better else 3.0 * (1.0 - final)
    activations = [op for op in variant.graph.ops if op.kind == "activation"]
    dead = tuple(
        DeadShare(
            activation=op.key,
            units=op.out_shape[1],
            dead=min(op.out_shape[1], max(0, round(op.out_shape[1] * _DEAD[name] * depth + own.gauss(0, 0.4)))),
            active=min(0.99, max(0.01, _ACTIVE[name] - 0.02 * depth)),
        )
        for depth, op in enumerate(activations)
    )
    return TrialResult(
        key=TrialKey(variant.name, seed, lr),
        epochs=tuple(epochs),
        val_loss=epochs[-1].val_loss,
        val_metric=epochs[-1].val_metric,
        test_metric=test,
        diverged_at=None,
        steps=epochs[-1].step,
        step_time_ms=_STEP_MS[name] * (1 + 0.03 * own.gauss(0, 1)),
        dead=dead,
    )


def _diverge(trial: TrialResult, at: int) -> TrialResult:
    epochs = tuple(
        record if record.step < at else replace(record, train_loss=None, val_loss=None, val_metric=None)
        for record in trial.epochs
        if record.step < at + STEPS_PER_EPOCH
    )
    return replace(trial, epochs=epochs, val_loss=None, val_metric=None, test_metric=CHANCE, diverged_at=at, steps=at)


def make_comparison(
    *,
    model: str = "cnn:8",
    data: str | None = "digits",
    weights: str | None = None,
    metric: Metric = ACCURACY,
    margin: float = 0.005,
    seeds: int = TEN_SEEDS,
    variants: Sequence[Variant] | None = None,
    diverged: Mapping[str, int] | None = None,
) -> Comparison:
    """Return a finished comparison: four variants, ten seeds, three rates, curves, and a verdict in English words.

    Args:
        model: as the user named it.
        data: as the user named it; None for a training loop of the user's own.
        weights: checkpoint that it starts from.
        metric: what is measured.
        margin: differences up to this size have no practical meaning.
        seeds: number of seeds, at least 2.
        variants: the arms; None for none, before-activation, after-activation and after-pool.
        diverged: number of seeds at which a variant diverges, by its name.
    """
    if variants is None:
        names = ("none", "before-activation", "after-activation", "after-pool")
        variants = [make_variant(name, baseline=name == "none") for name in names]
    rates: tuple[float | None, ...] = RATES if data is not None else (None,)
    trials: list[TrialResult] = []
    runs: dict[str, list[TrialResult]] = {}
    for variant in variants:
        for seed in range(seeds):
            tried = [_make_trial(variant, seed, lr, metric) for lr in rates]
            if seed < (diverged or {}).get(variant.name, 0):
                tried = [_diverge(trial, at=3 * STEPS_PER_EPOCH - 5) for trial in tried]
            trials += tried
            losses = [(trial.val_loss if trial.val_loss is not None else math.inf) for trial in tried]
            runs.setdefault(variant.name, []).append(tried[losses.index(min(losses))])
    remarks = [
        Remark("note-same-start-and-batches"),
        Remark("note-rates", {"rates": ", ".join(f"{rate:g}" for rate in rates if rate is not None)}),
        Remark("note-split-anew"),
    ]
    chosen = tuple(run for group in runs.values() for run in group)
    comparison = Comparison(
        settings=Settings(
            model=model,
            weights=weights,
            data=data,
            limit=None,
            placements=tuple(variant.name for variant in variants),
            seeds=seeds,
            epochs=EPOCHS,
            batch_size=64,
            learning_rates=rates,
            optimizer="sgd",
            schedule="cosine",
            metric=metric.name,
            margin=margin,
            norm="torch",
            train=None if data is not None else "examples/my_train.py:train",
            device="cpu",
            source_hash="",
        ),
        metric=metric,
        task="own" if data is None else "classification" if metric.as_percent else "regression",
        data=DataFacts(
            name=data,
            train=1149,
            validation=288,
            test=360,
            sample_shape=(1, 8, 8),
            classes=10 if metric.as_percent else None,
            fixed_test=False,
            fingerprint="5f1d3c0a9b7e",
        )
        if data is not None
        else None,
        environment=Environment(
            placenorm="0.1.0",
            torch="2.11.0+cpu",
            python="3.11.2",
            platform="Linux x86_64, AMD EPYC 7B13",
            cores=2,
            device="cpu",
            date="2026-02-11",
            command=f"placenorm compare {model} --data {data or 'own'} --seeds {seeds} --epochs {EPOCHS}",
        ),
        variants=tuple(variants),
        trials=tuple(trials),
        chosen=chosen,
        grids=(rates,) * seeds,
        verdict=judge(variants, chosen, metric, margin, metric.quantum, remarks),
    )
    return put_into_words(comparison, ENGLISH)


def make_regression() -> Comparison:
    """Return a comparison on a regression metric, where lower is better."""
    return make_comparison(data="npz:housing.npz", metric=RMSE, margin=0.01)


def make_diverged() -> Comparison:
    """Return a comparison in which the baseline diverged at three of ten seeds."""
    return make_comparison(diverged={"none": 3})


def make_unfinished() -> Comparison:
    """Return a comparison that was stopped after two seeds of the first variant: no verdict."""
    whole = make_comparison()
    done = whole.trials[: 2 * len(RATES)]
    return replace(whole, trials=done, chosen=whole.chosen[:2], verdict=None)
