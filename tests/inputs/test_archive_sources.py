"""Archives as SOURCE: what img2dataset writes, as tars and as parquet, whole and damaged."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataprep.inputs.gathering import Gathering
from dataprep.tables.store import Store
from pipelines.engine.index import read_index
from pipelines.engine.run import run
from pipelines.executors.serial_executor import SerialExecutor
from pipelines.main import main
from tests.pipelines.toy import toy_dag

PHOTOGRAPHS = Path(__file__).parents[2] / "samples/people/no_segment"


def photograph(number: int) -> bytes:
    """A sample, small; every number another one."""
    stream = io.BytesIO()
    with Image.open(PHOTOGRAPHS / f"p{number % 9 + 1:03d}.jpg") as picture:
        picture.resize((130 + number, 200)).save(stream, "JPEG", quality=80)
    return stream.getvalue()


def told(number: int, **more: str | None) -> dict[str, Any]:
    """What img2dataset 1.4 says of a picture that it downloaded."""
    return {
        "url": f"https://example.org/{number}.jpg", "caption": None, "key": f"{number:09d}", "status": "success",
        "error_message": None, "width": 130 + number, "height": 200, "original_width": 520, "original_height": 800,
        "exif": "{}", "sha256": "0" * 64, **more,
    }  # fmt: skip


def members(numbers: range) -> list[tuple[str, bytes]]:
    files: list[tuple[str, bytes]] = []
    for number in numbers:
        more = {"licence": "CC0-1.0", "consent": "asked"} if number == 2 else {}
        files += [
            (f"{number:09d}.jpg", photograph(number)),
            (f"{number:09d}.txt", b"a person"),
            (f"{number:09d}.json", json.dumps(told(number, **more)).encode()),
        ]
    return files


def write_tar(path: Path, files: list[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_shard(folder: Path, shard: int, files: list[tuple[str, bytes]]) -> Path:
    """A shard of img2dataset: the tar, a table of all URLs, those that failed too, and the counts."""
    write_tar(folder / f"{shard:05d}.tar", files)
    rows = [json.loads(data) for name, data in files if name.endswith(".json")]
    rows.append(told(999) | {"status": "failed_to_download", "error_message": "404", "width": None, "height": None})
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{shard:05d}.parquet")
    (folder / f"{shard:05d}_stats.json").write_text(json.dumps({"count": len(rows), "successes": len(rows) - 1}))
    return folder / f"{shard:05d}.tar"


def built(source: Path, out: Path, gathering: Gathering | None = None) -> Path:
    with SerialExecutor() as executor:
        assert not run(source, out, toy_dag(), executor, 1.0, gathering=gathering).failed
    return out


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    """Rows of the first stage, and how the last one ended, by path."""
    dag = toy_dag()
    parts = sorted({source.part for source in read_index(out)})
    rows = {row["sample_id"]: row for part in parts for row in Store(out).rows(dag.refs["ingest"], part)}
    for part in parts:
        for row in Store(out).rows(dag.refs["inverted"], part):
            ended = rows[row["sample_id"]]
            if ended["status"] == "ok":
                rows[row["sample_id"]] = ended | {"status": row["status"], "reason": row["reason"]}
    return {row["source_path"]: row for row in rows.values()}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "img2dataset"
    folder.mkdir()
    for shard in range(2):
        write_shard(folder, shard, members(range(3 * shard, 3 * shard + 3)))
    return folder


def test_every_picture_of_a_shard_is_an_input(shards: Path, tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in shards.iterdir()}
    out = built(shards, tmp_path / "out")
    rows = rows_of(out)
    assert sorted(rows) == [f"{shard:05d}.tar/{3 * shard + i:09d}.jpg" for shard in range(2) for i in range(3)]
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert rows["00001.tar/000000004.jpg"]["source_url"] == "https://example.org/4.jpg"
    assert rows["00000.tar/000000002.jpg"]["license"] == "CC0-1.0"
    assert rows["00000.tar/000000002.jpg"]["consent"] == "asked"
    assert {row["source_dataset"] for row in rows.values()} == {"webdataset"}
    assert {file.name: file.read_bytes() for file in shards.iterdir()} == before
    assert not list((out / "inputs").rglob("*.tar")), "pictures of a tar are read where they lie"


def test_a_second_run_opens_no_archive(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = built(shards, tmp_path / "out")
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("opened"))
    built(shards, out)


def test_more_pictures_and_another_order_leave_nothing_stale(shards: Path, tmp_path: Path) -> None:
    """A shard that was packed anew: what lay elsewhere is read where it lies now."""
    out = built(shards, tmp_path / "out")
    write_shard(shards, 0, members(range(7, 8)) + members(range(3)))
    rows = rows_of(built(shards, out))
    assert len(rows) == 7
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert [source.offset for source in read_index(out)] == [row["source_offset"] for row in by_index(out, rows)]
    fresh = rows_of(built(shards, tmp_path / "fresh"))
    assert {name: row["sample_id"] for name, row in rows.items()} == {n: r["sample_id"] for n, r in fresh.items()}


def by_index(out: Path, rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [rows[source.path] for source in read_index(out)]


@pytest.mark.parametrize("image", ["jpg", "struct"])
def test_pictures_in_parquet(image: str, tmp_path: Path) -> None:
    """As img2dataset's parquet files hold them, and as those of Hugging Face do."""
    folder = tmp_path / "source"
    folder.mkdir()
    rows: list[dict[str, Any]] = []
    for number in range(3):
        value = photograph(number) if number != 1 else None
        picture = {"jpg": value} if image == "jpg" else {"image": {"bytes": value, "path": f"a/{number}.jpg"}}
        rows.append(told(number, license="CC-BY-4.0") | picture)
    pq.write_table(pa.Table.from_pylist(rows), folder / "00000.parquet")
    out = built(folder, tmp_path / "out", Gathering(given=str(folder / "00000.parquet")))
    found = rows_of(out)
    assert len(found) == 2, "one was not downloaded"
    assert {row["status"] for row in found.values()} == {"ok"}
    assert {row["license"] for row in found.values()} == {"CC-BY-4.0"}
    assert all(str(row["source_url"]).startswith("https://example.org/") for row in found.values())
    if image == "jpg":  # among other files it is known by its counts
        (folder / "00000_stats.json").write_text("{}")
        assert [row["sample_id"] for row in rows_of(built(folder, tmp_path / "again")).values()] == [
            row["sample_id"] for row in found.values()
        ]


