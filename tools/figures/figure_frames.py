"""Draw docs/images/frames.png from a built sample: `python -m tools.figures.figure_frames OUT [SOURCE_PATH]`.

Photograph, portrait and face crop of one row, each with the frames that its labels are given in; every axis and point
is computed from the row's own columns.
"""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

from dataprep.fits.canonical_head import canonical_head
from dataprep.fits.generator_labels import turn_in_picture
from dataprep.frames import geometry
from dataprep.frames.face_frames import CAM_FROM_GL, head_from_3dmm
from dataprep.frames.smpl_joints import NECK
from dataprep.pictures.codecs import decode_rgb
from dataprep.pictures.overlays import AXES, draw_axes, draw_square, square_corners
from dataprep.report.page_pictures import read_photograph, source_folder
from dataprep.tables.shard_folders import SHARDS, shard_name
from dataprep.tables.store import atomic_file

_NOSE_BRIDGE, _PANEL_PX, _GAP_PX, _CAPTION_PX = 27, 420, 16, 92
_INK = (30, 30, 36)
_CAPTIONS = (
    ("source px", "photograph: origin top left, x right, y down", "at the neck: chest axes (SMPL), cam axes dashed"),
    ("portrait px", "portrait: the square, upright, 512 px", "at the nose: the generator's head, below: chest axes"),
    ("face px", "face crop: the head's roll taken out, 256 px", "at the nose: the same head"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="a built data set")
    parser.add_argument("source_path", nargs="?", default="no_segment/p006.jpg")
    options = parser.parse_args(arguments)
    row, portrait, face = _read(options.out, options.source_path)
    photograph = read_photograph(source_folder(options.out), row)
    if photograph is None:
        raise SystemExit(f"the photograph {options.source_path} is no longer where the data set was built from")
    pictures = (_photograph(photograph, row), _portrait(portrait, row), _face(face, row))
    figure = _beside_each_other([_captioned(*pair) for pair in zip(pictures, _CAPTIONS, strict=True)])
    path = Path(__file__).parents[2] / "docs" / "images" / "frames.png"
    with atomic_file(path) as file:
        figure.quantize(200).save(file, "PNG", optimize=True)


def _read(out: Path, source_path: str) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """The manifest's row with arrays in their shapes, and its portrait and face crop from the shards."""
    manifest = pq.read_table(out / "manifest.parquet")
    shapes = {f.name: (f.metadata or {}).get(b"shape", b"scalar").decode() for f in manifest.schema}
    table = manifest.to_pandas()
    (chosen,) = table[table["source_path"] == source_path].to_dict("records")
    row = {
        name: np.asarray(value, np.float64).reshape([int(n) for n in shapes[name].split("x")])
        if isinstance(value, np.ndarray)
        else value
        for name, value in chosen.items()
    }
    shard = out / SHARDS / f"{shard_name(row['split'], int(row['shard']))}.tar"
    with tarfile.open(shard) as tar:
        portrait, face = (_picture(tar, f"{row['sample_id']}.{name}.png") for name in ("portrait", "face"))
    return row, portrait, face


def _picture(tar: tarfile.TarFile, name: str) -> np.ndarray:
    member = tar.extractfile(name)
    assert member is not None, f"{tar.name} has no {name}"
    return decode_rgb(member.read())


def _photograph(rgb: np.ndarray, row: dict[str, Any]) -> Image.Image:
    """The upper part of the photograph."""
    corners = square_corners(row["crop_centre_px"], float(row["crop_side_px"]), float(row["crop_roll_rad"]))
    side = int(1.9 * row["crop_side_px"])
    left = int(np.clip(row["crop_centre_px"][0] - side / 2, 0, max(0, rgb.shape[1] - side)))
    k, origin = _PANEL_PX / side, np.array([left, 0.0])
    shown = np.full((side, side, 3), 255, np.uint8)
    part = rgb[:side, left : left + side]
    shown[: part.shape[0], : part.shape[1]] = part
    picture = np.asarray(Image.fromarray(shown).resize((_PANEL_PX, _PANEL_PX), Image.Resampling.LANCZOS))
    picture = draw_square(picture, (corners - origin) * k)
    neck = (row["smpl_joints_px"][NECK] - origin) * k
    picture = draw_axes(picture, neck, row["chest_rotation_cam"], 90)
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for axis, name in ((0, "x"), (1, "y")):
        _dashed(draw, neck, neck + 110 * np.eye(3)[axis][:2], f"cam {name}", AXES[axis])
    _pixel_axes(draw, "u", "v")
    return image


def _portrait(rgb: np.ndarray, row: dict[str, Any]) -> Image.Image:
    k = _PANEL_PX / rgb.shape[0]
    picture = np.asarray(Image.fromarray(rgb).resize((_PANEL_PX, _PANEL_PX), Image.Resampling.LANCZOS))
    chest = turn_in_picture(-float(row["crop_roll_rad"])) @ row["chest_rotation_cam"]
    neck = geometry.transform(row["crop_from_source"], row["smpl_joints_px"][NECK])
    picture = draw_axes(picture, row["landmarks68"][_NOSE_BRIDGE] * k, _head(row), 90)
    image = Image.fromarray(draw_axes(picture, neck * k, chest, 90))
    _pixel_axes(ImageDraw.Draw(image), "u", "v")
    return image


def _face(rgb: np.ndarray, row: dict[str, Any]) -> Image.Image:
    k = _PANEL_PX / rgb.shape[0]
    picture = np.asarray(Image.fromarray(rgb).resize((_PANEL_PX, _PANEL_PX), Image.Resampling.LANCZOS))
    face_from_portrait = row["face_from_portrait"]
    nose = geometry.transform(face_from_portrait, row["landmarks68"][_NOSE_BRIDGE])
    turned = _head(row)
    turned[:2] = face_from_portrait[:, :2] / geometry.scale_of(face_from_portrait) @ turned[:2]
    image = Image.fromarray(draw_axes(picture, nose * k, turned, 90))
    _pixel_axes(ImageDraw.Draw(image), "u", "v")
    return image


def _head(row: dict[str, Any]) -> np.ndarray:
    """The generator's head's axes in camera axes of the portrait."""
    return CAM_FROM_GL @ canonical_head(head_from_3dmm(row["bfm_angle"]), row["head_offset"])


def _pixel_axes(draw: ImageDraw.ImageDraw, across: str, down: str) -> None:
    draw.line((2, 2, 70, 2), AXES[0], 4)
    draw.line((2, 2, 2, 70), AXES[1], 4)
    draw.text((74, 0), across, AXES[0], ImageFont.load_default(16))
    draw.text((2, 72), down, AXES[1], ImageFont.load_default(16))


def _dashed(draw: ImageDraw.ImageDraw, start: np.ndarray, end: np.ndarray, name: str, colour: Any) -> None:
    for t in np.arange(0, 1, 0.14):
        a, b = start + t * (end - start), start + (t + 0.08) * (end - start)
        draw.line((*a, *b), colour, 3)
    draw.text((end[0] + 3, end[1] - 8), name, colour, ImageFont.load_default(15))


def _captioned(picture: Image.Image, caption: tuple[str, str, str]) -> Image.Image:
    panel = Image.new("RGB", (_PANEL_PX, _PANEL_PX + _CAPTION_PX), "white")
    panel.paste(picture, (0, 0))
    draw = ImageDraw.Draw(panel)
    draw.rectangle((0, 0, _PANEL_PX - 1, _PANEL_PX - 1), outline=(200, 200, 205))
    draw.text((4, _PANEL_PX + 6), caption[0], _INK, ImageFont.load_default(20))
    for line, text in enumerate(caption[1:]):
        draw.text((4, _PANEL_PX + 36 + 22 * line), text, _INK, ImageFont.load_default(15))
    return panel


def _beside_each_other(panels: Sequence[Image.Image]) -> Image.Image:
    width = len(panels) * (_PANEL_PX + _GAP_PX) + _GAP_PX
    figure = Image.new("RGB", (width, panels[0].height + 2 * _GAP_PX), "white")
    for i, panel in enumerate(panels):
        figure.paste(panel, (_GAP_PX + i * (_PANEL_PX + _GAP_PX), _GAP_PX))
    return figure


if __name__ == "__main__":
    main()
