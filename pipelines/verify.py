"""`shhq-hs verify`: is the data set whole, and is what lies on disk what was written?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.errors import StoreError
from dataprep.filenames import printable
from dataprep.foreign import leads_below, require_shard_name
from dataprep.sources import Source
from dataprep.storage import Location, each, matching, parquet, read_range
from dataprep.store import StageRef, Store, file_sha256
from pipelines.current import current_stages
from pipelines.errors import STATUSES
from pipelines.index import read_index
from pipelines.plan import parts_of
from pipelines.resume import command_of

_SHOWN = 20
_POSITION = ("offset", "size", "sha256")
Report = Callable[[str], None]


class Counts(NamedTuple):
    """What was looked at."""

    parts: int = 0
    rows: int = 0
    images_bytes: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Verdict:
    """`defects` in words, with the file's path where there is one."""

    inputs: int
    counts: Counts
    shards: int
    defects: tuple[str, ...]


def verify(out: Location, deep: bool) -> int:
    """Print every defect and what mends it; returns 1 when there is one. `deep` also reads and hashes every byte."""
    found = defects_of(out, deep)
    depth = "read and hashed" if deep else "present; --deep also reads and hashes every byte"
    print(f"{out}: {found.inputs} inputs, {found.counts.parts} parts with {found.counts.rows} rows, "
          f"{found.counts.images_bytes / 1e6:.1f} MB of images, {found.shards} shards: {depth}")  # fmt: skip
    for defect in found.defects[:_SHOWN]:
        print(f"  {printable(defect)}")
    if len(found.defects) > _SHOWN:
        print(f"  and {len(found.defects) - _SHOWN} more")
    if found.defects:
        print(f"{len(found.defects)} defects; delete the damaged files named above, then run: {command_of(out)}")
    else:
        print("whole: every input has its row in every stage, and every file is as it was written")
    return 1 if found.defects else 0


def defects_of(out: Location, deep: bool) -> Verdict:
    """Look at every file of the data set; raises StoreError when there is none."""
    defects: list[str] = []
    store, index = Store(out), read_index(out)
    ids = [source.sample_id for source in index]
    if len(set(ids)) != len(ids):
        defects.append(f"index.parquet: {len(ids) - len(set(ids))} ids are not unique")
    counts = Counts()
    for name, stage in current_stages(store).items():
        if not store.folder(stage.ref).is_dir():
            defects.append(f"{name}: not built yet")
            continue
        counts = counts.plus(_check_stage(store, stage.ref, index, deep, defects.append))
    _check_outputs(out, deep, defects.append)
    _check_manifest(out, ids, defects.append)
    shards = _check_shards(out, deep, defects.append)
    return Verdict(len(index), counts, shards, tuple(defects))


# --- parts -------------------------------------------------------------------------------------------------------


def _check_stage(store: Store, ref: StageRef, index: Sequence[Source], deep: bool, report: Report) -> Counts:
    counts, committed = Counts(), store.committed(ref)
    present: dict[int, list[str]] = {}
    for part, sources in parts_of(index).items():
        if part not in committed:
            report(f"{ref.name}: part {part} is missing")
            continue
        present[part] = [source.sample_id for source in sources]
    for part_counts, defects in each(store.root, partial(_look_at, store, ref, deep), present.items()):
        counts = counts.plus(part_counts)
        for defect in defects:
            report(defect)
    return counts


def _look_at(store: Store, ref: StageRef, deep: bool, part: tuple[int, list[str]]) -> tuple[Counts, list[str]]:
    """`_check_part` with its defects in a list."""
    defects: list[str] = []
    try:
        return _check_part(store, ref, *part, deep, defects.append), defects
    except StoreError as error:
        return Counts(), [*defects, f"{ref.name}: part {part[0]}: {error}"]


