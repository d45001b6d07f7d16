"""Contact sheets as plain pictures: the same photographs give the same pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dataprep.pictures.overlays import draw_keypoints, draw_square, square_corners
from dataprep.report.page_pictures import Picture, Rgb, shrunk

CELL_PX, GAP_PX, COLUMNS = 160, 8, 8
_PAPER, _INK, _SOFT, _EMPTY = (255, 255, 255), (60, 60, 66), (120, 120, 126), (236, 236, 238)
_LABEL_PX, _PHOTO_PX = 34, 220


def portrait_sheet(portraits: Sequence[Rgb]) -> Rgb:
    """Portraits in rows of eight; with fewer the sheet is narrower, with none it is one empty cell."""
    return grid([shrunk(portrait, CELL_PX).rgb for portrait in portraits], CELL_PX, CELL_PX)


def rejected_sheet(photographs: Sequence[tuple[Picture | None, Mapping[str, Any]]]) -> Rgb:
    """Photographs with key points and portrait square, and stage and reason below each."""
    height = _PHOTO_PX + _LABEL_PX
    return grid([_rejected_cell(picture, row, height) for picture, row in photographs], CELL_PX, height)


def with_labels(picture: Picture, row: Mapping[str, Any]) -> Rgb:
    """A shrunk photograph with what was found in it."""
    rgb = picture.rgb
    if row.get("keypoints33") is not None:
        rgb = draw_keypoints(rgb, row["keypoints33"] * [picture.scale, picture.scale, 1])
    if row.get("crop_centre_px") is not None:
        corners = square_corners(row["crop_centre_px"], float(row["crop_side_px"]), float(row["crop_roll_rad"]))
        rgb = draw_square(rgb, corners * picture.scale)
    return rgb


def grid(cells: Sequence[Rgb], width: int, height: int, columns: int = COLUMNS) -> Rgb:
    """Cells of at most `width` x `height`, centred on white."""
    columns = max(1, min(columns, len(cells)))
    rows = max(1, -(-len(cells) // columns))
    sheet = np.full((rows * (height + GAP_PX) + GAP_PX, columns * (width + GAP_PX) + GAP_PX, 3), 255, np.uint8)
    for i, cell in enumerate(cells):
        y = GAP_PX + i // columns * (height + GAP_PX) + (height - cell.shape[0]) // 2
        x = GAP_PX + i % columns * (width + GAP_PX) + (width - cell.shape[1]) // 2
        sheet[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
    return sheet


def write_text(rgb: Rgb, xy: tuple[float, float], text: str, size_px: int, ink: tuple[int, int, int] = _INK) -> Rgb:
    """One line of text, its top left at `xy`; characters the built-in font lacks become boxes."""
    image = Image.fromarray(rgb)
    ImageDraw.Draw(image).text(xy, text, fill=ink, font=ImageFont.load_default(size_px))
    return np.asarray(image)


def text_width(text: str, size_px: int) -> float:
    return float(ImageFont.load_default(size_px).getlength(text))


def _rejected_cell(picture: Picture | None, row: Mapping[str, Any], height: int) -> Rgb:
    cell = np.full((height, CELL_PX, 3), _PAPER, np.uint8)
    if picture is None:
        photo = write_text(np.full((CELL_PX, CELL_PX, 3), _EMPTY, np.uint8), (45, 72), "no preview", 13, _SOFT)
    else:
        fit = min(CELL_PX / picture.width, _PHOTO_PX / picture.height, 1.0)
        photo = shrunk(with_labels(picture, row), max(1, int(fit * max(picture.width, picture.height)))).rgb
    y, x = _PHOTO_PX - photo.shape[0], (CELL_PX - photo.shape[1]) // 2
    cell[y : y + photo.shape[0], x : x + photo.shape[1]] = photo
    cell = write_text(cell, (0, _PHOTO_PX + 4), str(row["reason"] or row["status"]), 13)
    return write_text(cell, (0, _PHOTO_PX + 19), f"{row['stage']}: {row['status']}", 11, _SOFT)
