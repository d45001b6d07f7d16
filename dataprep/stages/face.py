"""face: 3DMM on the portrait's 68 landmarks, and the face crop the generator's face camera sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dataprep import geometry
from dataprep.fits.detector import DETECTOR_PATH, DetectorModel, load_detector
from dataprep.fits.face3dmm import Appearance, FaceFit, FaceFitConfig, fit_appearance, fit_face
from dataprep.fits.face_frames import face_crop_from_portrait
from dataprep.images import decode_rgb, encode_png
from dataprep.models.bfm import FaceModel, load_face
from dataprep.schema import FLOAT, STRING, UINT16, Column, floats
from dataprep.stages.base import Item, Result, Stage, Weight

_SD = {"unit": "standard deviation"}


@dataclass(frozen=True)
class FaceTools:
    """Loaded models of one process; the detector's landmark offsets belong to this face model."""

    model: FaceModel
    detector: DetectorModel


@dataclass(frozen=True)
class Face(Stage):
    """Landmark MAP, then texture and light from the portrait's colours (low confidence).

    Reasons: face_fit_failed.
    """

    name: ClassVar[str] = "face"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest", "detect", "superres", "matte")
    blobs: ClassVar[tuple[str, ...]] = ("face.png",)
    columns: ClassVar[tuple[Column, ...]] = (
        floats("landmarks68", (68, 2), "iBUG landmarks", unit="px", frame="portrait"),
        floats("bfm_id", (80,), "identity coefficients of the named face model", **_SD),
        floats("bfm_exp", (64,), "expression coefficients of the named face model", **_SD),
        floats("bfm_tex", (80,), "texture coefficients, low confidence", **_SD),
        floats("bfm_angle", (3,), "Euler x, y, z of R = Rz Ry Rx", unit="rad", frame="portrait, y up, z to the camera"),
        floats("bfm_gamma", (3, 9), "spherical-harmonics light: channel by basis, added to 0.8; low confidence"),
        floats(
            "bfm_trans", (3,), "translation; focal length 1015 px at 224, distance 10", unit="dm",
            frame="face camera, y up",
        ),
        floats("bfm_id_sigma", (80,), "posterior standard deviation of bfm_id", released=False, **_SD),
        floats("bfm_exp_sigma", (64,), "posterior standard deviation of bfm_exp", released=False, **_SD),
        floats("face_alignment", (3,), "224 px per portrait px, then the centre in portrait px", frame="portrait"),
        floats("face_from_portrait", (2, 3), "portrait px to face crop px, row-major", unit="px", frame="face crop"),
        Column("face_fit_rmse", FLOAT, "root mean square landmark distance", unit="px", frame="portrait"),
        Column("face_fit_colour_rmse", FLOAT, "root mean square colour error of visible skin", unit="grey levels"),
        Column("face_fit_iterations", UINT16, "Gauss-Newton steps", unit="count"),
        Column("face_fit_method", STRING, "landmark_map"),
    )  # fmt: skip

    size_px: int = 256
    landmark_sigma_px: float = FaceFitConfig.landmark_sigma_px

    def weights(self) -> tuple[Weight, ...]:
        model, detector = load_face(), load_detector()
        return (
            Weight(model.name, model.sha256, model.licence),
            Weight(DETECTOR_PATH.stem, detector.sha256, model.licence),
        )

    def load(self) -> FaceTools:
        return FaceTools(load_face(), load_detector())

    def process_item(self, item: Item, tools: FaceTools) -> Result:
        portrait = decode_rgb(item.blob("portrait.png"))
        landmarks = geometry.transform(item.row["crop_from_source"].astype(np.float64), item.row["landmarks68_px"])
        config = FaceFitConfig(landmark_sigma_px=self.landmark_sigma_px)
        fit = fit_face(tools.model, landmarks, config, tools.detector.landmark_offset_dm)
        look = fit_appearance(tools.model, fit, portrait)
        matrix = face_crop_from_portrait(fit.head_from_face, fit.trans_dm, fit.alignment, self.size_px)
        crop = geometry.resample(portrait, matrix, self.size_px)
        return Result(columns=_columns(landmarks, fit, look, matrix), blobs={"face.png": encode_png(crop)})


def _columns(landmarks: np.ndarray, fit: FaceFit, look: Appearance, matrix: geometry.Affine) -> dict[str, Any]:
    return {
        "landmarks68": landmarks,
        "bfm_id": fit.identity,
        "bfm_exp": fit.expression,
        "bfm_tex": look.tex,
        "bfm_angle": fit.angle_rad,
        "bfm_gamma": look.gamma.reshape(3, 9),
        "bfm_trans": fit.trans_dm,
        "bfm_id_sigma": fit.sigma[:80],
        "bfm_exp_sigma": fit.sigma[80:],
        "face_alignment": np.array([fit.alignment.scale, *fit.alignment.centre_px]),
        "face_from_portrait": matrix,
        "face_fit_rmse": fit.rmse_px,
        "face_fit_colour_rmse": look.residual,
        "face_fit_iterations": fit.iterations,
        "face_fit_method": "landmark_map",
    }
