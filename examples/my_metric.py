"""A metric of your own: a function from all outputs and all targets to one number; higher is better.

placenorm compare --metric examples/my_metric.py:macro_f1
"""

from torch import Tensor


def macro_f1(outputs: Tensor, targets: Tensor) -> float:
    """Return the mean over classes of the F1 score (0 to 1): rare classes count as much as common ones.

    Args:
        outputs: logits, ``[N, K]``.
        targets: classes, ``[N]``, from 0 to K-1.
    """
    predictions = outputs.argmax(dim=1)
    scores = []
    for label in range(outputs.shape[1]):
        hits = int(((predictions == label) & (targets == label)).sum())
        named = int((predictions == label).sum()) + int((targets == label).sum())
        if named:  # a class that is neither there nor predicted says nothing
            scores.append(2 * hits / named)
    return sum(scores) / len(scores)
