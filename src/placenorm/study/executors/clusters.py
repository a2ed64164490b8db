"""Trials as tasks of a Ray cluster: where each runs, and again after the loss of a worker or a node, is Ray's to say.

The driver holds what was asked for, by key, and takes each outcome once; Ray may begin a trial more than once.
"""

import platform
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from types import TracebackType
from typing import Any, NoReturn, Self
from uuid import uuid4

from placenorm.errors import TrialError, UsageError, hide_passwords
from placenorm.facts.trial import Failure
from placenorm.lookup import describe_error
from placenorm.study.executors.collecting import Collector
from placenorm.study.executors.executor import ATTEMPTS, K, Outcome, R
from placenorm.study.executors.kits import ONE_THREAD, Kit, Unfit, make_ready, pack_kit, refuse_worker, run_trial
from placenorm.study.executors.sources import Sources, collect_sources, receive_sources

SIZE_S = 10.0
"""How long the size of the cluster is believed; nodes come and go."""

KNOCK_S = 10.0
"""How long a cluster may take to answer at first."""

AUTO = "auto"

_ready: dict[str, Callable[[Any], Any] | Unfit] = {}
"""What a worker process of Ray has made ready, by the run; Ray keeps its processes from one task to the next."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster, and what one trial has of it.

    Attributes:
        address: ``auto`` for the cluster that this machine belongs to, or an address as Ray has them.
        cpus: cores for each trial.
        gpus: GPUs for each trial, or a share of one.
        jobs: trials at a time, at most; None for as many as there is room for.
    """

    address: str
    cpus: float = 1.0
    gpus: float = 0.0
    jobs: int | None = None

    def __post_init__(self) -> None:
        if not self.cpus > 0 or not self.gpus >= 0:
            raise UsageError(
                f"Cannot give each trial {self.cpus:g} cores and {self.gpus:g} GPUs of the cluster: give some cores "
                "with --trial-cpus, and 0 or more GPUs with --trial-gpus, such as 0.5."
            )


class RayExecutor(Collector[K, R]):
    """Runs trials on a Ray cluster.

    What all trials need is put into the cluster's memory once, and made ready once in each worker process. User's
    files that a node does not have are sent along.

    Args:
        make_work: called once in each worker; gives what runs one trial, from its key to its result.
        cluster: the cluster, and what one trial has of it.
        references: the user's own code by reference, loaded in each worker first.
        files: further files of the user's that trials read.
    """

    def __init__(
        self,
        make_work: Callable[[], Callable[[K], R]],
        cluster: Cluster,
        references: Iterable[str] = (),
        files: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self._kit = pack_kit(make_work, references)
        self._sources = collect_sources(self._kit.references, files)
        self._cluster = cluster
        self._ray: Any = None
        self._mine = False
        self._task: Any = None
        self._shared: Any = None
        self._pending: dict[Any, K] = {}
        self._slots, self._sized = 1, -SIZE_S

    @property
    def slots(self) -> int:
        """How many trials there is room for."""
        if time.monotonic() - self._sized > SIZE_S:
            self._sized = time.monotonic()
            try:
                self._slots = max(1, count_slots(self._list_nodes(), self._cluster))
            except Exception as error:  # Ray has no one kind for a cluster that is gone
                _refuse_loss(error)
        return self._slots

    def submit(self, key: K) -> None:
        """Queue a trial."""
        try:
            self._pending[self._task.remote(*self._shared, key)] = key
        except Exception as error:
            _refuse_loss(error)

    @property
    def _is_busy(self) -> bool:
        return bool(self._pending)

    def _listen(self, patience_s: float) -> None:
        if not self._pending:
            return
        try:
            ready, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=patience_s)
            if ready:
                ready, _ = self._ray.wait(list(self._pending), num_returns=len(self._pending), timeout=0.0)
        except Exception as error:
            _refuse_loss(error)
        for reference in ready:
            self._receive(reference)

    def _receive(self, reference: Any) -> None:
        key = self._pending.pop(reference)
        try:
            message: Outcome[K, R] | Unfit = self._ray.get(reference)
        except self._ray.exceptions.WorkerCrashedError:
            reason = f"its worker process died {ATTEMPTS} times: killed, or out of memory"
            self._outcomes.append(Outcome(key, None, Failure(reason)))
        except self._ray.exceptions.RayTaskError as error:  # the outcome could not be pickled
            self._outcomes.append(Outcome(key, None, Failure(f"its result cannot be sent: {describe_error(error)}")))
        except self._ray.exceptions.RayError as error:
            if not self._is_there():
                self._pending[reference] = key
                _refuse_loss(error)
            self._outcomes.append(Outcome(key, None, Failure(f"Ray gave it up: {describe_error(error)}")))
        else:
            if isinstance(message, Unfit):
                refuse_worker(message)
            self._outcomes.append(message)

    def _list_nodes(self) -> list[dict[str, float]]:
        """Return the resources of every node that is alive."""
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _is_there(self) -> bool:
        try:
            return any(node["Alive"] for node in self._ray.nodes())
        except Exception:  # as above
            return False

    def __enter__(self) -> Self:
        self._ray = load_ray()
        self._mine = not self._ray.is_initialized()
        if self._mine:
            connect(self._ray, self._cluster.address)
        try:
            nodes = self._list_nodes()
            if not count_slots(nodes, self._cluster):
                most = {kind: max((node.get(kind, 0.0) for node in nodes), default=0.0) for kind in ("CPU", "GPU")}
                raise UsageError(
                    f"No trial fits on a node of the Ray cluster: each asks for {self._cluster.cpus:g} cores and "
                    f"{self._cluster.gpus:g} GPUs, and no node has more than {most['CPU']:g} and {most['GPU']:g}; ask "
                    "for less with --trial-cpus and --trial-gpus, or add larger nodes."
                )
            self._shared = uuid4().hex, read_versions(), self._ray.put(self._kit), self._ray.put(self._sources)
            self._task = self._ray.remote(_run_here).options(
                num_cpus=self._cluster.cpus,
                num_gpus=self._cluster.gpus,
                max_retries=ATTEMPTS - 1,
                retry_exceptions=False,
                runtime_env={"env_vars": ONE_THREAD},
            )
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reference in self._pending:
            with suppress(Exception):  # the cluster may be gone
                self._ray.cancel(reference, force=True)
        self._pending.clear()
        self._leave()

    def _leave(self) -> None:
        if self._mine:
            with suppress(Exception):
                self._ray.shutdown()


