"""What torch asks of an operator: a true schema, a fake kernel with the same metadata, autograd that compiles."""

import pytest
import torch
from torch import Tensor

from placenorm.layers import operators

SHAPE = (4, 3, 5)
EPS = 1e-5


def _draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()


def _channels_last() -> Tensor:
    return _draw(4, 5, 3).detach().transpose(1, 2).requires_grad_()


STATISTICS = (torch.zeros(3), torch.ones(3))
WEIGHT = (_draw(3), _draw(3))
CALLS = {
    "train": (operators.batch_norm, (_draw(*SHAPE), *WEIGHT, EPS)),
    "train-plain": (operators.batch_norm, (_draw(*SHAPE), None, None, EPS)),
    "train-channels-last": (operators.batch_norm, (_channels_last(), *WEIGHT, EPS)),
    "train-bfloat16": (operators.batch_norm, (_draw(*SHAPE, dtype=torch.bfloat16), *WEIGHT, EPS)),
    "train-float16": (operators.batch_norm, (_draw(*SHAPE, dtype=torch.float16), *WEIGHT, EPS)),
    "backward": (operators.batch_norm_backward, (_draw(*SHAPE), _draw(*SHAPE), *STATISTICS, _draw(3))),
    "eval": (operators.batch_norm_eval, (_draw(*SHAPE), *STATISTICS, *WEIGHT, EPS)),
    "eval-plain": (operators.batch_norm_eval, (_draw(*SHAPE), *STATISTICS, None, None, EPS)),
    "eval-bfloat16": (operators.batch_norm_eval, (_draw(*SHAPE, dtype=torch.bfloat16), *STATISTICS, *WEIGHT, EPS)),
    "eval-backward": (
        operators.batch_norm_eval_backward,
        (_draw(*SHAPE), _draw(*SHAPE), *STATISTICS, _draw(3), EPS),
    ),
}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # opcheck itself reads it, torch 2.14
@pytest.mark.parametrize(("operator", "arguments"), CALLS.values(), ids=CALLS.keys())
def test_operator_passes_opcheck(operator: torch.library.CustomOpDef, arguments: tuple[object, ...]) -> None:
    torch.library.opcheck(operator, arguments)
