"""Follow one person: the detectors of `detect`, told where the person was in the frame before.

The whole picture is searched only when there is nobody to follow: at the start, after a cut, and while the person is
out of sight. Otherwise a face detection around the last face, one pose and a few face meshes are all that a frame
costs. The person is the one whose face overlaps the last one; nobody else is taken for a while after a loss.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import Rejected
from dataprep.models.detection.face_readings import FaceReading, read_face
from dataprep.models.detection.facing import head_turns
from dataprep.models.detection.mediapipe_graphs import FaceBox, PosePoints, quiet_stderr
from dataprep.models.detection.person_detector import (
    PersonDetector,
    _face_of,
    _require_inside,
)
from dataprep.models.detection.squares import Square, box_iou, face_squares, square_around

COVERED = "face_covered"
_SEARCH_SIDES = 4.0  # the square around the last face in which it is looked for
_MIN_IOU = 0.15  # of two faces that are one person's in neighbouring frames
_SAME_SIZE = (0.5, 2.0)
_REACH_SIDES = 1.5  # how far, in face sides, a person may have come when seen again
_ANYBODY_AFTER_S = 2.0  # from then on whoever is there is followed
_BODY_REACH = (8.0, 5.0)  # in face sides: a standing person, head to waist
_FACE_SCALES = (1.7, 2.1)  # head crops, of those that `detect` reads: more of them are no better, once smoothed
_MIN_AGREEMENT = 0.25


@dataclass(frozen=True, eq=False)
class Sighting:
    """The person in one frame, source px. `keypoints33` None: a face was found, but no body."""

    landmarks68_px: Float[np.ndarray, "68 2"]
    landmarks68_method: str  # mesh, or pts where the video is annotated
    mesh_agreement: float
    face_bbox_px: Float[np.ndarray, "4"]
    face_score: float
    head_turn_rad: float  # by the middle of the witnesses of `head_turns`
    keypoints33: Float[np.ndarray, "33 3"] | None = None
    keypoints33_world_m: Float[np.ndarray, "33 3"] | None = None
    blendshapes: Float[np.ndarray, "52"] | None = None

    @property
    def face_side_px(self) -> float:
        return float(np.max(self.face_bbox_px[2:] - self.face_bbox_px[:2]))


class Follower(PersonDetector):
    """Keeps graphs, but no memory of frames: what came before is an argument, so that a run can go on anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self._beside = ThreadPoolExecutor(1, "body")  # body and face graphs run at the same time, on two cores

    def follow(
        self,
        rgb: UInt8[np.ndarray, "h w 3"],
        last: Sighting | None,
        away_s: float,
        annotated: Float[np.ndarray, "68 2"] | None = None,
    ) -> Sighting:
        """Find the person seen `away_s` seconds ago as `last`, or anybody when there is none.

        Raises Rejected: no_person, no_face, face_covered (the body is where it was), face_out_of_frame.
        """
        face = self._face(rgb, last, away_s, annotated)
        if face is None:
            raise self._missing(rgb, last)
        with _quietly():
            body = self._beside.submit(self._body, rgb, face, last)
            try:
                reading = None if annotated is not None else self._reading(rgb, face)
            finally:
                pose = body.result()
        points = None if pose is None else pose.points
        mesh = None if reading is None else reading.mesh478
        turn_rad = float(np.nanmedian(head_turns(mesh, points, face.points_px)))
        if reading is not None:
            return _sighting(reading.landmarks68, "mesh", reading.agreement, face, turn_rad, pose, reading.blendshapes)
        assert annotated is not None
        return _sighting(annotated, "pts", 1.0, face, turn_rad, pose)

    def _face(
        self, rgb: np.ndarray, last: Sighting | None, away_s: float, annotated: np.ndarray | None
    ) -> FaceBox | None:
        if annotated is not None:
            box = np.concatenate([annotated.min(axis=0), annotated.max(axis=0)])
            side = float(np.max(box[2:] - box[:2]))
            near = self._faces_in(rgb, Square((box[:2] + box[2:]) / 2, _SEARCH_SIDES * side))
            best = max(near, key=lambda one: box_iou(one.bbox_px, box), default=None)
            if best is not None and box_iou(best.bbox_px, box) > _MIN_IOU:
                return best
            eyes = np.stack([annotated[36:42].mean(0), annotated[42:48].mean(0)])
            return FaceBox(box, 0.0, np.concatenate([eyes, annotated[[30, 62, 0, 16]]]))
        if last is None:
            return _largest(self._find_faces(rgb))
        centre = _face_centre(last)
        near = self._faces_in(rgb, Square(centre, _SEARCH_SIDES * last.face_side_px))
        best = max(near, key=lambda one: box_iou(one.bbox_px, last.face_bbox_px), default=None)
        if best is not None and box_iou(best.bbox_px, last.face_bbox_px) > _MIN_IOU:
            return best
        found = self._find_faces(rgb)
        if away_s > _ANYBODY_AFTER_S:
            return _largest(found)
        reach = _REACH_SIDES * last.face_side_px
        likely = [
            one
            for one in found
            if np.linalg.norm(one.centre_px - centre) < reach
            and _SAME_SIZE[0] < one.side_px / last.face_side_px < _SAME_SIZE[1]
        ]
        return min(likely, key=lambda one: float(np.linalg.norm(one.centre_px - centre)), default=None)

    def _missing(self, rgb: np.ndarray, last: Sighting | None) -> Rejected:
        """Why there is no face to follow."""
        if last is None:
            return Rejected("no_person", "nobody to follow was found")
        if last.keypoints33 is not None:
            pose = self._pose_in(rgb, square_around(last.keypoints33[:, :2], 1.3))
            if pose is not None and _moved_px(pose.points, last.keypoints33) < last.face_side_px:
                return Rejected(COVERED, "the body is there, its face is covered or turned away")
        return Rejected("no_face", "nobody to follow was found")

    def _body(self, rgb: np.ndarray, face: FaceBox, last: Sighting | None) -> PosePoints | None:
        """The pose whose head is this face: first where the body was, then in the picture, then below the face."""
        height, width = rgb.shape[:2]
        whole = Square(np.array([width / 2, height / 2]), float(max(width, height)))
        squares = [whole]
        if last is not None and last.keypoints33 is not None:
            around = square_around(last.keypoints33[:, :2], 1.3)
            squares = [around if around.side_px < 0.6 * whole.side_px else whole]
        elif last is not None:
            squares = []  # a face without a body: a short look is enough
        for reach in _BODY_REACH:
            below = face.centre_px + np.array([0.0, 0.35 * reach * face.side_px])
            squares.append(Square(below, reach * face.side_px))
        for square in squares:
            pose = self._pose_in(rgb, square)
            if pose is not None and _face_of(pose, [face]) is not None:
                return pose
        return None

    def _reading(self, rgb: np.ndarray, face: FaceBox) -> FaceReading:
        """Mesh and landmarks, and how far their readings agreed."""
        squares = list(face_squares(face, _FACE_SCALES))
        reading = read_face(self._graphs, rgb, squares, face)
        if reading is None or reading.agreement < _MIN_AGREEMENT:
            raise Rejected(
                COVERED, "no face mesh, or several that contradict each other, where the detector sees a face"
            )
        _require_inside(reading.landmarks68, rgb.shape[1], rgb.shape[0])
        return reading


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Around graphs of two threads: each silences the process's stderr and restores what it found, in any order."""
    with quiet_stderr(), warnings.catch_warnings():
        yield