def damaged(tar: bytes, how: str) -> bytes:
    if how == "ends early":
        return tar[: tar.index(b"000000002.jpg") + 1024]
    if how == "no tar":
        return b"GIF89a" + bytes(4000)
    header = tar.index(b"000000001.jpg")
    return tar[:header] + bytes([255]) * 512 + tar[header + 512 :]


@pytest.mark.parametrize("how", ["ends early", "no tar", "a header"])
def test_a_damaged_archive_has_a_row_and_what_can_be_read_counts(how: str, shards: Path, tmp_path: Path) -> None:
    tar = shards / "00000.tar"
    tar.write_bytes(damaged(tar.read_bytes(), how))
    rows = rows_of(built(shards, tmp_path / "out"))
    (lost,) = [row for row in rows.values() if row["status"] == "rejected"]
    assert (lost["source_path"], lost["reason"]) == ("00000.tar", "damaged_archive")
    kept = sorted(name for name, row in rows.items() if row["status"] == "ok")
    assert len([name for name in kept if name.startswith("00001.tar/")]) == 3
    assert len([name for name in kept if name.startswith("00000.tar/")]) == {"no tar": 0, "a header": 1}.get(how, 2)


def test_hostile_members_have_rows_and_reasons(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    with tarfile.open(folder / "a.tar", "w") as tar:
        for name, kind in (("../../out.jpg", ""), ("/etc/x.jpg", ""), ("a.jpg", ""), ("a.jpg", ""), ("l.jpg", "link"),
                           ("b.json", "deep"), ("b.jpg", ""), ("empty.jpg", "empty")):  # fmt: skip
            info = tarfile.TarInfo(name)
            data = {"deep": b"[" * 100_000, "empty": b"", "link": b""}.get(kind, photograph(3))
            if kind == "link":
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    rows = rows_of(built(folder, tmp_path / "out"))
    reasons = {name.partition("/")[2]: row["reason"] for name, row in rows.items()}
    assert reasons.pop("a.jpg") is None
    assert reasons.pop("b.jpg") == "duplicate", "the same bytes"
    assert reasons.pop("empty.jpg") == "empty_file"
    assert len(reasons) == 4
    assert set(reasons.values()) == {"unreadable"}
    assert not (tmp_path / "out.jpg").exists()


def test_a_part_of_an_archive_is_drawn_by_name(shards: Path, tmp_path: Path) -> None:
    half = set(rows_of(built(shards, tmp_path / "half", Gathering(sample=0.5))))
    assert 0 < len(half) < 6
    assert len(rows_of(built(shards, tmp_path / "two", Gathering(limit=2)))) == 2
    assert half <= set(rows_of(built(shards, tmp_path / "more", Gathering(sample=0.9))))


def test_the_command_takes_one_tar(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = ["plan", str(shards / "00000.tar"), "--out", str(tmp_path / "out")]
    assert main(plan) == 0, capsys.readouterr().err
    assert main([*plan, "--root", str(tmp_path)]) == 2
    assert "it is for a list" in capsys.readouterr().err
    (tmp_path / "x.zip").touch()
    assert main(["plan", str(tmp_path / "x.zip"), "--out", str(tmp_path / "out")]) == 2
    assert "neither a folder, a video" in capsys.readouterr().err


def test_an_archive_that_lost_its_table_is_read_again(shards: Path, tmp_path: Path) -> None:
    out = built(shards, tmp_path / "out")
    before = rows_of(out)
    table = next((out / "inputs/archives").glob("*.parquet"))
    table.write_bytes(table.read_bytes()[:-40])
    assert rows_of(built(shards, out)) == before
    shutil.rmtree(out / "inputs")
    assert rows_of(built(shards, out)) == before
