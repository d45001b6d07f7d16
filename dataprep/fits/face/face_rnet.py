"""3DMM by Deep3DFaceRecon's R-Net: align the face exactly as its training did, regress, read the results back.

The network sees pixels, so texture and light come with identity and expression, and no prior pulls them to the mean;
it gives no uncertainty. Landmarks serve the alignment alone; their distance to the fit is reported, not minimised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from dataprep.errors import AssetError, Rejected
from dataprep.fits.face.face_appearance import Appearance, colour_rmse
from dataprep.fits.face.face_fit import FaceFit
from dataprep.frames.face_frames import CENTRE_PX, Alignment, align, head_from_3dmm, project_224
from dataprep.models.devices import resolve_device
from dataprep.models.face.bfm import FaceModel
from dataprep.models.regressors.rnet import BFM_VERTICES, INPUT_PX, FaceCoefficients, RNet, load_rnet, regress

_LEAST_SCALE, _LARGEST_SCALE = 0.05, 20.0  # of a 512 px portrait about 0.9 is usual


@dataclass(frozen=True, eq=False)
class RNetFitter:
    """Portraits and their landmarks to fits, in one batch; a face that cannot be aligned gets its Rejected."""

    model: FaceModel
    network: RNet

    def __call__(
        self, portraits: Sequence[UInt8[np.ndarray, "h w 3"]], landmarks_px: Sequence[Float[np.ndarray, "68 2"]]
    ) -> list[tuple[FaceFit, Appearance] | Rejected]:
        aligned = [_guarded_alignment(*pair) for pair in zip(portraits, landmarks_px, strict=True)]
        usable = [one[0] for one in aligned if not isinstance(one, Rejected)]
        found = iter(regress(self.network, usable) if usable else [])
        return [
            one if isinstance(one, Rejected) else rnet_fit(self.model, next(found), one[1], portrait, points)
            for portrait, points, one in zip(portraits, landmarks_px, aligned, strict=True)
        ]


def open_rnet(model: FaceModel, named: str, path: Path, device: str) -> RNetFitter:
    """R-Net from `path` for the face model that the setting `named`; AssetError for another face than BFM's front."""
    if len(model.mean) != BFM_VERTICES:
        raise AssetError(f"face.method=rnet needs BFM's {BFM_VERTICES} front vertices; {named} is another face")
    return RNetFitter(model, load_rnet(path).to(resolve_device(device)))


def _guarded_alignment(portrait: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, Alignment] | Rejected:
    try:
        return aligned_face(portrait, landmarks)
    except Rejected as rejected:
        return rejected


def aligned_face(
    portrait: UInt8[np.ndarray, "h w 3"], landmarks_px: Float[np.ndarray, "68 2"]
) -> tuple[UInt8[np.ndarray, "224 224 3"], Alignment]:
    """The reference's crop: bicubic resize to whole pixels, cut at whole pixels, black outside; and its mapping.

    Raises Rejected (`face_fit_failed`) when the landmarks do not look like a face.
    """
    wanted = align(landmarks_px)
    height, width = portrait.shape[:2]
    if not _LEAST_SCALE < wanted.scale < _LARGEST_SCALE:
        raise Rejected("face_fit_failed", "the 68 landmarks do not form a face that R-Net's alignment can place")
    small_width, small_height = int(width * wanted.scale), int(height * wanted.scale)
    half = INPUT_PX / 2
    left = int(small_width / 2 - half + (wanted.centre_px[0] - width / 2) * wanted.scale)
    top = int(small_height / 2 - half + (wanted.centre_px[1] - height / 2) * wanted.scale)
    resized = Image.fromarray(portrait).resize((small_width, small_height), Image.Resampling.BICUBIC)
    face = np.asarray(resized.crop((left, top, left + INPUT_PX, top + INPUT_PX)))
    ratio = np.array([width / small_width, height / small_height])
    centre = (np.array([left, top]) + CENTRE_PX) * ratio
    return face, Alignment(float(1 / ratio.mean()), centre)


def rnet_fit(
    model: FaceModel,
    found: FaceCoefficients,
    alignment: Alignment,
    portrait: UInt8[np.ndarray, "h w 3"],
    landmarks_px: Float[np.ndarray, "68 2"],
) -> tuple[FaceFit, Appearance]:
    """One face's coefficients in the terms of the landmark fit; `sigma` is not a number throughout."""
    mean, basis = model.landmark_bases()
    shape = mean + basis @ np.concatenate((found.identity, found.expression))
    placed = shape @ head_from_3dmm(found.angle_rad).T + found.trans_dm
    error = project_224(placed) - alignment.to_224(landmarks_px.astype(np.float64))
    fit = FaceFit(
        identity=found.identity,
        expression=found.expression,
        angle_rad=found.angle_rad,
        trans_dm=found.trans_dm,
        sigma=np.full(len(found.identity) + len(found.expression), np.nan),
        rotation_sigma_rad=float("nan"),
        alignment=alignment,
        rmse_224_px=float(np.sqrt((error**2).sum(1).mean())),
        iterations=0,
    )
    residual = colour_rmse(model, fit, portrait, found.tex, found.gamma)
    return fit, Appearance(found.tex, found.gamma, residual)
