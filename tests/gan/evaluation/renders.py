"""The shipped samples as pictures of a generator that does what it is told: renders with known truth."""

import json
from pathlib import Path

import numpy as np

from dataprep.fits.generator_labels import turn_in_picture, view_from_cam
from dataprep.frames import geometry
from dataprep.frames.face_frames import CAM_FROM_GL
from dataprep.frames.smpl_joints import HEAD, LEFT_SHOULDER, RIGHT_SHOULDER
from dataprep.pictures.codecs import decode_rgb
from gan.evaluation.control import Control
from gan.evaluation.fakes import GeneratedPictures

SAMPLES = Path(__file__).parents[3] / "samples"
NAMES = [f"p{number:03d}" for number in range(19, 31)]
FACE_SIDE = 0.55  # of the portrait's side, about the nose


def renders(px: int) -> tuple[GeneratedPictures, Control]:
    """Portraits and faces of the samples, and what their truth files say."""
    rows = [_one(name, px) for name in NAMES]
    pictures, truths = zip(*rows, strict=True)
    stacked = GeneratedPictures(*(np.stack(views) for views in zip(*pictures, strict=True)))
    return stacked, Control(*(np.stack(values) for values in zip(*truths, strict=True)))


def _one(name: str, px: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]:
    photo = decode_rgb((SAMPLES / "people" / "photos" / f"{name}.jpg").read_bytes())
    truth = json.loads((SAMPLES / "truth" / "photos" / f"{name}.jpg.json").read_text())
    crop = truth["crop"]
    matrix = geometry.square_from_source(np.array(crop["centre_px"]), crop["side_px"], crop["roll_rad"], px)
    nose = np.array(truth["landmarks68_px"])[30]
    close = geometry.square_from_source(nose, FACE_SIDE * crop["side_px"], crop["roll_rad"], px)
    joints = np.array(truth["joints_px"])[[LEFT_SHOULDER, RIGHT_SHOULDER]]
    seen = view_from_cam(np.array(truth["joints_cam_m"])[HEAD])
    upright = turn_in_picture(-crop["roll_rad"])
    head = CAM_FROM_GL @ upright @ seen @ CAM_FROM_GL @ np.array(truth["head_from_3dmm"])
    pictures = geometry.resample(photo, matrix, px), geometry.resample(photo, close, px)
    codes = np.array(truth["bfm_id"]), np.array(truth["bfm_exp"])
    return pictures, (*codes, head, geometry.transform(matrix, joints) / px)
