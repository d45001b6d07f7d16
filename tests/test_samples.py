"""The committed samples: complete, small, and truth that agrees with itself (no renderer needed)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
PEOPLE, TRUTH = SAMPLES / "people", SAMPLES / "truth"
TRUTH_FILES = sorted(TRUTH.glob("*/*.json"))
BAD = json.loads((TRUTH / "bad.json").read_text())
LIVELY = [r for r in (json.loads(path.read_text()) for path in TRUTH_FILES) if r["seed"][1] >= 500]
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
CHEST, NECK, HEAD = 9, 12, 15
LEFT_EYE, RIGHT_EYE = slice(42, 48), slice(36, 42)  # of the subject, iBUG numbering
SHAPES = {
    "joints_cam_m": (24, 3),
    "joints_px": (24, 2),
    "rotations_local": (24, 3, 3),
    "rotations_cam": (24, 3, 3),
    "landmarks68_px": (68, 2),
    "head_from_3dmm": (3, 3),
    "bfm_id": (80,),
    "bfm_exp": (64,),
    "betas": (10,),
}


@pytest.fixture(params=TRUTH_FILES, ids=lambda path: path.name.removesuffix(".json"))
def truth(request: pytest.FixtureRequest) -> dict[str, Any]:
    record = json.loads(request.param.read_text())
    assert request.param == TRUTH / f"{record['image']}.json"
    return record


Joints = dict[str, np.ndarray]
NUMBERS = {
    "left hip": 1, "right hip": 2, "left knee": 4, "right knee": 5, "left ankle": 7, "right ankle": 8, "head": 15,
    "left elbow": 18, "right elbow": 19, "left wrist": 20, "right wrist": 21,
}  # fmt: skip
SIDES = ("left", "right")


def joints_in_chest(record: dict[str, Any]) -> Joints:
    """Positions relative to the chest joint in its axes, metres."""
    joints = np.array(record["joints_cam_m"])
    inside = (joints - joints[CHEST]) @ np.array(record["rotations_cam"])[CHEST]
    return {name: inside[number] for name, number in NUMBERS.items()}


def nearest_wrist_m(at: Joints) -> float:
    return float(min(np.linalg.norm(at[f"{side} wrist"] - at["head"]) for side in SIDES))


def thighs_fall(at: Joints) -> float:
    """How steeply the steeper thigh falls towards the knee: 0 is level, 1 hangs down."""
    thighs = [at[f"{side} knee"] - at[f"{side} hip"] for side in SIDES]
    return float(max(-thigh[1] / np.linalg.norm(thigh) for thigh in thighs))


def angle_deg(rotation: np.ndarray) -> float:
    return math.degrees(math.acos(float(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def test_enough_and_not_too_much() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12e6
    assert len(TRUTH_FILES) >= 50
    assert len(BAD) >= 16
    masks = {path.stem for path in (PEOPLE / "segments").iterdir()}
    assert masks == {path.stem for path in (PEOPLE / "no_segment").iterdir()}
    assert len(masks) >= 16


def test_every_input_is_either_good_or_bad() -> None:
    inputs = {
        p.relative_to(PEOPLE).as_posix() for p in PEOPLE.rglob("*") if p.is_file() and p.parent.name != "segments"
    }
    good = {p.relative_to(TRUTH).as_posix().removesuffix(".json") for p in TRUTH_FILES}
    assert good.isdisjoint(BAD)
    assert inputs == good | set(BAD)


def test_bad_inputs_are_what_they_claim() -> None:
    reasons = {entry["reason"] for entry in BAD.values()}
    assert {"undecodable", "empty_file", "unsupported_mode", "duplicate"} <= reasons
    assert {"no_person", "multiple_people", "face_out_of_frame", "back_view"} <= reasons
    assert {entry["stage"] for entry in BAD.values()} <= {"ingest", "detect", "crop", "quality"}
    assert (PEOPLE / "bad" / "zero_bytes.jpg").stat().st_size == 0
    assert Image.open(PEOPLE / "bad" / "grey16.png").mode == "I;16"
    with pytest.raises(OSError, match="truncated"):
        Image.open(PEOPLE / "bad" / "truncated.jpg").load()
    (copy,) = (image for image, entry in BAD.items() if entry["reason"] == "duplicate")
    same = [p for p in PEOPLE.rglob("*.jpg") if p.read_bytes() == (PEOPLE / copy).read_bytes()]
    assert [p.relative_to(PEOPLE).as_posix() for p in sorted(same)] == [copy.replace("_copy", ""), copy]


def test_truth_has_the_schema(truth: dict[str, Any]) -> None:
    assert truth["schema"] == 1
    assert truth["expect"] == "ok"
    assert set(truth["camera"]) == {"fx", "fy", "cx", "cy"}
    assert set(truth["crop"]) == {"centre_px", "side_px", "roll_rad", "px_per_m"}
    for key, shape in SHAPES.items():
        array = np.asarray(truth[key], dtype=np.float64)
        assert array.shape == shape, key
        assert np.isfinite(array).all(), key


def test_joints_are_projected_by_the_camera(truth: dict[str, Any]) -> None:
    camera, joints = truth["camera"], np.array(truth["joints_cam_m"])
    pixels = joints[:, :2] / joints[:, 2:] * [camera["fx"], camera["fy"]] + [camera["cx"], camera["cy"]]
    np.testing.assert_allclose(pixels, truth["joints_px"], atol=0.01)


def test_global_rotations_are_products_of_local_ones(truth: dict[str, Any]) -> None:
    local = np.array(truth["rotations_local"])
    np.testing.assert_allclose(local @ local.transpose(0, 2, 1), np.tile(np.eye(3), (24, 1, 1)), atol=1e-5)
    chained = [local[0]]
    for joint in range(1, 24):
        chained.append(chained[PARENTS[joint]] @ local[joint])
    np.testing.assert_allclose(chained, truth["rotations_cam"], atol=1e-5)


def test_crop_follows_the_portrait_camera(truth: dict[str, Any]) -> None:
    joints, camera = np.array(truth["joints_cam_m"]), truth["camera"]
    up = np.array(truth["rotations_cam"])[CHEST][:, 1]
    px_per_m = camera["fx"] / joints[NECK, 2]
    target = joints[NECK] + 0.129044 * up
    centre = [camera["fx"] * target[0] / target[2] + camera["cx"], camera["fy"] * target[1] / target[2] + camera["cy"]]
    np.testing.assert_allclose(truth["crop"]["px_per_m"], px_per_m, rtol=1e-4)
    np.testing.assert_allclose(truth["crop"]["side_px"], 0.469068 * px_per_m, rtol=1e-4)
    np.testing.assert_allclose(truth["crop"]["centre_px"], centre, atol=0.02)
    np.testing.assert_allclose(truth["crop"]["roll_rad"], math.atan2(up[0], -up[1]), atol=1e-5)


def test_landmarks_lie_on_the_head(truth: dict[str, Any]) -> None:
    landmarks, crop = np.array(truth["landmarks68_px"]), truth["crop"]
    assert (landmarks > 0).all()
    assert (landmarks < [truth["width"], truth["height"]]).all()
    assert (np.abs(landmarks - crop["centre_px"]).max(axis=1) < 0.6 * crop["side_px"]).all()
    # Not mirrored: the subject's left eye is on the image's right unless the head is in profile.
    assert landmarks[LEFT_EYE, 0].mean() > landmarks[RIGHT_EYE, 0].mean()
    # The chin (8) is further along the neck-to-head direction's opposite than the brows (19, 24).
    down = np.array(truth["joints_px"])[NECK] - np.array(truth["joints_px"])[HEAD]
    assert landmarks[8] @ down > landmarks[[19, 24]].mean(axis=0) @ down


def test_head_of_the_3dmm_turns_with_the_head_joint(truth: dict[str, Any]) -> None:
    gl_from_cam = np.diag([1.0, -1.0, -1.0])
    head = gl_from_cam @ np.array(truth["rotations_cam"])[HEAD]
    face = np.array(truth["head_from_3dmm"])
    np.testing.assert_allclose(np.linalg.det(face), 1.0, atol=1e-5)
    assert angle_deg(face.T @ head) < 6.0  # skinning bends the jaw a little between neck and head


def test_yaw_stays_in_the_promised_range(truth: dict[str, Any]) -> None:
    assert abs(truth["recipe"]["chest_yaw_deg"]) < 52
    assert abs(truth["recipe"]["head_yaw_deg"]) < 58


def test_pictures_masks_and_alpha_agree(truth: dict[str, Any]) -> None:
    size = (truth["width"], truth["height"])
    path = PEOPLE / truth["image"]
    with Image.open(path) as stored:
        assert ImageOps.exif_transpose(stored).size == size
    alpha = np.asarray(Image.open((TRUTH / truth["image"]).parent / truth["alpha"]))
    assert alpha.dtype == np.uint8
    assert alpha.shape == size[::-1]
    rows = np.flatnonzero((alpha > 127).any(axis=1))
    least, most = (0.15, 0.21) if truth["recipe"]["pose"] == "far away" else (0.6, 0.94)
    assert least < (rows[-1] - rows[0]) / size[1] < most
    joints = np.array(truth["joints_px"]).astype(int)
    assert (alpha[joints[:, 1], joints[:, 0]] > 127).mean() > 0.9
    if truth["image"].startswith("no_segment/"):
        mask = np.asarray(Image.open(PEOPLE / "segments" / f"{path.stem}.png"))
        assert set(np.unique(mask)) == {0, 255}
        np.testing.assert_array_equal(mask > 127, alpha > 127)


def test_native_crops_are_large_enough_to_be_enlarged(truth: dict[str, Any]) -> None:
    assert truth["crop"]["side_px"] > 200


def test_the_far_person_is_small_in_a_large_photograph() -> None:
    (far,) = (record for record in LIVELY if record["recipe"]["pose"] == "far away")
    assert far["width"] * far["height"] > 12e6


# What each pose must show, measured on its true joints in the chest's axes (x to the subject's left, y up, z forwards).
SHOWN: dict[str, Callable[[Joints], bool]] = {
    "walking": lambda at: abs(at["left ankle"][2] - at["right ankle"][2]) > 0.35,
    "far away": lambda at: abs(at["left ankle"][2] - at["right ankle"][2]) > 0.35,
    "arms crossed": lambda at: at["left wrist"][0] < at["right wrist"][0] and at["left elbow"][1] < 0,
    "hand to hair": lambda at: nearest_wrist_m(at) < 0.18,
    "hand to chin": lambda at: nearest_wrist_m(at) < 0.24,
    "hands behind head": lambda at: max(np.linalg.norm(at[f"{s} wrist"] - at["head"]) for s in SIDES) < 0.18,
    "jumping": lambda at: min(at[f"{side} wrist"][1] for side in SIDES) > at["head"][1],
    "star jump": lambda at: at["left ankle"][0] - at["right ankle"][0] > 0.6,
    "seated": lambda at: thighs_fall(at) < 0.35,
    "seated, legs crossed": lambda at: thighs_fall(at) < 0.35 and at["left ankle"][0] < at["right ankle"][0],
    "legs crossed": lambda at: at["left ankle"][0] < at["right ankle"][0],
    "leaning forward": lambda at: at["left ankle"][2] > 0.3,
    "leaning aside, dark": lambda at: abs(at["left hip"][0] + at["right hip"][0]) > 0.07,
    "long hair, dark": lambda at: True,
}


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_people_who_move_do_what_they_are_named_for(name: str) -> None:
    records = [record for record in LIVELY if record["recipe"]["pose"] == name]
    assert records
    assert all(SHOWN[name](joints_in_chest(record)) for record in records)


def test_a_seat_is_no_part_of_the_person() -> None:
    (seated,) = (record for record in LIVELY if record["recipe"]["pose"] == "seated")
    alpha = np.asarray(Image.open((TRUTH / seated["image"]).parent / seated["alpha"]))
    between_the_shins = np.array(seated["joints_px"])[[4, 5, 7, 8]].mean(axis=0).astype(int)
    assert alpha[between_the_shins[1], between_the_shins[0]] == 0


def test_at_least_twelve_people_move() -> None:
    assert len(LIVELY) >= 12
    dark = [r for r in LIVELY if r["recipe"]["hair"] == "long01" and r["recipe"]["backdrop"] in ("dark", "bokeh")]
    assert len(dark) >= 2


def test_exif_photograph_is_stored_on_its_side() -> None:
    with Image.open(PEOPLE / "photos" / "exif_rotated.jpg") as stored:
        assert stored.getexif()[0x0112] == 6
        assert stored.width > stored.height
        upright = np.asarray(ImageOps.exif_transpose(stored), dtype=np.float64)
    alpha = np.asarray(Image.open(TRUTH / "photos" / "exif_rotated.jpg.alpha.png")) > 127
    person, around = upright[alpha].mean(), upright[~alpha].mean()
    turned = alpha[::-1, ::-1]
    # The truth's outline separates the upright picture better than the same outline upside down.
    assert abs(person - around) > abs(upright[turned].mean() - upright[~turned].mean())


def test_people_differ() -> None:
    records = [json.loads(path.read_text()) for path in TRUTH_FILES]
    recipes = [record["recipe"] for record in records]
    for key, least in (("outfit", 10), ("hair", 8), ("expression", 9), ("pose", 9), ("backdrop", 8), ("defect", 4)):
        assert len({recipe[key] for recipe in recipes}) >= least, key
    assert min(r["chest_yaw_deg"] for r in recipes) < -25 < 25 < max(r["chest_yaw_deg"] for r in recipes)
    identities = np.array([record["bfm_id"] for record in records])
    distances = np.linalg.norm(identities[:, None] - identities[None], axis=-1) + 1e9 * np.eye(len(records))
    assert distances.min() > 1.0
