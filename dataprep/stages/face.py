"""face: 3DMM on the portrait's 68 landmarks and its blendshapes, and the face crop the generator's face camera sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from dataprep.errors import ConfigError, Rejected
from dataprep.files.file_hashes import remembered_sha256
from dataprep.fits.canonical_head import canonical_head
from dataprep.fits.face.blendshape_response import RESPONSE_PATH, response_of
from dataprep.fits.face.contour import contour_of
from dataprep.fits.face.expression_units import UNITS_PATH, units_of
from dataprep.fits.face.face_appearance import Appearance, fit_appearance
from dataprep.fits.face.face_fit import FaceFit, FaceFitConfig
from dataprep.fits.face.landmark_errors import LANDMARK_ERRORS_PATH, load_landmark_errors
from dataprep.fits.head_tie import head_offset
from dataprep.frames import geometry
from dataprep.frames.face_frames import face_crop_from_portrait
from dataprep.models.detection import blendshapes
from dataprep.models.face.bfm import FaceModel
from dataprep.models.face.face_files import STANDIN, files_of, open_face
from dataprep.models.licensed import RESEARCH_ONLY, find_file
from dataprep.pictures.codecs import decode_rgb, encode_png
from dataprep.settings import number, setting
from dataprep.stages.base import DEVICE, Item, Result, Stage, Weight, gpu_wish
from dataprep.tables.columns import FLOAT, STRING, UINT16, Column, floats
from dataprep.tables.labels import (
    BFM_ANGLE,
    BFM_EXP,
    BFM_GAMMA,
    BFM_ID,
    BFM_TEX,
    BFM_TRANS,
    CROP_FROM_SOURCE,
    FACE_FROM_PORTRAIT,
    LANDMARKS68,
    label,
)

if TYPE_CHECKING:
    from dataprep.fits.face.face3dmm import FaceFitter
    from dataprep.fits.face.face_rnet import RNetFitter

_SD = {"unit": "standard deviation"}


@dataclass(frozen=True)
class FaceTools:
    """Loaded models of one process."""

    model: FaceModel
    fitters: Mapping[str, FaceFitter]  # by what found the landmarks: "mesh" or another detector, "fan"
    rnet: RNetFitter | None


@dataclass(frozen=True)
class Face(Stage):
    """Landmark MAP, then texture and light from the portrait's colours (low confidence); or R-Net.

    Reasons: face_fit_failed.
    """

    name: ClassVar[str] = "face"
    version: ClassVar[int] = 5
    requires: ClassVar[tuple[str, ...]] = ("ingest", "detect", "body", "superres", "matte")
    blobs: ClassVar[tuple[str, ...]] = ("face.png",)
    columns: ClassVar[tuple[Column, ...]] = (
        label(LANDMARKS68),
        label(BFM_ID),
        label(BFM_EXP),
        label(BFM_TEX),
        label(BFM_ANGLE),
        label(BFM_GAMMA),
        label(BFM_TRANS),
        floats("bfm_id_sigma", (80,), "posterior standard deviation of bfm_id", released=False, **_SD),
        floats("bfm_exp_sigma", (64,), "posterior standard deviation of bfm_exp", released=False, **_SD),
        floats("face_alignment", (3,), "224 px per portrait px, then the centre in portrait px", frame="portrait"),
        label(FACE_FROM_PORTRAIT),
        Column("face_fit_rmse", FLOAT, "root mean square landmark distance", unit="px", frame="portrait"),
        Column("face_fit_colour_rmse", FLOAT, "root mean square colour error of visible skin", unit="grey levels"),
        Column("face_fit_iterations", UINT16, "Gauss-Newton steps", unit="count"),
        Column("face_fit_method", STRING, "landmark_map or rnet"),
        Column("face_model", STRING, "face model that the coefficients belong to"),
        Column("face_model_sha256", STRING, "its file"),
        floats("head_offset", (3, 3), "3DMM axes from those of the SMPL head joint", frame="3DMM from head"),
    )  # fmt: skip

    size_px: int = number(256, 16, 4096, "side of the face crop; px")
    landmark_sigma_px: float = number(
        FaceFitConfig.landmark_sigma_px,
        1e-3,
        1e3,
        "error of landmarks where the detector's own was not measured; px at 224",
    )
    model: str = setting(
        STANDIN, "face model: the shipped stand-in, or a BFM file, as a path or a name in the assets folder"
    )
    method: Literal["landmark_map", "rnet"] = setting(
        "landmark_map", "`landmark_map`: a fit to landmarks and colours; `rnet`: Deep3DFaceRecon's network"
    )
    contour: Literal["fixed", "sliding"] = setting(
        "sliding", "jaw landmarks on the far side: `sliding` along the visible edge, or `fixed` vertices"
    )
    rnet: str = setting("epoch_20.pth", "R-Net's weights, a path or a name in the assets folder")
    device: str = setting("auto", DEVICE.format("R-Net"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == "rnet" and self.model == STANDIN:
            raise ConfigError(
                "face.method=rnet predicts coefficients of the Basel face model and cannot drive the shipped face; add "
                "--set face.model=BFM_model_front.mat"
            )

    def batched(self, tools: FaceTools) -> bool:
        return True

    def own_files(self) -> tuple[tuple[str, str], ...]:
        models = () if self.model == STANDIN else files_of(self.model)
        regressor = (("face.rnet", self.rnet),) if self.method == "rnet" else ()
        return (*(("face.model", file) for file in models), *regressor)

    def weights(self) -> tuple[Weight, ...]:
        model = open_face(self.model)
        used = [Weight(model.name, model.sha256, model.licence)]
        if self.method == "rnet":
            path = find_file(self.rnet, "face.rnet")
            return (*used, Weight(path.name, remembered_sha256(path), RESEARCH_ONLY))
        errors, units, response = load_landmark_errors(), units_of(model), response_of(model)
        used.append(Weight(LANDMARK_ERRORS_PATH.stem, errors.sha256, str(errors.meta["licence"])))
        if units is not None:
            used.append(Weight(UNITS_PATH.stem, units.sha256, str(units.meta["licence"])))
        if response is not None:
            used.append(Weight(RESPONSE_PATH.stem, response.sha256, str(response.meta["licence"])))
        return tuple(used)

    def resources(self) -> dict[str, float]:
        return gpu_wish(self.device) if self.method == "rnet" else {}

    def load(self) -> FaceTools:
        """The mesh detector's errors are measured on the shipped face."""
        model = open_face(self.model)
        if self.method == "rnet":
            from dataprep.fits.face.face_rnet import open_rnet

            path = find_file(self.rnet, "face.rnet")
            return FaceTools(model, {}, open_rnet(model, self.model, path, self.device))
        from dataprep.fits.face.face3dmm import FaceFitter

        config = FaceFitConfig(landmark_sigma_px=self.landmark_sigma_px)
        errors = load_landmark_errors()
        errors = errors if errors.meta["face_sha256"] == model.sha256 else errors.for_another_face()
        contour = contour_of(model) if self.contour == "sliding" else None
        expression = (units_of(model), response_of(model))
        fitters = {
            "mesh": FaceFitter(model, config, errors, contour, *expression),
            "fan": FaceFitter(model, config, None, contour, *expression),
        }
        return FaceTools(model, fitters, None)

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        error = f"landmark error {row['face_fit_rmse']:.1f} px of 512, {row['face_fit_iterations']} steps"
        return [f"{error}, colour error {row['face_fit_colour_rmse']:.0f} of 255"]

    def process(self, items: Sequence[Item], tools: FaceTools) -> list[Result]:
        """Fit the batch at once, then colours and crop image by image."""
        fit = self._landmark_fits if tools.rnet is None else self._rnet_fits
        return [
            Result.rejected(one.reason, one.message) if isinstance(one, Rejected) else one for one in fit(items, tools)
        ]

    def _landmark_fits(self, items: Sequence[Item], tools: FaceTools) -> list[Result | Rejected]:
        landmarks = np.stack([_landmarks(item) for item in items])
        shapes = [blendshapes.of_row(item.row) for item in items]
        found_by = np.array([item.row.get("landmarks68_method", "mesh") for item in items])
        fits: dict[int, FaceFit | Rejected] = {}
        for method in sorted(set(found_by)):
            rows = np.flatnonzero(found_by == method)
            found = tools.fitters[method](landmarks[rows], [shapes[row] for row in rows])
            fits |= dict(zip(rows.tolist(), found, strict=True))
        results: list[Result | Rejected] = []
        for i, item in enumerate(items):
            fit = fits[i]
            if isinstance(fit, FaceFit):
                portrait = decode_rgb(item.blob("portrait.png"))
                look = fit_appearance(tools.model, fit, portrait)
                results.append(self._result(item, tools, portrait, landmarks[i], fit, look))
            else:
                results.append(fit)
        return results

    def _rnet_fits(self, items: Sequence[Item], tools: FaceTools) -> list[Result | Rejected]:
        assert tools.rnet is not None
        portraits = [decode_rgb(item.blob("portrait.png")) for item in items]
        landmarks = [_landmarks(item) for item in items]
        results: list[Result | Rejected] = []
        fits = tools.rnet(portraits, landmarks)
        for item, portrait, points, found in zip(items, portraits, landmarks, fits, strict=True):
            results.append(
                found if isinstance(found, Rejected) else self._result(item, tools, portrait, points, *found)
            )
        return results

    def _result(
        self, item: Item, tools: FaceTools, portrait: np.ndarray, landmarks: np.ndarray, fit: FaceFit, look: Appearance
    ) -> Result:
        model, row = tools.model, item.row
        offset = head_offset(model, row["body_model_sha256"], row["face_points_rest_m"])
        upright = canonical_head(fit.head_from_face, offset)
        matrix = face_crop_from_portrait(upright, fit.trans_dm, fit.alignment, self.size_px)
        crop = geometry.resample(portrait, matrix, self.size_px)
        columns = _columns(landmarks, fit, look, matrix) | {
            "face_fit_method": self.method,
            "face_model": model.name,
            "face_model_sha256": model.sha256,
            "head_offset": offset,
        }
        return Result(columns=columns, blobs={"face.png": encode_png(crop)})


def _landmarks(item: Item) -> np.ndarray:
    """The 68 landmarks in portrait px."""
    return geometry.transform(item.row[CROP_FROM_SOURCE].astype(np.float64), item.row["landmarks68_px"])


def _columns(landmarks: np.ndarray, fit: FaceFit, look: Appearance, matrix: geometry.Affine) -> dict[str, Any]:
    known = bool(np.isfinite(fit.sigma).all())
    return {
        LANDMARKS68: landmarks,
        BFM_ID: fit.identity,
        BFM_EXP: fit.expression,
        BFM_TEX: look.tex,
        BFM_ANGLE: fit.angle_rad,
        BFM_GAMMA: look.gamma.reshape(3, 9),
        BFM_TRANS: fit.trans_dm,
        "bfm_id_sigma": fit.sigma[:80] if known else None,
        "bfm_exp_sigma": fit.sigma[80:] if known else None,
        "face_alignment": np.array([fit.alignment.scale, *fit.alignment.centre_px]),
        FACE_FROM_PORTRAIT: matrix,
        "face_fit_rmse": fit.rmse_px,
        "face_fit_colour_rmse": look.residual,
        "face_fit_iterations": fit.iterations,
    }
