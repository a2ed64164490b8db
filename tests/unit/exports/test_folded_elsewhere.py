"""A folded network under torch.compile, torch.fx and torch's own quantiser."""

import copy
import shutil
import warnings
from typing import Any

import pytest
import torch
from torch import nn

import placenorm as pn
from unit.exports.test_exports import fill_norms, make_bordered

IMAGES = torch.randn(4, 2, 10, 12, generator=torch.Generator().manual_seed(5))


def make_resnet() -> nn.Module:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    model: nn.Module = torchvision.models.resnet18(num_classes=10)
    with torch.no_grad():
        model(torch.randn(8, 3, 32, 32))  # running statistics of its own
    return model.eval()


def quantise(model: nn.Module, images: torch.Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is on its way into torchao
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

        prepared = prepare_fx(
            copy.deepcopy(model), get_default_qconfig_mapping(torch.backends.quantized.engine), images
        )
        with torch.no_grad():
            prepared(images)
        return convert_fx(prepared)


@pytest.mark.slow
def test_folded_resnet_quantises() -> None:
    """Eight bits are that far off: without folding, torch's own fusing gives as much."""
    model, images = make_resnet(), torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(6))
    folded = pn.fold(model, images)
    assert folded.skipped == ()
    quantised = quantise(folded.model, images)
    kinds = {type(module).__module__ for module in quantised.modules() if isinstance(module, nn.Module)}
    assert any("quantized" in kind for kind in kinds)
    with torch.no_grad():
        truth, ours, theirs = model(images), quantised(images), quantise(model, images)(images)
    far = float((ours - truth).abs().max() / truth.abs().max())
    assert far < max(2 * float((theirs - truth).abs().max() / truth.abs().max()), 0.1)


@pytest.mark.slow
def test_convs_with_a_border_quantise() -> None:
    model = make_bordered()
    folded = pn.fold(model, IMAGES)
    assert folded.bordered
    quantised = quantise(folded.model, IMAGES)
    with torch.no_grad():
        far = (quantised(IMAGES) - model(IMAGES)).abs().max() / model(IMAGES).abs().max()
    assert float(far) < 0.2


@pytest.mark.parametrize("make", [make_bordered, lambda: fill_norms(make_resnet())], ids=["bordered", "resnet18"])
@pytest.mark.slow
def test_folded_network_compiles_at_every_size(make: Any) -> None:
    images = IMAGES if make is make_bordered else torch.randn(2, 3, 32, 32)
    model = make()
    folded = pn.fold(model, images).model
    compiled = torch.compile(folded, fullgraph=True, backend="inductor" if shutil.which("g++") else "aot_eager")
    with torch.no_grad():
        for x in (images, torch.cat([images, images], 3)[1:]):
            expected = model(x)
            torch.testing.assert_close(compiled(x), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
