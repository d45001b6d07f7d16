"""`merge`: one data set from several, its ids, people, splits and shards."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dataprep
from dataprep.errors import ConfigError
from dataprep.tables.review import Mark, append_marks
from dataprep.tables.sealed import read_table
from dataprep.tables.store import write_table
from gan.data.shards.dataset import ShardDataset
from pipelines import paper_stages
from pipelines.commands.merge import merge
from pipelines.commands.verify import defects_of
from pipelines.main import main
from tests.fake_dataset import make_dataset, make_photos
from tests.object_store import make_bucket, s3_of_this_process, upload

SETTINGS = ("manifest.val_fraction=0.4", "manifest.keep_near_duplicates=yes", "manifest.near_duplicate_bits=0")


def made(folder: Path, name: str, who: str, first: int = 0, settings=SETTINGS) -> Path:
    """A data set of photographs of the people `who`, a letter each; photographs are numbered from `first`."""
    photos = folder / f"{name}-photos"
    make_photos(folder / "all", first + len(who))
    photos.mkdir()
    people = {}
    for number, letter in enumerate(who, start=first):
        file = f"photo{number:04d}.jpg"
        os.link(folder / "all" / file, photos / file)
        people[file] = letter
    make_dataset(photos, folder / name, {}, small=True, people=people, dag=paper_stages.build(settings))
    return folder / name


def with_hashes(out: Path, same: dict[str, bytes]) -> None:
    """Give every portrait a hash of its own, or the one that `same` says for its file."""
    path = out / "manifest.parquet"
    table = read_table(path)
    rows = table.select(["source_path", "sample_id"]).to_pylist()
    hashes = [same.get(row["source_path"]) or np.random.default_rng(int(row["sample_id"][:8], 16)).bytes(32)
              for row in rows]  # fmt: skip
    at = table.schema.get_field_index("portrait_dhash")
    write_table(path, table.set_column(at, table.schema.field("portrait_dhash"), pa.array(hashes, pa.binary(32))))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    for name, who, first in (("a", "AABBCCDD", 0), ("b", "BBCCEFGHIJ", 8), ("c", "DDKL", 6)):
        with_hashes(made(folder, name, who, first), {})
    return folder


@pytest.fixture
def three(originals, tmp_path):
    """A and B share the people B and C; C shares two inputs with A."""
    return tuple(shutil.copytree(originals / name, tmp_path / name) for name in "abc")


def manifest(out):
    return {row["sample_id"]: row for row in read_table(out / "manifest.parquet").to_pylist()}


def splits_of(*outs):
    return {sample_id: row["split"] for out in outs for sample_id, row in manifest(out).items()}


@pytest.mark.parametrize("copy", [False, True])
def test_two_become_one_that_verifies_and_trains(three, tmp_path, copy):
    a, b, _ = three
    target = tmp_path / "merged"
    assert merge([a, b], target, "", copy, keep_across_splits=True) == 0
    rows = manifest(target)
    assert list(rows) == sorted([*manifest(a), *manifest(b)])
    assert {one: row["split"] for one, row in rows.items()} == splits_of(a, b)
    assert {row["data_set"] for row in rows.values()} == {"a", "b"}
    assert defects_of(target, deep=True).defects == ()
    for split in ("train", "val"):
        ours, theirs = ShardDataset([target], split, 16, 16), ShardDataset([a, b], split, 16, 16)
        assert set(ours.sample_ids) == set(theirs.sample_ids)
        place = {name: i for i, name in enumerate(theirs.sample_ids)}
        for i, name in enumerate(ours.sample_ids):
            assert ours.read(i, "portrait") == theirs.read(place[name], "portrait")
            np.testing.assert_array_equal(ours.labels.bfm_exp[i], theirs.labels.bfm_exp[place[name]])
    tars = sorted((target / "shards").glob("*.tar"))
    linked = [tar.stat().st_nlink > 1 for tar in tars]
    assert linked == [not copy] * len(tars)


def test_people_across_data_sets_are_one_and_do_not_cross_splits(three, tmp_path):
    a, b, _ = three
    people = manifest(a), manifest(b)
    merge([a, b], tmp_path / "merged", "", False, keep_across_splits=False)
    rows = manifest(tmp_path / "merged")
    letters = {"B": (people[0], "photo0002.jpg", people[1], "photo0008.jpg")}
    mine, name, theirs, other = letters["B"]
    first = next(row["sample_id"] for row in mine.values() if row["source_path"] == name)
    second = next(row["sample_id"] for row in theirs.values() if row["source_path"] == other)
    assert rows[first]["person"] == rows[second]["person"]
    splits: dict[str, set[str]] = {}
    for row in rows.values():
        if row["split"]:
            splits.setdefault(row["person"], set()).add(row["split"])
    assert all(len(some) == 1 for some in splits.values())
    before = splits_of(a, b)
    lost = {one for one, row in rows.items() if row["split"] != before[one]}
    assert {rows[one]["reason"] for one in lost} <= {"person_in_val"}
    assert {before[one] for one in lost} <= {"train"}
    assert defects_of(tmp_path / "merged", deep=True).defects == ()


def test_the_same_input_is_kept_once_and_training_agrees(three, tmp_path, capsys):
    a, _, c = three
    merge([a, c], tmp_path / "merged", "", False, keep_across_splits=True)
    rows = manifest(tmp_path / "merged")
    assert len(rows) == 8 + 4 - 2
    assert "2 inputs are the same" in capsys.readouterr().out
    ours = ShardDataset([tmp_path / "merged"], "train", 16, 16)
    theirs = ShardDataset([a, c], "train", 16, 16)
    assert len(set(theirs.sample_ids)) == len(theirs.sample_ids)
    assert set(ours.sample_ids) == set(theirs.sample_ids)


def test_a_picture_that_an_earlier_data_set_has_is_left_out(three, tmp_path):
    a, b, _ = three
    with_hashes(a, {"photo0000.jpg": bytes(32)})
    with_hashes(b, {"photo0012.jpg": b"\x80" + bytes(31), "photo0013.jpg": b"\x01" + bytes(31)})
    merge([a, b], tmp_path / "merged", "", False, keep_across_splits=True)
    named = {row["source_path"]: row for row in manifest(tmp_path / "merged").values()}
    assert named["photo0000.jpg"]["selected"]
    for name in ("photo0012.jpg", "photo0013.jpg"):
        assert (named[name]["status"], named[name]["reason"], named[name]["stage"]) == (
            "rejected",
            "near_duplicate",
            "merge",
        )
        assert named[name]["dup_cluster"] == named["photo0000.jpg"]["dup_cluster"]
    assert defects_of(tmp_path / "merged", deep=True).defects == ()


def test_other_settings_must_be_allowed(tmp_path, capsys):
    a = made(tmp_path, "a", "AB")
    d = made(tmp_path, "d", "CD", first=2, settings=(*SETTINGS, "superres.model=span", "ingest.license=cc0"))
    for out, settings in ((a, SETTINGS), (d, (*SETTINGS, "superres.model=span", "ingest.license=cc0"))):
        describe(out, settings)
    with pytest.raises(ConfigError, match="superres: model is x4plus in a, span in d") as error:
        merge([a, d], tmp_path / "merged", "", False, True)
    assert "--allow superres" in str(error.value)
    assert "ingest" not in str(error.value)  # other terms are no other way of making a portrait
    assert not (tmp_path / "merged").exists()
    assert main(["merge", str(a), str(d), "--out", str(tmp_path / "merged"), "--allow", "superres"]) == 0
    assert "allowed: superres" in capsys.readouterr().out


def describe(out: Path, settings) -> None:
    """The files stage.json that a run leaves beside its parts."""
    from dataprep.tables.store import Store, write_json
    from pipelines.engine.dag import record_of

    dag = paper_stages.build(settings)
    for stage in dag.stages:
        write_json(Store(out).folder(dag.refs[stage.name]) / "stage.json", record_of(dag, stage))


def test_coefficients_of_other_models_never_mix(three, tmp_path):
    a, b, _ = three
    table = pq.read_table(b / "manifest.parquet", partitioning=None)
    at = table.schema.get_field_index("face_model_sha256")
    other = pa.array(["9" * 64] * len(table), table.schema.field(at).type)
    write_table(b / "manifest.parquet", table.set_column(at, table.schema.field(at), other))
    with pytest.raises(ConfigError, match="never mix"):
        merge([a, b], tmp_path / "merged", "all", False, True)


def test_damage_of_a_merged_data_set_is_found(three, tmp_path, capsys):
    a, b, _ = three
    merge([a, b], tmp_path / "merged", "", True, True)
    tar = next((tmp_path / "merged/shards").glob("train-*.tar"))
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    assert main(["verify", str(tmp_path / "merged"), "--deep"]) == 1
    assert str(tar) in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "merged"), "--repair"]) == 2
    assert "run the command that made it again" in capsys.readouterr().err


def test_a_data_set_is_named_once(three, tmp_path):
    a, _, _ = three
    with pytest.raises(ConfigError, match="named twice"):
        merge([a, a], tmp_path / "merged", "", False, True)
    with pytest.raises(ConfigError, match="two data sets or more"):
        merge([a], tmp_path / "merged", "", False, True)


@pytest.mark.parametrize("copy", [False, True])
def test_what_reviewers_rejected_stays_out(three, tmp_path, copy):
    a, b, _ = three
    bad = next(name for name, row in manifest(a).items() if row["split"] == "train")
    append_marks(a, [Mark(bad, "reject", "crop_shifted")])
    merge([a, b], tmp_path / "merged", "", copy, True)
    row = manifest(tmp_path / "merged")[bad]
    assert (row["selected"], row["status"], row["reason"]) == (False, "rejected", "review:crop_shifted")
    assert bad not in dataprep.open_dataset(tmp_path / "merged").sample_ids
    assert dataprep.open_dataset(tmp_path / "merged").sample_ids
    assert defects_of(tmp_path / "merged", deep=True).defects == ()


def test_data_sets_of_an_object_store_are_copied(three, tmp_path, capsys):
    a, b, _ = three
    here, there = tmp_path / "here", tmp_path / "there"
    merge([a, b], here, "", copy=True, keep_across_splits=False)
    with s3_of_this_process(tmp_path) as server:
        bucket = make_bucket("sets")
        upload(a, bucket / "a")
        writes = len(server.writes_below("/sets"))
        for out, options, said in (
            (there, [], "--copy"),
            (bucket / "merged", ["--copy"], "aws s3 cp --recursive"),
        ):
            assert main(["merge", f"{bucket}/a", str(b), "--out", str(out), *options]) == 2
            assert said in capsys.readouterr().err
        assert not there.exists()
        assert main(["merge", f"{bucket}/a", str(b), "--out", str(there), "--copy"]) == 0
        assert len(server.writes_below("/sets")) == writes
    for path in sorted(path for path in here.rglob("*") if path.is_file()):
        assert (there / path.relative_to(here)).read_bytes() == path.read_bytes(), path


def test_tars_of_another_disk_are_copied(three, tmp_path, capsys):
    a, b, _ = three
    disk = Path("/dev/shm")
    if not disk.is_dir() or disk.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other disk")
    with TemporaryDirectory(dir=disk) as folder:
        far = shutil.copytree(b, Path(folder) / "b")
        assert main(["merge", str(a), str(far), "--out", str(tmp_path / "linked")]) == 2
        assert "--copy" in capsys.readouterr().err
        assert not (tmp_path / "linked").exists()
        assert main(["merge", str(a), str(far), "--out", str(tmp_path / "copied"), "--copy"]) == 0
    assert defects_of(tmp_path / "copied", deep=True).defects == ()
