"""matte: the portrait on white with a soft edge; the alpha is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import ConfigError, Rejected
from dataprep.files.file_hashes import remembered_sha256
from dataprep.frames import geometry
from dataprep.models.detection.mediapipe_graphs import LICENCE, MODEL_SHA256
from dataprep.models.detection.person_detector import PersonDetector
from dataprep.models.licensed import find_file
from dataprep.models.matting.bystanders import other_people
from dataprep.models.matting.edge_continuation import continue_outside, photograph_cover
from dataprep.models.matting.mask_evidence import Questioned, question_mask
from dataprep.models.matting.matte_faults import faint_edge, see_through
from dataprep.models.matting.person_points import person_area
from dataprep.models.matting.soft_alpha import combine_masks, matte
from dataprep.pictures.codecs import decode_mask, decode_rgb, encode_png
from dataprep.settings import number, setting
from dataprep.stages.base import DEVICE, Item, Result, Stage, Weight, gpu_wish
from dataprep.tables.columns import FLOAT, Column
from dataprep.tables.labels import CROP_FROM_SOURCE

_NETWORKS = (  # the pose network tells this person's pieces from others'
    "pose_detection/pose_detection.tflite",
    "pose_landmark/pose_landmark_full.tflite",
    "selfie_segmentation/selfie_segmentation.tflite",
)
_SHIPPED = "selfie"
_OF_PERSON = "fraction of the person's area"


@dataclass(frozen=True)
class MatteTools:
    """What `Matte` keeps in a process: what reads a mask off a portrait, and the pose network where that is coarse."""

    segment: Callable[[UInt8[np.ndarray, "s s 3"]], UInt8[np.ndarray, "s s"]]
    segment_pose: Callable[[UInt8[np.ndarray, "s s 3"]], Float[np.ndarray, "s s"]] | None


@dataclass(frozen=True)
class Matte(Stage):
    """Alpha by closed-form matting, guided by a mask: the supplied one, else that of `model` (an ONNX file), else the
    detector's and one of the portrait itself, questioned by colours and by the person's points.

    Reasons: empty_mask.
    """

    name: ClassVar[str] = "matte"
    version: ClassVar[int] = 2
    requires: ClassVar[tuple[str, ...]] = ("ingest", "detect", "superres")
    blobs: ClassVar[tuple[str, ...]] = ("portrait.png", "alpha.png")
    columns: ClassVar[tuple[Column, ...]] = (
        Column("alpha_coverage", FLOAT, "mean alpha of the portrait", unit="fraction", frame="portrait"),
        Column("alpha_softness", FLOAT, "part of the portrait with alpha between 0.05 and 0.95", unit="fraction"),
        Column("matte_enclosed", FLOAT, "area inside the person in the background's colours", unit=_OF_PERSON),
        Column("matte_see_through", FLOAT, "half-transparent area wider than an edge", unit=_OF_PERSON),
        Column(
            "matte_faint_edge",
            FLOAT,
            "part of the photograph's edge in the portrait where alpha is between 0.1 and 0.9",
            unit="fraction",
            frame="portrait",
        ),
    )

    min_coverage: float = number(
        0.05, 0, 1, "a person who covers less of the portrait is rejected (`empty_mask`); fraction"
    )
    model: str = setting(
        _SHIPPED, "what finds the person in the portrait: `selfie` (MediaPipe), or an ONNX file of your own"
    )
    model_input: Literal["imagenet", "unit_bgr"] = setting(
        "imagenet", "colours that file wants: `imagenet` (BiRefNet) or `unit_bgr` (DAViD)"
    )
    device: str = setting("auto", DEVICE.format("that file"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model != _SHIPPED and not self.model.endswith(".onnx"):
            raise ConfigError(f"matte.model is {self.model!r}, expected {_SHIPPED} or an .onnx file")

    def own_files(self) -> tuple[tuple[str, str], ...]:
        return () if self.model == _SHIPPED else (("matte.model", self.model),)

    def weights(self) -> tuple[Weight, ...]:
        if self.model == _SHIPPED:
            return tuple(Weight(f"mediapipe/{name}", MODEL_SHA256[name], LICENCE) for name in _NETWORKS)
        path = find_file(self.model, "matte.model")
        return (Weight(path.name, remembered_sha256(path), "unknown"),)

    def resources(self) -> dict[str, float]:
        return gpu_wish(self.device) if self.model != _SHIPPED else {}

    def load(self) -> MatteTools:
        if self.model == _SHIPPED:
            detector = PersonDetector()
            return MatteTools(detector.segment_portrait, detector.segment_pose)
        from dataprep.models.matting.onnx_matting import OnnxSegmenter

        path = find_file(self.model, "matte.model")
        return MatteTools(OnnxSegmenter(path, self.model_input, self.device), None)

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        return [f"person covers {row['alpha_coverage']:.0%}, soft edge {row['alpha_softness']:.1%}"]

    def process_item(self, item: Item, tools: MatteTools) -> Result:
        view = _View.of(item)
        found = view.mask(tools)
        covered = float((found.mask * view.cover).mean())
        if covered < self.min_coverage:
            raise Rejected("empty_mask", f"the person mask covers {covered:.1%} of the portrait")
        on_white, alpha = (view.cut(image) for image in matte(view.portrait, found.mask))
        soft = (alpha > 0.05 * 255) & (alpha < 0.95 * 255)
        columns = {
            "alpha_coverage": float(alpha.mean() / 255),
            "alpha_softness": float(soft.mean()),
            "matte_enclosed": found.enclosed,
            "matte_see_through": see_through(alpha),
            "matte_faint_edge": faint_edge(alpha, view.cover == 1),
        }
        return Result(columns=columns, blobs={"portrait.png": encode_png(on_white), "alpha.png": encode_png(alpha)})


@dataclass(frozen=True)
class _View:
    """The portrait and the photograph's mask, both continued beyond the photograph; `cover` is where that lies."""

    item: Item
    portrait: UInt8[np.ndarray, "p p 3"]
    source_mask: UInt8[np.ndarray, "p p"]
    cover: Float[np.ndarray, "p p"]

    @classmethod
    def of(cls, item: Item) -> _View:
        portrait, source_mask = decode_rgb(item.blob("superres.png")), decode_mask(item.blob("mask.png"))
        size_px, matrix = portrait.shape[0], np.asarray(item.row[CROP_FROM_SOURCE], np.float64)
        cover = photograph_cover(source_mask.shape[1], source_mask.shape[0], matrix, size_px)
        mask = geometry.resample(source_mask, matrix, size_px, fill=0)
        return cls(item, continue_outside(portrait, cover == 1), continue_outside(mask, cover == 1), cover)

    def cut(self, image: UInt8[np.ndarray, "p p *c"]) -> UInt8[np.ndarray, "p p *c"]:
        """A picture on white, or an alpha, ended at the photograph's edge."""
        beyond, cover = (255, self.cover[..., None]) if image.ndim == 3 else (0, self.cover)
        return np.round(cover * image + (1 - cover) * beyond).astype(np.uint8)

    def mask(self, tools: MatteTools) -> Questioned:
        """The mask that guides the matting. A supplied one, and that of the user's network, are taken at their word."""
        if self.item.row["mask_supplied"]:
            return Questioned(self.source_mask / 255, 0.0)
        of_portrait = tools.segment(self.portrait)
        if tools.segment_pose is None:
            return Questioned(of_portrait / 255, 0.0)
        mask = combine_masks(self.source_mask, of_portrait) / 255
        points, mesh = self._points("keypoints33"), self._points("face_mesh478_px")
        others = other_people(self.portrait, mask, tools.segment_pose(self.portrait), points, mesh[:, :2])
        return question_mask(self.portrait, mask * ~others, person_area(points, mesh, len(mask)))

    def _points(self, column: str) -> np.ndarray:
        """Points of the photograph in px of the portrait; further columns stay."""
        matrix = np.asarray(self.item.row[CROP_FROM_SOURCE], np.float64)
        points = np.array(self.item.row[column], np.float64)
        points[:, :2] = geometry.transform(matrix, points[:, :2])
        return points
