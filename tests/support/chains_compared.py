"""Kernels of chains, with pools in front and behind, against the readable twin in float64, and both against torch."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from placenorm.kernels import chain_pool_reference, chain_reference, pool_chain_reference
from placenorm.kernels.activations import activate
from placenorm.kernels.chain import Chain
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.dispatch import ChainKernels, ChainPoolKernels, PoolChainKernels
from placenorm.kernels.pool_chain import MaxPool, PoolChain
from support.cases.chains import ChainInput
from support.tolerances import assert_close_as_control

EPS = 1e-5
LayOut = Callable[[Tensor], Tensor]
Held = dict[str, Tensor | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    y: Tensor
    mean: Tensor
    var: Tensor
    dx: Tensor
    dresidual: Tensor | None
    dweight: Tensor
    dbias: Tensor


def run_kernels(kernels: ChainKernels, chain: Chain, held: Held) -> Outcome:
    x, weight, bias, dy = held["x"], held["weight"], held["bias"], held["dy"]
    assert x is not None
    assert dy is not None
    y, bits, mean, var, rstd = kernels.chain_fwd(x, held["residual"], weight, bias, EPS, chain)
    told = (y if bits is None else bits) if chain.adds else None
    dx, dresidual, dweight, dbias = kernels.chain_bwd(dy, x, told, mean, rstd, weight, bias, chain)
    if kernels is not chain_reference:
        assert y.stride() == dx.stride() == x.stride()
    return Outcome(y, mean, var, dx, dresidual, dweight, dbias)


def run_truth(chain: Chain, held: Held) -> Outcome:
    return run_kernels(
        chain_reference, chain, {name: None if value is None else value.double() for name, value in held.items()}
    )


def run_torch(chain: Chain, held: Held) -> Outcome:
    leaves = {name: None if value is None else value.clone().requires_grad_() for name, value in held.items()}
    u = activate(leaves["x"], chain.before)
    z = F.batch_norm(u, None, None, leaves["weight"], leaves["bias"], training=True, eps=EPS)
    y = activate(z if leaves["residual"] is None else z + leaves["residual"], chain.after)
    y.backward(held["dy"])
    var, mean = torch.var_mean(u.detach().float(), (0, 2), correction=0)
    gradients = {name: None if leaf is None else leaf.grad for name, leaf in leaves.items()}
    return Outcome(y.detach(), mean, var, gradients["x"], gradients["residual"], gradients["weight"], gradients["bias"])


def compare_chain(
    kernels: ChainKernels,
    chain: Chain,
    given: ChainInput,
    lay_out: LayOut,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> None:
    held = {
        name: None if value is None else value.to(device, torch.float32 if name in ("weight", "bias") else dtype)
        for name, value in given.make(chain, lay_out).items()
    }
    ours, truth, control = run_kernels(kernels, chain, held), run_truth(chain, held), run_torch(chain, held)
    dy = held["dy"]
    assert dy is not None
    scales = {
        "dweight": float((dy.double().abs().sum((0, 2))).max()),
        "dbias": float(dy.double().abs().sum((0, 2)).max()),
        "dx": float(dy.abs().max() * truth.var.add(EPS).rsqrt().max() * held["weight"].abs().max()),
        "y": float(truth.y.abs().max()) + 1.0,
    }
    for name in Outcome.__slots__:
        found, right, usual = (getattr(outcome, name) for outcome in (ours, truth, control))
        if right is None:
            assert found is None
            continue
        condition = given.condition**2 if name == "var" else given.condition
        assert_close_as_control(found, usual, right, name, scale=scales.get(name), condition=condition)


POOLS = [
    MaxPool((2, 2), (2, 2)),
    MaxPool((3, 3), (2, 2), (1, 1)),
    MaxPool((3, 3), (1, 1), (1, 1)),
    MaxPool((2, 2), (1, 1)),
    MaxPool((3, 2), (2, 1), (1, 0)),
    MaxPool((3, 3), (2, 2), ceil_mode=True),
    MaxPool((2, 2), (2, 2), (1, 1), ceil_mode=True),
    MaxPool((1, 1), (2, 2)),
]
POOL_LAYOUTS: dict[str, LayOut] = {
    "planes": lambda x: x.contiguous(),
    "rows": lambda x: x.contiguous(memory_format=torch.channels_last),
}


@dataclass(frozen=True, slots=True)
class PoolOutcome:
    y: Tensor
    mean: Tensor
    var: Tensor
    dx: Tensor
    dweight: Tensor
    dbias: Tensor


def draw(shape: tuple[int, ...], seed: int = 0, mean: float = 0.3, std: float = 1.7) -> Tensor:
    return mean + std * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make_pooled(
    shape: tuple[int, ...], pool: MaxPool, lay_out: LayOut, mean: float = 0.3, std: float = 1.7
) -> tuple[Tensor, ...]:
    """Return x, the upstream gradient, gamma and beta, in float32."""
    channels = shape[1]
    weight = torch.tensor([1.5, -0.7, 0.0]).repeat(channels)[:channels]
    dy = draw((*shape[:2], *pool.find_size(*shape[2:])), seed=1)
    return lay_out(draw(shape, 0, mean, std)), lay_out(dy), weight, draw((channels,), seed=2)


def run_pooled(kernels: PoolChainKernels, chain: PoolChain, *given: Tensor) -> PoolOutcome:
    x, dy, weight, bias = given
    y, winner, place, mean, var, rstd = kernels.pool_chain_fwd(x, weight, bias, EPS, chain)
    size = (x.shape[2], x.shape[3])
    dx, dweight, dbias = kernels.pool_chain_bwd(dy, winner, place, mean, rstd, weight, size, chain)
    return PoolOutcome(y, mean, var, dx, dweight, dbias)


def run_torch_pooled(chain: PoolChain, *given: Tensor) -> PoolOutcome:
    x, dy, weight, bias = (each.clone().requires_grad_() for each in given)
    pool = chain.pool
    u = F.max_pool2d(activate(x, chain.before), pool.kernel_size, pool.stride, pool.padding, ceil_mode=pool.ceil_mode)
    y = F.batch_norm(u, None, None, weight, bias, training=True, eps=EPS)
    y.backward(dy.detach())
    var, mean = torch.var_mean(u.detach().to(weight.dtype), (0, 2, 3), correction=0)
    return PoolOutcome(y.detach(), mean, var, x.grad, weight.grad, bias.grad)


def compare_pooled(
    kernels: PoolChainKernels,
    chain: PoolChain,
    shape: tuple[int, ...],
    lay_out: LayOut,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> None:
    x, dy, weight, bias = (each.to(device) for each in make_pooled(shape, chain.pool, lay_out))
    given = (x.to(dtype), dy.to(dtype), weight, bias)
    ours = run_pooled(kernels, chain, *given)
    truth = run_pooled(pool_chain_reference, chain, *(each.double() for each in given))
    control = run_torch_pooled(chain, *given)
    assert ours.dx.is_contiguous() == x.is_contiguous()
    _hold(ours, control, truth, given[1], weight)


def _hold(
    ours: PoolOutcome, control: PoolOutcome, truth: PoolOutcome, dy: Tensor, weight: Tensor, condition: float = 1.0
) -> None:
    wide = dy.double()
    scales = {
        "dweight": float(wide.abs().sum((0, 2, 3)).max()),
        "dbias": float(wide.abs().sum((0, 2, 3)).max()),
        "dx": float(wide.abs().max() * truth.var.add(EPS).rsqrt().max() * weight.abs().max()),
        "y": float(truth.y.abs().max()) + 1.0,
    }
    for field in PoolOutcome.__slots__:
        found, usual, right = (getattr(each, field) for each in (ours, control, truth))
        room = condition**2 if field == "var" else condition
        assert_close_as_control(found, usual, right, field, scale=scales.get(field), condition=room)


def run_chain_pool(kernels: ChainPoolKernels, chain: ChainPool, *given: Tensor) -> tuple[PoolOutcome, Tensor, Tensor]:
    """Return the results, and what won and where."""
    x, dy, weight, bias = given
    y, winner, place, mean, var, rstd = kernels.chain_pool_fwd(x, weight, bias, EPS, chain)
    dx, dweight, dbias = kernels.chain_pool_bwd(dy, x, winner, place, mean, rstd, weight, bias, chain)
    return PoolOutcome(y, mean, var, dx, dweight, dbias), winner, place


def run_torch_chain_pool(chain: ChainPool, *given: Tensor) -> PoolOutcome:
    x, dy, weight, bias = (each.clone().requires_grad_() for each in given)
    pool = chain.pool
    z = activate(F.batch_norm(x, None, None, weight, bias, training=True, eps=EPS), chain.after)
    y = F.max_pool2d(z, pool.kernel_size, pool.stride, pool.padding, ceil_mode=pool.ceil_mode)
    y.backward(dy.detach())
    var, mean = torch.var_mean(x.detach().to(weight.dtype), (0, 2, 3), correction=0)
    return PoolOutcome(y.detach(), mean, var, x.grad, weight.grad, bias.grad)


def compare_chain_pool(
    kernels: ChainPoolKernels,
    chain: ChainPool,
    shape: tuple[int, ...],
    lay_out: LayOut,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    mean: float = 0.3,
    std: float = 1.7,
) -> None:
    made = make_pooled(shape, chain.pool, lay_out, mean, std)
    x, dy, weight, bias = (each.to(device) for each in made)
    given = (x.to(dtype), dy.to(dtype), weight, bias)
    ours, winner, place = run_chain_pool(kernels, chain, *given)
    truth, true_winner, true_place = run_chain_pool(chain_pool_reference, chain, *(each.double() for each in given))
    assert ours.dx.is_contiguous() == x.is_contiguous()
    if chain.is_monotone:
        assert torch.equal(place, true_place)
        assert torch.equal(winner, true_winner.to(dtype))
    control = run_torch_chain_pool(chain, *given)
    _hold(ours, control, truth, given[1], weight, max(1.0, abs(mean) / std))
