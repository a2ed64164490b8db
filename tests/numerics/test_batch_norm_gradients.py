"""Backward and double backward, of the operator and of the layer, against finite differences in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from placenorm.kernels.chain import Chain
from placenorm.layers.chain_operators import chain as chain_operator
from placenorm.layers.composing import compose

EPS = 1e-5
C = 3
SHAPES = [(4, C, 5), (2, C, 1), (1, C, 4), (7, 1, 2)]


def _operands(shape: tuple[int, int, int], *, affine: bool) -> tuple[Tensor, ...]:
    source = torch.Generator().manual_seed(3)

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=source, dtype=torch.float64).requires_grad_()

    x = draw(*shape)
    return (x, draw(shape[1]), draw(shape[1])) if affine else (x,)


def _train(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    y: Tensor = chain_operator(x, None, weight, bias, EPS, "identity", "identity", 0.0)[0]
    return y


def _evaluate(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    mean = torch.linspace(-1, 1, x.shape[1], dtype=x.dtype)
    var = torch.linspace(0.5, 2, x.shape[1], dtype=x.dtype)
    return compose(x, None, weight, bias, EPS, Chain(), running=(mean, var), of_batch=False)


MODES = pytest.mark.parametrize("norm", [_train, _evaluate], ids=["train", "eval"])
AFFINE = pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])


@MODES
@AFFINE
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_backward_matches_finite_differences(
    shape: tuple[int, int, int], affine: bool, norm: Callable[..., Tensor]
) -> None:
    assert torch.autograd.gradcheck(norm, _operands(shape, affine=affine))


@MODES
@AFFINE
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_double_backward_matches_finite_differences(
    shape: tuple[int, int, int], affine: bool, norm: Callable[..., Tensor]
) -> None:
    assert torch.autograd.gradgradcheck(norm, _operands(shape, affine=affine))


def test_constant_upstream_gradient_gives_no_gradient_of_x() -> None:
    x, weight, bias = _operands((4, C, 5), affine=True)
    _train(x, weight, bias).sum().backward()
    torch.testing.assert_close(x.grad, torch.zeros_like(x), rtol=0.0, atol=1e-14)
    torch.testing.assert_close(bias.grad, torch.full_like(bias, 20.0))


@pytest.mark.parametrize("wanted", ["x", "weight", "bias"])
def test_each_gradient_can_be_asked_for_alone(wanted: str) -> None:
    names = ("x", "weight", "bias")
    full = _operands((4, C, 5), affine=True)
    dy = torch.randn(4, C, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    reference = dict(zip(names, torch.autograd.grad(_train(*full), full, dy), strict=True))
    alone = {name: each.detach().requires_grad_(name == wanted) for name, each in zip(names, full, strict=True)}
    (gradient,) = torch.autograd.grad(_train(**alone), alone[wanted], dy)
    assert torch.equal(gradient, reference[wanted])
