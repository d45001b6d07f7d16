"""shards: the accepted samples as WebDataset-compatible tar files, each with a parquet twin.

shards/train-00000.tar       <id>.portrait.png <id>.face.png <id>.alpha.png <id>.json, fixed order, mtime 0
shards/train-00000.parquet   the manifest rows of those samples + byte offset, size and sha256 of every image
shards/index.json            shards with rows, bytes and hashes, bases, label statistics; written last
shards/README.md             the data set card, and shards/croissant.json: what others read them by
README.md                    the same card for the folder above, unless somebody's own lies there
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from dataprep.cards.croissant import croissant
from dataprep.cards.dataset_card import MARK, SAID, dataset_card
from dataprep.cards.facts import facts_of
from dataprep.cards.sample_json import json_fields, sample_json
from dataprep.errors import Damaged
from dataprep.files.file_hashes import file_sha256
from dataprep.files.locations import Location
from dataprep.files.untrusted import parse_json, require_sample_ids, require_shard_name
from dataprep.stages.aggregate import Aggregate, DatasetView
from dataprep.tables.columns import HASH256, UINT32, UINT64, Column, rows_from_table, shaped, table_from_rows
from dataprep.tables.labels import LABELS
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import INDEX_PATH, SHARDS, SHARDS_INDEX, shard_name
from dataprep.tables.store import SCHEMA_VERSION, add_tar_member, atomic_file, write_json, write_table

IMAGES = {"portrait": ("matte", "portrait.png"), "face": ("face", "face.png"), "alpha": ("matte", "alpha.png")}
PICTURES = {image: member for image, (_, member) in IMAGES.items()}
MEMBERS = {**PICTURES, "json": "json"}
_MEANINGS = {
    "portrait.png": "the portrait, RGB on white",
    "face.png": "the face in the generator's face crop, RGB on white",
    "alpha.png": "how much of each portrait pixel is the person, 8 bit",
    "json": "every label, score and flag",
}
CARD, CROISSANT = "README.md", "croissant.json"


def _position_columns(name: str, member: str) -> tuple[Column, Column, Column]:
    return (
        Column(f"{name}_offset", UINT64, f"byte offset of <sample_id>.{member} in the shard's tar", unit="B"),
        Column(f"{name}_size", UINT32, f"size of <sample_id>.{member}", unit="B"),
        Column(f"{name}_sha256", HASH256, f"sha256 of <sample_id>.{member}"),
    )


POSITION_COLUMNS = tuple(column for name, member in MEMBERS.items() for column in _position_columns(name, member))
_SHARD_FILE = re.compile(r"(train|val)-\d{5}\.(tar|parquet)")


@dataclass(frozen=True)
class Shards(Aggregate):
    """Packs what the manifest selected; which sample lies where was decided there."""

    name: ClassVar[str] = "shards"
    version: ClassVar[int] = 2
    requires: ClassVar[tuple[str, ...]] = ("manifest", "matte", "face")
    columns: ClassVar[tuple[Column, ...]] = POSITION_COLUMNS
    outputs: ClassVar[tuple[str, ...]] = (INDEX_PATH, f"{SHARDS}/{CARD}", f"{SHARDS}/{CROISSANT}")

    def more_files(self, root: Location) -> dict[str, tuple[int, str]]:
        return shard_files(root / SHARDS)

    def build(self, view: DatasetView, root: Location) -> dict[str, int]:
        manifest = read_table(root / "manifest.parquet")
        return write_shards(manifest, root / SHARDS, reader_of(view))


ReadImage = Callable[[str, str], bytes]  # (sample_id, one of IMAGES) -> PNG


def write_shards(manifest: pa.Table, folder: Location, read_image: ReadImage) -> dict[str, int]:
    """Write the selected rows of a manifest, each where its columns split, shard and shard_row say."""
    require_sample_ids(manifest["sample_id"].to_pylist(), "the manifest")
    entries = []
    fields = json_fields(manifest.schema)
    for name, rows in _shards(manifest):
        require_shard_name(name, "the manifest")
        samples = rows_from_table(rows)
        positions = _write_tar(folder / f"{name}.tar", samples, fields, read_image)
        _write_twin(folder / f"{name}.parquet", rows, positions)
        entries.append(_entry(folder, name, len(samples)))
    _remove_stale(folder, {entry["name"] for entry in entries})
    _write_cards(manifest, folder, entries)
    write_json(folder / SHARDS_INDEX, _index(manifest, entries))
    return {"samples": sum(entry["rows"] for entry in entries), "shards": len(entries)}


def _shards(manifest: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Name and rows of each shard, rows in shard order."""
    places: dict[str, list[int]] = {}
    columns = (manifest[name].to_pylist() for name in ("split", "shard"))
    for i, (split, shard) in enumerate(zip(*columns, strict=True)):
        if split is not None:
            places.setdefault(shard_name(split, shard), []).append(i)  # manifest order is shard order
    for name in sorted(places):
        yield name, manifest.take(pa.array(places[name]))


