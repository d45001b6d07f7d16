"""MediaPipe's models (pose, face boxes, face mesh, person mask, hands, face landmarker) as functions of one image.

Every graph runs with `static_image_mode`, so a result never depends on the image before. Graphs are built at first
use and kept. Points come back in continuous pixels of the image that went in. Needs mediapipe 0.10.21, the last
release with the models inside the wheel (and none of 1.x's telemetry). The face landmarker's model, a newer mesh and
blendshapes read off it, is in no wheel of mediapipe's and comes with this package (`blendshapes`).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import AssetError
from dataprep.models.detection.blendshapes import landmarker_bytes

INSTALL_COMMAND = "pip install mediapipe==0.10.21 'protobuf>=4.25.3,<5'"
LICENCE = "apache-2.0"

# fmt: off
MODEL_SHA256 = {  # file below mediapipe/modules -> sha256
    "pose_detection/pose_detection.tflite": "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    "pose_landmark/pose_landmark_full.tflite": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    "face_detection/face_detection_full_range_sparse.tflite": "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",  # noqa: E501
    "face_detection/face_detection_short_range.tflite": "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",  # noqa: E501
    "face_landmark/face_landmark_with_attention.tflite": "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",  # noqa: E501
    "selfie_segmentation/selfie_segmentation.tflite": "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",  # noqa: E501
    "palm_detection/palm_detection_full.tflite": "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    "hand_landmark/hand_landmark_full.tflite": "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
}
# fmt: on


@dataclass(frozen=True)
class PosePoints:
    """One person. points: x px, y px, visibility in [0, 1]; world_m: hip-centred metres; mask in [0, 1]."""

    points: Float[np.ndarray, "33 3"]
    world_m: Float[np.ndarray, "33 3"]
    mask: Float[np.ndarray, "h w"]


@dataclass(frozen=True)
class FaceBox:
    """x0, y0, x1, y1 in px (may leave the image), score in [0, 1], and six points (6, 2) px:

    right eye, left eye, nose tip, mouth, right ear, left ear; right and left are the person's.
    """

    bbox_px: Float[np.ndarray, "4"]
    score: float
    points_px: Float[np.ndarray, "6 2"]

    @property
    def centre_px(self) -> Float[np.ndarray, "2"]:
        return (self.bbox_px[:2] + self.bbox_px[2:]) / 2

    @property
    def side_px(self) -> float:
        return float(np.max(self.bbox_px[2:] - self.bbox_px[:2]))


@dataclass(frozen=True, eq=False)
class LandmarkedFace:
    """mesh: x px, y px, depth in px (negative towards the camera); blendshapes: in [0, 1], in `BLENDSHAPES`' order."""

    mesh: Float[np.ndarray, "478 3"]
    blendshapes: Float[np.ndarray, "52"]


