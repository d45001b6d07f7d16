"""`shhq-hs verify`: is the data set whole, and is what lies on disk what was written?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from dataprep.errors import Damaged, StoreError
from dataprep.files.file_hashes import file_sha256
from dataprep.files.filenames import printable
from dataprep.files.locations import Location, each, matching, read_range
from dataprep.files.untrusted import leads_below, parse_json
from dataprep.stages.packing import MEMBERS, shard_files
from dataprep.tables.input_rows import IN_OUT, Source
from dataprep.tables.manifest_files import MANIFEST, has_manifest, pieces_of, read_manifest
from dataprep.tables.review import history
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import INDEX_PATH, SHARDS, twins
from dataprep.tables.store import StageRef, Store
from pipelines.commands.errors import STATUSES
from pipelines.engine.index import read_index
from pipelines.engine.last_run import CurrentStage, current_stages
from pipelines.engine.ledger import read_ledger
from pipelines.engine.lock import run_lock
from pipelines.engine.outputs import read_record
from pipelines.engine.plan import parts_of
from pipelines.engine.recover import recovered_inputs
from pipelines.engine.repair import take_away
from pipelines.engine.resume import command_of
from pipelines.json_output import print_json

_SHOWN = 20
_POSITION = ("offset", "size", "sha256")
Report = Callable[["Flaw"], None]


class Flaw(NamedTuple):
    """What is wrong, in words; `path` is the file that must be made anew, "" where the next run needs nothing else."""

    words: str
    path: str = ""


class Counts(NamedTuple):
    """What was looked at."""

    parts: int = 0
    rows: int = 0
    images_bytes: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Verification:
    """`defects` in words, with the file's path where there is one."""

    inputs: int
    counts: Counts
    shards: int
    defects: tuple[str, ...]
    damaged: tuple[str, ...] = ()  # paths of the files that are not as they were written


def verify(out: Location, deep: bool, repair: bool = False, as_json: bool = False) -> int:
    """Print every defect and what repairs it; returns 1 when there is one.

    `deep` also reads and hashes every byte. `repair` does that, and takes away what is damaged: the next run makes it
    anew. Photographs are no files of the data set; nothing of theirs is touched.
    """
    if repair and is_packed(out):
        raise StoreError(f"{out} holds nothing that it could be made anew from; run the command that made it again")
    show = _print_json if as_json else _print
    if not repair:
        return show(out, defects_of(out, deep), deep)
    read_inputs(out)  # before the lock makes a folder where no data set is
    with run_lock(out):
        found = defects_of(out, deep=True)
        status = show(out, found, True)
        gone = take_away(Store(out), found.damaged)
    if found.defects and not as_json:
        print(f"{gone} damaged files and what records them were taken away; now run: {command_of(out)}")
    return status


def _print_json(out: Location, found: Verification, deep: bool) -> int:
    print_json({
        "out": out, "deep": deep, "whole": not found.defects, "inputs": found.inputs, **found.counts._asdict(),
        "shards": found.shards, "defects": found.defects, "damaged": found.damaged,
    })  # fmt: skip
    return 1 if found.defects else 0


def _print(out: Location, found: Verification, deep: bool) -> int:
    depth = "read and hashed" if deep else "present; --deep also reads and hashes every byte"
    print(f"{out}: {found.inputs} inputs, {found.counts.parts} parts with {found.counts.rows} rows, "
          f"{found.counts.images_bytes / 1e6:.1f} MB of images, {found.shards} shards: {depth}")  # fmt: skip
    for defect in found.defects[:_SHOWN]:
        print(f"  {printable(defect)}")
    if len(found.defects) > _SHOWN:
        print(f"  and {len(found.defects) - _SHOWN} more")
    if found.defects and is_packed(out):
        print("to repair: run the command that made it again")
    elif found.defects:
        count = f"{len(found.defects)} defect{'s' if len(found.defects) > 1 else ''}"
        print(f"{count}; to repair: shhq-hs verify {out} --repair, then: {command_of(out)}")
    else:
        print("whole: every input has its row in every stage, and every file is as it was written")
    return 1 if found.defects else 0


def defects_of(out: Location, deep: bool) -> Verification:
    """Look at every file of the data set; raises StoreError when there is none."""
    if is_packed(out):
        return packed_defects(out, deep)
    flaws: list[Flaw] = []
    report = flaws.append
    store, (index, flaw) = Store(out), read_inputs(out)
    if flaw:
        report(flaw)
    ids = [source.sample_id for source in index]
    if len(set(ids)) != len(ids):
        report(Flaw(f"index.parquet: {len(ids) - len(set(ids))} ids are not unique", str(out / "index.parquet")))
    counts = Counts()
    for name, stage in _stages(store, report).items():
        if not store.folder(stage.ref).is_dir():
            report(Flaw(f"{name}: not built yet"))
            continue
        counts = counts.plus(_check_stage(store, stage.ref, index, deep, report))
    _check_inputs(out, index, deep, report)
    _check_outputs(out, deep, report)
    _check_manifest(out, ids, deep, report)
    shards = _check_shards(out, deep, report)
    _check_marks(out, report)
    words = tuple(flaw.words for flaw in flaws)
    return Verification(
        len(index), counts, shards, words, tuple(dict.fromkeys(flaw.path for flaw in flaws if flaw.path))
    )


