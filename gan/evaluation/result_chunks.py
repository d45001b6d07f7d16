"""Results by index, in files of a few indices each, computed by one process or several.

A file appears at once and is never computed twice, so a stopped evaluation goes on where it was. Which indices share a
file, and so a batch, does not depend on who computes it: one process or eight give the same bytes.
"""

import hashlib
import json
import multiprocessing
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from dataprep.errors import StoreError
from dataprep.tables.store import atomic_file

CHUNK = 16
Arrays = dict[str, np.ndarray]
Compute = Callable[[range], Arrays]


@runtime_checkable
class Job(Protocol):
    """What is to be computed, small enough to send to other processes; `key` names everything the outcome depends on.

    `open` loads what it needs, once a process, and returns the function from indices to arrays with one row each.
    """

    def key(self) -> dict[str, Any]: ...

    def open(self) -> Compute: ...


@dataclass(frozen=True)
class ResultChunks:
    """The files of one job below `root`."""

    root: Path
    job: Job

    @property
    def folder(self) -> Path:
        text = json.dumps(self.job.key(), sort_keys=True)
        return self.root / hashlib.sha256(text.encode()).hexdigest()[:16]

    def path(self, span: range) -> Path:
        return self.folder / f"{span.start:07d}-{span.stop:07d}.npz"

    def missing(self, total: int) -> list[range]:
        return [span for span in spans(total) if not self.path(span).is_file()]

    def read(self, total: int) -> Arrays:
        """Return the rows of all indices below `total`, in order."""
        parts = [self.read_span(span) for span in spans(total)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def read_span(self, span: range) -> Arrays:
        """Return the rows of one file."""
        return _read(self.path(span))

    def write(self, span: range, arrays: Arrays) -> None:
        with atomic_file(self.path(span)) as file:
            np.savez(file, **arrays)


def spans(total: int) -> list[range]:
    return [range(first, min(first + CHUNK, total)) for first in range(0, total, CHUNK)]


def compute(
    chunks: ResultChunks, total: int, workers: int, done: Callable[[int], None] = lambda images: None
) -> Arrays:
    """Compute what is missing and return all rows; `done` hears of every file with its number of indices."""
    missing = chunks.missing(total)
    done(total - sum(map(len, missing)))
    if not missing:
        return chunks.read(total)
    with atomic_file(chunks.folder / "job.json") as file:
        file.write(json.dumps(chunks.job.key(), indent=1, sort_keys=True).encode())
    if min(workers, len(missing)) == 1:
        _here(chunks, missing, done)
    else:
        _in_processes(chunks, missing, workers, done)
    return chunks.read(total)


def _here(chunks: ResultChunks, missing: list[range], done: Callable[[int], None]) -> None:
    with one_thread():
        run = chunks.job.open()
        for span in missing:
            chunks.write(span, run(span))
            done(len(span))


def _in_processes(chunks: ResultChunks, missing: list[range], workers: int, done: Callable[[int], None]) -> None:
    context = multiprocessing.get_context("spawn")
    workers = min(workers, len(missing))
    numbers = context.Queue()
    for number in range(workers):
        numbers.put(number)
    with ProcessPoolExecutor(workers, context, _begin, (chunks, numbers)) as pool:
        futures = {pool.submit(_work, span): span for span in missing}
        try:
            for future in as_completed(futures):
                future.result()
                done(len(futures[future]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_STATE: dict[str, Any] = {}


def _begin(chunks: ResultChunks, numbers: Queue) -> None:
    """Open the job in a process of its own; what it loads to `cuda` lies on the GPU of its number."""
    torch.set_num_threads(1)
    number = numbers.get()
    if gpus := torch.cuda.device_count():
        torch.cuda.set_device(gpu_of(number, gpus))
    _STATE.update(chunks=chunks, run=chunks.job.open())


def gpu_of(number: int, gpus: int) -> int:
    """Return the GPU of one of several processes: each has one of its own as long as there are enough."""
    return number % gpus


def _work(span: range) -> None:
    _STATE["chunks"].write(span, _STATE["run"](span))


@contextmanager
def one_thread() -> Iterator[None]:
    """As other processes do: sums over several threads round differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _read(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path}: cannot be read ({error}); delete it and evaluate again") from error
