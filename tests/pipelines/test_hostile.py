"""Hostile inputs in one data set with healthy ones: each costs its own row, and bounded time and memory."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest

from dataprep.errors import ConfigError
from dataprep.files.filenames import escape, unescape
from dataprep.stages.base import Item, Result, Stage
from dataprep.stages.ingest import Ingest
from dataprep.stages.report import Report
from dataprep.tables.sources import arrange, identify, scan
from dataprep.tables.store import Store
from pipelines import paper_stages
from pipelines.commands.errors import print_errors
from pipelines.engine.dag import assemble
from pipelines.engine.index import preview, read_index, refresh
from pipelines.engine.run import run
from pipelines.executors.serial_executor import SerialExecutor
from tests.fake_dataset import make_dataset
from tests.pipelines.hostile import LINE_BREAK, LONGEST, NOT_UTF8, make_hostile, make_many
from tests.pipelines.ordinary_user import ordinary_user
from tests.pipelines.test_run import payload

ROOT = Path(__file__).parents[2]


def rows_of(out, dag, stage):
    """Text of path -> row."""
    store, ref = Store(out), dag.refs[stage]
    paths = {source.sample_id: source.path for source in read_index(out)}
    rows = [row for part in sorted(store.committed(ref)) for row in store.rows(ref, part)]
    return {paths[row["sample_id"]]: row for row in rows}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "photos"
    expected = make_hostile(folder)
    yield folder, expected
    (folder / "closed").chmod(0o755)


@pytest.fixture(scope="module")
def built(hostile, tmp_path_factory):
    """Ingest and detect, for real."""
    out, dag = tmp_path_factory.mktemp("built"), paper_stages.build().until("detect")
    with ordinary_user(), SerialExecutor() as executor:
        summary = run(hostile[0], out, dag, executor, max_error_fraction=0.0)
    assert not summary.failed
    assert not summary.stopped
    return out, dag


def test_exactly_the_hostile_ones_are_rejected_and_for_their_reason(hostile, built):
    rows = rows_of(*built, "ingest")
    assert {path: row["reason"] for path, row in rows.items()} == hostile[1]
    for path, row in rows.items():
        assert row["status"] == ("rejected" if hostile[1][path] else "ok"), path
        assert not hostile[1][path] or len(row["message"]) > 15
        assert str(hostile[0]) not in (row["message"] or ""), "no path of the machine in a row"


def test_healthy_ones_are_detected_as_if_nothing_were(hostile, built):
    rows = rows_of(*built, "detect")
    healthy = {path for path, reason in hostile[1].items() if reason is None}
    assert {path for path, row in rows.items() if row["status"] == "ok"} == healthy
    assert {row["status"] for path, row in rows.items() if path not in healthy} == {"upstream"}
    faces = {tuple(rows[f"exif{i}.png"]["face_bbox_px"]) for i in range(1, 9)}
    assert len(faces) == 1, "all orientations are the same upright picture"


def test_refused_rows_know_what_can_be_known(built):
    rows = rows_of(*built, "ingest")
    assert rows["secret.jpg"]["source_bytes"] > 0
    assert rows["secret.jpg"]["source_sha256"] is None
    assert rows["sparse.jpg"]["source_bytes"] == 1 << 40
    assert len({row["sample_id"] for row in rows.values()}) == len(rows)


def test_a_second_run_has_nothing_to_do(hostile, built):
    with ordinary_user(), SerialExecutor() as executor:
        assert run(hostile[0], built[0], built[1], executor).plan.is_empty


def test_a_file_that_becomes_readable_is_taken(hostile, tmp_path):
    shutil.copytree(hostile[0] / "folder.jpg", tmp_path / "photos")
    secret = tmp_path / "photos" / "secret.png"
    secret.write_bytes((hostile[0] / "palette.png").read_bytes())
    secret.chmod(0)
    dag = paper_stages.build().until("ingest")
    with ordinary_user(), SerialExecutor() as executor:
        run(tmp_path / "photos", tmp_path / "out", dag, executor)
        assert rows_of(tmp_path / "out", dag, "ingest")["secret.png"]["reason"] == "unreadable"
        secret.chmod(0o644)
        run(tmp_path / "photos", tmp_path / "out", dag, executor)
    assert rows_of(tmp_path / "out", dag, "ingest")["secret.png"]["status"] == "ok"


def test_errors_prints_any_name_on_one_line(built, capsys):
    print_errors(built[0], "", "", "", with_tracebacks=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    rows = rows_of(*built, "ingest")
    assert len(lines) == sum(row["status"] != "ok" for row in rows.values())


# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [b"plain.png", "äöü 写真.png".encode(), b"\xff\xfe", b"a\\xe9", b"a\\\\b\xe9\\x41\xc3", b"\n\t", b"%41"]
)
def test_a_name_survives_being_text(name):
    text = escape(os.fsdecode(name))
    assert os.fsencode(unescape(text)) == name
    assert text.encode().decode() == text


def test_different_names_are_different_texts():
    assert escape(os.fsdecode(b"\xe9")) != escape("\\xe9")


def test_any_name_reaches_manifest_shards_and_report(hostile, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in (os.fsencode(LINE_BREAK), NOT_UTF8, os.fsencode(LONGEST)):
        shutil.copy(os.path.join(os.fsencode(hostile[0]), name), os.path.join(os.fsencode(photos), name))
    view = make_dataset(photos, tmp_path / "out", {}, small=True)
    Report().build(view, tmp_path / "out")
    manifest = pq.read_table(tmp_path / "out/manifest.parquet").to_pylist()
    names = {os.fsencode(unescape(row["source_path"])) for row in manifest}
    assert names == set(os.listdir(os.fsencode(photos)))
    index = json.loads((tmp_path / "out/shards/index.json").read_text())
    assert index["samples"] >= 1


# --- files that change while a run is on ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Meddler(Stage):
    """Somebody works in the folder while we read it: on the first image one file is replaced and one removed."""

    name: ClassVar[str] = "meddler"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest",)

    def process_item(self, item: Item, tools: None) -> Result:
        if item.row["source_path"] == "a_first.png":
            (item.source_root / "changed.png").write_bytes(item.source())
            (item.source_root / "vanished.png").unlink()
        item.source()
        return Result()


def test_files_that_change_or_vanish_cost_their_own_row_and_the_next_run_sees_them_anew(hostile, tmp_path):
    photos, dag = tmp_path / "photos", assemble((Ingest(), Meddler()), ())
    photos.mkdir()
    for name, original in (("a_first", 1), ("changed", 2), ("stays", 3), ("vanished", 4)):
        shutil.copy(hostile[0] / f"exif{original}.png", photos / f"{name}.png")
    with SerialExecutor() as executor:
        assert not run(photos, tmp_path / "out", dag, executor).failed
        ended = {p: (r["status"], r["reason"]) for p, r in rows_of(tmp_path / "out", dag, "meddler").items()}
        assert ended == {
            "a_first.png": ("ok", None), "stays.png": ("ok", None),
            "changed.png": ("error", "SourceChanged"), "vanished.png": ("error", "unreadable"),
        }  # fmt: skip
        (photos / "vanished.png").touch()
        run(photos, tmp_path / "out", dag.until("ingest"), executor)
    rows = rows_of(tmp_path / "out", dag, "ingest")
    assert {path: row["reason"] for path, row in rows.items()} == {
        "a_first.png": None, "stays.png": None, "changed.png": "duplicate", "vanished.png": "empty_file",
    }  # fmt: skip


def test_annotations_for_the_whole_set_must_be_readable(hostile, tmp_path):
    for name in ("no_segment", "segments"):
        (tmp_path / name).mkdir()
        shutil.copy(hostile[0] / "exif1.png", tmp_path / name / "a.png")
    (tmp_path / "openpose.txt").write_text("")
    (tmp_path / "openpose.txt").chmod(0)
    with ordinary_user(), pytest.raises(ConfigError, match=r"openpose\.txt holds key points"):
        scan(tmp_path)
    (tmp_path / "openpose.txt").unlink()
    (tmp_path / "segments" / "a.png").chmod(0)
    with ordinary_user():
        (source,) = identify(tmp_path, scan(tmp_path))
    assert source.refused == "unreadable: its mask: the file cannot be read: permission denied"


# --- time and memory -----------------------------------------------------------------------------------------------

MEASURE = """
import json, resource, sys, time
from pathlib import Path
from pipelines.engine.run import run
from pipelines.executors.serial_executor import SerialExecutor
from dataprep.stages.ingest import Ingest
from pipelines.engine.dag import assemble
peaks, seconds = [], []
for photos in sys.argv[1:]:
    started = time.perf_counter()
    with SerialExecutor() as executor:
        run(Path(photos), Path(photos + "-out"), assemble((Ingest(),), ()), executor)
    seconds.append(time.perf_counter() - started)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(json.dumps({"peaks_mib": peaks, "seconds": seconds}))
