"""A1: mean and variance over the batch, one per neuron; subtract, divide; mean 0 and variance 1."""

import torch

from placenorm import layers
from placenorm.kernels import reference

BATCH, NEURONS, NEURON = 128, 100, 7
EPS = 1e-5


def _outputs() -> torch.Tensor:
    """Return 128 outputs of 100 neurons, each neuron with a mean and a spread of its own."""
    source = torch.Generator().manual_seed(0)
    spread = torch.linspace(0.5, 8.0, NEURONS)
    return 3.0 + spread * torch.randn(BATCH, NEURONS, generator=source) - spread


def test_128x100_batch_gives_100_means_and_100_variances() -> None:
    mean, var = reference.batch_stats(_outputs().unsqueeze(2))
    assert mean.shape == var.shape == (NEURONS,)
    norm = layers.BatchNorm1d(NEURONS)
    norm(_outputs())
    assert norm.running_mean.shape == norm.running_var.shape == (NEURONS,)


def test_all_outputs_of_neuron_7_are_treated_with_its_own_statistics() -> None:
    x = _outputs()
    y = layers.BatchNorm1d(NEURONS)(x)
    column = x[:, NEURON]
    torch.testing.assert_close(y[:, NEURON], (column - column.mean()) / (column.var(correction=0) + EPS).sqrt())
    elsewhere = x.clone()
    elsewhere[:, :NEURON] *= 100.0
    elsewhere[:, NEURON + 1 :] -= 50.0
    assert torch.equal(layers.BatchNorm1d(NEURONS)(elsewhere)[:, NEURON], y[:, NEURON])


def test_each_column_then_has_mean_0_and_variance_1() -> None:
    y = layers.BatchNorm1d(NEURONS)(_outputs())
    torch.testing.assert_close(y.mean(0), torch.zeros(NEURONS), rtol=0.0, atol=1e-5)
    torch.testing.assert_close(y.var(0, correction=0), torch.ones(NEURONS), rtol=1e-3, atol=0.0)


def test_division_is_by_the_standard_deviation_not_the_variance() -> None:
    x = _outputs()
    by_variance = (x - x.mean(0)) / x.var(0, correction=0)
    # Dividing by the variance leaves 1 / std: an eighth where the spread is eight.
    assert float(by_variance[:, -1].std()) < 0.2
    torch.testing.assert_close(layers.BatchNorm1d(NEURONS)(x)[:, -1].std(correction=0), torch.tensor(1.0))
