"""doctor: says what is wrong and what to do, and only then ends with 1."""

import os

import pytest
import torch

from dataprep.errors import AssetError
from pipelines.commands import doctor
from pipelines.main import main
from tests.pipelines.ordinary_user import ordinary_user

GIB = 1 << 30


def examined(check, *arguments):
    return {finding.level: f"{finding.what} {finding.advice}" for finding in check(*arguments)}


def test_a_working_machine_passes(tmp_path, capsys):
    assert main(["doctor", "--out", str(tmp_path / "not" / "yet"), "--no-probe"]) == 0
    text = capsys.readouterr().out
    for words in ("Python 3", "torch", "of the free tier verified", "GiB memory", f"{tmp_path}: writes"):
        assert words in text
    assert "no problems" in text
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_a_missing_model_is_a_problem_with_a_way_out(tmp_path, monkeypatch, capsys):
    assets = list(doctor.known_assets())
    broken = [type(asset)(**{**vars(asset), "folder": tmp_path}) for asset in assets[:1]]
    monkeypatch.setattr(doctor, "known_assets", lambda: [*broken, *assets[1:]])
    assert main(["doctor", "--out", str(tmp_path), "--no-probe"]) == 1
    text = capsys.readouterr().out
    assert f"{assets[0].filename} is missing" in text
    assert "-> run: make setup" in text
    assert "1 problem above" in text


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    with ordinary_user():
        found = examined(doctor._disk, tmp_path / "closed" / "out")
    assert "cannot be written" in found["problem"]


@pytest.mark.parametrize(
    ("memory_gib", "level", "advice"),
    [(1, "problem", "one worker needs"), (4, "warning", "--workers 2"), (64, "ok", "")],
)
def test_memory_decides_how_many_workers(monkeypatch, memory_gib, level, advice):
    monkeypatch.setattr(doctor, "memory_bytes", lambda: memory_gib * GIB)
    monkeypatch.setattr(doctor, "cores", lambda: 8)
    first = next(doctor._machine())
    assert first.level == level
    assert advice in first.advice


def test_a_probe_that_fails_says_where(monkeypatch):
    monkeypatch.setattr(doctor, "probe", lambda: "error in matte: ValueError: no")
    assert "error in matte" in doctor._end_to_end().what

    def missing():
        raise AssetError("weights.bin is gone")

    monkeypatch.setattr(doctor, "probe", missing)
    assert doctor._end_to_end().level == "problem"


@pytest.mark.slow
def test_one_photograph_goes_through_all_stages(tmp_path, capsys):
    assert main(["doctor", "--out", str(tmp_path)]) == 0
    assert "one photograph through all stages" in capsys.readouterr().out


def test_a_gpu_beside_a_torch_for_cpus_is_named_with_the_command(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\necho 'GPU 1: Tesla T4 (UUID: GPU-2)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    found = doctor._gpu(torch)
    assert found.level == "warning"
    assert found.what == f"GPU: NVIDIA H200, Tesla T4, but torch {torch.__version__} is built for CPUs"
    assert f"-m pip install --force-reinstall --no-deps torch=={torch.__version__.split('+')[0]}" in found.advice
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    assert "for CUDA 12.6 cannot use it" in doctor._gpu(torch).what
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert doctor._gpu(torch).what.startswith("no GPU")
