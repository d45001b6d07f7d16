"""Before the first stage: frames of videos, what lists name, what archives hold. All of it becomes rows of the index.

Frames are taken by the workers, a piece of a video at a time, and a piece that is there is never decoded again. A
piece that ends its worker twice refuses its video.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from dataprep.errors import Damaged, ShhqError
from dataprep.files.locations import Location
from dataprep.inputs.frame_inputs import ClipTask, cut, rows_of, same_frames, take_frames
from dataprep.inputs.gathering import Gathering
from dataprep.inputs.kept_frames import ClipFolder
from dataprep.tables.input_rows import Source
from dataprep.tables.sources import Survey, refuse
from pipelines.engine.look import Defect, say
from pipelines.engine.progress import Progress
from pipelines.executors.base import Executor, WorkerDied

_ATTEMPTS = 2
Identify = Callable[[list[Source]], list[Source]]


@dataclass
class Gatherer:
    """Turns what a survey found beside photographs into inputs; without an `executor` it only reads what is there."""

    source_root: Location
    out: Location
    gathering: Gathering
    executor: Executor | None = None
    stopped: Callable[[], bool] = lambda: False
    _died: Counter[tuple[str, int | None]] = field(default_factory=Counter)

    def __call__(self, survey: Survey, identify: Identify) -> list[Source]:
        """Return inputs with their ids, sorted by path."""
        found = self._frames(identify(list(survey.clips)))
        return sorted(found, key=lambda one: one.path)

    def _frames(self, clips: list[Source]) -> list[Source]:
        """The frames of videos that have been hashed; those that could not be read stay as they are."""
        readable = {clip.path: self._folder(clip) for clip in clips if not clip.refused}
        tasks = [ClipTask(self.source_root, folder, path, self.gathering.clips) for path, folder in readable.items()]
        if self.executor is not None:
            self._work("videos", cut, same_frames([task for task in tasks if task.folder.read_plan() is None]))
            self._work("pieces of videos", take_frames, same_frames([piece for task in tasks for piece in _todo(task)]))
        rows: list[Source] = []
        for clip in clips:
            rows += [clip] if clip.refused else self._rows(clip, readable[clip.path])
        return rows

    def _folder(self, clip: Source) -> ClipFolder:
        return ClipFolder.of(self.out, clip.sha256 or b"", self.gathering.clips.fingerprint)

    def _rows(self, clip: Source, folder: ClipFolder) -> list[Source]:
        if any(name == folder.name and deaths >= _ATTEMPTS for (name, _), deaths in self._died.items()):
            return [refuse(clip, "no_video: decoding it ends the process")]
        if self.executor is None and not _is_there(folder):
            return []
        try:
            return rows_of(clip, folder, self.gathering.clips)
        except Damaged as error:
            if self.executor is None:
                raise
            say([Defect(error.path, error.what)])
            number = int(error.path.rpartition("-")[2].partition(".")[0])
            folder.remove_piece(number)
            task = ClipTask(self.source_root, folder, clip.path, self.gathering.clips)
            self._work("pieces of videos", take_frames, _todo(task))
            return rows_of(clip, folder, self.gathering.clips)

    def _work(self, what: str, function: Callable[[ClipTask], int], tasks: Iterable[ClipTask]) -> None:
        """Have all tasks done, however often a worker dies."""
        waiting, executor = list(tasks)[::-1], self.executor
        if not waiting or executor is None:
            return
        progress = Progress({what: len(waiting)}, max(1, min(executor.workers, len(waiting))), what)
        began = time.monotonic()
        with progress.beating():
            while waiting or executor.pending:
                while waiting and executor.pending < executor.capacity and not self.stopped():
                    task = waiting.pop()
                    attempt = self._died[task.folder.name, task.number]
                    executor.submit(function, task, f"{task.folder.name}-{task.number}-{attempt}", {})
                if not executor.pending:
                    raise KeyboardInterrupt
                for task, outcome in executor.completed():
                    waiting += self._again(task, outcome)
                    progress.advance(what, 1, time.monotonic() - began)
                    began = time.monotonic()
        progress.close()

    def _again(self, task: ClipTask, outcome: Any) -> list[ClipTask]:
        """The task once more where its worker died; raises what is no fault of the video."""
        if isinstance(outcome, WorkerDied):
            self._died[task.folder.name, task.number] += 1
            return [task] if self._died[task.folder.name, task.number] < _ATTEMPTS else []
        if isinstance(outcome, BaseException):
            raise outcome if isinstance(outcome, ShhqError) else RuntimeError(f"{task.path}: {outcome!r}") from outcome
        return []


def _todo(task: ClipTask) -> list[ClipTask]:
    """The pieces of a video that are not there yet."""
    pieces, _ = task.folder.read_plan() or ([], "")
    return [replace(task, number=n, piece=pieces[n]) for n in task.folder.unfinished(len(pieces))]


def _is_there(folder: ClipFolder) -> bool:
    plan = folder.read_plan()
    return plan is not None and not folder.unfinished(len(plan[0]))

