"""Draw the picture at the top of README.md: `python -m tools.figures.figure_story OUT SAMPLE FILE`.

One photograph of a built data set on its way: photograph, what was fitted to it, crop, super-resolved, 3DMM and SMPL
on the portrait, portrait.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dataprep.errors import ConfigError
from dataprep.frames import geometry
from dataprep.pictures.codecs import decode_rgb
from dataprep.pictures.overlays import draw_keypoints, draw_landmarks, draw_skeleton, draw_square, square_corners
from dataprep.report.page_pictures import Rgb
from dataprep.report.sheets import write_text
from dataprep.report.story import Material, reprojected_landmarks
from pipelines.commands.show import material_of

_HEIGHT_PX, _GAP_PX, _TITLE_PX = 360, 10, 26
_FIT = (255, 90, 200)


def panels(material: Material) -> list[tuple[str, Rgb]]:
    """Titles and pictures; raises ConfigError when the sample has no portrait or its photograph is gone."""
    row, read, photo = material.row, material.read_blob, material.photograph
    crop, large, portrait = (read(name) for name in ("crop.png", "superres.png", "portrait.png"))
    if photo is None or material.face_model is None or not (crop and large and portrait):
        raise ConfigError("the figure needs an accepted sample whose photograph is still there")
    fitted = draw_skeleton(draw_keypoints(photo, row["keypoints33"]), row["smpl_joints_px"])
    corners = square_corners(row["crop_centre_px"], float(row["crop_side_px"]), float(row["crop_roll_rad"]))
    labels = draw_skeleton(
        decode_rgb(portrait), geometry.transform(row["crop_from_source"].astype(np.float64), row["smpl_joints_px"])
    )
    labels = draw_landmarks(labels, reprojected_landmarks(material.face_model, row), _FIT, width_px=1.6)
    return [
        ("photograph", photo),
        ("body fit, square", draw_square(fitted, corners)),
        (f"crop, {row['crop_side_px']:.0f} px", decode_rgb(crop)),
        (f"super-resolved, {row['width']} px", decode_rgb(large)),
        ("SMPL and 3DMM on it", labels),
        ("portrait", decode_rgb(portrait)),
    ]


def figure(material: Material) -> Rgb:
    """The panels beside each other, with their titles, on white."""
    strips = [_strip(title, picture) for title, picture in panels(material)]
    gap = np.full((_HEIGHT_PX + _TITLE_PX, _GAP_PX, 3), 255, np.uint8)
    return np.concatenate([piece for strip in strips for piece in (strip, gap)][:-1], axis=1)


def _strip(title: str, rgb: Rgb) -> Rgb:
    width = round(rgb.shape[1] * _HEIGHT_PX / rgb.shape[0])
    enlarging = rgb.shape[0] < _HEIGHT_PX
    scaled = cv2.resize(rgb, (width, _HEIGHT_PX), interpolation=cv2.INTER_NEAREST if enlarging else cv2.INTER_AREA)
    scaled[0] = scaled[-1] = scaled[:, 0] = scaled[:, -1] = 214
    head = np.full((_TITLE_PX, width, 3), 255, np.uint8)
    return np.concatenate([write_text(head, (2, 4), title, 15), scaled])


def main(out: Path, sample: str, target: Path) -> None:
    """Write the figure as JPEG."""
    Image.fromarray(figure(material_of(out, sample))).save(target, quality=88, subsampling=0, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
