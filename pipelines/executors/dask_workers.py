"""Worker processes of this machine: those of a local cluster, and those that join a scheduler (`shhq-hs worker`).

A worker process has one thread and its share of the memory; the first ones own a GPU each, the others see none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask
from distributed import Nanny, Scheduler, SpecCluster

from dataprep.errors import ClusterLost, ConfigError
from dataprep.files.untrusted import parse_json
from pipelines.executors.dask_security import own_keys, private_folder, require_keys
from pipelines.executors.worker_process import WORKER_ENVIRONMENT
from pipelines.machine.resources import WORKER_BYTES, memory_bytes

NO_SCHEDULER_S = 300.0  # a worker waits so long for a scheduler that is away
_AGAIN_S = 2.0


def configure_dask() -> None:
    logging.getLogger("distributed").setLevel(logging.ERROR)
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a lost scheduler is told in ClusterLost
    dask.config.set(
        {
            "distributed.worker.daemon": False,
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.scheduler.allowed-failures": 0,
            "distributed.admin.tick.limit": "10 minutes",  # else busy workers write remarks into the live line
            "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
            "distributed.worker.http.routes": [],  # pages of a worker's state, open to whoever finds the port
            "temporary-directory": private_folder(),
        }
    )


def local_cluster(
    workers: int, worker_bytes: int | None = None, gpus: int | None = None, dashboard: bool = False
) -> SpecCluster:
    """A scheduler and `workers` processes on this machine, which admit each other and this process alone.

    `dashboard` opens dask's page of the workers, which has no lock: every account of this machine can read it.
    """
    options = worker_options(workers, worker_bytes, gpus)
    keys = own_keys()
    common = {"host": "127.0.0.1", "protocol": "tls://", "security": keys}
    scheduler = {"port": 0, "dashboard_address": "127.0.0.1:0", "dashboard": dashboard}
    routes: dict[str, Any] = {} if dashboard else {"distributed.scheduler.http.routes": []}  # else pages of every task
    with dask.config.set(routes):
        return SpecCluster(
            workers={i: {"cls": Nanny, "options": one | common} for i, one in enumerate(options)},
            scheduler={"cls": Scheduler, "options": scheduler | common},
            security=keys,
            silence_logs=logging.ERROR,
        )


def worker_options(workers: int, worker_bytes: int | None = None, gpus: int | None = None) -> list[dict[str, Any]]:
    """What each of `workers` nannies is told.

    `worker_bytes`: memory that each worker may take (default: 85% of the machine's, shared evenly). The first `gpus`
    own a GPU each (default: as many as torch sees), the others see none.
    """
    configure_dask()
    worker_bytes = worker_bytes or int(0.85 * memory_bytes() / workers)
    gpus = cuda_devices() if gpus is None else gpus
    share = {WORKER_BYTES: str(worker_bytes)}  # not pre-spawn: there, what an earlier cluster left in os.environ wins
    visible = _visible_devices(gpus)
    common: dict[str, Any] = {
        "nthreads": 1,
        "memory_limit": worker_bytes,
        "dashboard": False,
        "silence_logs": logging.WARNING,
    }
    found: list[dict[str, Any]] = []
    for i in range(workers):
        options = common | {"env": share}
        if i < gpus:
            options |= {"resources": {"GPU": 1}, "env": share | {"CUDA_VISIBLE_DEVICES": visible[i]}}
        elif gpus:
            options |= {"env": share | {"CUDA_VISIBLE_DEVICES": ""}}
        found.append(options)
    return found


def cuda_devices() -> int:
    """CUDA devices that torch sees here; asked in a process of its own, and only where the driver's tool is."""
    if shutil.which("nvidia-smi") is None and not Path("/dev/nvidia0").exists():
        return 0
    count = [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"]
    return int(subprocess.run(count, check=True, capture_output=True, text=True).stdout.split()[-1])


def _visible_devices(gpus: int) -> list[str]:
    """Names of the GPUs as this process was told them, else their numbers."""
    told = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return told if len(told) >= gpus else [str(i) for i in range(gpus)]


def join(cluster: str, workers: int, gpus: int | None = None, no_scheduler_s: float = NO_SCHEDULER_S) -> int:
    """Work for the scheduler at tls://host:port, tcp://host:port or file:PATH until SIGINT or SIGTERM; returns 0.

    A scheduler that goes away is waited for, and joined again. Raises ClusterLost when it stays away, ConfigError when
    dask's settings have no keys for tls://.
    """
    if not cluster.startswith(("tls://", "tcp://", "file:")):
        raise ConfigError(f"{cluster!r}: expected tls://host:port, tcp://host:port or file:scheduler.json of a dask "
                          "scheduler")  # fmt: skip
    require_keys(cluster, "worker", cluster)
    options = worker_options(workers, None, gpus)
    with_gpu = sum("resources" in one for one in options)
    print(f"{workers} workers{f', {with_gpu} of them with a GPU' if with_gpu else ''}, for {cluster}", flush=True)
    return asyncio.run(_serve(cluster, options, no_scheduler_s))


async def _serve(cluster: str, options: list[dict[str, Any]], no_scheduler_s: float) -> int:
    told_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    since_s = time.monotonic()
    while not told_to_stop.is_set():
        if await asyncio.to_thread(_answers, cluster):
            await _work_until_lost(cluster, options, told_to_stop)
            since_s = time.monotonic()
        elif time.monotonic() - since_s > no_scheduler_s:
            raise ClusterLost(f"no dask scheduler has answered at {cluster} for {no_scheduler_s:.0f} s; start it "
                              "with: dask scheduler --scheduler-file scheduler.json")  # fmt: skip
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told_to_stop.wait(), _AGAIN_S)
    return 0


async def _work_until_lost(cluster: str, options: list[dict[str, Any]], told_to_stop: asyncio.Event) -> None:
    """Nannies start, work and end: when told to, or when their scheduler has gone."""
    address = scheduler_address(cluster)
    require_keys(address, "worker", cluster)  # a scheduler's file says only now which
    host = _own_address_towards(address)
    nannies = [Nanny(address, host=host, **one) for one in options]
    try:
        await asyncio.gather(*nannies)
        print(f"working for {address} from {host}", flush=True)
        ended = asyncio.ensure_future(asyncio.gather(*(nanny.finished() for nanny in nannies)))
        stop = asyncio.ensure_future(told_to_stop.wait())
        await asyncio.wait((ended, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not told_to_stop.is_set():
            print(f"{address} has gone; waiting for it", file=sys.stderr, flush=True)
    except (OSError, RuntimeError) as error:
        print(f"could not join {address}: {error}", file=sys.stderr, flush=True)
    finally:
        await asyncio.gather(*(nanny.close(timeout=5) for nanny in nannies), return_exceptions=True)


def scheduler_address(cluster: str) -> str:
    """tls://host:port or tcp://host:port; raises ConfigError when the scheduler file is not there or is none."""
    if not cluster.startswith("file:"):
        return cluster
    path = Path(cluster.removeprefix("file:"))
    try:
        return str(parse_json(path.read_text())["address"])
    except FileNotFoundError:
        raise ConfigError(f"--cluster {cluster}: no such file; dask scheduler --scheduler-file makes it") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"--cluster {cluster}: not a dask scheduler's file ({error!r})") from error


def _answers(cluster: str) -> bool:
    try:
        parts = urlsplit(scheduler_address(cluster))
        with socket.create_connection((parts.hostname or "", parts.port or 8786), timeout=5):
            return True
    except (OSError, ConfigError):
        return False


def _own_address_towards(address: str) -> str:
    """The address under which this machine is reached from there (one with several networks has several)."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname or "", parts.port or 8786), timeout=5) as connection:
        return str(connection.getsockname()[0])
