"""`shhq-hs import`: the authors' own hand-out as manifest and shards, so that `shhq-hs train` can read it."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataprep import __version__
from dataprep.errors import ConfigError, Rejected
from dataprep.exchange.authors_handout import FIELDS, FOLDERS, HandedPerson, read_handed, read_handout, renames
from dataprep.fits.head_tie import head_offset_between
from dataprep.frames.geometry import PORTRAIT_PX
from dataprep.models.body.body_files import open_body
from dataprep.models.face.face_files import open_face
from dataprep.pictures.codecs import decode_mask, decode_rgb, encode_png
from dataprep.stages.manifest import OWN_COLUMNS
from dataprep.stages.packing import write_shards
from dataprep.tables.columns import STRING, Column, floats, table_from_rows
from dataprep.tables.labels import LABELS, drawn
from dataprep.tables.outliers import label_outliers
from dataprep.tables.shard_folders import SHARDS
from dataprep.tables.store import SCHEMA_VERSION, write_table
from pipelines.commands.new_folder import new_folder, require_new
from pipelines.engine.progress import Progress
from pipelines.text_table import table

_MAX_PIXELS = 4 * PORTRAIT_PX**2  # a face crop of a portrait has fewer; more in a small file is a bomb
_COLUMNS = (
    *OWN_COLUMNS,
    *(Column(name, STRING, desc) for name, desc in (
        ("source_path", "name of the person in the hand-out"), ("license", "terms tag"),
        ("source_dataset", "handout"), ("body_model", "body model that the coefficients belong to"),
        ("body_model_sha256", "its file"), ("face_model", "face model that the coefficients belong to"),
        ("face_model_sha256", "its file"),
    )),
    *(label for label in LABELS if label.in_handout),
    floats("head_offset", (3, 3), "3DMM axes from those of the SMPL head joint", frame="3DMM from head"),
)  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Import a hand-out, or print what is assumed of one; returns the exit status."""
    if options.fields:
        return _print_fields()
    if options.source is None or options.out is None:
        raise ConfigError("import needs SOURCE and --out DIR; see what is expected with: shhq-hs import --fields")
    if not 0 <= options.val_fraction <= 1:
        raise ConfigError(f"--val-fraction {options.val_fraction}: expected a number from 0 to 1")
    return import_handout(options.source, options.out, options.field, options.body, options.face, options.val_fraction)


def _print_fields() -> int:
    """Print the table of assumed fields."""
    print(f"folders: {', '.join(f'{name}/' for name in FOLDERS.values())} (alphas/ may be absent), one name a person")
    rows = [
        (field.name, " or ".join("x".join(map(str, s)) for s in field.shapes), "yes" if field.required else "no",
         field.meaning) for field in FIELDS
    ]  # fmt: skip
    print(table(("field", "shape", "required", "meaning"), rows))
    return 0


def import_handout(
    source: Path, out: Path, fields: Sequence[str], body: str, face: str, val_fraction: float, shard_rows: int = 1024
) -> int:
    """Write `out`/manifest.parquet and shards; `body` and `face` are the files that the coefficients belong to."""
    if not source.is_dir():
        raise ConfigError(f"SOURCE {str(source)!r} is not a folder; give the folder that holds {FOLDERS['portrait']}/")
    require_new(out)
    models = (open_body(body), open_face(face))
    bases = {
        "body_model": models[0].name, "body_model_sha256": models[0].sha256,
        "face_model": models[1].name, "face_model_sha256": models[1].sha256,
    }  # fmt: skip
    people = list(read_handout(source, renames(list(fields)), head_offset_between(models[1], models[0])))
    rows = _placed(people, bases, val_fraction, shard_rows)
    by_id = {person.sample_id: person for person in people}
    metadata = {"schema_version": str(SCHEMA_VERSION), "code_version": __version__, "stages": "{}"}
    manifest = table_from_rows(_COLUMNS, rows).replace_schema_metadata(metadata)
    progress = Progress({"images": 3 * len(people)}, 1, "images")

    def read_image(sample_id: str, image: str) -> bytes:
        started = time.monotonic()
        data = _image(by_id[sample_id], image)
        progress.advance("images", 1, time.monotonic() - started)
        return data

    with progress.beating(), new_folder(out, last="manifest.parquet") as place:
        counts = write_shards(manifest, place / SHARDS, read_image)
        write_table(place / "manifest.parquet", manifest)
    progress.close()
    print(f"{out}: {counts['samples']} samples in {counts['shards']} shards; train with: shhq-hs train --data {out}")
    return 0


def _placed(
    people: Sequence[HandedPerson], bases: dict[str, str], val_fraction: float, shard_rows: int
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    placed = {"train": 0, "val": 0}
    in_order = sorted(people, key=lambda person: person.sample_id)
    splits = [_split(person, val_fraction) for person in in_order]
    labels = {label.name: np.array([person.labels[label.name] for person in in_order], np.float32) for label in drawn()}
    for person, split, outlier in zip(in_order, splits, label_outliers(labels, splits), strict=True):
        shard, shard_row = divmod(placed[split], shard_rows)
        placed[split] += 1
        rows.append({
            "sample_id": person.sample_id, "status": "ok", "selected": True, "split": split, "shard": shard,
            "shard_row": shard_row, "flag_label_outlier": bool(outlier), "source_path": person.name,
            "license": "handout", "source_dataset": "handout", "models": json.dumps({}), **bases, **person.labels,
        })  # fmt: skip
    return rows


def _split(person: HandedPerson, val_fraction: float) -> str:
    share = int(hashlib.sha256(f"split:{person.sample_id}".encode()).hexdigest()[:8], 16) / 2**32
    return "val" if share < val_fraction else "train"


def _image(person: HandedPerson, image: str) -> bytes:
    """PNG of an image, checked; opaque alpha where the hand-out has none."""
    path = person.images.get(image)
    if path is None:
        return encode_png(np.full((PORTRAIT_PX, PORTRAIT_PX), 255, np.uint8))
    data = read_handed(path)
    try:
        pixels = decode_mask(data, _MAX_PIXELS) if image == "alpha" else decode_rgb(data, _MAX_PIXELS)
    except Rejected as error:
        raise ConfigError(f"{path}: {error.message}") from error
    if image != "face" and pixels.shape[:2] != (PORTRAIT_PX, PORTRAIT_PX):
        raise ConfigError(f"{path} is {pixels.shape[1]} x {pixels.shape[0]} px, expected {PORTRAIT_PX} x {PORTRAIT_PX}")
    return encode_png(pixels)
