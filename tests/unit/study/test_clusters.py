import pytest

from placenorm.study.executors.clusters import Cluster, count_slots


@pytest.mark.parametrize(
    ("nodes", "cluster", "slots"),
    [
        ([{"CPU": 4.0}, {"CPU": 3.0}], Cluster("auto"), 7),
        ([{"CPU": 4.0}, {"CPU": 3.0}], Cluster("auto", cpus=2.0), 3),
        ([{"CPU": 1.0}] * 8, Cluster("auto", cpus=2.0), 0),
        ([{"CPU": 1.0}], Cluster("auto", cpus=0.1), 10),
        ([{"CPU": 8.0}, {"CPU": 8.0, "GPU": 2.0}], Cluster("auto", gpus=0.5), 4),
        ([{"CPU": 8.0}], Cluster("auto", gpus=1.0), 0),
        ([{"CPU": 64.0}], Cluster("auto", jobs=5), 5),
        ([], Cluster("auto"), 0),
    ],
    ids=["cores", "no-halves", "none-large-enough", "tenths", "gpus", "no-gpu", "jobs", "no-node"],
)
def test_count_slots_lets_no_trial_span_nodes(nodes: list[dict[str, float]], cluster: Cluster, slots: int) -> None:
    assert count_slots(nodes, cluster) == slots
