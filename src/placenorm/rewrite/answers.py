"""The top-1 answers of two networks on the same data."""

from torch import Tensor, nn

from placenorm.errors import DataError, UsageError, first_line
from placenorm.facts.folding import Agreement
from placenorm.graph.tracing import ExampleInputs
from placenorm.probe.measuring import check_batches, fit_inputs, read_batches
from placenorm.rewrite.proving import evaluate


def check_answers(model: nn.Module, example_inputs: ExampleInputs, data: object) -> None:
    """Raise an error for a network that gives no scores to choose from, or data without batches.

    Args:
        model: the network.
        example_inputs: what it is called with.
        data: as for `pn.fold`.

    Raises:
        UsageError: if its output is no tensor of scores, ``[N, K, *]`` with K of 2 or more.
        DataError: if the data are no batches.
    """
    check_batches(data)
    output = evaluate(model, fit_inputs(model, example_inputs))
    if not isinstance(output, Tensor) or output.dim() < 2 or output.shape[1] < 2 or not output.is_floating_point():
        what = f"a tensor {list(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise UsageError(
            f"Cannot compare top-1 answers of {type(model).__name__}: it gives {what}, and no scores [N, K] to choose "
            "from; fold it without data."
        )


def count_agreement(one: nn.Module, other: nn.Module, data: object) -> Agreement:
    """Return how often two networks give the same top-1 answer on some data.

    Args:
        one: a network that gives scores, ``[N, K, *]``.
        other: the same.
        data: a tensor or an iterable of batches; the first element of a tuple is the input.

    Raises:
        DataError: if there is no batch, or the networks do not run on one.
    """
    answers = same = 0
    for place, inputs in enumerate(read_batches(data)):
        try:
            first, second = (evaluate(each, fit_inputs(each, inputs)).argmax(1) for each in (one, other))
        except Exception as error:  # the user's forward, anything can come out of it
            raise DataError(
                f"{type(one).__name__} does not run on batch {place + 1} of the data: {first_line(error)}; give "
                "batches that the model takes, the input first in each."
            ) from error
        answers += first.numel()
        same += int((first == second).sum())
    if not answers:
        raise DataError("There is no batch in the data to compare answers on: give at least one, or a tensor.")
    return Agreement(answers, same)
