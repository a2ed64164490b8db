import pytest
import torch

from placenorm.kernels import reference
from support.cases.batch_norm import CASES, NormCase

EPS = 1e-5


def _three_axes(case: NormCase) -> tuple[torch.Tensor, ...]:
    x, dy, weight, bias = case.make(torch.float64)
    shape = (case.shape[0], case.shape[1], -1)
    return x.reshape(shape), dy.reshape(shape), weight, bias


FILLED = [case for case in CASES if 0 not in case.shape]


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0)], ids=["no-samples", "no-positions"])
def test_batch_stats_without_values_raises(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="a channel has no values"):
        reference.batch_stats(torch.empty(shape))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
    ids=str,
)
def test_statistics_are_float32_at_least(dtype: torch.dtype, expected: torch.dtype) -> None:
    x = torch.ones(2, 3, 4, dtype=dtype)
    y, mean, var, rstd = reference.batch_norm_fwd(x, None, None, EPS)
    assert y.dtype == dtype
    assert {mean.dtype, var.dtype, rstd.dtype} == {expected}


@pytest.mark.parametrize("case", FILLED, ids=lambda case: case.name)
def test_kernels_leave_their_inputs_alone(case: NormCase) -> None:
    x, dy, weight, bias = _three_axes(case)
    given = [each.clone() for each in (x, dy, weight, bias)]
    _, mean, var, rstd = reference.batch_norm_fwd(x, weight, bias, EPS)
    reference.batch_norm_bwd(dy, x, mean, rstd, weight)
    running = (torch.zeros_like(mean), torch.ones_like(var))
    reference.update_running_stats(*running, mean, var, 0.1)
    for before, after in zip(given, (x, dy, weight, bias), strict=True):
        assert torch.equal(before, after)
    assert torch.equal(running[0], torch.zeros_like(mean))
    assert torch.equal(running[1], torch.ones_like(var))


@pytest.mark.parametrize("case", FILLED, ids=lambda case: case.name)
def test_backward_matches_autograd_of_the_forward(case: NormCase) -> None:
    """Autograd differentiates the readable forward by itself; the derived formulas must say the same."""
    x, dy, weight, bias = (each.requires_grad_() for each in _three_axes(case))
    y, mean, _, rstd = reference.batch_norm_fwd(x, weight, bias, EPS)
    expected = torch.autograd.grad(y, (x, weight, bias), dy)
    got = reference.batch_norm_bwd(dy, x, mean, rstd, weight)
    room = 1e-12 * case.condition * float((weight.abs() * rstd).max().detach()) * x.shape[0] * x.shape[2]
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=room)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_eval_backward_matches_autograd_of_the_forward(case: NormCase) -> None:
    x, dy, weight, bias = (each.flatten(2) if each.dim() > 2 else each for each in case.make(torch.float64))
    x, dy = (each.unsqueeze(2) if each.dim() == 2 else each for each in (x, dy))
    for each in (x, weight, bias):
        each.requires_grad_()
    mean = torch.linspace(-1, 1, x.shape[1], dtype=x.dtype)
    var = torch.linspace(0.5, 2, x.shape[1], dtype=x.dtype)
    y = reference.batch_norm_eval_fwd(x, mean, var, weight, bias, EPS)
    expected = torch.autograd.grad(y, (x, weight, bias), dy)
    got = reference.batch_norm_eval_bwd(dy, x, mean, var, weight, EPS)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-9)


def test_running_variance_is_unbiased() -> None:
    x = torch.tensor([1.0, 2.0, 4.0, 9.0]).reshape(4, 1, 1)
    mean, var = reference.batch_stats(x)
    new_mean, new_var = reference.update_running_stats(
        torch.zeros(1), torch.ones(1), mean, reference.unbias(var, 4), 1.0
    )
    torch.testing.assert_close(new_mean, torch.tensor([4.0]))
    torch.testing.assert_close(new_var, torch.tensor([38.0 / 3.0]))


def test_cumulative_momentum_averages_all_batches() -> None:
    batches = [torch.tensor([2.0]), torch.tensor([5.0]), torch.tensor([11.0])]
    mean, var = torch.zeros(1), torch.ones(1)
    for seen, batch in enumerate(batches, start=1):
        share = reference.cumulative_momentum(torch.tensor(seen), torch.float32)
        mean, var = reference.update_running_stats(mean, var, batch, reference.unbias(batch, 2), share)
    torch.testing.assert_close(mean, torch.tensor([6.0]))
    torch.testing.assert_close(var, torch.tensor([12.0]))
