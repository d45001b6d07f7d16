"""crop: the head-shoulder square around the fitted neck, framed exactly as the generator's portrait camera.

Side 0.469 m, centred 0.129 m above the neck joint along the chest's up axis: what the camera sees at the neck's depth
(docs/cameras.md). Rotated in the plane so that the chest has no roll, since the camera has pitch and yaw only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from dataprep.errors import Rejected
from dataprep.frames import geometry
from dataprep.pictures.codecs import decode_rgb, encode_png
from dataprep.settings import number
from dataprep.stages.base import Item, Result, Stage, degrees
from dataprep.tables.columns import FLOAT, UINT16, Column, floats


@dataclass(frozen=True)
class PortraitSquare:
    """Where the portrait lies in the photograph: centre and side in px, clockwise lean of the chest in rad."""

    centre_px: Float[np.ndarray, "2"]
    side_px: float
    roll_rad: float


def portrait_square(
    neck_cam_m: Float[np.ndarray, "3"], chest_from_body: Float[np.ndarray, "3 3"], body_camera: Float[np.ndarray, "3"]
) -> PortraitSquare:
    """The square of one fit.

    neck_cam_m: neck joint in camera axes; chest_from_body: global rotation of joint 9 in camera axes (columns are the
    chest's axes); body_camera: weak perspective (px/m, px, px).
    """
    scale, offset = float(body_camera[0]), np.asarray(body_camera[1:], dtype=np.float64)
    up = np.asarray(chest_from_body, dtype=np.float64)[:, 1]
    lookat = np.asarray(neck_cam_m, dtype=np.float64) + geometry.LOOKAT_ABOVE_NECK_M * up
    return PortraitSquare(
        centre_px=scale * lookat[:2] + offset,
        side_px=scale * geometry.PORTRAIT_SIDE_M,
        roll_rad=math.atan2(up[0], -up[1]),
    )


@dataclass(frozen=True)
class Crop(Stage):
    """Cuts the square at the photograph's own resolution; outside the photograph is white and counted.

    Reasons: crop_too_small, crop_outside.
    """

    name: ClassVar[str] = "crop"
    version: ClassVar[int] = 2
    requires: ClassVar[tuple[str, ...]] = ("ingest", "body")
    blobs: ClassVar[tuple[str, ...]] = ("crop.png",)
    columns: ClassVar[tuple[Column, ...]] = (
        Column("crop_size_px", UINT16, "side of the native crop image", unit="px", frame="crop"),
        floats(
            "crop_native_from_source",
            (2, 3),
            "source px to native crop px, row-major; pixel centres at +0.5, origin top left",
            unit="px",
            frame="crop from source",
        ),
        floats("crop_centre_px", (2,), "centre of the portrait square", unit="px", frame="source"),
        Column("crop_side_px", FLOAT, "side of the portrait square", unit="px", frame="source"),
        Column(
            "crop_roll_rad", FLOAT, "clockwise lean of the chest that the crop takes out", unit="rad", frame="source"
        ),
        Column("crop_inside", FLOAT, "part of the portrait square that lies inside the photograph", unit="fraction"),
    )

    # Real crops of 130 px come out waxy; below 180 px quality.native_size flags.
    min_side_px: float = number(
        140.0, 0, 100_000, "a portrait square that is smaller is rejected (`crop_too_small`); px of the photograph"
    )
    max_size_px: int = number(512, 16, 4096, "native crops are cut at most this large; px")
    min_inside: float = number(
        0.5, 0, 1, "a portrait square with a smaller part inside the photograph is rejected (`crop_outside`)"
    )

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        (x, y), roll = row["crop_centre_px"], degrees(row["crop_roll_rad"])
        square = f"{row['crop_side_px']:.0f} px square at {x:.0f}, {y:.0f}"
        return [f"{square}, roll {roll}°, {row['crop_inside']:.0%} inside"]

    def process_item(self, item: Item, tools: None) -> Result:
        square = portrait_square(item.row["neck_cam_m"], item.row["chest_rotation_cam"], item.row["body_camera"])
        if round(square.side_px) < self.min_side_px:  # what the message prints
            raise Rejected(
                "crop_too_small",
                f"head and shoulders cover {square.side_px:.0f} px, at least {self.min_side_px:g} are needed",
            )
        image = decode_rgb(item.source())
        size_px = min(self.max_size_px, 2 * round(square.side_px / 2))
        matrix = geometry.square_from_source(square.centre_px, square.side_px, square.roll_rad, size_px)
        inside = geometry.inside_fraction(image.shape[1], image.shape[0], matrix, size_px)
        columns = self._columns(square, size_px, matrix, inside)
        if inside < self.min_inside:
            return Result.rejected(
                "crop_outside", f"only {inside:.0%} of the head-shoulder square lies inside the photograph", columns
            )
        return Result(columns=columns, blobs={"crop.png": encode_png(geometry.resample(image, matrix, size_px))})

    @staticmethod
    def _columns(square: PortraitSquare, size_px: int, matrix: geometry.Affine, inside: float) -> dict[str, Any]:
        return {
            "crop_size_px": size_px,
            "crop_native_from_source": matrix,
            "crop_centre_px": square.centre_px,
            "crop_side_px": square.side_px,
            "crop_roll_rad": square.roll_rad,
            "crop_inside": inside,
        }
