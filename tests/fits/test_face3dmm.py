import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dataprep import geometry
from dataprep.errors import Rejected
from dataprep.fits.face3dmm import FaceFitConfig, _linearise, fit_appearance, fit_face
from dataprep.fits.face_frames import (
    Alignment,
    align,
    angle_from_head,
    face_crop_from_portrait,
    head_from_3dmm,
    project_224,
    roll_of,
    weak_pose,
)
from dataprep.fits.measure_detector import _IBUG_MIRROR
from dataprep.models.bfm import FaceModel, lit_colour, load_face

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


def test_euler_angles_are_rz_ry_rx_and_round_trip() -> None:
    angle = np.array([0.2, -0.4, 0.1])
    rotation = head_from_3dmm(angle)
    np.testing.assert_allclose(rotation, Rotation.from_euler("xyz", angle).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(angle_from_head(rotation), angle)
    assert roll_of(head_from_3dmm(np.array([0, 0, 0.3]))) == pytest.approx(-0.3)  # counter-clockwise = leaning left


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
    landmarks, rotation, identity, expression, trans = random_face(face, 3)
    mean, basis = face.landmark_bases()
    target, coefficients = PORTRAIT.to_224(landmarks), np.concatenate((identity, expression))
    residual, jacobian = _linearise(mean, basis, rotation, trans, coefficients, target)
    step = 1e-6
    for column in (0, 1, 2, 3, 5, 6, 90, 149):
        delta = np.zeros(150)
        delta[column] = step
        turned = Rotation.from_rotvec(delta[:3]).as_matrix() @ rotation
        moved, _ = _linearise(mean, basis, turned, trans + delta[3:6], coefficients + delta[6:], target)
        np.testing.assert_allclose((moved - residual) / step, jacobian[:, column], atol=2e-3, rtol=1e-4)


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
    second = fit_face(face, landmarks[_IBUG_MIRROR] * [-1, 1] + [512, 0], FaceFitConfig())
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
