"""People with several photographs, and pairs who may be one: those in both splits first."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.errors import ConfigError
from dataprep.models.face.likeness_file import FEATURES
from dataprep.report.census import Census
from dataprep.tables.store import write_table
from pipelines.viewer.nearness.alike_people import people_of
from tests.fake_dataset import make_dataset, make_photos


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alike")
    make_photos(folder / "photos", 24)
    people = {"photo0003.jpg": "Bo", "photo0007.jpg": "Bo", "photo0008.jpg": "Bo", "photo0010.jpg": "Cy"}
    make_dataset(folder / "photos", folder / "out", {}, small=True, people=people | {"photo0011.jpg": "Cy"})
    return pq.read_table(folder / "out" / "manifest.parquet", partitioning=None)


def census_of(manifest, tmp_path, **columns):
    """The manifest with other columns; all rows are selected."""
    columns = {"selected": [True] * len(manifest), "likeness_self": [0.99] * len(manifest)} | columns
    for name, values in columns.items():
        field = manifest.schema.field(name)
        manifest = manifest.set_column(manifest.schema.get_field_index(name), field, pa.array(values, field.type))
    write_table(tmp_path / "manifest.parquet", manifest)
    return Census(tmp_path)


def apart(rows, seed=0):
    vectors = np.linalg.qr(np.random.default_rng(seed).normal(size=(FEATURES, FEATURES)))[0][:rows]
    return vectors


def test_people_are_those_of_the_manifest_the_one_in_both_splits_first(manifest, tmp_path):
    paths = manifest["source_path"].to_pylist()
    splits = ["val" if path == "photo0010.jpg" else "train" for path in paths]
    found = people_of(census_of(manifest, tmp_path, split=splits))
    named = [sorted(paths[row] for row in person.rows) for person in found.repeated]
    assert named == [["photo0010.jpg", "photo0011.jpg"], ["photo0003.jpg", "photo0007.jpg", "photo0008.jpg"]]
    assert [person.splits for person in found.repeated] == [("train", "val"), ("train",)]
    assert (found.photographs, found.people) == (24, 21)


def test_pairs_who_resemble_each_other_are_found_across_splits_first(manifest, tmp_path):
    rows = len(manifest)
    vectors = apart(rows)
    vectors[5] = 0.95 * vectors[4] + np.sqrt(1 - 0.95**2) * vectors[5]  # one split
    vectors[9] = 0.8 * vectors[2] + 0.6 * vectors[9]  # two
    vectors[12] = 0.7 * vectors[11] + np.sqrt(1 - 0.7**2) * vectors[12]  # not enough alike
    splits = ["val" if row == 9 else "train" for row in range(rows)]
    names = [f"{row:032x}" for row in range(rows)]
    found = people_of(census_of(manifest, tmp_path, likeness=list(vectors), split=splits, person=names))
    assert [(pair.first, pair.second, pair.across) for pair in found.pairs] == [((2,), (9,), True), ((4,), (5,), False)]
    assert [pair.cosine for pair in found.pairs] == pytest.approx([0.8, 0.95], abs=2e-3)


def test_faces_that_say_little_and_pictures_that_are_not_selected_take_no_part(manifest, tmp_path):
    rows = len(manifest)
    vectors = np.repeat(apart(1), rows, axis=0)
    sure = [0.1 if row < rows - 3 else 0.99 for row in range(rows)]
    selected = [row != rows - 1 for row in range(rows)]
    names = [f"{row:032x}" for row in range(rows)]
    found = people_of(
        census_of(manifest, tmp_path, likeness=list(vectors), likeness_self=sure, selected=selected, person=names)
    )
    assert [(pair.first, pair.second) for pair in found.pairs] == [((rows - 3,), (rows - 2,))]


def test_a_manifest_that_does_not_tell_people_apart_is_refused(manifest, tmp_path):
    write_table(tmp_path / "manifest.parquet", manifest.drop_columns(["person"]))
    with pytest.raises(ConfigError, match="no column person"):
        people_of(Census(tmp_path))
