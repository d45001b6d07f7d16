"""Find the one person of a photograph: body points, face mesh, 68 landmarks, boxes and mask, by MediaPipe.

The full-range face detector sees small faces in whole photographs; the face mesh does not, so it runs on several head
crops (`face_readings`). All results are in continuous pixels of the photograph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import Rejected
from dataprep.frames import geometry
from dataprep.models.detection.face_readings import mesh_in, read_face
from dataprep.models.detection.facing import head_turns, turn_of_body
from dataprep.models.detection.hands import hand_over_face
from dataprep.models.detection.mediapipe_graphs import FaceBox, Graphs, PosePoints
from dataprep.models.detection.squares import (
    GREY,
    LEFT_SHOULDER,
    NOSE,
    RIGHT_SHOULDER,
    Square,
    body_window,
    box_iou,
    head_square_of_pose,
    head_squares,
    search_squares,
    square_around,
    squares_below,
    tile_levels,
)

_BODY_CROP_PX, _MASK_CROP_PX = 640, 512

_SAME_FACE_IOU = 0.3  # boxes of two squares that overlap by as much are one face, found twice
_RIVAL_SCORE = 0.6  # a second face counts as a person from this score on
_RIVAL_SIZE = 0.5  # ... and from this size relative to the first
_MIN_LANDMARKS_INSIDE = 0.9
_MIN_SHOULDER_VISIBILITY = 0.8  # a person shows at least one shoulder this clearly (scikit-image's cat: 0.7)
_MIN_RIVAL_VISIBILITY = 0.6
_PROFILE_RAD = (math.radians(54), math.radians(120))  # rendered profiles: 58 to 81 degrees; seen from behind: 178
_STEADY = 0.05  # of the body's size: true bodies moved by up to 0.014, one seen in a cup by 0.085 and more
_NOBODY_SEEN = {"no_person", "no_face", "back_view"}
_FIRST_LOOKS = 2
_MAX_SMALL_FACES = 16  # of a crowd, the nearest
_TILE_PX = 192  # what the face network takes


@dataclass(frozen=True)
class Detection:
    """What was found of the one person of an image. Frames: px are source pixels, left is the person's left.

    keypoints33: x px, y px, visibility in [0, 1] (may lie outside the image); keypoints33_world_m: hip-centred metres,
    x right, y down, z away from the camera; face_mesh478_px: x, y and depth (negative towards the camera);
    person_mask: 255 = person. mesh_agreement: the part of the readings of the face that agreed, in (0, 1]; mesh_spread:
    median distance of two readings, as a part of the face's size. head_turns_rad: as `head_turns` gives them.
    hand_over_face: the largest part of the mouth, the nose or an eye that lies behind a hand, in [0, 1].
    blendshapes: in [0, 1], as `BLENDSHAPES` names them; None where the face landmarker does not see the face.
    """

    person_bbox_px: Float[np.ndarray, "4"]
    keypoints33: Float[np.ndarray, "33 3"]
    keypoints33_world_m: Float[np.ndarray, "33 3"]
    person_mask: UInt8[np.ndarray, "h w"]
    face_mesh478_px: Float[np.ndarray, "478 3"]
    landmarks68_px: Float[np.ndarray, "68 2"]
    face_bbox_px: Float[np.ndarray, "4"]
    face_score: float
    mesh_agreement: float
    mesh_spread: float
    head_turns_rad: Float[np.ndarray, "3"]
    hand_over_face: float
    face_boxes_px: Float[np.ndarray, "n 4"]
    blendshapes: Float[np.ndarray, "52"] | None

    @property
    def n_faces(self) -> int:
        return len(self.face_boxes_px)


class PersonDetector:
    """Image in, `Detection` out. Keeps MediaPipe graphs, but no memory of earlier images."""

    def __init__(self) -> None:
        self._graphs = Graphs()

    def __call__(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Detection:
        """Detect the one person; a photograph that seems to hold none is searched again closer up.

        Raises Rejected: no_person, no_face, turned_away, back_view, face_out_of_frame, multiple_people.
        """
        try:
            return self._detect(rgb)
        except Rejected as rejected:
            window = self._small_person(rgb) if rejected.reason in _NOBODY_SEEN else None
            if window is None:
                raise
        x0, y0, x1, y1 = window
        return _moved(self._detect(np.ascontiguousarray(rgb[y0:y1, x0:x1])), x0, y0, rgb.shape[1], rgb.shape[0])

    def _detect(self, rgb: np.ndarray) -> Detection:
        """The one person, who takes about a third of the picture's height or more."""
        faces = self._find_faces(rgb)
        pose = self._find_pose(rgb, faces)
        if pose is None:
            raise Rejected("no_person", "no person was found" + (", only a face without a body" if faces else ""))
        faces = self._add_face_near_pose(rgb, pose, faces)
        face = _face_of(pose, faces)
        reading = None if face is None else read_face(self._graphs, rgb, list(head_squares(pose, face)), face)
        if reading is None or face is None:
            raise _missing_face(pose, rgb.shape[1], rgb.shape[0])
        _require_inside(reading.landmarks68, rgb.shape[1], rgb.shape[0])
        mask = self._segment(rgb, pose, reading.landmarks68)
        self._refuse_second_person(rgb, pose, face, faces, mask)
        return Detection(
            person_bbox_px=mask_bbox(mask),
            keypoints33=pose.points,
            keypoints33_world_m=pose.world_m,
            person_mask=mask,
            face_mesh478_px=reading.mesh478,
            landmarks68_px=reading.landmarks68,
            face_bbox_px=face.bbox_px,
            face_score=face.score,
            mesh_agreement=reading.agreement,
            mesh_spread=reading.spread,
            head_turns_rad=head_turns(reading.mesh478, pose.points, face.points_px),
            hand_over_face=hand_over_face(self._graphs, rgb, pose.points, reading.landmarks68),
            face_boxes_px=np.array([one.bbox_px for one in faces]),
            blendshapes=reading.blendshapes,
        )

    def segment_portrait(self, rgb: UInt8[np.ndarray, "s s 3"]) -> UInt8[np.ndarray, "s s"]:
        """Person mask of a head-shoulder picture."""
        return _to_uint8(self._symmetric_mask(rgb))

    def segment_pose(self, rgb: UInt8[np.ndarray, "s s 3"]) -> Float[np.ndarray, "s s"]:
        """Mask of the one person whose body points the pose network finds, in [0, 1]: coarser, without other people.

        All ones where it finds nobody.
        """
        pose = self._graphs.pose(rgb)
        return np.ones(rgb.shape[:2], np.float32) if pose is None else pose.mask

    # --- faces

    def _find_faces(self, rgb: np.ndarray) -> list[FaceBox]:
        """Faces of the whole picture and of overlapping squares along its longer side, each once, the best first."""
        found = [face for square in search_squares(rgb.shape[1], rgb.shape[0]) for face in self._faces_in(rgb, square)]
        return _unique(found)

    def _faces_in(self, rgb: np.ndarray, square: Square) -> list[FaceBox]:
        crop, source_from_crop = square.cut(rgb, _BODY_CROP_PX)
        return [_map_face(face, source_from_crop) for face in self._graphs.faces(crop)]

    def _add_face_near_pose(self, rgb: np.ndarray, pose: PosePoints, faces: list[FaceBox]) -> list[FaceBox]:
        """Look again in a head crop when no face lies at the pose's head."""
        if _face_of(pose, faces) is not None:
            return faces
        return _unique(faces + self._faces_in(rgb, head_square_of_pose(pose, 3.0)))

    # --- body

    def _find_pose(self, rgb: np.ndarray, faces: list[FaceBox]) -> PosePoints | None:
        """The person of the whole picture, read again closer up when small; else the body below the best face."""
        height, width = rgb.shape[:2]
        longer_px = float(max(width, height))
        pose = self._whole_pose(rgb)
        if pose is not None:
            close = square_around(pose.points[:, :2], 1.3)
            return (self._pose_in(rgb, close) if close.side_px < 0.6 * longer_px else None) or pose
        below = list(squares_below(faces[0])) if faces else []
        roomy = Square(np.array([width / 2, 0.35 * height]), 1.3 * longer_px)  # room for a head cut off
        ordered = [*below[:_FIRST_LOOKS], roomy, *below[_FIRST_LOOKS:]]
        return next((pose for square in ordered if (pose := self._pose_in(rgb, square)) is not None), None)

    def _pose_in(self, rgb: np.ndarray, square: Square) -> PosePoints | None:
        crop, source_from_crop = square.cut(rgb, _BODY_CROP_PX)
        pose = self._graphs.pose(crop)
        if pose is None:
            return None
        points = np.column_stack([geometry.transform(source_from_crop, pose.points[:, :2]), pose.points[:, 2]])
        if max(points[LEFT_SHOULDER, 2], points[RIGHT_SHOULDER, 2]) < _MIN_SHOULDER_VISIBILITY:
            return None  # a cat, a chair
        return PosePoints(points, pose.world_m, _paste(pose.mask, source_from_crop, rgb.shape[1], rgb.shape[0]))

    def _whole_pose(self, rgb: np.ndarray) -> PosePoints | None:
        height, width = rgb.shape[:2]
        return self._pose_in(rgb, Square(np.array([width / 2, height / 2]), float(max(width, height))))

    def _is_steady(self, rgb: np.ndarray, pose: PosePoints) -> bool:
        """Whether the body is seen again, closer up and in a mirror.

        What the network takes for a body where there is none (a cup, a cloud) moves by a tenth of its size or is gone.
        """
        size = float(np.max(np.ptp(pose.points[:, :2], axis=0)))
        for margin in (1.3, 1.8):
            crop, source_from_crop = square_around(pose.points[:, :2], margin).cut(rgb, _BODY_CROP_PX)
            mirrored = self._graphs.pose(crop[:, ::-1])
            if mirrored is None:
                return False
            nose = mirrored.points[NOSE, :2] * [-1, 1] + [_BODY_CROP_PX, 0]
            away = geometry.transform(source_from_crop, nose[None])[0] - pose.points[NOSE, :2]
            if np.linalg.norm(away) > _STEADY * size:
                return False
        return True

    # --- small people

    def _small_person(self, rgb: np.ndarray) -> tuple[int, int, int, int] | None:
        """x0, y0, x1, y1 px around a person too small for the networks, which shrink what they are given to 224 px.

        Faces are looked for in tiles, the larger tiles first; one counts when a body is read below it. Raises Rejected
        (multiple_people) when there are several of similar size.
        """
        pose = self._whole_pose(rgb)
        if pose is not None and self._is_steady(rgb, pose):
            return None  # somebody is there, and shows no face
        height, width = rgb.shape[:2]
        people = (self._person_below(rgb, faces) for faces in self._faces_closer_up(rgb))
        person = next((person for person in people if person is not None), None)
        return None if person is None else body_window(person, width, height)

    def _faces_closer_up(self, rgb: np.ndarray) -> Iterator[list[FaceBox]]:
        """The faces of the ordinary look, of whom only the best was tried, then those of smaller and smaller tiles."""
        yield self._find_faces(rgb)
        for tiles in tile_levels(rgb.shape[1], rgb.shape[0]):
            yield _unique([face for tile in tiles for face in self._faces_in_tile(rgb, *tile)])

    def _faces_in_tile(self, rgb: np.ndarray, x: int, y: int, side: int) -> list[FaceBox]:
        """Cut before it is shrunk: `Square.cut` shrinks the whole photograph first, ten times as slow for a tile."""
        tile = cv2.resize(rgb[y : y + side, x : x + side], (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA)
        scale = side / _TILE_PX
        source_from_tile = np.array([[scale, 0.0, x], [0.0, scale, y]])
        return [_map_face(face, source_from_tile) for face in self._graphs.faces(tile)]

    def _person_below(self, rgb: np.ndarray, faces: list[FaceBox]) -> PosePoints | None:
        """The body of the largest face that has one; Rejected (multiple_people) when one of similar size has, too."""
        person, size_px = None, 0.0
        for face in sorted(faces, key=lambda one: -one.side_px)[:_MAX_SMALL_FACES]:
            if person and (face.score < _RIVAL_SCORE or face.side_px < _RIVAL_SIZE * size_px):
                continue
            looks = (self._pose_in(rgb, square) for square in squares_below(face))
            pose = next((pose for pose in looks if pose is not None and _face_of(pose, [face])), None)
            if person and pose:
                raise Rejected("multiple_people", "several small people of similar size were found, expected one")
            if pose:
                person, size_px = pose, face.side_px
        return person

    # --- mask

    def _segment(self, rgb: np.ndarray, pose: PosePoints, landmarks: np.ndarray) -> np.ndarray:
        """Person mask of the photograph: pose and selfie network on the body, the latter closer up on the head.

        Each alone takes lights or furniture for the person; where they differ the mask is unsure.
        """
        height, width = rgb.shape[:2]
        body = (pose.mask + self._body_mask(rgb, pose)) / 2
        face_size = float(np.ptp(landmarks[:, 1]))
        head = Square(landmarks[27] + np.array([0.0, 0.55 * face_size]), 5.0 * face_size)
        crop, source_from_crop = head.cut(rgb, _MASK_CROP_PX)
        ramp = np.arange(_MASK_CROP_PX)
        fade = np.minimum(np.minimum(ramp, ramp[::-1]) / (0.1 * _MASK_CROP_PX), 1)
        both = np.dstack([self._symmetric_mask(crop), np.minimum.outer(fade, fade)])
        close, weight = np.moveaxis(_paste(both, source_from_crop, width, height), 2, 0)
        return _main_component(_to_uint8(close * weight + body * (1 - weight)), landmarks[30])

    def _body_mask(self, rgb: np.ndarray, pose: PosePoints) -> np.ndarray:
        """The selfie network on the rectangle around the body: it works on any aspect, squeezed to 256 x 256."""
        height, width = rgb.shape[:2]
        points = pose.points[pose.points[:, 2] > 0.3, :2] if (pose.points[:, 2] > 0.3).any() else pose.points[:, :2]
        margin = 0.07 * float(np.max(np.ptp(points, axis=0)))
        x0, y0 = np.clip(points.min(axis=0) - margin, 0, [width - 2, height - 2]).astype(int)
        x1, y1 = np.clip(points.max(axis=0) + margin, [x0 + 2, y0 + 2], [width, height]).astype(int)
        mask = np.zeros((height, width), np.float32)
        mask[y0:y1, x0:x1] = self._graphs.person_mask(rgb[y0:y1, x0:x1])
        return mask

    def _symmetric_mask(self, rgb: np.ndarray) -> np.ndarray:
        """The mean of the masks of the picture and of its mirror image (halves the worst errors)."""
        return (self._graphs.person_mask(rgb) + self._graphs.person_mask(rgb[:, ::-1])[:, ::-1]) / 2

    # --- second person

    def _refuse_second_person(
        self, rgb: np.ndarray, pose: PosePoints, face: FaceBox, faces: list[FaceBox], mask: np.ndarray
    ) -> None:
        rivals = [
            other
            for other in faces
            if other is not face and other.score >= _RIVAL_SCORE and other.side_px >= _RIVAL_SIZE * face.side_px
        ]
        if any(
            mesh_in(self._graphs, rgb, Square(other.centre_px, 2.0 * other.side_px)) is not None for other in rivals
        ):
            raise Rejected("multiple_people", f"{len(rivals) + 1} faces of similar size were found, expected one")
        if self._second_pose(rgb, pose, mask):
            raise Rejected("multiple_people", "a second person was found beside the first, expected one")

    def _second_pose(self, rgb: np.ndarray, pose: PosePoints, mask: np.ndarray) -> bool:
        """Whether a person of similar size remains when the first is painted out."""
        grown = cv2.dilate(mask, np.ones((25, 25), np.uint8)) > 60
        without = rgb.copy()
        without[grown] = np.median(rgb[~grown], axis=0) if (~grown).any() else GREY
        other = self._whole_pose(without)
        if other is None or other.points[:25, 2].mean() < _MIN_RIVAL_VISIBILITY:
            return False
        on_first = np.mean([_at(mask, point) > 127 for point in other.points[:25, :2]])
        similar = np.ptp(other.points[:25, 1]) > 0.4 * np.ptp(pose.points[:25, 1])
        return bool(similar and on_first < 0.3) and self._is_steady(without, other)


def mask_bbox(mask: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, "4"]:
    """x0, y0, x1, y1 in px of the pixels above one half; the whole image when there are none."""
    ys, xs = np.nonzero(mask > 127)
    if not len(xs):
        return np.array([0.0, 0.0, mask.shape[1], mask.shape[0]])
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float64)


