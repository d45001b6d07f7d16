"""The manifest in pieces: the same rows however the work is divided, and every reader takes a file and a folder."""

import pickle
import random
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataprep.report.census import Census
from dataprep.stages import manifest as manifest_stage
from dataprep.stages import manifest_decisions, manifest_links
from dataprep.stages.manifest import Manifest
from dataprep.stages.shards import Shards
from dataprep.tables.manifest_files import MANIFEST, PIECES, manifest_metadata, peek_manifest, read_manifest
from pipelines.commands.select_rows import select
from pipelines.commands.verify import defects_of
from pipelines.engine import outputs
from pipelines.engine.last_run import remember
from pipelines.paper_stages import build
from tests.fake_dataset import End, make_dataset, make_photos

ROWS = 64


class Scrambled:
    """Workers that come in any order, twice, and know nothing but what was sent to them."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def each(self, function, tasks, step):
        sent = [pickle.dumps(task) for task in tasks]
        order = [*range(len(sent)), *self.random.sample(range(len(sent)), len(sent) // 2)]
        self.random.shuffle(order)
        results = {i: function(pickle.loads(sent[i])) for i in order}
        return [results[i] for i in range(len(sent))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """64 photographs of 30 people in parts of 4; some are lost on the way."""
    folder = tmp_path_factory.mktemp("pieces")
    make_photos(folder / "photos", ROWS)
    names = [f"photo{number:04d}.jpg" for number in range(ROWS)]
    people = {name: f"person {number % 30}" for number, name in enumerate(names)}
    ends = {
        name: End(("detect", "face", "quality")[i % 3], message=f"message {i}") for i, name in enumerate(names[::17])
    }
    view = make_dataset(folder / "photos", folder / "out", ends, small=True, people=people)
    remember(view.store, build())
    return view, folder / "out"


def files_of(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in (MANIFEST, "shards")
        for path in [root / folder, *(root / folder).rglob("*")]
        if path.is_file()
    }


def built(whole, workers, manifest):
    view, root = whole
    counts = manifest.build_by(workers, view, root) if workers else manifest.build(view, root)
    Shards().build_by(workers or Scrambled(0), view, root)
    return counts, files_of(root)


@pytest.mark.parametrize("exact_faces", [manifest_links.EXACT_FACES, 10], ids=["all pairs", "cells"])
def test_any_division_of_the_work_gives_the_same_bytes(whole, monkeypatch, exact_faces):
    manifest = replace(Manifest(), val_fraction=0.3, near_duplicate_bits=108, shard_rows=20)
    counts, expected = built(whole, None, manifest)
    assert counts["rows"] == ROWS
    assert counts["selected"] < ROWS - 8, "there are near-duplicates"
    monkeypatch.setattr(manifest_stage, "ROWS_AT_A_TIME", 32)
    monkeypatch.setattr(manifest_stage, "RANGE_ROWS", 20)
    monkeypatch.setattr(manifest_links, "_PAIRS_A_TASK", 2000)
    monkeypatch.setattr(manifest_links, "_PLACED_A_TASK", 7)
    monkeypatch.setattr(manifest_links, "EXACT_FACES", exact_faces)
    monkeypatch.setattr(manifest_decisions, "_ROWS_AT_A_TIME", 50)
    monkeypatch.setattr(manifest_links, "_ROWS_AT_A_TIME", 50)
    assert built(whole, Scrambled(1), manifest) == (counts, expected)
    assert not (whole[1] / "stages" / "manifest" / "scratch").exists()


@pytest.fixture
def divided(whole, monkeypatch):
    """The same data set with its manifest in pieces, and as it was in one."""
    monkeypatch.setattr(manifest_stage, "RANGE_ROWS", 20)
    view, root = whole
    counts = Manifest().build(view, root)
    one = pq.read_table(root / MANIFEST, partitioning=None)
    manifest = replace(Manifest(), one_file_rows=50)
    assert manifest.build(view, root) == counts
    assert (root / MANIFEST / PIECES).is_file()
    assert len(list((root / MANIFEST).glob("part-*.parquet"))) > 3
    return root, one, manifest


def test_a_folder_holds_the_rows_of_the_file(divided):
    root, one, _ = divided
    assert read_manifest(root).to_pylist() == one.to_pylist()
    assert read_manifest(root).schema.equals(one.schema, check_metadata=True)
    assert pq.read_table(root / MANIFEST, partitioning=None).num_rows == len(one), "as pandas reads it"
    assert peek_manifest(root, ["yaw"])["yaw"].to_pylist() == one["yaw"].to_pylist()
    assert manifest_metadata(root)["schema_version"] == "1"


def test_census_select_and_verify_take_a_folder(divided, tmp_path, capsys):
    root, one, _ = divided
    census = Census(root)
    assert census.ids == one["sample_id"].to_pylist()
    np.testing.assert_array_equal(
        census.matrix("bfm_exp"), np.array(one["bfm_exp"].fill_null([np.nan] * 64).to_pylist(), np.float32)
    )
    assert Census(root / MANIFEST).ids == census.ids
    assert select(root, "selected", tmp_path / "chosen.parquet") == 0
    chosen = pq.read_table(tmp_path / "chosen.parquet").to_pylist()
    assert chosen == [row for row in one.to_pylist() if row["selected"]]
    assert not [flaw for flaw in defects_of(root, deep=True).defects if "manifest" in flaw]


def test_damage_to_a_piece_is_found(divided):
    root, _, manifest = divided
    outputs.record(root, manifest, "key", "", {}, {})
    record, _ = outputs.read_record(outputs.record_path(root, "manifest"))
    assert list(record["sha256"]) == [f"{MANIFEST}/{PIECES}"]
    piece = sorted((root / MANIFEST).glob("part-*.parquet"))[1]
    data = bytearray(piece.read_bytes())
    data[len(data) // 2] ^= 1
    piece.write_bytes(data)
    assert any(piece.name in flaw for flaw in defects_of(root, deep=True).defects)
    piece.unlink()
    assert f"{MANIFEST}/{piece.name}" in manifest.more_files(root)


def test_back_to_one_file(divided, whole):
    view, root = whole
    Manifest().build(view, root)
    assert (root / MANIFEST).is_file()
    replace(Manifest(), one_file_rows=50).build(view, root)
    (root / MANIFEST / "part-00099.parquet").write_bytes(b"of an earlier, larger data set")
    replace(Manifest(), one_file_rows=50).build(view, root)
    assert not (root / MANIFEST / "part-00099.parquet").exists()
    Manifest().build(view, root)
    assert (root / MANIFEST).is_file()
