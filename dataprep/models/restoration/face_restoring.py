"""Restore the face of a crop: laid where GFPGAN saw faces in training, restored there, and blended back.

GFPGAN was trained on FFHQ's alignment of 512 px. What the blend takes over ends softly with the face: hair, neck and
background stay the photograph's, for the network invents there what it does not know.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from dataprep.frames import geometry
from dataprep.frames.geometry import Affine
from dataprep.models.devices import resolve_device
from dataprep.models.restoration.gfpgan import load_gfpgan

# Eyes, nose tip and mouth corners (image left first) of FFHQ's mean face, as facexlib aligns faces for GFPGAN.
_FFHQ_PX = 512
_FFHQ_POINTS = np.array(
    [[192.98, 239.95], [318.90, 240.19], [256.63, 314.02], [201.26, 371.41], [313.09, 371.15]], np.float64
)
_GREY = 135  # beyond the crop, as there
_BROWS = slice(17, 27)
_NOSE_BASE = 33
_FOREHEAD = 0.5  # the face goes on above the brows by this part of the distance from nose to brows
_EDGE = 1 / 40  # sigma of the soft edge, as a part of the aligned face's side


class FaceRestorer:
    """The user's GFPGAN on the crop of one person. Raises AssetError for a file that is no such network."""

    def __init__(self, path: Path, device: str) -> None:
        self._network = load_gfpgan(path).to(resolve_device(device))

    def __call__(
        self, crop: UInt8[np.ndarray, "s s 3"], landmarks68: Float[np.ndarray, "68 2"], seed: int
    ) -> UInt8[np.ndarray, "s s 3"]:
        """Return the crop with its face restored; landmarks are in px of the crop, `seed` draws the decoder's noise."""
        size_px, side_px = len(crop), self._network.side_px
        aligned_from_crop = face_alignment(landmarks68, side_px)
        face = geometry.resample(crop, aligned_from_crop, side_px, fill=_GREY)
        mask = face_mask(geometry.transform(aligned_from_crop, landmarks68), side_px)
        crop_from_aligned = geometry.invert(aligned_from_crop)
        restored = geometry.resample(self._restored(face, seed), crop_from_aligned, size_px)
        weight = geometry.resample(mask, crop_from_aligned, size_px, fill=0)[..., None] / 255
        return np.round(crop + weight * (restored.astype(np.float64) - crop)).astype(np.uint8)

    @torch.inference_mode()
    def _restored(self, face: UInt8[np.ndarray, "p p 3"], seed: int) -> UInt8[np.ndarray, "p p 3"]:
        noises = self._network.noises(seed)
        rgb = torch.from_numpy(face).to(noises[0].device).permute(2, 0, 1)[None].float() / 127.5 - 1
        out = self._network(rgb, noises)[0].clamp_(-1, 1).add_(1).mul_(127.5).round_()
        return out.to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def face_alignment(landmarks68: Float[np.ndarray, "68 2"], side_px: int) -> Affine:
    """The similarity that lays the face as FFHQ's faces lie, in a square of `side_px`."""
    eyes = landmarks68[36:42].mean(0), landmarks68[42:48].mean(0)
    points = np.stack([*eyes, landmarks68[30], landmarks68[48], landmarks68[54]])
    return geometry.nearest_similarity(_FFHQ_POINTS * (side_px / _FFHQ_PX), points)


def face_mask(landmarks68: Float[np.ndarray, "68 2"], side_px: int) -> UInt8[np.ndarray, "p p"]:
    """What is face of an aligned one, with a soft edge that ends inside the square; 255 = face.

    The edge begins a little outside the landmarks: of a turned face the nose is at the outline, and it must be taken.
    """
    brows = landmarks68[_BROWS]
    raised = brows + _FOREHEAD * (brows.mean(0) - landmarks68[_NOSE_BASE])
    outline = cv2.convexHull(np.round(np.concatenate((landmarks68, raised))).astype(np.int32))
    mask = np.zeros((side_px, side_px), np.uint8)
    cv2.fillConvexPoly(mask, outline, (255,))
    sigma_px = _EDGE * side_px
    wider = 2 * round(sigma_px) + 1
    grown = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wider, wider)))
    rim = round(3 * sigma_px)
    inside = np.zeros_like(mask)
    inside[rim:-rim, rim:-rim] = grown[rim:-rim, rim:-rim]
    return np.asarray(cv2.GaussianBlur(inside, (2 * rim + 1, 2 * rim + 1), sigma_px), np.uint8)
