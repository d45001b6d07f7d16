"""One unit of work: a stage over one part. Runs in any process; everything it needs is in the task and on disk."""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dataprep.errors import StoreError, Unreachable, Unreadable
from dataprep.files.locations import Location
from dataprep.files.untrusted import require_sample_ids
from dataprep.stages.base import Item, Result, Stage
from dataprep.tables.input_rows import Source, index_row
from dataprep.tables.parts import PartRecord, content_of
from dataprep.tables.store import StageRef, Store
from pipelines.engine.budget import FAULTS
from pipelines.machine import watchdog
from pipelines.machine.resources import release_freed_memory, resident_bytes

logger = logging.getLogger(__name__)
_MESSAGE_CHARACTERS = 300
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "Insufficient memory")  # torch, CUDA, OpenCV
TOO_MUCH_MEMORY = Result("crash", reason="out_of_memory", message="the image needs more memory than a worker may take")
_tools: dict[str, Any] = {}  # what stages loaded in this process, by fingerprint
_loading_s: dict[str, float] = {}  # how long that took


@dataclass(frozen=True)
class PartTask:
    """Stage `ref` over part `part`. `sources` are the index rows, given to the first stage only."""

    store_root: Location
    source_root: Location
    stage: Stage
    ref: StageRef
    upstream: tuple[StageRef, ...]
    part: int
    part_key: str
    limit_s: float  # processor seconds that one image may take
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class PartReport:
    """What came of a task, small enough to send back from any worker."""

    stage: str
    part: int
    counts: dict[str, int]
    seconds: float
    errors: dict[str, str] = field(default_factory=dict)  # sample_id -> traceback, for the event log
    faults: dict[str, int] = field(default_factory=dict)  # reasons of error, crash and timeout
    ended: dict[str, str] = field(default_factory=dict)  # sample_id -> message, of images that ended their process
    memory_mib: float = 0.0  # what the worker holds afterwards
    record: PartRecord | None = None  # for the ledger
    loading_s: float = 0.0  # of the seconds, what reading models took; once a process


@dataclass(frozen=True)
class Inputs:
    """What a part is made from: ids and items of its rows, and the `upstream` result of those that are stopped.

    `made_from`: one hash over the contents of the parts upstream; "" in the first stage.
    """

    ids: list[str]
    items: list[Item]
    blocked: list[Result | None]
    made_from: str = ""


Process = Callable[["PartTask", Sequence[Item], dict[str, str]], list[Result]]


def run_part(task: PartTask) -> PartReport:
    """Read the part's inputs, run the stage, commit. Every input row has a result, whatever happens to it."""
    return run_part_with(_process, task)


def run_part_with(process: Process, task: PartTask) -> PartReport:
    """`run_part` with another way of turning items into results."""
    report = _make_part(process, task)
    release_freed_memory()  # workers keep what they free within a part (executors.py), not beyond it
    return replace(report, memory_mib=resident_bytes() / (1 << 20))


def _make_part(process: Process, task: PartTask) -> PartReport:
    started, loaded_s = time.perf_counter(), sum(_loading_s.values())
    store = Store(task.store_root)
    inputs = load_items(store, task)
    errors: dict[str, str] = {}
    ready = [item for item, stop in zip(inputs.items, inputs.blocked, strict=True) if stop is None]
    with watchdog.watch():
        done = iter(process(task, ready, errors) if ready else [])
    results = [next(done) if stop is None else stop for stop in inputs.blocked]
    if task.sources:
        results = [_with_path(result, item) for result, item in zip(results, inputs.items, strict=True)]
    record = store.write_part(
        task.ref, task.part, task.stage, inputs.ids, results, task.part_key, inputs.made_from
    )  # fmt: skip
    counts = Counter(str(result.status) for result in results)
    faults = Counter(result.reason for result in results if result.status in FAULTS)
    pairs = zip(inputs.ids, results, strict=True)
    ended = {sample_id: result.message for sample_id, result in pairs if result.status in ("crash", "timeout")}
    seconds, loading_s = time.perf_counter() - started, sum(_loading_s.values()) - loaded_s
    return PartReport(
        task.stage.name,
        task.part,
        dict(counts),
        seconds,
        errors,
        dict(faults),
        ended,
        record=record,
        loading_s=loading_s,
    )


