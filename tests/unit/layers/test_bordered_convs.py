"""Convs that make up for a shift of their input at the border, against padding the shifted input itself."""

import copy
import pickle
from io import BytesIO
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from placenorm.layers import bordered
from placenorm.layers.bordered import add_border, is_bordered, watch_sizes

KINDS: dict[str, tuple[type[nn.Module], int]] = {
    "conv1d": (nn.Conv1d, 1),
    "conv2d": (nn.Conv2d, 2),
    "conv3d": (nn.Conv3d, 3),
    "transposed1d": (nn.ConvTranspose1d, 1),
    "transposed2d": (nn.ConvTranspose2d, 2),
    "transposed3d": (nn.ConvTranspose3d, 3),
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("conv", {"kernel_size": 3, "padding": 1}),
    "wide": ("conv", {"kernel_size": 5, "padding": 4}),
    "strided": ("conv", {"kernel_size": 3, "padding": 1, "stride": 2}),
    "strided-past": ("conv", {"kernel_size": 2, "padding": 1, "stride": 3}),
    "dilated": ("conv", {"kernel_size": 3, "padding": 2, "dilation": 2}),
    "grouped": ("conv", {"kernel_size": 3, "padding": 1, "groups": 2}),
    "depthwise": ("conv", {"kernel_size": 3, "padding": 1, "groups": 4}),
    "same": ("conv", {"kernel_size": 3, "padding": "same"}),
    "same-uneven": ("conv", {"kernel_size": 4, "padding": "same"}),
    "same-dilated": ("conv", {"kernel_size": 2, "padding": "same", "dilation": 3}),
    "unpadded": ("conv", {"kernel_size": 3}),
    "transposed": ("transposed", {"kernel_size": 3}),
    "transposed-strided": ("transposed", {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}),
    "transposed-sparse": ("transposed", {"kernel_size": 2, "stride": 3, "output_padding": 2}),
    "transposed-dilated": ("transposed", {"kernel_size": 2, "stride": 2, "dilation": 3, "output_padding": 1}),
    "transposed-grouped": ("transposed", {"kernel_size": 4, "stride": 2, "padding": 1, "groups": 2}),
}
ALL = [
    pytest.param(f"{family}{rank}d", options, id=f"{name}-{rank}d")
    for name, (family, options) in CASES.items()
    for rank in (1, 2, 3)
]
PADDED = {"kernel_size": 3, "padding": 1, "stride": 2}

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch pads even kernels by a copy


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make_pair(kind: str, options: dict[str, Any], dtype: torch.dtype = torch.float64) -> tuple[Any, Any, Tensor]:
    """Return a conv, the bordered one that reads its input less a shift, and that shift, ``[C_in, *1]``."""
    base, rank = KINDS[kind]
    torch.manual_seed(0)
    plain: Any = base(4, 6 if options.get("groups", 1) != 4 else 8, **options).to(dtype)
    shift = draw(4, *(1 for _ in range(rank)), seed=1).to(dtype)
    changed = copy.deepcopy(plain)
    groups = plain.groups
    weight = plain.weight.detach()
    if plain.transposed:
        taps = (weight * shift.unsqueeze(1)).view(groups, -1, *weight.shape[1:]).sum(1).flatten(0, 1)
    else:
        spread = shift.view(groups, 1, -1, *(1 for _ in range(rank)))
        taps = (weight.view(groups, -1, *weight.shape[1:]) * spread).sum(2).flatten(0, 1)
    with torch.no_grad():
        changed.bias += taps.flatten(1).sum(1)
    add_border(changed, taps)
    return plain, changed, shift


def assert_same(plain: nn.Module, changed: nn.Module, shift: Tensor, x: Tensor, **tolerances: float) -> None:
    torch.testing.assert_close(changed(x - shift), plain(x), **tolerances)


@pytest.mark.parametrize(("kind", "options"), ALL)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "strips"])
def test_shift_is_made_up_for_at_the_border(
    kind: str, options: dict[str, Any], whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bordered, "_WHOLE", 1 << 60 if whole else 0)
    plain, changed, shift = make_pair(kind, options)
    rank = KINDS[kind][1]
    for size in ((9, 8, 7), (4, 11, 5), (7, 7, 7)):
        with torch.no_grad():
            assert_same(plain, changed, shift, draw(2, 4, *size[:rank]).double())
    assert_same(plain, changed, shift, draw(2, 4, *(9, 8, 7)[:rank]).double())  # under autograd


@pytest.mark.parametrize("options", [CASES["wide"][1], {"kernel_size": 5, "padding": 2}], ids=["wide", "centred"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 9)], ids=["one", "few", "line"])
def test_image_smaller_than_the_kernel_has_no_inside(
    options: dict[str, Any], size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bordered, "_WHOLE", 0)
    plain, changed, shift = make_pair("conv2d", options)
    with torch.no_grad():
        assert_same(plain, changed, shift, draw(2, 4, *size).double())


