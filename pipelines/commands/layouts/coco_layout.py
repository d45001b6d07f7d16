"""COCO keypoints: `data/ID.png` and `labels.json`, which pycocotools, MMPose, Detectron2 and FiftyOne read.

Two categories: `person` with COCO's 17 points, which are MediaPipe's of the photograph brought into the portrait, and
`face` with the 68 landmarks. Points count from the image's upper left corner, in pixels, as COCO's do. A point's third
number is 2 where it is seen, 1 where the detector took it for hidden, 0 where it lies outside.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from dataprep import __version__
from dataprep.frames import geometry
from dataprep.models.body.mediapipe_points import MEDIAPIPE_INDEX
from dataprep.tables.labels import CROP_FROM_SOURCE
from dataprep.tables.store import atomic_file
from pipelines.commands.layouts.layout_base import Choices, Sample, TrainerLayout, landmarks_px, write_bytes

LABELS_FILE = "labels.json"
PERSON, FACE = 1, 2
COCO_17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
_SKELETON = (  # COCO's own, counted from 1
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10), (9, 11),
    (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip
_FACE_LINES = (range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36), (*range(36, 42), 36),
               (*range(42, 48), 42), (*range(48, 60), 48), (*range(60, 68), 60))  # fmt: skip
_SEEN = 0.5  # MediaPipe's visibility


def write_coco(target: Path, samples: Iterator[Sample], choices: Choices) -> int:
    """Write images, then the labels; returns how many samples there were."""
    images: list[str] = []
    annotations: list[str] = []
    licences: dict[str, int] = {}
    for row, pngs in samples:
        name = f"data/{row['sample_id']}.png"
        write_bytes(target / name, pngs["portrait"])
        image_id = len(images) + 1
        images.append(json.dumps(_image(row, name, image_id, pngs["portrait"], licences)))
        for found in _annotations(row, pngs):
            annotations.append(json.dumps(found | {"id": len(annotations) + 1, "image_id": image_id}))
    with atomic_file(target / LABELS_FILE) as file:  # piece by piece: a large set's labels are gigabytes as objects
        head = {"info": _info(), "licenses": [{"id": n, "name": one, "url": ""} for one, n in licences.items()],
                "categories": _categories()}  # fmt: skip
        file.write(json.dumps(head)[:-1].encode())
        for key, entries in (("images", images), ("annotations", annotations)):
            file.write(f', "{key}": [\n'.encode() + ",\n".join(entries).encode() + b"]")
        file.write(b"}\n")
    return len(images)


def _info() -> dict[str, str]:
    return {"description": "head-and-shoulder portraits with body and face key points", "version": __version__,
            "contributor": "shhq-hs"}  # fmt: skip


def _categories() -> list[dict[str, Any]]:
    lines = [[a + 1, b + 1] for line in _FACE_LINES for a, b in zip(list(line)[:-1], list(line)[1:], strict=True)]
    return [
        {"id": PERSON, "name": "person", "supercategory": "person", "keypoints": list(COCO_17),
         "skeleton": [list(bone) for bone in _SKELETON]},
        {"id": FACE, "name": "face", "supercategory": "person", "keypoints": [f"ibug_{i}" for i in range(68)],
         "skeleton": lines},
    ]  # fmt: skip


def _image(
    row: Mapping[str, Any], name: str, image_id: int, portrait: bytes, licences: dict[str, int]
) -> dict[str, Any]:
    with Image.open(io.BytesIO(portrait)) as picture:
        width, height = picture.size
    found = {
        "id": image_id, "file_name": name.removeprefix("data/"), "width": width, "height": height,
        "sample_id": row["sample_id"], "source_path": row.get("source_path"), "split": row.get("split"),
    }  # fmt: skip
    licence = row.get("license")
    return found | ({"license": licences.setdefault(licence, len(licences) + 1)} if licence else {})


def _annotations(row: Mapping[str, Any], pngs: Mapping[str, bytes]) -> Iterator[dict[str, Any]]:
    with Image.open(io.BytesIO(pngs["alpha"])) as picture:
        alpha = np.asarray(picture.convert("L")) > 127
    if (points := _person(row, alpha.shape[0])) is not None:
        columns, rows = np.flatnonzero(alpha.any(0)), np.flatnonzero(alpha.any(1))
        if len(columns):
            box = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
            yield _annotation(PERSON, points, [float(one) for one in box], float(alpha.sum()))
    if (marks := landmarks_px(row)) is not None:
        inside = _inside(marks, alpha.shape[0])
        low, high = marks.min(0), marks.max(0)
        box = [*low.tolist(), *(high - low).tolist()]
        flagged = np.column_stack([marks, np.where(inside, 2, 0)])
        yield _annotation(FACE, flagged, box, float(np.prod(high - low)))


def _person(row: Mapping[str, Any], side_px: int) -> Float[np.ndarray, "17 3"] | None:
    """COCO's points in the portrait; None where the row lacks the photograph's."""
    if row.get("keypoints33") is None or row.get(CROP_FROM_SOURCE) is None:
        return None
    found = np.asarray(row["keypoints33"], np.float64)[[MEDIAPIPE_INDEX[name] for name in COCO_17]]
    matrix = np.asarray(row[CROP_FROM_SOURCE], np.float64).reshape(2, 3) * (side_px / geometry.PORTRAIT_PX)
    points = geometry.transform(matrix, found[:, :2])
    flags = np.where(_inside(points, side_px), np.where(found[:, 2] >= _SEEN, 2, 1), 0)
    return np.column_stack([points, flags])


def _inside(points: Float[np.ndarray, "n 2"], side_px: int) -> Bool[np.ndarray, "n"]:
    return ((points >= 0) & (points <= side_px)).all(axis=1)


def _annotation(category: int, points: Float[np.ndarray, "n 3"], box: list[float], area: float) -> dict[str, Any]:
    """COCO's numbers; x and y of a point that is not there are 0."""
    placed = np.where(points[:, 2:] > 0, points, 0.0)
    flat = [round(x, 3) if i % 3 < 2 else int(x) for i, x in enumerate(placed.ravel().tolist())]
    return {
        "category_id": category, "keypoints": flat, "num_keypoints": int((points[:, 2] > 0).sum()),
        "bbox": [round(one, 3) for one in box], "area": round(area, 3), "iscrowd": 0,
    }  # fmt: skip


COCO = TrainerLayout(write_coco, LABELS_FILE)
