"""What a picture shows, in the terms of the codes: 3DMM coefficients, head rotation, shoulders.

The face render gives identity and expression (a face estimator where there is one, else landmarks and a fit), the
portrait gives head and shoulders. Both are enlarged first where they are small: MediaPipe sees no face of 40 pixels.
Suffixes: N pictures, H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from dataprep.errors import Rejected
from dataprep.fits.face.blendshape_response import response_of
from dataprep.fits.face.contour import contour_of
from dataprep.fits.face.expression_units import units_of
from dataprep.fits.face.face3dmm import FaceFitter
from dataprep.fits.face.face_fit import FaceFit, FaceFitConfig
from dataprep.fits.face.landmark_errors import load_landmark_errors
from dataprep.frames import geometry
from dataprep.models.detection.face_readings import read_face
from dataprep.models.detection.mediapipe_graphs import Graphs
from dataprep.models.detection.squares import face_squares
from dataprep.models.face.bfm import FaceModel
from dataprep.models.face.likeness_file import FEATURES, likeness_chip
from dataprep.models.face.likeness_network import LikenessReader
from gan.evaluation.control import Control
from gan.evaluation.fakes import GeneratedPictures
from gan.face.face_coefficients import FaceEstimator

READ_PX, MARGIN = 512, 0.15  # what graphs see; white around a face that fills its picture, as a part of its side
SHOULDERS = (11, 12)  # MediaPipe's left and right
SHOULDER_VISIBILITY = 0.5
SQUARES = (1.7, 2.1)  # sides in face boxes
CODE_SIZES = (80, 64)

Rgb = UInt8[np.ndarray, "h w 3"]


class SeenFace(NamedTuple):
    """The 68 landmarks in px of the picture, and the blendshapes if they were read."""

    landmarks68_px: Float[np.ndarray, "68 2"]
    blendshapes: Float[np.ndarray, " 52"] | None


@dataclass(eq=False)
class Reader:
    """Reads pictures one by one, without memory of earlier ones."""

    face: FaceModel
    estimator: FaceEstimator | None = None

    def __post_init__(self) -> None:
        self._graphs = Graphs()
        self._likeness = LikenessReader()
        errors = load_landmark_errors()
        errors = errors if errors.meta["face_sha256"] == self.face.sha256 else errors.for_another_face()
        expression = (units_of(self.face), response_of(self.face))
        self._fitter = FaceFitter(self.face, FaceFitConfig(), errors, contour_of(self.face), *expression)

    def __call__(self, pictures: GeneratedPictures) -> Control:
        fits = [self._fit(self._see(portrait)) for portrait in pictures.portrait_NHW3]
        heads = [fit.head_from_face if fit else np.full((3, 3), np.nan) for fit in fits]
        shoulders = [self._shoulders(portrait) for portrait in pictures.portrait_NHW3]
        return Control(*self.codes(pictures.face_NHW3), np.stack(heads), np.stack(shoulders))

    def codes(self, face_NHW3: UInt8[np.ndarray, "n h w 3"]) -> tuple[np.ndarray, np.ndarray]:
        """Return identity and expression of face renders."""
        if self.estimator is not None:
            with torch.inference_mode():
                said = self.estimator(torch.from_numpy(face_NHW3).permute(0, 3, 1, 2).float() / 127.5 - 1)
            return said.z_id_BK.double().numpy(), said.z_exp_BK.double().numpy()
        return self._codes_at([self._see(face) for face in face_NHW3])

    def codes_and_likeness(self, face_NHW3: UInt8[np.ndarray, "n h w 3"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return identity, expression and likeness (unit vectors, NaN where there is no face) of face renders."""
        seen = [self._see(face) for face in face_NHW3]
        identity, expression = self._codes_at(seen) if self.estimator is None else self.codes(face_NHW3)
        likeness = np.full((len(face_NHW3), FEATURES), np.nan)
        for number, (face, one) in enumerate(zip(face_NHW3, seen, strict=True)):
            if one is not None:
                likeness[number] = self._likeness(likeness_chip(face, one.landmarks68_px)).vector
        return identity, expression, likeness

    def _codes_at(self, seen: Sequence[SeenFace | None]) -> tuple[np.ndarray, np.ndarray]:
        fits = [self._fit(one) for one in seen]
        nothing = [np.full(size, np.nan) for size in CODE_SIZES]
        rows = [(fit.identity, fit.expression) if fit else nothing for fit in fits]
        identity, expression = (np.stack(values) for values in zip(*rows, strict=True))
        return identity, expression

    def _fit(self, seen: SeenFace | None) -> FaceFit | None:
        if seen is None:
            return None
        (fit,) = self._fitter(seen.landmarks68_px[None], [seen.blendshapes])
        return None if isinstance(fit, Rejected) else fit

    def _see(self, rgb: Rgb) -> SeenFace | None:
        """Read the one face of a picture as those of a data set are; None where there is none."""
        shown, source_from_shown = _enlarged(rgb)
        boxes = self._graphs.faces(shown)
        reading = read_face(self._graphs, shown, list(face_squares(boxes[0], SQUARES)), boxes[0]) if boxes else None
        if reading is None:
            return None
        return SeenFace(geometry.transform(source_from_shown, reading.landmarks68), reading.blendshapes)

    def _shoulders(self, portrait: Rgb) -> Float[np.ndarray, "2 2"]:
        side = portrait.shape[0]
        pose = self._graphs.pose(cv2.resize(portrait, (READ_PX, READ_PX), interpolation=_filter(side, READ_PX)))
        if pose is None or pose.points[list(SHOULDERS), 2].min() < SHOULDER_VISIBILITY:
            return np.full((2, 2), np.nan)
        return pose.points[list(SHOULDERS), :2] / READ_PX


def _enlarged(rgb: Rgb) -> tuple[np.ndarray, geometry.Affine]:
    """Bring a picture to READ_PX with white around it; and the way back to its own pixels."""
    side = rgb.shape[0]
    inner = round(READ_PX * (1 - 2 * MARGIN))
    rim = (READ_PX - inner) // 2
    shown = np.full((READ_PX, READ_PX, 3), 255, np.uint8)
    shown[rim : rim + inner, rim : rim + inner] = cv2.resize(rgb, (inner, inner), interpolation=_filter(side, inner))
    scale = side / inner
    return shown, np.array([[scale, 0, -rim * scale], [0, scale, -rim * scale]])


def _filter(before: int, after: int) -> int:
    return cv2.INTER_AREA if after < before else cv2.INTER_CUBIC
