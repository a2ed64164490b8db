"""The fused chains as operators: what torch asks of an operator, and gradients through autograd."""

import pytest
import torch
import torch.nn.functional as F

from placenorm.kernels.activations import activate
from placenorm.kernels.chain import Chain
from placenorm.layers.chain_operators import chain as chain_operator
from support.cases.chains import COMMON, ChainInput

EPS = 1e-5
GIVEN = ChainInput("usual", (4, 3, 10))
EACH_CHAIN = pytest.mark.parametrize("chain", COMMON, ids=str)


def make_arguments(chain: Chain) -> tuple[object, ...]:
    held = GIVEN.make(chain, torch.Tensor.contiguous)
    leaves = [held[name] for name in ("x", "residual", "weight", "bias")]
    parameters = tuple(None if leaf is None else leaf.requires_grad_() for leaf in leaves)
    return (*parameters, EPS, chain.before.name, chain.after.name, 0.0)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # opcheck itself reads it, torch 2.14
@EACH_CHAIN
def test_operator_is_what_torch_asks_of_one(chain: Chain) -> None:
    found = torch.library.opcheck(chain_operator, make_arguments(chain))
    assert set(found.values()) == {"SUCCESS"}


@EACH_CHAIN
def test_gradients_are_those_of_torch(chain: Chain) -> None:
    ours, theirs = make_arguments(chain), make_arguments(chain)
    dy = GIVEN.make(chain, torch.Tensor.contiguous)["dy"]
    chain_operator(*ours)[0].backward(dy)
    x, residual, weight, bias = theirs[:4]
    z = F.batch_norm(activate(x, chain.before), None, None, weight, bias, training=True, eps=EPS)
    activate(z if residual is None else z + residual, chain.after).backward(dy)
    for found, right in zip(ours[:4], theirs[:4], strict=True):
        if right is not None:
            torch.testing.assert_close(found.grad, right.grad, rtol=1e-4, atol=1e-5)
