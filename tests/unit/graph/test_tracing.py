import pytest
import torch
from torch import Tensor, nn

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


def test_trace_control_flow_on_values_is_one_sentence() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x) if x.sum() > 0 else x

    with pytest.raises(ModelError, match=r"Cannot trace Branching: .*torch\.fx"):
        pn.trace(Branching(), torch.zeros(2, 2))


def test_trace_missing_argument_is_one_sentence() -> None:
    with pytest.raises(ModelError, match="missing a required argument: 'x'"):
        pn.trace(FunctionalNet(), ())
