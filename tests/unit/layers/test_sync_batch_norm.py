"""SyncBatchNorm over two processes and gloo, with batches of different sizes, against one process on all of them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

import placenorm as pn
from placenorm import layers

C = 3
WORLD = 2
STEPS = 2


def draw_batches(step: int, sizes: tuple[int, ...], dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
    source = torch.Generator().manual_seed(step)
    x = 1e3 * (dtype == torch.float64) + 2.0 * torch.randn(sum(sizes), C, 5, 3, generator=source, dtype=dtype) + 0.7
    dy = torch.randn(sum(sizes), C, 5, 3, generator=source, dtype=dtype)
    return list(x.split(sizes)), list(dy.split(sizes))


def make_norm(kind: type[nn.Module], momentum: float | None, dtype: torch.dtype) -> Any:
    norm = kind(C, momentum=momentum).to(dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, -1.2, 2.0]))
    return norm


def work(rank: int, folder: str, sizes: tuple[int, ...], momentum: float | None, dtype: torch.dtype) -> None:
    """Train one share in a process of its own and write down what came of it."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD)
    try:
        norm = make_norm(layers.SyncBatchNorm, momentum, dtype)
        outcomes = []
        for step in range(STEPS):
            x, dy = (each[rank] for each in draw_batches(step, sizes, dtype))
            x.requires_grad_()
            y = norm(x)
            y.backward(dy)
            outcomes.append((y.detach(), x.grad))
        gradients = [norm.weight.grad, norm.bias.grad]
        evaluated = norm.eval()(draw_batches(9, sizes, dtype)[0][rank]).detach()
        torch.save((outcomes, gradients, norm.state_dict(), evaluated), f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(
    ("sizes", "momentum", "dtype"),
    [((5, 2), 0.3, torch.float64), ((4, 0), None, torch.float64), ((1, 1), 0.1, torch.float32)],
    ids=["uneven", "one-empty", "one-sample-each"],
)
def test_two_processes_are_one_on_the_joined_batch(
    sizes: tuple[int, ...], momentum: float | None, dtype: torch.dtype, tmp_path: Path
) -> None:
    mp.spawn(work, (str(tmp_path), sizes, momentum, dtype), nprocs=WORLD)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(WORLD)]
    alone = make_norm(nn.BatchNorm2d, momentum, dtype)
    for step in range(STEPS):
        x, dy = (torch.cat(each) for each in draw_batches(step, sizes, dtype))
        x.requires_grad_()
        y = alone(x)
        y.backward(dy)
        for place, wanted in enumerate((y.detach(), x.grad)):
            joined = torch.cat([outcomes[step][place] for outcomes, *_ in found])
            torch.testing.assert_close(joined, wanted, rtol=1e-5, atol=1e-6)
    for place, wanted in enumerate((alone.weight.grad, alone.bias.grad)):
        torch.testing.assert_close(sum(gradients[place] for _, gradients, *_ in found), wanted, rtol=1e-5, atol=1e-5)
    for _, _, state, _ in found:
        torch.testing.assert_close(state, dict(alone.state_dict()), rtol=1e-5, atol=1e-6)
    evaluated = alone.eval()(torch.cat(draw_batches(9, sizes, dtype)[0]))
    torch.testing.assert_close(torch.cat([each for *_, each in found]), evaluated, rtol=1e-5, atol=1e-6)


def refuse(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD)
    try:
        with pytest.raises(ValueError, match="got 1 over 2 processes"):
            layers.SyncBatchNorm(C)(torch.ones(1 - rank, C))
    finally:
        dist.destroy_process_group()


def test_one_value_in_all_processes_is_refused(tmp_path: Path) -> None:
    mp.spawn(refuse, (str(tmp_path),), nprocs=WORLD)


def test_one_process_alone_has_a_batch_norm() -> None:
    ours, theirs = make_norm(layers.SyncBatchNorm, 0.3, torch.float32), make_norm(nn.BatchNorm2d, 0.3, torch.float32)
    assert isinstance(ours, nn.SyncBatchNorm)
    x = draw_batches(0, (4,), torch.float32)[0][0]
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_conversion_takes_every_norm_with_its_parameters_and_buffers() -> None:
    net = nn.Sequential(nn.Conv2d(2, C, 3), nn.Sequential(layers.BatchNorm2d(C), nn.ReLU()), nn.BatchNorm2d(C).eval())
    net[2].requires_grad_(False)
    parameters, keys = [id(each) for each in net.parameters()], list(net.state_dict())
    converted = layers.SyncBatchNorm.convert_sync_batchnorm(net)
    assert converted is net
    assert [type(converted[place]) for place in (1, 2)] == [nn.Sequential, layers.SyncBatchNorm]
    assert type(converted[1][0]) is layers.SyncBatchNorm
    assert [id(each) for each in net.parameters()] == parameters
    assert list(net.state_dict()) == keys
    assert not converted[2].training
    assert type(layers.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(C))) is layers.SyncBatchNorm


def test_conversion_loses_nothing_that_a_layer_holds() -> None:
    for options in ({"after": "relu"}, {"virtual_batch_size": 4}):
        with pytest.raises(ValueError, match="what it holds beside the norm would be lost"):
            layers.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(layers.BatchNorm2d(C, **options)))
    frozen = layers.BatchNorm2d(C).freeze()
    assert layers.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(frozen))[0] is frozen


def test_norm_over_processes_is_placed_like_any_other() -> None:
    model = nn.Sequential(nn.Conv2d(2, C, 3), layers.SyncBatchNorm(C), nn.ReLU(), nn.Conv2d(C, 4, 3))
    done = pn.place(model, torch.randn(2, 2, 9, 9), "after-activation")
    assert [type(each).__name__ for each in done.model][1:3] == ["ReLU", "SyncBatchNorm"]


def evaluate_in_one(rank: int, folder: str) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD, timeout=timedelta(seconds=20)
    )
    try:
        if rank == 0:
            x = draw_batches(0, (4,), torch.float32)[0][0]
            ours, theirs = (
                kind(C, track_running_stats=False).eval() for kind in (layers.SyncBatchNorm, nn.BatchNorm2d)
            )
            torch.testing.assert_close(ours(x), theirs(x))
    finally:
        dist.destroy_process_group()


def test_evaluation_waits_for_no_other_process(tmp_path: Path) -> None:
    """As torch's: without running statistics it takes those of its own batch."""
    mp.spawn(evaluate_in_one, (str(tmp_path),), nprocs=WORLD)
