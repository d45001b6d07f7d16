"""Fits of many frames: SMPL by the stage `body`, the 3DMM by the fitter of the stage `face`, one identity for a person.

Faces are fitted with the person's identity held (`identity`), so that what moves from frame to frame is expression and
pose alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from dataprep.errors import ConfigError, Rejected
from dataprep.fits.face.face_fit import FaceFit
from dataprep.fits.generator_labels import rotations_from_rotvecs, turn_in_picture
from dataprep.fits.head_tie import head_offset_between, neck_head_covariance
from dataprep.frames import geometry
from dataprep.frames.face_frames import CAM_FROM_GL
from dataprep.frames.geometry import PORTRAIT_PX
from dataprep.models.licensed import require_files
from dataprep.stages.base import Item
from dataprep.stages.body import Body
from dataprep.stages.body_tools import BodyTools
from dataprep.stages.camera import Camera
from dataprep.stages.crop import PortraitSquare, portrait_square
from dataprep.stages.face import Face, FaceTools
from dataprep.tables.labels import SMPL_BETAS
from dataprep.tracking.follow import Sighting
from dataprep.tracking.frame_labels import Tie
from dataprep.tracking.identity import IDENTITY_FRAMES, fitter_of, identity_of

_FACE_SQUARE = 2.4  # portrait sides, in face sides, where no body was found
_FITTER = {"mesh": "mesh", "pts": "fan"}  # annotated points follow the visible contour, as FAN's do


@dataclass(frozen=True, eq=False)
class BodyFitRow:
    """One frame's body: local rotations (entry 0 in cam axes), shape, the portrait square, and the fit's error."""

    rotations: Float[np.ndarray, "24 3 3"]
    betas: Float[np.ndarray, "10"]
    square: PortraitSquare
    rmse_relative: float


@dataclass(frozen=True, eq=False)
class FaceFitRow:
    """One frame's face: coefficients, the 3DMM's axes in cam axes, landmark error in parts of the portrait's side."""

    expression: Float[np.ndarray, "64"]
    face_in_cam: Float[np.ndarray, "3 3"]
    rmse_relative: float


