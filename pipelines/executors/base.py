"""What an executor is: where tasks run. The serial one runs the very same code as dask's.

Both take `Work` and yield (task, result) as it finishes. Parallelism is processes with one thread
each: torch, OpenCV and MediaPipe are fastest so, and a crash takes one image along, not its neighbours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from dataprep.files.locations import Location
from dataprep.stages.base import Step


@dataclass(frozen=True)
class Listener:
    """Who hears of workers. `log`: file that stacks and dask's own lines go to; None: they go to stderr.

    `too_long(stage, sample_id)`: a worker ends because that image took too long; "" when it was a batch of images.
    """

    log: Path | None
    too_long: Callable[[str, str], None]


@dataclass(frozen=True)
class Work:
    """What to do, and where: enough to ask again. It is `function(task)`; `key` names it.

    `resources`: what the worker must have, if any worker has it.
    `spare`: resources that others wait for; workers that have one are left to those, where there are others.
    """

    function: Callable[[Any], Any]
    task: Any
    key: str
    resources: Mapping[str, float] = field(default_factory=dict)
    spare: Collection[str] = ()


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
    def submit(self, work: Work) -> None:
        """Start it as soon as a worker is free."""

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


def capacity_of(workers: int) -> int:
    """Tasks to keep submitted to `workers` processes."""
    return max(8, 3 * workers)


class WorkerDied(Exception):
    """The outcome of a task whose worker process ended under it."""
