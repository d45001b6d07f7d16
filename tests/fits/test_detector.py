import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dataprep.fits.body.detector_errors import DetectorModel, assumed, load_detector, save_detector
from dataprep.fits.body.mediapipe_standin import Exemplars, ExtraNoise, observe
from dataprep.fits.body.random_people import People, sample_people
from dataprep.frames.smpl_joints import NECK
from dataprep.models.body.body_points import BodyPoints, body_points
from dataprep.models.body.mediapipe_points import POINT_NAMES, POINTS
from dataprep.models.body.smpl import load_body
from tools.calibration.measure_detector import _IBUG_MIRROR, _POINT_MIRROR, DetectorSighting, measure

SHARP = ExtraNoise(severity=0.0, definition_m=0.0, world_turn_deg=0.0, world_depth=0.0, proportion=0.0, missing=0.0)
PERFECT = DetectorModel(np.zeros((23, 3)), np.zeros((23, 3)), np.zeros((115, 115)), np.zeros((3, 68, 3)))
SHOULDERS = [POINTS.index("left_shoulder"), POINTS.index("right_shoulder")]


@pytest.fixture(scope="module")
def points() -> BodyPoints:
    return body_points(load_body(), POINT_NAMES)


def see(points: BodyPoints, model: DetectorModel, extra: ExtraNoise, count: int = 50) -> tuple[People, Exemplars]:
    people = sample_people(np.random.default_rng(2), count, points)
    return people, observe(np.random.default_rng(3), people, points, model, extra)


def test_a_perfect_detector_reports_the_projection(points: BodyPoints) -> None:
    people, seen = see(points, PERFECT, SHARP)
    torch.testing.assert_close(seen.inputs.points, seen.clean, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.inputs.points[:, SHOULDERS].mean(1), torch.zeros(50, 2), atol=1e-5, rtol=0)
    # About the neck, perspective is the stated scale: compare the shoulders' spread with metres.
    metres = (people.posed.points[:, SHOULDERS[0]] - people.posed.points[:, SHOULDERS[1]])[:, :2]
    units = seen.clean[:, SHOULDERS[0]] - seen.clean[:, SHOULDERS[1]]
    torch.testing.assert_close(units, seen.scale[:, None] * metres, atol=0.02, rtol=0.05)
    # World points are the body's own, up to one factor.
    about = people.posed.points - people.posed.points[:, SHOULDERS].mean(1, keepdim=True)
    factor = seen.inputs.world.flatten(1).norm(dim=1) / about.flatten(1).norm(dim=1)
    torch.testing.assert_close(seen.inputs.world, about * factor[:, None, None], atol=1e-4, rtol=0)


def test_the_neck_lies_where_the_camera_puts_it(points: BodyPoints) -> None:
    """Neck and shoulders are 3 cm apart in depth at most, so their image distance is their distance in x and y."""
    people, seen = see(points, PERFECT, SHARP)
    offset = people.posed.points[:, SHOULDERS].mean(1) - people.posed.joints[:, NECK]
    torch.testing.assert_close(seen.neck, -offset[:, :2] * seen.scale[:, None], atol=0.01, rtol=0)


def test_world_offsets_turn_with_the_head(points: BodyPoints) -> None:
    offset = np.zeros((23, 3))
    offset[0] = (0, 0, 0.05)  # the nose, 5 cm forward
    leaning = DetectorModel(np.zeros((23, 3)), offset, np.zeros((115, 115)), PERFECT.landmark_offset_dm)
    people, plain = see(points, PERFECT, SHARP)
    _, moved = see(points, leaning, SHARP)
    shift = (moved.inputs.world - plain.inputs.world)[:, 0]
    facing = people.posed.rotations[:, 15, :, 2]
    assert (torch.cosine_similarity(shift, facing, dim=1) > 0.999).all()
    torch.testing.assert_close(moved.inputs.world[:, 1:], plain.inputs.world[:, 1:])


def test_cut_pictures_hide_what_is_below(points: BodyPoints) -> None:
    _, seen = see(points, PERFECT, SHARP, count=400)
    visible, y = seen.inputs.visible, seen.inputs.points[..., 1]
    partial = ~visible.all(1)
    assert 0.2 < partial.float().mean() < 0.5
    assert visible[:, [POINTS.index("nose"), *SHOULDERS]].all()
    lowest_seen = y.masked_fill(~visible, -torch.inf).amax(1)
    highest_hidden = y.masked_fill(visible, torch.inf).amin(1)
    assert (highest_hidden >= lowest_seen)[partial].float().mean() > 0.9  # nose and shoulders always count as seen


def test_files_round_trip(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = assumed()
    save_detector(tmp_path / "d.npz", model)
    again = load_detector(tmp_path / "d.npz")
    np.testing.assert_allclose(again.residual_chol, model.residual_chol, rtol=1e-6)
    assert len(again.sha256) == 64


def made_up_sightings(count: int) -> tuple[list[DetectorSighting], np.ndarray, np.ndarray, np.ndarray]:
    """People with mirror-symmetric true offsets and noise on the nose only."""
    rng = np.random.default_rng(8)
    flip = np.array([-1.0, 1, 1])
    image = rng.normal(0, 0.02, (23, 3))
    image = (image + (image * flip)[_POINT_MIRROR]) / 2
    landmarks = rng.normal(0, 0.05, (68, 3))
    landmarks = (landmarks + (landmarks * flip)[_IBUG_MIRROR]) / 2
    slope = rng.normal(0, 0.03, (68, 3))
    slope = (slope - (slope * flip)[_IBUG_MIRROR]) / 2  # a mirrored yaw has the other sign
    sightings = []
    for _ in range(count):
        turn = Rotation.from_euler("yxz", rng.normal(0, (0.5, 0.1, 0.1))).as_matrix()
        carrier = np.broadcast_to(turn, (23, 3, 3))
        flat = (image @ turn.T)[:, :2]
        flat[0] += rng.normal(0, 0.01, 2)
        yaw = np.arctan2(turn[0, 2], turn[2, 2])
        seen = ((landmarks + yaw * slope) @ turn.T)[:, :2]
        sightings.append(DetectorSighting(flat, image @ turn.T, carrier, seen, turn))
    return sightings, image, landmarks, slope


def test_measured_offsets_and_residuals_are_the_true_ones() -> None:
    sightings, image, landmarks, slope = made_up_sightings(300)
    found_image, found_world, chol, found_landmarks = measure(sightings)
    np.testing.assert_allclose(found_image, image, atol=3e-3)
    np.testing.assert_allclose(found_world, 0, atol=3e-3)
    np.testing.assert_allclose(found_landmarks[0], landmarks, atol=8e-3)
    np.testing.assert_allclose(found_landmarks[2], slope, atol=1e-2)
    sd = np.sqrt((chol**2).sum(1))
    np.testing.assert_allclose(sd[:2], 0.01, rtol=0.15)
    assert sd[2:].max() < 2e-3
