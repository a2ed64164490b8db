"""The proof of a fold: of networks that choose, of what runs on some inputs only, of what a copy cannot show."""

import contextlib
import copy
import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import placenorm as pn
from placenorm.errors import ModelError
from placenorm.rewrite.parts import find_parts
from support.folded_networks import fill_norm

IMAGES = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def fill(model: nn.Module, signs: str = "positive") -> Any:
    for place, norm in enumerate(each for each in model.modules() if isinstance(each, nn.BatchNorm2d)):
        fill_norm(norm, signs, place)
    return model.eval()


def make_block(*more: nn.Module, inputs: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), *more)


def check(model: nn.Module, folded: nn.Module, *inputs: Any) -> None:
    for x in inputs:
        with torch.no_grad():
            torch.testing.assert_close(folded(x), model(x), rtol=1e-4, atol=1e-5)


# -- networks that choose


class Choosing(nn.Module):
    """Like a detector: the last bits of what its parts give decide on one thing or another."""

    def __init__(self, *, learned: bool = False, last: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = make_block()
        self.head = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
        self.scale = nn.Parameter(torch.ones(())) if learned else 1.0
        self.last, self.norm = (nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)) if learned else (nn.Identity(), nn.Identity())
        fill(self, "both")

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(1e18 * self.scale * self.norm(self.last(self.head(self.body(x))))).sign()


class Deciding(Choosing):
    """Decides by a level, and is as sure of it as numbers lie away from that."""

    level = math.inf

    def forward(self, x: Tensor) -> Tensor:
        return (self.head(self.body(x)).double() > self.level).to(x)


def test_network_that_chooses_is_proved_by_its_parts() -> None:
    model = Choosing().eval()
    done = pn.fold(model, IMAGES)
    assert len(done.changes) == 2
    assert done.max_error is not None
    assert 0.0 < done.max_error < 1e-12
    assert done.max_error_float32 is not None
    assert done.max_error_float32 < 1e-5
    for part in ("body", "head"):
        x = torch.randn(2, 1 if part == "body" else 8, 9, 9)
        torch.testing.assert_close(done.model.get_submodule(part)(x), model.get_submodule(part)(x), rtol=0.0, atol=1e-5)


def test_what_lies_outside_of_the_parts_stays_as_it_is() -> None:
    model = Choosing(learned=True).eval()
    assert find_parts(model, IMAGES) == ("body", "head")
    done = pn.fold(model, IMAGES)
    assert [change.site for change in done.changes] == ["body.1", "head.1"]
    assert [skip.site for skip in done.skipped] == ["norm"]


