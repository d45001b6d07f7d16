"""Keep `index.parquet` and `dataset.json` in step with the source folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

import pyarrow as pa

from dataprep.errors import ConfigError, Damaged, StoreError
from dataprep.files.filenames import printable
from dataprep.files.locations import Location
from dataprep.files.untrusted import parse_json, require_sample_ids
from dataprep.inputs.described import with_facts
from dataprep.inputs.first_look import first_look, limited
from dataprep.inputs.gathering import Gathering
from dataprep.inputs.given import survey_given
from dataprep.tables import sources
from dataprep.tables.sealed import read_table
from dataprep.tables.sources import FileState, Links, Source, Survey
from dataprep.tables.store import SCHEMA_VERSION, write_json, write_table
from pipelines.engine.look import Defect, read_json, say
from pipelines.engine.recover import has_parts, recovered_inputs

More = Callable[[Survey, Callable[[list[Source]], list[Source]]], list[Source]]  # the second argument identifies inputs
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
_EXTRA_FIELDS = (  # of frames and of lists; the index of a folder of photographs is as earlier versions wrote it
    pa.field("clip", pa.string()),
    pa.field("time_s", pa.float64()),
    pa.field("url", pa.string()),
    pa.field("license", pa.string()),
    pa.field("consent", pa.string()),
    pa.field("place", pa.string()),
    pa.field("offset", pa.uint64()),
    pa.field("caption", pa.string()),
    pa.field("url_sha256", pa.binary(32)),
)
_WHOLE_SCHEMA = pa.schema([*_INDEX_SCHEMA, *_EXTRA_FIELDS])
_CACHE_SCHEMA = pa.schema(
    [("path", pa.string()), ("bytes", pa.uint64()), ("mtime_ns", pa.int64()), ("sha256", pa.binary(32))]
)


def refresh(
    source_root: Location,
    out: Location,
    stopped: Callable[[], bool] = lambda: False,
    follow_links: bool = False,
    gathering: Gathering | None = None,
    more: More | None = None,
) -> list[Source]:
    """Scan and hash the source folder, place new inputs into parts, and write the index when it changed.

    `gathering` says which inputs are wanted, and `more` turns videos and URLs into inputs; without it there
    are none. Links that lead out of it are read only when `follow_links` says so; either way they are told on stderr.

    Raises StoreError when `out` holds a data set of other photographs, KeyboardInterrupt once `stopped` says so; what
    has been hashed by then is kept.
    """
    known, part_size, damaged = _known_or_recovered(out)
    cache = _read_cache(out)
    before = len(cache)
    states: dict[str, FileState] = {}
    gathering = gathering or Gathering()
    survey = first_look(_surveyed(source_root, states, follow_links, gathering.given), gathering, known)
    progress = _keeper(out, cache, len(survey.inputs), stopped)
    found = sources.identify(source_root, survey.inputs, cache, progress, states)
    if more:
        found += more(survey, lambda inputs: sources.identify(source_root, inputs, cache, None, states))
        found.sort(key=lambda source: source.path)
        found = limited(found, gathering, known)
    if not found and not gathering.is_partial:
        raise sources.no_input(source_root)
    if not found:
        raise ConfigError(
            f"SOURCE {str(source_root)!r}: none of its inputs is drawn; give a larger --limit or --sample"
        )
    part_size = part_size or sources.part_size_for(max(len(found), survey.total))
    if known and not {s.sample_id for s in known} & {s.sample_id for s in found}:
        raise StoreError(
            f"{out} holds a data set made from other photographs ({len(known)} inputs, the first {known[0].path!r}), "
            f"and none of them is in {source_root}; choose another --out"
        )
    arranged = sources.arrange(found, known, part_size)
    if arranged != known or damaged:
        write_json(out / "dataset.json", {"schema_version": SCHEMA_VERSION, "part_size": part_size})
        write_index(out, arranged)
    if len(cache) > before:
        _write_cache(out, cache)
    write_json(out / "runs" / "beside.json", {"unused_masks": survey.unused_masks, "ignored": survey.ignored})
    return arranged


def _surveyed(
    source_root: Location, states: dict[str, FileState], follow_links: bool, given: str | None
) -> sources.Survey:
    links = Links(follow_links)
    found = survey_given(source_root, given, links) if given else sources.survey(source_root, states, links)
    found = with_facts(found, source_root)
    if links.out:
        how = "are followed" if follow_links else "are not followed; --follow-links reads them"
        first = f"{printable(links.out[0])}{' and others' if len(links.out) > 1 else ''}"
        print(f"{len(links.out)} links lead out of SOURCE ({first}) and {how}", file=sys.stderr)
    return found


def read_beside(out: Location) -> tuple[list[str], dict[str, int]]:
    """Masks that belong to no photograph, and files that are none by suffix, as the last run found them."""
    content, _ = read_json(out / "runs" / "beside.json")  # missing where an earlier version made the data set
    return content.get("unused_masks", []), content.get("ignored", {})


def read_index(out: Location) -> list[Source]:
    """The inputs of an existing data set, in (part, position) order; raises StoreError when there is none."""
    known, _ = _known(out)
    if not known:
        raise StoreError(f"{out} holds no data set (no index.parquet); build one with: shhq-hs run SOURCE --out {out}")
    return known


def write_index(out: Location, arranged: Iterable[Source]) -> None:
    rows = list(arranged)
    schema = _WHOLE_SCHEMA if any(one is not None for row in rows for one in row.extras) else _INDEX_SCHEMA
    columns = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in schema]
    write_table(out / "index.parquet", pa.Table.from_arrays(columns, schema=schema))


def _known(out: Location) -> tuple[list[Source], int]:
    """The inputs of the data set in `out` and its part size, ([], 0) when there is none; raises Damaged, StoreError."""
    path = out / "index.parquet"
    if not path.exists():
        if has_parts(out):
            raise Damaged(path, "is missing")
        return [], 0
    known = _read_rows(path)
    return known, _part_size(out / "dataset.json")


def _read_rows(path: Location) -> list[Source]:
    table = read_table(path, _WHOLE_SCHEMA.names)
    if table.column_names not in (_INDEX_SCHEMA.names, _WHOLE_SCHEMA.names[:-2], _WHOLE_SCHEMA.names):  # [:-2]: earlier
        raise Damaged(path, "is damaged: it has other columns than were written")
    batches = table.to_batches(_BATCH_ROWS)  # all rows at once are large
    known = [Source(**row) for batch in batches for row in batch.to_pylist()]
    require_sample_ids((source.sample_id for source in known), path)
    return known


def _part_size(path: Location) -> int:
    """What dataset.json says; raises Damaged, and StoreError when it is of another version of this program."""
    try:
        settings = parse_json(path.read_text())
        version, part_size = settings["schema_version"], settings["part_size"]
    except FileNotFoundError as error:
        raise Damaged(path, "is missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(path, f"is damaged: it cannot be read ({error})") from error
    if version != SCHEMA_VERSION:
        raise StoreError(f"{path.parent} has schema version {version}, this program writes {SCHEMA_VERSION}; "
                         "choose another --out")  # fmt: skip
    if part_size not in sources.PART_SIZES:
        raise Damaged(path, f"is damaged: no part size is {part_size!r}")
    return int(part_size)


def _known_or_recovered(out: Location) -> tuple[list[Source], int, bool]:
    """`_known`, from the parts where the index or dataset.json is damaged, and whether they must be written anew."""
    try:
        return *_known(out), False
    except Damaged as error:
        say([Defect(error.path, error.what)])
    try:
        known = _read_rows(out / "index.parquet")
    except Damaged:
        known = recovered_inputs(out)
    try:
        part_size = _part_size(out / "dataset.json")
    except Damaged:
        part_size = sources.part_size_of(known)
    return known, part_size, True


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
    try:
        table = read_table(path)
        columns = [table[name].to_pylist() for name in _CACHE_SCHEMA.names]
    except (Damaged, KeyError) as error:
        say([Defect(str(path), error.what if isinstance(error, Damaged) else f"is damaged: it has no column {error}")])
        return {}
    *states, digests = columns
    return dict(zip(zip(*states, strict=True), digests, strict=True))


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


def preview(
    source_root: Location,
    out: Location,
    follow_links: bool = False,
    gathering: Gathering | None = None,
    more: More | None = None,
) -> list[Source]:
    """The index as `refresh` would make it, as far as it can be known without taking frames and downloading.

    Writes nothing.
    """
    known, part_size, _ = _known_or_recovered(out)
    states: dict[str, FileState] = {}
    gathering = gathering or Gathering()
    survey = first_look(_surveyed(source_root, states, follow_links, gathering.given), gathering, known)
    cache = _read_cache(out)
    found = sources.identify(source_root, survey.inputs, cache, states=states)
    if more:
        found += more(survey, lambda inputs: sources.identify(source_root, inputs, cache, states=states))
        found.sort(key=lambda source: source.path)
        found = limited(found, gathering, known)
    return sources.arrange(found, known, part_size or sources.part_size_for(max(len(found), survey.total)))
