"""One image's whole story as one picture: what each stage saw and what it made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

from dataprep.frames import geometry
from dataprep.frames.face_frames import CAM_FROM_GL, Alignment, head_from_3dmm, project_224
from dataprep.frames.smpl_joints import NECK
from dataprep.models.face.bfm import FaceModel
from dataprep.pictures.codecs import decode_mask, decode_rgb
from dataprep.pictures.overlays import (
    draw_axes,
    draw_keypoints,
    draw_landmarks,
    draw_skeleton,
    draw_square,
    square_corners,
)
from dataprep.report.page_pictures import Rgb, shrunk
from dataprep.report.sheets import text_width, write_text
from dataprep.tables.labels import BFM_ANGLE, BFM_EXP, BFM_ID, BFM_TRANS, CROP_FROM_SOURCE, LANDMARKS68

PANEL_PX, GAP_PX, TITLE_PX = 400, 20, 46
_TALL_PX = 2 * PANEL_PX + TITLE_PX + GAP_PX  # the photographs stand beside two rows of panels
_INK, _SOFT, _LOST = (28, 28, 32), (110, 112, 120), (184, 72, 29)
_NOSE_BRIDGE = 27
_FIT_COLOUR = (255, 90, 200)

Row = Mapping[str, Any]
ReadBlob = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Panel:
    """A picture with a title and a line below it."""

    title: str
    caption: str
    rgb: Rgb


@dataclass(frozen=True)
class Material:
    """What is known of one image: its row over all stages, its pictures by name, its photograph when it is there."""

    row: Row
    read_blob: ReadBlob
    photograph: Rgb | None
    face_model: FaceModel | None


def draw_story(material: Material, heading: str, verdict: str) -> Rgb:
    """The picture. Panels whose stage never ran are left out; with none at all the heading stands alone."""
    photographs = _photograph_panels(material)
    is_tall = any(panel.rgb.shape[0] > 1.2 * panel.rgb.shape[1] for panel in photographs)
    columns = [[panel] for panel in photographs] if is_tall else [photographs] if photographs else []
    squares = _portrait_panels(material)
    half = -(-len(squares) // 2)
    columns += [[*squares[i : i + 1], *squares[half + i : half + i + 1]] for i in range(half)]
    strips = [_column(column) for column in columns]
    head = _heading(heading, verdict, sum(strip.shape[1] + GAP_PX for strip in strips) + GAP_PX)
    if not strips:
        return head
    body = np.full((max(s.shape[0] for s in strips) + GAP_PX, head.shape[1], 3), 255, np.uint8)
    x = GAP_PX
    for strip in strips:
        body[: strip.shape[0], x : x + strip.shape[1]] = strip
        x += strip.shape[1] + GAP_PX
    return np.concatenate([head, body])


def reprojected_landmarks(model: FaceModel, row: Row) -> Float[np.ndarray, "68 2"]:
    """The 68 landmarks of the fitted 3DMM in portrait pixels."""
    mean, basis = model.landmark_bases()
    shape = mean + basis @ np.concatenate([row[BFM_ID], row[BFM_EXP]]).astype(np.float64)
    placed = shape @ head_from_3dmm(row[BFM_ANGLE].astype(np.float64)).T + row[BFM_TRANS]
    scale, *centre = row["face_alignment"].astype(np.float64)
    return Alignment(float(scale), np.array(centre)).to_portrait(project_224(placed))


def _photograph_panels(material: Material) -> list[Panel]:
    """The photograph with what was detected, and with what was fitted."""
    if material.photograph is None:
        return []
    row = material.row
    height, width = material.photograph.shape[:2]
    picture = shrunk(material.photograph, _TALL_PX)
    k = picture.scale
    found, size = picture.rgb, f"{width} x {height} px"
    if row.get("keypoints33") is not None:
        found = draw_keypoints(found, row["keypoints33"] * [k, k, 1])
        found = draw_landmarks(found, row["landmarks68_px"] * k)
        size += f", {int((row['keypoints33'][:, 2] >= 0.5).sum())} of 33 points visible"
    panels = [Panel("photograph: what was found", size, found)]
    if row.get("smpl_joints_px") is None:
        return panels
    fitted = draw_skeleton(picture.rgb, row["smpl_joints_px"] * k)
    caption = f"error {row['body_fit_rmse']:.1f} px"
    if row.get("crop_centre_px") is not None:
        corners = square_corners(row["crop_centre_px"], float(row["crop_side_px"]), float(row["crop_roll_rad"]))
        fitted = draw_square(fitted, corners * k)
        caption += f", square {row['crop_side_px']:.0f} px, roll {np.degrees(row['crop_roll_rad']):+.1f}°"
    return [*panels, Panel("SMPL fit and portrait square", caption, fitted)]


def _portrait_panels(material: Material) -> list[Panel]:
    row, read = material.row, material.read_blob
    panels = []
    if crop := read("crop.png"):
        rgb = decode_rgb(crop)
        panels.append(Panel("native crop", f"{rgb.shape[1]} px, {row['crop_inside']:.0%} inside", rgb))
    if big := read("superres.png"):
        caption = f"512 px, x{row['upsampling']:.2f}, {row['superres_precision']}"
        panels.append(Panel("super-resolved", caption, decode_rgb(big)))
    if alpha := read("alpha.png"):
        grey = np.repeat(decode_mask(alpha)[..., None], 3, axis=2)
        panels.append(Panel("alpha", f"covers {row['alpha_coverage']:.0%}, soft {row['alpha_softness']:.1%}", grey))
    if portrait := read("portrait.png"):
        panels += _label_panels(decode_rgb(portrait), row, material.face_model)
    if face := read("face.png"):
        rgb = decode_rgb(face)
        panels.append(Panel("face crop", f"{rgb.shape[1]} px, the head's roll taken out", rgb))
    return panels


def _label_panels(portrait: Rgb, row: Row, model: FaceModel | None) -> list[Panel]:
    """The portrait on white, and its labels drawn on it."""
    if row.get(LANDMARKS68) is None:
        return [Panel("portrait", "on white", portrait)]
    marked = draw_landmarks(portrait, row[LANDMARKS68], width_px=1.6)
    panels = [Panel("portrait and 68 landmarks", "on white", marked)]
    if model is not None:
        both = draw_landmarks(portrait, row[LANDMARKS68], width_px=1.2)
        both = draw_landmarks(both, reprojected_landmarks(model, row), _FIT_COLOUR, width_px=1.2)
        panels.append(Panel("3DMM landmarks (pink) on them", f"error {row['face_fit_rmse']:.1f} px of 512", both))
    portrait_from_source = row[CROP_FROM_SOURCE].astype(np.float64)
    joints = geometry.transform(portrait_from_source, row["smpl_joints_px"])
    panels.append(Panel("SMPL skeleton", "first fit, before the head tie", draw_skeleton(portrait, joints)))
    head = CAM_FROM_GL @ head_from_3dmm(row[BFM_ANGLE].astype(np.float64))
    axes = draw_axes(portrait, row[LANDMARKS68][_NOSE_BRIDGE], head, 110)
    axes = draw_axes(axes, joints[NECK], _turned(portrait_from_source, row["chest_rotation_cam"]), 110)
    caption = "x red, y green, z blue"
    if row.get("yaw") is not None:
        caption = "head yaw {:+.0f}°, pitch {:+.0f}°, roll {:+.0f}°".format(
            *(np.degrees(row[name]) for name in ("yaw", "pitch", "roll"))
        )
    return [*panels, Panel("axes of head and chest", caption, axes)]


def _turned(portrait_from_source: geometry.Affine, cam_from_body: Float[np.ndarray, "3 3"]) -> np.ndarray:
    """A rotation in the photograph's camera axes as the turned portrait shows it."""
    turned = np.array(cam_from_body, np.float64)
    turned[:2] = portrait_from_source[:, :2] / geometry.scale_of(portrait_from_source) @ turned[:2]
    return turned


