"""Lists as SOURCE: paths and URLs, what is carried along, and what comes of rows that are wrong."""

import atexit
import hashlib
import http.server
import shutil
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataprep.errors import ConfigError
from dataprep.inputs.fetching import is_public
from dataprep.inputs.gathering import Fetch, Gathering
from dataprep.inputs.lists import read_list
from dataprep.tables.store import Store
from pipelines.commands.errors import print_errors
from pipelines.commands.retry import retry
from pipelines.engine.index import read_index
from pipelines.engine.run import run
from pipelines.executors.serial_executor import SerialExecutor
from tests.pipelines.toy import toy_dag

ORIGINALS = Path(__file__).parents[2] / "samples/people/no_segment"
SAMPLES = Path(tempfile.mkdtemp(prefix="shhq-hs-test-"))  # the same, small
for _name in ("p001.jpg", "p002.jpg", "p003.jpg", "p004.jpg", "p005.jpg"):
    Image.open(ORIGINALS / _name).resize((48, 64)).save(SAMPLES / _name)
atexit.register(shutil.rmtree, SAMPLES, ignore_errors=True)
QUICK = {"first_pause_s": 0.01, "timeout_s": 5.0}


class Server(http.server.BaseHTTPRequestHandler):
    """Answers by path: a photograph, or one of a server's bad days."""

    asked: ClassVar[list[str]] = []

    def do_GET(self):
        name = self.path.lstrip("/")
        Server.asked.append(name)
        if name == "busy.jpg" and Server.asked.count(name) < 3:
            return self._say(503, b"")
        if name == "busy.jpg":
            return self._say(200, b"")
        if name == "always_busy.jpg":
            return self._say(503, b"")
        if name == "moved.jpg":
            return self._say(302, b"", {"Location": "/p001.jpg"})
        if name == "round.jpg":
            return self._say(302, b"", {"Location": "/round.jpg"})
        if name == "file.jpg":
            return self._say(302, b"", {"Location": "file:///etc/passwd"})
        if name == "large.jpg":
            return self._say(200, bytes(3 << 20))
        if not (SAMPLES / name).is_file():
            return self._say(404, b"")
        return self._say(200, (SAMPLES / name).read_bytes())

    def _say(self, status, body, headers=None):
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving():
    Server.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def built(root, given, out, **fetch):
    """Run the toy stages over a list; returns the rows of the first stage by path."""
    settings = Fetch(**(QUICK | {"private_addresses": True} | fetch))
    with SerialExecutor() as executor:
        gathering = Gathering(given=str(given), fetch=settings)
        assert not run(root, out, toy_dag(), executor, 1.0, gathering=gathering).failed
    dag = toy_dag()
    rows = [row for part in {s.part for s in read_index(out)} for row in Store(out).rows(dag.refs["ingest"], part)]
    return {row["source_path"]: row for row in rows}


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for name in ("p001.jpg", "p002.jpg"):
        shutil.copy(SAMPLES / name, folder / name)
    shutil.copy(SAMPLES / "p003.jpg", folder / "deep/p003.jpg")
    return folder


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_paths_with_hash_licence_and_consent(photos, tmp_path):
    table = pa.table({
        "file_name": ["p001.jpg", str(photos / "deep/p003.jpg"), "gone.jpg", "p002.jpg"],
        "sha256": [sha256(photos / "p001.jpg").upper(), None, None, "0" * 64],
        "licence": ["cc-by-4.0", None, None, None],
        "consent": ["signed 2025-03-01", None, None, None],
    })  # fmt: skip
    pq.write_table(table, photos / "list.parquet")
    rows = built(photos, photos / "list.parquet", tmp_path / "out")
    assert set(rows) == {"p001.jpg", "deep/p003.jpg", "gone.jpg", "p002.jpg"}
    first = rows["p001.jpg"]
    assert (first["status"], first["license"], first["consent"]) == ("ok", "cc-by-4.0", "signed 2025-03-01")
    assert (rows["deep/p003.jpg"]["status"], rows["deep/p003.jpg"]["license"]) == ("ok", "unspecified")
    assert (rows["gone.jpg"]["status"], rows["gone.jpg"]["reason"]) == ("rejected", "unreadable")
    wrong = rows["p002.jpg"]
    assert (wrong["status"], wrong["reason"]) == ("error", "wrong_hash")
    assert sha256(photos / "p002.jpg") in wrong["message"]
    assert "0" * 64 in wrong["message"]


