"""Smooth things before the mouth take its contrast away; fringes, glasses, beards, dim light and grey do not."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from dataprep.fits.face.occlusion import view_mouth
from dataprep.pictures.codecs import decode_rgb
from dataprep.stages.quality import Quality

SAMPLES = Path(__file__).parents[2] / "samples"
LEAST = 20 * Quality.min_mouth
PEOPLE = [f"photos/p{i:03d}.jpg" for i in range(19, 37) if i != 27]  # 27: a fringe over half the face


def face(name):
    truth = json.loads((SAMPLES / f"truth/{name}.json").read_text())
    return decode_rgb((SAMPLES / f"people/{name}").read_bytes()), np.array(truth["landmarks68_px"])


def covered(rgb, marks, colour, height=0.55):
    """A cup before the mouth: lit from the side, as wide as the lower face."""
    size, mouth = np.ptp(marks[:, 1]), marks[48:68].mean(axis=0)
    half = size * np.array([0.3, height / 2])
    (x0, y0), (x1, y1) = np.round(mouth - half).astype(int), np.round(mouth + half).astype(int)
    out = rgb.copy()
    shade = 0.85 + 0.15 * np.cos(np.linspace(-1.2, 1.2, x1 - x0))
    out[y0:y1, x0:x1] = (np.array(colour) * shade[:, None]).astype(np.uint8)
    return out


@pytest.mark.parametrize("name", PEOPLE)
def test_every_rendered_mouth_is_seen(name):
    view = view_mouth(*face(name))
    assert view.contrast > 1.5 * LEAST
    assert view.unlike_skin < 1 - Quality.min_uncovered


@pytest.mark.parametrize("colour", [(235, 235, 230), (180, 40, 40), (120, 80, 55), (40, 40, 45)])
@pytest.mark.parametrize("name", PEOPLE[::6])
def test_a_cup_before_the_mouth_is_seen(name, colour):
    rgb, marks = face(name)
    assert view_mouth(covered(rgb, marks, colour), marks).contrast < 0.7 * LEAST


@pytest.mark.parametrize("name", PEOPLE[::6])
def test_a_palm_of_the_skins_own_colour_is_seen_and_is_like_skin(name):
    rgb, marks = face(name)
    x, y = marks[29].astype(int)
    view = view_mouth(covered(rgb, marks, rgb[y, x]), marks)
    assert view.contrast < 0.7 * LEAST
    assert view.unlike_skin < 0.5


@pytest.mark.parametrize("name", PEOPLE[::6])
def test_light_and_size_hide_no_mouth(name):
    rgb, marks = face(name)
    grey = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    small = cv2.resize(rgb, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    for picture, points in ((grey, marks), (cv2.convertScaleAbs(rgb, alpha=0.6), marks), (small, 0.6 * marks)):
        assert view_mouth(picture, points).contrast > LEAST


def test_a_patterned_thing_looks_like_neither_skin_nor_lips():
    rgb, marks = face("photos/p022.jpg")
    thing = covered(rgb, marks, (60, 140, 60))
    x, y = marks[51].astype(int)
    thing[y - 12 : y + 30 : 4, x - 20 : x + 20] = (250, 240, 60)
    view = view_mouth(thing, marks)
    assert view.contrast > LEAST
    assert view.unlike_skin > 1 - Quality.min_uncovered


def test_landmarks_in_one_place_show_nothing():
    assert view_mouth(np.zeros((64, 64, 3), np.uint8), np.full((68, 2), 32.0)).contrast == 0
