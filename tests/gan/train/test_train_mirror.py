"""Mirroring, checked against bodies, faces and cameras that are mirrored as geometry."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from dataprep.fits.generator_labels import camera_direction
from dataprep.models.body.smpl import BodyModel as BodyFile
from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import FaceModel, load_face
from gan.data.label_rows import LABEL_SHAPES, Labels
from gan.data.mirror import Mirror, coefficient_mirror, mirror_camera, mirror_joints, mirror_of_models
from gan.rendering.body_arrays import BodyArrays
from gan.rendering.posed_body import PosableBody

FLIP = np.array([-1, 1, 1])


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return load_face()


@pytest.fixture(scope="module")
def body() -> BodyFile:
    return load_body()


@pytest.fixture(scope="module")
def mirror(face: FaceModel, body: BodyFile) -> Mirror:
    return mirror_of_models(face.mean, face.id_base, face.exp_base, body.v_template, body.shapedirs)


def test_mirroring_twice_is_nothing(mirror: Mirror, labels: Labels) -> None:
    twice = mirror.labels(mirror.labels(labels))
    for name in LABEL_SHAPES:
        tolerance = 0.02 if name == "bfm_exp" else 1e-3  # expressions lose 1 % a time
        np.testing.assert_allclose(getattr(twice, name), getattr(labels, name), atol=tolerance, err_msg=name)


def test_cameras_see_from_the_mirrored_side() -> None:
    angles = np.array([[1.4, 1.2], [np.pi / 2, np.pi / 2], [1.7, -2.9]], np.float32)
    for label, mirrored in zip(angles, mirror_camera(angles), strict=True):
        np.testing.assert_allclose(camera_direction(mirrored), camera_direction(label) * FLIP, atol=1e-6)
    assert (np.abs(mirror_camera(angles)) <= np.pi).all()


def test_a_posed_body_becomes_its_mirror_image(mirror: Mirror, labels: Labels, body: BodyFile) -> None:
    """Vertices of the mirrored labels = mirrored vertices of the labels, through the generator's own skinning."""
    partner = cKDTree(body.v_template).query(body.v_template * FLIP)[1]
    chosen = np.arange(0, len(body.v_template), 7)
    arrays = BodyArrays(
        body.v_template, body.shapedirs, body.joint_regressor.toarray(), body.weights,
        np.array([-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]),
    )  # fmt: skip
    flipped = mirror.labels(labels)
    as_is, partners = PosableBody(arrays, chosen), PosableBody(arrays, partner[chosen])
    one = as_is(torch.from_numpy(flipped.smpl_betas[:3]), torch.from_numpy(flipped.joints_zyx[:3]))
    other = partners(torch.from_numpy(labels.smpl_betas[:3]), torch.from_numpy(labels.joints_zyx[:3]))
    unmoved = as_is(torch.from_numpy(labels.smpl_betas[:3]), torch.from_numpy(labels.joints_zyx[:3]))
    wanted = other.vertices_BV3 * torch.from_numpy(FLIP)
    assert (one.vertices_BV3 - wanted).abs().max() < 5e-4  # face units: 0.6 mm
    assert (unmoved.vertices_BV3 - wanted).abs().max() > 0.02


def test_joints_trade_places() -> None:
    joints = np.arange(18, dtype=np.float32).reshape(1, 6, 3)
    mirrored = mirror_joints(joints)[0]
    assert mirrored[0].tolist() == [0, -1, 2]  # neck: z and y turn
    assert mirrored[1].tolist() == [-6, -7, 8]  # left collar has the right one's
    assert mirrored[5].tolist() == [-12, -13, 14]  # right shoulder has the left one's


def test_landmarks_of_a_mirrored_face(mirror: Mirror, labels: Labels, face: FaceModel) -> None:
    """The 68 points of the mirrored face, seen from the front, are those of the face in the mirror."""

    def seen(rows: Labels) -> np.ndarray:
        points = np.stack(
            [face.shape(i, e)[face.landmarks, :2] for i, e in zip(rows.bfm_id, rows.bfm_exp, strict=True)]
        )
        return (256 + points * [100, -100]).astype(np.float32)

    first = replace(labels.take(slice(0, 5)), bfm_exp=labels.bfm_exp[:5] * 5)
    drawn = replace(first, landmarks68=seen(first))
    flipped = mirror.labels(drawn)
    assert np.abs(flipped.landmarks68 - seen(flipped)).max() < 0.5  # pixels of 1 mm
    assert np.abs(drawn.landmarks68 - seen(flipped)).max() > 3


def test_what_the_standins_can_mirror(mirror: Mirror) -> None:
    assert mirror.bfm_id is not None
    assert mirror.bfm_exp is not None
    assert mirror.smpl_betas is not None
    assert mirror.bfm_id.residual < 1e-5
    np.testing.assert_allclose(np.abs(mirror.bfm_id.matrix), np.eye(80), atol=1e-5)  # symmetric or antisymmetric
    assert 0.005 < mirror.bfm_exp.residual < 0.02
    assert mirror.smpl_betas.residual < 0.003


def test_a_model_that_cannot_be_mirrored_keeps_its_coefficients(
    labels: Labels, face: FaceModel, body: BodyFile
) -> None:
    one_sided = face.id_base * (face.mean[:, :1, None] > 0)
    assert not coefficient_mirror(face.mean, one_sided).exact_enough
    mirror = mirror_of_models(face.mean, one_sided, face.exp_base, body.v_template, body.shapedirs)
    assert mirror.bfm_id is None
    assert not mirror.has_identity
    np.testing.assert_array_equal(mirror.labels(labels).bfm_id, labels.bfm_id)
