"""Measure the errors of the mesh detector's 68 landmarks: `python -m tools.calibration.measure_landmarks FOLDER...`.

A FOLDER holds `people/` and `truth/` as the sample renderer or `tools.render.expressions` writes them. Use
people that no accuracy figure is quoted on. Mirrored people count as more people, so errors come out symmetric.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from dataprep.errors import Rejected
from dataprep.fits.face.landmark_errors import LANDMARK_ERRORS_PATH, LandmarkErrors, save_landmark_errors
from dataprep.fits.generator_labels import view_from_cam
from dataprep.frames.face_frames import CAM_FROM_GL, pitch_yaw_of_head
from dataprep.frames.landmarks68 import MIRROR68
from dataprep.frames.smpl_joints import HEAD
from dataprep.models.detection.person_detector import Detection, PersonDetector
from dataprep.models.face.bfm import load_face
from dataprep.pictures.codecs import decode_rgb

_FLIP = np.array([-1.0, 1.0, 1.0])
_RIDGE = 8.0  # people: pulls offsets that the views cannot tell apart towards zero
_ROUNDS = 3
_CLIP = 3.5  # robust standard deviations
_SHRINK = 0.1  # of the off-diagonal covariance
_FLOOR_DM2 = 1e-4


@dataclass(frozen=True, eq=False)
class Misses:
    """One person: where the landmarks were found relative to the truth, decimetres in the picture, y up."""

    landmarks_dm: Float[np.ndarray, "68 2"]
    view_from_face: Float[np.ndarray, "3 3"]  # GL axes, the ray to the head as z

    @property
    def mirrored(self) -> Misses:
        flip = np.diag(_FLIP)
        return Misses((self.landmarks_dm * _FLIP[:2])[MIRROR68], flip @ self.view_from_face @ flip)


def measure(people: list[Misses]) -> LandmarkErrors:
    """Offsets by robust ridge least squares, then the clipped and shrunk covariance of what is left."""
    both = [one for person in people for one in (person, person.mirrored)]
    design = np.stack([_design(one.view_from_face) for one in both])  # (n, 2, 9)
    target = np.stack([one.landmarks_dm for one in both])  # (n, 68, 2)
    trusted = np.ones(len(both))
    for _ in range(_ROUNDS):
        normal = np.einsum("n,nai,naj->ij", trusted, design, design) + _RIDGE * np.eye(9)
        offsets = np.linalg.solve(normal, np.einsum("n,nai,nka->ik", trusted, design, target))
        residual = target - np.einsum("nai,ik->nka", design, offsets)
        size = np.sqrt((residual**2).sum((1, 2)))
        trusted = 1 / (1 + (size / (2 * np.median(size) + 1e-12)) ** 2)
    return LandmarkErrors(offsets.reshape(3, 3, 68).transpose(0, 2, 1), _covariance(residual.reshape(len(both), -1)))


def _design(view_from_face: np.ndarray) -> Float[np.ndarray, "2 9"]:
    """Picture offset by the constant, the slope with pitch and the slope with yaw, each (3,) in the face frame."""
    pitch, yaw = pitch_yaw_of_head(view_from_face)
    seen = view_from_face[:2]
    return np.concatenate((seen, pitch * seen, yaw * seen), axis=1)


def _covariance(rows: Float[np.ndarray, "n 136"]) -> Float[np.ndarray, "136 136"]:
    limit = _CLIP * 1.4826 * np.median(np.abs(rows), axis=0)
    rows = np.clip(rows, -limit, limit)
    covariance = rows.T @ rows / len(rows)
    diagonal = np.diag(np.diag(covariance))
    return (1 - _SHRINK) * covariance + _SHRINK * diagonal + _FLOOR_DM2 * np.eye(len(covariance))


def misses(truth: dict[str, Any], found_px: Float[np.ndarray, "68 2"]) -> Misses:
    """Errors of one detection against one truth record."""
    head = np.array(truth["joints_cam_m"])[HEAD]
    px_per_dm = np.array([truth["camera"]["fx"], truth["camera"]["fy"]]) / head[2] / 10
    missed = (found_px - np.array(truth["landmarks68_px"])) / px_per_dm * [1, -1]
    turn = CAM_FROM_GL @ view_from_cam(head) @ CAM_FROM_GL @ np.array(truth["head_from_3dmm"])
    return Misses(missed, turn)


def found_people(folders: list[Path]) -> Iterator[tuple[dict[str, Any], Detection]]:
    """Detect every good person with truth under the folders; people the detector rejects are skipped."""
    detector = PersonDetector()
    for path in (path for folder in folders for path in sorted((folder / "truth").rglob("*.json"))):
        truth = json.loads(path.read_text())
        if truth.get("expect") != "ok":
            continue
        folder = path.parents[len(Path(truth["image"]).parts)]
        try:
            found = detector(decode_rgb((folder / "people" / truth["image"]).read_bytes()))
        except Rejected as rejected:
            print(f"{truth['image']}: {rejected.reason}")
            continue
        print(truth["image"])
        yield truth, found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="folders with people/ and truth/")
    parser.add_argument("--out", type=Path, default=LANDMARK_ERRORS_PATH)
    options = parser.parse_args(arguments)
    people = [misses(truth, found.landmarks68_px) for truth, found in found_people(options.folders)]
    errors = measure(people)
    face = load_face()
    meta = {
        "people": len(people),
        "face_sha256": face.sha256,
        "detector": "mediapipe 0.10.21",
        # the name that tools/render had: the file's sha256 is published
        "people_from": "dataprep.devtools.render (seed 777) and its expressions (seed 4711): none of the samples",
        "licence": face.licence,
    }
    save_landmark_errors(options.out, LandmarkErrors(errors.offset_dm, errors.covariance_dm2, meta=meta))
    print(f"{len(people)} people -> {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
