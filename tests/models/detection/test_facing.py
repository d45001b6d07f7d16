"""How far a head is turned: right where the mesh gives up, whatever the tilt, and near the truth of rendered heads."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dataprep.models.detection.facing import head_turns
from dataprep.models.detection.mediapipe_graphs import PosePoints
from dataprep.models.detection.person_detector import PersonDetector, _missing_face
from dataprep.pictures.codecs import decode_rgb

SAMPLES = Path(__file__).parents[3] / "samples"
# Points of a head in cm: x to the person's left (image right), y down, z away from the camera.
EARS, EYES = np.array([[7.0, 0.0, 0.0], [-7.0, 0.0, 0.0]]), np.array([[3.2, -1.0, -8.0], [-3.2, -1.0, -8.0]])
NOSE, MOUTH = np.array([0.0, 2.0, -11.2]), np.array([0.0, 6.0, -8.5])


def seen(yaw_deg, roll_deg):
    """Mesh, body points and face points of a head that is turned and tilted; 10 px a cm."""
    turn = Rotation.from_euler("ZY", [roll_deg, -yaw_deg], degrees=True)
    ears, eyes, nose, mouth = (10 * turn.apply(points) + 300 for points in (EARS, EYES, NOSE, MOUTH))
    mesh, body = np.zeros((478, 3)), np.zeros((33, 3))
    mesh[[263, 33]] = eyes
    for index, point in ((0, nose), (2, eyes[0]), (5, eyes[1]), (7, ears[0]), (8, ears[1]), (9, mouth), (10, mouth)):
        body[index] = point
    return mesh, body, np.stack([eyes[1], eyes[0], nose, mouth, ears[1], ears[0]])[:, :2]


@pytest.mark.parametrize("roll_deg", [0, -40, 30])
@pytest.mark.parametrize("yaw_deg", [-90, -60, -20, 0, 35, 75, 90])
def test_the_turn_of_a_head_whose_points_are_known(yaw_deg, roll_deg):
    np.testing.assert_allclose(np.degrees(head_turns(*seen(yaw_deg, roll_deg))), yaw_deg, atol=4)


@pytest.mark.parametrize(
    ("yaw_deg", "reason"), [(-85, "turned_away"), (65, "turned_away"), (20, "no_face"), (180, "back_view")]
)
def test_a_face_that_is_not_found_is_missing_for_a_reason(yaw_deg, reason):
    _, body, _ = seen(yaw_deg, 0)
    body[[11, 12], 0] = 300 + 100 * np.cos(np.radians(yaw_deg)) * np.array([1, -1])
    pose = PosePoints(body, np.zeros((33, 3)), np.zeros((600, 600)))
    assert _missing_face(pose, 600, 600).reason == reason


@pytest.mark.parametrize("name", ["p019", "p022", "p027", "p029"])  # -39, 0, -8 (hair like a second face), 49 degrees
def test_the_middle_witness_is_near_the_truth(name):
    found = PersonDetector()(decode_rgb((SAMPLES / f"people/photos/{name}.jpg").read_bytes()))
    truth = json.loads((SAMPLES / f"truth/photos/{name}.jpg.json").read_text())
    assert np.degrees(np.median(found.head_turns_rad)) == pytest.approx(truth["recipe"]["head_yaw_deg"], abs=8)
    assert found.mesh_spread < 0.025
