"""A norm taken into weights: the weights alone compute what weights and norm did."""

import pytest
import torch
from torch import Tensor, nn

from placenorm.errors import ModelError
from placenorm.rewrite.absorbing import absorb_input, absorb_output, affine_of, give_bias, give_biases

LAYERS = {
    "conv1d": (lambda: nn.Conv1d(4, 6, 3), (2, 4, 9)),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3), (2, 4, 7, 7)),
    "conv3d": (lambda: nn.Conv3d(4, 6, 2), (2, 4, 5, 5, 5)),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2), (2, 4, 7, 7)),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4), (2, 4, 7, 7)),
    "reflect": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), (2, 4, 7, 7)),
    "linear": (lambda: nn.Linear(4, 6), (3, 4)),
}
TRANSPOSED = {
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), (2, 4, 5, 5)),
    "transposed-grouped": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (2, 4, 5, 5)),
    "zero-padded": (lambda: nn.Conv2d(4, 6, 3, padding=1), (2, 4, 7, 7)),
}


def norm_for(x: Tensor, channels: int) -> nn.Module:
    """Return a norm that evaluates, with gamma of both signs, for tensors like this one."""
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[x.dim()]
    norm = kind(channels).double().eval()
    generator = torch.Generator().manual_seed(3)
    for value in (norm.weight, norm.bias, norm.running_mean):
        value.data = torch.randn(channels, generator=generator, dtype=torch.float64)
    norm.running_var.data = torch.rand(channels, generator=generator, dtype=torch.float64) + 0.1
    return norm


@pytest.mark.parametrize("name", [*LAYERS, *TRANSPOSED])
@torch.no_grad()
def test_absorb_output_computes_what_layer_and_norm_did(name: str) -> None:
    torch.manual_seed(0)
    make, shape = {**LAYERS, **TRANSPOSED}[name]
    layer, x = make().double(), torch.randn(shape, dtype=torch.float64)
    norm = norm_for(layer(x), layer(x).shape[1])
    expected = norm(layer(x))
    absorb_output(layer, affine_of(norm))
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_absorb_input_computes_what_norm_and_layer_did(name: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer, x = make().double(), torch.randn(shape, dtype=torch.float64)
    norm = norm_for(x, 4)
    expected = layer(norm(x))
    absorb_input(layer, affine_of(norm))
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_absorb_input_of_a_zero_padded_conv_is_wrong_at_the_border_alone() -> None:
    """What `place` refuses: the padding would have to be what the norm makes of zero... and is zero."""
    torch.manual_seed(0)
    layer, x = nn.Conv2d(4, 6, 3, padding=1).double(), torch.randn(2, 4, 7, 7, dtype=torch.float64)
    norm = norm_for(x, 4)
    expected = layer(norm(x))
    absorb_input(layer, affine_of(norm))
    off = (layer(x) - expected).abs()
    assert float(off[..., 1:-1, 1:-1].max()) < 1e-12
    assert float(off.max()) > 0.1


@torch.no_grad()
def test_absorb_input_behind_a_flatten_repeats_each_channel() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(4 * 9, 5).double(), torch.randn(2, 4, 3, 3, dtype=torch.float64)
    norm = norm_for(x, 4)
    expected = layer(norm(x).flatten(1))
    absorb_input(layer, affine_of(norm).repeat(9))
    torch.testing.assert_close(layer(x.flatten(1)), expected, rtol=1e-12, atol=1e-12)


def test_affine_of_a_norm_without_gamma_and_beta_standardises() -> None:
    norm = nn.BatchNorm1d(2, affine=False)
    norm.running_mean.copy_(torch.tensor([1.0, -2.0]))
    norm.running_var.copy_(torch.tensor([4.0, 0.25]))
    affine = affine_of(norm)
    torch.testing.assert_close(
        affine.scale * torch.tensor([3.0, -1.5]) + affine.shift, torch.ones(2).double(), rtol=1e-4, atol=0.0
    )


def test_give_bias_adds_zeros_once() -> None:
    layer = nn.Conv2d(2, 3, 1, bias=False).to(torch.bfloat16)
    give_bias(layer, 3)
    given = layer.bias
    give_bias(layer, 3)
    assert layer.bias is given
    assert (given.dtype, given.tolist()) == (torch.bfloat16, [0.0, 0.0, 0.0])


def test_give_biases_to_a_path_that_is_no_weight_op_is_one_sentence() -> None:
    with pytest.raises(
        ModelError, match=r"Cannot give 1 a bias: the model has no conv and no linear layer of that path"
    ):
        give_biases(nn.Sequential(nn.Linear(1, 1), nn.ReLU()), ["1"])
