"""`shhq-hs benchmark DIR`: detectors and 3DMM fits on faces of public benchmarks, as published (docs/truth.md).

These are pictures of faces, so bodies take no part: the face that lies on the annotation is found, read from several
head crops, and fitted. Rotations need no ray here: the annotations' camera is a scaled orthography, which looks along
the ray to the face as our crop around it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8
from scipy.spatial.transform import Rotation

from dataprep.errors import ConfigError, Rejected
from dataprep.fits.face.face_fit import FaceFit
from dataprep.frames import geometry
from dataprep.frames.face_frames import pitch_yaw_of_head, roll_of
from dataprep.models.detection.face_readings import read_face
from dataprep.models.detection.facing import head_turns
from dataprep.models.detection.mediapipe_graphs import FaceBox
from dataprep.models.detection.person_detector import PersonDetector
from dataprep.models.detection.squares import Square, box_iou, face_squares
from dataprep.pictures.codecs import decode_rgb
from dataprep.stages.face import Face, FaceTools
from dataprep.stages.quality import Quality, frontal_score, landmark_score
from dataprep.tables.store import write_json
from pipelines.accuracy.annotations import SETS, Annotation, annotation_files, picture_beside, read_annotation
from pipelines.text_table import table

_EYE_CORNERS = (36, 45)
_JAW, _INNER = slice(0, 17), slice(17, 68)
_SEARCH_SIDES = (4.0, 6.0)  # squares around the annotated face in which a face is looked for
_MIN_IOU = 0.15  # of the found and the annotated box
_PORTRAIT_SIDES = 2.4
_YAW_DEG = {"0-15": (0, 15), "15-30": (15, 30), "30-45": (30, 45), "45-60": (45, 60), "60-90": (60, 91),
            "below 45": (0, 45), "below 60": (0, 60)}  # fmt: skip
_LANDMARKS = ("all_pct", "inner51_pct", "jaw_pct")
_ANGLES = ("pitch_deg", "yaw_deg", "roll_deg")
_SHOWN = 12  # faces named one by one


def benchmark(folder: Path, json_path: Path | None, csv_path: Path | None) -> int:
    """Print errors by head yaw and what could not be read; returns 1 when nothing could.

    `json_path` gets the numbers, `csv_path` a row for every annotation file.
    """
    reader = FaceReader()
    rows = [{"file": str(path.relative_to(folder)), **measured(path, reader)} for path in annotation_files(folder)]
    frame = pd.DataFrame(rows).set_index("file")
    numbers = summary(frame)
    _print(folder, numbers, frame)
    if json_path:
        write_json(json_path, numbers)
    if csv_path:
        frame.to_csv(csv_path)
    return 0 if numbers["read"] else 1


def measured(path: Path, reader: FaceReader) -> dict[str, Any]:
    """One annotation file's row: errors and flags, or why it was not read."""
    row: dict[str, Any] = {"set": SETS[path.suffix.lower()], "not_read": "", "refused": ""}
    try:
        annotation = read_annotation(path)
        found = reader.read(decode_rgb(picture_beside(path)), annotation.landmarks_px)
    except ConfigError as error:
        return row | {"not_read": str(error).removeprefix(f"{path}: ")}
    except Rejected as rejected:
        return row | {"not_read": rejected.message}
    return row | face_errors(found, annotation) | {"refused": ", ".join(refused_for(found))}


@dataclass(frozen=True, eq=False)
class FoundFace:
    """What detectors and fit say of one face, px of the picture."""

    landmarks_px: Float[np.ndarray, "68 2"]
    agreement: float
    spread: float
    head_turns_rad: Float[np.ndarray, "3"]
    fit: FaceFit


