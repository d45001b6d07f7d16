"""The likeness: people of other days are found again, others are not, and the face is laid where the network wants it.

`same_people.webp` shows 49 rendered people, a row each, on three days: other pose, clothes, light, expression and place
(`python -m tools.render --seed 616 --count 50 --days 3 --people-only`, CC0; the people with three accepted
photographs, cut out of the native crops as the stage `likeness` does).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dataprep.errors import AssetError
from dataprep.frames import geometry
from dataprep.models.face.likeness_file import (
    CHIP_PX,
    FEATURES,
    LIKENESS_PATH,
    SCALE,
    chip_from_picture,
    likeness_arrays,
    whole_weights,
)
from dataprep.models.face.likeness_network import LikenessReader, sum_of_unlike
from dataprep.pictures.codecs import decode_rgb
from dataprep.same_people import same_people
from dataprep.stages.manifest import Manifest
from tools.standins.derive_likeness import rounded, telling

DAYS, TILE_PX = 3, 160


@pytest.fixture(scope="module")
def reader() -> LikenessReader:
    return LikenessReader()


@pytest.fixture(scope="module")
def chips() -> np.ndarray:
    sheet = decode_rgb((Path(__file__).parent / "same_people.webp").read_bytes())
    rows, columns = sheet.shape[0] // TILE_PX, sheet.shape[1] // TILE_PX
    assert columns == DAYS
    tiles = sheet.reshape(rows, TILE_PX, columns, TILE_PX, 3).swapaxes(1, 2).reshape(-1, TILE_PX, TILE_PX, 3)
    return np.ascontiguousarray(tiles[:, :CHIP_PX, :CHIP_PX])


def test_people_of_other_days_are_one_person_and_others_are_not(reader: LikenessReader, chips: np.ndarray) -> None:
    read = [reader(chip) for chip in chips]
    assert min(one.self_similarity for one in read) >= Manifest.min_likeness_self
    cluster = same_people(np.stack([one.vector for one in read]), Manifest.same_person_cosine)
    a, b = np.triu_indices(len(chips), 1)
    one_person, together = a // DAYS == b // DAYS, cluster[a] == cluster[b]
    assert together[one_person].mean() >= 0.9
    assert together[~one_person].mean() <= 0.01


def test_a_face_and_its_mirror_image_are_one(reader: LikenessReader, chips: np.ndarray) -> None:
    face, mirrored = reader(chips[0]), reader(np.ascontiguousarray(chips[0, :, ::-1]))
    assert face.vector.shape == (FEATURES,)
    assert np.linalg.norm(face.vector) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(face.vector, mirrored.vector, atol=1e-5)
    assert face.self_similarity == pytest.approx(mirrored.self_similarity, abs=1e-5)


def test_the_chip_follows_the_face_through_any_similarity() -> None:
    landmarks = np.random.default_rng(0).normal(200, 40, (68, 2))
    moved_from_picture = geometry.square_from_source(np.array([90.0, 40.0]), 700.0, 0.7, 333)
    there = chip_from_picture(geometry.transform(moved_from_picture, landmarks))
    np.testing.assert_allclose(geometry.compose(there, moved_from_picture), chip_from_picture(landmarks), atol=1e-9)


def test_weights_in_int8_are_half_a_step_off_at_most() -> None:
    weight = np.random.default_rng(0).normal(size=(5, 4, 3, 3)).astype(np.float32)
    weight[3] = 0
    stored = rounded("layer.weight", weight)
    assert stored["layer.weight"].dtype == np.int8
    back = whole_weights(stored)
    assert back.keys() == {"layer.weight"}
    step = stored["layer.weight" + SCALE][:, None, None, None]
    assert (np.abs(back["layer.weight"] - weight) <= 0.5001 * step).all()


def test_directions_that_tell_people_apart_come_first() -> None:
    """By hand: people differ along the second and the fourth axis, their views much along the fourth and the first."""
    rng = np.random.default_rng(0)
    who = rng.normal(size=(200, 1, 4)) * [0, 2, 0, 2]
    first, second, *_ = telling(list(who + rng.normal(size=(200, 3, 4)) * [3, 0.3, 0.3, 3]))
    assert np.abs(first).argmax() == 1
    assert np.abs(second).argmax() == 3


def test_a_shortcut_of_another_size_ends_in_zeros() -> None:
    total = sum_of_unlike(torch.ones(1, 3, 2, 2), torch.ones(1, 2, 3, 3))
    assert total.shape == (1, 3, 3, 3)
    assert total[0, 0].tolist() == [[2, 2, 1], [2, 2, 1], [1, 1, 1]]
    assert total[0, 2].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_other_weights_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "likeness_resnet.npz"
    with pytest.raises(AssetError, match=r"likeness_resnet\.npz.*take the file back with git"):
        likeness_arrays(broken)
    broken.write_bytes(LIKENESS_PATH.read_bytes()[:-1])
    with pytest.raises(AssetError, match="take the file back with git"):
        likeness_arrays(broken)
