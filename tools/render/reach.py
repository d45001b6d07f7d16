"""Arms that touch: angles of two-bone chains whose wrists must be at given places of a given body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from tools.render.poses import (
    CHEST,
    LEFT_COLLAR,
    LEFT_ELBOW,
    LEFT_HAND,
    LEFT_SHOULDER,
    LEFT_WRIST,
    Array,
    Pose,
    Reach,
    frame,
    shortest_arc,
)
from tools.standins.anny_base import chain_joints

# The shoulder girdle takes a part of the arm's swing: a tenth below the shoulder, more above it.
COLLAR_SHARE, RAISED_COLLAR_SHARE = 0.10, 0.25
# An upper arm turns about itself towards the plane in which the elbow bends. The skin follows rigidly, so the whole of
# it would wring the sleeve at the shoulder; the rest is left to the elbow.
TWIST_SHARE = 0.6
FOREARM_SHARE = 0.5  # of the hand's turn about the forearm: radius and ulna turn with the wrist
TRUNK_HALF_WIDTH_M, NAVEL_BELOW_CHEST_M = 0.12, 0.2
LONGEST = 0.995  # of the arm: never quite straight, where the elbow's place is undefined
ROUNDS = 12  # the collar moves the shoulder, which moves the arm, which moves the collar


def solved(pose: Pose, joints_m: Array, body_m: Array) -> Array:
    """Local SMPL rotations (24, 3, 3) of a pose whose reaching arms reach, on a T-posed body in metres.

    `joints_m` (24, 3) and the skin `body_m` (n, 3) are those of the person.
    """
    local = pose.rotations()
    for side, arm in ((1, pose.left_arm), (-1, pose.right_arm)):
        if isinstance(arm, Reach):
            in_front = np.array([0.0, 0.0, _trunk_front_m(joints_m, body_m) if arm.anchor == CHEST else 0.0])
            _reach(local, joints_m, replace(arm, wrist_m=tuple(arm.wrist_m + in_front)), side)
    return local


def _trunk_front_m(joints_m: Array, body_m: Array) -> float:
    """How far the trunk reaches in front of the chest joint, from its height down to the navel's."""
    x, y, z = (body_m - joints_m[CHEST]).T
    return float(z[(np.abs(x) < TRUNK_HALF_WIDTH_M) & (y < 0.02) & (y > -NAVEL_BELOW_CHEST_M)].max())


def _reach(local: Array, joints_m: Array, arm: Reach, side: int) -> None:
    """Write collar, shoulder, elbow, wrist and fingers of one arm; `side` is +1 for the left, -1 for the right."""
    collar, shoulder, elbow, wrist, hand = (
        j + (side < 0) for j in (LEFT_COLLAR, LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST, LEFT_HAND)
    )
    mirror, along = np.array([float(side), 1.0, 1.0]), np.array([float(side), 0.0, 0.0])
    rotations, at = chain_joints(joints_m, local)
    chest_from_anchor = rotations[CHEST].T @ rotations[arm.anchor]
    anchor_m = rotations[CHEST].T @ (at[arm.anchor] - at[CHEST])
    target_m = anchor_m + chest_from_anchor @ (np.asarray(arm.wrist_m) * mirror)
    lengths = (
        float(np.linalg.norm(joints_m[elbow] - joints_m[shoulder])),
        float(np.linalg.norm(joints_m[wrist] - joints_m[elbow])),
    )
    for _ in range(ROUNDS):
        shoulder_m = joints_m[collar] - joints_m[CHEST] + local[collar] @ (joints_m[shoulder] - joints_m[collar])
        upper, forearm = _two_bones(target_m - shoulder_m, *lengths, np.asarray(arm.elbow) * mirror)
        whole = shortest_arc(along, upper)
        share = COLLAR_SHARE + (RAISED_COLLAR_SHARE - COLLAR_SHARE) * max(0.0, upper[1])
        local[collar] = Rotation.from_rotvec(share * Rotation.from_matrix(whole).as_rotvec()).as_matrix()
    chest_from_upper = whole @ _about_x(TWIST_SHARE * _turn_about_x(whole.T @ frame(x=side * upper, z=forearm)))
    local[shoulder] = local[collar].T @ chest_from_upper
    local[elbow] = shortest_arc(along, chest_from_upper.T @ forearm)
    fingers, palm = (chest_from_anchor @ (np.asarray(d) * mirror) for d in (arm.fingers, arm.palm))
    local[wrist] = (chest_from_upper @ local[elbow]).T @ frame(x=side * fingers, y=-palm)
    turn = _about_x(FOREARM_SHARE * _turn_about_x(local[wrist]))
    local[elbow], local[wrist] = local[elbow] @ turn, turn.T @ local[wrist]
    local[hand] = Rotation.from_euler("z", -side * arm.curl_rad).as_matrix()


def _two_bones(reach_m: Array, upper_m: float, forearm_m: float, elbow: Array) -> tuple[Array, Array]:
    """Unit directions of upper arm and forearm that span `reach_m`, the elbow bent towards `elbow`."""
    distance = float(np.clip(np.linalg.norm(reach_m), 1.05 * abs(upper_m - forearm_m), LONGEST * (upper_m + forearm_m)))
    axes = frame(x=reach_m, y=elbow)
    along = (distance**2 + upper_m**2 - forearm_m**2) / (2 * distance)
    bend_m = along * axes[:, 0] + np.sqrt(max(upper_m**2 - along**2, 0.0)) * axes[:, 1]
    return bend_m / upper_m, (distance * axes[:, 0] - bend_m) / forearm_m


def _about_x(angle: float) -> Array:
    return Rotation.from_euler("x", angle).as_matrix()


def _turn_about_x(rotation: Array) -> float:
    """The part of a rotation that turns about the x axis (swing-twist), radians within pi."""
    x, _, _, w = Rotation.from_matrix(rotation).as_quat()
    return float(np.angle(np.exp(2j * np.arctan2(x, w))))