def _moved(found: Detection, x: int, y: int, width: int, height: int) -> Detection:
    """What was found in the window whose corner is at x, y, in the frame of the photograph."""
    mask = np.zeros((height, width), np.uint8)
    mask[y : y + found.person_mask.shape[0], x : x + found.person_mask.shape[1]] = found.person_mask
    corner, corner_twice = np.array([x, y]), np.array([x, y, x, y])
    return replace(
        found,
        person_bbox_px=found.person_bbox_px + corner_twice,
        keypoints33=found.keypoints33 + np.array([x, y, 0]),
        person_mask=mask,
        face_mesh478_px=found.face_mesh478_px + np.array([x, y, 0]),
        landmarks68_px=found.landmarks68_px + corner,
        face_bbox_px=found.face_bbox_px + corner_twice,
        face_boxes_px=found.face_boxes_px + corner_twice,
    )


def _map_face(face: FaceBox, source_from_crop: np.ndarray) -> FaceBox:
    corners = geometry.transform(source_from_crop, face.bbox_px.reshape(2, 2))
    return FaceBox(corners.ravel(), face.score, geometry.transform(source_from_crop, face.points_px))


def _unique(faces: list[FaceBox]) -> list[FaceBox]:
    kept: list[FaceBox] = []
    for face in sorted(faces, key=lambda one: (-one.score, *one.bbox_px)):
        if all(box_iou(face.bbox_px, other.bbox_px) < _SAME_FACE_IOU for other in kept):
            kept.append(face)
    return kept


