"""The viewer's server, as a process: who may ask, what is answered, and that a mark that was told is on the disk."""

import io
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from dataprep.pictures.codecs import decode_mask, decode_rgb
from dataprep.tables.review import Mark, append_marks, current_marks, history
from pipelines.main import main
from tests.fake_dataset import End, make_dataset, make_photos
from tests.pipelines.viewer.viewer_process import ViewerProcess

HOSTILE = "<img src=x onerror=alert(1)>'\"&.jpg"
ENDS = {"photo0001.jpg": End("detect", reason="no_face", message="<script>alert(2)</script>")}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    make_photos(folder / "photos", 12)
    (folder / "photos" / "photo0005.jpg").rename(folder / "photos" / HOSTILE)
    make_dataset(folder / "photos", folder / "out", ENDS)
    (folder / "out" / "report").mkdir(exist_ok=True)
    (folder / "out" / "report" / "index.html").write_text("<title>the report</title><script>1</script>")
    return folder / "out"


@pytest.fixture(scope="module")
def viewer(out):
    with ViewerProcess(out, "--who", "Ana") as running:
        yield running


@pytest.fixture(scope="module")
def accepted(viewer):
    return [row["id"] for row in viewer.get("api/rows?status=ok").content["rows"]]


PATHS = ("", "app.js", "api/start", "api/columns", "api/rows", "api/marks", "thumb/" + "0" * 32, "report/index.html")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", ["", "wrong", "%00", "..", "é"])
def test_without_the_token_nothing_is_told(viewer, path, token):
    quoted = token.replace("é", "%C3%A9")
    reply = viewer.get(path, quoted)
    assert (reply.status, reply.data) == (403, b"403\n")
    assert not {"Server", "Etag"} & set(reply.headers)


def test_a_wrong_path_is_refused_as_a_wrong_token_is(viewer):
    for path in ("../../etc/passwd", "static/app.js", "picture/" + "0" * 32 + "/shadow", "nothing/here"):
        reply = viewer.get(path)
        assert (reply.status, reply.data) == (403, b"403\n"), path
    assert viewer.request("GET", "/", None, {}).status == 403
    assert viewer.get("secret.js").status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.168.0.1", ""])
def test_another_host_name_is_refused(viewer, host):
    assert viewer.get("api/start", Host=host).status in (400, 403)
    assert viewer.get("api/start", Host=f"localhost:{viewer.port}").status == 200


def test_only_the_own_page_may_change_something(viewer, accepted):
    mark = {"marks": [{"id": accepted[0], "verdict": "reject"}]}
    assert viewer.post("api/marks", mark, Origin="http://evil.example").status == 403
    assert viewer.post("api/marks", mark, Origin="null").status == 403
    assert viewer.post("api/marks", mark, Content_Type="text/plain", **{"Content-Type": "text/plain"}).status == 403
    assert viewer.request("DELETE", f"/{viewer.token}/api/marks", None, {}).status in (403, 405)
    assert viewer.get(f"api/sample/{accepted[0]}").content["mark"] is None


