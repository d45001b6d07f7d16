"""Rows by ranges of ids through scratch files: every row once, sorted, whoever wrote it."""

import numpy as np
import pyarrow as pa
import pytest

from dataprep.tables.ranges import clear, gathered, range_of, read_array, read_rows, slices, write_arrays, write_ranges


@pytest.fixture
def ids():
    random = np.random.default_rng(0)
    return [random.bytes(16).hex() for _ in range(500)]


@pytest.mark.parametrize("ranges", [1, 3, 16])
def test_all_ranges_together_are_the_sorted_rows(tmp_path, ids, ranges):
    paths = [tmp_path / f"rows-{i}" for i in range(4)]
    for i, path in enumerate(paths):
        mine = ids[i * 125 : (i + 1) * 125]
        write_ranges(path, pa.table({"sample_id": mine, "twice": [2 * ids.index(name) for name in mine]}), ranges)
    found = [table for number in range(ranges) if (table := read_rows(paths, number)) is not None]
    table = pa.concat_tables(found)
    assert table["sample_id"].to_pylist() == sorted(ids)
    assert table["twice"].to_pylist() == [2 * ids.index(name) for name in sorted(ids)]
    for number, one in enumerate(found):
        assert (range_of(one["sample_id"].to_pylist(), ranges) == number).all()


def test_a_range_without_rows_is_none(tmp_path):
    write_ranges(tmp_path / "rows", pa.table({"sample_id": ["00" * 16]}), 2)
    assert read_rows([tmp_path / "rows"], 1) is None
    assert len(read_rows([tmp_path / "rows"], 0)) == 1


def test_arrays_come_back_whole_and_in_pieces(tmp_path):
    values, words = np.arange(24, dtype=np.float32).reshape(6, 4), np.array([b"a", b"bcd"])
    for name in ("one", "two"):
        write_arrays(tmp_path / name, {"values": values, "words": words, "none": np.zeros((0, 32), np.uint8)})
    assert np.array_equal(read_array(tmp_path / "one", "values"), values)
    assert np.array_equal(read_array(tmp_path / "one", "values", slice(2, 4)), values[2:4])
    assert read_array(tmp_path / "one", "words").tolist() == words.tolist()
    assert gathered([tmp_path / "one", tmp_path / "two"], "values").shape == (12, 4)
    assert read_array(tmp_path / "one", "none").shape == (0, 32)


def test_scratch_folders_go_and_need_not_be_there(tmp_path):
    write_arrays(tmp_path / "scratch" / "one", {"values": np.zeros(3)})
    clear(tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()
    clear(tmp_path / "scratch")


def test_slices_cover_everything_once():
    assert [i for some in slices(10, 4) for i in range(10)[some]] == list(range(10))
    assert list(slices(0, 4)) == []
