"""Reviewers' marks count: the next run, select, shards build and export obey them, and nothing else moves."""

import csv
import json
import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from dataprep.stages.manifest import Manifest
from dataprep.tables.review import ACCEPT, REJECT, Decision, Mark, append_marks, current_marks, history
from gan.data.shards import ShardDataset
from pipelines import paper_stages
from pipelines.engine.last_run import remember
from pipelines.main import main
from tests.fake_dataset import End, make_dataset, make_photos

ENDS = {
    "photo0001.jpg": End("detect", reason="no_face"),
    "photo0003.jpg": End("quality", reason="sharpness"),
    "photo0004.jpg": End("face", "error", "crashed"),
    "photo0005.jpg": End("quality", reason="contrast"),
}
PLACE = ("shard", "shard_row", "sampling_weight", "flag_label_outlier")  # may move when a row goes


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A data set of 24 photographs that a run finished, but for the report."""
    folder = tmp_path_factory.mktemp("reviewed")
    make_photos(folder / "photos", 24)
    view = make_dataset(folder / "photos", folder / "out", ENDS, small=True)
    remember(view.store, paper_stages.build())
    assert run(folder) == 0
    return folder


@pytest.fixture
def folder(built, tmp_path):
    shutil.copytree(built, tmp_path / "set")
    return tmp_path / "set"


def run(folder, *options):
    command = ["run", folder / "photos", "--out", folder / "out", "--until", "shards", "--cluster", "serial", *options]
    return main([*map(str, command)])


def mark(folder, *options):
    return main(["review", "mark", str(folder / "out"), *options])


def rows_of(folder):
    return {row["source_path"]: row for row in pq.read_table(folder / "out" / "manifest.parquet").to_pylist()}


def in_shards(folder):
    return {name for split in ("train", "val") for name in ShardDataset([folder / "out"], split).sample_ids}


def map_files(folder):
    parts = folder.glob("out/stages/*/part-*")
    return {path.name + path.parent.name: path.stat().st_mtime_ns for path in parts}


def test_the_next_run_obeys_and_nothing_else_moves(folder, capsys):
    before, parts, shards = rows_of(folder), map_files(folder), in_shards(folder)
    manifest = (folder / "out" / "manifest.parquet").read_bytes()
    twins = {path.name: path.read_bytes() for path in (folder / "out" / "shards").iterdir()}
    mark(folder, "photo0006.jpg", "photo0007.jpg", "photo0005.jpg", "--verdict", "reject", "--reason", "crop_shifted")
    mark(folder, "photo0001.jpg", "photo0003.jpg", "photo0004.jpg", "photo0009.jpg", "--verdict", "accept")
    mark(folder, "photo0004.jpg", "photo0008.jpg", "--verdict", "doubt")
    mark(folder, "photo0004.jpg", "--verdict", "reject")
    capsys.readouterr()
    assert main(["plan", str(folder / "photos"), "--out", str(folder / "out"), "--until", "shards"]) == 0
    plan = capsys.readouterr().out
    assert [line.split()[0] for line in plan.splitlines() if line.split()[2:3] == ["1"]] == ["manifest", "shards"]
    for said in ("reviewers' marks changed", "2 images leave the shards", "1 image comes in", "another reason",
                 "mark changes nothing (no_face in detect)", "mark changes nothing (error in face)"):  # fmt: skip
        assert said in plan
    assert run(folder) == 0
    after = rows_of(folder)
    changed = {path for path, row in after.items() if row | of(before[path], *PLACE) != before[path]}
    assert changed == {f"photo000{i}.jpg" for i in (3, 5, 6, 7)}
    for path in ("photo0005.jpg", "photo0006.jpg", "photo0007.jpg"):
        told = of(after[path], "status", "stage", "reason", "selected", "split", "shard")
        assert tuple(told.values()) == ("rejected", "manifest", "review:crop_shifted", False, None, None)
    assert of(after["photo0003.jpg"], "status", "reason", "selected") == {
        "status": "ok",
        "reason": None,
        "selected": True,
    }
    gone = {after[path]["sample_id"] for path in ("photo0006.jpg", "photo0007.jpg")}
    assert in_shards(folder) == shards - gone | {after["photo0003.jpg"]["sample_id"]}
    assert map_files(folder) == parts
    capsys.readouterr()
    assert run(folder) == 0
    assert "nothing to do" in capsys.readouterr().out
    mark(folder, *(f"photo{i:04d}.jpg" for i in (1, 3, 4, 5, 6, 7, 9)), "--verdict", "none")
    assert run(folder) == 0
    assert (folder / "out" / "manifest.parquet").read_bytes() == manifest, "marks that are undone leave no trace"
    assert {path.name: path.read_bytes() for path in (folder / "out" / "shards").iterdir()} == twins


def of(row, *names):
    return {name: row[name] for name in names}


def test_marks_hold_under_other_parameters_and_prune_and_verify_leave_them(folder, capsys):
    mark(folder, "photo0006.jpg", "--verdict", "reject")
    assert run(folder, "--set", "manifest.val_fraction=0.4") == 0
    assert rows_of(folder)["photo0006.jpg"]["reason"] == "review:unspecified"
    assert main(["prune", str(folder / "out"), "--yes"]) == 0
    marks = (folder / "out" / "review.parquet").read_bytes()
    assert main(["verify", str(folder / "out"), "--deep"]) == 0
    (folder / "out" / "review.parquet").write_bytes(marks[:50] + bytes([marks[50] ^ 1]) + marks[51:])
    capsys.readouterr()
    assert main(["verify", str(folder / "out"), "--repair"]) == 1
    assert "no command makes anew" in capsys.readouterr().out
    assert len((folder / "out" / "review.parquet").read_bytes()) == len(marks)
    assert run(folder) == 2
    assert "no command makes anew" in capsys.readouterr().err


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    """Twelve photographs of four people, all of them near-duplicates where 256 bits may differ."""
    folder = tmp_path_factory.mktemp("alike")
    make_photos(folder / "photos", 12)
    people = {f"photo{number:04d}.jpg": f"person {number % 4}" for number in range(12)}
    view = make_dataset(folder / "photos", folder / "out", {}, small=True, people=people)
    return view, folder


def built_with(alike, decisions, **parameters):
    view, folder = alike
    manifest = replace(Manifest(), val_fraction=0.5, **parameters)
    manifest.build(replace(view, decisions=decisions), folder / "out")
    return rows_of(folder)


def test_whoever_is_rejected_the_rest_stays_in_its_split(alike):
    whole = built_with(alike, {}, keep_near_duplicates=True)
    assert {row["split"] for row in whole.values()} == {"train", "val"}
    for path, row in list(whole.items())[::3]:
        left = built_with(alike, {row["sample_id"]: Decision(REJECT, "")}, keep_near_duplicates=True)
        assert left[path]["split"] is None
        assert {p: r["split"] for p, r in left.items() if p != path} == {
            p: r["split"] for p, r in whole.items() if p != path
        }


def test_an_accepted_near_duplicate_comes_in_and_none_comes_for_a_rejected_one(alike):
    whole = built_with(alike, {}, near_duplicate_bits=256)
    (kept,) = (row["sample_id"] for row in whole.values() if row["selected"])
    other = next(row["sample_id"] for row in whole.values() if not row["selected"])
    selected = lambda decisions: {  # noqa: E731
        row["sample_id"] for row in built_with(alike, decisions, near_duplicate_bits=256).values() if row["selected"]
    }
    assert selected({kept: Decision(REJECT, "")}) == set()
    assert selected({other: Decision(ACCEPT, "")}) == {kept, other}
    assert selected({other: Decision(ACCEPT, ""), kept: Decision(REJECT, "")}) == {other}


def test_what_reads_the_shards_obeys_before_the_next_run(folder, tmp_path, capsys):
    rows, out = rows_of(folder), str(folder / "out")
    gone = rows["photo0010.jpg"]["sample_id"]
    mark(folder, "photo0010.jpg", "--verdict", "reject", "--reason", "yaw_flipped", "--note", "left is right")
    mark(folder, "photo0011.jpg", "--verdict", "doubt", "--who", "ann")
    ours = {row["sample_id"] for row in rows.values() if row["selected"]} - {gone}

    assert main(["select", out, "reason == 'review:yaw_flipped' and not selected", "-o", str(tmp_path / "a")]) == 0
    (told,) = pq.read_table(tmp_path / "a").to_pylist()
    assert of(told, "sample_id", "status", "selected", "split") == {
        "sample_id": gone, "status": "rejected", "selected": False, "split": None
    }  # fmt: skip
    assert main(["select", out, "review == 'doubt' and review_who == 'ann'", "-o", str(tmp_path / "b")]) == 0
    assert pq.read_table(tmp_path / "b")["sample_id"].to_pylist() == [rows["photo0011.jpg"]["sample_id"]]

    shutil.copy(folder / "out" / "manifest.parquet", tmp_path / "all")  # chosen before the mark
    assert main(["shards", "build", out, "--subset", str(tmp_path / "all"), "--out", str(tmp_path / "d")]) == 0
    assert set(pq.read_table(tmp_path / "d" / "manifest.parquet")["sample_id"].to_pylist()) == ours
    assert not (tmp_path / "d" / "review.parquet").exists(), "marks name people and are not handed out with a subset"

    capsys.readouterr()
    for data, name in ((out, "e"), (f"{out}/shards", "f")):
        export = ["export", data, "--out", str(tmp_path / name), "--layout", "plain", "--split", "all"]
        assert main(export) == 0
        assert {path.stem for path in (tmp_path / name / "portraits").iterdir()} == ours
        assert "left out, rejected by reviewers since the shards were built: 1 sample" in capsys.readouterr().out


def test_marks_travel_between_data_sets_by_id_and_by_bytes(folder, tmp_path, capsys):
    append_marks(folder / "out", [Mark("0" * 32, "reject", who="ann")])
    mark(folder, "photo0006.jpg", "--verdict", "reject", "--note", "=1+1", "--who", "bea")
    mark(folder, "photo0006.jpg", "--verdict", "accept", "--who", "bea")
    mark(folder, "photo0007.jpg", "--verdict", "doubt", "--note", '\'twas; "so",\nü')
    moved = tmp_path / "moved"
    shutil.copytree(folder / "photos", moved / "photos" / "below")
    make_dataset(moved / "photos", moved / "out", {}, small=True)
    csv_file = str(tmp_path / "marks.csv")
    assert main(["review", "export", str(folder / "out"), "-o", csv_file]) == 0
    with open(csv_file, newline="") as file:
        assert [row["note"] for row in csv.DictReader(file)] == ["", "'=1+1", "", '\'twas; "so",\nü']
    for given in (csv_file, csv_file, str(folder / "out")):
        capsys.readouterr()
        assert main(["review", "import", str(moved / "out"), given]) == 0
        assert "of images that are not in" in capsys.readouterr().out
    names = {row["sample_id"]: row["source_path"] for row in rows_of(moved).values()}
    found = [(names[one.sample_id], one.verdict, one.note, one.who, one.when) for one in history(moved / "out")]
    ours = {row["sample_id"]: f"below/{path}" for path, row in rows_of(folder).items()}
    known = [one for one in history(folder / "out") if one.sample_id in ours]
    assert found == [(ours[one.sample_id], one.verdict, one.note, one.who, one.when) for one in known]
    assert {names[name]: one.verdict for name, one in current_marks(moved / "out").items()} == {
        "below/photo0006.jpg": "accept", "below/photo0007.jpg": "doubt"
    }  # fmt: skip


def test_marks_from_a_table_and_by_an_expression(folder, tmp_path, capsys):
    table = tmp_path / "m.csv"
    table.write_text("path,verdict,reason\nphoto0006.jpg,reject,blurred\nphoto0007.jpg,,\n")
    assert mark(folder, "--csv", str(table), "--verdict", "doubt", "--who", "ann") == 0
    assert mark(folder, "--where", "status == 'rejected' and stage == 'quality'", "--verdict", "accept") == 0
    paths = {row["sample_id"]: path for path, row in rows_of(folder).items()}
    found = {paths[name]: (one.verdict, one.reason) for name, one in current_marks(folder / "out").items()}
    assert found == {
        "photo0006.jpg": ("reject", "blurred"), "photo0007.jpg": ("doubt", ""),
        "photo0003.jpg": ("accept", ""), "photo0005.jpg": ("accept", ""),
    }  # fmt: skip
    assert mark(folder, "--where", "yaw > 9", "--verdict", "reject") == 1
    before = history(folder / "out")
    for wrong, said in (
        ("path,verdict\nphoto0006.jpg,reject\nphoto0099.jpg,reject\n", "row 3: no sample 'photo0099.jpg'"),
        ("path,verdict\nphoto0006.jpg,maybe\n", "row 2: a mark's verdict is 'maybe'"),
        ("verdict\nreject\n", "row 2 names no image"),
        ("path\nphoto0006.jpg,reject\n", "row 2 has more cells"),
    ):
        table.write_text(wrong)
        capsys.readouterr()
        assert mark(folder, "--csv", str(table)) == 2
        assert said in capsys.readouterr().err
    assert history(folder / "out") == before, "all of a table or nothing"
    assert main(["review", "list", str(folder / "out"), "--verdict", "reject"]) == 0
    listed = capsys.readouterr().out
    assert "photo0006.jpg" in listed
    assert "photo0007.jpg" not in listed
    assert main(["review", "list", str(tmp_path)]) == 2


def test_a_done_record_without_marks_is_what_it_was(built):
    record = json.loads((built / "out" / "stages" / "manifest" / "done.json").read_text())
    assert set(record) == {"key", "made_from", "counts", "bytes", "sha256"}
    metadata = pq.read_schema(built / "out" / "manifest.parquet").metadata
    assert b"review" not in metadata
