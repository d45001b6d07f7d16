"""Measure what faces and OpenPose's points add to body fits: `python -m tools.calibration.measure_evidence FOLDER...`.

A FOLDER holds `people/` and `truth/` as the sample renderer writes them. OpenPose does not run here: its points are
made up from the true bodies by COCO's definitions, with noise (`--noise-mm`) and with definitions that are wrong by a
constant of random direction for each point (`--bias-mm`). Nothing is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from dataprep.fits.body.body_fit import BodyFit
from dataprep.fits.body.evidence import Evidence, with_openpose
from dataprep.fits.body.map_body import MapConfig, fit_map
from dataprep.fits.face.face_scale import face_px_per_m, scale_evidence
from dataprep.fits.generator_labels import view_from_cam
from dataprep.frames import geometry
from dataprep.frames.rotations import angle_between_rad
from dataprep.frames.smpl_joints import CHEST, HEAD, NECK
from dataprep.models.body.body_points import BodyPoints, body_points
from dataprep.models.body.mediapipe_points import POINT_NAMES
from dataprep.models.body.openpose_points import beside_openpose, coco_points
from dataprep.models.body.smpl import load_body
from dataprep.models.regressors.lifter import LifterInput, TrainedLifter, from_mediapipe, load_lifter
from dataprep.stages.face import Face
from tools.calibration.measure_detector import people_of


class Case(NamedTuple):
    """One person: what was seen, and the truth."""

    inputs: LifterInput
    face_px_per_m: float | None
    openpose: Float[np.ndarray, "25 3"]
    truth: Mapping[str, Any]


def made_up_openpose(
    truth: Mapping[str, Any], coco: BodyPoints, noise_m: Float[np.ndarray, "25 3"]
) -> Float[np.ndarray, "25 3"]:
    """BODY_25 points of the true body, px, all present; `noise_m` moves them in camera axes."""
    joints, camera = np.array(truth["joints_cam_m"]), truth["camera"]
    posed = coco(torch.tensor(truth["rotations_local"]).float()[None], torch.tensor(truth["betas"]).float()[None])
    points = posed.points[0].double().numpy() + joints[NECK] - posed.joints[0, NECK].double().numpy() + noise_m
    px = np.array([camera["fx"], camera["fy"]]) * points[:, :2] / points[:, 2:] + [camera["cx"], camera["cy"]]
    return np.column_stack((px, np.ones(len(px))))


def cases_of(folders: Sequence[Path], noise_m: float, bias_m: float) -> Iterator[Case]:
    """Detect everyone, read their faces, and make up their OpenPose points."""
    rng = np.random.default_rng(25)
    coco, fitters = coco_points(load_body()), Face().load().fitters
    bias = rng.normal(size=(25, 3))
    bias *= bias_m / np.linalg.norm(bias, axis=1, keepdims=True)
    for folder in folders:
        for truth, found in people_of(folder):
            points, size = found.keypoints33, (truth["width"], truth["height"])
            inputs = from_mediapipe(points[:, :2], points[:, 2], found.keypoints33_world_m, size)
            noise = bias + noise_m * rng.normal(size=(25, 3))
            px_per_m = face_px_per_m(fitters, found.landmarks68_px, "mesh")
            yield Case(inputs, px_per_m, made_up_openpose(truth, coco, noise), truth)


def errors_of(fit: BodyFit, truth: Mapping[str, Any], body: BodyPoints) -> dict[str, float]:
    """Of one fit: log of the scale, the crop's centre and the joints of neck and head in % of its side, degrees."""
    joints, turned, crop = np.array(truth["joints_cam_m"]), np.array(truth["rotations_cam"]), truth["crop"]
    posed = body(torch.from_numpy(fit.rotations)[None], torch.from_numpy(fit.betas)[None])
    up = posed.rotations[0, CHEST, :, 1]
    middle = (posed.joints[0, NECK] + geometry.LOOKAT_ABOVE_NECK_M * up).numpy()[:2] * fit.camera_px[0]
    apart = np.linalg.norm(fit.joints_px - np.array(truth["joints_px"]), axis=1)[[NECK, HEAD]].mean()
    angles = {
        name: float(torch.rad2deg(angle_between_rad(posed.rotations[0, joint], _seen(joints, turned, joint))))
        for name, joint in (("chest_deg", CHEST), ("head_deg", HEAD))
    }
    return {
        "log_scale": float(np.log(fit.camera_px[0] / crop["px_per_m"])),
        "centre_pct": 100 * float(np.linalg.norm(middle + fit.camera_px[1:] - crop["centre_px"])) / crop["side_px"],
        "joints_pct": 100 * float(apart) / crop["side_px"],
        **angles,
    }


def _seen(joints: np.ndarray, turned: np.ndarray, joint: int) -> torch.Tensor:
    return torch.from_numpy(view_from_cam(joints[joint]) @ turned[joint]).float()


def measure(cases: Sequence[Case], lifter: TrainedLifter) -> dict[str, list[dict[str, float]]]:
    """Errors of everyone under each choice of evidence."""
    points = lifter.network.body
    both = beside_openpose(points, body_points(load_body(), POINT_NAMES))
    found: dict[str, list[dict[str, float]]] = {}
    for case in cases:
        with torch.no_grad():
            start = lifter.network(case.inputs)
        for name, evidence in _choices(case).items():
            body = points if evidence.openpose_px is None else both
            (fit,) = fit_map(start, case.inputs, body, lifter.residual_chol, MapConfig(), evidence)
            found.setdefault(name, []).append(errors_of(fit, case.truth, points))
    return found


def _choices(case: Case) -> dict[str, Evidence]:
    none, face = scale_evidence(None), scale_evidence(case.face_px_per_m)
    return {
        "MediaPipe's points": none,
        "and the face's size": face,
        "and OpenPose's points": with_openpose(none, case.openpose, case.inputs),
        "and both": with_openpose(face, case.openpose, case.inputs),
    }


def report(cases: Sequence[Case], found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Two tables: what each source says of the scale by itself, and the errors of the fits."""
    body = np.array([errors["log_scale"] for errors in found["MediaPipe's points"]])
    face = np.log([(case.face_px_per_m or np.nan) / case.truth["crop"]["px_per_m"] for case in cases])
    known = np.isfinite(face)
    (bb, bf), (_, ff) = np.cov(body[known], face[known])
    lines = [
        f"log scale of {known.sum()} people: body {body.mean():+.3f} +- {bb**0.5:.3f}, face {np.nanmedian(face):+.3f} "
        f"(median) +- {ff**0.5:.3f}, correlation {bf / (bb * ff) ** 0.5:.2f}, "
        f"weight of the face that is best here {(bb - bf) / (bb + ff - 2 * bf):.2f}",
        "| evidence | crop side % | log scale +- | crop centre % | joints % | chest deg | head deg |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, errors in found.items():
        scale = np.array([one["log_scale"] for one in errors])
        cells = [_spread(100 * np.abs(np.expm1(scale))), f"{scale.std():.3f}"]
        keys = ("centre_pct", "joints_pct", "chest_deg", "head_deg")
        cells += [_spread(np.array([one[key] for one in errors])) for key in keys]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: np.ndarray) -> str:
    return f"{np.median(values):.1f} / {np.quantile(values, 0.9):.1f}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="folders with people/ and truth/")
    parser.add_argument("--noise-mm", type=float, default=10.0)
    parser.add_argument("--bias-mm", type=float, default=10.0)
    options = parser.parse_args(arguments)
    cases = list(cases_of(options.folders, options.noise_mm / 1000, options.bias_mm / 1000))
    print(report(cases, measure(cases, load_lifter(load_body()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
