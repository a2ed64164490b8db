"""Running statistics measured anew."""

import pytest
import torch
from torch import Tensor, nn

import placenorm as pn
from placenorm.errors import DataError

GENERATOR = torch.Generator().manual_seed(0)
BATCHES = [torch.randn(16, 3, generator=GENERATOR) * 2 + 5 for _ in range(4)]


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=0.01), nn.ReLU()
    )


def test_recalibrate_first_norm_has_the_statistics_of_all_values() -> None:
    done = pn.recalibrate(net(), BATCHES)
    values = torch.cat(BATCHES)
    norm = done.model[0]
    torch.testing.assert_close(norm.running_mean, values.mean(0))
    torch.testing.assert_close(norm.running_var, values.var(0))
    assert (done.batches, int(norm.num_batches_tracked)) == (4, 4)
    assert [change.site for change in done.changes] == ["0", "3"]


def test_recalibrate_deeper_norm_sees_batches_normalised_and_no_dropout() -> None:
    model = net()
    hidden = torch.cat([model[2]((x - x.mean(0)) / (x.var(0, unbiased=False) + model[0].eps).sqrt()) for x in BATCHES])
    done = pn.recalibrate(model, BATCHES)
    torch.testing.assert_close(done.model[3].running_mean, hidden.mean(0).detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(done.model[3].running_var, hidden.var(0).detach(), rtol=1e-4, atol=1e-5)


def test_recalibrate_leaves_the_model_and_modes_alone_and_the_underscore_does_not() -> None:
    model = net()
    model[2].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    pn.recalibrate(model, BATCHES)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    done = pn.recalibrate_(model, BATCHES)
    assert done.model is model
    assert [module.training for module in model] == [True, True, False, True, True]
    assert not torch.equal(model[0].running_mean, before["0.running_mean"])
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


@torch.no_grad()
def test_recalibrate_brings_evaluation_to_what_training_does() -> None:
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    values = torch.cat(BATCHES)
    trained = model.train()(values)
    model[1].reset_running_stats()
    recalibrated = pn.recalibrate(model, values).model.eval()
    stale = (model.eval()(values) - trained).abs().max()
    assert float((recalibrated(values) - trained).abs().max()) < 0.05 * float(stale)


def test_recalibrate_skips_what_keeps_no_statistics_or_does_not_run() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.spare = nn.BatchNorm1d(3, track_running_stats=False), nn.BatchNorm1d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x)

    done = pn.recalibrate(Unused(), BATCHES)
    assert done.changes == ()
    assert [(skip.site, skip.reason) for skip in done.skipped] == [
        ("norm", "it keeps no running statistics"),
        ("spare", "it did not run on these data"),
    ]


def test_recalibrate_values_that_are_not_finite_change_nothing() -> None:
    model = net()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(DataError, match="Cannot recalibrate 0: what it reads on these data is not finite"):
        pn.recalibrate_(model, torch.full((4, 3), float("nan")))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
