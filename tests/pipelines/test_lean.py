"""Who only plans, looks or reports loads no network: torch alone would be half of the driver's memory and start."""

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.paper_stages import STEPS
from tests.fake_dataset import End, make_dataset, make_photos
from tests.licensed_files import write_smpl_pickle

NETWORKS = {"torch", "mediapipe", "smplx", "numba", "face_alignment", "realesrgan"}
CLUSTER = {"distributed", "dask"}
CHARTS = {"matplotlib"}
_IMPORTS = (ast.Import, ast.ImportFrom)
_COMMANDS = """
import contextlib, io, json, sys
from pipelines.main import main
loaded = {}
for command in json.loads(sys.argv[1]):
    before = set(sys.modules)
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        code = main(command)
    loaded[command[0]] = [code, said.getvalue(), sorted({name.split(".")[0] for name in set(sys.modules) - before})]
print(json.dumps(loaded))
"""


def loaded_by(*commands, **environment):
    """What each command returned, said and imported, one after another in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", _COMMANDS, json.dumps([list(map(str, command)) for command in commands])],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return {name: (code, said, set(modules)) for name, (code, said, modules) in json.loads(done.stdout).items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Photographs and their data set; its first run finds every part done and builds the aggregates."""
    folder = tmp_path_factory.mktemp("lean")
    make_photos(folder / "photos", 6)
    ends = {"photo0001.jpg": End("detect", reason="no_face", message="no face was found")}
    make_dataset(folder / "photos", folder / "out", ends, small=True)
    arguments = (folder / "photos", "--out", folder / "out")
    return arguments, loaded_by(["run", *arguments, "--cluster", "serial"])["run"]


def test_the_report_is_built_without_networks(finished):
    (_, _, out), (code, said, modules) = finished
    assert code == 0, said
    assert (out / "report" / "index.html").is_file()
    assert modules & CHARTS  # the report was built here
    assert not modules & (NETWORKS | CLUSTER)


def test_looking_at_a_finished_data_set_loads_neither_networks_nor_a_cluster(finished):
    arguments, _ = finished
    out = arguments[-1]
    commands = (["plan", *arguments], ["status", out], ["run", *arguments], ["errors", out], ["verify", out],
                ["params"], ["show", out, "photo0000.jpg"])  # fmt: skip
    found = loaded_by(*commands)
    assert {name: code for name, (code, _, _) in found.items()} == dict.fromkeys(found, 0), found
    assert found["plan"][1].count("up to date") == len(STEPS)
    for name, (_, _, modules) in found.items():
        assert not modules & (NETWORKS | CLUSTER | CHARTS), f"shhq-hs {name} imports {modules}"


def test_files_of_licensed_models_are_named_without_networks(finished, tmp_path):
    """HMR's weights are hashed, not opened; SMPL's key points come from a table."""
    write_smpl_pickle(tmp_path / "SMPL_NEUTRAL.pkl")
    (tmp_path / "model_checkpoint.pt").write_bytes(b"weights")
    settings = ("--set", "body.model=SMPL_NEUTRAL.pkl", "--set", "body.regressor=hmr")
    code, said, modules = loaded_by(["plan", *finished[0], *settings], SHHQ_HS_ASSETS=str(tmp_path))["plan"]
    assert code == 0, said
    assert not modules & NETWORKS


def functions_that_import(path):
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef) and any(isinstance(n, _IMPORTS) for n in ast.walk(function)):
            yield function.name


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_stage_imports_its_work_in_one_place(step):
    assert set(functions_that_import(Path(inspect.getfile(step)))) <= {"load", "build"}


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["train", "--help"]])
def test_help_loads_next_to_nothing(command):
    shown = "import sys\nfrom pipelines.main import main\ntry: main(sys.argv[1:])\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown, *command], capture_output=True, text=True)
    assert "usage: shhq-hs" in done.stdout
    assert not {"numpy", "pyarrow", "scipy"} & set(done.stdout.splitlines()[-1].split())
