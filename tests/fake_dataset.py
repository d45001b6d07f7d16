"""A data set without running models: real photographs, real stage classes and columns, made-up labels.

What a row's labels say is consistent (the portrait is what `crop_from_source` cuts, landmarks and joints lie on the
person), so that pictures of it can be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from skimage.data import astronaut

from dataprep.frames import geometry
from dataprep.models.face.likeness_file import FEATURES
from dataprep.pictures.codecs import encode_png
from dataprep.stages.aggregate import DatasetView
from dataprep.stages.base import Item, Result, Stage
from dataprep.stages.crop import PortraitSquare
from dataprep.tables.store import Store, write_json
from pipelines import paper_stages
from pipelines.engine.dag import Dag, describe
from pipelines.engine.index import refresh
from pipelines.engine.plan import make_plan
from tests.label_rows import consistent_labels

FACE_PX = np.array([224.0, 120.0])  # the astronaut's face, and the square around head and shoulders
SQUARE = PortraitSquare(np.array([224.0, 150.0]), 250.0, 0.05)


@dataclass(frozen=True)
class End:
    """Where and how an image is lost."""

    stage: str
    status: str = "rejected"
    reason: str = "a_rule"
    message: str = "the rule says no"


def make_photos(folder: Path, count: int, broken: int = 0) -> None:
    """`count` astronauts that differ in their top left corner, JPEG; `broken` more files are text."""
    folder.mkdir(parents=True, exist_ok=True)
    photo = astronaut()
    for i in range(count):
        photo[:64, :64] = np.random.default_rng(i).integers(0, 255, 3)
        Image.fromarray(photo).save(folder / f"photo{i:04d}.jpg", quality=60)
    for i in range(broken):
        (folder / f"text{i}.png").write_text(f"no image {i}")


def make_dataset(
    photos: Path,
    out: Path,
    ends: dict[str, End],
    small: bool = False,
    dag: Dag | None = None,
    people: Mapping[str, str] | None = None,
    faults: Mapping[str, Callable[[dict[str, Any]], None]] | None = None,
) -> DatasetView:
    """Commit every part of every map stage as a run leaves them, and build all aggregates but `report`.

    `faults`: what spoils the labels of a photograph, given those of one stage after the other.
    `people`: who is in a photograph; where it does not say, somebody who is in no other.
    `small` pictures for many rows. A stage of `dag` that is none of the paper's works on the photographs themselves.
    """
    dag = dag or paper_stages.build()
    index = refresh(photos, out)
    write_json(out / "runs" / "source.json", {"source": str(photos.resolve())})
    store, pictures = Store(out), _Pictures(small, people or {}, faults or {})
    plan = make_plan(store, dag, index)
    for stage in dag.stages:
        if stage.name == "face":  # `show` asks it which model the fit was made with
            write_json(store.folder(dag.refs[stage.name]) / "stage.json", {"stage": describe(stage), "upstream": {}})
        for part, sources in plan.parts.items():
            ids = [source.sample_id for source in sources]
            if stage.name in paper_stages.STAGE_NAMES:
                results = [_result(stage, source, part, ends.get(source.path), pictures) for source in sources]
            else:
                results = [stage.process_item(_item(source, photos), stage.load()) for source in sources]
            store.write_part(dag.refs[stage.name], part, stage, ids, results, plan.keys[stage.name][part])
    view = DatasetView(store, {stage.name: stage for stage in dag.stages}, dag.refs, tuple(plan.parts))
    for aggregate in dag.aggregates:
        if aggregate.name != "report":
            aggregate.build(view, out)
    return view


class _Pictures:
    """PNGs that all rows share: encoding them once keeps big fake data sets quick."""

    def __init__(self, small: bool, people: Mapping[str, str], faults: Mapping[str, Any]) -> None:
        self.people, self.faults = people, faults
        crop_from_source = geometry.square_from_source(SQUARE.centre_px, SQUARE.side_px, SQUARE.roll_rad, 250)
        portrait_from_source = geometry.square_from_source(SQUARE.centre_px, SQUARE.side_px, SQUARE.roll_rad, 512)
        photo = astronaut()
        portrait = geometry.resample(photo, portrait_from_source, 512)
        alpha = np.full((512, 512), 255, np.uint8)
        alpha[:, :60] = alpha[:, -60:] = 0
        on_white = np.where(alpha[..., None] > 0, portrait, 255).astype(np.uint8)
        self.blobs = {
            "mask.png": encode_png(np.full(photo.shape[:2], 255, np.uint8)),
            "crop.png": encode_png(geometry.resample(photo, crop_from_source, 250)),
            "superres.png": encode_png(portrait),
            "portrait.png": encode_png(on_white),
            "alpha.png": encode_png(alpha),
            "face.png": encode_png(on_white[60:316, 128:384]),
        }
        if small:
            tiny = encode_png(on_white[::32, ::32])
            self.blobs = dict.fromkeys(self.blobs, tiny) | {"portrait.png": encode_png(on_white[::2, ::2])}
        self.crop_from_source, self.portrait_from_source = crop_from_source, portrait_from_source


def _item(source: Any, photos: Path) -> Item:
    return Item(source.sample_id, {"source_path": source.path, "source_sha256": source.sha256}, photos, _no_blobs)


def _no_blobs(name: str) -> bytes:
    raise ValueError(f"nothing emitted {name}")


def _result(stage: Stage, source: Any, part: int, end: End | None, pictures: _Pictures) -> Result:
    order = paper_stages.STAGE_NAMES
    if end and order.index(stage.name) > order.index(end.stage):
        return Result("upstream", reason=end.stage)
    columns = _columns(stage, source, part, pictures)
    if end and stage.name == end.stage:
        kept = columns if stage.name in ("ingest", "quality") and end.status == "rejected" else {}
        return Result(end.status, kept, {}, end.reason, end.message)
    return Result(columns=columns, blobs={name: pictures.blobs[name] for name in stage.blobs})


def _columns(stage: Stage, source: Any, part: int, pictures: _Pictures) -> dict[str, Any]:
    rng = np.random.default_rng(int(source.sample_id[:8], 16))
    values = {column.name: _value(column, rng) for column in stage.columns}
    known = _known(source, part, pictures, rng)
    columns = {name: known.get(name, value) for name, value in values.items()}
    if fault := pictures.faults.get(source.path):
        fault(columns)
    return columns


def _value(column: Any, rng: np.random.Generator) -> Any:
    if column.shape:
        return rng.normal(0, 0.1, column.shape)
    if pa.types.is_fixed_size_binary(column.type):
        return rng.bytes(column.type.byte_width)
    if pa.types.is_boolean(column.type):
        return False
    if pa.types.is_string(column.type):
        return None
    return 1 if pa.types.is_integer(column.type) else float(rng.uniform(0.7, 1.0))


def _known(source: Any, part: int, pictures: _Pictures, rng: np.random.Generator) -> dict[str, Any]:
    labels = consistent_labels(SQUARE, FACE_PX, np.random.default_rng(int(source.sample_id[8:16], 16)))
    width = height = 512 if source.path.endswith(".jpg") else None
    return {
        "source_path": source.path,
        "source_sha256": source.sha256,
        "source_dataset": "folder",
        "body_model": "body",
        "body_model_sha256": "b" * 64,
        "face_model": "face",
        "face_model_sha256": "f" * 64,
        "license": "unspecified",
        "part": part,
        "source_width": width,
        "source_height": height,
        **labels,
        "landmarks68": geometry.transform(pictures.portrait_from_source, labels["landmarks68_px"]),
        "keypoints33": np.column_stack([rng.uniform(60, 450, (33, 2)), rng.uniform(0, 1, 33)]),
        "crop_native_from_source": pictures.crop_from_source,
        "crop_from_source": pictures.portrait_from_source,
        "crop_centre_px": SQUARE.centre_px,
        "crop_side_px": SQUARE.side_px,
        "crop_roll_rad": SQUARE.roll_rad,
        "face_alignment": np.array([0.9, 260.0, 200.0]),
        "bfm_trans": np.array([0.0, 0.0, 0.1]),
        "likeness": _likeness(pictures.people.get(source.path, source.sample_id)),
        "likeness_self": 0.99,
    }


def _likeness(person: str) -> np.ndarray:
    """A unit vector of this person alone."""
    vector = np.random.default_rng(list(person.encode())).normal(size=FEATURES)
    return vector / np.linalg.norm(vector)
