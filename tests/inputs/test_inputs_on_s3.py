"""Videos, lists and archives in an object store, with the data set here or there: the same rows as from a folder."""

import cv2
import pytest

from dataprep.tables.store import Store
from pipelines import main
from pipelines.engine.index import read_index
from pipelines.engine.last_run import current_stages
from tests.inputs.image_archives import picture, write_shards
from tests.object_store import make_bucket, s3_of_this_process, upload
from tests.tracking.clips import clip_pictures, write_video

QUICK = ("--until", "ingest", "--cluster", "serial", "--set", "clips.frames_per_s=1", "--set", "ingest.min_side_px=16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs, a video, archives, and lists of them."""
    source = tmp_path_factory.mktemp("s3") / "source"
    (source / "films").mkdir(parents=True)
    for number in range(3):
        (source / f"p{number}.jpg").write_bytes(picture(number))
    pictures = [cv2.resize(rgb, (96, 96), interpolation=cv2.INTER_AREA) for rgb in clip_pictures(0, 25)]
    write_video(source / "films/talk.mp4", pictures * 2, rate=2, key_every=10)
    write_shards(source / "got", "webdataset", shards=1)
    (source / "list.csv").write_text("path,license\np0.jpg,cc0\nfilms/talk.mp4,cc-by-4.0\ngone.jpg,\n")
    return source


@pytest.fixture(scope="module")
def bucket(folder, tmp_path_factory):
    with s3_of_this_process(tmp_path_factory.mktemp("server")):
        found = make_bucket("inputs")
        upload(folder, found / "source")
        yield found


def rows_of(source, out, *options):
    assert main.main(["run", str(source), "--out", str(out), *QUICK, *options]) == 0
    store = Store(out)
    ref = current_stages(store)["ingest"].ref
    rows = [row for part in {s.part for s in read_index(out)} for row in store.rows(ref, part)]
    return {row["source_path"]: row for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("given", ["", "films/talk.mp4", "list.csv", "got/00000.tar"])
def test_the_same_rows_from_there_as_from_here(folder, bucket, tmp_path, given):
    here = rows_of(folder / given, tmp_path / "out")
    there = bucket / "source" / given if given else bucket / "source"
    assert here
    assert rows_of(there, tmp_path / "local") == here
    out = bucket / f"out-{given.replace('/', '-')}"
    assert rows_of(there, out) == here
    before = taken(out)
    assert rows_of(there, out) == here
    assert taken(out) == before  # nothing is taken twice


def taken(out):
    return {name: (status.st_mtime, status.version) for name, status in (out / "inputs").walk()}


def test_a_list_here_of_files_there_and_the_other_way_round(folder, bucket, tmp_path):
    (tmp_path / "list.csv").write_text((folder / "list.csv").read_text())
    here = rows_of(folder / "list.csv", tmp_path / "out")
    assert rows_of(tmp_path / "list.csv", tmp_path / "one", "--root", str(bucket / "source")) == here
    (bucket / "lists" / "list.csv").upload(folder / "list.csv")
    assert rows_of(bucket / "lists" / "list.csv", tmp_path / "two", "--root", str(folder)) == here


def test_whole_urls_in_a_list_on_s3_are_paths_below_its_root(folder, bucket, tmp_path):
    here = rows_of(folder / "list.csv", tmp_path / "out")
    text = (folder / "list.csv").read_text().replace("\np0", f"\n{bucket}/source/p0")
    (bucket / "source" / "urls.csv").write_bytes(text.encode())
    assert rows_of(bucket / "source" / "urls.csv", tmp_path / "one") == here


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("s3://inputs/source/none.csv", "aws s3 ls s3://inputs/source/"),
        ("s3://inputs/source/none.mp4", "no such object"),
        ("s3://inputs/source/up.csv", "does not lead below"),
        ("s3://inputs/source/p0.jpg", "no image file"),
    ],
)
def test_what_is_not_there_is_named(bucket, tmp_path, capsys, source, why):
    (bucket / "source" / "up.csv").write_bytes(b"path\ns3://other/p0.jpg\n")
    assert main.main(["run", source, "--out", str(tmp_path / "out"), *QUICK]) != 0
    said = capsys.readouterr().err
    assert why in said, said