def _with_path(result: Result, item: Item) -> Result:
    """A row that fails in the first stage still says which file it is of."""
    return replace(result, columns={**item.row, **result.columns}) if result.status in FAULTS else result


def _process(task: PartTask, items: Sequence[Item], errors: dict[str, str]) -> list[Result]:
    tools = load_tools(task)
    if task.stage.batched(tools):
        try:
            with watchdog.limit(task.limit_s * len(items), task.stage.name):
                return task.stage.process(items, tools)
        except (StoreError, Unreachable):
            raise
        except Exception:
            logger.debug("batch of %s failed, running it item by item", task.stage.name, exc_info=True)
    return [process_one(task, item, tools, errors) for item in items]


def process_one(task: PartTask, item: Item, tools: Any, errors: dict[str, str]) -> Result:
    """One item; an exception becomes an `error` result and leaves its traceback in `errors`.

    What says nothing about the image is raised: damage of the data set, a place that does not answer.
    """
    try:
        with watchdog.limit(task.limit_s, task.stage.name, item.sample_id):
            (result,) = task.stage.process([item], tools)
    except (StoreError, Unreachable):
        raise
    except MemoryError:
        return TOO_MUCH_MEMORY
    except Exception as error:
        errors[item.sample_id] = traceback.format_exc()
        if any(words in str(error) for words in _OUT_OF_MEMORY):
            return TOO_MUCH_MEMORY
        reason = error.reason if isinstance(error, Unreadable) else type(error).__name__
        return Result("error", reason=reason, message=_portable(str(error), item))
    return result


def _portable(message: str, item: Item) -> str:
    """One line of at most 300 characters without paths and addresses: the same on every machine."""
    message = message.replace(f"{item.source_root}/", "")
    message = re.sub(r"0x[0-9a-fA-F]{6,}", "0x..", message)
    message = re.sub(r"(?<![\w.])/(?:[\w.+-]+/)+", ".../", message)
    return " ".join(message.split())[:_MESSAGE_CHARACTERS]


def load_tools(task: PartTask) -> Any:
    """What the stage loads, once a process."""
    key = task.ref.folder
    if key not in _tools:
        started = time.perf_counter()
        _tools[key] = task.stage.load()
        _loading_s[key] = time.perf_counter() - started
    return _tools[key]


def load_items(store: Store, task: PartTask) -> Inputs:
    """Read the parts that a part is made from; raises Damaged."""
    if task.sources:
        rows = [index_row(source) for source in task.sources]
        ids = [source.sample_id for source in task.sources]
        items = [Item(i, row, task.source_root, _no_blobs, task.store_root) for i, row in zip(ids, rows, strict=True)]
        return Inputs(ids, items, [None] * len(ids))
    parts, identities = zip(*(store.rows_and_identity(ref, task.part) for ref in task.upstream), strict=True)
    ids = [row["sample_id"] for row in parts[0]]
    require_sample_ids(ids, store.part_path(task.upstream[0], task.part))
    items, blocked = [], []
    for position, sample_id in enumerate(ids):
        rows = [part[position] for part in parts]
        if any(row["sample_id"] != sample_id for row in rows):
            raise ValueError(f"part {task.part}: rows of {[ref.folder for ref in task.upstream]} are not in one order")
        items.append(_item(store, task, sample_id, rows))
        stop = next((ref.name for ref, row in zip(task.upstream, rows, strict=True) if row["status"] != "ok"), None)
        blocked.append(None if stop is None else Result("upstream", reason=stop))
    return Inputs(ids, items, blocked, content_of(identities))


def _item(store: Store, task: PartTask, sample_id: str, rows: list[dict[str, Any]]) -> Item:
    merged: dict[str, Any] = {}
    readers: dict[str, Callable[[str], bytes]] = {}
    for ref, row in zip(task.upstream, rows, strict=True):
        merged |= row
        reader = store.blob_reader(ref, task.part, row)
        readers |= {key.removesuffix(":offset"): reader for key in row if key.endswith(":offset")}

    def read_blob(name: str) -> bytes:
        if name not in readers:
            raise KeyError(f"stage {task.stage.name} asks for {name}, which none of its `requires` emits")
        return readers[name](name)

    return Item(sample_id, merged, task.source_root, read_blob, task.store_root)


def _no_blobs(name: str) -> bytes:
    raise KeyError(f"{name}: the first stage has no upstream images")