def reader_of(view: DatasetView) -> ReadImage:
    """The images of a data set where the stages that made them left them."""
    places = {
        image: {
            name: (stage, part, place)
            for part in view.parts
            for name, place in view.store.places(view.refs[stage], part, blob).items()
        }
        for image, (stage, blob) in IMAGES.items()
    }
    return lambda name, image: view.blob(*places[image][name])


def _write_tar(
    path: Location, samples: list[dict[str, Any]], fields: tuple[pa.Field, ...], read_image: ReadImage
) -> list[dict[str, Any]]:
    """Write one shard; returns the position columns of each sample."""
    rows = []
    with atomic_file(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            sample_id = sample["sample_id"]
            content = {image: read_image(sample_id, image) for image in IMAGES}
            content["json"] = sample_json(sample, fields)
            row: dict[str, Any] = {}
            for name, member in MEMBERS.items():
                offset = add_tar_member(tar, f"{sample_id}.{member}", content[name])
                digest = hashlib.sha256(content[name]).digest()
                row |= {f"{name}_offset": offset, f"{name}_size": len(content[name]), f"{name}_sha256": digest}
            rows.append(row)
    return rows


def _write_twin(path: Location, rows: pa.Table, positions: list[dict[str, Any]]) -> None:
    own = table_from_rows(POSITION_COLUMNS, positions)
    rows = shaped(rows)
    fields, columns = [*rows.schema, *own.schema], [*rows.columns, *own.columns]
    write_table(path, pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=rows.schema.metadata)))


def _write_cards(manifest: pa.Table, folder: Location, entries: list[dict[str, Any]]) -> None:
    """Write the card, also above the shards, and Croissant's metadata."""
    facts, fields = facts_of(manifest), json_fields(manifest.schema)
    version = (manifest.schema.metadata or {}).get(b"code_version", b"0").decode()
    schema = shaped(manifest.slice(0, 0)).schema
    write_json(folder / CROISSANT, croissant(schema, entries, PICTURES, facts, version, SAID))
    for place, below in ((folder / CARD, ""), (folder.parent / CARD, f"{SHARDS}/")):
        if below and place.exists() and MARK not in place.read_text():
            continue
        with atomic_file(place) as file:
            file.write(dataset_card(fields, PICTURES, facts, _MEANINGS, below).encode())


def _entry(folder: Location, name: str, rows: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "rows": rows}
    for suffix in ("tar", "parquet"):
        path = folder / f"{name}.{suffix}"
        entry[suffix] = {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
    return entry


def shard_files(folder: Location) -> dict[str, tuple[int, str]]:
    """Bytes and sha256 of every shard's tar and twin, by path below the data set; raises Damaged."""
    path = folder / SHARDS_INDEX
    try:
        entries = parse_json(path.read_text())["shards"]
        if strange := [entry["name"] for entry in entries if not _SHARD_FILE.fullmatch(f"{entry['name']}.tar")]:
            raise ValueError(f"no shard is called {strange[0]!r}")
        return {
            f"{SHARDS}/{entry['name']}.{suffix}": (int(entry[suffix]["bytes"]), str(entry[suffix]["sha256"]))
            for entry in entries
            for suffix in ("tar", "parquet")
        }
    except FileNotFoundError as error:
        raise Damaged(path, "is missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(path, f"is damaged: it cannot be read ({error})") from error


def _remove_stale(folder: Location, names: set[str]) -> None:
    """Shards of an earlier, larger build of this same data set."""
    for path in folder.glob("*-*.*"):
        if _SHARD_FILE.fullmatch(path.name) and path.stem not in names:
            path.unlink()


def _index(manifest: pa.Table, entries: list[dict[str, Any]]) -> dict[str, Any]:
    chosen = manifest.filter(manifest["selected"])
    metadata = {key.decode(): value.decode() for key, value in (manifest.schema.metadata or {}).items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "stages": parse_json(metadata["stages"]),
        "samples": len(chosen),
        "members": list(MEMBERS.values()),
        "models": parse_json(chosen["models"][0].as_py()) if len(chosen) else {},
        "label_statistics": _all_statistics(chosen) if len(chosen) else {},
        "shards": entries,
    }


def _all_statistics(chosen: pa.Table) -> dict[str, dict[str, list[float]]]:
    return {
        one.name: _statistics(chosen[one.name]) for one in LABELS if one.statistics and one.name in chosen.column_names
    }


def _statistics(column: pa.ChunkedArray) -> dict[str, list[float]]:
    values = np.array(column.to_pylist(), dtype=np.float64)
    return {"mean": values.mean(axis=0).round(6).tolist(), "std": values.std(axis=0).round(6).tolist()}
