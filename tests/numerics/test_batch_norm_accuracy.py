"""Our norm and torch's, both held against the reference in float64 on the same input."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from placenorm import layers
from placenorm.kernels import reference
from support.cases.batch_norm import CASES, NormCase
from support.tolerances import FLOOR, assert_close_as_control

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
EPS = 1e-5
MOMENTUM = 0.3


@dataclass(frozen=True, slots=True)
class Outcome:
    y: Tensor
    dx: Tensor
    dweight: Tensor
    dbias: Tensor
    running_mean: Tensor
    running_var: Tensor


def _norms(rank: int) -> tuple[type[nn.Module], type[nn.Module]]:
    return {
        2: (layers.BatchNorm1d, nn.BatchNorm1d),
        3: (layers.BatchNorm1d, nn.BatchNorm1d),
        4: (layers.BatchNorm2d, nn.BatchNorm2d),
        5: (layers.BatchNorm3d, nn.BatchNorm3d),
    }[rank]


def _buffers(case: NormCase, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    channels = case.shape[1]
    mean = torch.linspace(-0.2, 0.3, channels, dtype=dtype) + case.mean
    return mean, torch.linspace(0.5, 1.5, channels, dtype=dtype) * case.std**2


def _run_layer(norm: type[nn.Module], case: NormCase, dtype: torch.dtype, training: bool) -> Outcome:
    x, dy, weight, bias = case.make(dtype)
    layer = norm(case.shape[1], eps=EPS, momentum=MOMENTUM, dtype=weight.dtype).train(training)
    mean, var = _buffers(case, weight.dtype)
    layer.load_state_dict(
        {"weight": weight, "bias": bias, "running_mean": mean, "running_var": var, "num_batches_tracked": 0 * mean[0]}
    )
    x.requires_grad_()
    y = layer(x)
    y.backward(dy)
    return Outcome(y.detach(), x.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var)


def _run_truth(case: NormCase, dtype: torch.dtype, training: bool) -> Outcome:
    x, dy, weight, bias = (each.double() for each in case.make(dtype))
    mean, var = (each.double() for each in _buffers(case, torch.promote_types(dtype, torch.float32)))
    shape = x.shape
    x, dy = (each.reshape(shape[0], shape[1], torch.Size(shape[2:]).numel()) for each in (x, dy))
    values = x.shape[0] * x.shape[2]
    if not training or values == 0:
        y = reference.batch_norm_eval_fwd(x, mean, var, weight, bias, EPS)
        dx, dweight, dbias = reference.batch_norm_eval_bwd(dy, x, mean, var, weight, EPS)
    else:
        y, batch_mean, batch_var, rstd = reference.batch_norm_fwd(x, weight, bias, EPS)
        dx, dweight, dbias = reference.batch_norm_bwd(dy, x, batch_mean, rstd, weight)
        unbiased = reference.unbias(batch_var, values)
        mean, var = reference.update_running_stats(mean, var, batch_mean, unbiased, MOMENTUM)
    return Outcome(y.reshape(shape), dx.reshape(shape), dweight, dbias, mean, var)


def _magnitudes(case: NormCase, dtype: torch.dtype, training: bool) -> dict[str, float]:
    """How large the terms are that a gradient adds up: where they cancel, their rounding stays."""
    x, dy, weight, _ = (each.double().transpose(0, 1).flatten(1) if each.dim() > 1 else each.double()
                        for each in case.make(dtype))  # fmt: skip
    if x.numel() == 0:
        return {}
    mean, var = (x.mean(1), x.var(1, correction=0)) if training else _buffers(case, torch.float64)
    rstd = (var + EPS).rsqrt()
    x_hat = (x - mean[:, None]) * rstd[:, None]
    return {
        "dx": float((weight.abs() * rstd).max() * dy.abs().max()),
        "dweight": float((dy * x_hat).abs().sum(1).max()),
        "dbias": float(dy.abs().sum(1).max()),
    }


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_batch_norm_is_as_near_to_truth_as_torch(case: NormCase, training: bool, dtype: torch.dtype) -> None:
    ours_type, torch_type = _norms(len(case.shape))
    ours = _run_layer(ours_type, case, dtype, training)
    control = _run_layer(torch_type, case, dtype, training)
    truth = _run_truth(case, dtype, training)
    magnitudes = _magnitudes(case, dtype, training)
    for name in Outcome.__slots__:
        assert_close_as_control(
            getattr(ours, name),
            getattr(control, name),
            getattr(truth, name),
            name,
            scale=magnitudes.get(name),
            condition=case.condition,
        )


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_truth_agrees_with_torch_in_float64(case: NormCase, training: bool) -> None:
    """The truth is ours too, so it is anchored in somebody else's work."""
    theirs = _run_layer(_norms(len(case.shape))[1], case, torch.float64, training)
    truth = _run_truth(case, torch.float64, training)
    magnitudes = _magnitudes(case, torch.float64, training)
    for name in Outcome.__slots__:
        got, wanted = getattr(truth, name), getattr(theirs, name)
        largest = max(float(wanted.abs().max()) if wanted.numel() else 0.0, magnitudes.get(name, 0.0))
        room = 10 * FLOOR[torch.float64] * case.condition * largest
        torch.testing.assert_close(got, wanted, rtol=0.0, atol=room, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", [case for case in CASES if "last" in case.name], ids=lambda case: case.name)
def test_batch_norm_keeps_channels_last(case: NormCase, training: bool) -> None:
    ours = _run_layer(_norms(len(case.shape))[0], case, torch.float32, training)
    layout = torch.channels_last if len(case.shape) == 4 else torch.channels_last_3d
    assert ours.y.is_contiguous(memory_format=layout)
    assert ours.dx.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("std", [1e-1, 1e-3], ids=str)
def test_batch_stats_hold_a_far_mean_in_float32(std: float) -> None:
    x = NormCase("far-mean", (256, 3, 16, 16), mean=1e3, std=std).make(torch.float32)[0].flatten(2)
    mean, var = reference.batch_stats(x)
    true_mean, true_var = reference.batch_stats(x.double())
    half_last_place_of_1000 = 2.0**-15
    assert float((mean.double() - true_mean).abs().max()) <= half_last_place_of_1000
    torch.testing.assert_close(var.double(), true_var, rtol=1e-5, atol=0.0)


def test_standardize_subtracts_before_it_multiplies() -> None:
    """With mean and rstd given, a far mean costs nothing: the subtraction of neighbours is exact."""
    x = NormCase("far-mean", (64, 3, 8, 8), mean=1e3, std=0.1).make(torch.float32)[0].flatten(2)
    mean, var = reference.batch_stats(x)
    rstd = (var + EPS).rsqrt()
    got = reference.standardize(x, mean, rstd)
    torch.testing.assert_close(
        got.double(), reference.standardize(x.double(), mean.double(), rstd.double()), rtol=1e-6, atol=0.0
    )
