"""Executors: where tasks run. The serial one runs the very same code as the dask one (dask_executor.py).

Both take (function, task) pairs and yield (task, result) as they finish. Parallelism is processes with one thread
each: torch, OpenCV and MediaPipe are fastest so, and a crash takes one image along, not its neighbours.
"""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dataprep.errors import ConfigError, Damaged
from dataprep.files.locations import Location
from dataprep.files.own_files import open_to_append
from dataprep.stages.base import Step
from pipelines.machine import watchdog
from pipelines.machine.resources import cores, require_room
from pipelines.machine.stopping import ignore_interrupts

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
    # ...but from one heap: freed pieces of many threads' heaps, and of Arrow's own, are never given back.
    "MALLOC_ARENA_MAX": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


@dataclass(frozen=True)
class Listener:
    """Who hears of workers. `log`: file that stacks and dask's own lines go to; None: they go to stderr.

    `too_long(stage, sample_id)`: a worker ends because that image took too long; "" when it was a batch of images.
    """

    log: Path | None
    too_long: Callable[[str, str], None]


class Executor(ABC):
    """Runs tasks; `workers` is how many at a time, as far as it is known at the start."""

    workers: int

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Tasks to keep submitted so that no worker waits."""

    def require_ready(self, source: Location, out: Location, steps: Sequence[Step]) -> None:  # noqa: B027
        """Raise ConfigError unless every worker runs `steps` as this process would; processes it starts itself do.

        Call with OUT's lock held.
        """

    def listen(self, listener: Listener) -> None:  # noqa: B027
        """Tell `listener` what happens to workers; processes of another kind have nothing to tell.

        Call before the first task; the last listener hears.
        """

    @property
    @abstractmethod
    def pending(self) -> int:
        """Tasks submitted and not yet yielded."""

    @abstractmethod
    def submit(self, function: Callable[[Any], Any], task: Any, key: str, resources: Mapping[str, float]) -> None:
        """Start `function(task)`; `key` names it. `resources`: what the worker must have, if any worker has it."""

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
    """One torch and one OpenCV thread in this process. Call before the first stage runs.

    A torch that is not imported yet reads its environment then: who never needs it need not import it to be told.
    """
    import cv2

    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    cv2.setNumThreads(1)


def prepare_worker(log: Path | None, tell: Callable[[str, str], None]) -> None:
    """`prepare_process` for a process that may be ended when an image takes too long; `tell` as in `Listener`."""
    logging.getLogger("distributed.worker").setLevel(logging.CRITICAL)  # the driver says what failed, and keeps on
    prepare_process()
    watchdog.enable(log_to(log).stream, tell)
    ignore_interrupts()
    # A worker of a foreign nanny is born a daemon, which may not start the processes that isolate images.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]


class _LogFile(logging.FileHandler):
    """A log in OUT, which follows no link that waits under its name."""

    def _open(self) -> Any:
        return open_to_append(Path(self.baseFilename))


def log_to(path: Path | None) -> logging.StreamHandler[Any]:
    """Send dask's log lines of this process to a file; to stderr where it cannot be opened.

    A worker of another machine may not have the folder.
    """
    handler: logging.StreamHandler[Any] = logging.StreamHandler()
    if path is not None:
        with suppress(OSError):
            handler = _LogFile(path, encoding="utf-8")
    dask_log = logging.getLogger("distributed")
    dask_log.handlers[:] = [handler]
    dask_log.propagate = False
    return handler


def capacity_of(workers: int) -> int:
    """Tasks to keep submitted to `workers` processes."""
    return max(8, 3 * workers)


class WorkerDied(Exception):
    """The outcome of a task whose worker process ended under it."""


class SerialExecutor(Executor):
    """Everything in this process, in order: for tests and debuggers."""

    workers = 1
    capacity = 1

    def __init__(self) -> None:
        self._queue: list[tuple[Callable[[Any], Any], Any]] = []

    @property
    def pending(self) -> int:
        return len(self._queue)

    def submit(self, function: Callable[[Any], Any], task: Any, key: str, resources: Mapping[str, float]) -> None:
        self._queue.append((function, task))

    def completed(self) -> Iterator[tuple[Any, Any]]:
        prepare_process()
        function, task = self._queue.pop(0)
        try:
            outcome = function(task)
        except Damaged as error:  # of what the task read: the driver repairs it
            outcome = error
        yield task, outcome

    def close(self) -> None:
        self._queue.clear()


class LocalExecutor(Executor):
    """`workers` processes of this machine, started with the first task: nothing to do costs no process and no dask."""

    def __init__(self, workers: int, dashboard: bool = False) -> None:
        self.workers, self._dashboard = workers, dashboard
        self._started: Executor | None = None
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

    def submit(self, function: Callable[[Any], Any], task: Any, key: str, resources: Mapping[str, float]) -> None:
        self._cluster().submit(function, task, key, resources)

    def completed(self) -> Iterator[tuple[Any, Any]]:
        return self._cluster().completed()

    def close(self) -> None:
        if self._started:
            self._started.close()

    def _cluster(self) -> Executor:
        if self._started is None:
            require_room(self.workers)
            from pipelines.executors.dask_executor import DaskExecutor

            self._started = DaskExecutor("local", self.workers, dashboard=self._dashboard)
            if self._listener:
                self._started.listen(self._listener)
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
    from pipelines.executors.dask_executor import DaskExecutor

    return DaskExecutor(cluster, worker_count(workers))


def worker_count(workers: str) -> int:
    """The number behind --workers; raises ConfigError unless it is "auto" or a positive integer."""
    if workers == "auto":
        return cores()
    if not workers.isdigit() or int(workers) < 1:
        raise ConfigError(f"--workers {workers!r}: expected auto or a number of at least 1")
    return int(workers)
