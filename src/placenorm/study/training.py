"""A trial in, its result out: one variant is built, trained and measured."""

import logging
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from placenorm.data import DataSource, Feed, LoaderSource, open_feed
from placenorm.errors import ModelError, TrialError
from placenorm.facts.placement import Position
from placenorm.facts.trial import Curve, TrialKey, TrialOrder, TrialResult
from placenorm.randomness import fix_seed
from placenorm.rewrite.placing import place_model
from placenorm.study.checkpoints import Checkpoint
from placenorm.study.crews import Crew, Post
from placenorm.study.devices import choose_device, take_seat
from placenorm.study.epochs import EpochLoop, Lesson
from placenorm.study.own_loops import run_own
from placenorm.study.ranks import Alone, Ranks, meet
from placenorm.study.recipe import Recipe
from placenorm.zoo import load_weights

TRAINING_SEED = 0x5EED
"""Added to a trial's seed before training, so that dropout does not repeat the numbers that drew the weights."""

RANK_SEED = 1_000_003
"""Added for every further process of a trial, so that dropout differs between them: larger than any trial's seed."""


class Trainer:
    """Runs the trials of a recipe, one after the other, and keeps the data between them.

    Args:
        recipe: what all trials share.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._crew: Crew[TrialOrder, TrialResult] | None = None
        self._hand: Hand | None = None
        if recipe.processes > 1:
            make = partial(_make_member, recipe, _seat_of(recipe))
            self._crew = Crew(make, recipe.processes, recipe.references)
        else:
            self._hand = Hand(replace(recipe, device=choose_device(recipe.device)))

    def run(self, key: TrialKey, bar: Curve = ()) -> TrialResult:
        """Return the result of one trial. The same key and bar give the same result, whatever ran before.

        Args:
            key: which trial.
            bar: validation losses that it has to keep up with, or it ends early; a loop of the user's own does not.

        Raises:
            ModelError: if the model cannot be built or placed as planned.
            TrialError: if the user's own loop or metric fails, or a process of the trial dies.
        """
        if self._crew is not None:
            return self._crew.run(TrialOrder(key, bar))
        assert self._hand is not None
        return self._hand.run(TrialOrder(key, bar), Alone())

    def close(self) -> None:
        """End the processes that were started for trials; they end with this process, too."""
        if self._crew is not None:
            self._crew.close()


class Hand:
    """Trains trials in this process, alone or as one of several.

    Args:
        recipe: what all trials share; its device is where this process trains.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        _let_loaders_start_workers()
        device = torch.device(recipe.device)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # for the user's own code, whose .cuda() means this one
        self._source = recipe.open_data() if recipe.open_data is not None else None
        self._own_train = recipe.own_train() if recipe.own_train is not None else None
        self._feed: tuple[int, Feed] | None = None

    def run(self, order: TrialOrder, ranks: Ranks) -> TrialResult:
        """Return the result of one trial, or of this process's part in it."""
        recipe, key = self._recipe, order.key
        if recipe.compiled:
            if ranks.size > 1:  # it breaks the graph at every synchronised norm, and would tell each time
                logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
            torch.compiler.reset()  # what is compiled is kept by the code of a forward, which many models share
        model = build_model(recipe, key)
        work = f"{recipe.work} {dict(recipe.placements[key.variant])} {recipe.processes}"
        checkpoint = Checkpoint(recipe.checkpoints, key, work, always=recipe.checkpoint_always)
        with fix_seed(TRAINING_SEED + key.seed + RANK_SEED * ranks.rank):
            if self._own_train is not None:
                wrapped = ranks.wrap(model, recipe.example_inputs)
                quiet = ranks.rank > 0
                own = run_own(self._own_train, recipe.own_train_name, wrapped, key, checkpoint, quiet=quiet)
                if recipe.must_report and not quiet and own.diverged_at is None and not own.epochs:
                    raise TrialError(
                        f"The training loop {recipe.own_train_name} reported nothing in trial {key}, and a search goes "
                        "by values on validation data: call report(step, value) in it."
                    )
                return own
            assert self._source is not None
            lesson = Lesson(self._open(self._source, key.seed), self._source.task, self._source.outputs)
            return EpochLoop(recipe, model, key, lesson, ranks, checkpoint).run(order.bar)

    def _open(self, source: DataSource | LoaderSource, seed: int) -> Feed:
        if self._feed is None or self._feed[0] != seed:
            self._feed = (seed, open_feed(source, seed, self._recipe.batch_size))
        return self._feed[1]


def build_model(recipe: Recipe, key: TrialKey) -> nn.Module:
    """Return the model of a trial: built under its seed, then placed; the same seed gives all variants equal weights.

    Raises:
        ModelError: if it cannot be built, loaded or placed, or if its norms do not stand where they were planned.
    """
    with fix_seed(key.seed):
        model = recipe.make_model()
        if recipe.weights is not None:
            load_weights(model, recipe.weights)
        planned = recipe.placements[key.variant]
        # Making the plan proved this placement; no trial need do it again.
        placed = place_model(model, recipe.example_inputs, planned, recipe.norm, prove=False)
        _check_placement(placed.placement, planned, key)
        return placed.model.train().to(recipe.device)


def _check_placement(found: dict[str, Position], planned: dict[str, Position], key: TrialKey) -> None:
    """Raise an error where a trial would train another network than the plan says."""
    if found == planned:
        return
    block = next(name for name in (*planned, *found) if found.get(name) != planned.get(name))
    raise ModelError(
        f"Cannot build the model of {key} as planned: the norm of {block} should stand at "
        f"{planned.get(block, 'no such block')}, and here it is {found.get(block, 'no such block')}; let the model "
        "have the same layers every time it is made and called."
    )


def _let_loaders_start_workers() -> None:
    """Let the user's loaders start processes in the platform's usual way, and not as loky has it in what it starts."""
    method = multiprocessing.get_start_method(allow_none=True)  # None: nobody has chosen yet, and nor do we
    if method is not None and method not in multiprocessing.get_all_start_methods():
        multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)


def _seat_of(recipe: Recipe) -> int:
    """Return the seat of a worker whose trials are trained in several processes; they are dealt neighbouring GPUs."""
    return take_seat() if torch.device(recipe.device) == torch.device("cuda") else 0


def _make_member(recipe: Recipe, seat: int) -> Callable[[Post[TrialOrder]], TrialResult]:
    """Return what does one process's part of a trial."""
    hands: dict[int, Hand] = {}

    def work(post: Post[TrialOrder]) -> TrialResult:
        device = choose_device(recipe.device, post.size, post.rank, seat)
        if post.rank not in hands:
            hands[post.rank] = Hand(replace(recipe, device=device))
        with meet(post.meeting, post.rank, post.size, device, ours=recipe.norm != "torch") as ranks:
            return hands[post.rank].run(post.key, ranks)

    return work
