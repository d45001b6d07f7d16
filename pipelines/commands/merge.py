"""`shhq-hs merge`: one data set from several that are built already."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataprep import __version__
from dataprep.errors import ConfigError, StoreError
from dataprep.files.locations import Location, ObjectPath
from dataprep.files.untrusted import parse_json
from dataprep.stages.manifest import Manifest
from dataprep.stages.packing import POSITION_COLUMNS, told_of, write_index, write_shards, write_twin
from dataprep.tables.labels import BASES
from dataprep.tables.manifest_files import MANIFEST, has_manifest, read_manifest
from dataprep.tables.review import decisions
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import SHARDS, SHARDS_INDEX, shard_name, twins
from dataprep.tables.store import SCHEMA_VERSION, write_json, write_table
from pipelines.commands.merged_rows import DATA_SET, merged_rows
from pipelines.commands.new_folder import new_folder, require_new
from pipelines.commands.reviewing.obeyed import obeyed
from pipelines.commands.subset import images_of, placed

RECORD = "merged.json"
_NEEDED = {"sample_id", "selected", "split", "shard", "shard_row", "person", "portrait_dhash", "likeness",
           "likeness_self", *BASES}  # fmt: skip
_FREE = {("ingest", "license")}  # parameters in which data sets may differ: they say what, and not how


def merge(roots: Sequence[Location], target: Location, allow: str, copy: bool, keep_across_splits: bool) -> int:
    """Write `target`/manifest.parquet and shards from the data sets `roots`; returns 0.

    Raises ConfigError when they do not belong together: other body or face models, or other settings of stages that
    `allow` (names with commas between them, or `all`) does not name; or when a tar of an object store would be linked.
    """
    target = _place(roots, target, copy)
    require_new(target)
    names = _names(roots)
    manifests = {name: _manifest(root) for name, root in zip(names, roots, strict=True)}
    _require_one_basis(manifests)
    differing = _differences(dict(zip(names, roots, strict=True)), manifests)
    allowed = {one.strip() for one in allow.split(",") if one.strip()}
    if refused := {stage: said for stage, said in differing.items() if not allowed & {stage, "all"}}:
        lines = "\n".join(f"  {stage}: {said}" for stage, said in refused.items())
        raise ConfigError(f"the data sets were made in different ways:\n{lines}\nbuild them alike, or if that is "
                          f"meant: --allow {','.join(refused)}")  # fmt: skip
    table, found = merged_rows(manifests, keep_across_splits)
    with new_folder(target, last=MANIFEST) as place:
        if copy:
            counts = _packed(table, dict(zip(names, roots, strict=True)), place)
        else:
            table = _linked(table, dict(zip(names, roots, strict=True)), place)
            counts = {"samples": sum(table["selected"].to_pylist()), "shards": len(twins(place / SHARDS))}
        if copy:
            table = _placed(table)
        write_json(place / RECORD, {"data_sets": names, "differences": differing, "found": vars(found)})
        write_table(place / MANIFEST, _described(table))
    for line in found.lines():
        print(line)
    for stage, said in differing.items():
        print(f"allowed: {stage}: {said}")
    print(f"{target}: {len(table)} rows, {counts['samples']} samples in {counts['shards']} shards, "
          f"{'copied' if copy else 'linked'}; train with: shhq-hs train --data {target}")  # fmt: skip
    return 0


def _place(roots: Sequence[Location], target: Location, copy: bool) -> Path:
    """The folder to write to; raises ConfigError where an object store is asked for what it cannot do."""
    if isinstance(target, ObjectPath):
        raise ConfigError(f"--out {target}: merge writes to a folder of this machine; give one, then copy it there: "
                          f"aws s3 cp --recursive FOLDER {target}")  # fmt: skip
    there = [root for root in roots if isinstance(root, ObjectPath)]
    if there and not copy:
        raise ConfigError(f"{there[0]} lies in an object store, where no tar can be linked; copy the shards: --copy")
    return target


def _names(roots: Sequence[Location]) -> list[str]:
    """A name for each data set: that of its folder, numbered where two are alike."""
    if len(roots) < 2:
        raise ConfigError("merge takes two data sets or more: shhq-hs merge A B --out C")
    if len({root.resolve() for root in roots}) < len(roots):
        raise ConfigError("a data set is named twice; name each once")
    plain = [root.resolve().name for root in roots]
    return [name if plain.count(name) == 1 else f"{name}-{i + 1}" for i, name in enumerate(plain)]


def _manifest(root: Location) -> pa.Table:
    """The rows of a data set, as reviewers want them now: marks do not come along."""
    if not has_manifest(root) or not (root / SHARDS / SHARDS_INDEX).exists():
        raise StoreError(
            f"{root} holds no data set with manifest and shards; build it with: shhq-hs run SOURCE --out {root}"
        )
    table = read_manifest(root)
    if missing := sorted(_NEEDED - set(table.column_names)):
        raise ConfigError(f"{root}: the manifest has no column {', '.join(missing)}; build it again with this version: "
                          "shhq-hs run")  # fmt: skip
    return obeyed(table, decisions(root))


# --- do they belong together? --------------------------------------------------------------------------------------


def _require_one_basis(manifests: dict[str, pa.Table]) -> None:
    """Coefficients of different models are different numbers: nothing allows that."""
    seen: dict[tuple[Any, ...], str] = {}
    for name, table in manifests.items():
        chosen = table.filter(table["selected"])
        for basis in set(zip(*(chosen[column].to_pylist() for column in BASES), strict=True)):
            seen.setdefault(basis, name)
    if len(seen) > 1:
        said = " but ".join(f"{name} has {basis[0]} {basis[1][:8]} and {basis[2]} {basis[3][:8]}"
                            for basis, name in seen.items())  # fmt: skip
        raise ConfigError(f"body and face models differ: {said}. Their coefficients never mix; build all with one")


def _differences(roots: dict[str, Location], manifests: dict[str, pa.Table]) -> dict[str, str]:
    """By stage, in words, how the data sets were made in different ways."""
    made = {name: _made(root, manifests[name]) for name, root in roots.items()}
    first, *others = made
    found: dict[str, str] = {}
    for other in others:
        for stage in [*made[first], *(one for one in made[other] if one not in made[first])]:
            a, b = made[first].get(stage, {}), made[other].get(stage, {})
            keys = [key for key in [*a, *b] if a.get(key) != b.get(key) and (stage, key) not in _FREE]
            if keys and stage not in found:
                said = (_differing(key, (first, a), (other, b)) for key in dict.fromkeys(keys))
                found[stage] = ", ".join(said)
    return found


def _differing(key: str, *two: tuple[str, dict[str, str]]) -> str:
    return f"{key} is " + ", ".join(f"{made.get(key, 'unknown')} in {name}" for name, made in two)


def _made(root: Location, manifest: pa.Table) -> dict[str, dict[str, str]]:
    """Version, parameters and models by stage, from the descriptions of the parts; else the fingerprint alone."""
    stages = parse_json((manifest.schema.metadata or {}).get(b"stages", b"{}"))
    found = {}
    for name, fingerprint in stages.items():
        try:
            said = parse_json((root / "stages" / f"{name}-{fingerprint}" / "stage.json").read_text())["stage"]
            models = {f"model {model}": str(sha256)[:12] for model, sha256 in said["weights"]}
            found[name] = {"version": str(said["version"]), **{k: str(v) for k, v in said["params"].items()}, **models}
        except (OSError, ValueError, KeyError, TypeError):
            found[name] = {"fingerprint": str(fingerprint)}
    return found


# --- shards ----------------------------------------------------------------------------------------------------------


def _packed(table: pa.Table, roots: dict[str, Location], place: Path) -> dict[str, int]:
    """New shards, filled anew; every image is compared with its hash on the way."""
    readers = {name: images_of(root) for name, root in roots.items()}
    owner = dict(zip(table["sample_id"].to_pylist(), table[DATA_SET.name].to_pylist(), strict=True))
    chosen = _described(_placed(table))
    return write_shards(chosen, place / SHARDS, lambda sample_id, image: readers[owner[sample_id]](sample_id, image))


def _placed(table: pa.Table) -> pa.Table:
    return placed(table, Manifest.shard_rows)


def _linked(table: pa.Table, roots: dict[str, Location], place: Path) -> pa.Table:
    """Shards whose tars are the old ones, under new numbers; what is left out of a tar stays in it, unnamed."""
    folder, entries, numbers = place / SHARDS, [], {"train": 0, "val": 0}
    folder.mkdir(parents=True)
    rows = {sample_id: row for row, sample_id in enumerate(table["sample_id"].to_pylist())}
    owner, chosen = table[DATA_SET.name].to_pylist(), table["selected"].to_pylist()
    shards: list[int | None] = [None] * len(table)
    places: list[int | None] = [None] * len(table)
    twins_of: list[tuple[str, list[int], pa.Table, Location, dict[str, Any]]] = []
    for name, root in roots.items():
        for twin, entry in _entries(root):
            old = read_table(twin)
            mine = [i for i, one in enumerate(old["sample_id"].to_pylist())
                    if one in rows and chosen[rows[one]] and owner[rows[one]] == name]  # fmt: skip
            if not mine:
                continue
            split = twin.name.partition("-")[0]
            for position, i in enumerate(mine):
                row = rows[old["sample_id"][i].as_py()]
                shards[row], places[row] = numbers[split], position
            named = shard_name(split, numbers[split])
            numbers[split] += 1
            positions = old.take(pa.array(mine)).select([column.name for column in POSITION_COLUMNS])
            order = [rows[old["sample_id"][i].as_py()] for i in mine]
            twins_of.append((named, order, positions, twin.with_suffix(".tar"), entry["tar"]))
    for column, values in (("shard", shards), ("shard_row", places)):
        at = table.schema.get_field_index(column)
        table = table.set_column(at, table.schema.field(column), pa.array(values, table.schema.field(column).type))
    described = _described(table)
    for named, order, positions, tar, was in twins_of:
        _link(tar, folder / f"{named}.tar")
        entries.append(write_twin(folder, named, described.take(pa.array(order)), positions, was))
    write_index(folder, sorted(entries, key=lambda entry: entry["name"]), told_of(described))
    return table


def _entries(root: Location) -> Iterator[tuple[Location, dict[str, Any]]]:
    """The twins of a data set's shards and what its index says of each."""
    for entry in parse_json((root / SHARDS / SHARDS_INDEX).read_text())["shards"]:
        yield root / SHARDS / f"{entry['name']}.parquet", entry


def _link(tar: Location, new: Path) -> None:
    assert isinstance(tar, Path)  # `_place` lets no object come here
    try:
        os.link(tar, new)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise ConfigError(f"{tar} lies on another disk than {new.parents[1]}, and a file cannot be linked there; "
                              "copy the shards: --copy") from error  # fmt: skip
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        shutil.copyfile(tar, new)  # a file system without links


def _described(table: pa.Table) -> pa.Table:
    """With the metadata of a manifest; no stage of ours made the whole."""
    said = {"schema_version": str(SCHEMA_VERSION), "code_version": __version__, "stages": json.dumps({})}
    return table.replace_schema_metadata(said)