def is_packed(out: Location) -> bool:
    """Whether a folder holds manifest and shards alone: what `merge`, `shards build` and `import` write."""
    return (out / INDEX_PATH).exists() and not (out / "index.parquet").exists() and not (out / "stages").exists()


def packed_defects(out: Location, deep: bool) -> Verification:
    """`defects_of` such a folder: shards are whole, and hold the samples that the manifest selects, where it says."""
    flaws: list[Flaw] = []
    path, rows, found = out / MANIFEST, 0, set()
    shards = _check_shards(out, deep, flaws.append)
    try:
        table = read_manifest(out, ["sample_id", "split", "shard", "shard_row"])
        ids, rows = table["sample_id"].to_pylist(), len(table)
        if ids != sorted(set(ids)):
            flaws.append(Flaw(f"{path}: its rows are not sorted by id, or an id stands twice", str(path)))
        for twin in twins(out / SHARDS):
            split, shard = twin.stem.split("-")
            names = read_table(twin, ["sample_id"])["sample_id"].to_pylist()
            found |= {(name, split, int(shard), row) for row, name in enumerate(names)}
        places = {row for row in zip(*(column.to_pylist() for column in table.columns), strict=True) if row[1]}
        if places != found:
            words = f"{path}: {len(places - found)} selected samples are not where it says"
            flaws.append(Flaw(f"{words}, {len(found - places)} samples of the shards are not selected", str(path)))
    except Damaged as error:
        flaws.append(_flaw(error))
    return Verification(rows, Counts(), shards, tuple(flaw.words for flaw in flaws), tuple(flaw.path for flaw in flaws))


def read_inputs(out: Location) -> tuple[Sequence[Source], Flaw | None]:
    """The index, or what the parts say where it is damaged; raises StoreError when there is no data set."""
    try:
        return read_index(out), None
    except Damaged as error:
        return recovered_inputs(out), _flaw(error)


def _stages(store: Store, report: Report) -> dict[str, CurrentStage]:
    try:
        return current_stages(store)
    except Damaged as error:
        report(_flaw(error))
        return {}


def _flaw(error: Damaged) -> Flaw:
    return Flaw(f"{error.path} {error.what}", error.path)


# --- parts -------------------------------------------------------------------------------------------------------


def _check_stage(store: Store, ref: StageRef, index: Sequence[Source], deep: bool, report: Report) -> Counts:
    counts, committed = Counts(), store.committed(ref)
    _check_ledger(store, ref, report)
    present: dict[int, list[str]] = {}
    for part, sources in parts_of(index).items():
        if part not in committed:
            report(Flaw(f"{ref.name}: part {part} is missing"))
            continue
        present[part] = [source.sample_id for source in sources]
    for part_counts, flaws in each(store.root, partial(_look_at, store, ref, deep), present.items()):
        counts = counts.plus(part_counts)
        for flaw in flaws:
            report(flaw)
    return counts


def _check_ledger(store: Store, ref: StageRef, report: Report) -> None:
    description = store.folder(ref) / "stage.json"
    try:
        read_ledger(store, ref)
        if description.exists() and not _json(description):
            raise Damaged(description, "is damaged: it cannot be read")
    except Damaged as error:
        report(_flaw(error))


def _look_at(store: Store, ref: StageRef, deep: bool, part: tuple[int, list[str]]) -> tuple[Counts, list[Flaw]]:
    """`_check_part` with its defects in a list."""
    flaws: list[Flaw] = []
    try:
        return _check_part(store, ref, *part, deep, flaws.append), flaws
    except Damaged as error:
        return Counts(), [*flaws, _flaw(error)]


def _check_part(store: Store, ref: StageRef, part: int, ids: list[str], deep: bool, report: Report) -> Counts:
    path = store.part_path(ref, part)
    table = read_table(path, None if deep else ["sample_id", "status"])
    if table["sample_id"].to_pylist() != ids:
        report(Flaw(f"{path}: its rows are not the {len(ids)} inputs of the part, in their order", str(path)))
    if unknown := set(table["status"].to_pylist()) - {"ok", "upstream", *STATUSES}:
        report(Flaw(f"{path}: unknown status {', '.join(map(str, unknown))}", str(path)))
    metadata = table.schema.metadata or {}
    if b"tar_bytes" not in metadata:
        return Counts(1, len(ids))
    size = int(metadata[b"tar_bytes"])
    _check_file(path.with_suffix(".tar"), size, metadata[b"tar_sha256"].decode(), deep, report)
    if deep:
        for name in (name for name in table.column_names if name.endswith(":offset")):
            ends = zip(table[name].to_pylist(), table[name.replace(":offset", ":size")].to_pylist(), strict=True)
            if any(offset is not None and offset + length > size for offset, length in ends):
                report(Flaw(f"{path}: {name.removesuffix(':offset')} lies outside the tar", str(path)))
    return Counts(1, len(ids), size)


