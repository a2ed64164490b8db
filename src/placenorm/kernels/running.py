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
    """

    mean: Tensor
    var: Tensor
    share: float

    def take(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Mix a batch in: its mean and biased variance, ``[C]`` each, of so many values a channel."""
        self.mean.lerp_(mean, self.share)
        self.var.lerp_(unbias(var, count), self.share)