def test_a_corrected_hash_is_another_input(photos, tmp_path):
    (photos / "list.csv").write_text(f"path,sha256\np001.jpg,\np002.jpg,{'0' * 64}\n")
    assert built(photos, photos / "list.csv", tmp_path / "out")["p002.jpg"]["status"] == "error"
    (photos / "list.csv").write_text(f"path,sha256\np001.jpg,\np002.jpg,{sha256(photos / 'p002.jpg')}\n")
    rows = built(photos, photos / "list.csv", tmp_path / "out")
    assert len(rows) == 2
    assert rows["p002.jpg"]["status"] == "ok"


def test_urls_are_downloaded_once(tmp_path):
    with serving() as url:
        (tmp_path / "list.csv").write_text(
            f"url,license,sha256\n{url}/p001.jpg,cc0,{sha256(SAMPLES / 'p001.jpg')}\n{url}/moved.jpg,,\n"
            f"{url}/none.jpg,,\n{url}/p002.jpg,,{'1' * 64}\n{url}/large.jpg,,\n{url}/round.jpg,,\n{url}/file.jpg,,\n"
        )
        rows = built(tmp_path, tmp_path / "list.csv", tmp_path / "out", most_mib=1)
        asked = len(Server.asked)
        again = built(tmp_path, tmp_path / "list.csv", tmp_path / "out", most_mib=1)
        assert len(Server.asked) == asked  # neither what is there, nor what failed for good
    assert again == rows
    named = {path.rpartition("/")[2]: row for path, row in rows.items()}
    assert (named["p001.jpg"]["reason"], named["p001.jpg"]["license"]) == ("duplicate", "cc0")
    assert named["p001.jpg"]["source_url"] == f"{url}/p001.jpg"
    assert named["moved.jpg"]["status"] == "ok"
    assert (named["none.jpg"]["reason"], named["none.jpg"]["message"]) == (
        "not_fetched",
        "the server says 404, not found",
    )
    assert "1 MiB" in named["large.jpg"]["message"]
    assert "redirections" in named["round.jpg"]["message"]
    assert "neither http" in named["file.jpg"]["message"]
    assert (named["p002.jpg"]["status"], named["p002.jpg"]["reason"]) == ("error", "wrong_hash")


def test_a_busy_server_is_asked_again(tmp_path):
    shutil.copy(SAMPLES / "p004.jpg", tmp_path / "p004.jpg")
    with serving() as url:
        (tmp_path / "list.csv").write_text(f"url,path\n,p004.jpg\n{url}/busy.jpg,\n{url}/always_busy.jpg,\n")
        rows = built(tmp_path, tmp_path / "list.csv", tmp_path / "out", tries=4)
        assert rows[f"{url}/busy.jpg"]["reason"] == "empty_file"  # it came at the third try
        assert Server.asked.count("busy.jpg") == 3
        assert Server.asked.count("always_busy.jpg") == 4
        assert "503" in rows[f"{url}/always_busy.jpg"]["message"]
        built(tmp_path, tmp_path / "list.csv", tmp_path / "out", tries=1)
        assert Server.asked.count("always_busy.jpg") == 5  # the next run tries again what may have changed
        assert Server.asked.count("busy.jpg") == 3


