"""People who move: limbs that point and reach, mirror images, and what is drawn for whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dataprep.models.shipped import SHIPPED_FOLDER
from tools.render import acts, life, props, reach, wardrobe
from tools.render.poses import (
    CHEST,
    HEAD,
    LEFT_ANKLE,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    RIGHT_ANKLE,
    RIGHT_ELBOW,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_WRIST,
    Leg,
    Pose,
    Reach,
)
from tools.render.recipes import Recipe, cycled
from tools.render.scene import Lights
from tools.standins.anny_base import chain_joints, pose_smpl

MODELS = SHIPPED_FOLDER
MIRRORED = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]


def test_legs_point_where_they_should_and_mirror() -> None:
    leg = Leg((0.2, -0.1, 1.0), (0.05, -1.0, 0.2), (0.3, -0.2, 1.0))
    rotations = Pose(left_leg=leg, right_leg=leg).rotations()
    rotations[0] = np.eye(3)
    whole, _ = chain_joints(np.zeros((24, 3)), rotations)
    for joint, direction in ((LEFT_HIP, leg.thigh), (LEFT_KNEE, leg.shin)):
        np.testing.assert_allclose(-whole[joint][:, 1], np.array(direction) / np.linalg.norm(direction), atol=1e-9)
    np.testing.assert_allclose(whole[LEFT_ANKLE][:, 2], np.array(leg.toes) / np.linalg.norm(leg.toes), atol=1e-9)
    mirror = np.diag([-1.0, 1.0, 1.0])
    for left, right in ((LEFT_HIP, RIGHT_HIP), (LEFT_KNEE, RIGHT_KNEE), (LEFT_ANKLE, RIGHT_ANKLE)):
        np.testing.assert_allclose(mirror @ whole[left] @ mirror, whole[right], atol=1e-9)


def test_knees_bend_about_their_axis() -> None:
    for leg in (Leg((0.2, -0.1, 1.0), (0.05, -1.0, 0.2)), Leg((0.0, -1.0, -0.3), (0.0, -0.8, -0.7))):
        knee = Rotation.from_matrix(Pose(left_leg=leg).rotations()[LEFT_KNEE]).as_rotvec()
        assert knee[0] > 0.3  # the shin goes backwards
        assert np.abs(knee[1:]).max() < 0.1 * knee[0]


def body_of(scale: float) -> tuple[np.ndarray, np.ndarray]:
    """T-posed joints of the stand-in's mean body, and its skin, in metres."""
    with np.load(MODELS / "body_anny.npz") as body:
        points = body["v_template"].astype(np.float64)
        joints = np.zeros((24, 3))
        np.add.at(joints, body["J_regressor_row"], body["J_regressor_val"][:, None] * points[body["J_regressor_col"]])
    return scale * joints, scale * points


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.12])
def test_hands_reach_their_places_on_any_body(scale: float) -> None:
    joints, skin = body_of(scale)
    hand = Reach(HEAD, (0.13, 0.04, 0.02), (1.0, 0.1, 0.3), (-0.35, 1.0, -0.35), (-1.0, -0.3, -0.1), 0.3)
    pose = Pose(body_yaw=0.4, spine=(0.2, 0.1, 0.0), head=(0.1, -0.3, 0.2), left_arm=hand, right_arm=hand)
    rotations, at = chain_joints(joints, reach.solved(pose, joints, skin))
    for side, wrist, elbow in ((1, LEFT_WRIST, LEFT_ELBOW), (-1, RIGHT_WRIST, RIGHT_ELBOW)):
        mirror = np.array([side, 1, 1])
        in_head = (at[wrist] - at[HEAD]) @ rotations[HEAD]
        np.testing.assert_allclose(in_head, np.array(hand.wrist_m) * mirror, atol=0.002)
        fingers = side * rotations[HEAD].T @ rotations[wrist][:, 0]
        np.testing.assert_allclose(fingers, np.array(hand.fingers) * mirror / np.linalg.norm(hand.fingers), atol=1e-9)
        assert side * ((at[elbow] - at[HEAD]) @ rotations[CHEST])[0] > 0.2  # elbows outwards
    bones = np.linalg.norm(np.diff(at[[LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST]], axis=0), axis=1)
    rest = np.linalg.norm(np.diff(joints[[LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST]], axis=0), axis=1)
    np.testing.assert_allclose(bones, rest)


