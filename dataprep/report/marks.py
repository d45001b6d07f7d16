"""Labels drawn over a picture, as SVG paths by layer: the page builds an overlay from them when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataprep.fits.canonical_head import canonical_head
from dataprep.fits.generator_labels import global_rotation, rotations_from_rotvecs
from dataprep.frames import geometry
from dataprep.frames.face_frames import CAM_FROM_GL, head_from_3dmm
from dataprep.frames.geometry import PORTRAIT_PX
from dataprep.frames.smpl_joints import BONES, CHEST, NECK
from dataprep.pictures.overlays import (
    KEYPOINT_BONES,
    LEFT,
    RIGHT,
    VISIBLE,
    joint_colour,
    keypoint_colour,
    landmark_paths,
    square_corners,
)
from dataprep.report.outlines import Outliner
from dataprep.tables.labels import BFM_ANGLE, CROP_FROM_SOURCE, LANDMARKS68, SMPL_BODY_POSE, SMPL_GLOBAL_ORIENT_PORTRAIT

_SIDES = {LEFT: "left", RIGHT: "right"}
_AXIS_PX, _NOSE_BRIDGE = 90, 27
Row = Mapping[str, Any]
Layer = list[list[str]]  # [[class of the colour, path], ...]


@dataclass(frozen=True)
class Marks:
    """Layers over one picture, whose coordinates are `width` x `height`."""

    width: int
    height: int
    layers: Mapping[str, Layer]


def portrait_marks(row: Row, outliner: Outliner) -> Marks:
    """landmarks, face and body outlines, skeleton, and the axes that both cameras are told by."""
    layers: dict[str, Layer] = {}
    if row.get(LANDMARKS68) is not None:
        layers["landmarks"] = [["", "".join(_path(row[LANDMARKS68][path]) for path in landmark_paths())]]
        layers["face"] = [["", _closed(outliner.face_outline(row))]]
    if row.get("smpl_joints_px") is not None and row.get(CROP_FROM_SOURCE) is not None:
        joints = geometry.transform(row[CROP_FROM_SOURCE].astype(np.float64), row["smpl_joints_px"])
        layers["skeleton"] = _skeleton(joints, PORTRAIT_PX)
        layers["body"] = [["", _closed(outliner.body_outline(row))]]
        if all(row.get(name) is not None for name in (SMPL_BODY_POSE, LANDMARKS68, "head_offset")):
            layers["cameras"] = _cameras(row, joints[NECK])
    return Marks(PORTRAIT_PX, PORTRAIT_PX, {name: drawn for name, layer in layers.items() if (drawn := _kept(layer))})


def photograph_marks(row: Row) -> Marks:
    """key points, skeleton and portrait square of a photograph, as far as they were found."""
    layers: dict[str, Layer] = {}
    if row.get("keypoints33") is not None:
        layers["keypoints"] = _keypoints(row["keypoints33"])
    if row.get("smpl_joints_px") is not None:
        layers["skeleton"] = _skeleton(row["smpl_joints_px"])
    if row.get("crop_centre_px") is not None:
        corners = square_corners(row["crop_centre_px"], float(row["crop_side_px"]), float(row["crop_roll_rad"]))
        layers["square"] = [["", _closed([corners])]]
    width, height = row.get("source_width") or 1, row.get("source_height") or 1
    return Marks(int(width), int(height), {name: _kept(layer) for name, layer in layers.items()})


def _cameras(row: Row, neck_px: np.ndarray) -> Layer:
    """Axes of head (the face camera's) and chest (the portrait camera's): x red, y green, z blue towards the viewer."""
    angle, offset = (row[name].astype(np.float64) for name in (BFM_ANGLE, "head_offset"))
    head = CAM_FROM_GL @ canonical_head(head_from_3dmm(angle), offset)
    rotations = rotations_from_rotvecs(row[SMPL_GLOBAL_ORIENT_PORTRAIT], row[SMPL_BODY_POSE])
    chest = global_rotation(rotations, CHEST)
    origins = (np.asarray(row[LANDMARKS68][_NOSE_BRIDGE], np.float64), neck_px)
    return [
        [f"axis-{'xyz'[axis]}", _path(np.stack([origin, origin + _AXIS_PX * turn[:2, axis]]))]
        for origin, turn in zip(origins, (head, chest), strict=True)
        for axis in range(3)
    ]


def _kept(layer: Layer) -> Layer:
    return [[css, path] for css, path in layer if path]


def _path(points: np.ndarray) -> str:
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points)


def _closed(contours: Sequence[np.ndarray]) -> str:
    return "".join(_path(contour) + "z" for contour in contours)


def _dot(point: np.ndarray) -> str:
    return f"M{point[0]:.0f} {point[1]:.0f}h0"  # a line of no length: its round cap is the dot


def _skeleton(joints: np.ndarray, side_px: float | None = None) -> Layer:
    """Bones; those that lie outside a square of `side_px` are left out."""
    inside = np.ones(len(joints), bool) if side_px is None else (np.abs(joints - side_px / 2) < side_px).all(axis=1)
    bones = [(a, b) for a, b in BONES if inside[a] and inside[b]]
    return _by_side([(_SIDES.get(joint_colour(b), "middle"), _path(joints[[a, b]])) for a, b in bones])


def _keypoints(points: np.ndarray) -> Layer:
    seen = points[:, 2] >= VISIBLE
    pieces = [(_SIDES.get(keypoint_colour(i), "middle"), _dot(points[i])) for i in np.flatnonzero(seen).tolist()]
    pieces += [(_bone_side(a, b), _path(points[[a, b], :2])) for a, b in KEYPOINT_BONES if seen[a] and seen[b]]
    return _by_side(pieces)


def _bone_side(a: int, b: int) -> str:
    return "middle" if (a + b) % 2 else _SIDES.get(keypoint_colour(a), "middle")


def _by_side(pieces: Iterable[tuple[str, str]]) -> Layer:
    merged = {"right": "", "left": "", "middle": ""}
    for side, path in pieces:
        merged[side] += path
    return [[side, path] for side, path in merged.items()]
