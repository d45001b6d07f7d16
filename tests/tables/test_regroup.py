"""Rows come out in their places, whatever the batches and ranges."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.tables import regroup
from dataprep.tables.regroup import in_places


@given(st.integers(1, 200), st.integers(1, 50), st.integers(1, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_every_row_comes_once_in_its_place(rows, batch_rows, range_rows, seed):
    place = np.random.default_rng(seed).permutation(rows)
    table = pa.table({"place": place, "vector": [[float(p)] * (p % 3) if p % 5 else None for p in place]})
    batches = [(table.slice(i, batch_rows), place[i : i + batch_rows]) for i in range(0, rows, batch_rows)]
    pieces = list(in_places(iter(batches), rows, range_rows))
    assert [first for first, _ in pieces] == list(np.cumsum([0, *(len(piece) for _, piece in pieces[:-1])]))
    assert all(len(piece) == range_rows for _, piece in pieces[:-1])
    together = pa.concat_tables([piece for _, piece in pieces])
    assert together["place"].to_pylist() == list(range(rows))
    assert together["vector"].to_pylist() == [[float(p)] * (p % 3) if p % 5 else None for p in range(rows)]


def test_many_ranges_are_joined_so_that_few_files_are_open(monkeypatch):
    monkeypatch.setattr(regroup, "_MAX_RANGES", 4)
    table = pa.table({"place": np.arange(100)})
    pieces = list(in_places([(table, np.arange(100)[::-1].copy())], 100, 10))
    assert [(first, len(piece)) for first, piece in pieces] == [(0, 30), (30, 30), (60, 30), (90, 10)]
    assert pa.concat_tables([piece for _, piece in pieces])["place"].to_pylist() == list(range(100))[::-1]
