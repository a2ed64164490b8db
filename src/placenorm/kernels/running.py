"""Running statistics that a kernel brings up to date on its way."""

from dataclasses import dataclass

from torch import Tensor

from placenorm.kernels.reference import unbias


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """Running statistics, changed in place.

    Attributes:
        mean: ``[C]``, float32.
        var: unbiased variance, ``[C]``, float32.
        share: weight of a batch, 0 to 1.
        tracked: number of batches, an integer tensor without axes; None where they are not counted.
    """

    mean: Tensor
    var: Tensor
    share: float
    tracked: Tensor | None

    def take(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Count a batch and mix it in: its mean and biased variance, ``[C]`` each, of so many values a channel."""
        if self.tracked is not None:
            self.tracked.add_(1)
        self.mean.lerp_(mean, self.share)
        self.var.lerp_(unbias(var, count), self.share)


def share_of(running: Running | None) -> float:
    """Return the weight of a batch in the running statistics."""
    return 0.0 if running is None else float(running.share)
