from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dataprep.errors import Rejected
from dataprep.fits.face.expression_units import units_of
from dataprep.fits.face.face3dmm import FaceFitter, Faces, fit_face, linearise
from dataprep.fits.face.face_appearance import fit_appearance
from dataprep.fits.face.face_fit import FaceFit, FaceFitConfig
from dataprep.fits.face.landmark_errors import LandmarkErrors, load_landmark_errors
from dataprep.frames import geometry
from dataprep.frames.face_frames import (
    Alignment,
    align,
    angle_from_head,
    face_crop_from_portrait,
    head_from_3dmm,
    project_224,
    roll_of,
    weak_pose,
)
from dataprep.frames.landmarks68 import MIRROR68
from dataprep.models.face.bfm import FaceModel, lit_colour, load_face

PORTRAIT = Alignment(scale=0.93, centre_px=np.array([256.0, 250.0]))  # 109 px per dm: a 512 portrait


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return load_face()


def random_face(face: FaceModel, seed: int, noise_px: float = 1.2, yaw_sd: float = 20.0) -> tuple:  # type: ignore[type-arg]
    """(landmarks in the portrait, rotation, identity, expression, translation)."""
    rng = np.random.default_rng(seed)
    identity, expression = rng.normal(size=80), rng.normal(0, 0.8, 64)
    angles = rng.normal(0, (yaw_sd, 10, 6))
    rotation = Rotation.from_euler("yxz", angles, degrees=True).as_matrix()
    trans = rng.normal(0, (0.1, 0.1, 0.3))
    placed = face.shape(identity, expression)[face.landmarks] @ rotation.T + trans
    landmarks = PORTRAIT.to_portrait(project_224(placed)) + rng.normal(0, noise_px, (68, 2))
    return landmarks, rotation, identity, expression, trans


def test_euler_angles_are_rz_ry_rx() -> None:
    angle = np.array([0.2, -0.4, 0.1])
    np.testing.assert_allclose(head_from_3dmm(angle), Rotation.from_euler("xyz", angle).as_matrix(), atol=1e-12)
    assert roll_of(head_from_3dmm(np.array([0, 0, 0.3]))) == pytest.approx(-0.3)  # counter-clockwise = leaning left


@given(st.integers(0, 2**32 - 1))
def test_any_head_rotation_survives_bfm_angle(seed: int) -> None:
    rotation = Rotation.random(random_state=seed).as_matrix()
    np.testing.assert_allclose(head_from_3dmm(angle_from_head(rotation)), rotation, atol=1e-9)


@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))
def test_any_bfm_angle_survives_the_rotation(x: float, y: float, z: float) -> None:
    angle = np.array([x, y, z])
    np.testing.assert_allclose(angle_from_head(head_from_3dmm(angle)), angle, atol=1e-9)


def test_alignment_round_trip_and_target_size(face: FaceModel) -> None:
    landmarks, *_ = random_face(face, 0, noise_px=0)
    alignment = align(landmarks)
    aligned = alignment.to_224(landmarks)
    np.testing.assert_allclose(alignment.to_portrait(aligned), landmarks, atol=1e-9)
    assert aligned[8, 1] < aligned[27, 1]  # y up
    again = align(aligned * [1, -1])
    assert again.scale == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(again.centre_px, [112, -112], atol=1e-9)


def test_weak_pose_is_exact_on_weak_projections() -> None:
    rng = np.random.default_rng(1)
    model, rotation = rng.normal(size=(9, 3)), Rotation.random(random_state=2).as_matrix()
    image = 3.2 * (model @ rotation.T)[:, :2] + [5, -7]
    scale, found, offset = weak_pose(image, model)
    assert scale == pytest.approx(3.2)
    np.testing.assert_allclose(found, rotation, atol=1e-9)
    np.testing.assert_allclose(offset, [5, -7])


