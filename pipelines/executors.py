"""Executors: where tasks run. The only module that imports dask; the serial one runs the very same code.

Both take (function, task) pairs and yield (task, result) as they finish. Parallelism is processes with one thread
each: torch, OpenCV and MediaPipe are fastest so, and a crash takes one image along, not its neighbours.
"""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any, Self

import dask
from distributed import Client, LocalCluster, WorkerPlugin, as_completed
from distributed.scheduler import KilledWorker

from dataprep.errors import ClusterLost, ConfigError
from pipelines import watchdog
from pipelines.machine import WORKER_BYTES, cores, memory_bytes
from pipelines.stopping import ignore_interrupts

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "GLOG_minloglevel": "2",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",  # crops have hundreds of sizes; torch would keep kernels for 1,024
    # Keep freed memory: a network frees and asks for gigabytes an image, and page faults cost 8% of its time.
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}


class Executor(ABC):
    """Runs tasks; `capacity` is how many to keep submitted so that no worker waits."""

    workers: int
    capacity: int

    @property
    @abstractmethod
    def pending(self) -> int:
        """Tasks submitted and not yet yielded."""

    @abstractmethod
    def submit(self, function: Callable[[Any], Any], task: Any, key: str, resources: dict[str, float]) -> None:
        """Start `function(task)` somewhere; `key` names it, `resources` is what the worker must have."""

    @abstractmethod
    def completed(self) -> Iterator[tuple[Any, Any]]:
        """Yield (task, result or exception) for at least one finished task; blocks until there is one."""

    @abstractmethod
    def close(self) -> None:
        """Stop workers that this executor started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def prepare_process() -> None:
    """One torch and one OpenCV thread in this process. Call before the first stage runs."""
    if all(os.environ.get(name) == value for name, value in WORKER_ENVIRONMENT.items()):
        return  # a worker is born so, and need not import torch to be told
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def prepare_worker() -> None:
    """`prepare_process` for a process that may be ended when an image takes too long."""
    logging.getLogger("distributed.worker").setLevel(logging.CRITICAL)  # the driver says what failed, and keeps on
    prepare_process()
    watchdog.enable()
    ignore_interrupts()


def worker_died(outcome: object) -> bool:
    """Whether a task's outcome says that its worker process ended under it."""
    return isinstance(outcome, KilledWorker)


class SerialExecutor(Executor):
    """Everything in this process, in order: for tests and debuggers."""

    workers, capacity = 1, 1

    def __init__(self) -> None:
        self._queue: list[tuple[Callable[[Any], Any], Any]] = []
        prepare_process()

    @property
    def pending(self) -> int:
        return len(self._queue)

    def submit(self, function: Callable[[Any], Any], task: Any, key: str, resources: dict[str, float]) -> None:
        self._queue.append((function, task))

    def completed(self) -> Iterator[tuple[Any, Any]]:
        function, task = self._queue.pop(0)
        yield task, function(task)

    def close(self) -> None:
        self._queue.clear()


class _PrepareWorker(WorkerPlugin):
    """Runs `prepare_worker` in every worker process, also in those that replace a dead one."""

    name = "shhq-hs"

    def setup(self, worker: Any) -> None:
        prepare_worker()


class DaskExecutor(Executor):
    """A dask.distributed cluster: local worker processes, or a running scheduler by its address."""

    def __init__(self, address: str, workers: int, worker_bytes: int | None = None) -> None:
        """`worker_bytes`: memory that each local worker may take (default: 85% of the machine's, shared evenly)."""
        worker_bytes = worker_bytes or int(0.85 * memory_bytes() / workers)
        logging.getLogger("distributed").setLevel(logging.ERROR)
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a lost scheduler is told below
        dask.config.set(
            {
                "distributed.worker.daemon": False,
                "distributed.worker.memory.target": False,
                "distributed.worker.memory.spill": False,
                "distributed.worker.memory.pause": False,
                "distributed.scheduler.allowed-failures": 0,
                "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT | {WORKER_BYTES: str(worker_bytes)},
            }
        )
        self._cluster: Any = None
        if address == "local":
            self._cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=worker_bytes,
                dashboard_address="127.0.0.1:0",
            )
            self._client = Client(self._cluster)
        else:
            try:
                self._client = Client(address, timeout="10s")
            except (OSError, TimeoutError) as error:
                raise ConfigError(f"--cluster {address}: no dask scheduler answers there ({error})") from error
        self._client.register_plugin(_PrepareWorker())
        self.workers = max(1, sum(self._client.nthreads().values()))
        self.capacity = max(8, 3 * self.workers)
        self._tasks: dict[Any, Any] = {}
        self._finished = as_completed()

    @property
    def pending(self) -> int:
        return len(self._tasks)

    def submit(self, function: Callable[[Any], Any], task: Any, key: str, resources: dict[str, float]) -> None:
        future = self._client.submit(function, task, key=key, pure=False, retries=0, resources=resources or None)
        self._tasks[future.key] = task
        self._finished.add(future)

    def completed(self) -> Iterator[tuple[Any, Any]]:
        future = next(self._finished)
        task = self._tasks.pop(future.key)
        try:
            error = future.exception()
            outcome = future.result() if error is None else error
        except (CancelledError, OSError, TimeoutError) as lost:
            outcome = lost
        if isinstance(outcome, CancelledError | OSError) and future.status in ("cancelled", "lost"):
            raise ClusterLost("the dask scheduler is gone; finished parts are whole")
        yield task, outcome
        future.release()

    def close(self) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def make_executor(cluster: str, workers: str) -> Executor:
    """`cluster`: local, serial, tcp://host:port. `workers`: a number or "auto" (one per core, memory permitting)."""
    if cluster == "serial":
        return SerialExecutor()
    if cluster != "local" and not cluster.startswith(("tcp://", "tls://", "ucx://")):
        raise ConfigError(f"--cluster {cluster!r}: expected local, serial or tcp://host:port")
    return DaskExecutor(cluster, worker_count(workers))


def worker_count(workers: str) -> int:
    """The number behind --workers; raises ConfigError unless it is "auto" or a positive integer."""
    if workers == "auto":
        return cores()
    if not workers.isdigit() or int(workers) < 1:
        raise ConfigError(f"--workers {workers!r}: expected auto or a number of at least 1")
    return int(workers)
