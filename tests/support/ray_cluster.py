"""A real Ray cluster of several node processes on this machine, whose nodes can be killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]

MEMORY = 80_000_000
"""Bytes of the object store of a node; Ray takes no less."""


@contextmanager
def start_cluster(nodes: int, cpus: int = 1) -> Iterator[Any]:
    """Give a cluster whose head runs no trials; ``cluster.worker_nodes`` do, and ``cluster.remove_node`` kills one.

    Its workers find what the tests bring along, as they would an installed package.
    """
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False},
        )
        for _ in range(nodes):
            cluster.add_node(num_cpus=cpus, object_store_memory=MEMORY)
    try:
        yield cluster
    finally:
        cluster.shutdown()