@dataclass(frozen=True)
class Fitter:
    """The pipeline's models, opened once."""

    body: Body
    body_tools: BodyTools
    face: Face
    face_tools: FaceTools
    tie: Tie

    @classmethod
    def open(cls, body: Body, face: Face, camera: Camera) -> Fitter:
        """Raises ConfigError for methods that read pictures, since tracking fits points, and AssetError for files."""
        if body.regressor != "lifter" or face.method != "landmark_map":
            raise ConfigError("track fits key points and landmarks: body.regressor=lifter, face.method=landmark_map")
        require_files((*body.own_files(), *face.own_files()))
        body_tools, face_tools = body.load(), face.load()
        model = body_tools.model
        offset = head_offset_between(face_tools.model, model)
        sigma_rad = np.radians(camera.head_sigma_deg) if camera.tie_head else np.inf
        tie = Tie(offset, neck_head_covariance(body_tools.residual_chol.numpy()), float(sigma_rad))
        return cls(body, body_tools, face, face_tools, tie)

    @property
    def models(self) -> dict[str, str]:
        """What the coefficients belong to, as the manifest names it."""
        body, face = self.body_tools.model, self.face_tools.model
        return {
            "body_model": body.name,
            "body_model_sha256": body.sha256,
            "face_model": face.name,
            "face_model_sha256": face.sha256,
        }

    def bodies(self, seen: Sequence[Sighting | None], size_px: tuple[int, int]) -> list[BodyFitRow | None]:
        """SMPL of each frame that shows a body; None where too few points are visible. `size_px`: width, height."""
        rows = [i for i, one in enumerate(seen) if one is not None and one.keypoints33 is not None]
        items = [_item(i, seen[i], size_px) for i in rows]
        out: list[BodyFitRow | None] = [None] * len(seen)
        for i, result in zip(rows, self.body.process(items, self.body_tools) if items else [], strict=True):
            if result.status == "ok":
                out[i] = _body_row(result.columns)
        return out

    def faces(
        self,
        seen: Sequence[Sighting | None],
        squares: Sequence[PortraitSquare | None],
        identity: Float[np.ndarray, "80"],
    ) -> list[FaceFitRow | None]:
        """The 3DMM of each frame with a face, of a person known. `squares`: of the bodies, None: unknown."""
        out: list[FaceFitRow | None] = [None] * len(seen)
        for method, rows in _by_method(seen).items():
            placed, landmarks = _in_portraits(rows, seen, squares)
            fitter = fitter_of(self.face_tools.model, self.face_tools.fitters[method], identity)
            fits = fitter(landmarks, [one.blendshapes if (one := seen[row]) else None for row in rows])
            for i, square, fit in zip(rows, placed, fits, strict=True):
                if not isinstance(fit, Rejected):
                    out[i] = _face_row(fit, square)
        return out

    def identity(
        self, seen: Sequence[Sighting | None], squares: Sequence[PortraitSquare | None]
    ) -> Float[np.ndarray, "80"] | None:
        """Who the person of these frames is; None where there is no face, or none that can be fitted."""
        by_method = _by_method(seen)
        if not by_method:
            return None
        method = max(by_method, key=lambda name: (len(by_method[name]), name))
        rows = by_method[method]
        rows = rows[:: -(-len(rows) // IDENTITY_FRAMES)]
        _, landmarks = _in_portraits(rows, seen, squares)
        return identity_of(self.face_tools.model, self.face_tools.fitters[method], landmarks)


def _item(number: int, sighting: Sighting | None, size_px: tuple[int, int]) -> Item:
    assert sighting is not None
    row: dict[str, Any] = {
        "keypoints33": sighting.keypoints33,
        "keypoints33_world_m": sighting.keypoints33_world_m,
        "source_width": size_px[0],
        "source_height": size_px[1],
    }
    return Item(str(number), row, Path(), _no_blobs)


def _no_blobs(name: str) -> bytes:
    raise ValueError(f"a frame has no {name}")


def _body_row(columns: Any) -> BodyFitRow:
    return BodyFitRow(
        rotations_from_rotvecs(columns["smpl_global_orient"], columns["smpl_body_pose_first"]),
        np.asarray(columns[SMPL_BETAS], np.float64),
        portrait_square(columns["neck_cam_m"], columns["chest_rotation_cam"], columns["body_camera"]),
        float(columns["body_fit_rmse_relative"]),
    )


def _square_of_face(sighting: Sighting) -> PortraitSquare:
    low, high = sighting.landmarks68_px.min(0), sighting.landmarks68_px.max(0)
    return PortraitSquare((low + high) / 2, _FACE_SQUARE * float(np.max(high - low)), 0.0)


def _by_method(seen: Sequence[Sighting | None]) -> dict[str, list[int]]:
    """Frames with a face, by the fitter that suits what found their landmarks."""
    out: dict[str, list[int]] = {}
    for i, one in enumerate(seen):
        if one is not None:
            out.setdefault(_FITTER[one.landmarks68_method], []).append(i)
    return out


def _in_portraits(
    rows: Sequence[int], seen: Sequence[Sighting | None], squares: Sequence[PortraitSquare | None]
) -> tuple[list[PortraitSquare], Float[np.ndarray, "n 68 2"]]:
    """Landmarks of some frames in portrait px, and the squares they were taken to."""
    placed, landmarks = [], []
    for i in rows:
        sighting = seen[i]
        assert sighting is not None
        square = squares[i] or _square_of_face(sighting)
        matrix = geometry.square_from_source(square.centre_px, square.side_px, square.roll_rad, PORTRAIT_PX)
        placed.append(square)
        landmarks.append(geometry.transform(matrix, sighting.landmarks68_px))
    return placed, np.stack(landmarks)


def _face_row(fit: FaceFit, square: PortraitSquare) -> FaceFitRow:
    return FaceFitRow(
        fit.expression,
        turn_in_picture(square.roll_rad) @ CAM_FROM_GL @ fit.head_from_face,
        fit.rmse_px / PORTRAIT_PX,
    )