@pytest.mark.parametrize("kind", KINDS)
def test_input_without_a_batch_is_corrected(kind: str) -> None:
    plain, changed, shift = make_pair(kind, PADDED)
    with torch.no_grad():
        assert_same(plain, changed, shift, draw(4, *(8, 7, 6)[: KINDS[kind][1]]).double())


def test_empty_batch_stays_empty() -> None:
    _, changed, _ = make_pair("conv2d", PADDED)
    with torch.no_grad():
        assert changed(torch.zeros(0, 4, 8, 8).double()).shape == (0, 6, 4, 4)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "strips"])
def test_channels_last_stays_so(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bordered, "_WHOLE", 1 << 60 if whole else 0)
    plain, changed, shift = make_pair("conv2d", PADDED)
    for each in (plain, changed):
        each.to(memory_format=torch.channels_last)
    x = draw(2, 4, 8, 8).double().contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        assert_same(plain, changed, shift, x)
        assert changed(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)], ids=["float32", "bfloat16"]
)
def test_own_type_is_kept(dtype: torch.dtype, close: float) -> None:
    plain, changed, shift = make_pair("conv2d", PADDED, torch.float32)
    plain, changed, shift, x = (each.to(dtype) for each in (plain, changed, shift, draw(2, 4, 8, 8)))
    with torch.no_grad():
        assert changed(x).dtype == dtype
        assert_same(plain, changed, shift, x, rtol=0.0, atol=close)


def test_autocast_gets_its_own_correction() -> None:
    plain, changed, shift = make_pair("conv2d", PADDED, torch.float32)
    x = draw(2, 4, 8, 8)
    with torch.no_grad():
        assert_same(plain, changed, shift, x)
        with torch.autocast("cpu", torch.bfloat16):
            assert changed(x).dtype == torch.bfloat16
            assert_same(plain, changed, shift, x, rtol=0.0, atol=0.1)
        assert_same(plain, changed, shift, x)


def test_gradients_are_those_of_the_conv() -> None:
    plain, changed, shift = make_pair("conv2d", PADDED)
    one, two = (draw(2, 4, 8, 8).double().requires_grad_() for _ in range(2))
    plain(one).square().sum().backward()
    changed(two - shift).square().sum().backward()
    torch.testing.assert_close(two.grad, one.grad)
    torch.testing.assert_close(changed.bias.grad, plain.bias.grad)


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "save"])
def test_copy_computes_the_same(way: str) -> None:
    plain, changed, shift = make_pair("conv2d", PADDED)
    x = draw(2, 4, 8, 8).double()
    with torch.no_grad():
        assert_same(plain, changed, shift, x)  # with a correction in its memory
        if way == "deepcopy":
            twin = copy.deepcopy(changed)
        elif way == "pickle":
            twin = pickle.loads(pickle.dumps(changed))
        else:
            stream = BytesIO()
            torch.save(changed, stream)
            stream.seek(0)
            twin = torch.load(stream, weights_only=False)
        assert is_bordered(twin)
        assert twin._maps == {}
        assert_same(plain, twin, shift, x)
        twin.taps.zero_()
        assert_same(plain, changed, shift, x)


def test_taps_changed_after_use_are_read_anew() -> None:
    _, changed, shift = make_pair("conv2d", PADDED)
    x = draw(2, 4, 8, 8).double() - shift
    with torch.no_grad():
        before = changed(x)
        changed.taps.mul_(2.0)
        assert not torch.equal(changed(x), before)


@pytest.mark.parametrize("assign", [False, True], ids=["copied", "assigned"])
def test_loaded_taps_are_read_anew(assign: bool) -> None:
    plain, changed, shift = make_pair("conv2d", PADDED)
    state = copy.deepcopy(changed.state_dict())
    assert set(state) == {"weight", "bias", "taps"}
    other = copy.deepcopy(changed)
    with torch.no_grad():
        other.taps = torch.zeros_like(other.taps)
    x = draw(2, 4, 8, 8).double()
    with torch.no_grad():
        other(x)
        other.load_state_dict(state, assign=assign)
        assert_same(plain, other, shift, x)


def test_inference_mode_reads_and_keeps_corrections() -> None:
    plain, changed, shift = make_pair("conv2d", PADDED, torch.float32)
    x = draw(2, 4, 8, 8)
    with torch.inference_mode():
        assert_same(plain, changed, shift, x, rtol=0.0, atol=1e-5)
        twin = copy.deepcopy(changed).double()  # its parameters and its taps are made in inference mode
        assert_same(copy.deepcopy(plain).double(), twin, shift.double(), x.double(), rtol=0.0, atol=1e-5)
    with torch.no_grad():
        assert_same(plain, changed, shift, x, rtol=0.0, atol=1e-5)
    frozen, theirs = (copy.deepcopy(each).requires_grad_(False) for each in (changed, plain))
    assert_same(theirs, frozen, shift, x, rtol=0.0, atol=1e-5)


def test_memory_of_corrections_is_bounded() -> None:
    plain, changed, shift = make_pair("conv2d", PADDED)
    with torch.no_grad():
        for size in range(3, 30):
            assert_same(plain, changed, shift, draw(1, 4, size, size).double())
    assert len(changed._maps) <= bordered._MOST_MAPS


