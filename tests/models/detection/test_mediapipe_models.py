"""The person detector on a real photograph: right places, no memory, and a reason for every failure."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from dataprep.errors import AssetError, Rejected
from dataprep.frames.landmarks68 import MESH_FROM_IBUG, MIRROR68, landmarks68_from_mesh
from dataprep.models.detection import mediapipe_graphs
from dataprep.models.detection.person_detector import PersonDetector, mask_bbox
from dataprep.pictures.codecs import decode_mask, decode_rgb

SAMPLES = Path(__file__).parents[3] / "samples" / "people"
OUTER_EYES = (36, 45)


@pytest.fixture(scope="module")
def detector():
    return PersonDetector()


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(skimage.data.astronaut())


@pytest.fixture(scope="module")
def found(detector, photo):
    return detector(photo)


def landmark_error(points, truth):
    """Mean distance in percent of the outer eye-corner distance."""
    eyes = np.linalg.norm(truth[OUTER_EYES[0]] - truth[OUTER_EYES[1]])
    return 100 * np.linalg.norm(points - truth, axis=1).mean() / eyes


def reason(detector, image):
    with pytest.raises(Rejected) as caught:
        detector(np.ascontiguousarray(image))
    assert len(caught.value.message) > 15
    return caught.value.reason


def test_the_astronaut_is_found_where_she_is(found, photo):
    assert found.n_faces == 1
    assert found.face_score > 0.8
    assert found.mesh_agreement > 0.8
    x0, y0, x1, _ = found.face_bbox_px
    assert 160 < x0 < 190
    assert 55 < y0 < 80
    assert 90 < x1 - x0 < 120
    right_eye, left_eye = found.landmarks68_px[36:42].mean(axis=0), found.landmarks68_px[42:48].mean(axis=0)
    np.testing.assert_allclose(right_eye, [199, 105], atol=6)
    np.testing.assert_allclose(left_eye, [245, 103], atol=6)
    iris_right, iris_left = found.face_mesh478_px[468, :2], found.face_mesh478_px[473, :2]
    np.testing.assert_allclose([iris_right, iris_left], [right_eye, left_eye], atol=5)
    left_shoulder, right_shoulder = found.keypoints33[11], found.keypoints33[12]
    assert left_shoulder[0] > right_shoulder[0]  # the person's left is on the image's right
    assert min(left_shoulder[2], right_shoulder[2]) > 0.8
    assert found.keypoints33_world_m[0, 1] < found.keypoints33_world_m[11, 1]  # y down


def test_the_mask_holds_the_person_and_not_the_corners(found):
    x, y = found.landmarks68_px[17:].astype(int).T  # all but the jaw line
    assert found.person_mask[y, x].min() > 200
    assert (found.person_mask[:15] > 127).mean() < 0.02
    assert (found.person_mask[200:400, 480:] > 127).mean() < 0.1
    np.testing.assert_array_equal(found.person_bbox_px, mask_bbox(found.person_mask))


def test_results_do_not_depend_on_the_images_before(photo):
    images = [photo, np.ascontiguousarray(photo[:, ::-1]), np.ascontiguousarray(photo[:400, 60:460])]
    runs = []
    for order in [(0, 1, 2), (2, 1, 0), (1, 0, 2)]:
        detector = PersonDetector()
        results = {i: detector(images[i]) for i in order}
        runs.append([results[i] for i in range(3)])
    for other in runs[1:]:
        for first, second in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(first.landmarks68_px, second.landmarks68_px)
            np.testing.assert_array_equal(first.keypoints33, second.keypoints33)
            np.testing.assert_array_equal(first.person_mask, second.person_mask)


def test_the_mirror_image_gives_mirrored_landmarks(detector, photo, found):
    mirrored = detector(np.ascontiguousarray(photo[:, ::-1])).landmarks68_px[MIRROR68]
    mirrored[:, 0] = photo.shape[1] - mirrored[:, 0]
    assert landmark_error(mirrored, found.landmarks68_px) < 2.0


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_landmarks_scale_with_the_photograph(detector, photo, found, scale):
    size = (round(512 * scale), round(512 * scale))
    resized = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    assert landmark_error(detector(resized).landmarks68_px / scale, found.landmarks68_px) < 2.5


def test_soft_noisy_and_compressed_photographs(detector, photo, found):
    noise = np.random.default_rng(0).normal(0, 18, photo.shape)
    _, packed = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 15])
    for bad in (cv2.GaussianBlur(photo, (0, 0), 2.5), np.clip(photo + noise, 0, 255), cv2.imdecode(packed, 1)):
        result = detector(np.ascontiguousarray(bad, np.uint8))
        assert landmark_error(result.landmarks68_px, found.landmarks68_px) < 5.0


def test_a_small_person_in_a_large_photograph(detector, photo, found):
    large = np.full((1100, 1400, 3), 190, np.uint8)
    large[500:756, 900:1156] = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    result = detector(large)
    assert landmark_error((result.landmarks68_px - [900, 500]) * 2, found.landmarks68_px) < 4.0


def with_people(width, height, *places):
    """A cup of coffee, which the networks take for a body, with rendered people: name, height in px, left, top."""
    picture = cv2.resize(skimage.data.coffee(), (width, height)).astype(np.float32)
    for name, tall_px, left, top in places:
        person, mask = (
            decode((SAMPLES / path).read_bytes())
            for decode, path in ((decode_rgb, f"no_segment/{name}.jpg"), (decode_mask, f"segments/{name}.png"))
        )
        x0, y0, x1, y1 = mask_bbox(mask).astype(int)
        size = (round(tall_px * (x1 - x0) / (y1 - y0)), tall_px)
        person, mask = (cv2.resize(a[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA) for a in (person, mask))
        here = np.s_[top : top + size[1], left : left + size[0]]
        picture[here] += (mask[..., None] / 255) * (person - picture[here])
    return picture.astype(np.uint8)


@pytest.mark.parametrize(("name", "left"), [("p002", 400), ("p017", 2480)])
def test_a_person_of_a_seventh_of_twelve_megapixels(detector, name, left):
    result = detector(with_people(4000, 3000, (name, 450, left, 2400)))
    x0, y0, x1, y1 = result.person_bbox_px
    np.testing.assert_allclose([y0, y1], [2400, 2850], atol=10)
    assert left - 10 < x0 < x1 < left + 260
    alone = detector(decode_rgb((SAMPLES / f"no_segment/{name}.jpg").read_bytes()))
    scale = 450 / np.ptp(alone.person_bbox_px[1::2])
    mapped = (alone.landmarks68_px - alone.person_bbox_px[:2]) * scale + [left, 2400]
    assert landmark_error(result.landmarks68_px, mapped) < 12.0  # the eyes are 20 px apart
    assert result.person_mask.shape == (3000, 4000)
    (box,) = result.face_boxes_px
    np.testing.assert_array_equal(box, result.face_bbox_px)


@pytest.mark.parametrize(
    ("name", "tall_px", "left", "top", "desk_px"),
    [("p002", 436, 735, 123, 230), ("p018", 397, 745, 133, 214), ("p001", 647, 306, 64, 195)],
)
def test_a_person_behind_a_desk(detector, name, tall_px, left, top, desk_px):
    picture = with_people(1400, 1000, (name, tall_px, left, top))
    picture[desk_px:] = picture[desk_px:] // 3 + np.array([60, 30, 10], np.uint8)
    picture[desk_px:, left : left + tall_px // 2] = (70, 45, 25)
    result = detector(picture)
    x, y = result.landmarks68_px.mean(axis=0)
    assert left < x < left + tall_px / 2
    assert top < y < desk_px


def test_two_small_people_are_two(detector):
    two = with_people(4000, 3000, ("p002", 450, 400, 2400), ("p017", 450, 2480, 2400))
    assert reason(detector, two) == "multiple_people"


def test_a_bystander_does_not_take_the_place_of_a_person_seen_from_behind(detector):
    behind = decode_rgb((SAMPLES / "bad/back_view.jpg").read_bytes())
    picture = with_people(4000, 3000, ("p017", 450, 3300, 2400))
    picture[:, :1500] = cv2.resize(behind, (1500, 3000))
    assert reason(detector, picture) == "back_view"


def test_reasons(detector, photo):
    assert reason(detector, skimage.data.coffee()) == "no_person"
    assert reason(detector, np.full((300, 200, 3), 128, np.uint8)) == "no_person"
    assert reason(detector, skimage.data.chelsea()) == "no_person"
    assert reason(detector, np.hstack([photo, photo])) == "multiple_people"
    assert reason(detector, photo[118:]) in ("face_out_of_frame", "no_face")
    faceless = photo.copy()
    faceless[60:185, 165:290] = (214, 170, 150)
    assert reason(detector, faceless) in ("no_face", "no_person", "back_view")


def test_nothing_is_written_to_standard_error(photo, capfd):
    PersonDetector()(photo)
    captured = capfd.readouterr()
    assert captured.err == ""
    assert captured.out == ""


def test_another_model_file_is_refused(monkeypatch):
    known = dict(mediapipe_graphs.MODEL_SHA256)
    known["pose_detection/pose_detection.tflite"] = "0" * 64
    monkeypatch.setattr(mediapipe_graphs, "MODEL_SHA256", known)
    with pytest.raises(AssetError, match=r"pose_detection.*pip install mediapipe==0\.10\.21"):
        PersonDetector()(np.zeros((64, 64, 3), np.uint8))


def test_every_landmark_has_its_mirror_image():
    assert sorted(MIRROR68) == list(range(68))
    np.testing.assert_array_equal(MIRROR68[MIRROR68], np.arange(68))
    assert len(MESH_FROM_IBUG) == 68


def test_landmarks_are_means_of_their_picks_a_little_lower(found):
    mesh, points = found.face_mesh478_px, landmarks68_from_mesh(found.face_mesh478_px)
    np.testing.assert_allclose(points[30] - points[33], mesh[4, :2] - mesh[2, :2], atol=1e-9)
    np.testing.assert_allclose(points[28] - points[30], (mesh[6] + 2 * mesh[197])[:2] / 3 - mesh[4, :2], atol=1e-9)
    lower = points[30] - mesh[4, :2]
    assert 0 < lower[1] < 0.02 * np.linalg.norm(points[45] - points[36])


@pytest.mark.parametrize("turn_deg", [0.0, 35.0, -50.0])
def test_landmarks_move_with_the_mesh(found, turn_deg):
    """Turned in the picture, enlarged, moved, and in a mirror image that is flipped back."""
    mesh = found.face_mesh478_px
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    for matrix in (np.array([[c, -s], [s, c]]), np.array([[-c, s], [s, c]])):
        moved = 2 * mesh[:, :2] @ matrix.T + [30, -7]
        expected = 2 * landmarks68_from_mesh(mesh) @ matrix.T + [30, -7]
        np.testing.assert_allclose(landmarks68_from_mesh(moved), expected, atol=1e-3)


@pytest.mark.parametrize("yaw_deg", [-35.0, 35.0])
def test_the_jaw_of_a_turned_mesh_lies_on_its_visible_edge(found, yaw_deg):
    centred = found.face_mesh478_px - found.face_mesh478_px.mean(axis=0)
    c, s = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    turned = centred @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    points = landmarks68_from_mesh(turned)
    for k in (*range(2, 6), *range(11, 15)):
        band = turned[np.abs(turned[:, 1] - points[k, 1]) < 4, 0]
        assert (points[k, 0] - band.max() if k > 8 else band.min() - points[k, 0]) > -3  # px; the eyes are 50 apart
    picks = [np.mean(turned[np.atleast_1d(MESH_FROM_IBUG[k]), 0]) for k in range(17)]
    far = (
        slice(10, 15)
        if np.mean(points[10:15, 0] - picks[10:15]) > np.mean(picks[2:7] - points[2:7, 0])
        else slice(2, 7)
    )
    assert np.abs(points[far, 0] - picks[far]).mean() > 2  # where the picks themselves are hidden
