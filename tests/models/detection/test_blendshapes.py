"""Blendshapes: ARKit's names, in [0, 1], and they answer to mouths, eyes and mirrors."""

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from dataprep.errors import AssetError
from dataprep.models.detection import face_readings
from dataprep.models.detection.blendshapes import (
    BLENDSHAPES,
    GAZE,
    LANDMARKER_PATH,
    LANDMARKER_SHA256,
    MIRROR52,
    landmarker_bytes,
    of_row,
)
from dataprep.models.detection.mediapipe_graphs import FaceBox, Graphs, LandmarkedFace, mediapipe_image
from dataprep.models.detection.person_detector import PersonDetector
from dataprep.pictures.codecs import decode_rgb
from dataprep.stages.detect import Detect, PersonMask, _columns
from dataprep.tables.columns import rows_from_table, table_from_rows

SAMPLES = Path(__file__).parents[3] / "samples" / "people"
EYES = ((468, 33, 133), (473, 362, 263))  # iris and corners, right and left, of the mesh


@pytest.fixture(scope="module")
def graphs() -> Graphs:
    return Graphs()


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """The astronaut's head, 384 px."""
    head = np.ascontiguousarray(skimage.data.astronaut()[30:230, 120:320])
    return cv2.resize(head, (384, 384), interpolation=cv2.INTER_CUBIC)


def seen(graphs: Graphs, picture: np.ndarray) -> LandmarkedFace:
    found = graphs.landmarked_face(picture)
    assert found is not None
    return found


def value(found: LandmarkedFace, name: str) -> float:
    return float(found.blendshapes[BLENDSHAPES.index(name)])


def test_names_are_arkits_and_the_stages_columns() -> None:
    assert len(set(BLENDSHAPES)) == 52
    assert len(GAZE) == 8
    assert {"jawOpen", "mouthSmileLeft", "browInnerUp", "eyeBlinkRight", "cheekPuff", "noseSneerLeft"} <= {*BLENDSHAPES}
    assert [column.name for column in Detect.columns if column.desc.startswith("blendshape: ")] == [*BLENDSHAPES]
    assert {weight.name: weight.sha256 for weight in Detect().weights()}[LANDMARKER_PATH.name] == LANDMARKER_SHA256


def test_the_order_is_the_networks(graphs: Graphs, face: np.ndarray) -> None:
    """Names come from the model itself; only the first, its own `_neutral`, is spelt without the stroke."""
    categories = graphs._face_landmarker.detect(mediapipe_image(face)).face_blendshapes[0]
    assert tuple(one.category_name.removeprefix("_") for one in categories) == BLENDSHAPES


def test_a_mirror_swaps_sides(graphs: Graphs, face: np.ndarray) -> None:
    """The network prefers sides by up to 0.2, so a strong asymmetry tells: a gaze.

    A shift of the whole jaw to the left becomes one to the right, too; twice mirrored is as before.
    """
    assert [*MIRROR52[MIRROR52]] == [*range(52)]
    assert BLENDSHAPES[MIRROR52[BLENDSHAPES.index("jawLeft")]] == "jawRight"
    aside = irises_moved(face, seen(graphs, face).mesh, 0.2)
    plain, mirrored = seen(graphs, aside).blendshapes, seen(graphs, aside[:, ::-1]).blendshapes
    gaze = [BLENDSHAPES.index(name) for name in GAZE if "In" in name or "Out" in name]
    swapped, kept = (np.abs(shapes - plain)[gaze].mean() for shapes in (mirrored[MIRROR52], mirrored))
    assert swapped < 0.5 * kept


def test_results_do_not_depend_on_the_pictures_before(graphs: Graphs, face: np.ndarray) -> None:
    first = seen(graphs, face)
    seen(graphs, face[:, ::-1])
    again = seen(Graphs(), face)
    np.testing.assert_array_equal(first.blendshapes, again.blendshapes)
    np.testing.assert_array_equal(first.mesh, seen(graphs, face).mesh)


