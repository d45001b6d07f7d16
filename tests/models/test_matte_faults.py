"""Faults of an alpha as numbers."""

import cv2
import numpy as np

from dataprep.models.matting.matte_faults import faint_edge, see_through

PERSON = cv2.ellipse(np.zeros((512, 512), np.uint8), (256, 400), (180, 300), 0, 0, 360, 255, -1)


def test_soft_edges_are_no_fault_and_a_see_through_hand_is():
    soft = cv2.GaussianBlur(PERSON, (0, 0), 3)
    assert see_through(soft) == 0
    soft[300:360, 200:260] = 128
    assert 0.02 < see_through(soft) < 0.03
    assert see_through(np.full((64, 64), 128, np.uint8)) == 1


def test_a_person_cut_by_the_photographs_edge_is_no_fault_and_a_faint_rim_is():
    inside = np.ones((512, 512), bool)
    inside[450:] = False
    cut = np.where(inside, PERSON, 0).astype(np.uint8)
    assert faint_edge(cut, inside) < 0.01
    cut[440:450] //= 2
    assert 0.6 < faint_edge(cut, inside) < 0.8
    assert faint_edge(PERSON, np.ones_like(inside)) == 0