def _face_of(pose: PosePoints, faces: list[FaceBox]) -> FaceBox | None:
    """The face whose box holds the pose's nose, or nearly."""
    nose = pose.points[NOSE, :2]
    near = [face for face in faces if np.linalg.norm(face.centre_px - nose) < 0.9 * face.side_px]
    return near[0] if near else None


def _missing_face(pose: PosePoints, width: int, height: int) -> Rejected:
    nose, points = pose.points[NOSE], pose.points
    edge = 0.02 * max(width, height)
    if not (edge <= nose[0] <= width - edge and edge <= nose[1] <= height - edge):
        return Rejected("face_out_of_frame", "the face lies outside the image or is cut off by its edge")
    turn = abs(turn_of_body(points[:, :2]))
    if _PROFILE_RAD[0] < turn < _PROFILE_RAD[1]:
        return Rejected("turned_away", f"the head is turned by about {math.degrees(turn):.0f} degrees: a profile")
    if points[LEFT_SHOULDER, 0] < points[RIGHT_SHOULDER, 0]:
        return Rejected("back_view", "the person is seen from behind")
    return Rejected("no_face", "a person was found, but no face (turned away, covered or too small)")


def _require_inside(landmarks: np.ndarray, width: int, height: int) -> None:
    inside = ((landmarks >= 0) & (landmarks <= (width, height))).all(axis=1).mean()
    if inside < _MIN_LANDMARKS_INSIDE:
        raise Rejected("face_out_of_frame", f"only {inside:.0%} of the face lies inside the image")


def _paste(values: np.ndarray, source_from_crop: np.ndarray, width: int, height: int) -> np.ndarray:
    """Warp a float crop back onto the photograph, zero outside the crop."""
    half = np.array([0.5, 0.5])
    linear, offset = source_from_crop[:, :2], source_from_crop[:, 2]
    index_matrix = np.column_stack([linear, linear @ half + offset - half])  # OpenCV counts from pixel centres
    return cv2.warpAffine(values, index_matrix, (width, height), flags=cv2.INTER_LINEAR)


def _main_component(mask: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Remove blobs that are not joined to the one under `point` (or to the largest)."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 25).astype(np.uint8))
    label = int(_at(labels, point))
    if label == 0 and len(stats) > 1:
        label = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.where(labels == label, mask, 0).astype(np.uint8)


def _at(image: np.ndarray, point: np.ndarray) -> float:
    x = int(np.clip(point[0], 0, image.shape[1] - 1))
    y = int(np.clip(point[1], 0, image.shape[0] - 1))
    return float(image[y, x])


def _to_uint8(mask: np.ndarray) -> np.ndarray:
    return np.clip(np.round(mask * 255), 0, 255).astype(np.uint8)
