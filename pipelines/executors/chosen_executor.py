"""From --cluster and --workers to an executor. dask is imported when the first task needs it (`load`)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dataprep.errors import ConfigError
from pipelines.executors.base import Executor, Listener, Work, capacity_of
from pipelines.executors.serial_executor import SerialExecutor
from pipelines.machine.resources import cores, require_room

if TYPE_CHECKING:
    from pipelines.executors.dask_executor import DaskExecutor


def load() -> type[DaskExecutor]:
    """Import the executor of clusters, and dask with it: half a second and tens of MB that a finished run saves."""
    from pipelines.executors.dask_executor import DaskExecutor

    return DaskExecutor


class LocalExecutor(Executor):
    """`workers` processes of this machine, started with the first task: nothing to do costs no process and no dask."""

    def __init__(self, workers: int, dashboard: bool = False) -> None:
        self.workers, self._dashboard = workers, dashboard
        self._started: DaskExecutor | None = None
        self._listener: Listener | None = None

    def listen(self, listener: Listener) -> None:
        self._listener = listener
        if self._started:
            self._started.listen(listener)

    @property
    def capacity(self) -> int:
        return capacity_of(self.workers)

    @property
    def pending(self) -> int:
        return self._started.pending if self._started else 0

    def submit(self, work: Work) -> None:
        self._cluster().submit(work)

    def completed(self) -> Iterator[tuple[Any, Any]]:
        return self._cluster().completed()

    def close(self) -> None:
        if self._started:
            self._started.close()

    def _cluster(self) -> DaskExecutor:
        if self._started is None:
            require_room(self.workers)
            self._started = load()("local", self.workers, dashboard=self._dashboard)
            if self._listener:
                self._started.listen(self._listener)
            if self._dashboard:
                print(self._started.dashboard, file=sys.stderr)
        return self._started


def make_executor(cluster: str, workers: str, dashboard: bool = False) -> Executor:
    """`cluster`: local, serial, tls://host:port, tcp://host:port or file:PATH (a scheduler file).

    `workers`: a number or "auto". `dashboard`: a local cluster serves dask's page, which needs bokeh (ConfigError).
    """
    if dashboard and cluster != "local":
        raise ConfigError(f"--dashboard is of --cluster local, not of {cluster}: a scheduler that runs has its own")
    if dashboard and importlib.util.find_spec("bokeh") is None:
        raise ConfigError("--dashboard needs the package bokeh, which is not installed: pip install 'bokeh>=3.1'")
    if cluster == "serial":
        return SerialExecutor()
    if cluster == "local":
        return LocalExecutor(worker_count(workers), dashboard)
    if not cluster.startswith(("tls://", "tcp://", "file:")):
        raise ConfigError(f"--cluster {cluster!r}: expected local, serial, tls://host:port, tcp://host:port or "
                          "file:scheduler.json")  # fmt: skip
    return load()(cluster, worker_count(workers))


def worker_count(workers: str) -> int:
    """The number behind --workers; raises ConfigError unless it is "auto" or a positive integer."""
    if workers == "auto":
        return cores()
    if not workers.isdigit() or int(workers) < 1:
        raise ConfigError(f"--workers {workers!r}: expected auto or a number of at least 1")
    return int(workers)