class FaceReader(PersonDetector):
    """The detector of `detect` and the fitter of `face`, for one annotated face of a picture."""

    def __init__(self, face: FaceTools | None = None) -> None:
        super().__init__()
        self._fitter = (face or Face().load()).fitters["mesh"]

    def read(self, rgb: UInt8[np.ndarray, "h w 3"], annotated_px: Float[np.ndarray, "68 2"]) -> FoundFace:
        """Find the face on which the points lie; Rejected when there is none, or it cannot be read or fitted."""
        low, high = annotated_px.min(0), annotated_px.max(0)
        if not (high > 0).all() or not (low < rgb.shape[1::-1]).all() or not (high > low).all():
            raise Rejected("not_annotated", "the annotated points lie outside the picture")
        face = self._annotated_face(rgb, np.concatenate((low, high)))
        reading = read_face(self._graphs, rgb, list(face_squares(face)), face)
        if reading is None:
            raise Rejected("no_mesh", "a face was found, but no face mesh on it")
        turns_rad = head_turns(reading.mesh478, None, face.points_px)
        fit = self._fit(reading.landmarks68, reading.blendshapes)
        return FoundFace(reading.landmarks68, reading.agreement, reading.spread, turns_rad, fit)

    def _annotated_face(self, rgb: np.ndarray, box_px: Float[np.ndarray, "4"]) -> FaceBox:
        """The found face that covers the box best: in the whole picture, else closer up."""
        centre, side = (box_px[:2] + box_px[2:]) / 2, float(np.max(box_px[2:] - box_px[:2]))
        squares = (Square(centre, sides * side) for sides in _SEARCH_SIDES)
        for faces in (self._find_faces(rgb), *(self._faces_in(rgb, square) for square in squares)):
            best = max(faces, key=lambda one: box_iou(one.bbox_px, box_px), default=None)
            if best is not None and box_iou(best.bbox_px, box_px) > _MIN_IOU:
                return best
        raise Rejected("no_face", "no face was found where one is annotated")

    def _fit(self, landmarks_px: Float[np.ndarray, "68 2"], blendshapes: Float[np.ndarray, "52"] | None) -> FaceFit:
        low, high = landmarks_px.min(0), landmarks_px.max(0)
        side_px = _PORTRAIT_SIDES * float(np.max(high - low))
        portrait = geometry.square_from_source((low + high) / 2, side_px, 0.0, geometry.PORTRAIT_PX)
        (fit,) = self._fitter(geometry.transform(portrait, landmarks_px)[None], [blendshapes])
        if isinstance(fit, Rejected):
            raise fit
        return fit


def refused_for(found: FoundFace) -> list[str]:
    """The rules of `quality` that speak of a face alone and refuse this one."""
    rules = Quality()
    pitch_rad, yaw_rad = pitch_yaw_of_head(found.fit.head_from_face)
    scores = {
        "frontal": frontal_score(yaw_rad, pitch_rad, found.head_turns_rad),
        "landmarks": landmark_score(found.agreement, found.spread),
    }
    return [name for name, score in scores.items() if score < getattr(rules, f"min_{name}")]


def face_errors(found: FoundFace, annotation: Annotation) -> dict[str, Any]:
    """Landmark errors in percent of the annotated outer eye corners, and angles in degrees where the head is known.

    `yaw_range_deg` sorts the face: the annotated head's yaw, else the fitted one's.
    """
    wanted = annotation.landmarks_px
    eyes_px = float(np.linalg.norm(np.subtract(*wanted[list(_EYE_CORNERS)])))
    pct = 100 * np.linalg.norm(found.landmarks_px - wanted, axis=1) / max(eyes_px, 1e-6)
    head = found.fit.head_from_face
    row: dict[str, Any] = dict(zip(_LANDMARKS, (pct.mean(), pct[_INNER].mean(), pct[_JAW].mean()), strict=True))
    row["agreement"] = found.agreement
    row["yaw_range_deg"] = float(abs(angles_deg(head)[1]))
    if annotation.head_from_face is not None:
        true_deg = angles_deg(annotation.head_from_face)
        turn = Rotation.from_matrix(annotation.head_from_face.T @ head)
        row["yaw_range_deg"] = float(abs(true_deg[1]))
        row["head_deg"] = float(np.degrees(turn.magnitude()))
        row |= dict(zip(_ANGLES, angles_deg(head) - true_deg, strict=True))
    return row


