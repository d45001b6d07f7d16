"""What moved between two versions of a data set, row by row."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.report.census import Census
from dataprep.report.differences import difference
from dataprep.tables.store import write_table
from pipelines.viewer.row_moves import moves
from tests.fake_dataset import make_dataset, make_photos


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moved")
    make_photos(folder / "photos", 20)
    make_dataset(folder / "photos", folder / "out", {}, small=True)
    return pq.read_table(folder / "out" / "manifest.parquet", partitioning=None)


def written(folder, table, **columns):
    for name, values in columns.items():
        field = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
    write_table(folder / "manifest.parquet", table)
    return Census(folder)


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    return tmp_path / "before", tmp_path / "after"


def test_the_same_data_set_twice_has_no_moves(manifest, folders):
    found = moves(written(folders[0], manifest), written(folders[1], manifest))
    assert len(found.pairs) == 20
    assert not found.relative.any()
    assert not found.ended_otherwise.any()
    assert not found.split_changed.any()
    assert {"yaw", "bfm_exp", "q_sharpness", "portrait_dhash"} <= set(found.names)


def test_amounts_are_those_of_the_columns_and_rows_of_one_alone_are_named(manifest, folders):
    yaw = np.array(manifest["yaw"].to_pylist())
    expression = np.array(manifest["bfm_exp"].to_pylist())
    hashes = [bytearray(one) for one in manifest["portrait_dhash"].to_pylist()]
    turned, smiling = yaw.copy(), expression.copy()
    turned[7] += 0.5
    smiling[3, 11] -= 2.0
    hashes[5][0] ^= 0b111
    splits = ["val" if i == 2 else split for i, split in enumerate(manifest["split"].to_pylist())]
    old_splits = ["train" if i == 2 else split for i, split in enumerate(splits)]
    before = written(folders[0], manifest.slice(0, 18), split=old_splits[:18])
    later = written(folders[1], manifest, split=splits, yaw=list(turned), bfm_exp=list(smiling),
                    portrait_dhash=[bytes(one) for one in hashes])  # fmt: skip
    after = written(folders[1], pq.read_table(later.path, partitioning=None).slice(1))
    found = moves(before, after)
    place = {name: i for i, name in enumerate(found.names)}
    assert found.pairs.tolist() == [[i, i - 1] for i in range(1, 18)]
    assert (found.only_before.tolist(), found.only_after.tolist()) == ([0], [17, 18])
    assert found.amount[6, place["yaw"]] == pytest.approx(0.5, abs=1e-5)
    spread = 1.4826 * np.median(np.abs(yaw[:18] - np.median(yaw[:18])))
    assert found.relative[6, place["yaw"]] == pytest.approx(0.5 / spread, rel=1e-3)
    assert (found.which[2, place["bfm_exp"]], found.amount[2, place["bfm_exp"]]) == (11, pytest.approx(2, abs=1e-5))
    assert found.old[2, place["bfm_exp"]] - found.new[2, place["bfm_exp"]] == pytest.approx(2, abs=1e-5)
    assert found.amount[4, place["portrait_dhash"]] == 3
    moved = np.argwhere(found.relative > 0).tolist()
    assert sorted(moved) == sorted([[6, place["yaw"]], [2, place["bfm_exp"]], [4, place["portrait_dhash"]]])
    assert np.flatnonzero(found.split_changed).tolist() == [1]


def test_row_by_row_and_altogether_count_alike(manifest, folders):
    turned = np.array(manifest["yaw"].to_pylist())
    turned[::3] += 0.01
    statuses = ["rejected" if i == 4 else one for i, one in enumerate(manifest["status"].to_pylist())]
    before, after = written(folders[0], manifest), written(folders[1], manifest, yaw=list(turned), status=statuses)
    rows, whole = moves(before, after), difference(before.path, after)
    assert rows.ended_otherwise.sum() == sum(fate.rows for fate in whole.fates) == 1
    shift = next(one for one in whole.shifts if one.column == "yaw")
    column = rows.names.index("yaw")
    assert (rows.relative[:, column] > 0).sum() == 7 == shift.changed
    assert np.nanmax(rows.amount[:, column]) == pytest.approx(shift.largest_change, abs=1e-6)
