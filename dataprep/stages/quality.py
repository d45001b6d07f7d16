"""quality: scores in [0, 1] (low = bad), flags, and the decision to accept a portrait.

Sharpness, exposure and contrast are measured on the native crop, before super-resolution invents detail.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import pyarrow as pa
from jaxtyping import Float, UInt8
from skimage.measure import blur_effect

from dataprep.duplicates import HASH_BYTES, difference_hash
from dataprep.fits.face.occlusion import view_mouth
from dataprep.frames import geometry
from dataprep.frames.face_frames import Alignment, px_per_dm
from dataprep.pictures.codecs import decode_mask, decode_rgb
from dataprep.pictures.photo_edges import Cuts, cuts
from dataprep.settings import number
from dataprep.stages.base import Item, Result, Stage
from dataprep.tables.columns import BOOL, FLOAT, Column
from dataprep.tables.labels import BFM_TRANS, CROP_FROM_SOURCE

_HEAD_M = 0.155  # width of a head; edges that cut a person are measured by it
_NATIVE_PX = 256.0  # crops of 220 px and more become natural portraits; of 130 to 160 px, waxy ones
_MESH_SPREAD = 0.08  # of readings that say nothing; a good face has 0.005 to 0.02, one with hair over an eye 0.03
MOUTH_CONTRAST = 20.0  # Lab units; mouths of all kinds have 10 and more, smooth things before them up to 4.4
_FACE_PX = 96  # the face is brought to this size before its sharpness is measured, so that sizes compare


@dataclass(frozen=True)
class Rule:
    """A score, the parameter that holds its threshold, and the sentence for a portrait below it.

    A rule without `rejects` only flags.
    """

    score: str
    desc: str
    sentence: str
    rejects: bool = True

    @property
    def threshold(self) -> str:
        return "min_" + self.score.removeprefix("q_")

    @property
    def flag(self) -> str:
        return "flag_" + self.score.removeprefix("q_")


RULES = (
    Rule(
        "q_sharpness", "1 - perceptual blur (Crete et al. 2007) of the face in the native crop", "the face is blurred"
    ),
    Rule("q_exposure", "1 - part of the face that is clipped to black or white", "the face is badly exposed"),
    Rule("q_contrast", "grey-level spread of the face (5% to 95%) over 128", "the face has no contrast"),
    Rule("q_face_size", "face size in the photograph over 128 px", "the face is too small in the photograph"),
    Rule(
        "q_cut_top", "1 - length of the person along the photograph's upper edge, in head widths", "the head is cut off"
    ),
    Rule(
        "q_cut_sides",
        "1 - length of the person along the photograph's left or right edge, in head widths",
        "a shoulder or an arm is cut off at the side of the photograph",
    ),
    Rule(
        "q_cut_bottom",
        "1 - height that the portrait lacks below the photograph's lower edge, in head widths",
        "the shoulders are cut off below",
    ),
    Rule("q_inside", "part of the portrait square inside the photograph", "too little of the portrait is photograph"),
    Rule("q_shoulders", "part of the portrait's lower rim that is the person", "the shoulders do not reach the rim"),
    Rule(
        "q_frontal",
        "1 - angle between face and camera over 90 degrees, by the face model or the middle one of `head_turns_rad`",
        "the face is turned away too far",
    ),
    Rule(
        "q_landmarks",
        "part of the readings of the face that agreed, times 1 - their spread over 8% of the face",
        "the face detector contradicts itself",
    ),
    Rule("q_head_roll", "1 - roll of the head in the portrait over 90 degrees", "the head is tilted too far"),
    Rule(
        "q_matte",
        "1 - faulty part of the matte over 10% - faint part of the photograph's edge",
        "background or see-through parts are left",
    ),
    Rule(
        "q_hand", "1 - largest part of the mouth, the nose or an eye that lies behind a hand", "a hand covers the face"
    ),
    Rule(
        "q_mouth",
        "contrast of the lips with what surrounds them and within them, over 20 Lab units",
        "the mouth cannot be seen: something covers it",
    ),
    Rule(
        "q_uncovered",
        "1 - part of the lips and their surroundings that looks like neither skin nor lips of this face",
        "something lies before the mouth",
    ),
    Rule(
        "q_body_fit",
        "1 - key-point error over a part of the portrait's side: 10% for what it shows, 40% for the whole body",
        "the body model misses the key points",
    ),
    Rule(
        "q_head_size",
        "1 - |log of the head's size in the portrait over a known adult's| over 0.3",
        "the head is too large or too small for the body",
    ),
    Rule("q_face_fit", "1 - landmark error over 4% of the portrait's side", "the face model misses the landmarks"),
    Rule("q_head_agreement", "1 - angle between the two models' heads over 60 degrees", "body and face model disagree"),
    Rule(
        "q_native_size",
        "side of the portrait square in the photograph over 256 px",
        "super-resolution had to invent skin and hair",
        rejects=False,
    ),
    Rule("q_upright", "1 - roll of the chest over 45 degrees", "the person leans by over 15 degrees", rejects=False),
)


def _threshold(rule: str, default: float) -> Any:
    """Declare the parameter of a rule: its least score."""
    (one,) = (one for one in RULES if one.score == f"q_{rule}")
    kind = "rejected" if one.rejects else "flagged"
    return number(default, 0, 1, f"least `{one.score}` ({one.desc}); below: {kind}")


@dataclass(frozen=True)
class Quality(Stage):
    """Scores every portrait; the first rule it fails is the reason of its rejection.

    Reasons: the names of the rules (sharpness, exposure, ...). Thresholds are the parameters `min_<rule>`.
    """

    name: ClassVar[str] = "quality"
    version: ClassVar[int] = 2
    requires: ClassVar[tuple[str, ...]] = ("ingest", "detect", "body", "crop", "superres", "matte", "face", "camera")
    judges: ClassVar[bool] = True
    columns: ClassVar[tuple[Column, ...]] = (
        *(Column(rule.score, FLOAT, rule.desc, unit="[0, 1]") for rule in RULES),
        *(Column(rule.flag, BOOL, f"{rule.score} is below quality.{rule.threshold}") for rule in RULES),
        Column("portrait_dhash", pa.binary(HASH_BYTES), "difference hash of the portrait, for near-duplicates"),
    )

    min_sharpness: float = _threshold("sharpness", 0.25)
    min_exposure: float = _threshold("exposure", 0.7)
    min_contrast: float = _threshold("contrast", 0.2)
    min_face_size: float = _threshold("face_size", 0.25)
    min_cut_top: float = _threshold("cut_top", 0.85)
    min_cut_sides: float = _threshold("cut_sides", 0.7)
    min_cut_bottom: float = _threshold("cut_bottom", 0.9)
    min_inside: float = _threshold("inside", 0.7)
    min_shoulders: float = _threshold("shoulders", 0.3)
    min_hand: float = _threshold("hand", 0.35)
    min_mouth: float = _threshold("mouth", 0.35)
    min_matte: float = _threshold("matte", 0.3)
    min_uncovered: float = _threshold("uncovered", 0.62)
    min_body_fit: float = _threshold("body_fit", 0.5)
    min_head_size: float = _threshold("head_size", 0.5)
    min_face_fit: float = _threshold("face_fit", 0.4)
    min_frontal: float = _threshold("frontal", 0.4)
    min_landmarks: float = _threshold("landmarks", 0.45)
    min_head_agreement: float = _threshold("head_agreement", 0.3)
    min_head_roll: float = _threshold("head_roll", 0.5)
    min_native_size: float = _threshold("native_size", 0.7)
    min_upright: float = _threshold("upright", 0.667)

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        scores = [
            f"{rule.score.removeprefix('q_')} {row[rule.score]:.2f}{' !' if row[rule.flag] else ''}" for rule in RULES
        ]
        return [", ".join(scores[i : i + 4]) for i in range(0, len(scores), 4)]

    def process_item(self, item: Item, tools: None) -> Result:
        scores = quality_scores(decode_rgb(item.blob("crop.png")), decode_mask(item.blob("alpha.png")), item.row)
        flags = {rule.flag: bool(scores[rule.score] < getattr(self, rule.threshold)) for rule in RULES}
        columns: dict[str, Any] = {**scores, **flags}
        columns["portrait_dhash"] = difference_hash(decode_rgb(item.blob("portrait.png")))
        failed = [rule for rule in RULES if rule.rejects and flags[rule.flag]]
        if not failed:
            return Result(columns=columns)
        worst = failed[0]
        threshold = getattr(self, worst.threshold)
        return Result.rejected(
            worst.score.removeprefix("q_"),
            f"{worst.sentence} ({worst.score} {scores[worst.score]:.2f}, at least {threshold:.2f})",
            columns,
        )


def quality_scores(
    crop: UInt8[np.ndarray, "s s 3"], alpha: UInt8[np.ndarray, "p p"], row: Mapping[str, Any]
) -> dict[str, float]:
    """All scores of one portrait from its native crop, its alpha and the labels so far."""
    landmarks = _crop_landmarks(row)
    face = _face_grey(crop, landmarks)
    low, high = np.percentile(face, [5, 95])
    side = float(alpha.shape[0])
    mouth = view_mouth(crop, landmarks)
    lost, head_px = _cuts(alpha, row), side * _HEAD_M / geometry.PORTRAIT_SIDE_M
    source_face_px = float(np.ptp(row["landmarks68_px"], axis=0).max())
    scores = {
        "q_sharpness": 1 - float(blur_effect(cv2.resize(face, (_FACE_PX, _FACE_PX), interpolation=cv2.INTER_AREA))),
        "q_exposure": 1 - float(np.mean((face < 6) | (face > 249))),
        "q_contrast": float(high - low) / 128,
        "q_face_size": source_face_px / 128,
        "q_cut_top": 1 - lost.top_px / head_px,
        "q_cut_sides": 1 - lost.sides_px / head_px,
        "q_cut_bottom": 1 - lost.bottom_px / head_px,
        "q_inside": float(row["crop_inside"]),
        "q_shoulders": float((alpha[-8:] > 127).mean()),
        "q_body_fit": 1 - max(row["body_fit_portrait_rmse_relative"] / 0.10, row["body_fit_rmse_relative"] / 0.40),
        "q_head_size": 1 - abs(np.log(_head_dm(row, side) * geometry.PORTRAIT_SIDE_M * 10)) / 0.3,
        "q_matte": 1 - float(row["matte_enclosed"] + row["matte_see_through"]) / 0.10 - float(row["matte_faint_edge"]),
        "q_hand": 1 - float(row["hand_over_face"]),
        "q_mouth": mouth.contrast / MOUTH_CONTRAST,
        "q_uncovered": 1 - mouth.unlike_skin,
        "q_face_fit": 1 - float(row["face_fit_rmse"]) / (0.04 * side),
        "q_frontal": frontal_score(float(row["yaw"]), float(row["pitch"]), row["head_turns_rad"]),
        "q_landmarks": landmark_score(float(row["mesh_agreement"]), float(row["mesh_spread"])),
        "q_head_agreement": 1 - float(row["head_disagreement_before"]) / np.radians(60),
        "q_head_roll": 1 - abs(float(row["roll"])) / np.radians(90),
        "q_native_size": float(row["crop_side_px"]) / _NATIVE_PX,
        "q_upright": 1 - abs(float(row["crop_roll_rad"])) / np.radians(45),
    }
    return {name: float(np.clip(score, 0, 1)) for name, score in scores.items()}


def frontal_score(yaw_rad: float, pitch_rad: float, head_turns_rad: Float[np.ndarray, "3"]) -> float:
    """q_frontal of a head, by the face model's direction and `facing.head_turns` (NaN: a witness that did not look).

    A face that looks down at the side is turned away by more than its yaw says.
    """
    away_rad = math.acos(math.cos(yaw_rad) * math.cos(pitch_rad))
    return 1 - max(away_rad, abs(float(np.nanmedian(head_turns_rad)))) / np.radians(90)


def landmark_score(agreement: float, spread: float) -> float:
    """q_landmarks of a face's readings: the part that agreed, and how far they scatter in face sizes."""
    return agreement * (1 - spread / _MESH_SPREAD)


