"""What a claim is: the trials that it asks for, and the rule that makes a verdict of the answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from placenorm.facts.claim import Chart, Observation, Published, Question, Ruling


@dataclass(frozen=True, slots=True)
class Scale:
    """How much may be spent.

    Attributes:
        seeds: number of paired seeds, counted from 0.
        full: whether it is the long run: more depths, sizes and rates.
        images: whether a sample is an image, so that convolutional networks can be asked.
    """

    seeds: int
    full: bool
    images: bool

    def pick(self, quick: Sequence[float], full: Sequence[float]) -> tuple[float, ...]:
        """Return the levels of a factor."""
        return tuple(full if self.full else quick)


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the article as an experiment.

    Attributes:
        number: ``A1`` to ``A11``.
        slug: its short name.
        ask: the trials that are needed.
        judge: the written rule, from the observations of those trials alone.
        draw: the pictures of those observations, the one that carries the verdict first.
        published: figures beside ours.
        needs_images: whether it can be put to images only.
    """

    number: str
    slug: str
    ask: Callable[[Scale], list[Question]]
    judge: Callable[[Sequence[Observation]], Ruling]
    draw: Callable[[Sequence[Observation]], tuple[Chart, ...]]
    published: tuple[Published, ...] = ()
    needs_images: bool = False
