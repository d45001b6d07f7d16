"""Keep `index.parquet` and `dataset.json` in step with the source folder."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep import sources
from dataprep.errors import StoreError
from dataprep.sources import FileState, Source
from dataprep.storage import Location, parquet
from dataprep.store import SCHEMA_VERSION, write_json, write_table

_KEEP_EVERY_S = 30.0
_BATCH_ROWS = 4096
_INDEX_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.uint64()),
        ("sha256", pa.binary(32)),
        ("sample_id", pa.string()),
        ("duplicate_of", pa.string()),
        ("mask_path", pa.string()),
        ("mask_sha256", pa.binary(32)),
        ("openpose", pa.string()),
        ("dataset", pa.string()),
        ("part", pa.uint32()),
        ("refused", pa.string()),
    ]
)
_CACHE_SCHEMA = pa.schema(
    [("path", pa.string()), ("bytes", pa.uint64()), ("mtime_ns", pa.int64()), ("sha256", pa.binary(32))]
)


def refresh(source_root: Location, out: Location, stopped: Callable[[], bool] = lambda: False) -> list[Source]:
    """Scan and hash the source folder, place new inputs into parts, and write the index when it changed.

    Raises StoreError when `out` holds a data set of other photographs, KeyboardInterrupt once `stopped` says so; what
    has been hashed by then is kept.
    """
    known, part_size = _known(out)
    cache = _read_cache(out)
    before = len(cache)
    states: dict[str, FileState] = {}
    survey = sources.survey(source_root, states)
    progress = _keeper(out, cache, len(survey.inputs), stopped)
    found = sources.identify(source_root, survey.inputs, cache, progress, states)
    part_size = part_size or sources.part_size_for(len(found))
    if known and not {s.sample_id for s in known} & {s.sample_id for s in found}:
        raise StoreError(
            f"{out} holds a data set made from other photographs ({len(known)} inputs, the first {known[0].path!r}), "
            f"and none of them is in {source_root}; choose another --out"
        )
    arranged = sources.arrange(found, known, part_size)
    if arranged != known:
        write_json(out / "dataset.json", {"schema_version": SCHEMA_VERSION, "part_size": part_size})
        write_index(out, arranged)
    if len(cache) > before:
        _write_cache(out, cache)
    write_json(out / "runs" / "beside.json", {"unused_masks": survey.unused_masks, "ignored": survey.ignored})
    return arranged


def read_beside(out: Location) -> tuple[list[str], dict[str, int]]:
    """Masks that belong to no photograph, and files that are none by suffix, as the last run found them."""
    try:
        content = json.loads((out / "runs" / "beside.json").read_text())
    except (OSError, ValueError):  # made by an earlier version
        return [], {}
    return content["unused_masks"], content["ignored"]


def read_index(out: Location) -> list[Source]:
    """The inputs of an existing data set, in (part, position) order; raises StoreError when there is none."""
    known, _ = _known(out)
    if not known:
        raise StoreError(f"{out} holds no data set (no index.parquet); build one with: shhq-hs run SOURCE --out {out}")
    return known


def write_index(out: Location, arranged: Iterable[Source]) -> None:
    rows = list(arranged)
    columns = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in _INDEX_SCHEMA]
    write_table(out / "index.parquet", pa.Table.from_arrays(columns, schema=_INDEX_SCHEMA))


def _known(out: Location) -> tuple[list[Source], int]:
    path = out / "index.parquet"
    if not path.exists():
        return [], 0
    try:
        settings = json.loads((out / "dataset.json").read_text())
        with pq.ParquetFile(parquet(path)) as file:  # read_table imports pandas, and all rows at once are large
            batches = file.iter_batches(_BATCH_ROWS, columns=_INDEX_SCHEMA.names)
            known = [Source(**row) for batch in batches for row in batch.to_pylist()]
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise StoreError(f"{path}: cannot be read ({error}); restore it or choose another --out") from error
    if settings["schema_version"] != SCHEMA_VERSION:
        raise StoreError(
            f"{out} has schema version {settings['schema_version']}, this program writes {SCHEMA_VERSION}; "
            "choose another --out"
        )
    return known, settings["part_size"]


def _keeper(
    out: Location, cache: dict[FileState, bytes], total: int, stopped: Callable[[], bool]
) -> Callable[[int], None]:
    """Hashing takes long where there is much: now and then say how far it is, and keep what is known."""
    last_s = time.monotonic()

    def tick(done: int) -> None:
        nonlocal last_s
        stop = stopped()
        if stop or time.monotonic() - last_s > _KEEP_EVERY_S:
            last_s = time.monotonic()
            _write_cache(out, dict(cache))
            print(f"reading the inputs: {done}/{total}", file=sys.stderr, flush=True)
        if stop:
            raise KeyboardInterrupt

    return tick


def _read_cache(out: Location) -> dict[FileState, bytes]:
    path = out / "runs" / "hashes.parquet"
    if not path.exists():
        return {}
    with pq.ParquetFile(parquet(path)) as file:
        columns = file.read().to_pydict()
    states = zip(columns["path"], columns["bytes"], columns["mtime_ns"], strict=True)
    return dict(zip(states, columns["sha256"], strict=True))


def _write_cache(out: Location, cache: dict[FileState, bytes]) -> None:
    if not cache:
        return
    paths, sizes, times = zip(*cache, strict=True)
    table = pa.Table.from_arrays(
        [
            pa.array(column, field.type)
            for column, field in zip((paths, sizes, times, cache.values()), _CACHE_SCHEMA, strict=True)
        ],
        schema=_CACHE_SCHEMA,
    )
    write_table(out / "runs" / "hashes.parquet", table)


def preview(source_root: Location, out: Location) -> list[Source]:
    """The index as `refresh` would make it; writes nothing."""
    known, part_size = _known(out)
    states: dict[str, FileState] = {}
    inputs = sources.scan(source_root, states)
    found = sources.identify(source_root, inputs, _read_cache(out), states=states)
    return sources.arrange(found, known, part_size or sources.part_size_for(len(found)))
