"""Measure MediaPipe's errors on people with known truth: `python -m tools.calibration.measure_detector FOLDER`.

FOLDER holds `people/` and `truth/` as the sample renderer writes them. Use people that no accuracy figure is quoted
on. Errors are made symmetric between left and right, which also halves their scatter.
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
import torch
from jaxtyping import Float

from dataprep.errors import Rejected
from dataprep.fits.body.detector_errors import DETECTOR_PATH, DetectorModel, save_detector
from dataprep.fits.generator_labels import view_from_cam
from dataprep.frames.face_frames import CAM_FROM_GL, pitch_yaw_of_head
from dataprep.frames.smpl_joints import HEAD, NECK
from dataprep.models.body.body_points import BodyPoints, body_points
from dataprep.models.body.mediapipe_points import LEFT_SHOULDER, MEDIAPIPE_INDEX, POINT_NAMES, POINTS, RIGHT_SHOULDER
from dataprep.models.body.smpl import load_body
from dataprep.models.detection.person_detector import Detection, PersonDetector
from dataprep.models.face.bfm import load_face
from dataprep.pictures.codecs import decode_rgb

# Pairs of iBUG landmarks that swap in a mirror; 8, 27-30, 33, 51, 57, 62, 66 lie on the midline.
_IBUG_MIRROR = [
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
]  # fmt: skip
_POINT_MIRROR = [POINTS.index(n.replace("left", "#").replace("right", "left").replace("#", "right")) for n in POINTS]
_TORSO_AND_HEAD = [POINTS.index(n) for n in POINTS if n.split("_")[-1] not in ("elbow", "wrist", "heel", "index")][:11]
_RIDGE = 1.0  # people: pulls offsets that the views cannot tell apart towards zero
_SLOPE_RIDGE = 0.5
_FLIP = np.array([-1.0, 1.0, 1.0])
_CLIP = 3.5  # robust standard deviations
_SHRINK = 0.1  # of the off-diagonal covariance


@dataclass(frozen=True, eq=False)
class DetectorSighting:
    """One person's errors, view axes. The carrier turns T-pose offsets of a point into the view."""

    image_m: Float[np.ndarray, "23 2"]
    world_m: Float[np.ndarray, "23 3"]
    carrier: Float[np.ndarray, "23 3 3"]
    landmarks_dm: Float[np.ndarray, "68 2"]  # y up
    view_from_face: Float[np.ndarray, "3 3"]  # GL axes


