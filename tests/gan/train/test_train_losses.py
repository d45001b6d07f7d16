"""Each loss against a case worked by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from dataprep.frames.smpl_joints import PARENTS
from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import FaceModel, load_face
from gan.face.face_space import (
    DM_IN_FACE_UNIT,
    MM_IN_FACE_UNIT,
    FaceSpace,
    face_from_3dmm,
    fitted_face_from_3dmm,
    nominal_face_from_3dmm,
    shared_vertices_face_from_3dmm,
)
from gan.losses import (
    AdversarialWeights,
    adversarial_loss,
    average_pool,
    camera_loss,
    critic_loss,
    critics_loss,
    expression_smooth_loss,
    generator_loss,
    image_consistency_loss,
    imitation_loss,
    landmark_loss,
    map_consistency_loss,
    minimal_loss,
    nearby_points,
    pose_smooth_loss,
    r1_penalty,
    regression_loss,
)
from gan.networks.arithmetic import reduced_twice
from gan.networks.critics import Verdict, Verdicts
from gan.networks.pose_deformation import PoseSmoothing
from gan.rendering.body_arrays import BodyArrays
from gan.rendering.posed_body import PosableBody, apply_affine

LOG2, LOG3 = math.log(2), math.log(3)


def test_non_saturating_losses() -> None:
    """softplus(log 2) = log 3, softplus(-log 2) = log 3/2, softplus(0) = log 2."""
    fake, real = torch.tensor([LOG2, 0.0]), torch.tensor([LOG2, 0.0])
    assert critic_loss(real, fake).item() == pytest.approx((LOG3 + LOG2 + (LOG3 - LOG2) + LOG2) / 2, rel=1e-6)
    assert generator_loss(fake).item() == pytest.approx((LOG3 - LOG2 + LOG2) / 2, rel=1e-6)


def test_r1_of_a_quadratic_critic() -> None:
    """D(x) = sum x^2, so |grad|^2 = 4 |x|^2; with gamma 10 and |x|^2 = 1 and 4: 5 x mean(4, 16)."""
    image = torch.zeros(2, 1, 2, 2)
    image[0, 0, 0, 0], image[1, 0, 1, 1] = 1, 2
    image.requires_grad_()
    penalty = r1_penalty(image.square().sum((1, 2, 3)), image, gamma=10.0)
    assert penalty.item() == pytest.approx(50)
    (second,) = torch.autograd.grad(penalty, image)  # it can be trained: d/dx of 5/2 * 4 x^2
    torch.testing.assert_close(second, 20 * image.detach())


def test_r1_does_not_depend_on_the_other_pictures() -> None:
    weight = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    for batch in (1, 5):
        image = torch.zeros(batch, 3, 4, 4, requires_grad=True)
        penalty = r1_penalty((image * weight).sum((1, 2, 3)), image, gamma=1.0)
        torch.testing.assert_close(penalty, weight.square().sum() / 2)


def verdicts(portrait: torch.Tensor, face: torch.Tensor) -> Verdicts:
    """Critics that add up 1, 2, 3 and 4 times the pixels they see."""
    whole, torso = portrait.sum((1, 2, 3)), 3 * portrait[:, :, 3:].sum((1, 2, 3))
    patches = 4 * portrait.sum(1)
    return Verdicts(Verdict(whole, None), Verdict(2 * face.sum((1, 2, 3)), None), Verdict(torso, None), patches)


def test_every_critic_has_its_weight_and_its_own_r1() -> None:
    """Pictures of zeros: logits 0. R1 / gamma * 2 = |grad|^2 = pixels x slope^2 of what the critic saw.

    16 patches: a picture's patch logit is their mean, and its R1 counts with the square of its weight.
    """
    portrait, face = torch.zeros(2, 3, 4, 4, requires_grad=True), torch.zeros(2, 3, 2, 2, requires_grad=True)
    seen = verdicts(portrait, face)
    total, parts = critics_loss(seen, seen, portrait, face, AdversarialWeights(), gamma=1.0)
    expected = {"whole": 48 * 1 / 2, "face": 12 * 4 / 2, "torso": 12 * 9 / 2, "patch": 48 * (4 / 16) ** 2 / 2}
    for name, value in expected.items():
        assert parts[f"r1_{name}"].item() == pytest.approx(value)
        assert parts[f"critic_{name}"].item() == pytest.approx(2 * LOG2)
    by_hand = sum(w * (expected[n] + 2 * LOG2) for n, w in (("whole", 0.1), ("face", 1.0), ("torso", 0.5)))
    by_hand += 0.1 * 2 * LOG2 + 0.01 * expected["patch"]
    assert total.item() == pytest.approx(by_hand, rel=1e-6)
    assert adversarial_loss(seen, AdversarialWeights())[0].item() == pytest.approx(1.7 * LOG2, rel=1e-6)
    without = seen._replace(face=None, patch_BPQ=None)
    assert adversarial_loss(without, AdversarialWeights())[0].item() == pytest.approx(0.6 * LOG2, rel=1e-6)


def test_camera_loss() -> None:
    assert camera_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.6]])).item() == pytest.approx(15 * 0.16 / 2)


def test_eq9_landmarks() -> None:
    """One of 68 landmarks is 3-4-0 away: 25 / 68."""
    one, other = torch.zeros(1, 68, 3), torch.zeros(1, 68, 3)
    other[0, 8] = torch.tensor([3.0, 4.0, 0.0])
    assert landmark_loss(one, other).item() == pytest.approx(25 / 68)


def test_eq10_imitation() -> None:
    move = torch.tensor([[[1.0, 0, 0], [0, 0, 0]]])
    assert imitation_loss(move, torch.tensor([[[1.0, 2, 0], [0, 0, 1]]])).item() == pytest.approx((4 + 1) / 2)


def test_eq11_pose_smoothing() -> None:
    """At the start D_p is the average pooling; a kernel with one entry doubled differs from it."""
    field = torch.randn(1, 12, 6, 10, 10, generator=torch.Generator().manual_seed(0))
    smoother, fixed = PoseSmoothing(), average_pool(torch.float32, torch.device("cpu"))
    assert pose_smooth_loss(field, smoother, fixed).item() == 0
    assert not any(parameter.requires_grad for parameter in fixed.parameters())
    with torch.no_grad():
        smoother.conv_block2.weight[0, 0, 0, 0, 0] *= 2
    loss = pose_smooth_loss(field, smoother, fixed)
    difference = smoother(field)[:, 0] - fixed(field)[:, 0]
    assert loss.item() == pytest.approx(difference.square().mean().item(), rel=1e-4)
    loss.backward()
    assert smoother.conv_block2.weight.grad is not None
    assert pose_smooth_loss(torch.ones(1, 12, 6, 10, 10), smoother, fixed).item() < 1e-10  # constants pass unchanged


def test_eq12_expression_smoothing() -> None:
    one, other = torch.tensor([[[0.0, 0, 0], [1, 1, 1]]]), torch.tensor([[[0.0, 0, 2], [1, 1, 1]]])
    assert expression_smooth_loss(one, other).item() == pytest.approx(2)
    points = torch.zeros(1, 4000, 3)
    near = nearby_points(points, 0.01, torch.Generator().manual_seed(0))
    assert near.std().item() == pytest.approx(0.01, rel=0.05)
    assert torch.equal(near, nearby_points(points, 0.01, torch.Generator().manual_seed(0)))


def test_eq13_minimal() -> None:
    assert minimal_loss(torch.tensor([[[1.0, 2, 2], [0, 0, 0]]])).item() == pytest.approx(4.5)


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return load_face()


@pytest.fixture(scope="module")
def body() -> BodyArrays:
    file = load_body()
    regressor = file.joint_regressor.toarray()
    return BodyArrays(file.v_template, file.shapedirs, regressor, file.weights, np.array(PARENTS))


def test_nominal_transform_is_the_specified_one(face: FaceModel) -> None:
    assert pytest.approx(11.7747, abs=1e-4) == DM_IN_FACE_UNIT
    space = FaceSpace(face, nominal_face_from_3dmm())
    np.testing.assert_allclose(space.mean_V3, face.mean / 11.7747, atol=1e-6)


def test_shared_vertices_lie_on_the_canonical_body(face: FaceModel, body: BodyArrays) -> None:
    """The canonical pose nods the head by 0.155 rad; the 3DMM must nod with it."""
    transform = shared_vertices_face_from_3dmm(face, body)
    space = FaceSpace(face, transform)
    canonical = PosableBody(body, face.body_vertex)(torch.zeros(1, 10), torch.zeros(1, 6, 3)).vertices_BV3[0]
    gap_mm = (space.mean_V3 - canonical).norm(dim=1) * 1177.47
    assert gap_mm.mean() < 0.5
    nod = np.arctan2(transform[2, 1], transform[1, 1])
    assert nod == pytest.approx(0.155, abs=0.01)
    nominal_gap_mm = (FaceSpace(face, nominal_face_from_3dmm()).mean_V3 - canonical).norm(dim=1) * 1177.47
    assert nominal_gap_mm.mean() > 5


def test_a_face_of_another_body_is_turned_as_the_points_of_both_heads_say(face: FaceModel) -> None:
    """The shipped face as a file that tells nothing of the body, its axes tilted: it looks the canonical way still."""
    body, tilt = load_body(), np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1]])
    foreign = dataclasses.replace(
        face, mean=(face.mean @ tilt.T).astype(np.float32), face_from_body=None, body_vertex=None, meta={}
    )
    found, cut = (face_from_3dmm(one, body)[:, :3] * DM_IN_FACE_UNIT for one in (foreign, face))
    np.testing.assert_allclose(found @ tilt, cut, atol=0.005)
    kept = dataclasses.replace(face, meta=face.meta | {"body_sha256": "0" * 64})  # vertices of no body at hand
    np.testing.assert_allclose(face_from_3dmm(kept, body)[:, 3], 0, atol=1e-12)


def test_a_known_motion_is_found_again() -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(30, 3))
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    moved = points @ turn.T / DM_IN_FACE_UNIT + [0.01, -0.2, 0.3]
    found = fitted_face_from_3dmm(moved, points)
    np.testing.assert_allclose(points @ found[:, :3].T + found[:, 3], moved, atol=1e-9)


def test_landmarks_are_vertices_of_the_face(face: FaceModel) -> None:
    space = FaceSpace(face, nominal_face_from_3dmm())
    z_id, z_exp = torch.randn(2, 80), torch.randn(2, 64)
    torch.testing.assert_close(space.landmarks(z_id, z_exp), space.vertices(z_id, z_exp)[:, space.landmarks_L])


def test_reference_displacement_takes_expressive_vertices_back(face: FaceModel, body: BodyArrays) -> None:
    """On a vertex of the expressive face, x + dx_ref is that vertex without expression (Eq. 10)."""
    space = FaceSpace(face, shared_vertices_face_from_3dmm(face, body))
    random = torch.Generator().manual_seed(1)
    z_id, z_exp = torch.randn(2, 80, generator=random), torch.randn(2, 64, generator=random)
    expressive, neutral = space.vertices(z_id, z_exp), space.vertices(z_id, torch.zeros(2, 64))
    moved = expressive + space.reference_displacement(expressive, z_id, z_exp)
    torch.testing.assert_close(moved, neutral, atol=1e-5, rtol=0)
    assert (expressive - neutral).abs().max() > 1e-3


def test_a_canonical_face_may_open_its_mouth(face: FaceModel, body: BodyArrays) -> None:
    """Its lips are apart by what was asked, and whatever a face does is taken there: Eq. 10 for that face."""
    place = shared_vertices_face_from_3dmm(face, body)
    space, at_rest = FaceSpace(face, place, canonical_mouth_mm=8.0), FaceSpace(face, place)
    random = torch.Generator().manual_seed(1)
    z_id, z_exp = torch.randn(2, 80, generator=random), torch.randn(2, 64, generator=random)
    wide, closed = (one.landmarks(z_id, one.canonical_K.expand(2, -1)) for one in (space, at_rest))
    opened = (wide[:, 62] - wide[:, 66]) - (closed[:, 62] - closed[:, 66])
    torch.testing.assert_close(opened[:, 1] * MM_IN_FACE_UNIT, torch.full((2,), 8.0))
    assert (wide - closed).norm(dim=2).max() * MM_IN_FACE_UNIT < 10, "the shortest expression: nothing else moves far"
    expressive, canonical = space.vertices(z_id, z_exp), space.vertices(z_id, space.canonical_K.expand(2, -1))
    moved = expressive + space.reference_displacement(expressive, z_id, z_exp)
    torch.testing.assert_close(moved, canonical, atol=1e-5, rtol=0)
    assert not at_rest.canonical_K.any(), "the paper's: no expression"


def test_heads_in_place_bring_every_face_to_the_3dmms(face: FaceModel, body: BodyArrays) -> None:
    """Undoing pose and, where asked, where the body's shape has its head: the mean of the face's vertices in mm."""
    random = torch.Generator().manual_seed(1)
    betas, pose = torch.randn(16, 10, generator=random), 0.2 * torch.randn(16, 6, 3, generator=random)
    assert face.body_vertex is not None
    mean = FaceSpace(face, shared_vertices_face_from_3dmm(face, body)).mean_V3.mean(0)
    away, heads = {}, {}
    for in_place in (False, True):
        posed = PosableBody(body, face.body_vertex, in_place)(betas, pose)
        neutral = apply_affine(posed.canonical_from_posed_BV34, posed.vertices_BV3)
        away[in_place] = (neutral.mean(1) - mean).norm(dim=1) * MM_IN_FACE_UNIT
        heads[in_place] = posed.posed_from_canonical_head_B34
    assert away[False].median() > 5
    assert away[True].max() < 1
    torch.testing.assert_close(heads[True], heads[False])  # the face camera stands where it stood


def test_perfect_imitation_of_a_smile_is_free() -> None:
    """A D_e that moves by dx_ref has no loss; one that stays has that of the smile."""
    reference = torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(0))
    assert imitation_loss(reference.clone(), reference).item() == 0
    torch.testing.assert_close(imitation_loss(torch.zeros_like(reference), reference), minimal_loss(reference))


def test_consistency_looks_at_the_same_rays() -> None:
    """A ramp across the picture is the same at both sizes, and so is a constant; the rest costs its square."""
    high = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    low = torch.linspace(-1, 1, 16).expand(1, 3, 16, 16)
    assert image_consistency_loss(high, low).item() < 1e-5
    area = nn.functional.mse_loss(nn.functional.adaptive_avg_pool2d(high, 16), low)
    assert area.item() > 1e-4  # what averaging areas would have charged
    assert image_consistency_loss(torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 16, 16)).item() == pytest.approx(1)
    maps = torch.rand(3, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    assert map_consistency_loss(maps.repeat_interleave(4, 2).repeat_interleave(4, 3), maps).item() < 1e-12
    assert map_consistency_loss(torch.zeros(1, 4, 8, 8), torch.full((1, 4, 2, 2), 0.5)).item() == pytest.approx(0.25)


def test_each_critic_is_asked_for_the_camera_it_looked_through() -> None:
    """Whole and torso regress (1, 2), face (0, 0): off by 0.2 in one angle, right, off by 0.4 in one angle."""
    portrait_camera, face_camera = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.4]])
    logit = torch.zeros(1)
    said = Verdicts(
        Verdict(logit, torch.tensor([[1.2, 2.0]])),
        Verdict(logit, torch.tensor([[0.0, 0.0]])),
        Verdict(logit, torch.tensor([[1.0, 2.0]])),
        None,
    )
    by_hand = 15 * (0.04 / 2 + 0.16 / 2)
    assert regression_loss(said, portrait_camera, face_camera).item() == pytest.approx(by_hand, rel=1e-5)
    silent = Verdicts(Verdict(logit, None), None, None, None)
    assert regression_loss(silent, portrait_camera, face_camera).item() == 0


def test_r1_in_bfloat16_is_that_of_float32() -> None:
    """Whatever the CPU: with AMX torch's gradient of this convolution's gradient is 100% off in bfloat16."""
    torch.manual_seed(0)
    critic = torch.nn.Conv2d(32, 32, 3, padding=1)
    image = torch.randn(2, 32, 64, 64, requires_grad=True)
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        with reduced_twice("cpu", dtype):
            said = critic(image)
        penalty = r1_penalty(said.float().square().mean((1, 2, 3)), image, gamma=1e6)
        gradients.append(torch.autograd.grad(penalty, critic.weight)[0])
    assert (gradients[1] - gradients[0]).norm() < 0.05 * gradients[0].norm()