def _check_file(path: Location, size: int, sha256: str, deep: bool, report: Report) -> None:
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        report(Flaw(f"{path} is missing", str(path)))
        return
    if found != size:
        report(Flaw(f"{path} has {found} bytes, {size} were written", str(path)))
    elif deep and file_sha256(path) != sha256:
        report(Flaw(f"{path} has other bytes than were written", str(path)))


def _check_inputs(out: Location, index: Sequence[Source], deep: bool, report: Report) -> None:
    """Frames of videos and downloads, which lie in the data set itself: there, and where the index says."""
    ours = [source for source in index if source.place and source.place.startswith(IN_OUT)]
    for name, sources in groupby(sorted(ours, key=_place), key=_place):
        path, some = out / name, list(sources)
        ends = max((source.offset or 0) + source.size for source in some)
        if not path.exists():
            report(Flaw(f"{path} is missing", str(path)))
        elif path.stat().st_size < ends:
            report(Flaw(f"{path} is cut off: {ends} bytes were written", str(path)))
        elif deep:
            found = each(out, lambda source: read_range(out / _place(source), source.offset or 0, source.size), some)
            if any(hashlib.sha256(data).digest() != one.sha256 for one, data in zip(some, found, strict=True)):
                report(Flaw(f"{path} has other bytes than were written", str(path)))


def _place(source: Source) -> str:
    return (source.place or "").removeprefix(IN_OUT)


# --- what users take away ----------------------------------------------------------------------------------------


def _check_outputs(out: Location, deep: bool, report: Report) -> None:
    """Files of the aggregates against the hashes recorded when they were built."""
    for record in matching(out / "stages", "*/done.json"):
        content, defect = read_record(record)
        if defect:
            report(Flaw(f"{record} {defect.what}", str(record)))
        for name, sha256 in content.get("sha256", {}).items():
            path = out / name
            if not leads_below(name):
                report(Flaw(f"{record} is damaged: it names {name!r}, which is no file of the data set", str(record)))
            elif not path.exists():
                report(Flaw(f"{path} is missing", str(path)))
            elif (deep or path.suffix in (".json", ".parquet")) and file_sha256(path) != sha256:
                report(Flaw(f"{path} has other bytes than were written", str(path)))


def _check_manifest(out: Location, ids: Sequence[str], deep: bool, report: Report) -> None:
    path = out / MANIFEST
    if not has_manifest(out):
        report(Flaw("manifest: not built yet"))
        return
    try:
        for piece in pieces_of(path):
            _check_file(path / piece.name, piece.bytes, piece.sha256, deep, report)
        found = read_manifest(out, ["sample_id"])["sample_id"].to_pylist()
    except Damaged as error:
        report(_flaw(error))
        return
    if found != sorted(ids):
        report(Flaw(f"{path}: its {len(found)} rows are not the {len(ids)} inputs, sorted by id", str(path)))


def _check_marks(out: Location, report: Report) -> None:
    """Reviewers' marks; they are people's work, which nothing makes anew, so that no repair takes them away."""
    try:
        history(out)
    except StoreError as error:
        report(Flaw(str(error)))


def _check_shards(out: Location, deep: bool, report: Report) -> int:
    if not (out / INDEX_PATH).exists():
        return 0
    try:
        files = shard_files(out / SHARDS)
    except Damaged as error:
        report(_flaw(error))
        return 0
    for name, (size, sha256) in files.items():
        _check_file(out / name, size, sha256, deep, report)
    stems = [out / name.removesuffix(".tar") for name in files if name.endswith(".tar")]
    for stem in stems if deep else ():
        if stem.with_suffix(".tar").exists() and stem.with_suffix(".parquet").exists():
            for flaw in _wrong_images(stem):
                report(flaw)
    return len(stems)


def _wrong_images(stem: Location) -> Iterator[Flaw]:
    """Images of a shard that are not where, or not what, its table says."""
    try:
        twin = read_table(stem.with_suffix(".parquet"))
    except Damaged as error:
        yield _flaw(error)
        return
    # By the hash: labels may end in "_offset", too (head_offset).
    # Not whatever ends in "_offset": labels may, as head_offset does.
    kinds = [kind for kind in MEMBERS if f"{kind}_sha256" in twin.column_names]
    tar = stem.with_suffix(".tar")
    for kind in kinds:
        columns = [twin[name].to_pylist() for name in ("sample_id", *(f"{kind}_{c}" for c in _POSITION))]
        rows = list(zip(*columns, strict=True))
        found = each(tar, lambda row: hashlib.sha256(read_range(tar, row[1], row[2])).digest(), rows)
        for (sample_id, _, _, sha256), digest in zip(rows, found, strict=True):
            if digest != sha256:
                yield Flaw(f"{tar}: {kind} of {sample_id} has other bytes than were written", str(tar))


def _json(path: Location) -> dict[str, Any]:
    try:
        return parse_json(path.read_text())
    except (OSError, ValueError):
        return {}