def test_asked_output_size_is_taken() -> None:
    plain, changed, shift = make_pair("transposed2d", {"kernel_size": 3, "stride": 2, "padding": 1})
    x = draw(2, 4, 5, 5).double()
    with torch.no_grad():
        for size in ([9, 9], [10, 10], [9, 10]):
            torch.testing.assert_close(changed(x - shift, output_size=size), plain(x, output_size=size))
            torch.testing.assert_close(changed(x - shift, size), plain(x, size))
            torch.testing.assert_close(changed(input=x - shift, output_size=size), plain(x, output_size=size))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["conv2d", "transposed2d"])
@pytest.mark.parametrize("grad", [True, False], ids=["autograd", "no-grad"])
def test_compiled_graph_has_no_break_and_is_the_same(kind: str, grad: bool) -> None:
    plain, changed, shift = make_pair(kind, PADDED)
    compiled = torch.compile(changed, backend="aot_eager", fullgraph=True)
    with torch.set_grad_enabled(grad):
        for size in (8, 11, 13):
            assert_same(plain, compiled, shift, draw(2, 4, size, size).double())
    torch.compiler.reset()


def keep(changed: nn.Module, size: int) -> Any:
    x = draw(2, 4, size, size).double()
    watch_sizes(changed, lambda: changed(input=x))
    kept: Any = changed
    return kept


@pytest.mark.slow
def test_compiled_code_reads_the_correction_of_the_size_that_is_kept() -> None:
    plain, changed, shift = make_pair("conv2d", PADDED)
    kept = keep(changed, 8)
    compiled = torch.compile(changed, backend="aot_eager", fullgraph=True)
    x = draw(2, 4, 8, 8).double()
    assert_same(plain, compiled, shift, x)
    held = kept.whole.clone()
    kept.whole.fill_(1.0)
    torch.testing.assert_close(compiled(x), nn.Conv2d.forward(kept, x) + 1.0)
    kept.whole.copy_(held)
    for size in (11, 13, 8):
        assert_same(plain, compiled, shift, draw(2, 4, size, size).double())
    torch.compiler.reset()


@pytest.mark.slow
def test_free_size_is_not_tied_to_the_one_that_is_kept() -> None:
    plain, changed, shift = make_pair("conv2d", PADDED)
    keep(changed, 8)
    compiled = torch.compile(changed, backend="aot_eager", fullgraph=True)
    for size in (8, 11):
        x = draw(2, 4, size, size).double() - shift
        for axis in (2, 3):
            torch._dynamo.mark_dynamic(x, axis)  # compiling fails where an axis turns out to be a constant
        torch.testing.assert_close(compiled(x), plain(x + shift))
    torch.compiler.reset()


def test_kept_correction_outlives_eager_calls_of_any_size() -> None:
    plain, changed, shift = make_pair("conv2d", PADDED)
    kept = keep(changed, 8)
    with torch.no_grad():
        for size in (8, 11):
            assert_same(plain, changed, shift, draw(2, 4, size, size).double())
    assert kept.whole.shape == (6, 4, 4)


@pytest.mark.parametrize("way", ["loaded", "written", "copied"])
def test_kept_correction_does_not_outlive_its_taps(way: str) -> None:
    _, changed, _ = make_pair("conv2d", PADDED)
    kept = keep(changed, 8)
    assert kept.whole.shape == (6, 4, 4)
    if way == "loaded":
        kept.load_state_dict(copy.deepcopy(kept.state_dict()))
    elif way == "written":
        with torch.no_grad():
            kept.taps.mul_(2.0)
            kept(draw(2, 4, 8, 8).double())
    else:
        kept = copy.deepcopy(kept)
    assert kept.whole is None


@pytest.mark.parametrize(
    "strict", [pytest.param(True, marks=pytest.mark.slow, id="strict"), pytest.param(False, id="loose")]
)
def test_exported_program_takes_other_sizes(strict: bool) -> None:
    plain, changed, shift = make_pair("conv2d", {"kernel_size": 3, "padding": 1})
    sizes = {2: torch.export.Dim("height", min=4, max=64), 3: torch.export.Dim("width", min=4, max=64)}
    program = torch.export.export(changed, (draw(2, 4, 9, 8).double(),), dynamic_shapes=(sizes,), strict=strict)
    for size in ((9, 8), (13, 20)):
        assert_same(plain, program.module(), shift, draw(2, 4, *size).double())


def test_symbolic_trace_holds_the_conv_as_it_is() -> None:
    plain, changed, shift = make_pair("conv2d", PADDED)
    traced = torch.fx.symbolic_trace(nn.Sequential(changed, nn.ReLU()))
    assert_same(nn.Sequential(plain, nn.ReLU()), traced, shift, draw(2, 4, 9, 9).double())


def test_only_torchs_own_convs_take_a_border() -> None:
    class Mine(nn.Conv2d):
        pass

    with pytest.raises(TypeError, match="Mine"):
        add_border(Mine(1, 1, 3), torch.zeros(1, 3, 3))