def test_jacobian_matches_finite_differences(face: FaceModel) -> None:
    """Of two faces at once, each by itself."""
    drawn = [random_face(face, seed) for seed in (3, 4)]
    mean, basis = face.landmark_bases()
    targets = np.stack([PORTRAIT.to_224(landmarks) for landmarks, *_ in drawn])
    faces = Faces(
        np.stack([rotation for _, rotation, *_ in drawn]),
        np.stack([trans for *_, trans in drawn]),
        np.stack([np.concatenate((identity, expression)) for *_, identity, expression, _ in drawn]),
    )
    means = np.stack((mean, mean))
    residual, jacobian = linearise(means, basis[None], faces, targets)
    step = 1e-6
    for column in (0, 1, 2, 3, 5, 6, 90, 149):
        delta = np.zeros((2, 150))
        delta[1, column] = step
        moved, _ = linearise(means, basis[None], faces.moved(delta), targets)
        np.testing.assert_array_equal(moved[0], residual[0])
        np.testing.assert_allclose((moved[1] - residual[1]) / step, jacobian[1, :, column], atol=2e-3, rtol=1e-4)


def test_a_face_among_others_comes_out_as_it_does_alone(face: FaceModel) -> None:
    """To the last bit: rows must not depend on how images are grouped. One of the 20 is no face."""
    landmarks = np.stack([random_face(face, seed)[0] for seed in range(20)])
    landmarks[7] = 200.0
    fitter = FaceFitter(face, FaceFitConfig(), load_landmark_errors(), units=units_of(face))
    together = fitter(landmarks)
    assert [i for i, fit in enumerate(together) if isinstance(fit, Rejected)] == [7]
    for i in (0, 6, 8, 19):
        (alone,) = fitter(landmarks[i : i + 1])
        among = together[i]
        assert isinstance(alone, FaceFit)
        assert isinstance(among, FaceFit)
        for name in ("identity", "expression", "angle_rad", "trans_dm", "sigma"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(among, name))


def seen_by_the_detector(face: FaceModel, errors: LandmarkErrors, seed: int) -> tuple:  # type: ignore[type-arg]
    """(landmarks with errors as measured, rotation, expression) of a face with three facial units at work."""
    units = units_of(face)
    assert units is not None
    rng = np.random.default_rng(seed)
    activations = np.zeros(len(units.names))
    activations[rng.choice(len(activations), 3, replace=False)] = rng.uniform(0.3, 0.8, 3)
    expression = units.coefficients @ activations
    rotation = Rotation.from_euler("yxz", rng.normal(0, (20, 8, 5)), degrees=True).as_matrix()
    shape = face.shape(rng.normal(size=80), expression)[face.landmarks] + errors.at(rotation)
    noise_px = 101.5 * (np.linalg.cholesky(errors.covariance_dm2) @ rng.normal(size=136)).reshape(68, 2)
    return PORTRAIT.to_portrait(project_224(shape @ rotation.T) + noise_px), rotation, expression


def test_measured_covariance_and_facial_units_tell_more(face: FaceModel) -> None:
    """On 32 made-up faces the correlation of the ten strongest coefficients with truth rises with each."""
    errors = load_landmark_errors()
    drawn = [seen_by_the_detector(face, errors, seed) for seed in range(32)]
    landmarks, truth = np.stack([one[0] for one in drawn]), np.stack([one[2] for one in drawn])
    guessed = LandmarkErrors(errors.offset_dm, None)
    correlations, degrees = [], []
    for known, units in ((guessed, None), (errors, None), (errors, units_of(face))):
        fits = list(FaceFitter(face, FaceFitConfig(), known, units=units)(landmarks))
        assert all(isinstance(fit, FaceFit) for fit in fits)
        found = np.stack([fit.expression for fit in fits])  # type: ignore[union-attr]
        correlations.append(np.corrcoef(found[:, :10].ravel(), truth[:, :10].ravel())[0, 1])
        turns = [fit.head_from_face.T @ one[1] for fit, one in zip(fits, drawn, strict=True)]  # type: ignore[union-attr]
        degrees.append(np.degrees(np.median([Rotation.from_matrix(turn).magnitude() for turn in turns])))
    assert correlations[0] + 0.03 < correlations[1] < correlations[2] - 0.03, correlations
    assert degrees[2] < degrees[0]


def test_units_are_of_one_face_only(face: FaceModel) -> None:
    assert units_of(face) is not None
    assert units_of(replace(face, sha256="0" * 64)) is None


