"""torch's own cases for its batch norms (`common_modules`, which torch's TestModule runs), put to our layers."""

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing._internal.common_modules import ModuleInfo, ModuleInput, module_db

from placenorm import layers
from placenorm.layers import paths

OURS = {nn.BatchNorm1d: layers.BatchNorm1d, nn.BatchNorm2d: layers.BatchNorm2d, nn.BatchNorm3d: layers.BatchNorm3d}
INFOS = {kind: next(info for info in module_db if info.module_cls is kind) for kind in OURS}


def list_cases(dtype: torch.dtype = torch.float64, training: bool = True) -> list[tuple[ModuleInfo, ModuleInput]]:
    """Return the inputs of every entry, made anew: they are tensors that a test may change."""
    torch.manual_seed(0)
    return [
        (info, each)
        for info in INFOS.values()
        for each in info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)
    ]


CASES = range(len(list_cases()))
NAMES = [f"{info.module_cls.__name__}-{each.desc or place}" for place, (info, each) in enumerate(list_cases())]
EACH = pytest.mark.parametrize("case", CASES, ids=NAMES)
BOTH_MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


@pytest.fixture(params=[0, 1 << 60], ids=["fused", "torch"], autouse=True)
def both_paths(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "LEAST_VALUES", request.param)
    return


def build(case: int, dtype: torch.dtype, training: bool, *, torchs: bool = False) -> tuple[Any, ModuleInput]:
    info, given = list_cases(dtype, training)[case]
    kind = info.module_cls if torchs else OURS[info.module_cls]
    made = given.constructor_input
    return kind(*made.args, **made.kwargs, dtype=dtype).train(training), given


@EACH
@BOTH_MODES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_forward_is_that_of_torch_and_of_the_references_of_its_entry(
    case: int, training: bool, dtype: torch.dtype
) -> None:
    ours, given = build(case, dtype, training)
    theirs, _ = build(case, dtype, training, torchs=True)
    found = ours(*given.forward_input.args)
    torch.testing.assert_close(found, theirs(*given.forward_input.args))
    if given.reference_fn is not None:
        torch.testing.assert_close(found, given.reference_fn(ours, *given.forward_input.args))
    torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))
    assert repr(ours) == repr(theirs)


@EACH
@BOTH_MODES
def test_gradients_are_right_to_the_second_order(case: int, training: bool) -> None:
    layer, given = build(case, torch.float64, training)
    parameters = dict(layer.named_parameters())

    def run(x: Tensor, *values: Tensor) -> Tensor:
        held = dict(zip(parameters, values, strict=True))
        y: Tensor = torch.func.functional_call(layer, held, (x,))
        return y

    operands = (given.forward_input.args[0][:2], *parameters.values())
    # Volumes go torch's way, and every value by itself takes half a minute.
    assert torch.autograd.gradcheck(run, operands, fast_mode=operands[0].dim() == 5)
    assert torch.autograd.gradgradcheck(run, operands, fast_mode=True)


@EACH
@BOTH_MODES
def test_input_that_is_not_contiguous_gives_the_same(case: int, training: bool) -> None:
    ours, given = build(case, torch.float64, training)
    twin, _ = build(case, torch.float64, training)
    (x,) = given.forward_input.args
    spread = torch.stack([x, x], -1).detach()[..., 0].requires_grad_()
    dense = x.detach().clone().requires_grad_()
    dy = torch.randn_like(ours(spread))
    for layer, leaf in ((ours, spread), (twin, dense)):
        layer(leaf).backward(torch.stack([dy, dy], -1)[..., 0] if leaf is spread else dy)
    torch.testing.assert_close(spread.grad, dense.grad)
    for mine, other in zip(ours.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


@EACH
def test_pickle_and_meta_device(case: int) -> None:
    layer, given = build(case, torch.float64, False)
    twin = pickle.loads(pickle.dumps(layer))
    assert torch.equal(twin(*given.forward_input.args), layer(*given.forward_input.args))
    meta = layer.to("meta")
    assert meta(given.forward_input.args[0].to("meta")).device.type == "meta"
    revived = meta.to_empty(device="cpu")
    revived.load_state_dict(twin.state_dict())
    assert torch.equal(revived(*given.forward_input.args), twin(*given.forward_input.args))
