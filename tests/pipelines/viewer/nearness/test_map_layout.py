"""The map: alike portraits together, the same every time; kept beside the data set and made again when that changes."""

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from skimage.data import astronaut

from dataprep.errors import ConfigError
from dataprep.pictures.codecs import encode_png
from dataprep.report.census import Census
from dataprep.tables.store import write_table
from pipelines.viewer.nearness.feature_rows import (
    LIKENESS,
    PICTURE,
    FeatureRows,
    likeness_rows,
    picture_rows,
    require_kind,
)
from pipelines.viewer.nearness.map_file import PortraitMap, map_path, read_map, write_map
from pipelines.viewer.nearness.map_job import MapMaker, features_of
from pipelines.viewer.nearness.map_layout import DIRECTIONS, NEIGHBOURS, layout, main_directions, require_layout
from pipelines.viewer.nearness.nearest_rows import all_nearest
from pipelines.viewer.sample_images import SampleImages
from pipelines.viewer.viewed_dataset import ViewedDataset
from tests.fake_dataset import End, make_dataset, make_photos


def silent(fraction, said):
    assert 0 <= fraction <= 1
    assert said


def groups(count=12, members=25, width=32, seed=0):
    random = np.random.default_rng(seed)
    vectors = np.repeat(random.normal(size=(count, width)), members, axis=0)
    vectors += 0.25 * random.normal(size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), np.arange(count).repeat(
        members
    )


@pytest.mark.parametrize(("how", "least"), [(NEIGHBOURS, 0.95), (DIRECTIONS, 0.25)])
def test_what_is_alike_lies_together(how, least):
    vectors, group = groups()
    points = layout(vectors, how, silent)
    assert points.min() >= 0
    assert points.max() <= 1
    assert np.ptp(points, axis=0).max() == pytest.approx(1, abs=1e-6)
    far = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(far, np.inf)
    assert (group[far.argmin(axis=1)] == group).mean() >= least


def test_the_same_portraits_give_the_same_map():
    vectors, _ = groups(seed=3)
    assert layout(vectors, NEIGHBOURS, silent).tobytes() == layout(vectors.copy(), NEIGHBOURS, silent).tobytes()


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 9])
@pytest.mark.parametrize("how", [NEIGHBOURS, DIRECTIONS])
def test_few_portraits_have_a_map_too(rows, how):
    assert np.isfinite(layout(groups(rows, 1)[0], how, silent)).all()


def test_equal_portraits_have_a_map_too():
    assert np.isfinite(layout(np.full((40, 8), 8**-0.5, np.float32), NEIGHBOURS, silent)).all()


def test_main_directions_are_those_of_a_singular_value_decomposition():
    vectors = groups(seed=5)[0]
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    assert np.allclose(np.abs(main_directions(vectors, 4)), np.abs(u[:, :4] * s[:4]), atol=1e-6)


def test_other_words_are_refused():
    for refuse in (require_layout, require_kind):
        with pytest.raises(ConfigError, match="expected one of"):
            refuse("../x")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mapped")
    make_photos(folder / "photos", 14)
    people = {"photo0003.jpg": "Bo", "photo0007.jpg": "Bo"}
    ends = {"photo0001.jpg": End("detect", reason="no_face")}
    make_dataset(folder / "photos", folder / "out", ends, small=True, people=people)
    return folder / "out"


def test_likenesses_are_those_of_the_manifest(out):
    census = Census(out)
    found = likeness_rows(census)
    assert len(found.rows) == 13  # one has no face
    assert np.allclose(found.vectors, census.matrix("likeness")[found.rows], atol=2e-3)
    lost = census.column("status").index("rejected")
    assert found.place(lost) is None
    assert all(found.place(int(row)) == place for place, row in enumerate(found.rows))


def test_pictures_are_compared_by_how_they_look(out):
    photo, random = astronaut()[:224, 112:336], np.random.default_rng(0)

    def read(row):
        moved = np.roll(photo, 7 * row, axis=1)
        spoilt = (moved, cv2.blur(moved, (9, 9)), np.clip(moved + random.normal(0, 30, moved.shape), 0, 255))[row % 3]
        return encode_png(spoilt.astype(np.uint8)) if row != 12 else None

    found = picture_rows(Census(out), read, silent)
    assert len(found.rows) == 13 - (12 in likeness_rows(Census(out)).rows)
    assert found.vectors.shape[1] == 96
    assert "span" in found.network
    first = all_nearest(found.vectors, 1)[0][:, 0]
    assert (found.rows[first] % 3 == found.rows % 3).all()


def test_portraits_are_read_from_the_data_set(out):
    dataset = ViewedDataset(out, "Ana")
    found = features_of(dataset.census, SampleImages(out, dataset.fingerprints), PICTURE, silent)
    assert np.array_equal(found.rows, np.flatnonzero(dataset.census.ok))


def test_a_map_is_made_in_another_process_and_kept(out):
    dataset = ViewedDataset(out, "Ana")
    maker = MapMaker(out, dataset.census, dataset.fingerprints)
    assert maker.look(LIKENESS, NEIGHBOURS) is None
    state = maker.begin(LIKENESS, NEIGHBOURS)
    assert state.ended.wait(120)
    assert (state.problem, len(state.made.rows)) == ("", 13)
    assert maker.begin(LIKENESS, NEIGHBOURS) is state
    kept = MapMaker(out, dataset.census, dataset.fingerprints).look(LIKENESS, NEIGHBOURS)
    assert kept.made.points.tobytes() == state.made.points.tobytes()
    assert np.array_equal(kept.made.features.vectors, likeness_rows(dataset.census).vectors)


def test_why_a_map_cannot_be_made_is_said(tmp_path):
    make_photos(tmp_path / "photos", 3)
    ends = {f"photo000{i}.jpg": End("detect", reason="no_face") for i in range(3)}
    make_dataset(tmp_path / "photos", tmp_path / "out", ends)
    dataset = ViewedDataset(tmp_path / "out", "Ana")
    state = MapMaker(dataset.out, dataset.census, dataset.fingerprints).begin(LIKENESS, NEIGHBOURS)
    assert state.ended.wait(120)
    assert "no portrait has a likeness" in state.problem
    assert state.made is None


def made(rows=5):
    features = FeatureRows(LIKENESS, np.arange(rows), groups(rows, 1)[0], "likeness")
    return PortraitMap(features, layout(features.vectors, DIRECTIONS, silent))


def test_a_map_of_another_manifest_goes_and_a_damaged_one_counts_as_none(out, tmp_path):
    first = map_path(tmp_path, [out / "manifest.parquet"], LIKENESS, DIRECTIONS)
    write_map(first, made())
    other = tmp_path / "other.parquet"
    write_table(other, pq.read_table(out / "manifest.parquet", partitioning=None).slice(0, 9))
    second = map_path(tmp_path, [other], LIKENESS, DIRECTIONS)
    assert first != second
    assert read_map(second) is None
    write_map(second, made(6))
    assert not first.exists()
    assert len(read_map(second).rows) == 6
    data = bytearray(second.read_bytes())
    data[40] ^= 1
    second.write_bytes(bytes(data))
    assert read_map(second) is None
