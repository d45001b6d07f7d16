"""Archives that are damaged, hostile or none: each picture that is whole is an input, the rest has a row and reason."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.inputs.tar_members import read_members
from tests.inputs.image_archives import add, built, picture, tar_of, write_shards


def offsets(path):
    with tarfile.open(path) as tar:
        return {one.name: (one.offset, one.offset_data, one.size) for one in tar}


NAMES = [f"{i:04d}.jpg" for i in range(5)]


def test_a_damaged_header_costs_its_own_picture(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    data = tar_of(source / "a.tar", NAMES)
    data[offsets(source / "a.tar")["0002.jpg"][0] + 10] ^= 255
    (source / "a.tar").write_bytes(data)
    rows = built(source, tmp_path / "out")
    assert {path for path, row in rows.items() if row["status"] == "ok"} == {f"a.tar/{i:04d}.jpg" for i in (0, 1, 3, 4)}
    lost = rows["a.tar"]
    assert (lost["status"], lost["reason"]) == ("rejected", "damaged_archive")
    assert lost["message"] == "a part of it is damaged; 4 pictures of it are inputs"


def test_a_tar_that_ends_early_keeps_what_came_before(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    data = tar_of(source / "a.tar", NAMES)
    (source / "a.tar").write_bytes(data[: offsets(source / "a.tar")["0003.jpg"][1] + 100])
    rows = built(source, tmp_path / "out")
    assert [row["status"] for path, row in sorted(rows.items())] == ["rejected", "ok", "ok", "ok", "rejected"]
    assert "ends in the middle of it" in rows["a.tar/0003.jpg"]["message"]
    assert "without the mark of its end" in rows["a.tar"]["message"]
    (source / "a.tar").write_bytes(data)  # whoever wrote it went on
    assert {row["status"] for row in built(source, tmp_path / "out").values()} == {"ok"}


def test_damaged_pictures_and_what_is_no_archive_have_rows(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    data = tar_of(source / "a.tar", NAMES)
    _, start, size = offsets(source / "a.tar")["0001.jpg"]
    data[start : start + size] = bytes(size)
    (source / "a.tar").write_bytes(data)
    (source / "b.tar").write_bytes(b"no tar at all" * 100)
    (source / "c.tar").write_bytes(b"")
    (source / "d.parquet").write_bytes(b"no parquet")
    (source / "numbers.parquet").write_bytes(table_bytes(pa.table({"x": [1, 2]})))
    rows = built(source, tmp_path / "out")
    assert rows["a.tar/0001.jpg"]["reason"] == "undecodable"
    assert sum(row["status"] == "ok" for row in rows.values()) == 4
    for name in ("b.tar", "c.tar", "d.parquet"):
        assert rows[name]["reason"] == "damaged_archive", name
    assert "it is no tar file" in rows["b.tar"]["message"]
    assert "numbers.parquet" not in rows


def table_bytes(table, **options):
    data = io.BytesIO()
    pq.write_table(table, data, **options)
    return data.getvalue()


def test_what_a_tar_holds_beside_pictures(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    with tarfile.open(source / "a.tar", "w") as tar:
        add(tar, "./deep/a.jpg", picture(1))
        add(tar, "./deep/a.json", json.dumps({"LICENSE": "cc0", "url": ["no", "text"], "sha256": "x"}).encode())
        add(tar, "b.jpg", picture(2))
        add(tar, "b.json", b"[" * 100_000)
        add(tar, "b.txt", "zwei\xff".encode("latin-1"))
        add(tar, "b.jpg", picture(3))  # the same name again
        add(tar, "../../up.jpg", picture(4))
        add(tar, "/etc/absolute.jpg", picture(5))
        add(tar, "link.jpg", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(tar, ".hidden.jpg", picture(6))
        add(tar, "__MACOSX/._b.jpg", b"resources")
        add(tar, "x" * 150 + ".jpg", picture(7))
    rows = built(source, tmp_path / "out")
    ok = {path for path, row in rows.items() if row["status"] == "ok"}
    assert ok == {"a.tar/deep/a.jpg", "a.tar/b.jpg", "a.tar/b.jpg#2", f"a.tar/{'x' * 150}.jpg"}
    first = rows["a.tar/deep/a.jpg"]
    assert (first["license"], first["source_url"], first["url_sha256"]) == ("cc0", None, None)
    assert rows["a.tar/b.jpg"]["caption"] == "zwei\ufffd"
    assert rows["a.tar/link.jpg"]["reason"] == "unreadable"
    assert sum("leads out" in (row["message"] or "") for row in rows.values()) == 2


def test_a_size_that_leads_backwards_ends(tmp_path):
    """Headers of tars are numbers that anybody wrote: a negative size once made readers turn in circles."""
    data = tar_of(tmp_path / "a.tar", NAMES)
    at = offsets(tmp_path / "a.tar")["0001.jpg"][0]
    header = bytearray(data[at : at + 512])
    header[124:136] = b"\xff" * 10 + (-2048 & 0xFFFF).to_bytes(2)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    data[at : at + 512] = header
    found = read_members(io.BytesIO(data))
    assert found.flaw
    assert {one.name for one in found.members} >= {"0000.jpg", "0002.jpg", "0003.jpg", "0004.jpg"}


def test_a_table_that_is_damaged_in_the_middle(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    rows = [{"key": f"{i:04d}", "jpg": picture(i)} for i in range(64)]
    data = bytearray(table_bytes(pa.Table.from_pylist(rows), row_group_size=16, compression="zstd"))
    at = len(data) * 3 // 5
    data[at : at + 3000] = bytes(3000)
    (source / "a.parquet").write_bytes(data)
    found = built(source, tmp_path / "out")
    assert "what follows cannot be read" in found["a.parquet"]["message"]
    assert sum(row["status"] == "ok" for row in found.values()) >= 16


def test_tables_beside_that_cannot_be_read_are_named(tmp_path):
    for output_format in ("webdataset", "files"):
        source = tmp_path / output_format
        write_shards(source, output_format)
        (source / "00001.parquet").write_bytes(b"PAR1 no more")
        rows = built(source, tmp_path / "out" / output_format)
        assert rows["00001.parquet"]["reason"] == "damaged_archive"
        assert sum(row["status"] == "ok" for row in rows.values()) == 6
        told = {row["license"] for path, row in rows.items() if path.startswith("00001.tar/")}
        assert told == ({"cc-by-4.0"} if output_format == "webdataset" else set())  # a tar has JSON, too
