"""SMPL poses of people, built from directions of the limbs in the chest's and the pelvis's frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]
Direction = tuple[float, float, float]

# Joint numbers of SMPL; "left" is the subject's left.
LEFT_HIP, RIGHT_HIP, SPINE1, LEFT_KNEE, RIGHT_KNEE, SPINE2, LEFT_ANKLE, RIGHT_ANKLE, CHEST = 1, 2, 3, 4, 5, 6, 7, 8, 9
NECK, LEFT_COLLAR, RIGHT_COLLAR, HEAD, LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW = (
    12,
    13,
    14,
    15,
    16,
    17,
    18,
    19,
)
LEFT_WRIST, RIGHT_WRIST, LEFT_HAND, RIGHT_HAND = 20, 21, 22, 23

_STRAIGHT_KNEE = 0.2  # sine of the bend at which a kneecap follows the bend as much as it looks ahead

CAM_FROM_FACING = np.diag([1.0, -1.0, -1.0])  # an upright person facing the camera


@dataclass(frozen=True)
class Arm:
    """Where an arm's segments point: x outwards, y up, z forwards, in the chest's frame."""

    upper: Direction
    forearm: Direction
    hand: Direction | None = None
    twist_rad: float = 0.0  # of the upper arm about its own axis


ARMS: dict[str, Arm] = {
    "down": Arm((0.20, -1.0, -0.03), (0.12, -1.0, 0.16)),
    "relaxed": Arm((0.33, -1.0, -0.08), (0.16, -1.0, 0.30)),
    "away": Arm((0.62, -0.85, 0.02), (0.45, -0.95, 0.22)),
    "bent": Arm((0.24, -1.0, -0.06), (-0.10, 0.02, 1.0)),
    "bent_up": Arm((0.30, -1.0, 0.02), (0.02, 0.75, 0.85)),
    "raised": Arm((0.85, -0.55, 0.18), (0.75, -0.45, 0.55)),
    "akimbo": Arm((0.72, -0.80, -0.28), (-0.62, -0.62, 0.42), (-0.55, -0.55, 0.5), twist_rad=0.35),
    "wave": Arm((0.75, -0.70, 0.08), (0.42, 1.0, 0.30)),
}


@dataclass(frozen=True)
class Leg:
    """Where a leg's segments point: x outwards, y up, z forwards, in the pelvis's frame."""

    thigh: Direction
    shin: Direction
    toes: Direction = (0.12, 0.0, 1.0)


@dataclass(frozen=True)
class Reach:
    """An arm that brings its wrist to a place on the body, whatever the body's size; `reach.solved` finds the angles.

    `wrist_m` is an offset from joint `anchor` in that joint's frame, with x to the arm's own side; at the chest, z
    starts at the front of the trunk. `fingers` and `palm` are directions in the same frame; `elbow` is where the elbow
    points to, in the chest's frame.
    """

    anchor: int
    wrist_m: Direction
    elbow: Direction
    fingers: Direction
    palm: Direction
    curl_rad: float = 0.0  # of the fingers, towards the palm


@dataclass(frozen=True)
class Pose:
    """Angles in radians: yaw turns and roll leans towards the subject's left, pitch nods forwards.

    Body angles are those of the pelvis in camera axes; spine and head angles are relative to the part below.
    """

    body_yaw: float = 0.0
    camera_pitch: float = 0.0
    body_roll: float = 0.0
    spine: Direction = (0.0, 0.0, 0.0)  # (pitch, yaw, roll), shared by three joints
    head: Direction = (0.0, 0.0, 0.0)  # (pitch, yaw, roll), shared by neck and head
    left_arm: Arm | Reach = field(default_factory=lambda: ARMS["down"])
    right_arm: Arm | Reach = field(default_factory=lambda: ARMS["down"])
    left_leg: Leg | Direction = (0.0, 0.0, 0.0)  # a direction: hip abduction outwards, hip flexion, knee flexion
    right_leg: Leg | Direction = (0.0, 0.0, 0.0)

    def rotations(self) -> Array:
        """Local SMPL rotations (24, 3, 3); entry 0 is the global orientation in camera axes (y down).

        Arms that reach for something stay in the T pose here: where they go depends on the body.
        """
        local = np.tile(np.eye(3), (24, 1, 1))
        local[0] = _x(self.camera_pitch) @ CAM_FROM_FACING @ _z(-self.body_roll) @ _y(self.body_yaw)
        for joint in (SPINE1, SPINE2, CHEST):
            local[joint] = _bend(self.spine, 1 / 3)
        for joint, share in ((NECK, 0.4), (HEAD, 0.6)):
            local[joint] = _bend(self.head, share)
        for side, arm in ((1, self.left_arm), (-1, self.right_arm)):
            if isinstance(arm, Arm):
                _set_arm(local, arm, side)
        for side, leg in ((1, self.left_leg), (-1, self.right_leg)):
            if isinstance(leg, Leg):
                _aim_leg(local, leg, side)
            else:
                _set_leg(local, leg, side)
        return local


def _x(angle: float) -> Array:
    return Rotation.from_euler("x", angle).as_matrix()


def _y(angle: float) -> Array:
    return Rotation.from_euler("y", angle).as_matrix()


def _z(angle: float) -> Array:
    return Rotation.from_euler("z", angle).as_matrix()


def _bend(angles: Direction, share: float) -> Array:
    pitch, yaw, roll = (share * a for a in angles)
    return _y(yaw) @ _x(pitch) @ _z(-roll)


def frame(**axes: Array) -> Array:
    """Rotation (3, 3) whose first given axis points exactly along its vector, the second as nearly as it can."""
    (first, a), (second, b) = axes.items()
    one = a / np.linalg.norm(a)
    two = b - one * (one @ b)
    columns = {first: one, second: two / np.linalg.norm(two)}
    (missing,) = {"x", "y", "z"} - set(columns)
    before, after = {"x": "yz", "y": "zx", "z": "xy"}[missing]
    columns[missing] = np.cross(columns[before], columns[after])
    return np.stack([columns[axis] for axis in "xyz"], axis=1)


def shortest_arc(source: Array, target: Array) -> Array:
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    axis = np.cross(a, b)
    sine, cosine = float(np.linalg.norm(axis)), float(a @ b)
    if sine < 1e-9:
        return np.eye(3)
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix()


def _set_arm(local: Array, arm: Arm, side: int) -> None:
    """Write collar, shoulder, elbow and wrist of one arm; `side` is +1 for the left (along +x in T pose), else -1."""
    collar, shoulder, elbow, wrist = (j + (side < 0) for j in (LEFT_COLLAR, LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST))
    along = np.array([float(side), 0.0, 0.0])
    mirror = np.array([float(side), 1.0, 1.0])
    whole = shortest_arc(along, np.asarray(arm.upper) * mirror)
    # The shoulder girdle takes a tenth of the arm's swing, as a relaxed shoulder does.
    local[collar] = Rotation.from_rotvec(0.10 * Rotation.from_matrix(whole).as_rotvec()).as_matrix()
    chest_from_upper = whole @ _x(arm.twist_rad)
    local[shoulder] = local[collar].T @ chest_from_upper
    local[elbow] = shortest_arc(along, chest_from_upper.T @ (np.asarray(arm.forearm) * mirror))
    if arm.hand is not None:
        chest_from_forearm = chest_from_upper @ local[elbow]
        local[wrist] = shortest_arc(along, chest_from_forearm.T @ (np.asarray(arm.hand) * mirror))


def _set_leg(local: Array, leg: Direction, side: int) -> None:
    """Write hip, knee and ankle of one leg so that the sole stays level with the pelvis."""
    hip, knee, ankle = (j + (side < 0) for j in (LEFT_HIP, LEFT_KNEE, LEFT_ANKLE))
    abduction, hip_flexion, knee_flexion = leg
    local[hip] = _z(side * abduction) @ _x(-hip_flexion)
    local[knee] = _x(knee_flexion)
    local[ankle] = (local[hip] @ local[knee]).T


def _aim_leg(local: Array, leg: Leg, side: int) -> None:
    """Write hip, knee and ankle of one leg; the kneecap faces away from where the shin bends."""
    hip, knee, ankle = (j + (side < 0) for j in (LEFT_HIP, LEFT_KNEE, LEFT_ANKLE))
    mirror, down = np.array([float(side), 1.0, 1.0]), np.array([0.0, -1.0, 0.0])
    thigh, shin, toes = (np.asarray(d) * mirror / np.linalg.norm(d) for d in (leg.thigh, leg.shin, leg.toes))
    bend = shin - thigh * (thigh @ shin)
    local[hip] = frame(y=-thigh, z=_STRAIGHT_KNEE * np.array([0.0, 0.0, 1.0]) - bend)
    local[knee] = shortest_arc(down, local[hip].T @ shin)
    local[ankle] = (local[hip] @ local[knee]).T @ frame(z=toes, y=-down)
