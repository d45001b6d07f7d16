"""What people who move do: poses for the left side, with a little chance, and their mirror images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tools.render.poses import (
    ARMS,
    CHEST,
    HEAD,
    LEFT_HIP,
    RIGHT_HIP,
    Arm,
    Direction,
    Leg,
    Pose,
    Reach,
)

Rng = np.random.Generator
STANDING: dict[str, Leg] = {
    "straight": Leg((0.05, -1.0, 0.0), (0.03, -1.0, -0.03)),
    "eased": Leg((0.10, -1.0, 0.14), (0.04, -1.0, -0.14), (0.35, 0.0, 1.0)),
}


def mirrored(pose: Pose) -> Pose:
    """The pose of the mirror image."""

    def flip(angles: Direction) -> Direction:
        return angles[0], -angles[1], -angles[2]

    return replace(
        pose,
        body_yaw=-pose.body_yaw,
        body_roll=-pose.body_roll,
        spine=flip(pose.spine),
        head=flip(pose.head),
        left_arm=_other_side(pose.right_arm),
        right_arm=_other_side(pose.left_arm),
        left_leg=pose.right_leg,
        right_leg=pose.left_leg,
    )


def _other_side(arm: Arm | Reach) -> Arm | Reach:
    """Reaches for a hip or knee go to that of the other side."""
    if isinstance(arm, Reach) and arm.anchor in (LEFT_HIP, RIGHT_HIP):
        return replace(arm, anchor=LEFT_HIP + RIGHT_HIP - arm.anchor)
    return arm


def walking(rng: Rng) -> Pose:
    stride = rng.uniform(0.75, 1.15)
    return Pose(
        spine=(0.04, -0.10, 0.0),
        left_leg=Leg((0.0, -1.0, 0.40 * stride), (0.0, -1.0, 0.16 * stride), (0.05, 0.22, 1.0)),
        right_leg=Leg((0.02, -1.0, -0.22 * stride), (0.02, -0.85, -0.60 * stride), (0.05, -0.70, 0.75)),
        left_arm=Arm((0.22, -1.0, -0.36 * stride), (0.10, -1.0, -0.05)),
        right_arm=Arm((0.18, -1.0, 0.26 * stride), (-0.02, -0.80, 0.62)),
    )


def _thigh_hand(anchor: int, along_m: float, inwards: float) -> Reach:
    """A hand lying on a thigh, `along_m` from the hip."""
    return Reach(anchor, (0.01, -along_m, 0.105), (0.5, -1.0, -0.25), (-inwards, -1.0, -0.12), (0.0, -0.1, -1.0), 0.15)


def seated(rng: Rng) -> Pose:
    apart = rng.uniform(0.12, 0.26)
    leg = Leg((apart, -0.04, 1.0), (0.04, -1.0, 0.06), (apart, 0.0, 1.0))
    along = rng.uniform(0.24, 0.3)
    return Pose(
        spine=(0.06, 0.0, 0.0),
        left_leg=leg,
        right_leg=replace(leg, shin=(0.02, -1.0, rng.uniform(-0.25, 0.1))),
        left_arm=_thigh_hand(LEFT_HIP, along, 0.25),
        right_arm=_thigh_hand(RIGHT_HIP, along - 0.03, 0.35),
    )


def seated_legs_crossed(rng: Rng) -> Pose:
    return Pose(
        spine=(0.05, 0.0, 0.0),
        left_leg=Leg((-0.26, 0.17, 1.0), (-0.62, -1.0, 0.24), (-0.1, -0.55, 1.0)),
        right_leg=Leg((0.04, -0.06, 1.0), (-0.02, -1.0, -0.02), (0.1, 0.0, 1.0)),
        left_arm=_thigh_hand(LEFT_HIP, 0.26, 0.5),
        right_arm=_thigh_hand(LEFT_HIP, 0.34, 0.6),
    )


def jumping(rng: Rng) -> Pose:
    return Pose(
        spine=(-0.06, 0.0, 0.0),
        left_leg=Leg((0.14, -1.0, 0.30), (0.06, -0.55, -0.85), (0.1, -0.9, 0.2)),
        right_leg=Leg((0.12, -1.0, 0.05), (0.05, -0.80, -0.60), (0.1, -1.0, 0.4)),
        left_arm=Arm((0.85, 0.72, 0.10), (0.45, 1.0, 0.25)),
        right_arm=Arm((0.90, 0.60, 0.05), (0.60, 1.0, 0.25)),
    )


def star_jump(rng: Rng) -> Pose:
    return Pose(
        left_leg=Leg((0.42, -1.0, 0.10), (0.36, -1.0, -0.12), (0.4, -0.9, 0.5)),
        right_leg=Leg((0.42, -1.0, 0.10), (0.36, -1.0, -0.12), (0.4, -0.9, 0.5)),
        left_arm=Arm((1.0, 0.34, 0.05), (1.0, 0.50, 0.12)),
        right_arm=Arm((1.0, 0.34, 0.05), (1.0, 0.50, 0.12)),
    )


def arms_crossed(rng: Rng) -> Pose:
    return Pose(left_leg=STANDING["eased"], right_leg=STANDING["straight"], **_crossed())


def _crossed() -> dict[str, Reach]:
    """One forearm upon the other before the chest, the upper hand on the other arm, the lower one below it."""
    elbow = (0.9, -1.0, -0.1)
    return {
        "left_arm": Reach(CHEST, (-0.05, -0.01, 0.085), elbow, (-1.0, 0.1, -0.55), (-0.35, -0.2, -1.0), 0.35),
        "right_arm": Reach(CHEST, (-0.05, -0.07, 0.03), elbow, (-1.0, 0.05, -0.35), (-0.2, 0.0, -1.0), 0.1),
    }


def legs_crossed(rng: Rng) -> Pose:
    return Pose(
        body_roll=-0.02,
        left_leg=Leg((-0.24, -1.0, 0.18), (-0.42, -1.0, -0.12), (0.1, -0.45, 1.0)),
        right_leg=Leg((-0.06, -1.0, 0.0), (-0.10, -1.0, -0.04), (0.1, 0.0, 1.0)),
        left_arm=ARMS["akimbo"],
        right_arm=ARMS["relaxed"],
    )


def hand_to_hair(rng: Rng) -> Pose:
    return Pose(
        head=(0.02, 0.0, 0.08),
        left_leg=STANDING["eased"],
        right_leg=STANDING["straight"],
        left_arm=Reach(HEAD, (0.13, 0.04, 0.02), (1.0, 0.1, 0.3), (-0.35, 1.0, -0.35), (-1.0, -0.3, -0.1), 0.3),
        right_arm=ARMS["relaxed"],
    )


def hands_behind_head(rng: Rng) -> Pose:
    hand = Reach(HEAD, (0.14, 0.04, -0.04), (1.0, 0.3, 0.15), (-0.7, 0.35, -0.7), (-0.6, 0.0, 0.8), 0.3)
    return Pose(left_leg=STANDING["eased"], right_leg=STANDING["straight"], left_arm=hand, right_arm=hand)


def hand_to_chin(rng: Rng) -> Pose:
    return Pose(
        head=(0.06, 0.05, 0.05),
        left_leg=STANDING["straight"],
        right_leg=STANDING["eased"],
        left_arm=Reach(HEAD, (0.03, -0.15, 0.13), (0.4, -1.0, 0.3), (-0.2, 1.0, -0.1), (-0.3, 0.2, -1.0), 0.6),
        right_arm=Reach(CHEST, (-0.06, -0.13, 0.04), (0.8, -1.0, 0.1), (-1.0, 0.1, -0.1), (0.0, 0.2, -1.0), 0.1),
    )


def leaning(rng: Rng) -> Pose:
    """Bent forwards, hands on the thighs, looking up."""
    leg = Leg((0.16, -1.0, 0.42), (0.05, -1.0, -0.30), (0.2, 0.0, 1.0))
    bend = rng.uniform(0.5, 0.65)
    return Pose(
        spine=(bend, 0.0, 0.0),
        head=(-0.75 * bend, 0.0, 0.0),
        left_leg=leg,
        right_leg=leg,
        left_arm=_thigh_hand(LEFT_HIP, 0.30, -0.1),
        right_arm=_thigh_hand(RIGHT_HIP, 0.30, -0.1),
    )


def leaning_aside(rng: Rng) -> Pose:
    return Pose(
        body_roll=0.07,
        spine=(0.0, 0.0, 0.30),
        head=(0.0, 0.0, -0.12),
        left_leg=STANDING["straight"],
        right_leg=Leg((0.22, -1.0, 0.05), (0.2, -1.0, -0.05), (0.3, 0.0, 1.0)),
        left_arm=ARMS["away"],
        right_arm=ARMS["akimbo"],
    )


def standing(rng: Rng) -> Pose:
    return Pose(
        left_leg=STANDING["straight"],
        right_leg=STANDING["eased"],
        left_arm=ARMS["relaxed"],
        right_arm=ARMS["down"],
    )
