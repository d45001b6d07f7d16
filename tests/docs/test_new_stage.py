"""A stage that is added as docs/extending.md says, its file and its entry in the list, is in all that people use."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage.data import astronaut

from tests.pipelines.toy import Brightness
from tools.docs.docs_check import blocks

ROOT = Path(__file__).parents[2]
PACKAGES = ("dataprep", "gan", "pipelines", "tools")
QUICK = ("superres.model=animevideov3", "superres.precision=float32", "body.method=map")
COMMANDS = """
import contextlib, io, json, sys
from pipelines.main import main
said = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.redirect_stderr(text):
        code = main(command)
    said.append([code, text.getvalue()])
print(json.dumps(said))
"""


def inside(folder, *arguments):
    """What Python prints with the packages of `folder`."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def follow_the_page(folder):
    """Copy the packages and add the page's stage to the copy."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name)
    code = next(block.text for block in blocks((ROOT / "docs" / "extending.md").read_text()) if "(Stage)" in block.text)
    (folder / "dataprep" / "stages" / "colourfulness.py").write_text(code)
    path = folder / "pipelines" / "paper_stages.py"
    text = path.read_text()
    first = "from dataprep.stages.crop import Crop\n"
    changed = text.replace(first, f"from dataprep.stages.colourfulness import Colourfulness\n{first}")
    changed = changed.replace("    Ingest,\n", "    Ingest,\n    Colourfulness,\n")
    assert changed.count("Colourfulness") == 2
    path.write_text(changed)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Status and words of each command, over a photograph in colour and a grey one, and the folder of the copy."""
    folder = tmp_path_factory.mktemp("copy")
    follow_the_page(folder)
    (folder / "photos").mkdir()
    Image.fromarray(astronaut()).save(folder / "photos" / "colour.png")
    Image.fromarray(astronaut()).convert("L").save(folder / "photos" / "grey.png")
    settings = [word for setting in QUICK for word in ("--set", setting)]
    run = ["photos", "--out", "out", "--cluster", "serial", *settings]
    asked = {
        "run": ["run", *run],
        "plan": ["plan", *run],
        "again": ["run", *run],
        "status": ["status", "out"],
        "show colour": ["show", "out", "colour.png"],
        "show grey": ["show", "out", "grey.png"],
        "errors": ["errors", "out", "--stage", "colourfulness"],
        "verify": ["verify", "out", "--deep"],
        "params": ["params", "--set", "colourfulness.min_spread=6"],
        "wrong": ["params", "--set", "colourfulness.min_spread=300"],
    }
    said = json.loads(inside(folder, "-c", COMMANDS, json.dumps(list(asked.values()))).splitlines()[-1])
    return dict(zip(asked, said, strict=True)), folder


def test_it_runs_and_what_it_lost_is_counted(commands):
    (code, text), folder = commands[0]["run"], commands[1]
    assert code == 0, text
    assert "1 of 2 images accepted" in text
    assert ["colourfulness", "rejected", "grey"] in [line.split()[:3] for line in text.splitlines()]
    rows = pq.read_table(folder / "out" / "manifest.parquet", columns=["source_path", "stage", "colour_spread"])
    found = {row["source_path"]: row for row in rows.to_pylist()}
    assert found["grey.png"]["stage"] == "colourfulness"
    assert found["colour.png"]["colour_spread"] > 20


def test_plan_and_status_name_it_and_nothing_is_left_to_do(commands):
    said = commands[0]
    assert ["colourfulness", "1", "0"] in [line.split()[:3] for line in said["plan"][1].splitlines()]
    assert "nothing to do" in said["again"][1]
    assert "colourfulness" in said["status"][1]
    assert said["verify"][0] == 0, said["verify"][1]


def test_show_and_errors_tell_its_story(commands):
    said = commands[0]
    assert "colours spread by" in said["show colour"][1]
    assert "rejected at colourfulness, grey: colours spread by 0.0 grey levels" in said["show grey"][1]
    assert "grey.png" in said["errors"][1]
    assert "colour.png" not in said["errors"][1]


def test_the_report_counts_it(commands):
    report = commands[1] / "out" / "report"
    funnel = json.loads((report / "report.json").read_text())["funnel"]
    assert any("colourfulness" in json.dumps(step) and "grey" in json.dumps(step) for step in funnel)
    assert "colourfulness" in (report / "index.html").read_text()


def test_its_parameters_are_settings(commands):
    assert "colourfulness.min_spread=6.0\n" in commands[0]["params"][1]
    assert commands[0]["wrong"][0] == 2
    assert "expected a finite number between 0 and 255" in commands[0]["wrong"][1]


def test_the_reference_has_it(commands):
    inside(commands[1], "-m", "tools.docs.reference", "reference")
    settings, columns = ((commands[1] / "reference" / name).read_text() for name in ("settings.md", "columns.md"))
    assert "| `colourfulness.min_spread` | float | `5.0` | a photograph of less colour" in settings
    assert "Reads: ingest, colourfulness, detect," in settings
    assert "| `colour_spread` | float | scalar | grey levels | source |" in columns


def test_a_stage_that_tells_no_story_lists_its_columns():
    assert Brightness.found({"brightness": 12.3456, "corners": None}) == ["brightness 12.35"]
