import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torch import Tensor

from placenorm.errors import TrialError, UsageError
from placenorm.facts.comparison import Task
from placenorm.study.metrics import find_scorer, learned_nothing


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("r2", sklearn_metrics.r2_score),
        ("rmse", sklearn_metrics.root_mean_squared_error),
        ("mae", sklearn_metrics.mean_absolute_error),
    ],
    ids=["r2", "rmse", "mae"],
)
def test_regression_metrics_equal_scikit_learns(name: str, twin: object) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.rand(2, 50, generator=generator)
    expected = twin(targets.numpy(), outputs.numpy())  # type: ignore[operator]
    assert find_scorer(name, "regression", 50).score(outputs, targets) == pytest.approx(expected, rel=1e-6)


def test_accuracy_equals_scikit_learns_and_moves_in_samples() -> None:
    logits = torch.eye(4)
    targets = torch.tensor([0, 1, 2, 0])
    scorer = find_scorer("accuracy", "classification", 4)
    assert scorer.score(logits, targets) == sklearn_metrics.accuracy_score(targets, logits.argmax(1)) == 0.75
    assert scorer.metric.quantum == 0.25


@pytest.mark.parametrize(
    ("task", "name"), [("classification", "accuracy"), ("regression", "r2")], ids=["classification", "regression"]
)
def test_find_scorer_usual_metric_of_a_task(task: Task, name: str) -> None:
    assert find_scorer(None, task, 10).metric.name == name


def test_find_scorer_own_function_says_which_way_is_good() -> None:
    def distance(outputs: Tensor, targets: Tensor) -> float:
        return float((outputs - targets).abs().max())

    distance.higher_is_better = False  # type: ignore[attr-defined]
    scorer = find_scorer(distance, "regression", 10)
    assert (scorer.metric.name, scorer.metric.higher_is_better) == ("distance", False)
    assert scorer.score(torch.tensor([1.0, 5.0]), torch.tensor([1.0, 2.0])) == 3.0


@pytest.mark.parametrize(
    ("name", "task", "words"),
    [
        ("accurancy", "classification", "Unknown metric 'accurancy': use accuracy, r2"),
        ("rmse", "classification", "rmse is for regression, these data are for classification: use accuracy"),
        ("nowhere.py:f", "classification", r"nowhere\.py"),
    ],
    ids=["unknown", "other-task", "no-file"],
)
def test_find_scorer_bad_name_is_one_sentence(name: str, task: Task, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_scorer(name, task, 10)


def test_score_that_is_not_finite_is_none() -> None:
    assert find_scorer("rmse", "regression", 2).score(torch.tensor([float("nan")]), torch.zeros(1)) is None


def test_score_own_function_that_fails_names_itself() -> None:
    def broken(outputs: Tensor, targets: Tensor) -> float:
        raise KeyError("x")

    with pytest.raises(TrialError, match=r"The metric broken cannot be taken: .*KeyError"):
        find_scorer(broken, "regression", 2).score(torch.zeros(2), torch.zeros(2))


def test_learned_nothing_is_the_commonest_class() -> None:
    outputs = learned_nothing(torch.tensor([2, 0, 2]), "classification", 5, 4)
    assert outputs.shape == (5, 4)
    assert outputs.argmax(1).tolist() == [2] * 5


def test_learned_nothing_is_the_mean_and_has_no_r2() -> None:
    targets = torch.tensor([1.0, 2.0, 6.0])
    outputs = learned_nothing(targets, "regression", 3, 1)
    assert outputs.tolist() == [3.0] * 3
    assert find_scorer("r2", "regression", 3).score(outputs, targets) == pytest.approx(0)
