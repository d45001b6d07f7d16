"""detect: the one person of the photograph: body points, face mesh, 68 landmarks, boxes, mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import Rejected
from dataprep.models.detection import fan
from dataprep.models.detection.blendshapes import BLENDSHAPES, LANDMARKER_PATH, LANDMARKER_SHA256, MEANINGS
from dataprep.models.detection.mediapipe_graphs import LICENCE, MODEL_SHA256
from dataprep.models.detection.person_detector import Detection, PersonDetector, mask_bbox
from dataprep.models.detection.upright import upright_person
from dataprep.pictures.codecs import decode_rgb, encode_png
from dataprep.pictures.photo_edges import photo_box
from dataprep.pictures.supplied_masks import read_mask
from dataprep.settings import number, setting
from dataprep.stages.base import DEVICE, Item, Result, Stage, Weight, gpu_wish
from dataprep.tables.columns import BOOL, FLOAT, STRING, UINT16, Column, floats

_PX = {"unit": "px", "frame": "source"}
_SHOWN = 0.4  # blendshapes from here on are named by `show`


@dataclass(frozen=True)
class DetectTools:
    """What `Detect` keeps in a process."""

    detector: PersonDetector
    fan: fan.FanLandmarks | None


@dataclass(frozen=True)
class PersonMask:
    """The mask to go on with: the supplied one (`iou` with the found one), or the found one and what `refused` says."""

    mask: UInt8[np.ndarray, "h w"]
    supplied: bool = False
    iou: float | None = None
    refused: str | None = None


@dataclass(frozen=True)
class Detect(Stage):
    """Runs the detectors; a supplied mask that fits replaces the found one.

    `landmarks=fan` takes the 68 landmarks from face-alignment.

    Reasons: no_person, no_face, turned_away, back_view, not_upright, face_out_of_frame, shoulders_out_of_frame,
    multiple_people, face_too_small, mask_undecodable, mask_mismatch.
    """

    name: ClassVar[str] = "detect"
    version: ClassVar[int] = 3
    requires: ClassVar[tuple[str, ...]] = ("ingest",)
    blobs: ClassVar[tuple[str, ...]] = ("mask.png",)
    columns: ClassVar[tuple[Column, ...]] = (
        floats("person_bbox_px", (4,), "x0 y0 x1 y1 of the person mask", **_PX),
        floats(
            "keypoints33", (33, 3), "MediaPipe pose points: x, y, visibility in [0, 1]; left is the person's", **_PX
        ),
        floats(
            "keypoints33_world_m",
            (33, 3),
            "MediaPipe pose points in 3D, hip-centred; x right, y down, z away from the camera; the scale is a prior",
            unit="m",
            frame="cam",
        ),
        floats(
            "face_mesh478_px",
            (478, 3),
            "MediaPipe face mesh: x, y and depth (negative towards the camera)",
            released=False,
            **_PX,
        ),
        floats("landmarks68_px", (68, 2), "iBUG landmarks", **_PX),
        Column("landmarks68_method", STRING, "what found them: mesh or fan"),
        floats("face_bbox_px", (4,), "x0 y0 x1 y1 of the face detector", **_PX),
        Column("face_score", FLOAT, "score of the face detector, in [0, 1]"),
        Column("mesh_agreement", FLOAT, "part of the readings of the face that agreed, in (0, 1]", unit="fraction"),
        Column("mesh_spread", FLOAT, "median distance of two readings, as a part of the face's size", unit="fraction"),
        floats(
            "head_turns_rad",
            (3,),
            "head yaw by the mesh's depth, the body points and the face detector",
            unit="rad",
            frame="source",
        ),
        Column(
            "hand_over_face",
            FLOAT,
            "largest part of the mouth, the nose or an eye that lies behind a hand; 0 when no hand is near",
            unit="fraction",
        ),
        floats("photo_box_px", (4,), "x0 y0 x1 y1 of the photograph without a frame of one colour around it", **_PX),
        *(Column(name, FLOAT, f"blendshape: {meaning}", unit="activation") for name, meaning in MEANINGS.items()),
        Column("n_faces", UINT16, "faces found in the photograph", unit="count"),
        Column("mask_supplied", BOOL, "whether the person mask is the one that the data set supplied"),
        Column(
            "mask_iou", FLOAT, "overlap of the supplied and the found mask: intersection over union; null when none"
        ),
        Column("mask_refused", STRING, "why the found mask stands in for the supplied one; null when it does not"),
        floats("openpose25", (25, 3), "supplied OpenPose BODY_25 points: x, y, 1 when present; null when none", **_PX),
    )

    min_face_px: float = number(
        24.0, 1, 100_000, "a face whose box is smaller is rejected (`face_too_small`); px of the photograph"
    )
    landmarks: Literal["mesh", "fan"] = setting(
        "mesh", "what finds the 68 landmarks: `mesh` (MediaPipe) or `fan` (weights of your own)"
    )
    device: str = setting("auto", DEVICE.format("FAN"))
    # Of 18 rendered people the right masks overlap with the found ones by 0.95 to 0.99, those of others by up to 0.77;
    # a right mask drawn 7 px too wide in 1024 px still by 0.81.
    min_mask_iou: float = number(
        0.8,
        0,
        1,
        "a supplied mask that overlaps less with the person found does not fit (`mask_mismatch`); "
        "intersection over union",
    )
    misfit_mask: Literal["refuse", "replace"] = setting(
        "refuse",
        "`refuse` a photograph whose supplied mask does not fit or cannot be read, or `replace` it by the "
        "mask that is found",
    )

    def weights(self) -> tuple[Weight, ...]:
        ours = tuple(Weight(f"mediapipe/{name}", sha256, LICENCE) for name, sha256 in sorted(MODEL_SHA256.items()))
        ours = (*ours, Weight(LANDMARKER_PATH.name, LANDMARKER_SHA256, LICENCE))
        if self.landmarks == "mesh":
            return ours
        return (*ours, Weight("face-alignment/2DFAN-4", fan.verified_sha256(fan.default_path()), fan.LICENCE))

    def resources(self) -> dict[str, float]:
        return gpu_wish(self.device) if self.landmarks == "fan" else {}

    def load(self) -> DetectTools:
        if self.landmarks == "mesh":
            return DetectTools(PersonDetector(), None)
        from dataprep.models.devices import resolve_device

        return DetectTools(PersonDetector(), fan.FanLandmarks(device=resolve_device(self.device).type))

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        width, height = row["face_bbox_px"][2:] - row["face_bbox_px"][:2]
        visible = int((row["keypoints33"][:, 2] >= 0.5).sum())
        mask = f"supplied, overlap {row['mask_iou']:.2f}" if row["mask_supplied"] else "found"
        refused = [row["mask_refused"]] if row["mask_refused"] else []
        strong = sorted((name for name in BLENDSHAPES if (row[name] or 0) >= _SHOWN), key=lambda name: -row[name])
        moved = [", ".join(f"{name} {row[name]:.2f}" for name in strong)] if strong else []
        agree = f"{row['mesh_agreement']:.0%} of meshes agree"
        return [
            f"face {width:.0f} × {height:.0f} px, score {row['face_score']:.2f}, {agree}",
            f"{visible} of 33 body points visible, mask {mask}",
            *moved,
            *refused,
        ]

    def process_item(self, item: Item, tools: DetectTools) -> Result:
        rgb = decode_rgb(item.source())
        found = upright_person(tools.detector, rgb)
        _require_shoulders(found.keypoints33, rgb.shape[0])
        if tools.fan is not None:
            outline = found.face_mesh478_px[:, :2]
            box = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
            found = replace(found, landmarks68_px=tools.fan(rgb, box)[0])
        side_px = round(float(np.max(found.face_bbox_px[2:] - found.face_bbox_px[:2])))
        if side_px < self.min_face_px:
            raise Rejected("face_too_small", f"the face covers {side_px} px, at least {self.min_face_px:g} are needed")
        person = self._person_mask(item, found)
        columns = _columns(found, person, item.row.get("openpose"))
        columns |= {"landmarks68_method": self.landmarks, "photo_box_px": photo_box(rgb)}
        return Result(columns=columns, blobs={"mask.png": encode_png(person.mask)})

    def _person_mask(self, item: Item, found: Detection) -> PersonMask:
        supplied = item.mask()
        if supplied is None:
            return PersonMask(found.person_mask)
        try:
            mask, iou = fitting_mask(supplied, found.person_mask, self.min_mask_iou)
        except Rejected as rejected:
            message = f"the supplied mask {item.row['mask_path']} cannot be used: {rejected.message}"
            if self.misfit_mask == "refuse":
                way_on = "--set detect.misfit_mask=replace takes our own"
                raise Rejected(rejected.reason, f"{message}; {way_on}") from rejected
            return PersonMask(found.person_mask, refused=message)
        return PersonMask(mask, supplied=True, iou=iou)


def parse_openpose(text: str) -> Float[np.ndarray, "25 3"]:
    """50 numbers x0 y0 .. x24 y24 -> x px, y px, 1 for a found point or 0 for one written as 0 0 (or below)."""
    points = np.array(text.split(), np.float64).reshape(25, 2)
    return np.column_stack([points, (points > 0).any(axis=1)])


def _require_shoulders(keypoints33: Float[np.ndarray, "33 3"], height_px: int) -> None:
    """A portrait needs the shoulders: below the photograph they are a guess, and so would be the portrait's square."""
    below = keypoints33[11:13, 1].min() - height_px
    if below > 0:
        raise Rejected("shoulders_out_of_frame", f"the photograph ends {below:.0f} px above the shoulders")


