"""What img2dataset 1.47 writes, written as its writers write it: the same files, columns, types and order of members.

A slow test of test_img2dataset.py runs the package itself where it is installed, and compares.
"""

import hashlib
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import webdataset
from PIL import Image

from dataprep.inputs.gathering import Gathering
from dataprep.tables.store import Store
from pipelines.engine.index import read_index
from pipelines.engine.run import run
from pipelines.executors.serial_executor import SerialExecutor
from tests.pipelines.toy import toy_dag

SCHEMA = pa.schema([
    ("license", pa.large_string()), ("consent", pa.large_string()), ("score", pa.float64()),
    ("caption", pa.large_string()), ("url", pa.large_string()), ("key", pa.string()), ("status", pa.string()),
    ("error_message", pa.string()), ("width", pa.int32()), ("height", pa.int32()), ("original_width", pa.int32()),
    ("original_height", pa.int32()), ("exif", pa.string()), ("sha256", pa.string()),
])  # fmt: skip


def picture(number):
    """A small photograph of its own."""
    colours = [(number * 37 + x * 5 + y * 3) % 256 for y in range(48) for x in range(48) for _ in range(3)]
    data = io.BytesIO()
    Image.frombytes("RGB", (48, 48), bytes(colours)).save(data, "JPEG", quality=90)
    return data.getvalue()


def meta_of(number, shard):
    """The row of a URL; the third of each shard could not be downloaded."""
    got = number % 4 != 3
    said = {
        "license": "cc-by-4.0", "consent": None if number % 4 == 1 else f"signed {number}", "score": number / 7,
        "caption": None if number % 4 == 2 else f"person {number} “café”", "url": f"https://example.org/p{number}.jpg",
        "key": f"{shard:05d}{number % 4:04d}", "status": "success" if got else "failed_to_download",
        "error_message": None if got else "HTTP Error 404: Not Found",
    }  # fmt: skip
    sizes = dict.fromkeys(("width", "height", "original_width", "original_height"), 48 if got else None)
    return {**said, **sizes, "exif": "{}" if got else None,
            "sha256": hashlib.sha256(f"download {number}".encode()).hexdigest() if got else None}  # fmt: skip


def write_shards(folder, output_format, shards=2):
    """Write shards of four URLs each, of which three came; returns the rows by key."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for shard in range(shards):
        metas = [meta_of(shard * 4 + i, shard) for i in (1, 0, 3, 2)]  # as downloads end
        pictures = {one["key"]: picture(shard * 4 + int(one["key"][-1])) for one in metas if one["status"] == "success"}
        _WRITERS[output_format](folder, f"{shard:05d}", metas, pictures)
        (folder / f"{shard:05d}_stats.json").write_text(json.dumps({"count": 4, "successes": 3}))
        rows |= {one["key"]: {**one, "data": pictures.get(one["key"])} for one in metas}
    return rows


def _webdataset(folder, shard, metas, pictures):
    with (folder / f"{shard}.tar").open("wb") as file, webdataset.TarWriter(file) as tar:
        for one in metas:
            if one["key"] in pictures:
                tar.write({"__key__": one["key"], "jpg": pictures[one["key"]], "txt": one["caption"] or "",
                           "json": json.dumps(one, indent=4)})  # fmt: skip
    pq.write_table(pa.Table.from_pylist(metas, SCHEMA), folder / f"{shard}.parquet")


def _parquet(folder, shard, metas, pictures):
    rows = [one | {"jpg": pictures.get(one["key"])} for one in metas]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA.append(pa.field("jpg", pa.binary()))), folder / f"{shard}.parquet")


def _files(folder, shard, metas, pictures):
    (folder / shard).mkdir()
    for one in metas:
        if one["key"] in pictures:
            (folder / shard / f"{one['key']}.jpg").write_bytes(pictures[one["key"]])
            (folder / shard / f"{one['key']}.txt").write_text(one["caption"] or "")
            (folder / shard / f"{one['key']}.json").write_text(json.dumps(one, indent=4))
    pq.write_table(pa.Table.from_pylist(metas, SCHEMA), folder / f"{shard}.parquet")


_WRITERS = {"webdataset": _webdataset, "parquet": _parquet, "files": _files}


def built(source, out, **wanted):
    """Run the toy stages; returns the rows of the first stage by path."""
    with SerialExecutor() as executor:
        assert not run(source, out, toy_dag(), executor, 1.0, gathering=Gathering(**wanted)).failed
    dag = toy_dag()
    rows = [row for part in {s.part for s in read_index(out)} for row in Store(out).rows(dag.refs["ingest"], part)]
    assert len({row["source_path"] for row in rows}) == len(rows)
    return {row["source_path"]: row for row in rows}


def content_of(folder):
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def add(tar, name, data, **changed):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in changed.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def tar_of(path, names):
    with tarfile.open(path, "w") as tar:
        for number, name in enumerate(names):
            add(tar, name, picture(number))
    return bytearray(path.read_bytes())
