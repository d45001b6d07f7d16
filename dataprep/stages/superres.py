"""superres: the native crop, enlarged four times by a network to about 1024 px and area-averaged to 512 px."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np
from jaxtyping import UInt8

from dataprep.frames import geometry
from dataprep.frames.geometry import PORTRAIT_PX
from dataprep.models.superres.superres_files import Engine, Precision, check_engine, model_file
from dataprep.pictures.codecs import decode_rgb, encode_png
from dataprep.settings import number
from dataprep.stages.base import Item, Result, Stage, Weight, gpu_wish
from dataprep.tables.columns import FLOAT, STRING, UINT16, Column, floats

if TYPE_CHECKING:
    from dataprep.models.superres.enlarging import Upscaler


@dataclass(frozen=True)
class SuperRes(Stage):
    """Brings every crop to one size through one network, so that sharpness is alike in all portraits.

    `precision=auto` takes bfloat16 where the processor has it (about half the time; 51-55 dB from float32); set
    `float32` when machines of several kinds must give the same bytes.
    """

    name: ClassVar[str] = "superres"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest", "crop")
    blobs: ClassVar[tuple[str, ...]] = ("superres.png",)
    # x4plus in float32 takes 140 s for a crop of 512 px on an idle core, and twice that where cores share their units.
    timeout_s: ClassVar[float] = 1800.0
    columns: ClassVar[tuple[Column, ...]] = (
        Column("width", UINT16, "width of the portrait", unit="px", frame="portrait"),
        Column("height", UINT16, "height of the portrait", unit="px", frame="portrait"),
        floats(
            "crop_from_source",
            (2, 3),
            "source px to portrait px, row-major; pixel centres at +0.5, origin top left",
            unit="px",
            frame="portrait from source",
        ),
        Column("upsampling", FLOAT, "portrait px in one source px", unit="ratio"),
        Column("superres_precision", STRING, "arithmetic of the network: float32 or bfloat16"),
    )

    model: str = "x4plus"
    engine: Engine = "native"
    precision: Precision = "auto"
    device: str = "auto"
    tile_px: int = number(384, 16, 4096)
    tile_pad_px: int = number(32, 0, 1024)
    max_input_px: int = number(
        384, 16, 4096
    )  # larger crops are area-averaged to this first: the network gains nothing there

    def __post_init__(self) -> None:
        super().__post_init__()
        check_engine(self.model, self.engine)

    def weights(self) -> tuple[Weight, ...]:
        file = model_file(self.model)
        return (Weight(file.name, file.sha256, file.licence),)

    def resources(self) -> dict[str, float]:
        return gpu_wish(self.device)

    def load(self) -> Upscaler:
        from dataprep.models.superres.enlarging import Upscaler

        return Upscaler(
            self.model,
            engine=self.engine,
            precision=self.precision,
            device=self.device,
            tile_px=self.tile_px,
            tile_pad_px=self.tile_pad_px,
        )

    def process_item(self, item: Item, tools: Upscaler) -> Result:
        crop = decode_rgb(item.blob("crop.png"))
        portrait = enlarge(crop, tools, self.max_input_px)
        portrait_from_crop = geometry.scaled(PORTRAIT_PX / crop.shape[0])
        matrix = geometry.compose(portrait_from_crop, np.asarray(item.row["crop_native_from_source"], np.float64))
        columns = {
            "width": PORTRAIT_PX,
            "height": PORTRAIT_PX,
            "crop_from_source": matrix,
            "upsampling": geometry.scale_of(matrix),
            "superres_precision": tools.precision,
        }
        return Result(columns=columns, blobs={"superres.png": encode_png(portrait)})


def enlarge(crop: UInt8[np.ndarray, "s s 3"], upscaler: Upscaler, max_input_px: int) -> UInt8[np.ndarray, "p p 3"]:
    """A square crop of any size -> the 512 px portrait."""
    if crop.shape[0] > max_input_px:
        crop = cv2.resize(crop, (max_input_px, max_input_px), interpolation=cv2.INTER_AREA)
    big = upscaler(crop)
    shrinks = big.shape[0] >= PORTRAIT_PX
    return cv2.resize(big, (PORTRAIT_PX, PORTRAIT_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