def _moved_px(points: np.ndarray, before: np.ndarray) -> float:
    """How far the shoulders are from where they were."""
    return float(np.linalg.norm(points[11:13, :2] - before[11:13, :2], axis=1).mean())


def _largest(faces: list[FaceBox]) -> FaceBox | None:
    return max(faces, key=lambda one: one.side_px * one.score, default=None)


def same_place(now: Sighting, before: Sighting) -> bool:
    """Whether two sightings can be of one person who moved a little."""
    sides = now.face_side_px / before.face_side_px
    away = np.linalg.norm(_face_centre(now) - _face_centre(before)) / before.face_side_px
    return bool(away < _REACH_SIDES and _SAME_SIZE[0] < sides < _SAME_SIZE[1])


def _face_centre(sighting: Sighting) -> np.ndarray:
    return (sighting.face_bbox_px[:2] + sighting.face_bbox_px[2:]) / 2


def _sighting(
    landmarks: np.ndarray,
    method: str,
    agreement: float,
    face: FaceBox,
    turn_rad: float,
    pose: PosePoints | None,
    blendshapes: np.ndarray | None = None,
) -> Sighting:
    return Sighting(
        landmarks,
        method,
        agreement,
        face.bbox_px,
        face.score,
        turn_rad,
        None if pose is None else pose.points,
        None if pose is None else pose.world_m,
        blendshapes,
    )
