"""Measure how blendshapes answer to expressions: `python -m tools.calibration.measure_blendshapes FOLDER...`.

A FOLDER holds `people/` and `truth/` as the sample renderer or `tools.render.expressions` writes them. Use people that
no accuracy figure is quoted on. Mirrored people count as more people, so left and right come out alike. Before it
writes, it fits the faces of each folder by what the other folders say, and prints how far the expressions follow truth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dataprep.errors import Rejected
from dataprep.fits.face.blendshape_response import RESPONSE_PATH, BlendshapeResponse, save_response
from dataprep.fits.face.contour import contour_of
from dataprep.fits.face.expression_units import units_of
from dataprep.fits.face.face3dmm import FaceFitter
from dataprep.fits.face.face_fit import FaceFit, FaceFitConfig
from dataprep.fits.face.landmark_errors import load_landmark_errors
from dataprep.models.detection.blendshapes import MIRROR52
from dataprep.models.face.bfm import FaceModel, load_face
from dataprep.tables.labels import BFM_EXP
from gan.data.mirror import coefficient_mirror
from pipelines.accuracy.expression import correlations
from tools.calibration.measure_landmarks import found_people

# Chosen on the two folders of the README, each predicted from the other: the ten strongest reach 0.48 and 0.75 centred,
# and stay within 0.02 of that for ridges of 100 to 1,000 and floors of 0.05 to 0.15.
_RIDGE = 300.0  # people of unit expression: pulls answers that the faces hardly show towards none
_FLOOR = 0.1  # activation: on photographs no blendshape is surer than that, however rarely it moves on renders
_SHRINK = 0.1  # of the off-diagonal covariance


@dataclass(frozen=True, eq=False)
class SeenFaces:
    """Faces of one folder, in portrait px and standard deviations."""

    landmarks_px: Float[np.ndarray, "n 68 2"]
    blendshapes: Float[np.ndarray, "n 52"]
    expression: Float[np.ndarray, "n 64"]


def measure(faces: Sequence[SeenFaces], model: FaceModel) -> BlendshapeResponse:
    """Ridge least squares of blendshapes on true expressions, then the shrunk covariance of what is left."""
    mirror = coefficient_mirror(model.mean, model.exp_base)
    expression = np.concatenate([part for one in faces for part in (one.expression, mirror(one.expression))])
    target = np.concatenate([part for one in faces for part in (one.blendshapes, one.blendshapes[:, MIRROR52])])
    design = np.column_stack([expression, np.ones(len(expression))])
    ridge = np.diag([*np.full(expression.shape[1], _RIDGE), 0.0])  # the rest is free
    answer = np.linalg.solve(design.T @ design + ridge, design.T @ target)
    left = target - design @ answer
    covariance = left.T @ left / len(left)
    covariance = (
        (1 - _SHRINK) * covariance + _SHRINK * np.diag(np.diag(covariance)) + _FLOOR**2 * np.eye(len(covariance))
    )
    return BlendshapeResponse(answer[-1], answer[:-1].T, covariance)


def faces_of(folder: Path) -> SeenFaces:
    """Detect everyone under a folder; people whose blendshapes cannot be read are left out."""
    rows = [
        (found.landmarks68_px, found.blendshapes, truth[BFM_EXP])
        for truth, found in found_people([folder])
        if found.blendshapes is not None
    ]
    landmarks, shapes, expressions = zip(*rows, strict=True)
    return SeenFaces(np.stack(landmarks), np.stack(shapes), np.array(expressions, np.float64))


def held_out(name: str, seen: SeenFaces, response: BlendshapeResponse, model: FaceModel) -> str:
    """Centred correlations of a folder's faces without blendshapes and with a response of other people."""
    units, contour, errors = units_of(model), contour_of(model), load_landmark_errors()
    fitter = FaceFitter(model, FaceFitConfig(), errors, contour, units, response)
    words = []
    for what, shapes in (("without", None), ("with", list(seen.blendshapes))):
        fits = fitter(seen.landmarks_px, shapes)
        fitted = [i for i, fit in enumerate(fits) if not isinstance(fit, Rejected)]
        ours = np.stack([fit.expression for fit in fits if isinstance(fit, FaceFit)])
        found = correlations(ours, seen.expression[fitted])
        words.append(f"{what} {found['centred_strongest10']:.3f} / {found['centred']:.3f}")
    return f"{name}: ten strongest / all 64, centred: {', '.join(words)}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="folders with people/ and truth/")
    parser.add_argument("--out", type=Path, default=RESPONSE_PATH)
    options = parser.parse_args(arguments)
    model = load_face()
    faces = [faces_of(folder) for folder in options.folders]
    for i, (folder, seen) in enumerate(zip(options.folders, faces, strict=True)):
        others = faces[:i] + faces[i + 1 :]
        if others:
            print(held_out(folder.name, seen, measure(others, model), model))
    found = measure(faces, model)
    meta = {
        "people": sum(len(seen.expression) for seen in faces),
        "face_sha256": model.sha256,
        "detector": "face_landmarker.task in mediapipe 0.10.21",
        "people_from": "tools.render (seed 777) and its expressions (seed 4711): none of the samples",
        "licence": model.licence,
    }
    save_response(options.out, BlendshapeResponse(found.rest, found.per_expression, found.covariance, meta=meta))
    print(f"{meta['people']} people -> {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
