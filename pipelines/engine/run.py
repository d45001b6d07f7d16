"""The driver: index, plan, run what is missing, sum up. Killed at any point, the same command goes on."""

from __future__ import annotations

import heapq
import platform
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dataprep.errors import Damaged, ShhqError
from dataprep.files.filenames import escape
from dataprep.files.locations import Location, listing
from dataprep.inputs.gathering import Gathering
from dataprep.tables.input_rows import Source
from dataprep.tables.parts import PartRecord
from dataprep.tables.store import Store, write_json
from pipelines.engine import last_run, look, resume
from pipelines.engine.aggregates import run_aggregates
from pipelines.engine.budget import DEFAULT_FRACTION, ErrorBudget
from pipelines.engine.context import Context
from pipelines.engine.cost.estimate import known_s, outputs_s
from pipelines.engine.dag import Dag, record_of
from pipelines.engine.event_log import EventLog
from pipelines.engine.first_portrait import FirstPortrait
from pipelines.engine.gather import Gatherer
from pipelines.engine.index import refresh
from pipelines.engine.isolation import run_part_isolated
from pipelines.engine.ledger import forget_parts, write_ledger
from pipelines.engine.leftovers import sweep
from pipelines.engine.lock import run_lock
from pipelines.engine.plan import Plan, make_plan
from pipelines.engine.progress import Progress, clock
from pipelines.engine.repair import Repairs
from pipelines.engine.task import PartReport, PartTask, run_part
from pipelines.executors.base import Executor, Listener, Work, WorkerDied
from pipelines.machine.stopping import stop_request

_ISOLATION_ATTEMPTS = 3  # an isolated part dies only with its worker, by no fault of its own


@dataclass(frozen=True)
class RunSummary:
    """What a run did: part failures keep their dependents undone, and the same command tries them again."""

    plan: Plan
    seconds: float
    failed: tuple[str, ...]
    stopped: str = ""  # why the run ended before its work was done, in words
    interrupted: bool = False  # by somebody, not by the error budget


def run(
    source_root: Location,
    out: Location,
    dag: Dag,
    executor: Executor,
    max_error_fraction: float = DEFAULT_FRACTION,
    command: str = "",
    limit_s: float | None = None,
    follow_links: bool = False,
    config: bytes = b"",
    gathering: Gathering | None = None,
) -> RunSummary:
    """Bring the data set in `out` up to date. Raises ShhqError on what the user must fix.

    `command` is what the user typed, kept for commands that tell how to go on; `config` is all that the run goes by, as
    `--config` takes it. `limit_s`: processor seconds that one image may take in one stage (default: the stage's own
    limit). `follow_links`: also those that lead out of the source folder. `gathering`: which inputs are wanted below
    it, and how frames are taken and URLs downloaded.

    Stops early, cleanly and with a word in the summary, when SIGINT or SIGTERM arrives or when more than
    `max_error_fraction` of a stage's images fail.
    """
    started_s = time.monotonic()
    with run_lock(out), stop_request() as stop:
        store = Store(out)
        sweep(out)
        executor.require_ready(source_root, out, dag.steps)
        gathering = gathering or Gathering()
        gatherer = Gatherer(source_root, out, gathering, executor, lambda: stop.requested)
        index = refresh(source_root, out, lambda: stop.requested, follow_links, gathering, gatherer)
        plan = make_plan(store, dag, index)
        log = EventLog(out)
        write_json(out / "runs" / "source.json", {"source": escape(str(source_root.resolve()))})
        last_run.remember(store, dag)
        resume.remember(out, command, config)
        log.write("start", inputs=len(index), python=platform.python_version(), workers=executor.workers)
        budget, repairs = ErrorBudget(max_error_fraction), Repairs(store, dag, log)
        context = Context(store, source_root, dag, log, stop, budget, repairs, limit_s)
        try:
            failed, stopped, last = _run_passes(context, plan, index, executor)
            sweep(out)
            look.remember(out, last.outputs.seen, _files_of(store, dag, last), finished=not failed and not stopped)
            log.write("end", seconds=time.monotonic() - started_s, failed=failed, stopped=stopped)
        finally:
            log.flush()
        return RunSummary(plan, time.monotonic() - started_s, tuple(failed), stopped, stop.requested)


def _files_of(store: Store, dag: Dag, plan: Plan) -> dict[str, look.Listing]:
    """Sizes and times of the stages' files, listed again where the plan had something to do."""
    refs = [dag.refs[stage.name] for stage in plan.stages]
    return {
        f"stages/{ref.folder}": stage.look.files if stage.untouched else listing(store.folder(ref))
        for ref, stage in zip(refs, plan.stages, strict=True)
    }


