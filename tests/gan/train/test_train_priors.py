"""Codes are rows of the labels, jointly where the authors draw jointly."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dataprep.errors import ConfigError
from dataprep.tables.outliers import robust_distance
from gan.data.label_rows import Labels
from gan.data.mirror import Mirror, mirror_camera, mirror_joints
from gan.data.priors import LabelPrior, Purpose


def rows_of(values: torch.Tensor, table: np.ndarray) -> np.ndarray:
    """Index of each drawn row in a label table; fails where there is none."""
    equal = (values.numpy()[:, None] == table[None]).reshape(len(values), len(table), -1).all(2)
    assert equal.any(1).all()
    return equal.argmax(1)


def test_what_is_drawn_jointly_and_what_apart(labels: Labels) -> None:
    codes = LabelPrior(labels, seed=1).draw(range(300), Purpose.GENERATOR)
    camera = rows_of(codes.camera_B2, labels.camera_pitch_yaw)
    assert (camera == rows_of(codes.pose_BP3, labels.joints_zyx)).all()
    assert (camera == rows_of(codes.face_camera_B2, labels.face_pitch_yaw)).all()
    identity = rows_of(codes.z_id_BK, labels.bfm_id)
    assert (identity == rows_of(codes.betas_BK, labels.smpl_betas)).all()
    expression = rows_of(codes.z_exp_BK, labels.bfm_exp)
    for one, other in ((camera, identity), (identity, expression), (camera, expression)):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.2
    assert len(set(camera)) == len(labels)  # 300 draws reach every one of 40 rows
    assert abs(codes.noise_BK.mean()) < 0.05
    assert abs(codes.noise_BK.std() - 1) < 0.05


def test_a_draw_is_a_function_of_seed_purpose_and_position(labels: Labels) -> None:
    prior = LabelPrior(labels, seed=1)
    whole = prior.draw(range(8), Purpose.GENERATOR)
    parts = [LabelPrior(labels, seed=1).draw(range(i, i + 2), Purpose.GENERATOR) for i in (0, 2, 4, 6)]
    for k, values in enumerate(whole):
        assert torch.equal(values, torch.cat([part[k] for part in parts]))
    others = (prior.draw(range(8), Purpose.DISCRIMINATOR), LabelPrior(labels, seed=2).draw(range(8), Purpose.GENERATOR))
    for other in others:
        assert not torch.equal(other.noise_BK, whole.noise_BK)
        assert not torch.equal(other.camera_B2, whole.camera_B2)


def test_mirrored_rows_are_drawn_as_often(labels: Labels) -> None:
    """Without mirrors of coefficients only cameras and joints double, and both together."""
    prior = LabelPrior(labels, seed=1, mirror=Mirror(None, None, None))
    codes = prior.draw(range(400), Purpose.GENERATOR)
    both = np.concatenate([labels.camera_pitch_yaw, mirror_camera(labels.camera_pitch_yaw)])
    camera = rows_of(codes.camera_B2, both)
    joints = np.concatenate([labels.joints_zyx, mirror_joints(labels.joints_zyx)])
    assert (camera == rows_of(codes.pose_BP3, joints)).all()
    assert 160 < (camera >= len(labels)).sum() < 240
    rows_of(codes.z_id_BK, labels.bfm_id)
    rows_of(codes.z_exp_BK, labels.bfm_exp)


def test_outliers_never_reach_the_generator(labels: Labels) -> None:
    camera, betas = labels.camera_pitch_yaw.copy(), labels.smpl_betas.copy()
    camera[4, 1] = 9.0
    betas[7] *= 50
    dirty = replace(labels, camera_pitch_yaw=camera, smpl_betas=betas)
    prior = LabelPrior(dirty, seed=1)
    assert prior.trimmed == {
        "camera_pitch_yaw + face_pitch_yaw + joints_zyx": 1,
        "bfm_id + smpl_betas": 1,
        "bfm_exp": 0,
    }
    codes = prior.draw(range(400), Purpose.GENERATOR)
    assert codes.camera_B2.max() < 4
    assert codes.betas_BK.abs().max() < 2
    assert (codes.pose_BP3.numpy() != labels.joints_zyx[4]).any((1, 2)).all()  # the whole row is out
    assert len(prior.identities()) == len(labels) - 1


def test_a_table_without_usual_rows_is_refused(labels: Labels) -> None:
    """Half of the rows agree in each dimension, and no row agrees with the others in all of them."""
    far = (np.arange(40)[:, None] + np.arange(64)) % 5 < 2  # two rows of five in each dimension
    expressions = labels.bfm_exp * np.float32(1e-3) + 100 * far.astype(np.float32)
    with pytest.raises(ConfigError, match="none of 40 rows has a usual bfm_exp"):
        LabelPrior(replace(labels, bfm_exp=expressions), seed=1)


def test_robust_distance_by_hand() -> None:
    """Median 2, MAD 1: the value 5 lies 3 / 1.4826 out; a constant dimension adds nothing but counts in the mean."""
    values = np.array([[1.0, 7], [2, 7], [2, 7], [3, 7], [5, 7], [1, 7], [3, 7]])
    expected = np.abs(values[:, 0] - 2) / 1.4826 / np.sqrt(2)
    np.testing.assert_allclose(robust_distance(values), expected)
    mostly_zero = np.array([[0.0]] * 9 + [[10.0]])
    assert robust_distance(mostly_zero)[-1] == pytest.approx(10 / 3)  # MAD is zero: standard deviation 3


@pytest.mark.parametrize("mirror", [None, Mirror(None, None, None)])
def test_weighted_rows_are_drawn_by_their_weight(labels: Labels, mirror: Mirror | None) -> None:
    weights = np.where(np.arange(len(labels)) < 10, 10.0, 1.0)
    codes = LabelPrior(labels, 1, mirror, weights).draw(range(2000), Purpose.GENERATOR)
    kinds = [(codes.z_id_BK, labels.bfm_id), (codes.z_exp_BK, labels.bfm_exp)]
    for values, table in kinds if mirror is None else kinds[:1]:
        assert (rows_of(values, table) < 10).mean() == pytest.approx(100 / 130, abs=0.04)