def test_recovers_noisy_synthetic_faces(face: FaceModel) -> None:
    """Measured medians on 100 faces, noise 1.2 px: rotation 1.2 deg, shape 2.2 mm where the mean face is 4.9 mm off."""
    angles, fitted_mm, mean_mm = [], [], []
    for seed in range(24):
        landmarks, rotation, identity, expression, _ = random_face(face, seed)
        fit = fit_face(face, landmarks, FaceFitConfig(landmark_sigma_px=1.5))
        angles.append(np.degrees(Rotation.from_matrix(fit.head_from_face.T @ rotation).magnitude()))
        truth = face.shape(identity, expression)
        fitted_mm.append(_aligned_mm(face.shape(fit.identity, fit.expression), truth))
        mean_mm.append(_aligned_mm(face.mean, truth))
        assert fit.rmse_px < 3.5
        assert fit.iterations < FaceFitConfig.iterations
    assert np.median(angles) < 2.0
    assert np.median(fitted_mm) < 0.6 * np.median(mean_mm)


def _aligned_mm(shape: np.ndarray, truth: np.ndarray) -> float:
    a, b = truth - truth.mean(0), shape - shape.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    return 100 * float(np.linalg.norm(s.sum() / (b**2).sum() * b @ u @ vt - a, axis=1).mean())


def test_a_mirrored_face_has_a_mirrored_pose(face: FaceModel) -> None:
    """Mirror the picture and the iBUG order: yaw and roll change sign, pitch stays. The stand-in is symmetric."""
    landmarks, *_ = random_face(face, 5, noise_px=0)
    first = fit_face(face, landmarks, FaceFitConfig())
    second = fit_face(face, landmarks[MIRROR68] * [-1, 1] + [512, 0], FaceFitConfig())
    np.testing.assert_allclose(second.angle_rad, first.angle_rad * [1, -1, -1], atol=0.03)


def test_landmarks_that_are_no_face_are_rejected(face: FaceModel) -> None:
    with pytest.raises(Rejected) as raised:
        fit_face(face, np.full((68, 2), 200.0), FaceFitConfig())
    assert raised.value.reason == "face_fit_failed"


def test_face_crop_is_centred_upright_and_metric(face: FaceModel) -> None:
    """The 3DMM origin lands in the middle, the head's up axis points up, and 0.2475 m spans the crop."""
    landmarks, *_ = random_face(face, 7, noise_px=0)
    fit = fit_face(face, landmarks, FaceFitConfig())
    matrix = face_crop_from_portrait(fit.head_from_face, fit.trans_dm, fit.alignment, 256)
    axes_dm = np.array([[0, 0, 0], [0, 0.05, 0], [0, -0.05, 0]])
    points = geometry.transform(matrix, fit.to_portrait(axes_dm))
    np.testing.assert_allclose(points[0], [128, 128], atol=1e-9)
    up = points[1] - points[2]
    assert abs(up[0]) < 0.02 * abs(up[1])
    assert up[1] < 0
    sideways = np.linalg.inv(fit.head_from_face) @ [geometry.FACE_SIDE_M * 10 / 2, 0, 0]  # parallel to the picture
    edge = geometry.transform(matrix, fit.to_portrait(sideways[None]))[0]
    assert np.linalg.norm(edge - 128) == pytest.approx(128, rel=1e-6)


def test_appearance_explains_a_rendered_face_to_the_noise(face: FaceModel) -> None:
    """Splat the true colours of a lit face into a picture and read them back."""
    landmarks, _, _, _, _ = random_face(face, 9, noise_px=0, yaw_sd=5)
    fit = fit_face(face, landmarks, FaceFitConfig())
    rng = np.random.default_rng(0)
    gamma = np.concatenate([rng.normal(0, 0.05, 9) for _ in range(3)])
    shape = face.shape(fit.identity, fit.expression).astype(np.float64)
    colour = lit_colour(face.texture(rng.normal(0, 0.7, 80)), face.normals(shape) @ fit.head_from_face.T, gamma)
    from scipy.interpolate import griddata

    pixels = fit.to_portrait(shape) - 0.5
    front = (face.normals(shape) @ fit.head_from_face.T)[:, 2] > 0.1
    grid = np.mgrid[0:512, 0:512][::-1].reshape(2, -1).T
    picture = griddata(pixels[front], colour[front], grid, method="linear", fill_value=0).reshape(512, 512, 3)
    look = fit_appearance(face, fit, np.clip(picture, 0, 255).astype(np.uint8))
    assert look.residual < 6
    flat = fit_appearance(face, fit, np.full((512, 512, 3), 128, np.uint8))
    assert np.abs(flat.gamma).max() < 2
