"""`shhq-hs export`: the shards as plain files, in a layout that other programs read. Each is a file of `layouts/`."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet as pq

from dataprep.errors import ConfigError, Damaged, ShardCorrupt, ShardsMissing
from dataprep.files.file_hashes import file_sha256
from dataprep.files.untrusted import require_sample_ids
from dataprep.stages.packing import shard_files
from dataprep.tables.columns import rows_from_table, shaped
from dataprep.tables.labels import LABELS
from dataprep.tables.review import rejected_in_shards
from dataprep.tables.sealed import open_table, read_table
from dataprep.tables.shard_folders import SHARDS, SHARDS_INDEX, shard_folder, twins
from dataprep.wording import plural
from pipelines.commands.layouts.cgs_gan_layout import CGS_GAN
from pipelines.commands.layouts.coco_layout import COCO
from pipelines.commands.layouts.eg3d_layout import EG3D, GGHEAD
from pipelines.commands.layouts.fiftyone_layout import FIFTYONE
from pipelines.commands.layouts.gagavatar_layout import GAGAVATAR
from pipelines.commands.layouts.layout_base import IMAGES, POSITION, Choices, Sample
from pipelines.commands.layouts.nerf_layout import NERF
from pipelines.commands.layouts.plain_layout import PLAIN
from pipelines.commands.new_folder import new_folder, require_new
from pipelines.engine.progress import Progress

LAYOUTS = {
    "eg3d": EG3D,
    "gghead": GGHEAD,
    "cgs-gan": CGS_GAN,
    "nerf": NERF,
    "gagavatar": GAGAVATAR,
    "plain": PLAIN,
    "coco": COCO,
    "fiftyone": FIFTYONE,
}
SPLITS = ("train", "val", "all")
NO_CHOICES = Choices()
_EG3D = tuple(label.name for label in LABELS if label.in_eg3d)
_NEEDED = ("sample_id", *_EG3D, *(f"{name}_{what}" for name in IMAGES for what in POSITION))


def export(out: Path, target: Path, layout: str, split: str, choices: Choices = NO_CHOICES) -> int:
    """Write the samples of a split; returns 0. Raises ConfigError when `target` is not empty.

    Every image is compared with its hash; ShardCorrupt names the first that differs, and nothing is left in `target`.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"--layout {layout!r}: expected {', '.join(LAYOUTS)}")
    if split not in SPLITS:
        raise ConfigError(f"--split {split!r}: expected {', '.join(SPLITS)}")
    chosen = LAYOUTS[layout]
    _require_meaningful(choices, layout)
    require_new(target)
    progress = Progress({"samples": _count(out, split)}, 1, "samples")
    with progress.beating(), new_folder(target, chosen.last) as place:
        written = chosen.write(place, _samples(out, split, progress), choices)
    progress.close()
    print(f"{target}: {written} samples, layout {layout}")
    if left_out := _count(out, split) - written:
        print(f"left out, rejected by reviewers since the shards were built: {left_out} {plural(left_out, 'sample')}")
    return 0


def _require_meaningful(choices: Choices, layout: str) -> None:
    """Raise ConfigError for an option that the layout does not have."""
    for field in dataclasses.fields(choices):
        if getattr(choices, field.name) != field.default and field.name not in LAYOUTS[layout].choices:
            having = [name for name, one in LAYOUTS.items() if field.name in one.choices]
            option = f"--{field.name.replace('_', '-')}"
            raise ConfigError(f"{option} means nothing to --layout {layout}; it is for {', '.join(having)}")


def _twins(out: Path, split: str) -> list[Path]:
    folder = shard_folder(out)
    found = twins(folder, "*" if split == "all" else split)
    if not found:
        raise ShardsMissing(f"{folder} has no shards of split {split!r}; build them: shhq-hs run SOURCE --out {out}")
    return found


def _compare_with_index(twin: Path) -> None:
    """Raise ShardCorrupt unless the index of the shards names this table, with the bytes that it has."""
    with _whole(twin.parent / SHARDS_INDEX):
        size, sha256 = shard_files(twin.parent).get(f"{SHARDS}/{twin.name}", (0, ""))
    if twin.stat().st_size != size or file_sha256(twin) != sha256:
        raise ShardCorrupt(f"{twin} is not as the index of the shards says{_repair(twin)}")


def _repair(path: Path) -> str:
    """The way on from damage of a file in the folder of the shards."""
    return f"; to repair: shhq-hs verify {path.parent.parent} --repair, then the command that built it"


def _count(out: Path, split: str) -> int:
    return sum(_schema(twin).num_rows for twin in _twins(out, split))


def _schema(twin: Path) -> pq.FileMetaData:
    with _whole(twin), open_table(twin) as file:
        metadata = file.metadata
    if missing := set(_NEEDED) - set(metadata.schema.to_arrow_schema().names):
        raise ShardCorrupt(f"{twin} has no column {', '.join(sorted(missing))}; build the shards again: shhq-hs run")
    return metadata


def _samples(out: Path, split: str, progress: Progress) -> Iterator[Sample]:
    """Row and images of every sample, in the order of the shards; not what reviewers rejected since they were built."""
    left_out = rejected_in_shards(out)
    for twin in _twins(out, split):
        with _whole(twin):
            rows = rows_from_table(shaped(read_table(twin)))
        require_sample_ids((row["sample_id"] for row in rows), twin)
        _compare_with_index(twin)
        path = twin.with_suffix(".tar")
        with _opened(path) as tar:
            for row in rows:
                started = time.monotonic()
                if row["sample_id"] not in left_out:
                    yield row, {name: _image(tar, path, row, name) for name in IMAGES}
                progress.advance("samples", 1, time.monotonic() - started)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        raise ShardCorrupt(f"{path} {error.what}{_repair(path)}") from error


def _opened(path: Path) -> IO[bytes]:
    """A shard's tar; never waits, whatever lies there under its name."""
    try:
        tar = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise ShardsMissing(f"{path} cannot be read ({error.strerror}); build the shards again: shhq-hs run") from error
    if not stat.S_ISREG(os.fstat(tar.fileno()).st_mode):
        tar.close()
        raise ShardCorrupt(f"{path} is no regular file; build the shards again: shhq-hs run")
    return tar


def _image(tar: IO[bytes], path: Path, row: Mapping[str, Any], name: str) -> bytes:
    offset, size, sha256 = (row[f"{name}_{what}"] for what in POSITION)
    if None in (offset, size) or offset + size > os.fstat(tar.fileno()).st_size:
        raise ShardCorrupt(f"{path}: {name} of {row['sample_id']} lies outside of it{_repair(path)}")
    tar.seek(offset)
    data = tar.read(size)
    if hashlib.sha256(data).digest() != sha256:
        raise ShardCorrupt(f"{path}: {name} of {row['sample_id']} has other bytes than were written{_repair(path)}")
    return data
