"""Pieces of other people, on drawn portraits."""

import cv2
import numpy as np
import pytest

from dataprep.models.matting.bystanders import other_people

SIZE = 512
SKIN, HAIR, WALL = (200, 150, 120), (50, 40, 35), (60, 90, 110)
FACE = np.array([(256 + 70 * np.cos(a), 220 + 95 * np.sin(a)) for a in np.linspace(0, 6.2, 60)])
BESIDE = np.s_[330:430, 440:505]


def scene(colour=SKIN, wall=WALL):
    """(portrait, mask, pose mask, points) of a person, and a patch beside the shoulder that only the mask has."""
    portrait = np.full((SIZE, SIZE, 3), wall, np.uint8)
    cv2.rectangle(portrait, (100, 360), (400, 511), (30, 30, 60), -1)
    cv2.fillConvexPoly(portrait, FACE.astype(np.int32), SKIN)
    pose = np.zeros((SIZE, SIZE), np.float32)
    cv2.rectangle(pose, (100, 360), (400, 511), 1, -1)
    cv2.fillConvexPoly(pose, FACE.astype(np.int32), 1)
    portrait[BESIDE] = colour
    mask = pose.astype(np.float64)
    mask[BESIDE] = 1
    points = np.zeros((33, 3))
    points[11], points[12] = (390, 380, 1), (110, 380, 1)
    return portrait, mask, pose, points


def test_skin_beside_the_person_is_somebody_else():
    others = other_people(*scene(), FACE)
    assert others[BESIDE].mean() > 0.95
    assert others[:, :400].mean() < 0.001


@pytest.mark.parametrize("change", ["hair", "hand", "skin-coloured wall", "pose knows it"])
def test_what_may_be_the_persons_own_stays(change):
    portrait, mask, pose, points = scene(
        HAIR if change == "hair" else SKIN, SKIN if change.startswith("skin") else WALL
    )
    if change == "hand":
        points[19] = (470, 380, 0.95)
    if change.startswith("pose"):
        pose[BESIDE] = 1
    assert not other_people(portrait, mask, pose, points, FACE).any()
