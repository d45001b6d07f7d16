"""What img2dataset and webdataset write, as SOURCE: every picture a row, whatever is damaged, nothing read twice."""

import functools
import hashlib
import http.server
import os
import shutil
import sys
import tarfile
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.errors import ConfigError
from dataprep.inputs import archives
from dataprep.inputs.gathering import Gathering
from dataprep.tables.store import Store
from pipelines.commands.prune import prune, unused
from pipelines.commands.verify import defects_of, verify
from pipelines.engine import gather
from pipelines.engine.index import preview, read_index
from tests.inputs.image_archives import SCHEMA, add, built, content_of, picture, tar_of, write_shards
from tests.object_store import make_bucket, s3_of_this_process, upload
from tests.pipelines.kills import kill_until_done, plan_kills
from tests.pipelines.test_run import payload

FORMATS = ("webdataset", "parquet", "files")


@pytest.mark.parametrize("output_format", FORMATS)
def test_every_picture_is_a_row_with_what_is_known_of_it(tmp_path, capsys, output_format):
    said = write_shards(tmp_path / "source", output_format)
    before = content_of(tmp_path / "source")
    rows = built(tmp_path / "source", tmp_path / "out")
    assert len(rows) == 6
    for path, row in rows.items():
        known = said[path.rpartition("/")[2].partition(".")[0]]
        assert row["status"] == "ok"
        assert row["source_sha256"] == hashlib.sha256(known["data"]).digest()
        assert row["source_bytes"] == len(known["data"])
        assert {name: row[name] for name in ("license", "consent", "caption")} == {
            name: known[name] for name in ("license", "consent", "caption")
        }
        assert row["source_url"] == known["url"]
        assert row["url_sha256"].hex() == known["sha256"]
    assert content_of(tmp_path / "source") == before
    assert ("2 rows of the tables have no picture" in capsys.readouterr().err) == (output_format != "files")
    assert defects(tmp_path / "out") == []
    again = payload(tmp_path / "out")
    assert built(tmp_path / "source", tmp_path / "out") == rows
    assert payload(tmp_path / "out") == again


def defects(out):
    return [found for found in defects_of(out, deep=True).defects if found != "manifest: not built yet"]


@pytest.mark.parametrize("output_format", FORMATS)
def test_rows_depend_on_neither_times_nor_places(tmp_path, output_format):
    write_shards(tmp_path / "a", output_format)
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere" / "b", copy_function=shutil.copyfile)
    built(tmp_path / "a", tmp_path / "out")
    built(tmp_path / "elsewhere" / "b", tmp_path / "other")
    files = [{name: digest for name, digest in payload(tmp_path / out).items() if not _is_record(name)}
             for out in ("out", "other")]  # fmt: skip
    assert files[0] == files[1]


def _is_record(name):
    """Of what was read: its name says when the archive was written."""
    return name.startswith("inputs/archives/") and name.endswith(".parquet")


@pytest.mark.parametrize("output_format", ["webdataset", "parquet"])
def test_an_archive_that_was_read_is_not_read_again(tmp_path, monkeypatch, output_format):
    source, out = tmp_path / "source", tmp_path / "out"
    write_shards(source, output_format, shards=3)
    built(source, tmp_path / "whole")
    taken = []

    def dies(task):
        taken.append(task.path)
        if len(taken) == 2:
            raise KeyboardInterrupt
        return archives.read_archive(task)

    monkeypatch.setattr(gather, "read_archive", dies)
    with pytest.raises(KeyboardInterrupt):
        built(source, out)
    built(source, out)
    built(source, out)
    assert sorted(taken.count(path) for path in set(taken)) == [1, 1, 2]
    assert payload(out) == payload(tmp_path / "whole")
    assert len(preview(source, out, more=gather.Gatherer(source, out, Gathering()))) == 9


