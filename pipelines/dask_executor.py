"""The dask.distributed executor: local worker processes, or a running scheduler. The only module that imports dask."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Nanny, Scheduler, SpecCluster, WorkerPlugin, as_completed
from distributed.scheduler import KilledWorker

from dataprep.errors import ClusterLost, ConfigError
from pipelines.executors import WORKER_ENVIRONMENT, Executor, WorkerDied, prepare_worker
from pipelines.machine import WORKER_BYTES, memory_bytes

NO_WORKER_S = 300.0  # a cluster that has no worker for so long is given up
_LOOK_S = 15.0


class DaskExecutor(Executor):
    """Tasks go to worker processes of one thread each; a task that wishes for a GPU goes where one is offered."""

    def __init__(
        self,
        address: str,
        workers: int,
        worker_bytes: int | None = None,
        gpus: int | None = None,
        no_worker_s: float = NO_WORKER_S,
    ) -> None:
        """`address`: local, tcp://host:port or file:PATH.

        For a local cluster: `worker_bytes` is the memory that each worker may take (default: 85% of the machine's,
        shared evenly), `gpus` how many of the workers get a GPU each (default: as many as torch sees).
        """
        _configure_dask()
        self._cluster: Any = None
        if address == "local":
            worker_bytes = worker_bytes or int(0.85 * memory_bytes() / workers)
            self._cluster = _local_cluster(workers, worker_bytes, cuda_devices() if gpus is None else gpus)
            self._client = Client(self._cluster)
        else:
            self._client = _connect(address)
        self._client.register_plugin(_PrepareWorker())
        known = self._client.scheduler_info()["workers"].values()
        self.workers = max(1, sum(worker["nthreads"] for worker in known))
        self.offered = {name for worker in known for name in worker["resources"]}
        self.capacity = max(8, 3 * self.workers)
        self._tasks: dict[Any, Any] = {}
        self._finished = as_completed()
        self._closed = threading.Event()
        threading.Thread(target=self._give_up_without_workers, args=(no_worker_s,), daemon=True).start()

    @property
    def pending(self) -> int:
        return len(self._tasks)

    def submit(self, function: Callable[[Any], Any], task: Any, key: str, resources: dict[str, float]) -> None:
        """A resource that no worker offered at the start is not asked for: `device=auto` then means the CPU."""
        wanted = {name: amount for name, amount in resources.items() if name in self.offered}
        future = self._client.submit(function, task, key=key, pure=False, retries=0, resources=wanted or None)
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
            raise ClusterLost("the dask scheduler or all its workers are gone; finished parts are whole")
        yield task, WorkerDied(str(outcome)) if isinstance(outcome, KilledWorker) else outcome
        future.release()

    def close(self) -> None:
        self._closed.set()
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _give_up_without_workers(self, no_worker_s: float) -> None:
        """Cancel what waits when there has been no worker for long: `completed` then says so."""
        alone_s, look_s = 0.0, min(_LOOK_S, no_worker_s / 3)
        while not self._closed.wait(look_s):
            try:
                alone_s = 0.0 if self._client.nthreads() else alone_s + look_s
                if alone_s >= no_worker_s:
                    self._client.cancel(list(self._finished.futures), force=True)
            except (OSError, CancelledError, ValueError, RuntimeError):  # closing, or the scheduler is gone
                return


class _PrepareWorker(WorkerPlugin):
    """Runs `prepare_worker` in every worker process, also in those that replace a dead one."""

    name = "shhq-hs"

    def setup(self, worker: Any) -> None:
        prepare_worker()


def cuda_devices() -> int:
    """CUDA devices that torch sees here; torch is asked only where the driver's tool is installed."""
    if shutil.which("nvidia-smi") is None and not Path("/dev/nvidia0").exists():
        return 0
    import torch

    return torch.cuda.device_count()


def _configure_dask() -> None:
    logging.getLogger("distributed").setLevel(logging.ERROR)
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a lost scheduler is told in ClusterLost
    dask.config.set(
        {
            "distributed.worker.daemon": False,
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.scheduler.allowed-failures": 0,
        }
    )


def _local_cluster(workers: int, worker_bytes: int, gpus: int) -> SpecCluster:
    """`workers` processes on this machine; the first `gpus` of them own a GPU each, the others see none."""
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}}
    dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT})
    share = {WORKER_BYTES: str(worker_bytes)}  # not pre-spawn: there, what an earlier cluster left in os.environ wins
    visible = _visible_devices(gpus)
    nannies = {}
    for i in range(workers):
        options: dict[str, Any] = {"host": "127.0.0.1", "nthreads": 1, "memory_limit": worker_bytes, "dashboard": False}
        options["env"] = share
        options |= {"silence_logs": logging.WARNING}
        if i < gpus:
            options |= {"resources": {"GPU": 1}, "env": share | {"CUDA_VISIBLE_DEVICES": visible[i]}}
        elif gpus:
            options |= {"env": share | {"CUDA_VISIBLE_DEVICES": ""}}
        nannies[i] = {"cls": Nanny, "options": options}
    return SpecCluster(workers=nannies, scheduler=scheduler, silence_logs=logging.ERROR)


def _visible_devices(gpus: int) -> list[str]:
    """Names of the GPUs as this process was told them, else their numbers."""
    told = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return told if len(told) >= gpus else [str(i) for i in range(gpus)]


def _connect(address: str) -> Client:
    """A client of the scheduler at tcp://host:port or in the scheduler file file:PATH; raises ConfigError."""
    try:
        if address.startswith("file:"):
            path = Path(address.removeprefix("file:"))
            if not path.is_file():
                raise ConfigError(f"--cluster {address}: no such file; dask scheduler --scheduler-file makes it")
            return Client(scheduler_file=str(path), timeout="10s")
        return Client(address, timeout="10s")
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(f"--cluster {address}: no dask scheduler answers there ({error})") from error
