"""A build of the version before seals and contents were recorded goes on as it is."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from dataprep.tables.store import StageRef, Store, write_json
from pipelines.engine.ledger import read_ledger
from tests.pipelines.outage import build
from tests.pipelines.test_damage import flip, the
from tests.pipelines.test_run import payload
from tests.pipelines.toy import make_photos

OPTIONS = {"compression": "zstd", "write_statistics": False, "write_page_checksum": True}


def as_before(out):
    """Rewrite a build as the version before left it: no seals, no hashes of images, ledgers of keys."""
    for path in [out / "index.parquet", *out.glob("runs/*.parquet"), *out.glob("stages/*/part-*.parquet")]:
        table = pq.read_table(path, partitioning=None)
        table = table.drop_columns([name for name in table.column_names if name.endswith(":sha256")])
        metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"made_from"}
        pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=8192, **OPTIONS)
    for path in out.glob("stages/*/ledger.json"):
        parts = json.loads(path.read_text())["parts"]
        write_json(path, {part: record[0] for part, record in parts.items()})
    for path in out.glob("stages/*/done.json"):
        record = json.loads(path.read_text())
        write_json(path, {name: record[name] for name in ("key", "counts", "sha256")})
    (out / "runs/seen.json").unlink()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, 11)
    return folder


@pytest.fixture
def out(photos, tmp_path):
    build(photos, tmp_path / "out")
    as_before(tmp_path / "out")
    return tmp_path / "out"


def test_nothing_is_computed_again(photos, out):
    before = payload(out)
    assert build(photos, out).plan.is_empty
    changed = {name for name, sha256 in payload(out).items() if before[name] != sha256}
    assert {name.rpartition("/")[2] for name in changed} == {"ledger.json"}
    after = {path: path.stat().st_mtime_ns for path in out.glob("stages/**/*")}
    assert build(photos, out).plan.is_empty
    assert {path: path.stat().st_mtime_ns for path in after} == after


def test_parts_that_were_left_are_computed_and_stand_beside_the_others(photos, out, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(out, whole)
    for path in [*out.glob("stages/inverted-*/part-000001.*"), out / "listing.txt"]:
        path.unlink()
    shutil.copy(out / "stages/listing/done.json", tmp_path)
    todo = [stage.todo for stage in build(photos, out).plan.stages]
    assert todo == [(), (), (1,)]
    assert (out / "listing.txt").read_bytes() == (whole / "listing.txt").read_bytes()
    (new,), (old,) = (sorted(root.glob("stages/inverted-*/part-000001.parquet")) for root in (out, whole))
    assert pq.read_table(new, partitioning=None).equals(pq.read_table(old, partitioning=None))


@pytest.mark.parametrize("name", ["brightness-*/part-000001.parquet", "brightness-*/part-000001.tar"])
def test_damage_is_found_as_soon_as_the_ledgers_know_the_content(name, photos, out):
    build(photos, out)
    before = payload(out)
    flip(the(out, f"stages/{name}"), -90 if name.endswith("parquet") else 530, 1)
    plan = build(photos, out).plan
    assert [len(stage.todo) for stage in plan.stages] == [0, 1, 0]
    after = payload(out)
    written = {name for name in after if after[name] != before[name]}
    assert {name.rpartition("/")[2] for name in written} <= {"part-000001.parquet", "ledger.json"}
    assert after[str(the(out, "listing.txt").name)] == before["listing.txt"]


def test_images_are_compared_with_the_sha256_of_the_whole_tar(photos, out):
    store, folder = Store(out), the(out, "stages/brightness-*").name
    ref = StageRef(*folder.rsplit("-", 1))
    places = store.places(ref, 1, "small.png")
    assert places
    assert all(place.sha256 is None for place in places.values())
    good = [store.read_tar(ref, 1, *place) for place in places.values()]
    assert all(image.startswith(b"\x89PNG") for image in good)
    flip(the(out, f"stages/{folder}/part-000001.tar"), 530, 1)
    with pytest.raises(Exception, match=r"part-000001\.tar is damaged"):
        store.read_tar(ref, 1, *next(iter(places.values())))
    assert read_ledger(store, ref) == {}, "an old ledger names keys alone"
