"""Matting on a picture whose alpha, foreground and background are known."""

import cv2
import numpy as np
import pytest
import scipy.sparse
import skimage.data

from dataprep.models.matting import soft_alpha
from dataprep.models.matting.soft_alpha import combine_masks, estimate_alpha, estimate_foreground, matte, trimap

SIZE = 256


@pytest.fixture(scope="module")
def scene():
    """A head and shoulders with stray hair: image (uint8), true alpha, foreground and background, coarse mask."""
    rng = np.random.default_rng(5)
    fine = np.zeros((4 * SIZE, 4 * SIZE), np.uint8)
    cv2.ellipse(fine, (512, 900), (380, 330), 0, 0, 360, 255, -1)
    cv2.ellipse(fine, (512, 420), (200, 260), 0, 0, 360, 255, -1)
    for _ in range(150):
        angle = rng.uniform(0, 2 * np.pi)
        root = np.array([512 + 198 * np.cos(angle), 420 + 258 * np.sin(angle)])
        tip = root + rng.uniform(4, 28) * (np.array([np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.4, 2))
        cv2.line(fine, root.astype(int), tip.astype(int), 255, int(rng.integers(1, 5)), cv2.LINE_AA)
    alpha = cv2.resize(fine, (SIZE, SIZE), interpolation=cv2.INTER_AREA) / 255.0
    foreground = cv2.resize(skimage.data.chelsea()[:300, :300], (SIZE, SIZE)) / 510.0
    background = cv2.resize(skimage.data.coffee()[:400, :400], (SIZE, SIZE)) / 255.0
    image = alpha[..., None] * foreground + (1 - alpha[..., None]) * background
    image = np.clip(image + rng.normal(0, 0.01, image.shape), 0, 1)
    body = cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    mask = cv2.GaussianBlur(body.astype(np.float64), (0, 0), 2.5)
    return image, alpha, foreground, background, mask


def to_uint8(values):
    return np.round(255 * values).astype(np.uint8)


def test_alpha_is_much_closer_to_the_truth_than_the_mask(scene):
    image, alpha, _, _, mask = scene
    estimated = estimate_alpha(image, mask)
    assert estimated.min() >= 0
    assert estimated.max() <= 1
    assert np.abs(estimated - alpha).mean() < 0.5 * np.abs(mask - alpha).mean()
    assert np.abs(estimated - alpha).mean() < 0.012


def test_foreground_is_free_of_background_at_the_edge(scene):
    image, alpha, foreground, _, _ = scene
    edge = (alpha > 0.05) & (alpha < 0.95)
    clean = np.abs(estimate_foreground(image, alpha) - foreground)[edge]
    mixed = np.abs(image - foreground)[edge]
    weight = alpha[edge][:, None]
    assert (weight * clean).mean() < 0.25 * (weight * mixed).mean()


def test_matte_puts_the_person_on_white(scene):
    image, alpha, foreground, _, mask = scene
    on_white, estimated = matte(to_uint8(image), mask)
    assert on_white.dtype == estimated.dtype == np.uint8
    truth = 255 * (alpha[..., None] * foreground + 1 - alpha[..., None])
    assert np.abs(on_white - truth).mean() < 3.5
    far = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((31, 31), np.uint8)) == 0
    assert (on_white[far] == 255).all()
    assert (estimated[far] == 0).all()
    deep = cv2.erode((alpha == 1).astype(np.uint8), np.ones((31, 31), np.uint8)) == 1
    np.testing.assert_array_equal(on_white[deep], to_uint8(image)[deep])


def test_light_hair_keeps_no_rim_of_a_dark_wall():
    """The mask is sure of pixels that are hair and wall: solid they may be, but in the hair's colour."""
    hair, wall = np.array([0.85, 0.7, 0.45]), np.array([0.08, 0.15, 0.28])
    disc = cv2.circle(np.zeros((SIZE, SIZE)), (128, 128), 80, 1, -1)
    alpha = cv2.GaussianBlur(disc, (0, 0), 4)
    noise = np.random.default_rng(2).normal(0, 0.01, (SIZE, SIZE, 3))
    image = np.clip(alpha[..., None] * hair + (1 - alpha[..., None]) * wall + noise, 0, 1)
    mask = cv2.GaussianBlur((alpha > 0.2).astype(np.float64), (0, 0), 1.5)
    on_white, _ = matte(to_uint8(image), mask)
    rim = (alpha > 0.5) & (alpha < 0.95)
    darker = 255 * hair - on_white[rim]  # by up to 68, 22 on average, when colours are taken by alpha alone
    assert darker.max() < 30
    assert darker.mean() < 10


def test_what_lies_apart_from_the_person_is_dropped(scene):
    image, alpha, _, _, mask = scene
    with_lamp = mask.copy()
    with_lamp[10:40, 10:40] = 0.8
    np.testing.assert_allclose(estimate_alpha(image, with_lamp), estimate_alpha(image, mask), atol=1e-3)
    assert alpha[10:40, 10:40].max() == 0


def test_the_laplacian_is_what_levin_defines(scene):
    image = scene[0][100:112, 60:73]
    laplacian = soft_alpha._matting_laplacian(image, np.ones(image.shape[:2], bool))
    assert scipy.sparse.issparse(laplacian)
    dense = laplacian.toarray()
    np.testing.assert_allclose(dense, dense.T, atol=1e-12)
    np.testing.assert_allclose(dense.sum(axis=1), 0, atol=1e-9)  # a constant alpha costs nothing
    assert np.linalg.eigvalsh(dense).min() > -1e-9
    linear = image @ np.array([0.3, -0.2, 0.5]) + 0.1  # nor, nearly, one that is linear in colour
    noise = np.random.default_rng(0).normal(size=linear.shape) * linear.std()
    assert linear.ravel() @ dense @ linear.ravel() < 0.05 * (noise.ravel() @ dense @ noise.ravel())


def test_trimap_pulls_back_both_sides_but_not_at_the_border():
    mask = np.zeros((60, 60))
    mask[30:] = 1
    person, background = trimap(mask, (4, 2))
    np.testing.assert_array_equal(person[:, 5], np.arange(60) >= 34)
    np.testing.assert_array_equal(background[:, 5], np.arange(60) < 28)


@pytest.mark.parametrize("value", [0, 1])
def test_masks_of_one_value(value):
    portrait = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    on_white, alpha = matte(portrait, np.full((64, 64), float(value)))
    assert (alpha == 255 * value).all()
    np.testing.assert_array_equal(on_white, portrait if value else np.full_like(portrait, 255))


def test_masks_are_sure_only_where_both_readings_agree():
    both = combine_masks(np.array([[0, 255, 255]], np.uint8), np.array([[0, 0, 255]], np.uint8))
    np.testing.assert_array_equal(both, [[0, 128, 255]])


@pytest.mark.slow  # pymatting compiles its kernels for a minute at the first import
def test_equals_pymatting_without_prior_and_haze(scene, monkeypatch):
    pymatting = pytest.importorskip("pymatting")
    image, _, _, _, mask = scene
    monkeypatch.setattr(soft_alpha, "_PRIOR", 1e-9)
    monkeypatch.setattr(soft_alpha, "_HAZE", 0.0)
    monkeypatch.setattr(soft_alpha, "_SOLVER_TOLERANCE", 1e-9)
    person, background = trimap(mask, (5, 5))
    theirs = pymatting.estimate_alpha_cf(
        image, np.where(person, 1.0, np.where(background, 0.0, 0.5)), laplacian_kwargs={"epsilon": soft_alpha._EPSILON}
    )
    assert np.abs(estimate_alpha(image, mask) - theirs).max() < 0.02