def fitting_mask(
    data: bytes, found: UInt8[np.ndarray, "h w"], min_iou: float
) -> tuple[UInt8[np.ndarray, "h w"], float]:
    """The supplied mask at the photograph's size with the person white, and its overlap with the found mask.

    Raises Rejected: mask_undecodable, or mask_mismatch when it has another shape or another person.
    """
    try:
        mask = read_mask(data)
    except Rejected as rejected:
        raise Rejected("mask_undecodable", rejected.message) from rejected
    height, width = found.shape
    if abs(mask.shape[0] * width - mask.shape[1] * height) > 0.02 * mask.shape[0] * width:
        sizes = f"{mask.shape[1]} x {mask.shape[0]}, the image {width} x {height}"
        raise Rejected("mask_mismatch", f"it is {sizes}: not the same picture")
    if mask.shape != found.shape:
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    iou, mask = max(((_iou(each, found), each) for each in (mask, 255 - mask)), key=lambda pair: pair[0])
    if iou < min_iou:
        raise Rejected(
            "mask_mismatch",
            f"it and the person found here overlap by {iou:.2f} (intersection over union), at least {min_iou:g} is "
            "needed: it belongs to another picture or shows something else",
        )
    return mask, iou


def _iou(mask: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union to two digits, as it is printed."""
    first, second = mask > 127, other > 127
    return round(float((first & second).sum() / max(1, (first | second).sum())), 2)


def _columns(found: Detection, person: PersonMask, openpose: str | None) -> dict[str, Any]:
    return {
        "person_bbox_px": mask_bbox(person.mask),
        "mask_supplied": person.supplied,
        "mask_iou": person.iou,
        "mask_refused": person.refused,
        "keypoints33": found.keypoints33,
        "keypoints33_world_m": found.keypoints33_world_m,
        "face_mesh478_px": found.face_mesh478_px,
        "landmarks68_px": found.landmarks68_px,
        "face_bbox_px": found.face_bbox_px,
        "face_score": found.face_score,
        "mesh_agreement": found.mesh_agreement,
        "mesh_spread": found.mesh_spread,
        "head_turns_rad": found.head_turns_rad,
        "hand_over_face": found.hand_over_face,
        "n_faces": found.n_faces,
        "openpose25": parse_openpose(openpose) if openpose else None,
        **dict(
            zip(BLENDSHAPES, [None] * len(BLENDSHAPES) if found.blendshapes is None else found.blendshapes, strict=True)
        ),
    }
