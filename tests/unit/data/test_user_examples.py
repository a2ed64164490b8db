"""The files in `examples/`: each does what its first lines say."""

from pathlib import Path

import pytest
import torch

from placenorm.data import fetch, load_data, split
from placenorm.lookup import load_object
from placenorm.zoo import find_model

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_net_is_built_and_takes_digits():
    make = find_model(f"{EXAMPLES}/my_net.py:Net", sample_shape=(1, 8, 8), outputs=10)
    assert make()(torch.randn(3, 1, 8, 8)).shape == (3, 10)


def test_datasets_give_digits_for_the_net():
    source = load_data(f"{EXAMPLES}/my_data.py:datasets")
    assert (source.classes, source.sample_shape) == (10, (1, 8, 8))
    x, _ = fetch(split(source, 0).train, range(64))
    assert 0 <= x.min() < x.max() <= 1


def test_macro_f1_is_the_mean_over_classes():
    macro_f1 = load_object(f"{EXAMPLES}/my_metric.py:macro_f1", "metric")
    targets = torch.tensor([0, 0, 0, 1])
    outputs = torch.nn.functional.one_hot(torch.tensor([0, 0, 0, 0]), 3).float()
    assert macro_f1(outputs, targets) == pytest.approx((6 / 7 + 0) / 2)  # class 2 does not occur
    assert macro_f1(torch.nn.functional.one_hot(targets, 3).float(), targets) == 1.0


def run_training() -> tuple[float, list[tuple[int, float]]]:
    """Train the example's net with the example's loop; returns what it returned and what it reported."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    train = load_object(f"{EXAMPLES}/my_train.py:train", "training loop")
    model = find_model(f"{EXAMPLES}/my_net.py:Net", sample_shape=(1, 8, 8), outputs=10)()
    reports: list[tuple[int, float]] = []
    return train(model, 0, lambda step, value: reports.append((step, value))), reports


def test_train_learns_and_reports():
    final, reports = run_training()
    assert final > 0.8
    steps = [step for step, _ in reports]
    assert len(steps) > 3
    assert steps == sorted(set(steps))


@pytest.mark.slow
def test_train_repeats():
    assert run_training() == run_training()
