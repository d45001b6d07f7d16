"""The manifest and the shards of a made-up data set: near-duplicates, outliers, split, places, stale files."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataprep.duplicates import clusters
from dataprep.stages.manifest import Manifest
from dataprep.stages.shards import Shards
from dataprep.tables.columns import rows_from_table
from tests.fake_dataset import End, make_dataset, make_photos


@pytest.fixture(scope="module")
def view_and_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manifest")
    make_photos(folder / "photos", 14)
    view = make_dataset(
        folder / "photos", folder / "out", {"photo0003.jpg": End("detect"), "photo0005.jpg": End("quality")}
    )
    return view, folder / "out"


def build(view_and_root, **parameters):
    view, root = view_and_root
    counts = replace(Manifest(), **parameters).build(view, root)
    return counts, rows_from_table(pq.read_table(root / "manifest.parquet"))


def test_rows_are_sorted_by_id_and_selected_ones_have_a_place(view_and_root):
    counts, rows = build(view_and_root, keep_near_duplicates=True, shard_rows=5)
    ids = [row["sample_id"] for row in rows]
    assert ids == sorted(ids)
    assert counts == {"rows": 14, "selected": 12}
    for split in ("train", "val"):
        places = [(row["shard"], row["shard_row"]) for row in rows if row["split"] == split]
        assert places == [divmod(i, 5) for i in range(len(places))]
    assert all((row["split"] is None) == (not row["selected"]) for row in rows)


def test_only_the_representative_of_near_duplicates_is_selected(view_and_root):
    _, rows = build(view_and_root, near_duplicate_bits=256)  # everything is one cluster
    judged = [row for row in rows if row["dup_cluster"] is not None]
    assert len(judged) == 13
    assert {row["dup_cluster"] for row in judged} == {0}
    assert sorted(row["dup_rank"] for row in judged) == list(range(13))
    (selected,) = (row for row in rows if row["selected"])
    assert selected["dup_rank"] == 0
    assert sum(row["reason"] == "near_duplicate" for row in rows) == 11


def test_the_split_never_separates_a_cluster(view_and_root):
    _, rows = build(view_and_root, keep_near_duplicates=True, near_duplicate_bits=256, val_fraction=0.5)
    assert len({row["split"] for row in rows if row["selected"]}) == 1


@pytest.fixture(scope="module")
def few_people(tmp_path_factory):
    """24 photographs of 8 people, three each, one of them lost before quality."""
    folder = tmp_path_factory.mktemp("people")
    make_photos(folder / "photos", 24)
    people = {f"photo{number:04d}.jpg": f"person {number % 8}" for number in range(24)}
    ends = {"photo0003.jpg": End("detect")}
    view = make_dataset(folder / "photos", folder / "out", ends, small=True, people=people)
    return (view, folder / "out"), people


def test_photographs_of_a_person_name_the_first_and_share_a_split(few_people):
    built, people = few_people
    _, rows = build(built, val_fraction=0.5)
    known = {people[row["source_path"]]: row["person"] for row in rows if row["person"]}
    assert len(known) == len(set(known.values())) == 8
    splits = {}
    for row in rows:
        if row["person"] is None:
            assert row["stage"] == "detect"
            continue
        assert row["person"] == known[people[row["source_path"]]]
        splits.setdefault(row["person"], set()).add(row["split"])
    assert sorted(len(found) for found in splits.values()) == [1] * 8
    assert {split for found in splits.values() for split in found} == {"train", "val"}


def test_splits_by_photograph_can_be_asked_for(few_people):
    _, rows = build(few_people[0], val_fraction=0.5, split_by_person=False)
    splits = {}
    for row in rows:
        splits.setdefault(row["person"], set()).add(row["split"])
    assert max(len(found) for found in splits.values()) == 2


def test_people_are_apart_where_nothing_is_trusted(few_people):
    _, rows = build(few_people[0], min_likeness_self=1.0)
    assert all(row["person"] == row["sample_id"] for row in rows if row["selected"])


@pytest.mark.parametrize(("fraction", "split"), [(0.0, "train"), (1.0, "val")])
def test_the_share_of_validation_is_a_parameter(view_and_root, fraction, split):
    _, rows = build(view_and_root, keep_near_duplicates=True, val_fraction=fraction)
    assert {row["split"] for row in rows if row["selected"]} == {split}


def test_smaller_builds_remove_the_shards_of_larger_ones(view_and_root):
    view, root = view_and_root
    build(view_and_root, keep_near_duplicates=True, shard_rows=3)
    Shards().build(view, root)
    before = {path.name for path in (root / "shards").iterdir()}
    (root / "shards" / "notes-of-mine.txt").write_text("keep me")
    build(view_and_root, keep_near_duplicates=True)
    Shards().build(view, root)
    after = {path.name for path in (root / "shards").iterdir()}
    listed = {entry["name"] for entry in json.loads((root / "shards" / "index.json").read_text())["shards"]}
    assert after == {f"{name}.{kind}" for name in listed for kind in ("tar", "parquet")} | {
        "index.json",
        "README.md",
        "croissant.json",
        "notes-of-mine.txt",
    }
    assert len(before) > len(after - {"notes-of-mine.txt"})


def test_a_card_of_ones_own_above_the_shards_stays(view_and_root):
    view, root = view_and_root
    build(view_and_root, keep_near_duplicates=True)
    Shards().build(view, root)
    card = root / "README.md"
    assert card.read_text() != (root / "shards" / "README.md").read_text()  # paths go one folder down
    card.write_text("mine")
    Shards().build(view, root)
    assert card.read_text() == "mine"
    card.unlink()
    Shards().build(view, root)
    assert "shards/train-*.tar" in card.read_text()


def test_cluster_numbers_do_not_depend_on_numpys_labels():
    hashes = np.repeat(np.random.default_rng(0).integers(0, 256, (3, 32), dtype=np.uint8), 2, axis=0)
    assert clusters(hashes, 0).tolist() == [0, 0, 1, 1, 2, 2]
