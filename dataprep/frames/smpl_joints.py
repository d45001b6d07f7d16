"""SMPL's 24 joints: names, tree, the six that the generator poses, and the pose it calls canonical."""

from __future__ import annotations

JOINTS = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle"),
    *("spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand"),
)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
CHEST, NECK, LEFT_COLLAR, RIGHT_COLLAR, HEAD, LEFT_SHOULDER, RIGHT_SHOULDER = 9, 12, 13, 14, 15, 16, 17
BONES = tuple((parent, joint) for joint, parent in enumerate(PARENTS) if parent >= 0)
POSED_JOINTS = (NECK, LEFT_COLLAR, RIGHT_COLLAR, HEAD, LEFT_SHOULDER, RIGHT_SHOULDER)  # 12 13 14 15 16 17
# Canonical "mean pose" of the published weights: Euler angles in radians, order z, y, x; all other joints have zeros.
CANONICAL_ZYX = {HEAD: (0.0, 0.0, 0.15536945), LEFT_SHOULDER: (-1.05, 0.0, 0.13), RIGHT_SHOULDER: (1.05, 0.0, 0.13)}
