"""Damage is seen where it is read, named in one line, and repaired by the same command. (docs/operating.md)"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.errors import ConfigError, Damaged, ShardCorrupt, StoreError, Unwritable
from dataprep.tables.sealed import SEAL_BYTES, _reading, identity, read_table
from dataprep.tables.store import StageRef, Store
from gan.animation.animate_labels import open_labels
from gan.data.shards import ShardDataset
from pipelines.commands.export import export
from pipelines.commands.summary import after_run
from pipelines.engine.index import read_index
from pipelines.engine.repair import take_away
from pipelines.engine.run import run
from pipelines.executors.dask_executor import DaskExecutor
from pipelines.main import main
from tests import fake_dataset
from tests.pipelines.outage import Fragile, build, fragile_dag
from tests.pipelines.test_run import payload
from tests.pipelines.toy import make_photos

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, 11)
    return folder


@pytest.fixture
def out(undisturbed, tmp_path):
    """A copy that a test may damage; files keep their times, as a good copy does."""
    shutil.copytree(undisturbed, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Parts and shards of the real stages' columns."""
    folder = tmp_path_factory.mktemp("labelled")
    fake_dataset.make_photos(folder / "photos", 12)
    return fake_dataset.make_dataset(folder / "photos", folder / "out", {}, small=True)