"""


def measure(*folders):
    """Peak memory (MiB, growing) and seconds after ingesting each folder, in a process of their own."""
    command = [sys.executable, "-c", MEASURE, *map(str, folders)]
    ended = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(ended.stdout.splitlines()[-1])


def test_hostile_files_take_bounded_memory_and_time(hostile, tmp_path):
    healthy = tmp_path / "healthy"
    healthy.mkdir()
    for i in range(1, 9):
        shutil.copy(hostile[0] / f"exif{i}.png", healthy)
    (hostile[0] / "closed").chmod(0o755)
    try:
        found = measure(healthy, hostile[0])
    finally:
        (hostile[0] / "closed").chmod(0)
        shutil.rmtree(f"{hostile[0]}-out")
    assert found["peaks_mib"][1] - found["peaks_mib"][0] < 600, "the bomb alone would take 600"
    assert found["seconds"][1] < 30


def check_many(tmp_path, count):
    make_many(tmp_path / "many", count)
    started = time.perf_counter()
    found = scan(tmp_path / "many")
    scanned_s = time.perf_counter() - started
    arranged = arrange(identify(tmp_path / "many", found), [], 64)
    seconds = time.perf_counter() - started
    assert len(arranged) == count
    assert sum(source.duplicate_of is None for source in arranged) == 1
    assert [source.part for source in arranged] == [i // 64 for i in range(count)]
    return scanned_s, seconds


def test_twenty_thousand_files_in_one_folder_take_seconds(tmp_path):
    scanned_s, seconds = check_many(tmp_path, 20_000)
    assert scanned_s < 5
    assert seconds < 15


@pytest.mark.slow
def test_two_hundred_thousand_files_in_one_folder_take_a_minute(tmp_path):
    scanned_s, seconds = check_many(tmp_path, 200_000)
    assert scanned_s < 30
    assert seconds < 90
    started = time.perf_counter()
    refresh(tmp_path / "many", tmp_path / "out")
    first_s = time.perf_counter() - started
    again = time.perf_counter()
    assert preview(tmp_path / "many", tmp_path / "out") == read_index(tmp_path / "out")
    print(f"scan {scanned_s:.1f} s, with hashes {seconds:.1f} s, index {first_s:.1f} s, "
          f"unchanged {time.perf_counter() - again:.1f} s")  # fmt: skip


def test_a_linked_data_set_is_the_same_data_set(hostile, tmp_path):
    """The source folder may be reached by a link; its bytes and names make the ids."""
    (tmp_path / "link").symlink_to(hostile[0] / "folder.jpg", target_is_directory=True)
    dag = assemble((Ingest(),), ())
    with SerialExecutor() as executor:
        run(tmp_path / "link", tmp_path / "a", dag, executor)
        run(hostile[0] / "folder.jpg", tmp_path / "b", dag, executor)
    assert payload(tmp_path / "a") == payload(tmp_path / "b")
