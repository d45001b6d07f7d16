"""Shapes around the person's points."""

import numpy as np

from dataprep.models.matting.person_points import person_area


def standing(visibility=1.0):
    """Points and face of a person in a 512 px portrait: shoulders 100 .. 400, an arm at x = 400."""
    points = np.zeros((33, 3))
    points[:, 2] = visibility
    points[11, :2], points[12, :2], points[23, :2], points[24, :2] = (400, 380), (100, 380), (330, 800), (170, 800)
    points[13, :2], points[15, :2], points[14, :2], points[16, :2] = (420, 600), (420, 800), (80, 600), (80, 800)
    angle = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    mesh = np.column_stack([250 + 80 * np.cos(angle), 200 + 110 * np.sin(angle), 0 * angle])
    mesh[[172, 397], :2] = (180, 270), (320, 270)
    return points, mesh


def test_face_neck_trunk_and_arms_are_the_person():
    area = person_area(*standing(), 512)
    for x, y in ((250, 200), (250, 340), (250, 450), (409, 480)):
        assert area[y, x]
    for x, y in ((20, 20), (250, 60), (120, 250), (470, 450)):
        assert not area[y, x]


def test_points_that_are_not_seen_count_for_nothing():
    points, mesh = standing(visibility=0.2)
    area = person_area(points, mesh, 512)
    assert area[200, 250]
    assert not area[340:].any()


def test_points_far_outside_do_no_harm():
    points, mesh = standing()
    points[:, :2] *= 1e6
    assert person_area(points, mesh, 512)[200, 250]