def _check_part(store: Store, ref: StageRef, part: int, ids: list[str], deep: bool, report: Report) -> Counts:
    path = store.part_path(ref, part)
    table = _read(path, None if deep else ["sample_id", "status"])
    if table["sample_id"].to_pylist() != ids:
        report(f"{path}: its rows are not the {len(ids)} inputs of the part, in their order")
    if unknown := set(table["status"].to_pylist()) - {"ok", "upstream", *STATUSES}:
        report(f"{path}: unknown status {', '.join(map(str, unknown))}")
    metadata = table.schema.metadata or {}
    if b"tar_bytes" not in metadata:
        return Counts(1, len(ids))
    size = int(metadata[b"tar_bytes"])
    _check_file(path.with_suffix(".tar"), size, metadata[b"tar_sha256"].decode(), deep, report)
    if deep:
        for name in (name for name in table.column_names if name.endswith(":offset")):
            ends = zip(table[name].to_pylist(), table[name.replace(":offset", ":size")].to_pylist(), strict=True)
            if any(offset is not None and offset + length > size for offset, length in ends):
                report(f"{path}: {name.removesuffix(':offset')} lies outside the tar")
    return Counts(1, len(ids), size)


def _read(path: Location, columns: list[str] | None = None) -> pa.Table:
    """Read with the checksums of every page; StoreError when the file is damaged."""
    try:
        return pq.read_table(parquet(path), columns=columns, partitioning=None, page_checksum_verification=True)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise StoreError(f"{path} is damaged ({' '.join(str(error).split())[:120]}); delete it") from error


def _check_file(path: Location, size: int, sha256: str, deep: bool, report: Report) -> None:
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        report(f"{path} is missing")
        return
    if found != size:
        report(f"{path} has {found} bytes, {size} were written")
    elif deep and file_sha256(path) != sha256:
        report(f"{path} has other bytes than were written")


# --- what users take away ----------------------------------------------------------------------------------------


def _check_outputs(out: Location, deep: bool, report: Report) -> None:
    """Files of the aggregates against the hashes recorded when they were built."""
    for record in matching(out / "stages", "*/done.json"):
        for name, sha256 in _json(record).get("sha256", {}).items():
            if not leads_below(name):
                report(f"{record} names {name!r}, which is no file of the data set")
                continue
            path = out / name
            if not path.exists():
                report(f"{path} is missing")
            elif (deep or path.suffix in (".json", ".parquet")) and file_sha256(path) != sha256:
                report(f"{path} has other bytes than were written")


def _check_manifest(out: Location, ids: Sequence[str], report: Report) -> None:
    path = out / "manifest.parquet"
    if not path.exists():
        report("manifest: not built yet")
        return
    try:
        found = _read(path, ["sample_id"])["sample_id"].to_pylist()
    except StoreError as error:
        report(str(error))
        return
    if found != sorted(ids):
        report(f"{path}: its {len(found)} rows are not the {len(ids)} inputs, sorted by id")


def _check_shards(out: Location, deep: bool, report: Report) -> int:
    index = _json(out / "shards" / "index.json")
    for entry in index.get("shards", []):
        require_shard_name(entry["name"], out / "shards" / "index.json")
        stem = out / "shards" / entry["name"]
        for suffix in ("tar", "parquet"):
            _check_file(stem.with_suffix(f".{suffix}"), entry[suffix]["bytes"], entry[suffix]["sha256"], deep, report)
        if deep and stem.with_suffix(".tar").exists() and stem.with_suffix(".parquet").exists():
            for defect in _wrong_images(stem):
                report(defect)
    return len(index.get("shards", []))


def _wrong_images(stem: Location) -> Iterator[str]:
    """Images of a shard that are not where, or not what, its table says."""
    try:
        twin = _read(stem.with_suffix(".parquet"))
    except StoreError as error:
        yield str(error)
        return
    kinds = [name.removesuffix("_offset") for name in twin.column_names if name.endswith("_offset")]
    tar = stem.with_suffix(".tar")
    for kind in kinds:
        columns = [twin[name].to_pylist() for name in ("sample_id", *(f"{kind}_{c}" for c in _POSITION))]
        rows = list(zip(*columns, strict=True))
        found = each(tar, lambda row: hashlib.sha256(read_range(tar, row[1], row[2])).digest(), rows)
        for (sample_id, _, _, sha256), digest in zip(rows, found, strict=True):
            if digest != sha256:
                yield f"{tar}: {kind} of {sample_id} has other bytes than were written"


def _json(path: Location) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
