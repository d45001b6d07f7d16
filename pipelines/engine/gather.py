"""Before the first stage: frames of videos, pictures of archives, and what lists name. All become rows of the index.

Frames are taken by the workers, a piece of a video at a time, and a piece that is there is never decoded again;
archives are read by them, each once. A piece or an archive that ends its worker twice is refused.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from dataprep.errors import Damaged, ShhqError
from dataprep.files.locations import Location
from dataprep.inputs.archives import ArchiveTask, is_read, read_archive, readable_tasks, rows_of_archive
from dataprep.inputs.fetched import FetchedFiles, Known
from dataprep.inputs.frame_inputs import ClipTask, cut, rows_of, same_frames, take_frames
from dataprep.inputs.gathering import Gathering
from dataprep.inputs.kept_frames import ClipFolder
from dataprep.tables.input_rows import IN_OUT, Source
from dataprep.tables.layouts import is_video
from dataprep.tables.sources import Survey, refuse, sample_id_of, wrong_hash
from pipelines.engine.look import Defect, say
from pipelines.engine.progress import Progress
from pipelines.executors.base import Executor, Work, WorkerDied

_ATTEMPTS = 2
T = TypeVar("T", ClipTask, ArchiveTask)
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
        fetched = self._fetched(list(survey.urls)) if survey.urls else []
        clips = [*identify(list(survey.clips)), *(one for one in fetched if is_video(_name(one)))]
        found = [*self._frames(clips), *self._archived(survey.archives),
                 *(one for one in fetched if not is_video(_name(one)))]  # fmt: skip
        return sorted(found, key=lambda one: one.path)

    def _fetched(self, listed: list[Source]) -> list[Source]:
        """What a list says is to be downloaded, as it came; without an executor, what is there already."""
        files = FetchedFiles(self.out)
        missing = files.missing([one.path for one in listed])
        if self.executor is not None and missing:
            progress = Progress({"downloads": len(missing)}, 1, "downloads")
            with progress.beating():
                said = partial(progress.advance, "downloads", 1, 0.0)
                files.fetch(missing, self.gathering.fetch, said, self.stopped)
            progress.close()
        return [_downloaded(one, known, files.place(one.path)) for one in listed
                if (known := files.found(one.path)) is not None]  # fmt: skip

    def _frames(self, clips: list[Source]) -> list[Source]:
        """The frames of videos that have been hashed; those that could not be read stay as they are."""
        readable = {clip.path: self._folder(clip) for clip in clips if not clip.refused}
        tasks = [self._task(clip, readable[clip.path]) for clip in clips if not clip.refused]
        if self.executor is not None:
            self._work("videos", cut, same_frames([task for task in tasks if task.folder.read_plan() is None]))
            self._work("pieces of videos", take_frames, same_frames([piece for task in tasks for piece in _todo(task)]))
        rows: list[Source] = []
        for clip in clips:
            rows += [clip] if clip.refused else self._rows(clip, readable[clip.path])
        return rows

    def _archived(self, archives: Iterable[Source]) -> list[Source]:
        """The pictures of archives, and what cannot be read of them; without an executor, of those that were read."""
        tasks, rows = readable_tasks(self.source_root, self.out, archives)
        if self.executor is not None:
            self._work("archives", read_archive, [task for _, task in tasks if not is_read(task)])
        lacking = 0
        for archive, task in tasks:
            if self._died[task.key] >= _ATTEMPTS:
                rows.append(refuse(archive, "damaged_archive: reading it ends the process"))
            elif is_read(task):
                some, left_out = rows_of_archive(archive, task)
                rows, lacking = rows + some, lacking + left_out
        if lacking:
            print(f"{lacking} rows of the tables have no picture: it was not downloaded", file=sys.stderr)
        return rows

    def _folder(self, clip: Source) -> ClipFolder:
        return ClipFolder.of(self.out, clip.sha256 or b"", self.gathering.clips.fingerprint)

    def _task(self, clip: Source, folder: ClipFolder) -> ClipTask:
        """A video below the source folder, or one that was downloaded."""
        if clip.place:
            return ClipTask(self.out, folder, clip.place.removeprefix(IN_OUT), self.gathering.clips)
        return ClipTask(self.source_root, folder, clip.path, self.gathering.clips)

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
            self._work("pieces of videos", take_frames, _todo(self._task(clip, folder)))
            return rows_of(clip, folder, self.gathering.clips)

    def _work(self, what: str, function: Callable[[T], int], tasks: Iterable[T]) -> None:
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
                    name, number = task.key
                    executor.submit(Work(function, task, f"{name}-{number}-{self._died[task.key]}"))
                if not executor.pending:
                    raise KeyboardInterrupt
                for task, outcome in executor.completed():
                    waiting += self._again(task, outcome)
                    progress.advance(what, 1, time.monotonic() - began)
                    began = time.monotonic()
        progress.close()

    def _again(self, task: T, outcome: Any) -> list[T]:
        """The task once more where its worker died; raises what is no fault of the input."""
        if isinstance(outcome, WorkerDied):
            self._died[task.key] += 1
            return [task] if self._died[task.key] < _ATTEMPTS else []
        if isinstance(outcome, BaseException):
            raise outcome if isinstance(outcome, ShhqError) else RuntimeError(f"{task.path}: {outcome!r}") from outcome
        return []


def _downloaded(listed: Source, known: Known, place: str) -> Source:
    sha256, size, refused = known
    if refused or sha256 is None:
        return refuse(listed, refused)
    if why_not := wrong_hash(sha256, listed.said):
        return refuse(listed, why_not)
    sample_id = sample_id_of(listed.path, sha256)
    return replace(listed, size=size, sha256=sha256, sample_id=sample_id, place=place, said=None)


def _name(source: Source) -> str:
    """The path of a URL, without what is asked of it."""
    return source.path.partition("?")[0].partition("#")[0]


def _todo(task: ClipTask) -> list[ClipTask]:
    """The pieces of a video that are not there yet."""
    pieces, _ = task.folder.read_plan() or ([], "")
    return [replace(task, number=n, piece=pieces[n]) for n in task.folder.unfinished(len(pieces))]


def _is_there(folder: ClipFolder) -> bool:
    plan = folder.read_plan()
    return plan is not None and not folder.unfinished(len(plan[0]))