def flip(path: Path, at: int, bit: int, silently: bool = False) -> None:
    """Turn over one bit; `silently`, as a disk does: the time of writing stays."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)
    if silently:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def flipped(written: bytes, count: int, seed: int | str) -> Iterator[bytes]:
    """Copies with one random bit turned over."""
    places = random.Random(seed)
    for _ in range(count):
        damaged = bytearray(written)
        damaged[places.randrange(len(written))] ^= 1 << places.randrange(8)
        yield bytes(damaged)


def the(out: Path, pattern: str) -> Path:
    return next(iter(sorted(out.glob(pattern))))


# --- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["face", "camera", "quality"])
def test_no_flipped_bit_of_a_part_is_read_as_a_label(labelled, stage, tmp_path):
    store = Store(tmp_path)
    ref = labelled.refs[stage]
    path = store.part_path(ref, 0)
    path.parent.mkdir(parents=True)
    written = labelled.store.part_path(ref, 0).read_bytes()
    for damaged in flipped(written, 300, stage):
        path.write_bytes(damaged)
        with pytest.raises(Damaged, match=path.name):
            store.table(ref, 0)


def test_no_flipped_bit_of_a_twin_is_trained_on(labelled, tmp_path):
    shutil.copytree(labelled.store.root / "shards", tmp_path / "shards")
    path = tmp_path / "shards" / "train-00000.parquet"
    written = path.read_bytes()
    for damaged in flipped(written, 150, 0):
        path.write_bytes(damaged)
        with pytest.raises(ShardCorrupt, match="train-00000"):
            ShardDataset([tmp_path])


def test_a_flipped_bit_of_a_training_picture_is_seen(labelled, tmp_path):
    shutil.copytree(labelled.store.root / "shards", tmp_path / "shards")
    dataset = ShardDataset([tmp_path], portrait_px=64, face_px=16)
    offset = int(dataset._shards[0].offset_N3[2, 0])
    flip(tmp_path / "shards" / "train-00000.tar", offset + 3000, 0)
    assert dataset[1].portrait.shape == (64, 64, 3)
    with pytest.raises(ShardCorrupt, match=dataset.sample_ids[2]):
        dataset[2]


def test_tables_that_others_wrote_again_are_read(labelled, tmp_path):
    """A seal is of one file: it does not travel with a table that somebody changed."""
    manifest = labelled.store.root / "manifest.parquet"
    chosen = pq.read_table(manifest, partitioning=None).slice(2)
    pq.write_table(chosen, tmp_path / "chosen.parquet")
    assert read_table(tmp_path / "chosen.parquet").equals(chosen)


def test_a_table_of_the_version_before_has_the_same_identity(labelled, tmp_path):
    """Sealed or not, the same rows are the same content; and page checksums guard those without a seal."""
    path = labelled.store.root / "manifest.parquet"
    content = path.read_bytes()
    footer_at = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    before = tmp_path / "manifest.parquet"
    before.write_bytes(content[: footer_at - SEAL_BYTES] + content[footer_at:])
    assert pq.read_table(before, partitioning=None).equals(pq.read_table(path, partitioning=None))
    assert identity(before) == identity(path)
    flip(before, 300, 3)
    with pytest.raises(Damaged):
        read_table(before)


# --- one command repairs -----------------------------------------------------------------------------------------

DAMAGE = {
    "a part is gone": lambda out: the(out, "stages/brightness-*/part-000001.parquet").unlink(),
    "a tar is gone": lambda out: the(out, "stages/brightness-*/part-000001.tar").unlink(),
    "a part is cut off": lambda out: os.truncate(the(out, "stages/inverted-*/part-000000.parquet"), 700),
    "a part is empty": lambda out: os.truncate(the(out, "stages/ingest-*/part-000000.parquet"), 0),
    "a tar is cut off": lambda out: os.truncate(the(out, "stages/brightness-*/part-000000.tar"), 2048),
    "a bit of a part": lambda out: flip(the(out, "stages/brightness-*/part-000001.parquet"), 900, 3),
    "a bit of a part's footer": lambda out: flip(the(out, "stages/ingest-*/part-000001.parquet"), -300, 0),
    "a bit of a tar": lambda out: flip(the(out, "stages/brightness-*/part-000001.tar"), 600, 5),
    "a ledger is cut off": lambda out: os.truncate(the(out, "stages/inverted-*/ledger.json"), 100),
    "a bit of a ledger": lambda out: flip(the(out, "stages/inverted-*/ledger.json"), 60, 0),
    "a ledger is empty": lambda out: os.truncate(the(out, "stages/ingest-*/ledger.json"), 0),
    "a description is empty": lambda out: os.truncate(the(out, "stages/brightness-*/stage.json"), 0),
    "an output is cut off": lambda out: os.truncate(out / "listing.txt", 10),
    "a bit of an output": lambda out: flip(out / "listing.txt", 40, 0),
    "an output's record is empty": lambda out: os.truncate(out / "stages/listing/done.json", 0),
    "the index is cut off": lambda out: os.truncate(out / "index.parquet", 1000),
    "the index is empty": lambda out: os.truncate(out / "index.parquet", 0),
    "the index is gone": lambda out: (out / "index.parquet").unlink(),
    "a bit of the index": lambda out: flip(out / "index.parquet", 300, 2),
    "dataset.json is empty": lambda out: os.truncate(out / "dataset.json", 0),
    "dataset.json is gone": lambda out: (out / "dataset.json").unlink(),
    "dataset.json says another part size": lambda out: (out / "dataset.json").write_text(
        '{"part_size": 5, "schema_version": 1}'
    ),
    "the hashes are cut off": lambda out: os.truncate(out / "runs/hashes.parquet", 400),
    "the hashes are empty": lambda out: os.truncate(out / "runs/hashes.parquet", 0),
    "a bit of the hashes": lambda out: flip(out / "runs/hashes.parquet", 100, 1),
    "what the last run was is cut off": lambda out: os.truncate(out / "runs/current.json", 20),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_the_same_command_names_it_and_makes_it_anew(what, out, photos, undisturbed, capsys):
    DAMAGE[what](out)
    build(photos, out)
    said = [line for line in capsys.readouterr().err.splitlines() if "is made anew" in line]
    assert len(said) == 1, said
    assert str(out) in said[0]
    assert payload(out) == payload(undisturbed)
    assert build(photos, out).plan.is_empty
    assert not capsys.readouterr().err


@pytest.mark.parametrize("pattern", ["stages/*/part-000001.parquet", "stages/*/part-000001.tar", "listing.txt"])
def test_nothing_to_do_is_said_only_of_a_whole_data_set(pattern, out, photos, undisturbed, capsys):
    """Random bits of every file of a kind, as many times."""
    places = random.Random(pattern)
    for path in [path for path in sorted(out.glob(pattern)) for _ in range(3)]:
        flip(path, places.randrange(path.stat().st_size), places.randrange(8))
        outcome = build(photos, out)
        after_run(out, fragile_dag().until("inverted"), outcome)
        assert not outcome.plan.is_empty
        assert payload(out) == payload(undisturbed)


def test_damage_without_a_trace_is_found_by_verify_and_repaired(out, photos, undisturbed, capsys):
    damaged = [the(out, f"stages/{name}") for name in ("brightness-*/part-000001.tar", "ingest-*/part-000000.parquet")]
    for path in (*damaged, out / "listing.txt"):
        flip(path, 530, 2, silently=True)
    assert build(photos, out).plan.is_empty, "sizes and times are as they were"
    assert main(["verify", str(out), "--deep"]) == 1
    said = capsys.readouterr().out
    assert all(str(path) in said for path in damaged)
    assert f"shhq-hs verify {out} --repair" in said
    assert main(["verify", str(out), "--repair"]) == 1
    assert not any(path.exists() for path in (*damaged, out / "listing.txt"))
    build(photos, out)
    assert payload(out) == payload(undisturbed)
    assert main(["verify", str(out), "--repair"]) == 1  # a toy has no manifest; nothing is taken away
    assert payload(out) == payload(undisturbed)


def test_damage_met_by_a_later_stage_blames_nobody_and_is_repaired_at_once(out, photos, undisturbed, capsys):
    """A tar that rots silently, read because what was made from it is gone."""
    the(out, "stages/inverted-*/part-000001.parquet").unlink()
    flip(the(out, "stages/brightness-*/part-000001.tar"), 530, 2, silently=True)
    capsys.readouterr()
    summary = build(photos, out)
    assert not summary.failed
    assert "part-000001.tar is damaged" in capsys.readouterr().err
    assert payload(out) == payload(undisturbed)


def test_damage_met_by_an_aggregate_is_repaired_at_once(out, photos, undisturbed, capsys):
    (out / "listing.txt").unlink()
    flip(the(out, "stages/inverted-*/part-000001.parquet"), 300, 2, silently=True)
    assert not build(photos, out).failed
    assert "part-000001.parquet is damaged" in capsys.readouterr().err
    assert payload(out) == payload(undisturbed)


def test_a_part_that_comes_out_otherwise_takes_along_what_stands_on_it(out, photos, undisturbed, monkeypatch):
    """Repaired on another machine, with other results: what was made from the lost ones is made again."""
    the(out, "stages/brightness-*/part-000001.parquet").unlink()
    monkeypatch.setattr(Fragile, "outage", True)
    before = (out / "listing.txt").read_text()
    assert not build(photos, out).failed
    assert (out / "listing.txt").read_text() != before
    store, dag = Store(out), fragile_dag()
    upstream = store.rows(dag.refs["brightness"], 1)
    for row, later in zip(upstream, store.rows(dag.refs["inverted"], 1), strict=True):
        assert (row["status"], later["status"]) == ("error", "upstream")
    assert build(photos, out).plan.is_empty
    assert payload(out) != payload(undisturbed)


def test_a_part_that_comes_out_the_same_costs_nothing_more(out, photos, undisturbed):
    the(out, "stages/ingest-*/part-000001.parquet").unlink()
    later = {path: path.stat().st_mtime_ns for path in out.glob("stages/[bi][rn][iv]*/part-*")}
    build(photos, out)
    assert {path: path.stat().st_mtime_ns for path in later} == later
    assert payload(out) == payload(undisturbed)


def test_a_disk_that_damages_what_is_written_ends_the_run(out, photos, monkeypatch):
    the(out, "stages/inverted-*/part-000001.parquet").unlink()
    written = Store.write_part

    def rots(self, ref: StageRef, part, *arguments, **more):
        record = written(self, ref, part, *arguments, **more)
        if ref.name == "brightness":
            flip(self.part_path(ref, part).with_suffix(".tar"), 530, 2)
        return record

    flip(the(out, "stages/brightness-*/part-000001.tar"), 600, 2)
    monkeypatch.setattr(Store, "write_part", rots)
    with pytest.raises(Damaged, match=r"part-000001\.tar"):
        build(photos, out)


# --- looking at what is damaged ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["index.parquet", "dataset.json", "runs/current.json", "stages/ingest-*/part-000001.parquet"]
)
@pytest.mark.parametrize("size", [0, 30])
@pytest.mark.parametrize("verb", ["status", "errors", "verify", "retry"])
def test_a_command_that_looks_names_the_file_and_the_way_on(verb, name, size, out, capsys):
    path = the(out, name)
    os.truncate(path, min(size, path.stat().st_size // 2))
    assert main([verb, str(out)]) in (1, 2)
    said = capsys.readouterr()
    assert str(path) in said.out + said.err
    assert f"shhq-hs verify {out} --repair" in said.out + said.err


def test_a_truncated_manifest_is_named(labelled, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(labelled.store.root, out)
    os.truncate(out / "manifest.parquet", 5000)
    for command in (["select", str(out), "yaw > 0", "-o", "x.parquet"], ["show", str(out), "photo0001.jpg"]):
        assert main(command) == 2
        assert f"{out / 'manifest.parquet'} is damaged" in capsys.readouterr().err


def test_repair_takes_away_nothing_outside(out, tmp_path):
    """What a record names is not trusted as a path."""
    (tmp_path / "precious.txt").write_text("mine")
    record = out / "stages/listing/done.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps(content | {"sha256": {"../precious.txt": "0" * 64}}))
    assert main(["verify", str(out), "--repair"]) == 1
    assert (tmp_path / "precious.txt").read_text() == "mine"
    assert not record.exists()
    with pytest.raises(StoreError, match=r"precious\.txt is no file of"):
        take_away(Store(out), [f"{out}/../precious.txt"])


def test_an_index_made_anew_keeps_every_input_in_its_part(out, photos, tmp_path):
    """Inputs that came later lie where they were put, not where sorting would put them."""
    grown = tmp_path / "photos"
    shutil.copytree(photos, grown)
    make_photos(grown, 3, first=500)
    (grown / "a_first.png").write_bytes((grown / "photo0001.png").read_bytes() + b"\0")
    build(grown, out)
    before = [(source.sample_id, source.part) for source in read_index(out)]
    (out / "index.parquet").unlink()
    assert not any(stage.todo for stage in build(grown, out).plan.stages)
    assert [(source.sample_id, source.part) for source in read_index(out)] == before


# --- killed, or without room, while repairing --------------------------------------------------------------------

REPAIR = """
import sys
from pathlib import Path
from tests.pipelines.outage import build
build(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_kills_while_repairing_end_in_the_same_bytes(out, photos, undisturbed):
    """Damage in three stages; the repairing run is killed whenever a part has appeared."""
    for pattern in (
        "ingest-*/part-000000.parquet",
        "brightness-*/part-00000[12].tar",
        "inverted-*/part-000001.parquet",
    ):
        for path in out.glob(f"stages/{pattern}"):
            flip(path, 530, 1)
    os.truncate(out / "index.parquet", 100)
    command = [sys.executable, "-c", REPAIR, str(photos), str(out)]
    for more in (1, 1, 2):
        started_ns = time.time_ns()
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        while process.poll() is None and _parts_written_since(out, started_ns) < more:
            time.sleep(0.002)
        process.kill()
        process.wait()
    build(photos, out)
    assert payload(out) == payload(undisturbed)
    assert build(photos, out).plan.is_empty


def _parts_written_since(out: Path, since_ns: int) -> int:
    found = 0
    for path in out.glob("stages/*/part-*.parquet"):
        with suppress(FileNotFoundError):
            found += path.stat().st_mtime_ns > since_ns
    return found


@pytest.mark.parametrize("limit_bytes", [600, 2000, 3000, 4000, 6000, 9000])
def test_a_full_disk_while_repairing_costs_nothing_once_there_is_room(limit_bytes, out, photos, undisturbed):
    flip(the(out, "stages/brightness-*/part-000001.tar"), 530, 1)
    os.truncate(out / "index.parquet", 100)
    (out / "listing.txt").unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        with suppress(Unwritable):
            build(photos, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    build(photos, out)
    assert payload(out) == payload(undisturbed)


def test_an_aggregate_that_meets_the_same_damage_again_ends_the_run(out, photos, monkeypatch):
    (out / "listing.txt").unlink()
    written = Store.write_part

    def rots(self, ref: StageRef, part, *arguments, **more):
        record = written(self, ref, part, *arguments, **more)
        if ref.name == "inverted":
            flip(self.part_path(ref, part), 400, 2)
        return record

    flip(the(out, "stages/inverted-*/part-000001.parquet"), 400, 2, silently=True)
    monkeypatch.setattr(Store, "write_part", rots)
    with pytest.raises(Damaged, match=r"part-000001\.parquet"):
        build(photos, out)


def test_damage_that_a_worker_meets_is_repaired_by_its_driver(out, photos, undisturbed):
    the(out, "stages/inverted-*/part-000001.parquet").unlink()
    flip(the(out, "stages/brightness-*/part-000001.tar"), 530, 2, silently=True)
    with DaskExecutor("local", 1) as executor:
        assert not run(photos, out, fragile_dag(), executor).failed
    assert payload(out) == payload(undisturbed)


def test_no_flipped_bit_of_a_manifest_moves_a_generated_person(labelled, tmp_path):
    path = tmp_path / "manifest.parquet"
    written = (labelled.store.root / path.name).read_bytes()
    places = random.Random(1)
    assert len(open_labels(labelled.store.root).identity_N80) > 0
    for _ in range(60):
        damaged = bytearray(written)
        damaged[places.randrange(len(written))] ^= 1 << places.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"manifest\.parquet"):
            open_labels(tmp_path)


def test_damage_to_an_output_is_not_forgotten_by_a_run_that_stops(out, photos, undisturbed, monkeypatch):
    flip(out / "listing.txt", 5, 2)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.engine.run._run_passes", lambda context, plan, *_: ([], "interrupted", plan))
        build(photos, out)
    assert not build(photos, out).plan.is_empty, "the damaged file still lay there"
    assert payload(out) == payload(undisturbed)


@pytest.mark.parametrize("content", ['{"a": 1}', "[1]", '{"key": "x", "counts": {}, "sha256": 5}'])
def test_a_record_that_is_none_is_damage(content, out, photos, undisturbed, capsys):
    record = the(out, "stages/*/done.json")
    record.write_text(content)
    assert main(["verify", str(out)]) == 1
    assert f"{record} is damaged" in capsys.readouterr().out
    main(["status", str(out)])
    assert not build(photos, out).failed
    assert payload(out) == payload(undisturbed)


@pytest.mark.parametrize("content", ["[1]", '{"shards": [{}]}', '{"shards": [{"name": "train-00000", "tar": 1}]}'])
def test_an_index_of_shards_that_is_none_is_damage(content, out, capsys):
    (out / "shards").mkdir()
    (out / "shards/index.json").write_text(content)
    assert main(["verify", str(out)]) == 1
    assert "index.json is damaged" in capsys.readouterr().out


def test_repair_of_the_folder_that_one_stands_in(out, photos, undisturbed, monkeypatch):
    flip(the(out, "stages/brightness-*/part-000001.tar"), 530, 2, silently=True)
    monkeypatch.chdir(out)
    assert main(["verify", ".", "--repair"]) == 1
    assert not list(out.glob("stages/brightness-*/part-000001.tar"))
    build(photos, out)
    assert payload(out) == payload(undisturbed)


def test_a_shortage_of_memory_is_no_damage(out):
    with pytest.raises(MemoryError), _reading(out / "index.parquet"):
        raise pa.ArrowMemoryError("malloc of size 1 failed")


def test_no_flipped_bit_of_a_twin_is_exported(labelled, tmp_path):
    shutil.copytree(labelled.store.root / "shards", tmp_path / "out/shards")
    path = tmp_path / "out/shards/train-00000.parquet"
    written = path.read_bytes()
    for damaged in flipped(written, 40, 1):
        path.write_bytes(damaged)
        with pytest.raises(ShardCorrupt, match="train-00000"):
            export(tmp_path / "out", tmp_path / "new", "plain", "train")
