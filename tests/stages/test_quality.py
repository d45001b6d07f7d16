"""Quality scores fall when a portrait gets worse, stay in [0, 1], and decide with a reason."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from dataprep.frames import geometry
from dataprep.pictures.codecs import encode_png
from dataprep.stages.base import Item
from dataprep.stages.quality import RULES, Quality, quality_scores

SIDE = 250
MATRIX = geometry.square_from_source(np.array([224.0, 150.0]), SIDE, 0.0, SIDE)
FACE = np.column_stack([np.linspace(176, 272, 68), 120 + 60 * np.sin(np.linspace(0, 6.28, 68))])
ROW = {
    "landmarks68_px": FACE, "crop_native_from_source": MATRIX, "crop_inside": 1.0, "crop_roll_rad": 0.0,
    "body_fit_rmse_relative": 0.06, "body_fit_portrait_rmse_relative": 0.02, "bfm_trans": np.zeros(3, np.float32),
    "face_alignment": np.array([101.5 / 109.2, 256, 200], np.float32),  # 109 px per dm: the metres of the crop
    "matte_enclosed": 0.005, "matte_see_through": 0.01, "matte_faint_edge": 0.0,
    "face_fit_rmse": 3.0, "mesh_agreement": 1.0, "mesh_spread": 0.01, "yaw": 0.2,
    "roll": 0.1, "pitch": 0.0, "head_turns_rad": np.array([0.2, 0.3, 0.1]),
    "head_disagreement_before": 0.1, "crop_side_px": SIDE, "hand_over_face": 0.0,
    "crop_from_source": geometry.compose(geometry.scaled(512 / SIDE), MATRIX),
    "photo_box_px": np.array([0.0, 0.0, 512.0, 512.0]),
}  # fmt: skip
CROP = geometry.resample(astronaut(), MATRIX, SIDE)
ALPHA = np.zeros((512, 512), np.uint8)
ALPHA[60:, 180:330] = ALPHA[330:, 20:490] = 255


def scores(crop=CROP, alpha=ALPHA, **row):
    return quality_scores(crop, alpha, {**ROW, **row})


@pytest.fixture(scope="module")
def good():
    return scores()


def test_there_is_one_score_and_one_threshold_for_every_rule(good):
    stage = Quality()
    assert set(good) == {rule.score for rule in RULES}
    assert all(0 <= getattr(stage, rule.threshold) <= 1 for rule in RULES)
    assert all(0 <= value <= 1 for value in good.values())


def test_blur_lowers_sharpness_step_by_step(good):
    values = [scores(cv2.GaussianBlur(CROP, (0, 0), sigma))["q_sharpness"] for sigma in (1.0, 2.0, 4.0)]
    assert good["q_sharpness"] > values[0] > values[1] > values[2]
    assert values[2] < Quality().min_sharpness < good["q_sharpness"]


def test_clipping_and_fog_are_seen(good):
    clipped = (CROP.astype(int) * 4).clip(0, 255).astype(np.uint8)
    fog = (200 + CROP // 20).astype(np.uint8)
    assert scores(clipped)["q_exposure"] < good["q_exposure"]
    assert scores(fog)["q_contrast"] < Quality().min_contrast


@pytest.mark.parametrize(
    ("score", "worse"),
    [
        ("q_body_fit", {"body_fit_portrait_rmse_relative": 0.06}),
        ("q_body_fit", {"body_fit_rmse_relative": 0.25}),
        ("q_head_size", {"face_alignment": np.array([101.5 / 130, 256, 200], np.float32)}),
        ("q_head_size", {"bfm_trans": np.array([0, 0, -2.2], np.float32)}),
        ("q_inside", {"crop_inside": 0.5}),
        ("q_matte", {"matte_enclosed": 0.08}),
        ("q_matte", {"matte_see_through": 0.08}),
        ("q_matte", {"matte_faint_edge": 0.8}),
        ("q_face_fit", {"face_fit_rmse": 15.0}),
        ("q_cut_top", {"photo_box_px": np.array([0.0, 90.0, 512.0, 512.0])}),
        ("q_cut_sides", {"photo_box_px": np.array([0.0, 0.0, 300.0, 512.0])}),
        ("q_cut_bottom", {"photo_box_px": np.array([0.0, 0.0, 512.0, 250.0])}),
        ("q_landmarks", {"mesh_agreement": 0.4}),
        ("q_landmarks", {"mesh_spread": 0.05}),
        ("q_frontal", {"yaw": -1.3}),
        ("q_frontal", {"yaw": 0.8, "pitch": -0.7}),  # looks down at the side: 58 degrees away
        ("q_frontal", {"head_turns_rad": np.array([-1.0, 0.1, -1.1])}),  # two of three witnesses say so
        ("q_head_roll", {"roll": -0.9}),
        ("q_hand", {"hand_over_face": 0.8}),
        ("q_native_size", {"crop_side_px": 150.0}),
        ("q_head_agreement", {"head_disagreement_before": 0.9}),
        ("q_upright", {"crop_roll_rad": -0.4}),
    ],
)
def test_each_score_answers_to_its_own_cause_only(good, score, worse):
    changed = {name for name, value in scores(**worse).items() if value != good[name]}
    assert changed == {score}
    assert scores(**worse)[score] < getattr(Quality(), "min_" + score.removeprefix("q_"))


def test_one_witness_alone_turns_no_head_away(good):
    assert scores(head_turns_rad=np.array([0.2, 2.2, 0.1]))["q_frontal"] == good["q_frontal"]


def test_missing_shoulders_are_seen():
    alpha = ALPHA.copy()
    alpha[400:] = 0
    assert scores(alpha=alpha)["q_shoulders"] == 0


def item(**row):
    blobs = {"crop.png": encode_png(CROP), "alpha.png": encode_png(ALPHA), "portrait.png": encode_png(CROP)}
    return Item("id", {**ROW, **row}, None, blobs.__getitem__)


def test_a_rejection_names_the_rule_the_score_and_the_threshold():
    assert Quality().process_item(item(), None).status == "ok"
    lost = Quality().process_item(item(face_fit_rmse=15.0), None)
    assert (lost.status, lost.reason) == ("rejected", "face_fit")
    assert "q_face_fit 0.27, at least 0.40" in lost.message
    assert lost.columns["flag_face_fit"]
    assert len(lost.columns["portrait_dhash"]) == 32


def test_a_leaning_person_is_flagged_and_kept():
    kept = Quality().process_item(item(crop_roll_rad=0.4), None)
    assert kept.status == "ok"
    assert kept.columns["flag_upright"]
