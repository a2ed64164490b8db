"""Where the trials of a study run, as it was asked for; and the executor for it."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from placenorm.errors import UsageError
from placenorm.study.executors.clusters import Cluster, RayExecutor
from placenorm.study.executors.executor import Executor, K, R
from placenorm.study.executors.inline import InlineExecutor
from placenorm.study.executors.processes import ProcessPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Where trials run. Their numbers do not depend on it.

    Attributes:
        jobs: trials at a time; None for as many as there are cores for; 0 runs them in this process, for a debugger.
        processes_per_trial: processes that one trial has.
        cluster: the Ray cluster that they run on; None for this machine.

    Raises:
        UsageError: if that cannot be.
    """

    jobs: int | None = None
    processes_per_trial: int = 1
    cluster: Cluster | None = None

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 0:
            raise UsageError(
                f"Cannot compare with --jobs {self.jobs}: give the number of worker processes, or 0 to run the trials "
                "in this process, one after the other."
            )
        if self.jobs == 0 and self.cluster is not None:
            raise UsageError("Cannot run on a cluster with --jobs 0, which is for this process: leave one of them out.")

    @property
    def trials_at_a_time(self) -> int:
        """How many trials run side by side."""
        if self.jobs is not None:
            return max(self.jobs, 1)
        return max(len(os.sched_getaffinity(0)) // self.processes_per_trial, 1)


def open_executor(
    machines: Machines,
    make_work: Callable[[], Callable[[K], R]],
    references: Iterable[str] = (),
    files: Iterable[str] = (),
) -> Executor[K, R]:
    """Return the executor for some machines, to be used as a context manager.

    Args:
        machines: where trials run.
        make_work: called once in each worker; gives what runs one trial, from its key to its result.
        references: the user's own code by reference, loaded in each worker first.
        files: further files of the user's that trials read, sent to machines that do not have them.
    """
    if machines.cluster is not None:
        return RayExecutor(make_work, replace(machines.cluster, jobs=machines.jobs), references, files)
    if machines.jobs == 0:
        return InlineExecutor(make_work, references)
    return ProcessPool(make_work, machines.trials_at_a_time, references)