def load_ray() -> Any:
    """Return the module of Ray.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError("Cannot run on a cluster without Ray: pip install 'placenorm[ray]'.") from error
    return ray


def connect(ray: Any, address: str) -> None:
    """Connect this process to a cluster.

    Raises:
        UsageError: if there is none at the address.
    """
    where = "this machine" if address == AUTO else hide_passwords(address)
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, configure_logging=False, include_dashboard=False)
    except Exception as error:  # ConnectionError, ValueError, RuntimeError, grpc's own
        raise UsageError(
            f"Cannot reach a Ray cluster at {where}: {hide_passwords(describe_error(error))}; start one with "
            "ray start --head, or give its address with --ray HOST:PORT."
        ) from error


def _knock(address: str) -> None:
    """Raise an error where nobody listens at an address: Ray itself would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        with socket.create_connection((host, int(port)), timeout=KNOCK_S):
            pass


def count_slots(nodes: Iterable[dict[str, float]], cluster: Cluster) -> int:
    """Return how many trials a cluster has room for; each runs on one node.

    Args:
        nodes: resources of every node, as Ray counts them.
        cluster: what one trial has of it.
    """
    wanted = {"CPU": cluster.cpus, "GPU": cluster.gpus}
    room = sum(min(int(node.get(kind, 0.0) / each + 1e-9) for kind, each in wanted.items() if each) for node in nodes)
    return room if cluster.jobs is None else min(room, cluster.jobs)


def read_versions() -> dict[str, str]:
    """Return the versions of what must be the same on every node, as trials could differ otherwise."""
    return {
        "Python": platform.python_version().rpartition(".")[0],
        "placenorm": version("placenorm"),
        "torch": version("torch").partition("+")[0],
    }


def check_versions(driver: dict[str, str]) -> Unfit | None:
    """Return why this process is not fit to run trials of a driver with such versions; None where it is."""
    for what, here in read_versions().items():
        if here != driver[what]:
            return Unfit(
                UsageError(
                    f"Cannot run trials on the node {socket.gethostname()}: it has {what} {here}, and the driver "
                    f"{driver[what]}, so that trials could differ; install the same version on every node."
                )
            )
    return None


def _run_here(run: str, versions: dict[str, str], kit: Kit, sources: Sources, key: Any) -> Any:
    """Run one trial in a worker process of the cluster; what it needs is made ready the first time."""
    if run not in _ready:
        _ready.clear()  # a process that goes over to another run needs no data of the last one
        _ready[run] = check_versions(versions) or _settle(kit, sources)
    work = _ready[run]
    return work if isinstance(work, Unfit) else run_trial(work, key)


def _settle(kit: Kit, sources: Sources) -> Callable[[Any], Any] | Unfit:
    """Return what runs one trial in this process, or why it cannot."""
    try:
        receive_sources(sources)
    except OSError as error:
        return Unfit(f"your files cannot be written to the node {socket.gethostname()} ({describe_error(error)})")
    return make_ready(kit)


def _refuse_loss(error: Exception) -> NoReturn:
    """Raise that the cluster is gone."""
    raise TrialError(
        f"The Ray cluster is gone: {hide_passwords(describe_error(error))}; finished trials are kept, so start it "
        "again and go on with --resume."
    ) from error
