"""superres: the native crop, enlarged four times by a network to about 1024 px and area-averaged to 512 px.

Before that, on request, the face is restored by GFPGAN, as in the paper.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from dataprep.files.file_hashes import remembered_sha256
from dataprep.frames import geometry
from dataprep.frames.geometry import PORTRAIT_PX
from dataprep.models.licensed import RESEARCH_ONLY, find_file
from dataprep.models.superres.superres_files import Engine, Precision, check_engine, model_file
from dataprep.pictures.codecs import decode_rgb, encode_png
from dataprep.settings import number, setting
from dataprep.stages.base import DEVICE, Item, Result, Stage, Weight, gpu_wish
from dataprep.tables.columns import FLOAT, STRING, UINT16, Column
from dataprep.tables.labels import CROP_FROM_SOURCE, label

if TYPE_CHECKING:
    from dataprep.models.restoration.face_restoring import FaceRestorer
    from dataprep.models.superres.enlarging import Upscaler


@dataclass(frozen=True)
class SuperResTools:
    """What `SuperRes` keeps in a process."""

    upscaler: Upscaler
    restorer: FaceRestorer | None

    def restored(self, crop: UInt8[np.ndarray, "s s 3"], item: Item) -> UInt8[np.ndarray, "s s 3"]:
        """The crop with its face restored, where that is wanted."""
        if self.restorer is None:
            return crop
        crop_from_source = np.asarray(item.row["crop_native_from_source"], np.float64)
        landmarks = geometry.transform(crop_from_source, np.asarray(item.row["landmarks68_px"], np.float64))
        return self.restorer(crop, landmarks, _seed(item.sample_id))


@dataclass(frozen=True)
class SuperRes(Stage):
    """Brings every crop to one size through one network, so that sharpness is alike in all portraits.

    `precision=auto` takes bfloat16 where the processor has it (52-55 dB from float32) and float16 on a GPU; set
    `float32` and `device=cpu` when machines of several kinds must give the same bytes.
    """

    name: ClassVar[str] = "superres"
    version: ClassVar[int] = 2
    requires: ClassVar[tuple[str, ...]] = ("ingest", "detect", "crop")
    blobs: ClassVar[tuple[str, ...]] = ("superres.png",)
    # Torch takes 140 s for x4plus in float32 and a crop of 512 px on an idle core, twice that where cores share units.
    timeout_s: ClassVar[float] = 1800.0
    columns: ClassVar[tuple[Column, ...]] = (
        Column("width", UINT16, "width of the portrait", unit="px", frame="portrait"),
        Column("height", UINT16, "height of the portrait", unit="px", frame="portrait"),
        label(CROP_FROM_SOURCE),
        Column("upsampling", FLOAT, "portrait px in one source px", unit="ratio"),
        Column("superres_precision", STRING, "arithmetic of the network: float32, bfloat16 or float16"),
    )

    model: str = setting(
        "x4plus", "network: `x4plus`, `span` (small, fast), `animevideov3` and `anime6b` (for drawings), or a file"
    )
    engine: Engine = setting("native", "`native`: our networks; `realesrgan`: the package of that name")
    precision: Precision = setting(
        "auto",
        "`float32`, `bfloat16`, `float16` (GPUs), or `auto`: bfloat16 on a CPU that has it, float16 on a GPU; "
        "each gives other bytes",
    )
    restore: Literal["none", "gfpgan"] = setting(
        "none", "`gfpgan` restores the face before super-resolution, as in the paper (weights of your own)"
    )
    gfpgan: str = setting("GFPGANv1.4.pth", "GFPGAN's weights, a path or a name in the assets folder")
    device: str = setting("auto", DEVICE.format("the network"))
    tile_px: int = number(384, 16, 4096, "side of the tiles that larger crops are cut into; px of the crop")
    tile_pad_px: int = number(32, 0, 1024, "rim of a tile that is computed and thrown away; px of the crop")
    max_input_px: int = number(
        384, 16, 4096, "larger crops are area-averaged to this first: the network gains nothing there; px"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_engine(self.model, self.engine)

    def own_files(self) -> tuple[tuple[str, str], ...]:
        restoring = () if self.restore == "none" else (("superres.gfpgan", self.gfpgan),)
        enlarging = (("superres.model", self.model),) if self.model.endswith(".pth") else ()
        return (*restoring, *enlarging)

    def weights(self) -> tuple[Weight, ...]:
        file = model_file(self.model)
        enlarging = Weight(file.name, file.sha256, file.licence)
        if self.restore == "none":
            return (enlarging,)
        path = find_file(self.gfpgan, "superres.gfpgan")
        return (enlarging, Weight(path.name, remembered_sha256(path), RESEARCH_ONLY))

    def resources(self) -> dict[str, float]:
        return gpu_wish(self.device)

    def load(self) -> SuperResTools:
        from dataprep.models.superres.enlarging import Upscaler

        upscaler = Upscaler(
            self.model,
            engine=self.engine,
            precision=self.precision,
            device=self.device,
            tile_px=self.tile_px,
            tile_pad_px=self.tile_pad_px,
        )
        if self.restore == "none":
            return SuperResTools(upscaler, None)
        from dataprep.models.restoration.face_restoring import FaceRestorer

        return SuperResTools(upscaler, FaceRestorer(find_file(self.gfpgan, "superres.gfpgan"), self.device))

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        return [f"{row['width']} × {row['height']} px, ×{row['upsampling']:.2f}, {row['superres_precision']}"]

    def batched(self, tools: SuperResTools) -> bool:
        return tools.upscaler.gains_from_batches

    def process(self, items: Sequence[Item], tools: SuperResTools) -> list[Result]:
        crops = [tools.restored(decode_rgb(item.blob("crop.png")), item) for item in items]
        large = tools.upscaler.all_of([reduced(crop, self.max_input_px) for crop in crops])
        return [self._result(*one, tools.upscaler.precision) for one in zip(items, crops, large, strict=True)]

    def _result(self, item: Item, crop: np.ndarray, large: np.ndarray, precision: str) -> Result:
        portrait_from_crop = geometry.scaled(PORTRAIT_PX / crop.shape[0])
        matrix = geometry.compose(portrait_from_crop, np.asarray(item.row["crop_native_from_source"], np.float64))
        columns = {
            "width": PORTRAIT_PX,
            "height": PORTRAIT_PX,
            CROP_FROM_SOURCE: matrix,
            "upsampling": geometry.scale_of(matrix),
            "superres_precision": precision,
        }
        return Result(columns=columns, blobs={"superres.png": encode_png(portrait_of(large))})


def _seed(sample_id: str) -> int:
    """A photograph's own: the same noise in every face would stick to all faces of the data set."""
    return int.from_bytes(hashlib.sha256(sample_id.encode()).digest()[:7])


def reduced(crop: UInt8[np.ndarray, "s s 3"], max_px: int) -> UInt8[np.ndarray, "r r 3"]:
    """Return a square crop, area-averaged if it is larger than that."""
    return cv2.resize(crop, (max_px, max_px), interpolation=cv2.INTER_AREA) if crop.shape[0] > max_px else crop


def portrait_of(large: UInt8[np.ndarray, "s s 3"]) -> UInt8[np.ndarray, "p p 3"]:
    """Bring the enlarged crop to the portrait's 512 px."""
    shrinks = large.shape[0] >= PORTRAIT_PX
    return cv2.resize(large, (PORTRAIT_PX, PORTRAIT_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
