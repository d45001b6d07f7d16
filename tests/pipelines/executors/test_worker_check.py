"""What a worker may lack, each told as what was found, what was expected and what to type next."""

from dataclasses import replace

import cloudpickle
import pytest

from dataprep.stages.superres import SuperRes
from pipelines.executors.worker_check import examine, make_request, versions
from tests.pipelines.toy import make_photos, toy_dag

STEPS = (*toy_dag().steps, SuperRes(model="animevideov3"))


@pytest.fixture
def request_of_driver(tmp_path):
    make_photos(tmp_path / "photos" / "people", 2)
    return make_request(tmp_path / "photos", tmp_path / "out", STEPS)


def test_a_worker_like_the_driver_can_take_part_and_leaves_nothing_behind(request_of_driver):
    assert examine(request_of_driver) == []
    assert [path.name for path in (request_of_driver.out / "runs").iterdir()] == ["cluster.json"]


def test_one_with_other_code_is_told_which_file(request_of_driver):
    other = request_of_driver.code | {"dataprep/tables/store.py": "0" * 12, "pipelines/new.py": "0" * 12}
    (problem,) = examine(replace(request_of_driver, code=other, steps=b"not to be read by other code"))
    assert "dataprep/tables/store.py and 1 more files differ" in problem.found
    assert "start the worker again" in problem.remedy


def test_one_with_other_packages_is_told_which(request_of_driver):
    other = versions() | {"numpy": "0.1", "python": "2.7"}
    told = [str(problem) for problem in examine(replace(request_of_driver, versions=other))]
    assert len(told) == 2
    assert any(f"it has numpy {versions()['numpy']}; expected 0.1" in text for text in told)
    assert any("pip install numpy==0.1" in text for text in told)


def test_one_that_sees_another_source_or_out_is_told_the_file(request_of_driver, tmp_path):
    (name, _), source = request_of_driver.sample, request_of_driver.source
    assert (source / name).is_file()
    elsewhere = replace(request_of_driver, source=tmp_path / "elsewhere", out=tmp_path / "nowhere")
    missing_source, missing_out = examine(elsewhere)
    assert f"{name} cannot be read (No such file or directory)" in missing_source.found
    assert "the driver's runs/cluster.json is not there" in missing_out.found
    assert not (tmp_path / "nowhere").exists()
    (source / name).write_bytes(b"another picture")
    (request_of_driver.out / "runs" / "cluster.json").write_text('"of another run"')
    other_source, other_out = examine(request_of_driver)
    assert "has other bytes" in other_source.found
    assert "is of another run" in other_out.found


def test_one_without_a_model_is_told_what_is_missing(request_of_driver, monkeypatch):
    monkeypatch.setattr("dataprep.models.superres.superres_files.PACKAGE", "models-not-installed-here")
    (problem,) = examine(request_of_driver)
    assert "stage superres: package models-not-installed-here (network weights) is not installed" in problem.found


def test_one_whose_model_file_is_spoilt_is_told_where_it_lies(request_of_driver, tmp_path, monkeypatch):
    spoilt = tmp_path / "weights.bin"
    spoilt.write_bytes(b"cut off")
    monkeypatch.setattr("dataprep.models.superres.superres_files._packaged_path", lambda name: spoilt)
    (problem,) = examine(request_of_driver)
    assert f"model file {spoilt} is corrupt" in problem.found
    assert "make setup" in problem.remedy


def test_one_with_another_model_of_that_name_is_told_the_hashes(request_of_driver):
    weights = dict(request_of_driver.weights) | {"superres": [("realesrgan-animevideov3", "f" * 64)]}
    (problem,) = examine(replace(request_of_driver, weights=weights))
    assert "model realesrgan-animevideov3 has sha256 548a36f9c3f4" in problem.found
    assert problem.expected == "f" * 12


def test_a_file_that_only_the_driver_has_is_named(request_of_driver, tmp_path):
    steps = cloudpickle.dumps((SuperRes(model=str(tmp_path / "mine.pth")),))
    weights = {"superres": [("mine", "f" * 64)]}
    (problem,) = examine(replace(request_of_driver, steps=steps, weights=weights))
    assert f"{tmp_path / 'mine.pth'}: no such file" in problem.found
