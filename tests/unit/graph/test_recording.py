"""What a recording sees that a symbolic trace does not, and how it names it."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.facts.graph import Graph, Op
from placenorm.graph.tracing import record_model
from support.networks import IMAGES, FunctionalNet


def op_of(graph: Graph, key: str) -> Op:
    return next(op for op in graph.ops if op.key == key)


def sources(graph: Graph, key: str) -> list[str]:
    return [graph.ops[index].key for index in op_of(graph, key).inputs]


class InPlace(nn.Module):
    """Writes into its values in every way that torch has."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.head = nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Conv2d(2, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        self.act(x)  # its result unused
        x += 1
        x[:, 0] = 2.0
        x.mul_(3)
        return self.head(x)


def test_recording_follows_calls_in_place() -> None:
    graph = pn.trace(InPlace(), IMAGES)
    assert [op.key for op in graph.ops][1:-1] == ["conv", "act", ":add_1", ":setitem_1", ":mul_1", "head"]
    assert sources(graph, "head") == [":mul_1"]
    assert sources(graph, "act") == ["conv"]


class Aliases(nn.Module):
    """An op that hands its input on must not be read by those who read the input."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.same = nn.Dropout(0.5), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(x)
        return torch.cat([self.drop(y), self.same(y), y.contiguous(), y])


def test_recording_tells_an_op_from_its_input_where_it_returns_it() -> None:
    graph = pn.trace(Aliases(), IMAGES)
    assert sources(graph, ":cat_1") == ["drop", "same", ":contiguous_1", ":relu_1"]


class Padded(nn.Conv2d):
    """A conv that pads by itself, as TensorFlow does."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return F.conv2d(F.pad(x, (0, 1, 0, 1)), self.weight, self.bias, self.stride)


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return F.conv2d(x, self.weight - self.weight.mean(), self.bias)


def test_recording_conv_that_only_pads_is_one_op_and_its_weights_are_plain() -> None:
    op = op_of(pn.trace(nn.Sequential(Padded(1, 2, 2), nn.ReLU(), nn.Conv2d(2, 1, 1)), IMAGES), "0")
    assert (op.kind, op.module, op.owner, op.ordinal, op.plain_weights) == ("weight", "0", "", 0, True)
    assert (op.in_shape, op.out_shape) == ((8, 1, 8, 8), (8, 2, 8, 8))
    assert op.macs == 8 * 2 * 64 * 4


def test_recording_conv_that_changes_its_weights_is_a_function_in_it() -> None:
    graph = pn.trace(nn.Sequential(Standardised(1, 2, 2), nn.ReLU(), nn.Conv2d(2, 1, 1)), IMAGES)
    op = op_of(graph, "0:conv2d_1")
    assert (op.kind, op.plain_weights, op.returned_by) == ("weight", False, ("0",))


class Filters(nn.Module):
    """Weights from elsewhere: a fixed filter, and kernels that hang on the input."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("blur", torch.full((1, 1, 2, 2), 0.25))
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(torch.relu(self.conv(x)), self.blur, stride=2)
        return F.conv2d(x, x[:1, :, :2, :2])


def test_recording_fixed_filter_pools_and_dynamic_kernel_joins() -> None:
    graph = pn.trace(Filters(), IMAGES)
    assert [(op.key, op.kind) for op in graph.ops if op.name == "conv2d"] == [
        (":conv2d_1", "pool"),
        (":conv2d_2", "join"),
    ]
    assert list(graph.placement()) == ["conv"]


class OnWeights(nn.Module):
    """Normalises a weight, which is no norm of the network."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        weight = F.batch_norm(self.weight, None, None, training=True)
        return self.head(torch.relu(F.linear(x, weight)))


def test_recording_norm_of_a_weight_is_no_norm() -> None:
    graph = pn.trace(OnWeights(), torch.randn(3, 4))
    assert graph.norms == ()
    assert list(graph.placement()) == [":linear_1", "head"]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")
def test_recording_names_what_it_cannot_see() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)
            self.swish = torch.jit.script(_swish)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.swish(self.conv(x)))

    graph = pn.trace(Hidden(), IMAGES)
    assert [(part.where, part.reason) for part in graph.unseen] == [
        (":value", "it is value, made by a call that tracing cannot see")
    ]
    assert [block.exempt for block in graph.blocks] == ["", "it gives the network's output"]


def _swish(x: Tensor) -> Tensor:
    return x * x.sigmoid()


class Auxiliary(nn.Module):
    """A head that runs in training only, and a norm that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head, self.aux, self.spare = (
            nn.Conv2d(1, 2, 3),
            nn.Linear(2, 2),
            nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU()),
            nn.BatchNorm2d(2),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        x = torch.relu(self.conv(x))
        out = self.head(x.mean((2, 3)))
        return (out, self.aux(x).mean((2, 3))) if self.training else out


def test_recording_sees_what_runs_in_training_only() -> None:
    graph = pn.trace(Auxiliary().eval(), IMAGES)
    assert list(graph.placement()) == ["conv", "head", "aux.0"]
    assert [(part.where, part.reason) for part in graph.unseen] == [("spare", "it does not run on the example input")]
    placed = pn.place(Auxiliary(), IMAGES, "none")
    assert placed.graph.norms == ()
    assert [skip.reason for skip in placed.skipped if skip.site == "spare"] == [
        "it does not run on the example input; it stays as it is"
    ]


def test_recording_numbers_functional_calls_anew_each_time_their_owner_runs() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = FunctionalNet()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) + self.net(x.flip(3))

    keys = [op.key for op in pn.trace(Twice(), IMAGES).ops if op.kind == "activation"]
    assert keys == [f"net:relu_{n}{again}" for again in ("", "#2") for n in (1, 2, 3)]
    recording = record_model(Twice(), IMAGES)
    assert recording.visits["net"][0] == recording.visits["net"][1]


def test_recording_leaves_no_hook_behind_an_error() -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("no")

    with pytest.raises(pn.PlacenormError, match=r"Fails does not run on an input of shape \[8, 1, 8, 8\]: no;"):
        pn.trace(Fails(), IMAGES)
    assert not torch.nn.modules.module._global_forward_hooks
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_recording_module_whose_error_is_caught_does_not_count() -> None:
    class Careful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wrong, self.right = nn.Linear(3, 2), nn.Linear(64, 2)

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.wrong(x.flatten(1))
            except RuntimeError:
                return self.right(x.flatten(1))

    assert list(pn.trace(Careful(), IMAGES).placement()) == ["right"]
