"""Cuts between pictures alike and in restless ones are found; shaking, flicker, pans and fades are none."""

import cv2
import numpy as np
import pytest

from dataprep.tracking.scene_cuts import cuts, thumb
from tests.tracking.clips import RESTLESS_CUT, clip_pictures, restless_pictures


def starts(pictures):
    return np.flatnonzero(cuts(np.stack([thumb(one) for one in pictures]), np.ones(len(pictures), bool), 12)).tolist()


@pytest.fixture(scope="module")
def clip():
    return clip_pictures(0, 28)


def test_a_cut_that_shaking_nearly_hides():
    assert starts(restless_pictures()) == [RESTLESS_CUT]


@pytest.mark.parametrize(
    "view",
    [
        lambda picture: cv2.resize(picture[60:420, 80:440], (512, 512)),
        lambda picture: np.roll(picture, 45, axis=1),
        lambda picture: cv2.convertScaleAbs(picture, alpha=0.85),
    ],
    ids=["closer", "aside", "darker"],
)
def test_a_cut_to_a_picture_much_alike(clip, view):
    assert starts([*clip[:14], *map(view, clip[14:])]) == [14]


def test_what_moves_or_flickers_is_no_cut(clip):
    random = np.random.default_rng(1)
    room = cv2.resize(clip[0], (1536, 1536))
    matrices = [np.column_stack([np.eye(2), random.normal(0, 20, 2)]) for _ in clip]
    shaken = [
        cv2.warpAffine(one, by, (512, 512), borderMode=cv2.BORDER_REFLECT)
        for one, by in zip(clip, matrices, strict=True)
    ]
    flicker = [cv2.convertScaleAbs(one, alpha=gain) for one, gain in zip(clip, random.normal(1, 0.03, 28), strict=True)]
    pan = [room[400:912, 36 * i : 36 * i + 512] for i in range(28)]
    dissolve = [cv2.addWeighted(clip[0], 1 - share, clip[0][:, ::-1], share, 0) for share in np.linspace(0, 1, 12)]
    fade = [cv2.convertScaleAbs(one, alpha=i / 28) for i, one in enumerate(clip)]
    for pictures in (clip, shaken, flicker, pan, dissolve, fade):
        assert starts(pictures) == []
