"""What a process is told before it runs a stage: its environment, its threads, its log, and when to end itself."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2

from dataprep.files.own_files import open_to_append
from pipelines.machine import watchdog
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
    # distributed reads it when it is imported, before a worker is told the driver's settings.
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "10 minutes",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",  # crops have hundreds of sizes; torch would keep kernels for 1,024
    # Keep freed memory: a network frees and asks for gigabytes an image, and page faults cost 8% of its time.
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    # ...but from one heap: freed pieces of many threads' heaps, and of Arrow's own, are never given back.
    "MALLOC_ARENA_MAX": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


def prepare_process() -> None:
    """One torch and one OpenCV thread in this process. Call before the first stage runs.

    A torch that is not imported yet reads its environment then: who never needs it need not import it to be told.
    """
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
