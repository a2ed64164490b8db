"""A real Ray cluster of several node processes on this machine, whose nodes can be killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MEMORY = 80_000_000
"""Bytes of the object store of a node; Ray takes no less."""


@contextmanager
def start_cluster(nodes: int, cpus: int = 1) -> Iterator[Any]:
    """Give a cluster whose head runs no trials; ``cluster.worker_nodes`` do, and ``cluster.remove_node`` kills one."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    )
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cpus, object_store_memory=MEMORY)
        yield cluster
    finally:
        cluster.shutdown()
