"""Every picture and every sample of the page, once: sections refer to them by number."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from dataprep.report.marks import photograph_marks, portrait_marks
from dataprep.report.outlines import Outliner
from dataprep.report.page_pictures import PagePictures, Picture, Rgb
from dataprep.stages.quality import RULES
from dataprep.tables.labels import (
    BFM_ANGLE,
    BFM_EXP,
    BFM_ID,
    BFM_TRANS,
    CAMERA_PITCH_YAW,
    CROP_FROM_SOURCE,
    INTRINSICS,
    LANDMARKS68,
    SMPL_BETAS,
    SMPL_BODY_POSE,
    SMPL_GLOBAL_ORIENT_PORTRAIT,
    SMPL_TRANSL,
)

THUMB_PX = {"portrait": 224, "photograph": 288}  # longest sides
FULL_PX = {"portrait": 512, "photograph": 768}  # a portrait's own pixels; what a screen shows of an opened photograph
SAMPLE_COLUMNS = (
    *("sample_id", "status", "stage", "reason", "message", "source_path", "source_sha256", "part", "split"),
    *("source_place", "source_offset", "source_bytes"),
    *("source_width", "source_height", "keypoints33", "smpl_joints_px", LANDMARKS68, CROP_FROM_SOURCE),
    *("crop_centre_px", "crop_side_px", "crop_roll_rad", "yaw", "pitch", "roll", CAMERA_PITCH_YAW, INTRINSICS),
    *("body_fit_rmse_relative", "face_fit_rmse", "upsampling", "dup_cluster", "dup_rank"),
    *(BFM_ID, BFM_EXP, BFM_ANGLE, BFM_TRANS, "face_alignment", "head_offset"),
    *(SMPL_BETAS, SMPL_GLOBAL_ORIENT_PORTRAIT, SMPL_BODY_POSE, SMPL_TRANSL),
    *(rule.score for rule in RULES),
)
Row = Mapping[str, Any]


@dataclass
class Shelf:
    """Makes entries of samples on demand; a picture is read and encoded when the first section asks for it."""

    pictures: PagePictures
    rows: Mapping[str, Row]
    outliner: Outliner
    thumbs: list[str] = field(default_factory=list)  # base64 of WebP
    samples: list[dict[str, Any]] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    def place(self, sample_id: str, portrait: bool = True, photograph: bool = False) -> int:
        """Number of the sample's entry, with the pictures asked for as far as there are any."""
        if sample_id not in self._places:
            self._places[sample_id] = len(self.samples)
            self.samples.append(_entry(self.rows[sample_id]))
        entry, row = self.samples[self._places[sample_id]], self.rows[sample_id]
        if portrait and "portrait" not in entry:
            picture = self._read("portrait", row, THUMB_PX)
            entry["portrait"] = self._drawn(picture, 1, 1, portrait_marks(row, self.outliner) if picture else None)
        if photograph and "photograph" not in entry:
            picture = self._read("photograph", row, THUMB_PX)
            size = (row.get("source_width") or 1, row.get("source_height") or 1)
            entry["photograph"] = self._drawn(picture, *size, photograph_marks(row) if picture else None)
        return self._places[sample_id]

    def shown(self, sample_id: str, kind: str) -> dict[str, Any]:
        """The entry of one picture: its thumbnail's number (-1: none), its size and its marks."""
        place = self.place(sample_id, kind == "portrait", kind == "photograph")
        return self.samples[place][kind]

    def enlarge(self, spare_bytes: int) -> None:
        """Put full-size pictures in place of thumbnails while `spare_bytes` last.

        Portraits come first, then photographs; among each, those that a section asked for first.
        """
        for kind in FULL_PX:
            for sample_id, place in self._places.items():
                shown = self.samples[place].get(kind, {"thumb": -1})
                picture = self._read(kind, self.rows[sample_id], FULL_PX) if shown["thumb"] >= 0 else None
                if picture is None:
                    continue
                larger = _webp(picture.rgb)
                spare_bytes -= len(larger) - len(self.thumbs[shown["thumb"]])
                if spare_bytes < 0:
                    return
                self.thumbs[shown["thumb"]] = larger
                shown["size"] = [picture.width, picture.height]

    def _read(self, kind: str, row: Row, longest_px: Mapping[str, int]) -> Picture | None:
        if kind == "photograph":
            return self.pictures.photograph(row, longest_px[kind])
        return self.pictures.emitted("matte", "portrait.png", row, longest_px[kind])

    def _drawn(self, picture: Picture | None, width: int, height: int, marks: Any) -> dict[str, Any]:
        if picture is None:
            return {"thumb": -1, "size": [width, height]}
        self.thumbs.append(_webp(picture.rgb))
        return {
            "thumb": len(self.thumbs) - 1,
            "size": [picture.width, picture.height],
            "frame": [marks.width, marks.height],
            "layers": marks.layers,
        }


def _webp(rgb: Rgb) -> str:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="WEBP", quality=74, method=3)
    return base64.b64encode(buffer.getvalue()).decode()


def _entry(row: Row) -> dict[str, Any]:
    """What captions, filters and the opened picture say of a sample."""
    return {
        "id": row["sample_id"],
        "name": row["source_path"],
        "accepted": row["status"] == "ok",
        "end": "" if row["status"] == "ok" else f"{row['stage']}: {row['reason'] or row['status']}",
        "message": row["message"] or "",
        "split": row.get("split") or "",
        "yaw": None if row.get("yaw") is None else round(float(np.degrees(row["yaw"])), 1),
        "facts": [list(fact) for fact in _facts(row)],
    }


def _facts(row: Row) -> Iterable[tuple[str, str]]:
    yield "sample", row["sample_id"]
    if row["status"] != "ok":
        yield "lost at", f"{row['stage']} ({row['status']}{': ' + row['reason'] if row['reason'] else ''})"
        yield "because", row["message"] or "-"
    elif row.get("split"):
        yield "split", row["split"]
    if row.get("source_width"):
        yield "photograph", f"{row['source_width']} × {row['source_height']} px"
    if row.get("crop_side_px") is not None:
        yield "square", minus(f"{row['crop_side_px']:.0f} px, rolled {np.degrees(row['crop_roll_rad']):+.1f}°")
    if row.get("yaw") is not None:
        yield "head", f"yaw {degrees(row['yaw'])}, pitch {degrees(row['pitch'])}, roll {degrees(row['roll'])}"
    if row.get(CAMERA_PITCH_YAW) is not None:
        pitch, yaw = np.pi / 2 - row[CAMERA_PITCH_YAW]
        yield "portrait camera", f"{degrees(yaw)} to the person's left, {degrees(pitch)} from above"
    if row.get("body_fit_rmse_relative") is not None:
        yield "body fit", f"{row['body_fit_rmse_relative']:.1%} of the square's side"
    if row.get("face_fit_rmse") is not None:
        yield "face fit", f"{row['face_fit_rmse']:.1f} px of 512"
    for rule in RULES:
        if row.get(rule.score) is not None:
            yield rule.score, f"{row[rule.score]:.2f}"


def degrees(angle_rad: float) -> str:
    """Whole degrees with a sign."""
    whole = round(float(np.degrees(angle_rad)))
    return minus(f"{whole:+d}°") if whole else "0°"


def minus(text: str) -> str:
    """A real minus sign."""
    return text.replace("-", "−")
