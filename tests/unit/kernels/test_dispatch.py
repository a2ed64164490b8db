"""Which inputs the fast kernels take, and what importing the choice brings along."""

import subprocess
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from placenorm.kernels import dispatch
from placenorm.kernels.activations import Activation
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.pool_chain import MaxPool, PoolChain

RELU = Activation("relu")


@pytest.mark.parametrize(("padding", "said"), [((1, 1), "cells of a channel"), ((0, 0), "")], ids=["padded", "plain"])
def test_cells_of_the_padding_count(padding: tuple[int, int], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "HAS_TRITON", True)
    pool = MaxPool((2, 2), (1, 1), padding)
    with FakeTensorMode():
        x = torch.empty(dispatch.MOST_VALUES // 4, 1, 1, 1, device="cuda")
        gaps = (
            dispatch.find_pool_gap(x, PoolChain(pool, RELU)),
            dispatch.find_chain_pool_gap(x, ChainPool(pool, RELU)),
        )
    assert [said in gap and bool(said) == bool(gap) for gap in gaps] == [True, True]


def test_forks_are_seen_from_the_import_of_the_layers_on() -> None:
    code = "import sys, placenorm.layers; print('placenorm.kernels.threads' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