def test_a_place_out_of_reach_stretches_the_arm_towards_it() -> None:
    joints, skin = body_of(1.0)
    far = Reach(HEAD, (0.0, 5.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    rotations, at = chain_joints(joints, reach.solved(Pose(left_arm=far), joints, skin))
    up = rotations[CHEST][:, 1]
    assert (at[LEFT_WRIST] - at[LEFT_SHOULDER]) @ up > 0.95 * np.linalg.norm(joints[LEFT_WRIST] - joints[LEFT_SHOULDER])


def test_forearms_lie_before_trunks_of_any_depth() -> None:
    joints, skin = body_of(1.0)
    pose = acts.arms_crossed(np.random.default_rng(0))
    wrists = []
    for depth in (1.0, 1.4):
        deep = np.where(np.abs(skin[:, :1]) < 0.2, skin * [1.0, 1.0, depth], skin)
        rotations, at = chain_joints(joints, reach.solved(pose, joints, deep))
        wrists.append([((at[w] - at[CHEST]) @ rotations[CHEST])[2] for w in (LEFT_WRIST, RIGHT_WRIST)])
    assert (np.diff(wrists, axis=0) > 0.02).all()


@pytest.mark.parametrize("name", sorted(life.KINDS))
def test_mirrored_poses_are_mirror_images(name: str) -> None:
    joints, skin = body_of(1.0)
    joints = (joints + joints[MIRRORED] * [-1, 1, 1]) / 2  # exactly symmetrical
    skin = np.concatenate([skin, skin * [-1, 1, 1]])
    pose = life.turned(life.KINDS[name].pose(np.random.default_rng(3)), np.random.default_rng(4), 0.3)
    _, at = chain_joints(joints, reach.solved(pose, joints, skin))
    _, mirrored = chain_joints(joints, reach.solved(acts.mirrored(pose), joints, skin))
    np.testing.assert_allclose(mirrored - mirrored[0], (at - at[0])[MIRRORED] * [-1, 1, 1], atol=1e-9)


def standing_person(index: int, sex: str = "female") -> Recipe:
    outfits = {"female": wardrobe.FEMALE_OUTFITS, "male": wardrobe.MALE_OUTFITS}[sex]
    return Recipe(
        seed=7, index=index, sex=sex, age_years=30.0, phenotype={}, local={}, race_share={}, skin_gain=1.0,
        outfit=outfits[0], top=None, bottom=None, shoes="shoes01", hair="bob01", hair_colour="white", brow="", lash="",
        iris="brown", expression_name="neutral", expression={}, pose_name="down", pose=Pose(), fov_deg=15.0, fill=0.9,
        lights=Lights(), backdrop="white", defect="none",
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(life.KINDS))
def test_people_who_move_follow_from_seed_and_number(name: str) -> None:
    assert life.lively(standing_person(3), name) == life.lively(standing_person(3), name)
    assert life.lively(standing_person(3), name).pose != life.lively(standing_person(4), name).pose
    recipe = life.lively(standing_person(3), name)
    assert recipe.outfit.name != life.SKIRT
    assert recipe.hair not in life.FRINGES
    assert recipe.backdrop in life.KINDS[name].backdrops


def test_jackets_stay_off_where_arms_lie_on_the_trunk() -> None:
    jacket = next(outfit for outfit in wardrobe.MALE_OUTFITS if outfit.name in life.JACKETS)
    dressed = replace(standing_person(8, "male"), outfit=jacket)
    assert life.lively(dressed, "arms crossed").outfit.name not in life.JACKETS
    assert life.lively(dressed, "walking").outfit == jacket


def test_dark_hair_before_a_dark_wall_stays_dark() -> None:
    drawn = {life.lively(standing_person(index), "long hair, dark").hair_colour for index in range(12)}
    assert "white" not in drawn
    assert len(drawn) > 1


def test_no_kind_belongs_to_one_sex() -> None:
    names = tuple(life.KINDS)
    drawn = [(cycled(names, index), index % 2) for index in range(2 * len(names))]  # even numbers are women
    assert {name for name, _ in drawn[: len(names)]} == set(names)
    assert len(set(drawn)) == 2 * len(names)


@pytest.mark.parametrize("shin_z", [-0.5, 0.0, 0.3])
def test_seats_are_below_the_thighs_and_behind_the_shins(shin_z: float) -> None:
    joints, skin = body_of(1.0)
    leg = Leg((0.15, 0.0, 1.0), (0.0, -1.0, shin_z))
    with np.load(MODELS / "body_anny.npz") as body:
        posed = pose_smpl(skin, joints, Pose(left_leg=leg, right_leg=leg).rotations(), body["weights"])
    pelvis = posed.global_rotations[0]
    at = posed.joints_m @ pelvis
    low, high = props.seat_corners_m(posed.vertices_m @ pelvis, at)
    assert 0.03 < at[LEFT_HIP, 1] - high[1] < 0.15
    assert low[1] < at[[LEFT_ANKLE, RIGHT_ANKLE], 1].min()
    assert high[2] < at[[LEFT_KNEE, LEFT_ANKLE], 2].min()
    assert low[0] < at[[LEFT_HIP, RIGHT_HIP], 0].min() < at[[LEFT_HIP, RIGHT_HIP], 0].max() < high[0]


def test_sides_of_a_box_face_outwards() -> None:
    turned = Rotation.from_rotvec([0.3, 0.5, -0.2]).as_matrix()
    surface = props.box(np.array([-1.0, -2.0, -3.0]), np.array([1.0, 2.0, 3.0]), turned, np.array([0.2, 0.3, 0.4]))
    outwards = surface.position_m / np.linalg.norm(surface.position_m, axis=1, keepdims=True)
    assert ((surface.normals() * outwards).sum(axis=1) > 0.2).all()
    assert {material.material.holdout for material in props.held_out([surface])} == {True}
