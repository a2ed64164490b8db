import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.errors import ModelError
from placenorm.facts.graph import Graph
from support.networks import ALL, IMAGES, FunctionalNet, ModuleNet, NestedNet, PlainMlp, ResidualNet


def keys(graph: Graph, kind: str) -> list[str]:
    return [op.key for op in graph.ops if op.kind == kind]


@pytest.mark.parametrize("net", ALL.values(), ids=ALL.keys())
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_trace_leaves_the_model_as_it_was(net: type[nn.Module], training: bool) -> None:
    model = net().train(training)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    attributes = set(model.__dict__)
    random_state = torch.get_rng_state()
    pn.trace(model, IMAGES)
    assert model.training is training
    assert set(model.__dict__) == attributes
    assert torch.equal(torch.get_rng_state(), random_state)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


class ChangesItself(nn.Module):
    """A forward that counts, keeps, replaces, clips and draws."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.head = nn.Linear(2, 2)
        self.calls = 0
        self.last: Tensor | None = None
        self.history: dict[str, list[Tensor]] = {"outputs": []}
        self.average = torch.ones(2)
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("total", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = torch.relu(self.conv(x))
        self.history["outputs"].append(self.last)
        self.average.mul_(0.9)
        self.steps = self.steps + 1
        self.total += 1
        self.conv.weight.data.clamp_(-0.01, 0.01)
        random.random()
        np.random.rand()  # noqa: NPY002 - what users write
        return self.head(self.last.mean((2, 3)))


def test_trace_leaves_a_model_that_changes_itself_as_it_was() -> None:
    model = ChangesItself()
    history, steps, weight = model.history, model.steps, model.conv.weight.detach().clone()
    drawn_next = random.Random()
    drawn_next.setstate(random.getstate())
    numpy_next = np.random.RandomState()
    numpy_next.set_state(np.random.get_state())  # noqa: NPY002
    pn.trace(model, IMAGES)
    assert (model.calls, model.last) == (0, None)
    assert model.history is history
    assert history == {"outputs": []}
    assert model.average.tolist() == [1.0, 1.0]
    assert model.steps is steps
    assert (model.steps.item(), model.total.item()) == (0.0, 0.0)
    assert torch.equal(model.conv.weight, weight)
    assert random.random() == drawn_next.random()
    assert np.random.rand() == numpy_next.rand()  # noqa: NPY002


def test_trace_between_forward_and_backward_leaves_the_gradients() -> None:
    model = ModuleNet()
    loss = model(IMAGES).square().sum()
    pn.trace(model, IMAGES)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_trace_functional_calls_have_owner_and_number() -> None:
    graph = pn.trace(FunctionalNet(), IMAGES)
    assert keys(graph, "activation") == [":relu_1", ":relu_2", ":relu_3"]
    assert keys(graph, "pool") == ["pool", "pool#2"]
    assert keys(graph, "dropout") == [":dropout_1"]


def test_trace_functional_call_in_a_block_names_the_block() -> None:
    assert keys(pn.trace(NestedNet(), IMAGES), "activation") == ["first:relu_1", "second:relu_1"]


def test_trace_blocks_have_their_chain() -> None:
    graph = pn.trace(ModuleNet(), IMAGES)
    block = graph.blocks[0]
    assert [graph.ops[index].key for index in block.chain] == ["features.1", "features.2", "features.3"]
    assert block.position == "before-activation"
    assert block.channels == 4
    assert block.ends == "the next weight op is features.4"


def test_trace_shapes_and_pool_reduction() -> None:
    graph = pn.trace(ModuleNet(), IMAGES)
    pool = next(op for op in graph.ops if op.key == "features.3")
    assert (pool.in_shape, pool.out_shape, pool.reduction) == ((8, 4, 8, 8), (8, 4, 4, 4), 4)


def test_trace_counts_multiply_adds_as_a_hand_count() -> None:
    graph = pn.trace(ModuleNet(), IMAGES)
    assert [op.macs for op in graph.ops if op.kind == "weight"] == [8 * 4 * 64 * 9, 8 * 6 * 16 * 4 * 9, 8 * 6 * 3]


@pytest.mark.parametrize("groups", [1, 2], ids=["dense", "grouped"])
def test_trace_transposed_conv_counts_multiply_adds(groups: int) -> None:
    model = nn.Sequential(
        nn.ConvTranspose2d(4, 6, 2, stride=2, groups=groups), nn.ReLU(), nn.Flatten(), nn.Linear(384, 2)
    )
    graph = pn.trace(model, torch.zeros(2, 4, 4, 4))
    assert graph.ops[1].macs == 2 * 4 * 16 * (6 // groups) * 4


def test_trace_residual_branch_ends_at_the_add() -> None:
    graph = pn.trace(ResidualNet(), IMAGES)
    block = next(block for block in graph.blocks if block.key == "conv2")
    assert block.ends.startswith("it goes into add")
    assert [site.position for site in block.sites] == ["before-activation"]


def test_trace_last_weight_op_is_exempt() -> None:
    graph = pn.trace(PlainMlp(), IMAGES)
    assert [bool(block.exempt) for block in graph.blocks] == [False, False, True]


def test_trace_squeeze_and_excite_conv_is_exempt() -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.squeeze = nn.Conv2d(4, 2, 1)
            self.head = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.relu(self.squeeze(self.pool(torch.relu(self.conv(x))))).flatten(1))

    exempt = {block.key: block.exempt for block in pn.trace(Gate(), IMAGES).blocks}
    assert exempt["squeeze"] == "it sees a single place behind a pool"
    assert exempt["conv"] == ""


def test_trace_pool_to_one_place_is_no_site() -> None:
    graph = pn.trace(ModuleNet(), IMAGES)
    assert [site.position for site in graph.blocks[1].sites] == ["before-activation", "after-activation"]


@pytest.mark.parametrize(
    "example",
    [IMAGES, (IMAGES,), {"x": IMAGES}],
    ids=["tensor", "tuple", "dict"],
)
def test_trace_takes_every_form_of_example_inputs(example: object) -> None:
    assert len(pn.trace(FunctionalNet(), example).blocks) == 4  # type: ignore[arg-type]


def test_trace_follows_an_optional_argument_that_is_given() -> None:
    graph = pn.trace(FunctionalNet(), {"x": IMAGES, "scale": 2.0})
    assert [op.key for op in graph.ops if op.kind == "other"] == [":mul_1"]


def test_trace_wrong_shape_is_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"ModuleNet does not run on an input of shape \[2, 3, 8, 8\].*give an input"):
        pn.trace(ModuleNet(), torch.zeros(2, 3, 8, 8))


def test_trace_control_flow_on_values_shows_what_ran() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.up(x) if x.sum() > 0 else self.down(x)

    assert list(pn.trace(Branching(), torch.ones(2, 2)).placement()) == ["up"]
    assert list(pn.trace(Branching(), -torch.ones(2, 2)).placement()) == ["down"]


def test_trace_missing_argument_is_one_sentence() -> None:
    with pytest.raises(ModelError, match="missing a required argument: 'x'"):
        pn.trace(FunctionalNet(), ())


class NormWithActivation(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return F.relu(super().forward(x))


def test_trace_norm_with_its_own_forward_is_no_norm() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), NormWithActivation(2), nn.Flatten(), nn.Linear(72, 2))
    graph = pn.trace(model, IMAGES)
    assert graph.norms == ()
    assert (
        graph.blocks[0].exempt
        == "it carries NormWithActivation, whose forward is your own, so that its norm cannot be told from the rest"
    )
    assert [(part.where, part.reason) for part in graph.unseen] == [
        ("1", "it is NormWithActivation, whose forward is your own, so that its norm cannot be told from the rest")
    ]


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d, nn.SyncBatchNorm, pn.layers.BatchNorm2d], ids=["torch", "synchronised", "ours"]
)
def test_trace_norms_that_can_be_moved_are_norms(norm: Callable[[int], nn.Module]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), norm(2), nn.Flatten(), nn.Linear(72, 2))
    assert keys(pn.trace(model, IMAGES), "norm") == ["1"]


@pytest.mark.parametrize(
    ("norm", "name"), [(nn.GroupNorm(2, 2), "GroupNorm"), (nn.InstanceNorm2d(2), "InstanceNorm2d")], ids=["gn", "in"]
)
def test_trace_block_with_another_norm_is_exempt(norm: nn.Module, name: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    assert pn.trace(model, IMAGES).blocks[0].exempt == f"it carries {name}"


def _chunk(x: Tensor) -> Tensor:
    return x.chunk(2, 1)[1]


def _split(x: Tensor) -> Tensor:
    first, second = torch.split(x, [2, 2], dim=1)
    return first + second


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (_chunk, ":chunk_1"),
        (_split, ":split_1"),
        (lambda x: x.unbind(1)[0].unsqueeze(1).expand(-1, 2, -1, -1), ":unbind_1"),
    ],
    ids=["chunk", "split", "unbind"],
)
def test_trace_follows_ops_that_return_several_tensors(call: Callable[[Tensor], Tensor], key: str) -> None:
    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.head = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(call(torch.relu(self.conv(x))).mean((2, 3)))

    graph = pn.trace(Several(), IMAGES)
    assert [block.exempt for block in graph.blocks] == ["", "it gives the network's output"]
    assert key in keys(graph, "other")
    assert graph.unseen == ()


def test_trace_follows_modules_that_return_several_tensors() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.pool = nn.MaxPool2d(2, return_indices=True)
            self.lstm = nn.LSTM(9, 5, batch_first=True)
            self.head = nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            x, _ = self.pool(torch.relu(self.conv(x)))
            x, _ = self.lstm(x.flatten(2))
            return self.head(x.mean(1))

    graph = pn.trace(Recurrent(), IMAGES)
    assert [block.exempt for block in graph.blocks] == ["", "it gives the network's output"]
    shapes = {op.key: op.out_shape for op in graph.ops}
    assert [(key, shapes[key]) for key in keys(graph, "other")[:2]] == [("pool", (8, 4, 3, 3)), ("lstm", (8, 4, 5))]


@pytest.mark.parametrize(
    ("model", "example", "channels", "reason"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3)),
            torch.zeros(1, 8, 8),
            8,
            "its output [8, 8, 8] has its channels first, so the example input has no batch axis; give one",
        ),
        (
            nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)),
            torch.zeros(4, 5, 6),
            5,
            "a linear layer on [4, 5, 5] has its features last; a mapping can put a norm there",
        ),
        (
            nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 2)),
            torch.zeros(4, 5, 6),
            8,
            "a linear layer on [4, 5, 8] has its features last; a mapping can put a norm there",
        ),
        (nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)), torch.zeros(4, 6), 8, ""),
        (nn.Sequential(nn.ConvTranspose1d(2, 8, 3), nn.ReLU(), nn.Conv1d(8, 2, 3)), torch.zeros(4, 2, 8), 8, ""),
    ],
    ids=["unbatched", "linear-3d", "parametrized", "linear-2d", "transposed"],
)
def test_trace_knows_the_axis_of_the_channels(model: nn.Module, example: Tensor, channels: int, reason: str) -> None:
    block = pn.trace(model, example).blocks[0]
    assert (block.channels, block.exempt) == (channels, reason)


def test_trace_knows_the_axis_of_functional_weight_ops() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(5, 6))
            self.kernel = nn.Parameter(torch.zeros(2, 3, 1))

        def forward(self, x: Tensor) -> Tensor:
            return F.conv1d(torch.relu(F.linear(x, self.weight)), self.kernel)

    graph = pn.trace(Functional(), torch.zeros(4, 3, 6))
    assert [graph.ops[block.weight].channel_axis for block in graph.blocks] == [2, 1]


class LinearGate(nn.Module):
    """Squeeze-and-excite with linear layers."""

    def __init__(self, gate: Callable[[Tensor], Tensor] = torch.sigmoid) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.squeeze = nn.Linear(4, 2)
        self.excite = nn.Linear(2, 4)
        self.last = nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, 2)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        gate = self.gate(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))
        x = x * gate[:, :, None, None]
        return self.head(torch.relu(self.last(x)).mean((2, 3)))


@pytest.mark.parametrize(
    "gate", [torch.sigmoid, F.hardsigmoid, lambda x: x.softmax(1)], ids=["sigmoid", "hardsigmoid", "softmax"]
)
def test_trace_squeeze_and_excite_linear_is_exempt(gate: Callable[[Tensor], Tensor]) -> None:
    assert {block.key: block.exempt for block in pn.trace(LinearGate(gate), IMAGES).blocks} == {
        "conv": "",
        "squeeze": "it computes a gate",
        "excite": "it computes a gate",
        "last": "",
        "head": "it gives the network's output",
    }


def test_trace_sigmoid_that_multiplies_nothing_is_no_gate() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(72, 2))
    assert pn.trace(model, IMAGES).blocks[0].exempt == ""


@pytest.mark.parametrize("call", [F.hardshrink, F.softshrink, F.tanhshrink], ids=["hard", "soft", "tanh"])
def test_trace_knows_the_shrinking_functions(call: Callable[[Tensor], Tensor]) -> None:
    class Shrinking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return call(self.conv(x))

    assert keys(pn.trace(Shrinking(), IMAGES), "activation") == [f":{call.__name__}_1"]


def test_graph_prints_as_a_table() -> None:
    lines = str(pn.trace(ModuleNet(), IMAGES)).splitlines()
    assert lines[0].split() == ["block", "channels", "norm", "could", "stand"]
    assert lines[1].split() == [
        *("features.0", "4", "before-activation"),
        *("before-activation,", "after-pool-before-activation,", "after-activation,", "after-pool"),
    ]
    assert lines[3].endswith("nowhere by a named placement: it gives the network's output")