def measure(sightings: list[DetectorSighting]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(image offsets, world offsets on top, Cholesky factor of the residuals, landmark offsets in dm)."""
    image = _offsets([s.image_m for s in sightings], [s.carrier for s in sightings], _POINT_MIRROR)
    world = _offsets([s.world_m for s in sightings], [s.carrier for s in sightings], _POINT_MIRROR)
    landmarks = _landmark_offsets(sightings)
    rows = []
    for s in sightings:
        flat = s.image_m - (s.carrier @ image[..., None])[:, :2, 0]
        deep = s.world_m - (s.carrier @ world[..., None])[..., 0]
        rows.append(np.concatenate((flat.ravel(), deep.ravel())))
        mirrored = ((flat * _FLIP[:2])[_POINT_MIRROR], (deep * _FLIP)[_POINT_MIRROR])
        rows.append(np.concatenate([part.ravel() for part in mirrored]))
    residuals = np.stack(rows)
    limit = _CLIP * 1.4826 * np.median(np.abs(residuals), axis=0)  # a lost foot is a miss, not a wide normal
    residuals = np.clip(residuals, -limit, limit)
    covariance = residuals.T @ residuals / len(residuals)
    diagonal = np.diag(np.diag(covariance))
    shrunk = (1 - _SHRINK) * covariance + _SHRINK * diagonal + 1e-8 * np.eye(len(covariance))
    return image, world - image, np.linalg.cholesky(shrunk), landmarks


def _offsets(errors: list[np.ndarray], carriers: list[np.ndarray], mirror: list[int]) -> np.ndarray:
    """Constant offsets in the parts' frames by ridge least squares, median-trimmed, then made mirror-symmetric."""
    observed, turns = np.stack(errors), np.stack(carriers)
    axes = observed.shape[-1]
    out = np.zeros((observed.shape[1], 3))
    for k in range(len(out)):
        design, target = turns[:, k, :axes], observed[:, k]
        trusted = np.ones(len(target))
        for _ in range(5):
            normal = np.einsum("nai,n,naj->ij", design, trusted, design) + _RIDGE * np.eye(3)
            out[k] = np.linalg.solve(normal, np.einsum("nai,n,na->i", design, trusted, target))
            error = np.linalg.norm(target - design @ out[k], axis=1)
            trusted = 1 / (1 + (error / (2 * np.median(error) + 1e-9)) ** 2)
    return (out + (out * _FLIP)[mirror]) / 2


def _landmark_offsets(sightings: list[DetectorSighting]) -> Float[np.ndarray, "3 68 3"]:
    """Constant, slope with pitch and slope with yaw, by ridge least squares; mirrored people count as more people."""
    observed, designs = [], []
    for s in sightings:
        for mirrored in (False, True):
            flip = np.diag(_FLIP) if mirrored else np.eye(3)
            turn = flip @ s.view_from_face @ flip
            error = (s.landmarks_dm * _FLIP[:2])[_IBUG_MIRROR] if mirrored else s.landmarks_dm
            pitch, yaw = pitch_yaw_of_head(turn)
            observed.append(error)
            designs.append(np.concatenate((turn[:2], pitch * turn[:2], yaw * turn[:2]), axis=1))
    design, target = np.stack(designs), np.stack(observed)  # (n, 2, 9), (n, 68, 2)
    normal = np.einsum("nai,naj->ij", design, design) + _SLOPE_RIDGE * np.eye(9)
    return np.linalg.solve(normal, np.einsum("nai,nka->ik", design, target)).reshape(3, 3, 68).transpose(0, 2, 1)


def sight(truth: dict[str, Any], found: Detection, body: BodyPoints) -> DetectorSighting:
    """Errors of one detection against one truth record."""
    joints, camera = np.array(truth["joints_cam_m"]), truth["camera"]
    posed = body(torch.tensor(truth["rotations_local"]).float()[None], torch.tensor(truth["betas"]).float()[None])
    points = posed.points[0].double().numpy() + joints[NECK] - posed.joints[0, NECK].double().numpy()
    focal, centre = np.array([camera["fx"], camera["fy"]]), np.array([camera["cx"], camera["cy"]])
    rows = list(MEDIAPIPE_INDEX.values())
    true_px = focal * points[:, :2] / points[:, 2:] + centre
    view = view_from_cam(joints[NECK])
    turned = points @ view.T
    turned = turned - turned[[LEFT_SHOULDER, RIGHT_SHOULDER]].mean(0)
    world = found.keypoints33_world_m[rows].astype(np.float64)
    world = world - world[[LEFT_SHOULDER, RIGHT_SHOULDER]].mean(0)
    a, b = world[_TORSO_AND_HEAD], turned[_TORSO_AND_HEAD]
    carrier = view @ posed.rotations[0, body.mass_KJ.argmax(1)].double().numpy()
    head_view = view_from_cam(joints[HEAD])
    landmark_px = found.landmarks68_px - np.array(truth["landmarks68_px"])
    return DetectorSighting(
        image_m=(found.keypoints33[rows, :2] - true_px) * points[:, 2:] / focal,
        world_m=(a * b).sum() / (a * a).sum() * world - turned,
        carrier=carrier,
        landmarks_dm=10 * landmark_px * [1, -1] * joints[HEAD, 2] / focal,
        view_from_face=CAM_FROM_GL @ head_view @ CAM_FROM_GL @ np.array(truth["head_from_3dmm"]),
    )


def people_of(folder: Path) -> Iterator[tuple[dict[str, Any], Detection]]:
    """Detect every person with truth under `folder`; people the detector rejects are skipped."""
    detector = PersonDetector()
    for path in sorted((folder / "truth").rglob("*.json")):
        truth = json.loads(path.read_text())
        if "camera" not in truth:
            continue
        try:
            yield truth, detector(decode_rgb((folder / "people" / truth["image"]).read_bytes()))
        except Rejected as rejected:
            print(f"{truth['image']}: {rejected.reason}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with people/ and truth/")
    parser.add_argument("--out", type=Path, default=DETECTOR_PATH)
    options = parser.parse_args(arguments)
    model, face = load_body(), load_face()
    body = body_points(model, POINT_NAMES)
    sightings = [sight(truth, found, body) for truth, found in people_of(options.folder)]
    image, world, chol, landmarks = measure(sightings)
    meta = {
        "people": len(sightings),
        "body_sha256": model.sha256,
        "face_sha256": face.sha256,
        "detector": "mediapipe 0.10.21",
        # the name that tools/render had: the file's sha256 is published
        "people_from": "rendered people of dataprep.devtools.render, other seeds than the samples'",
        "licence": model.licence,
    }
    save_detector(options.out, DetectorModel(image, world, chol, landmarks, meta=meta))
    print(f"{len(sightings)} people -> {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
