"""Control metrics tell a generator that obeys from ones that do not, on renders with known truth."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dataprep.models.body.smpl import BodyModel, load_body
from dataprep.models.face.bfm import FaceModel, load_face
from gan.config import GeneratorConfig
from gan.data.priors import Codes
from gan.evaluation.control import UNITS, Control, ControlError, angle_deg, commanded, control_accuracy, control_errors
from gan.evaluation.control_sweep import FRAMES, drifts, unlikeness
from gan.evaluation.evaluation_run import _means
from gan.evaluation.fakes import GeneratedPictures
from gan.evaluation.jobs import SHOULDER_POINTS
from gan.evaluation.readers import Reader
from gan.face.face_space import FaceSpace, shared_vertices_face_from_3dmm
from gan.rendering.body_arrays import body_arrays
from gan.rendering.cameras import camera_origin, portrait_camera
from gan.rendering.posed_body import PosableBody
from tests.gan.evaluation.renders import renders

PX = 192


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return load_face()


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def space(face: FaceModel, body: BodyModel) -> FaceSpace:
    return FaceSpace(face, shared_vertices_face_from_3dmm(face, body_arrays(body)))


@pytest.fixture(scope="module")
def reader(face: FaceModel) -> Reader:
    return Reader(face)


@pytest.fixture(scope="module")
def told() -> tuple[GeneratedPictures, Control]:
    return renders(PX)


@pytest.fixture(scope="module")
def shown(reader: Reader, told: tuple[GeneratedPictures, Control]) -> Control:
    return reader(told[0])


def test_a_generator_that_obeys(told, shown: Control, space: FaceSpace):
    """Well below chance in the face, far below in the head; nearly every render can be read."""
    accuracy = control_accuracy(told[1], shown, space)
    assert all(one.read >= len(told[1].z_id_NK) - 2 for one in accuracy.values())
    assert accuracy["expression_mm"].mean < 0.7 * accuracy["expression_mm"].chance
    assert accuracy["landmarks_mm"].mean < 0.7 * accuracy["landmarks_mm"].chance
    assert accuracy["head_deg"].mean < 7
    assert accuracy["head_deg"].obeyed > 0.7
    assert accuracy["shoulders_pct"].mean < 8


def test_a_shuffled_expression_code_is_seen_in_the_expression_alone(told, shown: Control, space: FaceSpace):
    command = told[1]
    shuffled = command._replace(z_exp_NK=np.roll(command.z_exp_NK, 1, axis=0))
    obeys, not_so = (control_errors(one, shown, space) for one in (command, shuffled))
    assert np.nanmean(not_so["expression_mm"]) > 1.4 * np.nanmean(obeys["expression_mm"])
    assert np.nanmean(not_so["expression_std"]) > 1.1 * np.nanmean(obeys["expression_std"])
    for same in ("head_deg", "shoulders_pct"):
        np.testing.assert_array_equal(not_so[same], obeys[same])


def test_a_mirrored_camera_is_seen_in_the_head(told, shown: Control, reader: Reader, space: FaceSpace):
    """Pictures as a camera from the other side would take them, read again; the commands stay."""
    pictures, command = told
    some = np.arange(6)
    mirrored = reader(GeneratedPictures(*(np.ascontiguousarray(view[some, :, ::-1]) for view in pictures)))
    errors = [control_errors(command.take(some), one, space) for one in (shown.take(some), mirrored)]
    assert np.nanmean(errors[1]["head_deg"]) > 3 * np.nanmean(errors[0]["head_deg"])


def codes(pitch: float = np.pi / 2, yaw: float = np.pi / 2, head_turn: float = 0.0) -> Codes:
    pose = torch.zeros(1, 6, 3)
    pose[0, 3, 1] = head_turn
    camera = torch.tensor([[pitch, yaw]], dtype=torch.float32)
    return Codes(torch.zeros(1, 80), torch.zeros(1, 10), torch.zeros(1, 64), torch.zeros(1, 80), pose, camera, camera)


def ask(body: BodyModel, face: FaceModel, one: Codes) -> Control:
    arrays = body_arrays(body)
    rotation = shared_vertices_face_from_3dmm(face, arrays)[:, :3]
    rotation = rotation / np.linalg.norm(rotation[:, 0])
    rows = body.keypoint_rows(SHOULDER_POINTS).toarray().astype(np.float32)
    model = PosableBody(arrays, np.arange(len(body.v_template)))
    return commanded(one, model, portrait_camera(GeneratorConfig()), rotation, rows)


def test_what_is_commanded(body: BodyModel, face: FaceModel):
    """Seen from elsewhere the head is turned by the angle between both lines of sight to it, its origin."""
    front, aside = codes(), codes(yaw=np.pi / 2 + 0.3)
    camera = portrait_camera(GeneratorConfig())
    a, b = (camera_origin(one.camera_B2, camera.radius)[0] + torch.tensor(camera.offset) for one in (front, aside))
    between = torch.nn.functional.cosine_similarity(a, b, dim=0).arccos().rad2deg()
    front, aside = (ask(body, face, one) for one in (front, aside))
    assert angle_deg(front.head_N33, aside.head_N33) == pytest.approx(float(between), abs=0.1)
    turned = ask(body, face, codes(head_turn=0.3))
    assert turned.head_N33[0, 0, 2] > 0.25  # towards the subject's left, which is the right of the picture
    (left, right) = front.shoulders_N22[0]
    assert left[0] > 0.6  # the subject's left is on the right
    assert left[0] + right[0] == pytest.approx(1, abs=0.01)
    assert left[1] == pytest.approx(right[1], abs=0.01)
    assert 0.6 < left[1] < 1


def test_angles():
    turn = Rotation.from_rotvec([[0, 0, 0], [0.1, 0, 0], [0, 3.0, 0]]).as_matrix()
    still = np.broadcast_to(np.eye(3), turn.shape)
    np.testing.assert_allclose(angle_deg(still, turn), np.degrees([0, 0.1, 3.0]), atol=1e-6)
    np.testing.assert_allclose(angle_deg(turn, still), np.degrees([0, 0.1, 3.0]), atol=1e-6)


def unread(shown: Control, kept: int) -> Control:
    """What is shown where all but the first pictures could not be read."""
    left = [np.where((np.arange(len(v)) < kept).reshape(-1, *[1] * (v.ndim - 1)), v, np.nan) for v in shown]
    return Control(*left)


def test_fewer_than_ten_faces_give_no_number(told, space: FaceSpace):
    """A generator that does as told, read nine times and ten times."""
    command = told[1]
    nine, ten = (control_accuracy(command, unread(command, kept), space) for kept in (9, 10))
    for name in UNITS:
        assert (nine[name].read, ten[name].read) == (9, 10)
        assert np.isnan([nine[name].mean, nine[name].median, nine[name].chance]).all()
        assert nine[name].obeyed is None
        assert ten[name].mean == pytest.approx(0, abs=1e-4)
        assert ten[name].chance > 0


def test_a_picture_that_cannot_be_read_has_not_obeyed():
    """By hand: halfway between chance 4 and floor 2, of half the pictures; worse than chance stays as bad as it was."""
    halfway = ControlError(mean=3.0, median=3.0, chance=4.0, floor=2.0, known=1.0, read=20, of=40)
    assert halfway.obeyed == pytest.approx(0.25)
    assert halfway._replace(read=40).obeyed == pytest.approx(0.5)
    assert halfway._replace(mean=5.0).obeyed == pytest.approx(-0.5)


def test_drift_and_floors_need_ten_faces_too(told, space: FaceSpace):
    command = told[1]
    errors = control_errors(command, unread(command, 9), space)
    assert _means([errors, errors]) == {}  # the same nine pictures twice are nine pictures
    assert _means([control_errors(command, unread(command, 10), space)]).keys() == UNITS.keys()
    frames = np.arange(3 * FRAMES)
    z_id = np.where((frames % FRAMES < 3)[:, None], np.random.default_rng(0).standard_normal((len(frames), 80)), np.nan)
    looks = np.where((frames % FRAMES < 3)[:, None], np.eye(128)[frames // FRAMES], np.nan)
    nine = drifts(z_id, np.zeros((len(frames), 64)), looks, space)["expression"]
    assert (nine.read, nine.likeness_read, nine.of) == (9, 9, 12)
    assert np.isnan([nine.identity_mm, nine.shape_mm, nine.between_people_mm]).all()
    assert np.isnan([nine.likeness, nine.likeness_between_people]).all()
    more = drifts(np.where(np.isnan(z_id), 0.1, z_id), np.zeros((len(frames), 64)), looks, space)["expression"]
    assert np.isfinite([more.identity_mm, more.shape_mm, more.between_people_mm]).all()
    assert np.isnan(more.likeness)  # what one of the two reads is no number of the other


def test_likenesses_are_apart_by_the_angles_between_them():
    """By hand: one person whose frames are 60 degrees apart, one whose frames are the same, at right angles to both."""
    turning = np.array([[1.0, 0.0, 0.0], [0.5, np.sqrt(0.75), 0.0]])
    still = np.tile([0.0, 0.0, 1.0], (5, 1))
    assert unlikeness([turning, still]) == pytest.approx((0.25, 1.0))
    within, between = unlikeness([still])
    assert within == pytest.approx(0)
    assert np.isnan(between)


def test_pictures_of_nothing_are_not_read(reader: Reader, told, space: FaceSpace):
    white = np.full((2, PX, PX, 3), 255, np.uint8)
    shown = reader(GeneratedPictures(white, white))
    assert not shown.read_N.any()
    accuracy = control_accuracy(told[1].take(np.arange(2)), shown, space)
    assert accuracy["head_deg"].read == 0
    assert np.isnan(accuracy["head_deg"].mean)
    assert accuracy["head_deg"].obeyed is None