def angles_deg(head_from_face: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3"]:
    """Pitch (up), yaw (image right) and roll (clockwise) of a head, degrees."""
    return np.degrees([*pitch_yaw_of_head(head_from_face), roll_of(head_from_face)])


def summary(frame: pd.DataFrame) -> dict[str, Any]:
    """Counts, and by yaw range the medians, 90% and, of angles, the mean size and the mean with its sign.

    Sets come apart as well: AFLW2000-3D's jaw points are a 3D model's, hidden or not, iBUG's are what is seen.
    """
    read = frame[frame["not_read"] == ""]
    numbers: dict[str, Any] = {
        "annotations": {name: int((frame["set"] == name).sum()) for name in SETS.values()},
        "read": len(read),
        "not_read": int((frame["not_read"] != "").sum()),
        "refused": int((read["refused"] != "").sum()),
        "by_yaw_deg": {},
        "by_set_below_45_deg": {},
    }
    if not len(read):
        return numbers
    for name, (low, high) in _YAW_DEG.items():
        part = read[(read["yaw_range_deg"] >= low) & (read["yaw_range_deg"] < high)]
        if len(part):
            numbers["by_yaw_deg"][name] = _spread(part)
    for kind, part in read[read["yaw_range_deg"] < 45].groupby("set"):
        numbers["by_set_below_45_deg"][str(kind)] = _spread(part)
    return numbers


def _spread(part: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {"faces": len(part), "refused": int((part["refused"] != "").sum())}
    for name in _LANDMARKS:
        found[name] = {"median": float(part[name].median()), "p90": float(part[name].quantile(0.9))}
    heads = part.dropna(subset=["head_deg"]) if "head_deg" in part else part[:0]
    found["heads"] = len(heads)
    if len(heads):
        found["head_deg"] = {"median": float(heads["head_deg"].median()), "p90": float(heads["head_deg"].quantile(0.9))}
        for name in _ANGLES:
            found[name] = {"mean_size": float(heads[name].abs().mean()), "bias": float(heads[name].mean())}
    return found


def _print(folder: Path, numbers: Mapping[str, Any], frame: pd.DataFrame) -> None:
    kinds = ", ".join(f"{count} of {name}" for name, count in numbers["annotations"].items() if count)
    print(f"{folder}: {len(frame)} annotated faces ({kinds}); {numbers['read']} read, {numbers['not_read']} not")
    ranges = numbers["by_yaw_deg"]
    if ranges:
        print("\n68 landmarks, % of the outer eye corners (median / 90%)")
        header = ("yaw, degrees", "faces", "all", "inner 51", "jaw", "refused")
        by_set = {f"below 45, {name}": one for name, one in numbers["by_set_below_45_deg"].items()}
        print(table(header, map(_landmark_line, (ranges | by_set).items())))
    heads = [(name, one) for name, one in ranges.items() if one["heads"]]
    if heads:
        print("\nhead, degrees: the angle (median / 90%), and mean size and signed mean of its parts")
        print(table(("yaw, degrees", "faces", "angle", "pitch", "yaw", "roll"), map(_head_line, heads)))
    _print_named("not read", frame.loc[frame["not_read"] != "", "not_read"])
    _print_named("refused by the rules of quality", frame.loc[frame["refused"] != "", "refused"])


def _landmark_line(entry: tuple[str, Mapping[str, Any]]) -> tuple[object, ...]:
    name, one = entry
    errors = [f"{one[kind]['median']:.1f} / {one[kind]['p90']:.1f}" for kind in _LANDMARKS]
    return (name, one["faces"], *errors, one["refused"])


def _head_line(entry: tuple[str, Mapping[str, Any]]) -> tuple[object, ...]:
    name, one = entry
    angle = f"{one['head_deg']['median']:.1f} / {one['head_deg']['p90']:.1f}"
    return (name, one["heads"], angle, *(f"{one[k]['mean_size']:.1f} ({one[k]['bias']:+.1f})" for k in _ANGLES))


def _print_named(what: str, reasons: pd.Series) -> None:
    if len(reasons):
        print(f"\n{what}: {len(reasons)}")
    lines: Iterable[tuple[Any, Any]] = reasons.head(_SHOWN).items()
    for name, reason in lines:
        print(f"  {name}: {reason}")
    if len(reasons) > _SHOWN:
        print(f"  ... and {len(reasons) - _SHOWN} more; --csv FILE names all")
