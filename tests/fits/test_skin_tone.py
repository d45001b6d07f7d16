"""The typology angle by hand, on painted cheeks, and on rendered people whose skins are known."""

import cv2
import numpy as np
import pytest

from dataprep.fits.face.skin_tone import ITA_CLASSES, ita_class, ita_deg, skin_tone

SIDE_PX = 256
RIGHT, LEFT = (117, 119, 100, 142, 36, 205, 123), (346, 348, 329, 371, 266, 425, 352)


def mesh() -> np.ndarray:
    """A mesh whose cheeks are hexagons of 40 px at known places."""
    points = np.full((478, 2), 128.0)
    around = np.arange(7) / 7 * 2 * np.pi
    for cheek, x in ((RIGHT, 80), (LEFT, 176)):
        points[list(cheek)] = np.column_stack([x + 20 * np.cos(around), 140 + 20 * np.sin(around)])
    return points


def painted(*labs: tuple[float, float, float]) -> np.ndarray:
    """A portrait whose left and right half have CIELAB colours."""
    lab = np.empty((SIDE_PX, SIDE_PX, 3), np.float32)
    lab[:, : SIDE_PX // 2], lab[:, SIDE_PX // 2 :] = labs[0], labs[-1]
    return np.round(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255).astype(np.uint8)


def tone(portrait: np.ndarray, alpha: int = 255):
    return skin_tone(portrait, np.full((SIDE_PX, SIDE_PX), alpha, np.uint8), mesh())


@pytest.mark.parametrize(
    ("lab", "angle_deg", "name"),
    [((70, 12, 20), 45.0, "light"), ((50, 15, 18), 0.0, "brown"), ((35, 12, 15), -45.0, "dark"),
     ((76, 8, 13), 63.43, "very light")],
)  # fmt: skip
def test_the_angle_of_a_known_colour(lab, angle_deg, name):
    assert ita_deg(np.array(lab, float)) == pytest.approx(angle_deg, abs=0.01)
    found = tone(painted(lab))
    assert found.cheeks == 2
    assert found.ita_deg == pytest.approx(angle_deg, abs=2)  # of eight bits a channel
    assert ita_class(found.ita_deg) == name


def test_the_limits_belong_to_the_darker_class():
    assert [ita_class(low) for _, low in ITA_CLASSES[:-1]] == [name for name, _ in ITA_CLASSES[1:]]
    assert ita_class(-90.0) == "dark"


def test_the_lighter_cheek_speaks_and_highlights_and_moles_do_not():
    shaded = painted((45, 14, 18), (68, 14, 18))
    assert tone(shaded).ita_deg == pytest.approx(45, abs=2)
    spotted = shaded.copy()
    spotted[130:134] = 245  # a highlight across both cheeks
    spotted[145:149] = 30
    assert tone(spotted).ita_deg == pytest.approx(45, abs=2)


def test_what_is_no_skin_has_no_tone():
    skin = (65.0, 14.0, 20.0)
    grey, green, white_hair = (60.0, 0.0, 0.0), (60.0, -30.0, 25.0), (85.0, 5.0, 6.0)
    for nothing in (grey, green):
        assert (tone(painted(nothing)).cheeks, tone(painted(nothing)).ita_deg) == (0, None)
    assert tone(painted(skin), alpha=128).ita_deg is None  # see-through
    half = tone(painted(white_hair, skin))
    assert half.cheeks == 1
    assert half.ita_deg == pytest.approx(tone(painted(skin)).ita_deg, abs=0.1)
    assert tone(np.full((SIDE_PX, SIDE_PX, 3), 255, np.uint8)).ita_deg is None  # burnt out
