"""The article's example: the numbers of each step are what the step says."""

import base64
import math

import pytest

from placenorm.report.language import Language
from placenorm.report.stepper import EPS, NEURON, NEURONS, SAMPLES, encode_example, make_example, say_steps


def mean_and_sd(values: list[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def test_example_is_the_same_every_time() -> None:
    assert make_example() == make_example()


def test_every_column_has_mean_0_and_sd_1_once_divided() -> None:
    example = make_example()
    for neuron in range(1, NEURONS + 1):
        mean, sd = mean_and_sd(example.column(neuron, "divided"))
        assert mean == pytest.approx(0, abs=1e-12)
        assert sd == pytest.approx(1, abs=EPS * 100)


def test_gamma_is_the_standard_deviation_and_beta_the_mean_afterwards() -> None:
    example = make_example()
    mean, sd = mean_and_sd(example.column(NEURON, "affine"))
    assert mean == pytest.approx(example.betas[NEURON - 1])
    assert sd == pytest.approx(example.gammas[NEURON - 1], rel=1e-4)


def test_steps_say_their_numbers() -> None:
    steps = say_steps(make_example(), Language("en"))
    assert [step.title for step in steps][3] == "Divided by the standard deviation"
    assert "mean 0 and standard deviation 1;" in steps[3].says
    assert "۱۲۸" in say_steps(make_example(), Language("fa"))[1].says


def test_page_can_read_the_outputs_back() -> None:
    example = make_example()
    raw = base64.b64decode(encode_example(example, Language("en"))["raw"])
    assert len(raw) == SAMPLES * NEURONS
    read = [(byte - 256 if byte > 127 else byte) / 10 for byte in raw[:NEURONS]]
    assert read == list(example.rows[0])