class Telling(Choosing):
    """Asks its weights for their type, shape and device, and has a buffer with NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("unknown", torch.tensor([math.nan]))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.head[2].weight
        assert weight.shape[0] == weight.size(0) == 4
        return super().forward(x.to(weight.device, next(self.body.parameters()).dtype))


def test_what_tells_of_a_weight_reads_no_number_of_it() -> None:
    done = pn.fold(Telling().eval(), IMAGES)
    assert [change.site for change in done.changes] == ["body.1", "head.1"]


def test_network_that_its_fold_makes_choose_otherwise_is_proved_by_its_parts() -> None:
    model = Deciding().eval()
    folded = pn.fold(model, IMAGES, verify=False).model
    wide = copy.deepcopy(model).double()
    with torch.no_grad():
        right, ours, truth = (each.head(each.body(IMAGES.to(each.head[0].weight))) for each in (model, folded, wide))
    near = torch.minimum((right - ours).double().clamp(min=0), (truth - ours).clamp(min=0)).flatten()
    place = int(torch.where(near > 0, near, math.inf).argmin())
    model.level = folded.level = float(ours.flatten()[place]) + float(near[place]) / 2
    assert not torch.equal(folded(IMAGES), model(IMAGES))
    done = pn.fold(model, IMAGES)
    assert len(done.changes) == 2
    assert done.max_error_float32 is not None
    assert 0.0 < done.max_error_float32 < 1e-5


class Scoring(nn.Module):
    """Gives those samples whose score is over a level."""

    def __init__(self, level: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.level = make_block(), level
        fill(self)

    def score(self, x: Tensor) -> Tensor:
        return self.body(x).amax((1, 2, 3)).double()

    def forward(self, x: Tensor) -> Tensor:
        return x[self.score(x) > self.level]


def test_example_that_gives_numbers_in_one_type_alone_is_proved_by_parts() -> None:
    model = Scoring()
    wide = copy.deepcopy(model).double()
    images = torch.randn(40, 1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        gaps = [(float(model.score(x)), float(wide.score(x.double())), x) for x in images]
    own, truth, x = max(gaps, key=lambda each: each[0] - each[1])
    model.level = (own + truth) / 2
    assert len(model(x)) == 1
    done = pn.fold(model, x)
    assert [change.site for change in done.changes] == ["body.1"]


# -- what runs on some inputs only


class Wandering(nn.Module):
    """Calls a module of its body by itself where the width is odd."""

    def __init__(self, *, choosing: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 5, 1))
        self.choosing = choosing
        fill(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out = self.body(x)
        if self.choosing:
            out = torch.sin(1e18 * out).sign()
        return out, self.look(x) if x.shape[-1] % 2 else torch.zeros(1)

    def look(self, x: Tensor) -> Tensor:
        found: Tensor = self.body[2](self.body[1](self.body[0](x)))
        return found


class Reading(Wandering):
    """Reads a weight of its body by itself where the width is odd."""

    def look(self, x: Tensor) -> Tensor:
        return F.conv2d(F.relu(self.body[0](x)), self.body[3].weight)


class Catching(Wandering):
    """Goes on by itself where its body does not take what it is given."""

    def look(self, x: Tensor) -> Tensor:
        with contextlib.suppress(RuntimeError):
            self.body(x[:, :0])
        return super().look(x)


@pytest.mark.parametrize("choosing", [False, True], ids=["steady", "choosing"])
@pytest.mark.parametrize("kind", [Wandering, Reading, Catching])
def test_what_is_called_by_itself_on_other_sizes_is_compared_there(kind: type[Wandering], choosing: bool) -> None:
    model = kind(choosing=choosing)
    done = pn.fold(model, IMAGES)
    assert [skip.site for skip in done.skipped] == ["body.2"]
    x = torch.randn(1, 1, 9, 13)
    torch.testing.assert_close(done.model(x)[1], model(x)[1])


def test_list_of_images_is_proved_on_other_sizes_of_images() -> None:
    class Listing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = make_block(inputs=3)

        def forward(self, images: list[Tensor]) -> list[Tensor]:
            return [self.body(image[None]) for image in images]

    model = fill(Listing())
    done = pn.fold(model, ([torch.randn(3, 16, 16), torch.randn(3, 16, 16)],))
    assert [change.site for change in done.changes] == ["body.1"]
    assert done.verified == ("3x16x16, 3x16x16", "3x9x13, 3x9x13", "3x13x9, 3x13x9")


def test_norm_that_does_not_verify_beside_one_that_cannot_go() -> None:
    class Slicing(nn.Module):
        """Reads an attribute of a norm, which is gone with it."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.last, self.out = (
                nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8),
            )  # fmt: skip

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.norm(self.conv(x))[:, : self.norm.num_features]
            return self.out(F.gelu(self.last(y)))

    done = pn.fold(fill(Slicing()), IMAGES)
    assert {skip.site: skip.reason.partition(" and ")[0] for skip in done.skipped} == {
        "norm": "the folded network differed by inf in float64,",
        "out": "gelu",
    }


# -- norms that run more than once