def test_failed_downloads_are_asked_for_again_after_retry(tmp_path, capsys):
    shutil.copy(SAMPLES / "p004.jpg", tmp_path / "p004.jpg")
    out = tmp_path / "out"
    late = SAMPLES / "late.jpg"
    with serving() as url:
        (tmp_path / "list.csv").write_text(
            f"url,path,sha256\n,p004.jpg,\n{url}/late.jpg,,\n{url}/none.jpg,,\n"
            f"{url}/p002.jpg,,{sha256(SAMPLES / 'p003.jpg')}\n{url}/p005.jpg,,\n"
        )
        assert built(tmp_path, tmp_path / "list.csv", out)[f"{url}/late.jpg"]["reason"] == "not_fetched"
        print_errors(out, "", "", "", False)
        assert f"shhq-hs retry {out} --reason not_fetched" in capsys.readouterr().out
        shutil.copy(SAMPLES / "p001.jpg", late)
        original = (SAMPLES / "p002.jpg").read_bytes()
        shutil.copy(SAMPLES / "p003.jpg", SAMPLES / "p002.jpg")
        try:
            Server.asked.clear()
            retry(out, "", "error,timeout,crash", "")
            rows = built(tmp_path, tmp_path / "list.csv", out)
            assert sorted(Server.asked) == ["late.jpg", "none.jpg", "p002.jpg"]  # what was there is not asked for
        finally:
            late.unlink()
            (SAMPLES / "p002.jpg").write_bytes(original)
        assert rows[f"{url}/late.jpg"]["status"] == "ok"
        assert rows[f"{url}/p002.jpg"]["status"] == "ok"  # the server has what the list says now
        assert rows[f"{url}/none.jpg"]["reason"] == "not_fetched"
        assert len(rows) == 5
        Server.asked.clear()
        capsys.readouterr()
        assert retry(out, "", "error,timeout,crash", "undecodable") == 1  # other reasons are meant
        assert retry(out, "brightness", "error,timeout,crash", "") == 1  # another stage is
        assert retry(out, "", "error,timeout,crash", "not_fetched") == 0
        assert "downloads: 1 URL will be asked for again" in capsys.readouterr().out
        assert built(tmp_path, tmp_path / "list.csv", out) == rows
        assert Server.asked == ["none.jpg"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_private_addresses_are_not_asked(tmp_path, host):
    shutil.copy(SAMPLES / "p004.jpg", tmp_path / "p004.jpg")
    with serving() as url:
        mine = f"http://{host}:{url.rpartition(':')[2]}/p001.jpg"
        (tmp_path / "list.csv").write_text(f"url,path\n,p004.jpg\n{mine},\n")
        rows = built(tmp_path, tmp_path / "list.csv", tmp_path / "out", private_addresses=False, tries=1)
        assert not Server.asked
    assert rows[mine]["reason"] == "not_fetched"
    assert "private address" in rows[mine]["message"] or rows[mine]["message"] == "it is no URL"


def test_which_addresses_are_public():
    assert is_public("8.8.8.8")
    assert is_public("2001:4860:4860::8888")
    assert not any(map(is_public, ("10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "224.0.0.1",
                                   "fe80::1%eth0", "fd00::1", "::", "0.0.0.0")))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name,size\na,1\n", "no column path and no column url"),
        ("path\n", "no row"),
        ("path\n../up.jpg\n", "does not lead below"),
        ("path\n/etc/passwd\n", "does not lead below"),
        ("path\na.jpg\nb.jpg\na.jpg\n", "stands in row 1"),
        ("url\nftp://example.org/a.jpg\n", "expected http"),
        ("path,sha256\na.jpg,xyz\n", "expected 64"),
        ("path,url\na.jpg,\n,\n", "neither a path nor a url"),
    ],
)
def test_what_is_no_list_is_named(tmp_path, text, why):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ConfigError, match=why) as error:
        read_list(tmp_path / "list.csv", tmp_path)
    assert "list.csv" in str(error.value)


def test_a_link_of_a_list_that_leads_out_is_not_followed(photos, tmp_path):
    (tmp_path / "outside.jpg").write_bytes((SAMPLES / "p005.jpg").read_bytes())
    (photos / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (photos / "list.csv").write_text("path\np001.jpg\nlink.jpg\n")
    assert built(photos, photos / "list.csv", tmp_path / "out")["link.jpg"]["reason"] == "link_outside"