def _heading(heading: str, verdict: str, width: int) -> Rgb:
    width = int(max(width, 2 * GAP_PX + text_width(heading, 26), 2 * GAP_PX + text_width(verdict, 18), 640))
    head = np.full((88, width, 3), 255, np.uint8)
    head = write_text(head, (GAP_PX, 14), heading, 26, _INK)
    return write_text(head, (GAP_PX, 50), verdict, 18, _SOFT if verdict.startswith("accepted") else _LOST)


def _column(panels: list[Panel]) -> Rgb:
    height = _TALL_PX if len(panels) == 1 and panels[0].rgb.shape[0] > panels[0].rgb.shape[1] else PANEL_PX
    pictures = [_fitted(panel.rgb, height) for panel in panels]
    width = max(picture.shape[1] for picture in pictures)
    cells = [_cell(panel, picture, width) for panel, picture in zip(panels, pictures, strict=True)]
    gap = np.full((GAP_PX, width, 3), 255, np.uint8)
    return np.concatenate([piece for cell in cells for piece in (cell, gap)][:-1])


def _cell(panel: Panel, picture: Rgb, width: int) -> Rgb:
    title = np.full((TITLE_PX, width, 3), 255, np.uint8)
    title = write_text(title, (0, 2), panel.title, 17, _INK)
    title = write_text(title, (0, 24), panel.caption, 14, _SOFT)
    padded = np.full((picture.shape[0], width, 3), 255, np.uint8)
    padded[:, : picture.shape[1]] = picture
    return _framed(np.concatenate([title, padded]))


def _framed(cell: Rgb) -> Rgb:
    """A hairline around the picture, so that white portraits have an edge."""
    cell[TITLE_PX, :] = cell[-1, :] = 214
    cell[TITLE_PX:, 0] = cell[TITLE_PX:, -1] = 214
    return cell


def _fitted(rgb: Rgb, height_px: int) -> Rgb:
    """At `height_px`, or two panels wide where that is less."""
    scale = min(height_px / rgb.shape[0], 2 * PANEL_PX / rgb.shape[1])
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
