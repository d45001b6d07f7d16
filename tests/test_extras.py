"""What needs a package that is absent says which, and the command that installs it."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from dataprep import extras
from dataprep.errors import AssetError
from dataprep.models.body import smpl_keypoints
from dataprep.models.body.body_mesh import BodyMesh
from dataprep.models.body.smpl import STANDIN_PATH, load_body
from dataprep.models.detection.fan import FanLandmarks
from dataprep.models.onnx_sessions import open_session
from dataprep.models.superres import basicsr_compat
from pipelines import main

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
NAMED = PROJECT["optional-dependencies"]


def names(requirements):
    return {re.split(r"[\[<>=!; ]", one)[0] for one in requirements}


def test_every_extra_that_a_message_names_is_declared_and_brings_the_package():
    for package, extra in extras.EXTRA_OF.items():
        assert package.replace("_", "-") in names(NAMED[extra]), f"{extra} does not bring {package}"


def test_all_takes_every_extra_for_users():
    (inside,) = NAMED["all"]
    assert inside.startswith("shhq-hs[")
    assert set(inside.removeprefix("shhq-hs[").rstrip("]").split(",")) == set(NAMED) - {"all", "clients", "dev", "docs"}


def test_the_page_on_installing_lists_every_extra_for_users():
    page = (Path(__file__).parents[1] / "docs/install.md").read_text()
    listed = set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE))
    assert listed == set(NAMED) - {"clients", "dev", "docs"}


def test_a_plain_installation_builds_nothing_and_takes_no_code_for_research_only():
    assert not names(PROJECT["dependencies"]) & {"basicsr", "realesrgan", "gfpgan", "smplx", "face-alignment"}


@pytest.mark.parametrize(
    ("package", "use", "words"),
    [
        (
            "smplx",
            lambda: BodyMesh(load_body(STANDIN_PATH)),
            ("full mesh of a body model", "pip install 'shhq-hs[smplx]'"),
        ),
        ("smplx", smpl_keypoints._vertex_ids, ("6,890 vertices", "pip install 'shhq-hs[smplx]'")),
        ("face_alignment", FanLandmarks, ("detect.landmarks=fan", "pip install 'shhq-hs[face-alignment]'")),
        (
            "onnxruntime",
            lambda: open_session(Path("net.onnx"), "matte.model", "cpu", "matte.device"),
            ("matte.model=net.onnx", "pip install 'shhq-hs[onnx]'"),
        ),
        (
            "realesrgan",
            basicsr_compat.real_esrganer,
            ("superres.engine=realesrgan", "'setuptools<81'", "pip install --no-build-isolation 'shhq-hs[realesrgan]'"),
        ),
    ],
)
def test_an_absent_package_is_named_with_its_command(monkeypatch, package, use, words):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(AssetError) as raised:
        use()
    for word in words:
        assert word in str(raised.value)


def test_a_dependency_that_does_not_load_is_one_sentence(monkeypatch, capsys):
    def load(error):
        def fail(options):
            raise error

        said = {"quiet": False, "verbose": False, "log_file": None}
        return lambda *_: type("Options", (), {"load": staticmethod(lambda: fail), **said})()

    absent = ImportError("libGL.so.1: cannot open shared object file", name="cv2")
    monkeypatch.setattr(main.config_file, "parse", load(absent))
    assert main.main(["doctor"]) == 2
    assert "libGL.so.1" in capsys.readouterr().err
    monkeypatch.setattr(main.config_file, "parse", load(ImportError("cannot import name", name="gan.losses")))
    with pytest.raises(ImportError):
        main.main(["doctor"])


def test_the_remedy_fits_how_the_program_was_installed(monkeypatch, tmp_path):
    no_display = ImportError("libGL.so.1: cannot open shared object file", name="cv2")
    assert extras.set_up_command() == extras.remedy_for_import(no_display) == "make setup"  # it sees to that itself
    monkeypatch.setattr(extras, "_CHECKOUT", tmp_path)
    assert "pip install" in extras.set_up_command()
    assert extras.remedy_for_import(no_display) == extras.HEADLESS_OPENCV
    assert extras.remedy_for_import(ImportError("No module named 'av'", name="av")) == extras.set_up_command()
