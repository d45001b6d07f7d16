"""matte: the portrait on white with a soft edge; the alpha is kept (spec 3, section 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from dataprep import geometry
from dataprep.errors import Rejected
from dataprep.images import decode_mask, decode_rgb, encode_png
from dataprep.models.matting import combine_masks, matte
from dataprep.models.mediapipe_graphs import LICENCE, MODEL_SHA256
from dataprep.models.mediapipe_models import PersonDetector
from dataprep.schema import FLOAT, Column
from dataprep.stages.base import Item, Result, Stage, Weight

_SELFIE = "selfie_segmentation/selfie_segmentation.tflite"


@dataclass(frozen=True)
class Matte(Stage):
    """Alpha by closed-form matting, guided by the supplied mask, else by the detector's and one of the portrait itself.

    Reasons: empty_mask.
    """

    name: ClassVar[str] = "matte"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest", "detect", "superres")
    blobs: ClassVar[tuple[str, ...]] = ("portrait.png", "alpha.png")
    columns: ClassVar[tuple[Column, ...]] = (
        Column("alpha_coverage", FLOAT, "mean alpha of the portrait", unit="fraction", frame="portrait"),
        Column("alpha_softness", FLOAT, "part of the portrait with alpha between 0.05 and 0.95", unit="fraction"),
    )

    min_coverage: float = 0.05

    def weights(self) -> tuple[Weight, ...]:
        return (Weight(f"mediapipe/{_SELFIE}", MODEL_SHA256[_SELFIE], LICENCE),)

    def load(self) -> PersonDetector:
        return PersonDetector()

    def process_item(self, item: Item, tools: PersonDetector) -> Result:
        portrait = decode_rgb(item.blob("superres.png"))
        matrix = np.asarray(item.row["crop_from_source"], np.float64)
        mask = self._mask(item, tools, portrait, matrix)
        if mask.mean() < 255 * self.min_coverage:
            raise Rejected("empty_mask", f"the person mask covers {mask.mean() / 255:.1%} of the portrait")
        on_white, alpha = matte(portrait, mask)
        soft = (alpha > 0.05 * 255) & (alpha < 0.95 * 255)
        columns = {"alpha_coverage": float(alpha.mean() / 255), "alpha_softness": float(soft.mean())}
        return Result(columns=columns, blobs={"portrait.png": encode_png(on_white), "alpha.png": encode_png(alpha)})

    @staticmethod
    def _mask(
        item: Item, tools: PersonDetector, portrait: UInt8[np.ndarray, "p p 3"], matrix: np.ndarray
    ) -> UInt8[np.ndarray, "p p"]:
        source_mask = decode_mask(item.blob("mask.png"))
        mask = geometry.resample(source_mask, matrix, portrait.shape[0], fill=0)
        return mask if item.row["mask_supplied"] else combine_masks(mask, tools.segment_portrait(portrait))