def _run_passes(context: Context, plan: Plan, index: list[Source], executor: Executor) -> tuple[list[str], str, Plan]:
    """Work until nothing is to do; returns what failed, why the run stopped early, and the plan that was left.

    One pass, where nothing is damaged. A part that was damaged and comes out otherwise makes what stands on it work for
    the next pass, and so does damage that is found where it is read.
    """
    context.repairs.begin(plan)
    while True:
        work = Schedule(context, plan)
        executor.listen(Listener(context.log.workers_log, work.say_too_long))
        work.run_parts(executor)
        context.log.flush()  # the report reads it
        if work.failed or work.stopped:
            return work.failed, work.stopped, plan
        if any(stage.todo for stage in plan.stages) or context.repairs.pending:
            plan = make_plan(context.store, context.dag, index)
        if not any(stage.todo for stage in plan.stages):
            try:
                run_aggregates(context, plan, executor)
            except Damaged as error:
                context.repairs.discard(error)
                plan = make_plan(context.store, context.dag, index)
                context.repairs.begin(plan)
                continue
            return [], "interrupted" if context.stop.requested else "", plan
        context.repairs.begin(plan)


class Schedule:
    """Hands tasks to the executor as their inputs become ready: the deepest stage first, then the lowest part."""

    def __init__(self, context: Context, plan: Plan) -> None:
        self._store, self._source_root, self._dag = context.store, context.source_root, context.dag
        self._plan, self._log, self._repairs = plan, context.log, context.repairs
        self._stop, self._budget, self._limit_s = context.stop, context.budget, context.limit_s
        self._todo = {stage.name: set(stage.todo) for stage in plan.stages}
        self._records = {stage.name: _kept(stage.look.whole, stage.todo) for stage in plan.stages}
        self._ready: list[tuple[int, int]] = []  # (-depth, part)
        self._suspect: list[PartTask] = []  # their worker died; one of their images may be guilty
        self._attempts: Counter[tuple[str, int]] = Counter()
        self._first = FirstPortrait(self._store, self._dag, self._log)
        self.failed: list[str] = []
        rows = {stage.name: stage.rows_todo for stage in plan.stages if stage.todo}
        self.progress = Progress(
            rows, 1, assumed_s=known_s(self._store, self._dag), after_s=sum(outputs_s(plan).values())
        )

    def run_parts(self, executor: Executor) -> None:
        self._count_workers(executor)
        self._begin()
        with self.progress.beating():
            while executor.pending or ((self._ready or self._suspect) and not self.stopped):
                while executor.pending < executor.capacity and (self._suspect or self._ready) and not self.stopped:
                    self._submit_next(executor)
                for task, outcome in executor.completed():
                    self._finish(task, outcome)
                    self._count_workers(executor)
        if any(stage.todo for stage in self._plan.stages):
            self.progress.close()
        self._write_ledgers()

    @property
    def stopped(self) -> str:
        """Why no more work is handed out, in words; "" while it goes on."""
        return "interrupted" if self._stop.requested else self._budget.overdrawn()

    def _count_workers(self, executor: Executor) -> None:
        """A part is one worker's at a time: the last ones leave workers idle."""
        parts_left = max(map(len, self._todo.values()), default=0)
        self.progress.workers = max(1, min(executor.workers, parts_left))

    def _submit_next(self, executor: Executor) -> None:
        """Suspects first: their dependents wait."""
        if self._suspect:
            task = self._suspect.pop()
            attempt = self._attempts[task.ref.folder, task.part]
            key = f"{task.ref.folder}-{task.part:06d}-isolated-{attempt}"
            executor.submit(Work(run_part_isolated, task, key, dict(task.stage.resources()), self._wished()))
        else:
            depth, part = heapq.heappop(self._ready)
            task = self._task(-depth, part)
            name = f"{task.ref.folder}-{part:06d}"
            executor.submit(Work(run_part, task, name, dict(task.stage.resources()), self._wished()))

    def _wished(self) -> frozenset[str]:
        """Resources that parts still to be done wish for."""
        return frozenset(wish for stage in self._dag.stages if self._todo[stage.name] for wish in stage.resources())

    def _begin(self) -> None:
        for plan in self._plan.stages:
            stage, ref = self._stage(plan.name), self._dag.refs[plan.name]
            if plan.todo:
                forget_parts(self._store, ref, plan.todo)  # a run that dies must not leave a ledger of other files
            if not plan.look.described:
                write_json(self._store.folder(ref) / "stage.json", record_of(self._dag, stage))
        for depth, plan in enumerate(self._plan.stages):
            for part in plan.todo:
                if self._is_ready(depth, part):
                    heapq.heappush(self._ready, (-depth, part))

    def _stage(self, name: str) -> Any:
        return next(stage for stage in self._dag.stages if stage.name == name)

    def _is_ready(self, depth: int, part: int) -> bool:
        return not any(part in self._todo[name] for name in self._dag.stages[depth].requires)

    def _task(self, depth: int, part: int) -> PartTask:
        stage = self._dag.stages[depth]
        sources: tuple[Source, ...] = () if stage.requires else self._plan.parts[part]
        key = self._plan.keys[stage.name][part]
        upstream = self._dag.upstream(stage)
        return PartTask(
            self._store.root,
            self._source_root,
            stage,
            self._dag.refs[stage.name],
            upstream,
            part,
            key,
            self._limit_of(stage),
            sources,
        )

    def _limit_of(self, stage: Any) -> float:
        return stage.timeout_s if self._limit_s is None else self._limit_s

    def say_too_long(self, stage: str, sample_id: str) -> None:
        """A worker ended because an image took too long: one sentence for people."""
        what, limit = self._path(sample_id), f"{self._limit_of(self._stage(stage)):g} s of processor time"
        if what:
            self.progress.say(f"{stage} took longer than {limit} for {what}; it is tried again alone")
        else:
            self.progress.say(f"{stage} took longer than {limit} an image for a batch; its images are tried alone")

    def _path(self, sample_id: str) -> str:
        sources = (source for part in self._plan.parts.values() for source in part)
        return next((source.path for source in sources if source.sample_id == sample_id), "")

    def _finish(self, task: PartTask, outcome: PartReport | BaseException) -> None:
        if isinstance(outcome, Damaged):
            if found := self._repairs.discard(outcome):
                self._records[found[0]].pop(found[1], None)
            return
        if isinstance(outcome, ShhqError):
            raise outcome
        if isinstance(outcome, WorkerDied) and self._attempts[task.ref.folder, task.part] < _ISOLATION_ATTEMPTS:
            self._attempts[task.ref.folder, task.part] += 1
            self._suspect.append(task)
            self._log.write("suspect", stage=task.stage.name, part=task.part)
            first = self._plan.parts[task.part][0].path
            self.progress.say(f"{task.stage.name}: a process ended at part {task.part} ({first} ...); its images are "
                              "tried again one by one")  # fmt: skip
            return
        if isinstance(outcome, BaseException):
            self.failed.append(f"{task.stage.name} part {task.part}: {type(outcome).__name__}: {outcome}")
            self._log.write("failed", stage=task.stage.name, part=task.part, error=repr(outcome))
            rows = len(self._plan.parts[task.part])
            self._budget.count(task.stage.name, {"error": rows}, {type(outcome).__name__: rows})
            return
        self._todo[task.stage.name].discard(task.part)
        if outcome.record:
            self._records[outcome.stage][outcome.part] = outcome.record
        self._log.write(
            "part",
            stage=outcome.stage,
            part=outcome.part,
            counts=outcome.counts,
            seconds=round(outcome.seconds, 3),
            memory_mib=round(outcome.memory_mib),
        )
        self._budget.count(outcome.stage, outcome.counts, outcome.faults)
        for sample_id, message in outcome.ended.items():
            self.progress.say(f"{outcome.stage} {self._path(sample_id)}: {message}")
        for sample_id, text in outcome.errors.items():
            self._log.write("error", stage=outcome.stage, sample_id=sample_id, traceback=text)
        for depth, stage in enumerate(self._dag.stages):
            waits = task.stage.name in stage.requires and task.part in self._todo[stage.name]
            if waits and self._is_ready(depth, task.part):
                heapq.heappush(self._ready, (-depth, task.part))
        self._advance(outcome)

    def _advance(self, outcome: PartReport) -> None:
        # Models are loaded once a process: with that, the first parts would make all that follow look as slow.
        rows, idle = sum(outcome.counts.values()), outcome.counts.get("upstream", 0)
        lost = rows - idle - outcome.counts.get("ok", 0)
        self.progress.advance(outcome.stage, rows, outcome.seconds - outcome.loading_s, lost, idle)
        if path := self._first.found_in(outcome):
            self.progress.say(f"the first portrait, after {clock(self.progress.elapsed_s)}: {path}")

    def _write_ledgers(self) -> None:
        """Also of stages that were done before: their run may have died between its last part and its ledger."""
        for plan in self._plan.stages:
            records = self._records[plan.name]
            if plan.todo or not plan.recorded or records != plan.look.ledger:
                write_ledger(self._store, self._dag.refs[plan.name], records)


def _kept(records: Mapping[int, PartRecord], todo: Iterable[int]) -> dict[int, PartRecord]:
    """Records of the parts that stay as they are."""
    going = set(todo)
    return {part: record for part, record in records.items() if part not in going}