def test_a_new_shard_adds_rows_and_a_changed_table_what_it_says(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    write_shards(source, "webdataset", shards=1)
    first = built(source, out)
    write_shards(source, "webdataset", shards=2)
    rows = built(source, out)
    assert first.items() <= rows.items()
    assert len(rows) == 6
    with tarfile.open(source / "00000.tar") as tar:
        pictures = {one.name: tar.extractfile(one).read() for one in tar if one.name.endswith(".jpg")}
    with tarfile.open(source / "00000.tar", "w") as tar:  # no JSON: the table alone tells
        for name, data in pictures.items():
            add(tar, name, data)
    table = pq.read_table(source / "00000.parquet")
    at = table.schema.get_field_index("license")
    pq.write_table(table.set_column(at, "license", pa.array(["cc0"] * len(table))), source / "00000.parquet")
    rows = built(source, out)
    assert {row["license"] for path, row in rows.items() if path.startswith("00000")} == {"cc0"}
    assert {row["license"] for path, row in rows.items() if path.startswith("00001")} == {"cc-by-4.0"}


def test_pictures_in_a_table_of_the_hub(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    images = [{"bytes": picture(i), "path": f"p{i}.jpg"} for i in range(3)]
    table = pa.table({"image": [*images, None], "text": ["a", "b", None, "d"]})
    pq.write_table(table, source / "train-00000-of-00001.parquet")
    rows = built(source, tmp_path / "out")
    assert {path.partition("/")[2]: row["caption"] for path, row in rows.items()} == {
        "p0.jpg": "a", "p1.jpg": "b", "p2.jpg": None
    }  # fmt: skip
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_one_archive_is_a_source_and_shards_of_ours_are_none(tmp_path):
    write_shards(tmp_path / "source", "webdataset")
    rows = built(tmp_path / "source", tmp_path / "one", given="00001.tar")
    assert {path.partition("/")[0] for path in rows} == {"00001.tar"}
    assert {row["license"] for row in rows.values()} == {"cc-by-4.0"}
    write_shards(tmp_path / "tables", "parquet")
    given = str(tmp_path / "tables" / "00000.parquet")
    assert len(built(tmp_path / "tables", tmp_path / "two", given=given)) == 3
    ours = tmp_path / "ours"
    ours.mkdir()
    tar_of(ours / "train-00000.tar", ["0.portrait.png"])
    (ours / "index.json").write_text("{}")
    with pytest.raises(ConfigError, match="no archive of pictures"):
        built(ours, tmp_path / "three")


def test_a_first_look_at_archives_grows(tmp_path):
    write_shards(tmp_path / "source", "webdataset", shards=4)
    few = built(tmp_path / "source", tmp_path / "out", limit=2)
    assert len(few) == 2
    more = built(tmp_path / "source", tmp_path / "out", limit=7)
    assert few.keys() <= more.keys()
    assert len(more) == 7
    assert len(built(tmp_path / "source", tmp_path / "out", limit=1)) == 7


def test_unpacked_pictures_are_verified_repaired_and_pruned(tmp_path, capsys):
    source, out = tmp_path / "source", tmp_path / "out"
    write_shards(source, "parquet")
    before = built(source, out)
    (tar,) = {
        out / row["source_place"].removeprefix("out:") for path, row in before.items() if path.startswith("00001")
    }
    data = bytearray(tar.read_bytes())
    data[700] ^= 255
    tar.write_bytes(data)
    (found,) = defects(out)
    assert str(tar) in found
    verify(out, deep=True, repair=True)
    assert built(source, out) == before
    assert defects(out) == []
    os.remove(source / "00001.parquet")
    built(source, out)
    assert [one.folder for one in unused(Store(out), read_index(out))] == [tar]
    prune(out, remove=True)
    assert not tar.exists()


def test_archives_on_an_object_store(tmp_path):
    with s3_of_this_process(tmp_path) as server:
        bucket = make_bucket("archives")
        for output_format in FORMATS:
            write_shards(tmp_path / output_format, output_format)
            upload(tmp_path / output_format, bucket / output_format)
            here = built(tmp_path / output_format, tmp_path / "here" / output_format)
            assert built(bucket / output_format, tmp_path / "there" / output_format) == here
            assert built(bucket / output_format, bucket / "out" / output_format) == here
        assert not server.writes_below("/archives/webdataset/0")[6:]  # what was uploaded, and nothing else


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("output_format", FORMATS)
def test_the_package_itself_writes_what_these_tests_write(tmp_path, output_format):
    """Runs only where img2dataset is installed: it asks for wandb and albumentations."""
    img2dataset = pytest.importorskip("img2dataset")
    (tmp_path / "www").mkdir()
    for i in range(3):
        (tmp_path / f"www/p{i}.jpg").write_bytes(picture(i))
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path / "www")
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        table = pa.table({
            "url": [f"{url}/p{i}.jpg" for i in (0, 1, 2, 9)], "caption": ["a", None, "c", "d"],
            "license": ["cc0"] * 4, "consent": ["signed"] * 4, "score": [0.5] * 4,
        })  # fmt: skip
        pq.write_table(table, tmp_path / "list.parquet")
        img2dataset.download(
            url_list=str(tmp_path / "list.parquet"), input_format="parquet", url_col="url", caption_col="caption",
            save_additional_columns=["license", "consent", "score"], output_format=output_format, image_size=48,
            output_folder=str(tmp_path / "source"), processes_count=1, thread_count=2,
        )  # fmt: skip
        server.shutdown()
    names = pq.read_schema(tmp_path / "source/00000.parquet").names
    assert names == SCHEMA.names + ["jpg"] * (output_format == "parquet")
    rows = built(tmp_path / "source", tmp_path / "out")
    assert len(rows) == 3
    for row in rows.values():
        number = int(row["source_url"][-5])
        assert row["url_sha256"] == hashlib.sha256(picture(number)).digest()
        assert (row["license"], row["consent"], row["caption"]) == ("cc0", "signed", ("a", None, "c")[number])


@pytest.mark.slow
def test_killed_and_resumed_to_the_same_bytes(tmp_path):
    """Workers and driver are killed while archives are read and after; tars and tables in one folder."""
    source, out, undisturbed = tmp_path / "source", tmp_path / "out", tmp_path / "undisturbed"
    write_shards(source / "tars", "webdataset", shards=12)
    write_shards(source / "tables", "parquet", shards=12)
    before = content_of(source)
    command = [sys.executable, "-m", "pipelines.main", "run", str(source), "--workers", "2", "--until", "ingest",
               "--set", "ingest.min_side_px=16"]  # fmt: skip

    def files(folder):
        return lambda: sum(1 for pattern in ("inputs/archives/*", "stages/*/part-*.parquet")
                           for _ in folder.glob(pattern))  # fmt: skip

    assert kill_until_done([*command, "--out", str(undisturbed)], files(undisturbed), [], timeout_s=300) == []
    hit = kill_until_done([*command, "--out", str(out)], files(out), plan_kills(6, seed=2, most_files=6), timeout_s=500)
    assert len(hit) == 6
    assert payload(out) == payload(undisturbed)
    assert len(read_index(out)) == 72
    assert content_of(source) == before