class Siamese(nn.Module):
    """Runs one block on both halves of its input."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        one, two = (F.relu(self.norm(self.conv(half))) for half in x.chunk(2, -1))
        return one - two


class Sharing(nn.Module):
    """Runs one norm behind two convs, the second of whose outputs is read by two convs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.norm = nn.Conv2d(1, 8, 3), nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8)
        self.three, self.four = nn.Conv2d(8, 3, 1), nn.Conv2d(8, 3, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first, second = torch.tanh(self.norm(self.one(x))), F.relu(self.norm(self.two(x)))
        return first, self.three(second), self.four(second)


class Recurring(nn.Module):
    """Runs one block three times."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 8, 3)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.first(x)
        for _ in range(3):
            y = self.block(y)
        return y


@pytest.mark.parametrize("kind", [Siamese, Sharing, Recurring])
def test_norm_that_runs_more_than_once_goes_into_what_runs_with_it(kind: type[nn.Module]) -> None:
    model = fill(kind(), "both")
    done = pn.fold(model, IMAGES)
    assert len(done.changes) == 1
    assert not done.skipped
    check(model, done.model, IMAGES, torch.randn(2, 1, 11, 14))
    check(model, pn.fold(model, IMAGES, verify=False).model, IMAGES)


# -- outputs and calls of all kinds


def test_output_may_hold_what_is_no_tensor() -> None:
    @dataclass
    class Answer:
        scores: Tensor
        device: torch.device
        dtype: torch.dtype

    class Answering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = make_block()

        def forward(self, x: Tensor) -> Answer:
            y = self.body(x).mean(dim=[])
            return Answer(y, y.device, y.dtype)

    done = pn.fold(fill(Answering()), IMAGES)
    assert [change.site for change in done.changes] == ["body.1"]


# -- what a copy cannot show


class Hooked(nn.Module):
    """Keeps what a layer of it gives, by a hook that holds the network itself."""

    def __init__(self) -> None:
        super().__init__()
        self.body = make_block()
        self.kept = torch.empty(0)
        self.body[2].register_forward_hook(lambda module, given, output: setattr(self, "kept", output))

    def forward(self, x: Tensor) -> Tensor:
        self.body(x)
        return self.kept


class Holding(nn.Module):
    """Runs its layers by a function that holds the network itself."""

    def __init__(self) -> None:
        super().__init__()
        self.body = make_block()
        self.run = lambda x: self.body(x)  # noqa: PLW0108 - the network is held, not its body

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.run(x)
        return y


VERBS = {
    "fold": pn.fold,
    "fold_": pn.fold_,
    "place": lambda model, x: pn.place(model, x, "after-activation"),
    "accelerate": pn.accelerate,
}


class Knowing(nn.Module):
    """Keeps a number by the identity of its body, which a copy has not."""

    def __init__(self) -> None:
        super().__init__()
        self.body = make_block()
        self.shares = {id(self.body): 2.0}

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x) * self.shares[id(self.body)]
        return y


@pytest.mark.parametrize("example", [IMAGES, torch.ones(4, 1, 8, 8)], ids=["random", "ones"])
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (Hooked, "gives something else than the model does"),
        (Holding, "runs the model's own modules"),
        (Knowing, r"does not run where the model does \(KeyError.*\)"),
    ],
)
def test_copy_that_is_none_is_refused(kind: type[nn.Module], how: str, verb: Any, example: Tensor) -> None:
    model = fill(kind())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError, match=f"A copy of {kind.__name__} {how}, so that .* hold the model itself; let "):
        verb(model, example)
    torch.testing.assert_close(model.state_dict(), before, rtol=0.0, atol=0.0)


ACTIVATION = nn.ReLU()


class Global(nn.Module):
    """Runs a module without state by a name of its file, under which a copy runs it too."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.act = make_block(), ACTIVATION

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = ACTIVATION(self.body(x))
        return y


def test_module_without_state_may_be_shared_with_a_copy() -> None:
    assert len(pn.fold(fill(Global()), IMAGES).changes) == 1


def test_lazy_model_stays_lazy() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d()).eval()
    with contextlib.suppress(ModelError):
        pn.fold(model, IMAGES)
    assert type(model[0]) is nn.LazyConv2d


def test_example_that_cannot_be_given_other_numbers_is_compared_as_it_is() -> None:
    class Sparse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = make_block()

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.body(x.to_dense())
            return y

    model = fill(Sparse())
    done = pn.fold(model, IMAGES.to_sparse(), verify=False)
    assert len(pn.accelerate(model, IMAGES.to_sparse()).changes) == 1
    check(model, done.model, IMAGES.to_sparse())


class Tied(nn.Module):
    """Reads the weight of its conv by another name of the same memory."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8)
        if kind == "buffer":
            self.register_buffer("held", self.conv.weight.data)
        else:
            self.held = self.conv.weight.data

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = F.relu(self.norm(self.conv(x)))
        return F.conv_transpose2d(y, self.held)


@pytest.mark.parametrize("kind", ["data", "buffer"])
def test_weight_whose_memory_has_another_name_stays(kind: str) -> None:
    model = fill(Tied(kind))
    expected = model(IMAGES)
    done = pn.fold_(model, IMAGES)
    assert [skip.site for skip in done.skipped] == ["norm"]
    torch.testing.assert_close(model(IMAGES), expected)