class Graphs:
    """Lazily built graphs. Inputs are uint8 RGB; pose and mesh want square images (their projections assume it)."""

    def pose(self, rgb: UInt8[np.ndarray, "s s 3"]) -> PosePoints | None:
        """The most prominent person."""
        found = self._process(self._pose, rgb)
        if found.pose_landmarks is None:
            return None
        size = rgb.shape[0]
        points = np.array([(p.x * size, p.y * size, p.visibility) for p in found.pose_landmarks.landmark])
        world = np.array([(p.x, p.y, p.z) for p in found.pose_world_landmarks.landmark])
        return PosePoints(points, world, np.asarray(found.segmentation_mask))

    def faces(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[FaceBox]:
        """All faces, the best first."""
        found = self._process(self._face_detection, rgb).detections or []
        return [_face_box(one, rgb.shape[1], rgb.shape[0]) for one in found]

    def mesh(self, rgb: UInt8[np.ndarray, "s s 3"]) -> Float[np.ndarray, "478 3"] | None:
        """The mesh of the one face of a head crop: x px, y px, depth in px (negative towards the camera)."""
        found = self._process(self._face_mesh, rgb).multi_face_landmarks
        if not found:
            return None
        return rgb.shape[0] * np.array([(p.x, p.y, p.z) for p in found[0].landmark])

    def landmarked_face(self, rgb: UInt8[np.ndarray, "s s 3"]) -> LandmarkedFace | None:
        """The one face of a head crop by the newer mesh network, and what the blendshape network reads off its mesh."""
        image = mediapipe_image(rgb)
        with quiet_stderr():
            found = self._face_landmarker.detect(image)
        if not found.face_landmarks:
            return None
        mesh = rgb.shape[0] * np.array([(p.x, p.y, p.z) for p in found.face_landmarks[0]])
        return LandmarkedFace(mesh, np.array([shape.score for shape in found.face_blendshapes[0]]))

    def person_mask(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """Probability of "person" in [0, 1]; the network works at 256 x 256."""
        return np.asarray(self._process(self._selfie, rgb).segmentation_mask)

    def hands(self, rgb: UInt8[np.ndarray, "s s 3"]) -> list[Float[np.ndarray, "21 2"]]:
        """Up to two hands: wrist, then thumb to little finger, four points each from the palm to the tip."""
        found = self._process(self._hands, rgb).multi_hand_landmarks or []
        return [rgb.shape[0] * np.array([(p.x, p.y) for p in hand.landmark]) for hand in found]

    @staticmethod
    def _process(graph: Any, rgb: np.ndarray) -> Any:
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # protobuf's deprecation notes
            return graph.process(np.ascontiguousarray(rgb))

    @cached_property
    def _pose(self) -> Any:
        options = {"model_complexity": 1, "enable_segmentation": True, "min_detection_confidence": 0.5}
        return _build("pose", "Pose", static_image_mode=True, **options)

    @cached_property
    def _face_detection(self) -> Any:
        return _build("face_detection", "FaceDetection", model_selection=1, min_detection_confidence=0.4)

    @cached_property
    def _face_mesh(self) -> Any:
        options = {"max_num_faces": 1, "refine_landmarks": True, "min_detection_confidence": 0.4}
        return _build("face_mesh", "FaceMesh", static_image_mode=True, **options)

    @cached_property
    def _face_landmarker(self) -> Any:
        return _build_landmarker()

    @cached_property
    def _selfie(self) -> Any:
        return _build("selfie_segmentation", "SelfieSegmentation", model_selection=0)

    @cached_property
    def _hands(self) -> Any:
        options = {"max_num_hands": 2, "model_complexity": 1, "min_detection_confidence": 0.3}
        return _build("hands", "Hands", static_image_mode=True, **options)


def check_models() -> None:
    """Raise AssetError unless every model file of the installed mediapipe has its known hash."""
    root = package_folder() / "modules"
    for name, expected in MODEL_SHA256.items():
        path = root / name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "nothing"
        if found != expected:
            raise AssetError(f"mediapipe {name}: sha256 {found[:12]}, expected {expected[:12]}; run: {INSTALL_COMMAND}")


def package_folder() -> Path:
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise AssetError(f"mediapipe is not installed; run: {INSTALL_COMMAND}")
    return Path(spec.origin).parent


def _build(module: str, name: str, **options: Any) -> Any:
    """Make a solution and run it once on grey, so that its start-up chatter ends here."""
    check_models()
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = getattr(importlib.import_module(f"mediapipe.python.solutions.{module}"), name)(**options)
        graph.process(np.full((64, 64, 3), 128, np.uint8))
    return graph


def _build_landmarker() -> Any:
    """Make the face landmarker from bytes that were checked, and run it once on grey, as `_build` does.

    Its CPU delegate works in the calling process with one thread, and keeps nothing between images (IMAGE mode).
    """
    package_folder()
    data = landmarker_bytes()
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tasks = importlib.import_module("mediapipe.tasks.python")
        options = tasks.vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=data),
            output_face_blendshapes=True,
            min_face_detection_confidence=0.4,
        )
        landmarker = tasks.vision.FaceLandmarker.create_from_options(options)
        landmarker.detect(mediapipe_image(np.full((64, 64, 3), 128, np.uint8)))
    return landmarker


def mediapipe_image(rgb: UInt8[np.ndarray, "h w 3"]) -> Any:
    """Wrap a picture as tasks take it."""
    mediapipe = importlib.import_module("mediapipe")
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: TensorFlow Lite and absl write there directly and heed no log level."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _face_box(detection: Any, width: int, height: int) -> FaceBox:
    data = detection.location_data
    box = data.relative_bounding_box
    size = np.array([width, height])
    corner = np.array([box.xmin, box.ymin]) * size
    far = corner + np.array([box.width, box.height]) * size
    points = np.array([(p.x, p.y) for p in data.relative_keypoints]) * size
    return FaceBox(np.concatenate([corner, far]), float(detection.score[0]), points)