def test_it_listens_on_loopback_alone(viewer):
    with open("/proc/net/tcp") as table:
        places = [line.split()[1:4:2] for line in list(table)[1:]]
    listening = [place for place, state in places if state == "0A" and int(place.split(":")[1], 16) == viewer.port]
    assert listening == [f"0100007F:{viewer.port:04X}"]
    with open("/proc/net/tcp6") as table:
        assert not [line for line in table if f":{viewer.port:04X} " in line.split(" 0A ")[0]]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_cannot_find_the_token(viewer):
    code = (
        "import os, sys, urllib.request, urllib.error, encodings.idna\n"
        "os.setgid(65534); os.setuid(65534)\n"
        f"said = open('/proc/{viewer.process.pid}/cmdline').read()\n"
        f"assert {viewer.token!r}[:8] not in said\n"
        f"for path in ('', 'api/start', 'wrong/api/start'):\n"
        f"    try: urllib.request.urlopen('http://127.0.0.1:{viewer.port}/' + path); sys.exit(1)\n"
        "    except urllib.error.HTTPError as error: assert error.code == 403 and error.read() == b'403\\n'\n"
        f"try: open('/proc/{viewer.process.pid}/environ').read(); sys.exit(2)\n"
        "except PermissionError: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_every_answer_is_shut_in(viewer, accepted):
    for path in ("", "api/start", f"thumb/{accepted[0]}", f"picture/{accepted[0]}/portrait"):
        headers = viewer.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Set-Cookie" not in headers


def test_the_report_is_served_to_a_frame_in_a_sandbox(viewer):
    reply = viewer.get("report/index.html", Sec_Fetch_Dest="iframe")
    assert reply.data.startswith(b"<title>the report")
    assert reply.headers["Content-Security-Policy"].startswith("sandbox allow-scripts; default-src 'none'")
    assert viewer.get("report/index.html", Sec_Fetch_Dest="document").status == 403


def test_names_travel_as_json_that_no_page_takes_for_markup(viewer):
    reply = viewer.get("api/rows?text=onerror")
    assert [row["path"] for row in reply.content["rows"]] == [HOSTILE]
    assert b"<" not in reply.data
    assert reply.headers["Content-Type"].startswith("application/json")


def test_pictures_leave_as_stages_made_them(viewer, out, accepted):
    sample = accepted[0]
    portrait, alpha = (viewer.get(f"picture/{sample}/{kind}").data for kind in ("portrait", "alpha"))
    assert portrait.startswith(b"\x89PNG")
    tars = b"".join(path.read_bytes() for path in out.glob("stages/matte-*/part-*.tar"))
    assert portrait in tars
    assert alpha in tars
    cut = np.asarray(Image.open(io.BytesIO(viewer.get(f"picture/{sample}/cutout").data)))
    big = decode_rgb(viewer.get(f"picture/{sample}/superres").data)
    assert (cut[..., :3] == big).all()
    assert (cut[..., 3] == decode_mask(alpha)).all()
    photograph = viewer.get(f"picture/{sample}/photograph")
    assert Image.open(io.BytesIO(photograph.data)).size == (512, 512)
    thumb = viewer.get(f"thumb/{sample}")
    assert max(Image.open(io.BytesIO(thumb.data)).size) == 224


def test_a_mark_is_on_the_disk_when_it_is_answered(viewer, out, accepted):
    made = [{"id": accepted[1], "verdict": "reject", "reason": "crop_shifted", "note": "too far left"},
            {"id": accepted[2], "verdict": "accept", "who": "Bo"}]  # fmt: skip
    reply = viewer.post("api/marks", {"marks": made})
    kept = current_marks(out)
    assert (kept[accepted[1]].verdict, kept[accepted[1]].reason, kept[accepted[1]].note, kept[accepted[1]].who) == (
        "reject", "crop_shifted", "too far left", "Ana",
    )  # fmt: skip
    assert kept[accepted[2]].who == "Bo"
    assert reply.content["marks"][accepted[1]][:4] == ["reject", "crop_shifted", "too far left", "Ana"]
    assert [row["id"] for row in viewer.get("api/rows?mark=reject&at=1000").content["rows"]] == [accepted[1]]
    viewer.post("api/marks", {"marks": [{"id": accepted[1], "verdict": "none"}]})
    assert accepted[1] not in current_marks(out)
    assert [mark.verdict for mark in history(out, accepted[1])] == ["reject", "none"]
    assert [one[0] for one in viewer.get(f"api/sample/{accepted[1]}").content["history"]] == ["none", "reject"]


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ([], "expects a list of marks"),
        ([{"verdict": "reject"}], "needs the id"),
        ([{"id": "f" * 32, "verdict": "reject"}], "no sample of this data set"),
        ([{"id": "../../x", "verdict": "reject"}], "32 hexadecimal"),
        ([{"id": None, "verdict": "burn"}], "32 hexadecimal"),
    ],
)
def test_what_is_no_mark_is_refused_in_words(viewer, out, marks, message):
    before = len(history(out))
    reply = viewer.post("api/marks", {"marks": marks})
    assert reply.status == 400
    assert message in reply.content["error"]
    assert len(history(out)) == before


def test_marks_of_somebody_else_are_seen(viewer, out, accepted):
    at = viewer.get("api/found").content["at"]
    append_marks(out, [Mark(accepted[4], "doubt", who="Cleo")])
    time.sleep(1.2)  # others' marks are looked for once a second
    assert viewer.get("api/found").content["at"] != at
    assert viewer.get(f"api/sample/{accepted[4]}").content["mark"][3] == "Cleo"
    said = viewer.get("api/marks").content
    assert said["people"]["Cleo"] == 1


def test_the_photographs_may_be_gone(out, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / "runs" / "source.json").unlink()
    shutil.rmtree(copy / "stages")
    with ViewerProcess(copy) as running:
        row = running.get("api/rows?status=ok").content["rows"][0]
        assert running.get(f"api/sample/{row['id']}").content["pictures"] == []
        assert running.get(f"thumb/{row['id']}").headers["Content-Type"] == "image/svg+xml"
        assert running.get(f"picture/{row['id']}/portrait").status == 404


def test_what_cannot_be_viewed_says_why(tmp_path, capsys, viewer, out):
    assert main(["view", str(tmp_path)]) == 2
    assert "build it with: shhq-hs run" in capsys.readouterr().err
    assert main(["view", str(out), "--port", str(viewer.port)]) == 2
    assert "is taken" in capsys.readouterr().err
    assert main(["view", str(out), "--port", "99999"]) == 2
    assert "expected 0 to 65535" in capsys.readouterr().err