def _head_dm(row: Mapping[str, Any], side_px: float) -> float:
    """Portrait sides that one dm of face takes: one over the side's dm where body and face agree (truth: 0.994)."""
    scale, *centre_px = row["face_alignment"].astype(np.float64)
    return px_per_dm(row[BFM_TRANS], Alignment(scale, np.array(centre_px))) / side_px


def _cuts(alpha: UInt8[np.ndarray, "p p"], row: Mapping[str, Any]) -> Cuts:
    matrix, box_px = row[CROP_FROM_SOURCE].astype(np.float64), row["photo_box_px"].astype(np.float64)
    return cuts(alpha, matrix, box_px, row["landmarks68_px"].astype(np.float64))


def _crop_landmarks(row: Mapping[str, Any]) -> Float[np.ndarray, "68 2"]:
    return geometry.transform(row["crop_native_from_source"].astype(np.float64), row["landmarks68_px"])


def _face_grey(crop: UInt8[np.ndarray, "s s 3"], landmarks: Float[np.ndarray, "68 2"]) -> UInt8[np.ndarray, "a b"]:
    """The landmarks' bounding box as grey levels; at least 8 px, clamped to the crop."""
    low = np.clip(np.floor(landmarks.min(axis=0)).astype(int), 0, crop.shape[0] - 8)
    high = np.clip(np.ceil(landmarks.max(axis=0)).astype(int), low + 8, crop.shape[0])
    return cv2.cvtColor(crop[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2GRAY)
