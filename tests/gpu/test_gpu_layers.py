"""Our layers on a GPU: the fused way through autograd, torch.compile and CUDA graphs, beside torch's layers."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import placenorm
from placenorm.layers import BatchNorm2d, MaxPool, explain, paths
from placenorm.layers.chain_operators import chain as chain_operator
from placenorm.layers.chain_pool_operators import chain_pool as chain_pool_operator
from placenorm.layers.pool_chain_operators import pool_chain as pool_operator
from support.cases.chains import COMMON, ChainInput

pytestmark = pytest.mark.gpu

SHAPE = (8, 48, 20, 18)
POOL = MaxPool((2, 2), (2, 2))
LAYERS = {
    "norm": (lambda: BatchNorm2d(48), lambda norm, x, r: norm(x)),
    "relu-norm": (lambda: BatchNorm2d(48, before="relu"), lambda norm, x, r: norm(F.relu(x))),
    "norm-silu": (lambda: BatchNorm2d(48, after="silu"), lambda norm, x, r: F.silu(norm(x))),
    "norm-add-relu": (lambda: BatchNorm2d(48, after="relu"), lambda norm, x, r: F.relu(norm(x) + r)),
    "relu-maxpool-norm": (
        lambda: BatchNorm2d(48, before="relu", pool=POOL),
        lambda norm, x, r: norm(F.max_pool2d(F.relu(x), 2)),
    ),
    "norm-relu-maxpool": (
        lambda: BatchNorm2d(48, after="relu", pool_after=POOL),
        lambda norm, x, r: F.max_pool2d(F.relu(norm(x)), 2),
    ),
}
EACH_LAYER = pytest.mark.parametrize("name", LAYERS)
ROOM = {torch.float32: 1e-4, torch.bfloat16: 6e-2, torch.float16: 1e-2}


@pytest.fixture(autouse=True)
def small_inputs_go_our_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "LEAST_ON_GPU", 0)


def make(name: str, dtype: torch.dtype, layout: torch.memory_format) -> tuple[BatchNorm2d, Tensor, list[Tensor]]:
    torch.manual_seed(0)
    layer = LAYERS[name][0]().cuda()
    x, residual = (torch.randn(SHAPE, device="cuda", dtype=dtype).contiguous(memory_format=layout) for _ in range(2))
    given = [x, residual] if "add" in name else [x]
    assert explain(layer, *given).name == "fused"
    return layer, torch.randn_like(layer(*given)), [each.requires_grad_() for each in given]


def run(layer: nn.Module, given: list[Tensor], dy: Tensor) -> list[Tensor]:
    y = layer(*given)
    leaves = [*given, layer.weight, layer.bias]
    return [y.detach(), *torch.autograd.grad(y, leaves, dy), layer.running_mean, layer.running_var]


def run_torch(name: str, given: list[Tensor], dy: Tensor) -> list[Tensor]:
    norm = nn.BatchNorm2d(48, device="cuda", dtype=torch.float64)
    norm(given[0].double() if name != "relu-maxpool-norm" else F.max_pool2d(F.relu(given[0].double()), 2))
    norm.reset_running_stats()
    wide = [each.detach().double().requires_grad_() for each in given]
    y = LAYERS[name][1](norm, wide[0], wide[-1])
    leaves = [*wide, norm.weight, norm.bias]
    return [y.detach(), *torch.autograd.grad(y, leaves, dy.double()), norm.running_mean, norm.running_var]


def assert_near(found: list[Tensor], wanted: list[Tensor], room: float, flips: float = 0.0) -> None:
    for at, (one, other) in enumerate(zip(found, wanted, strict=True)):
        scale = other.abs().max().clamp_min(1.0)
        apart = ((one.double() - other.double()).abs() > room * scale).double().mean()
        assert one.isfinite().all()
        assert float(apart) <= flips, f"result {at}: {float(apart):.1e} of the values differ"


@EACH_LAYER
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("dtype", ROOM, ids=str)
def test_layer_gives_what_torch_gives(name: str, layout: torch.memory_format, dtype: torch.dtype) -> None:
    layer, dy, given = make(name, dtype, layout)
    layer.reset_running_stats()
    found = run(layer, given, dy)
    assert found[0].is_contiguous(memory_format=layout)
    assert int(layer.num_batches_tracked) == 1
    assert_near(found, run_torch(name, given, dy), ROOM[dtype], flips=2e-3)


@EACH_LAYER
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_layer_is_one_graph_and_gives_the_same(name: str, backend: str) -> None:
    layer, dy, given = make(name, torch.bfloat16, torch.channels_last)
    other = copy.deepcopy(layer)
    torch.compiler.reset()
    compiled = torch.compile(other, backend=backend, fullgraph=True)
    found = compiled(*given)
    gradients = torch.autograd.grad(found, [*given, other.weight, other.bias], dy)
    assert_near([found.detach(), *gradients, other.running_mean, other.running_var], run(layer, given, dy), 1e-6)


@EACH_LAYER
def test_training_step_is_captured_in_a_graph(name: str) -> None:
    layer, dy, given = make(name, torch.bfloat16, torch.channels_last)
    other = copy.deepcopy(layer)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run(other, given, dy)  # compiles, before anything is captured
    torch.cuda.current_stream().wait_stream(stream)
    other.load_state_dict(layer.state_dict())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = run(other, given, dy)
    other.load_state_dict(layer.state_dict())
    graph.replay()
    torch.cuda.synchronize()
    for one, same in zip(found, run(layer, given, dy), strict=True):
        torch.testing.assert_close(one, same, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # opcheck itself reads it, torch 2.14
@pytest.mark.parametrize("chain", COMMON, ids=str)
def test_chain_operator_is_what_torch_asks_of_one(chain: object) -> None:
    held = ChainInput("eights", (4, 16, 24)).make(chain, lambda x: x.transpose(1, 2).contiguous().transpose(1, 2))
    leaves = [held[name] for name in ("x", "residual", "weight", "bias")]
    given = [None if leaf is None else leaf.cuda().detach().requires_grad_() for leaf in leaves]
    found = torch.library.opcheck(chain_operator, (*given, 1e-5, chain.before.name, chain.after.name, 0.0))
    assert set(found.values()) == {"SUCCESS"}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("operator", [pool_operator, chain_pool_operator], ids=["in front", "behind"])
def test_pool_operator_is_what_torch_asks_of_one(operator: object) -> None:
    x = torch.randn(3, 8, 6, 7, device="cuda").contiguous(memory_format=torch.channels_last).requires_grad_()
    weight, bias = (torch.randn(8, device="cuda", requires_grad=True) for _ in range(2))
    found = torch.library.opcheck(operator, (x, weight, bias, 1e-5, "relu", 0.0, [3, 3, 2, 2, 1, 1, 0]))
    assert set(found.values()) == {"SUCCESS"}


def test_second_derivative_is_that_of_torch() -> None:
    layer = BatchNorm2d(8, after="relu").cuda()
    x, residual = (torch.randn(4, 8, 5, 6, device="cuda").contiguous(memory_format=torch.channels_last) for _ in "ab")
    norm = nn.BatchNorm2d(8).cuda()

    def differentiate_twice(call: object) -> Tensor:
        leaf = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(call(leaf).pow(3).sum(), leaf, create_graph=True)
        return torch.autograd.grad(first.square().sum(), leaf)[0]

    found = differentiate_twice(lambda leaf: layer(leaf, residual))
    wanted = differentiate_twice(lambda leaf: F.relu(norm(leaf) + residual))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def test_relu_pool_norm_saves_less_than_two_fifths_of_its_input() -> None:
    layer, _, given = make("relu-maxpool-norm", torch.bfloat16, torch.channels_last)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(*given)
    assert sum(kept.values()) <= 0.4 * given[0].nbytes


def test_autocast_leaves_statistics_in_float32() -> None:
    layer = BatchNorm2d(48, after="relu").cuda()
    x = torch.randn(SHAPE, device="cuda", dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cuda", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    assert layer.running_mean.dtype == torch.float32
    torch.testing.assert_close(layer.running_mean, 0.1 * x.float().mean((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_mixed_devices_are_refused_in_a_sentence() -> None:
    layer = BatchNorm2d(48)
    with pytest.raises(RuntimeError, match="cuda"):
        layer(torch.randn(SHAPE, device="cuda"))


def test_accelerated_network_trains_the_same_as_graphs_of_its_passes() -> None:
    """The recipe of docs/accelerate.md."""
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU(), nn.MaxPool2d(2)]
    body += [nn.Conv2d(48, 48, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(48)]
    net = nn.Sequential(*body, nn.Flatten(), nn.Linear(48 * 64, 10)).cuda().to(memory_format=torch.channels_last)
    batches = [torch.randn(8, 3, 16, 16, device="cuda") for _ in range(2)]
    model = placenorm.accelerate(net, batches[0]).model.train()
    graphed, before = copy.deepcopy(model), copy.deepcopy(model.state_dict())
    with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
        torch.cuda.make_graphed_callables(graphed, (batches[0].clone(),))
    graphed.load_state_dict(before)
    for x in batches:
        found: list[list[Tensor]] = []
        for each in (graphed, model):
            each.zero_grad()
            with torch.autocast("cuda", torch.bfloat16):
                loss = each(x).float().square().mean()
            loss.backward()
            found.append([loss.detach(), *(weight.grad for weight in each.parameters()), *each.buffers()])
        assert_near(found[0], found[1], 2e-2)
    assert [int(each) for name, each in graphed.named_buffers() if name.endswith("tracked")] == [2, 2]