@pytest.mark.parametrize(("shift", "rising", "falling"), [
    (-0.15, ("eyeLookOutRight", "eyeLookInLeft"), ("eyeLookOutLeft", "eyeLookInRight")),
    (0.15, ("eyeLookOutLeft", "eyeLookInRight"), ("eyeLookOutRight", "eyeLookInLeft")),
])  # fmt: skip
def test_gaze_follows_the_irises(graphs: Graphs, face: np.ndarray, shift: float, rising, falling) -> None:  # type: ignore[no-untyped-def]
    """Irises moved to the picture's left look to the person's right."""
    straight, moved = seen(graphs, face), seen(graphs, irises_moved(face, seen(graphs, face).mesh, shift))
    for name in rising:
        assert value(moved, name) > value(straight, name) + 0.1
    for name in falling:
        assert value(moved, name) < value(straight, name)


def irises_moved(face: np.ndarray, mesh: np.ndarray, share: float) -> np.ndarray:
    """Pixels of the eyes moved along x by a share of an eye's width, fading out towards its corners."""
    y, x = np.mgrid[: face.shape[0], : face.shape[1]].astype(np.float32)
    moved = np.zeros_like(x)
    for iris, outer, inner in EYES:
        width = np.linalg.norm(mesh[outer, :2] - mesh[inner, :2])
        away = ((x - mesh[iris, 0]) / (0.45 * width)) ** 2 + ((y - mesh[iris, 1]) / (0.25 * width)) ** 2
        moved += share * width * np.exp(-away)
    return cv2.remap(face, x - moved, y, cv2.INTER_LINEAR)


@pytest.fixture(scope="module")
def detector() -> PersonDetector:
    return PersonDetector()


@pytest.mark.parametrize(
    ("open_mouth", "closed"), [("no_segment/p009", "no_segment/p001"), ("photos/p022", "photos/p021")]
)
def test_an_open_mouth_opens_the_jaw(detector: PersonDetector, open_mouth: str, closed: str) -> None:
    opened, at_rest = (
        detector(decode_rgb((SAMPLES / f"{name}.jpg").read_bytes())).blendshapes for name in (open_mouth, closed)
    )
    assert opened is not None
    assert at_rest is not None
    for shapes in (opened, at_rest):
        assert shapes.shape == (52,)
        assert ((shapes >= 0) & (shapes <= 1)).all()
    assert opened[BLENDSHAPES.index("jawOpen")] > at_rest[BLENDSHAPES.index("jawOpen")] + 0.2


def test_where_the_landmarker_sees_no_face_there_is_nothing(graphs: Graphs) -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    face = FaceBox(np.array([50.0, 50, 150, 150]), 0.9, np.array([[80.0, 90], [120, 90], [100, 110], [100, 130], [50, 100], [150, 100]]))  # fmt: skip  # noqa: E501
    assert graphs.landmarked_face(grey) is None
    assert face_readings.read_landmarker(graphs, grey, face) is None
    assert of_row(dict.fromkeys(BLENDSHAPES)) is None
    assert of_row({}) is None


def test_what_was_not_read_is_null_in_every_column(detector: PersonDetector) -> None:
    found = detector(decode_rgb((SAMPLES / "no_segment" / "p001.jpg").read_bytes()))
    for shapes in (found.blendshapes, None):
        row = _columns(replace(found, blendshapes=shapes), PersonMask(found.person_mask), None)
        (stored,) = rows_from_table(table_from_rows(Detect.columns, [row]))
        assert [stored[name] is None for name in BLENDSHAPES] == [shapes is None] * 52
        assert (of_row(stored) is None) == (shapes is None)


def test_the_shipped_model_is_the_one_we_know_and_no_other_is_run(tmp_path: Path) -> None:
    assert hashlib.sha256(LANDMARKER_PATH.read_bytes()).hexdigest() == LANDMARKER_SHA256
    damaged = tmp_path / LANDMARKER_PATH.name
    known = LANDMARKER_PATH.read_bytes()
    damaged.write_bytes(known[:1000] + bytes([known[1000] ^ 1]) + known[1001:])
    with pytest.raises(
        AssetError, match=r"face_landmarker\.task: sha256 [0-9a-f]{12}, expected 64184e229b26.*shhq-hs assets"
    ):
        landmarker_bytes(damaged)
    with pytest.raises(AssetError, match="sha256 nothing, expected 64184e229b26"):
        landmarker_bytes(tmp_path / "none.task")
