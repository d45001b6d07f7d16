"""Packing samples into shards: a WebDataset-compatible tar each, its parquet twin, and the index of all."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dataprep.cards.croissant import croissant
from dataprep.cards.dataset_card import MARK, SAID, dataset_card
from dataprep.cards.facts import Facts, facts_of
from dataprep.cards.sample_json import json_fields, sample_json
from dataprep.errors import Damaged
from dataprep.files.file_hashes import file_sha256
from dataprep.files.locations import Location
from dataprep.files.untrusted import parse_json, require_sample_ids, require_shard_name
from dataprep.stages.aggregate import DatasetView
from dataprep.tables.columns import HASH256, UINT32, UINT64, Column, rows_from_table, shaped, table_from_rows
from dataprep.tables.labels import LABELS, Label
from dataprep.tables.shard_folders import SHARDS, SHARDS_INDEX, shard_name
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


ReadImage = Callable[[str, str], bytes]  # (sample_id, one of IMAGES) -> PNG


@dataclass(frozen=True)
class Told:
    """What index and cards say of a manifest as a whole; `models`: JSON of the first sample's row."""

    schema: pa.Schema
    models: str
    statistics: Mapping[str, Mapping[str, list[float]]]
    facts: Facts


def told_of(manifest: pa.Table) -> Told:
    """Count; `manifest` has every input or the selected ones alone."""
    chosen = manifest.filter(manifest["selected"])
    statistics = {one.name: _statistics(chosen[one.name]) for one in counted_labels(chosen.schema) if len(chosen)}
    models = chosen["models"][0].as_py() if len(chosen) else "{}"
    facts = facts_of(lambda names: [manifest.select(names)], manifest.schema)
    return Told(manifest.schema, models, statistics, facts)


def write_shards(manifest: pa.Table, folder: Location, read_image: ReadImage) -> dict[str, int]:
    """Write the selected rows of a manifest, each where its columns split, shard and shard_row say."""
    require_sample_ids(manifest["sample_id"].to_pylist(), "the manifest")
    entries = [write_shard(folder, name, rows, read_image) for name, rows in _shards(manifest)]
    return finish_shards(folder, entries, told_of(manifest))


def write_shard(folder: Location, name: str, rows: pa.Table, read_image: ReadImage) -> dict[str, Any]:
    """Write a shard of these rows, in their order; returns its entry of the index."""
    require_shard_name(name, "the manifest")
    positions = _write_tar(folder / f"{name}.tar", rows_from_table(rows), json_fields(rows.schema), read_image)
    return write_twin(folder, name, rows, table_from_rows(POSITION_COLUMNS, positions))


def write_twin(
    folder: Location, name: str, rows: pa.Table, positions: pa.Table, tar: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write the parquet twin of a shard whose tar is there; returns the shard's entry in the index.

    `tar`: bytes and sha256 of the tar, where they are known.
    """
    rows = shaped(rows)
    fields, columns = [*rows.schema, *positions.schema], [*rows.columns, *positions.columns]
    twin = pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=rows.schema.metadata))
    write_table(folder / f"{name}.parquet", twin)
    files = {suffix: folder / f"{name}.{suffix}" for suffix in ("tar", "parquet")}
    known = {} if tar is None else {"tar": dict(tar)}
    return {"name": name, "rows": len(rows)} | {
        suffix: known.get(suffix) or {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for suffix, path in files.items()
    }


def finish_shards(folder: Location, entries: list[dict[str, Any]], told: Told) -> dict[str, int]:
    """Remove shards of an earlier, larger build, and write the index, which makes the shards count."""
    _remove_stale(folder, {entry["name"] for entry in entries})
    write_index(folder, entries, told)
    return {"samples": sum(entry["rows"] for entry in entries), "shards": len(entries)}


def write_index(folder: Location, entries: list[dict[str, Any]], told: Told) -> None:
    """Write the cards, and what a reader of the shards asks for first; that last of all."""
    _write_cards(folder, entries, told.schema, told.facts)
    metadata = {key.decode(): value.decode() for key, value in (told.schema.metadata or {}).items()}
    index = {
        "schema_version": SCHEMA_VERSION,
        "stages": parse_json(metadata["stages"]),
        "samples": sum(entry["rows"] for entry in entries),
        "members": list(MEMBERS.values()),
        "models": parse_json(told.models),
        "label_statistics": told.statistics,
        "shards": entries,
    }
    write_json(folder / SHARDS_INDEX, index)


def counted_labels(schema: pa.Schema) -> list[Label]:
    """Labels of which the index gives mean and deviation."""
    return [one for one in LABELS if one.statistics and one.name in schema.names]


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


def _write_cards(folder: Location, entries: list[dict[str, Any]], manifest: pa.Schema, facts: Facts) -> None:
    """Write the card, also above the shards, and Croissant's metadata."""
    fields = json_fields(manifest)
    version = (manifest.metadata or {}).get(b"code_version", b"0").decode()
    schema = shaped(manifest.empty_table()).schema
    write_json(folder / CROISSANT, croissant(schema, entries, PICTURES, facts, version, SAID))
    for place, below in ((folder / CARD, ""), (folder.parent / CARD, f"{SHARDS}/")):
        if below and place.exists() and MARK not in place.read_text():
            continue
        with atomic_file(place) as file:
            file.write(dataset_card(fields, PICTURES, facts, _MEANINGS, below).encode())


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


def _statistics(column: pa.ChunkedArray) -> dict[str, list[float]]:
    values = np.array(column.to_pylist(), dtype=np.float64)
    return {"mean": values.mean(axis=0).round(6).tolist(), "std": values.std(axis=0).round(6).tolist()}
